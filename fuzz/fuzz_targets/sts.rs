//! See `restante_fuzz::sts`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::sts::run(data));
