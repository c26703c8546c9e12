//! Aggregates that collect: arrays, strings, JSON.

use super::argument::{text_context, value};
use super::{Accumulator, FunctionContext};
use helios_types::array::Dimension;
use helios_types::json::{ArrayBuilder, ObjectBuilder, value_to_json_text, value_to_jsonb};
use helios_types::limits::{ARRAY_ELEMENTS_MAX, VALUE_BYTES_MAX};
use helios_types::text::to_text;
use helios_types::{Array, Error, ErrorKind, Oid, Result, Type, Value, bail, error};
use std::sync::Arc;

type Boxed = Box<dyn Accumulator>;

/// The type that a value has when nothing else says so.
pub(super) fn natural_oid(value: &Value) -> Oid {
    match value {
        Value::Bool(_) => Type::BOOL,
        Value::Char(_) => Type::CHAR,
        Value::Int2(_) => Type::INT2,
        Value::Int4(_) => Type::INT4,
        Value::Int8(_) => Type::INT8,
        Value::Oid(_) => Type::OID,
        Value::Float4(_) => Type::FLOAT4,
        Value::Float8(_) => Type::FLOAT8,
        Value::Numeric(_) => Type::NUMERIC,
        Value::Bytea(_) => Type::BYTEA,
        Value::Date(_) => Type::DATE,
        Value::Time(_) => Type::TIME,
        Value::Timestamp(_) => Type::TIMESTAMP,
        Value::TimestampTz(_) => Type::TIMESTAMPTZ,
        Value::Interval(_) => Type::INTERVAL,
        Value::Uuid(_) => Type::UUID,
        Value::Jsonb(_) => Type::JSONB,
        Value::Record(_) => Type::RECORD,
        Value::Null | Value::Text(_) | Value::Array(_) => Type::TEXT,
    }
    .oid
}

struct ArrayAgg {
    element: Oid,
    values: Vec<Value>,
    /// Shape of the input when it is itself an array.
    inner: Option<Vec<Dimension>>,
    count: u32,
}

impl Accumulator for ArrayAgg {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        let v = value(args, 0)?;
        self.count += 1;
        if self.values.len() >= ARRAY_ELEMENTS_MAX {
            bail!(
                LimitExceeded,
                "array size exceeds the maximum allowed ({ARRAY_ELEMENTS_MAX})"
            );
        }
        let Some(inner) = &mut self.inner else {
            self.values.push(v.clone());
            return Ok(());
        };
        let Value::Array(array) = v else {
            bail!(NullNotAllowed, "cannot accumulate null arrays");
        };
        if array.is_empty() {
            bail!(ArraySubscriptError, "cannot accumulate empty arrays");
        }
        if self.count == 1 {
            *inner = array.dimensions.clone();
        } else if inner
            .iter()
            .map(|d| d.len)
            .ne(array.dimensions.iter().map(|d| d.len))
        {
            bail!(
                ArraySubscriptError,
                "cannot accumulate arrays of different dimensionality"
            );
        }
        self.values.extend_from_slice(&array.values);
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        if self.count == 0 {
            return Ok(Value::Null);
        }
        let mut dimensions = vec![Dimension {
            len: self.count,
            lower: 1,
        }];
        dimensions.extend(self.inner.iter().flatten());
        let values = self.values.clone();
        Ok(Value::Array(Arc::new(Array {
            element: self.element,
            dimensions,
            values,
        })))
    }
}

pub fn array_agg(types: &[Type]) -> Boxed {
    let ty = types.first().copied().unwrap_or(Type::TEXT);
    let (element, inner) = match ty.element() {
        Some(element) => (element.oid, Some(Vec::new())),
        None => (ty.oid, None),
    };
    Box::new(ArrayAgg {
        element,
        values: Vec::new(),
        inner,
        count: 0,
    })
}

/// `string_agg` of text and bytea: the delimiter stands before each value but the first.
struct StringAgg {
    bytes: Vec<u8>,
    seen: bool,
    binary: bool,
}

fn bytes_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Text(v) => Some(v.as_bytes()),
        Value::Bytea(v) => Some(v),
        _ => None,
    }
}

impl Accumulator for StringAgg {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        let Some(v) = bytes_of(value(args, 0)?) else {
            return Ok(());
        };
        if self.seen
            && let Some(delimiter) = args.get(1).and_then(bytes_of)
        {
            self.bytes.extend_from_slice(delimiter);
        }
        self.seen = true;
        self.bytes.extend_from_slice(v);
        if self.bytes.len() > VALUE_BYTES_MAX {
            bail!(LimitExceeded, "string is too long");
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        Ok(match (self.seen, self.binary) {
            (false, _) => Value::Null,
            (true, true) => Value::bytea(&self.bytes),
            (true, false) => {
                Value::text(std::str::from_utf8(&self.bytes).map_err(Error::internal)?)
            }
        })
    }
}

