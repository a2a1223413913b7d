#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| latentbit_fuzz::sidecar::run(data));
