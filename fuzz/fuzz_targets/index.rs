//! See `restante_fuzz::index`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::index::run(data));
