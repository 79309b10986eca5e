//! See `restante_fuzz::unforged`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::unforged::run(data));
