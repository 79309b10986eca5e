//! See `restante_fuzz::xclient`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::xclient::run(data));
