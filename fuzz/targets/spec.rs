#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = darwin_fuzz::texts::spec(data);
});
