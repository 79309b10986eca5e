//! See `restante_fuzz::server`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::server::run(data));
