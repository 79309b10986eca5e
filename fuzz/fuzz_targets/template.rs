//! See `restante_fuzz::template`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::template::run(data));
