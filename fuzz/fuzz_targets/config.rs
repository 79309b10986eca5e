//! See `restante_fuzz::config`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::config::run(data));
