#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = helios_mongo::codec::parse(bytes) {
        for (_, value) in request.body.fields() {
            let _ = format!("{value:?}");
        }
    }
});
