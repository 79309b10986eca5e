//! See `restante_fuzz::framing`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::framing::run(data));
