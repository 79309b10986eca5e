//! See `restante_fuzz::reply`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::reply::run(data));
