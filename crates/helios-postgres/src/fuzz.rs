//! What a fuzzer drives: what reads a client's bytes without the engine. The fuzz target compiles this
//! file too.

use crate::{codec, parameter};
use helios_types::Type;
use helios_types::text::TextContext;

/// Reads `data` as messages, and as parameters of every type. Must neither panic nor allocate beyond
/// the input's size.
pub fn messages(data: &[u8], message_bytes_max: usize) {
    let _ = codec::decode_startup(data);
    let mut rest = data;
    while let Ok(Some(header)) = codec::decode_header(rest, message_bytes_max) {
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
}
