//! See `restante_fuzz::client`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::client::run(data));
