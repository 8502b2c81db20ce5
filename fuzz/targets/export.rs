#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = darwin_fuzz::durable::export(data);
});
