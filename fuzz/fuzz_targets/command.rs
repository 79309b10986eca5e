//! See `restante_fuzz::command`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::command::run(data));
