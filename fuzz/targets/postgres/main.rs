//! Messages of PostgreSQL's protocol and parameters of every type.
#![no_main]
#![allow(dead_code, unused_imports)]

use helios_types::Type;
use helios_types::text::TextContext;

mod codec;
mod encode {
    /// Between 1970 and 2000, from which PostgreSQL counts.
    pub const EPOCH_DAYS: i32 = 10_957;
    pub const EPOCH_MICROS: i64 = 10_957 * 86_400_000_000;
}
mod parameter;

/// As `Config::default` has it.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = codec::decode_startup(data);
    let mut rest = data;
    while let Ok(Some(header)) = codec::decode_header(rest, MESSAGE_BYTES_MAX) {
        let end = codec::HEADER_BYTES + header.body_bytes;
        let Some(body) = rest.get(codec::HEADER_BYTES..end) else {
            break;
        };
        if let Ok(codec::Frontend::Bind(bind)) = codec::decode_message(header, body) {
            let _ = bind.values().count();
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    let context = TextContext::default();
    for info in helios_types::types::BUILTIN {
        for oid in [info.oid, info.array] {
            let ty = Type::new(oid);
            let _ = parameter::decode_binary(data, ty, &context);
            let _ = parameter::decode_text(data, ty, &context);
        }
    }
});