pub fn string_agg(types: &[Type]) -> Boxed {
    let binary = types.first().is_some_and(|t| t.oid == Type::BYTEA.oid);
    Box::new(StringAgg {
        bytes: Vec::new(),
        seen: false,
        binary,
    })
}

struct JsonbAgg {
    ty: Type,
    array: ArrayBuilder,
}

impl Accumulator for JsonbAgg {
    fn update(&mut self, args: &[Value], context: &mut dyn FunctionContext) -> Result<()> {
        let json = value_to_jsonb(self.ty, value(args, 0)?, &text_context(context))?;
        self.array.push(json.as_ref());
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        if self.array.is_empty() {
            return Ok(Value::Null);
        }
        Ok(Value::Jsonb(self.array.snapshot()))
    }
}

pub fn jsonb_agg(types: &[Type]) -> Boxed {
    let ty = types.first().copied().unwrap_or(Type::TEXT);
    Box::new(JsonbAgg {
        ty,
        array: ArrayBuilder::new(),
    })
}

/// `json_agg` keeps the spelling of json values and puts a blank after each comma.
struct JsonAgg {
    ty: Type,
    text: String,
}

impl Accumulator for JsonAgg {
    fn update(&mut self, args: &[Value], context: &mut dyn FunctionContext) -> Result<()> {
        // A whole row comes as JSON already, and with a flag that says what it was.
        let is_composite = matches!(args.first(), Some(Value::Array(_) | Value::Record(_)))
            || matches!(args.get(1), Some(Value::Bool(true)));
        self.text
            .push_str(match (self.text.is_empty(), is_composite) {
                (true, _) => "[",
                (false, true) => ", \n ",
                (false, false) => ", ",
            });
        value_to_json_text(
            &mut self.text,
            self.ty,
            value(args, 0)?,
            &text_context(context),
        )
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        if self.text.is_empty() {
            return Ok(Value::Null);
        }
        Ok(Value::from(format!("{}]", self.text)))
    }
}

pub fn json_agg(types: &[Type]) -> Boxed {
    let ty = types.first().copied().unwrap_or(Type::TEXT);
    Box::new(JsonAgg {
        ty,
        text: String::new(),
    })
}

/// The key of an object aggregate as text.
pub(super) fn object_key(ty: Type, key: &Value, context: &dyn FunctionContext) -> Result<String> {
    match key {
        Value::Null => Err(
            Error::new(ErrorKind::NullNotAllowed, "field name must not be null")
                .with_sqlstate(*b"22023"),
        ),
        Value::Text(v) => Ok(v.to_string()),
        Value::Array(_) | Value::Record(_) | Value::Jsonb(_) => Err(error!(
            InvalidParameterValue,
            "key value must be scalar, not array, composite, or json"
        )),
        other => Ok(to_text(ty, other, &text_context(context))),
    }
}

#[derive(Default)]
struct JsonbObjectAgg {
    key: Option<Type>,
    value: Option<Type>,
    entries: Vec<(String, helios_types::Jsonb)>,
}

impl Accumulator for JsonbObjectAgg {
    fn update(&mut self, args: &[Value], context: &mut dyn FunctionContext) -> Result<()> {
        let key = object_key(self.key.unwrap_or(Type::TEXT), value(args, 0)?, context)?;
        let ty = self.value.unwrap_or(Type::TEXT);
        let json = value_to_jsonb(ty, value(args, 1)?, &text_context(context))?;
        self.entries.push((key, json));
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        if self.entries.is_empty() {
            return Ok(Value::Null);
        }
        let mut object = ObjectBuilder::new();
        for (key, json) in &self.entries {
            object.push(key, json.as_ref());
        }
        Ok(Value::Jsonb(object.finish()))
    }
}

pub fn jsonb_object_agg(types: &[Type]) -> Boxed {
    Box::new(JsonbObjectAgg {
        key: types.first().copied(),
        value: types.get(1).copied(),
        entries: Vec::new(),
    })
}

struct JsonObjectAgg {
    key: Type,
    value: Type,
    text: String,
}

impl Accumulator for JsonObjectAgg {
    fn update(&mut self, args: &[Value], context: &mut dyn FunctionContext) -> Result<()> {
        let key = object_key(self.key, value(args, 0)?, context)?;
        self.text
            .push_str(if self.text.is_empty() { "{ " } else { ", " });
        helios_types::json::write_string(&mut self.text, &key).map_err(Error::internal)?;
        self.text.push_str(" : ");
        value_to_json_text(
            &mut self.text,
            self.value,
            value(args, 1)?,
            &text_context(context),
        )
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        if self.text.is_empty() {
            return Ok(Value::Null);
        }
        Ok(Value::from(format!("{} }}", self.text)))
    }
}

pub fn json_object_agg(types: &[Type]) -> Boxed {
    let ty = |i: usize| types.get(i).copied().unwrap_or(Type::TEXT);
    Box::new(JsonObjectAgg {
        key: ty(0),
        value: ty(1),
        text: String::new(),
    })
}
