//! Type modifiers: declared lengths, precisions and scales.

use super::truncate_name;
use crate::datetime::{round_to_precision, timestamptz_truncate};
use crate::{Array, Result, Type, Value, bail};
use std::sync::Arc;

/// Makes a value fit its type's modifier. A string that is too long is cut when the cast is
/// explicit; otherwise only blanks may be lost.
pub fn apply_modifier(ty: Type, value: Value, explicit_cast: bool) -> Result<Value> {
    match value {
        Value::Text(text) => apply_to_text(ty, text, explicit_cast),
        Value::Numeric(numeric) => Ok(Value::Numeric(match ty.numeric_precision_scale() {
            Some((precision, scale)) => numeric.apply_modifier(precision, scale)?,
            None => numeric,
        })),
        Value::Time(micros) if (0..6).contains(&ty.modifier) => Ok(Value::Time(
            round_to_precision(micros, ty.modifier as u32).unwrap_or(micros),
        )),
        Value::Timestamp(t) => Ok(Value::Timestamp(timestamptz_truncate(t, ty.modifier)?)),
        Value::TimestampTz(t) => Ok(Value::TimestampTz(timestamptz_truncate(t, ty.modifier)?)),
        Value::Interval(interval) if ty.modifier >= 0 => Ok(Value::Interval(Arc::new(
            interval.apply_modifier(ty.modifier)?,
        ))),
        Value::Array(array) if ty.modifier >= 0 || is_char_array(ty) => {
            let Some(element) = ty.element() else {
                return Ok(Value::Array(array));
            };
            let values = array
                .values
                .iter()
                .map(|v| apply_modifier(element, v.clone(), explicit_cast))
                .collect::<Result<_>>()?;
            let dimensions = array.dimensions.clone();
            Ok(Value::Array(Arc::new(Array {
                element: array.element,
                dimensions,
                values,
            })))
        }
        other => Ok(other),
    }
}

fn is_char_array(ty: Type) -> bool {
    ty.oid == 1014
}

fn apply_to_text(ty: Type, text: Arc<str>, explicit_cast: bool) -> Result<Value> {
    let is_char = ty.oid == Type::BPCHAR.oid;
    if ty.oid == Type::NAME.oid {
        let cut = truncate_name(&text);
        return Ok(if cut.len() == text.len() {
            Value::Text(text)
        } else {
            Value::text(cut)
        });
    }
    let mut kept: &str = &text;
    if let Some(length) = ty.char_length() {
        // Fewer bytes than the length cannot be more characters.
        if text.len() > length as usize
            && let Some((end, _)) = text.char_indices().nth(length as usize)
        {
            if !explicit_cast && text[end..].bytes().any(|b| b != b' ') {
                let name = if is_char {
                    "character"
                } else {
                    "character varying"
                };
                bail!(StringTooLong, "value too long for type {name}({length})");
            }
            kept = &text[..end];
        }
    }
    if is_char {
        kept = kept.trim_end_matches(' ');
    }
    Ok(if kept.len() == text.len() {
        Value::Text(text)
    } else {
        Value::text(kept)
    })
}
