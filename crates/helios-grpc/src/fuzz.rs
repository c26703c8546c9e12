//! What a fuzzer drives: messages from bytes, and their values as parameters of every type.

use crate::proto::{BeginTransactionRequest, QueryRequest, TransactionId};
use crate::value::{decode, encode, implied_type};
use helios_types::Type;
use prost::Message;

const TYPES: [Type; 12] = [
    Type::BOOL,
    Type::INT2,
    Type::INT8,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::NUMERIC,
    Type::TEXT,
    Type::BYTEA,
    Type::DATE,
    Type::TIMESTAMP,
    Type::UUID,
    Type::JSONB,
];

/// Reads `data` as each request. Nothing may panic; a value that was accepted is sent back as one.
pub fn fuzz(data: &[u8]) {
    let _ = BeginTransactionRequest::decode(data);
    let _ = TransactionId::decode(data);
    let Ok(request) = QueryRequest::decode(data) else {
        return;
    };
    for message in &request.params {
        let arrays = TYPES.iter().filter_map(|ty| ty.array_of());
        for ty in TYPES.into_iter().chain(arrays).chain(implied_type(message)) {
            if let Ok(value) = decode(message, ty) {
                let _ = encode(ty, &value.as_ref());
            }
        }
    }
}
