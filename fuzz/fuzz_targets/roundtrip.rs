#![no_main]
libfuzzer_sys::fuzz_target!(|input: latentbit_fuzz::roundtrip::Input| latentbit_fuzz::roundtrip::run(&input));
