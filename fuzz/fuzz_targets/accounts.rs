//! See `restante_fuzz::accounts`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::accounts::run(data));
