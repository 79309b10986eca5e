//! See `restante_fuzz::admin`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::admin::run(data));
