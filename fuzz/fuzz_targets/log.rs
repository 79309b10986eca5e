//! See `restante_fuzz::log`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::log::run(data));
