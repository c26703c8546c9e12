//! Functions and operators of json and jsonb.
//!
//! jsonb works on its BSON bytes. json works on its text, which keeps its spelling; where a
//! function would have to rewrite it, it goes through jsonb's parser first.

use super::argument::{Context, array, boolean, jsonb, text, text_context, value};
use super::collection::object_key;
use super::string::text_list;
use helios_types::json::{
    ArrayBuilder, Kind, ObjectBuilder, raw_elements, raw_entries, raw_get, raw_index, raw_kind,
    raw_path, raw_text, value_to_json_text, value_to_jsonb, write_string,
};
use helios_types::{Error, Jsonb, JsonbRef, Result, Type, Value, bail, error};

type Rows = Vec<Vec<Value>>;

fn optional(json: Option<JsonbRef<'_>>) -> Value {
    json.map_or(Value::Null, |j| Value::Jsonb(j.to_jsonb()))
}

fn optional_text(json: Option<JsonbRef<'_>>) -> Value {
    json.and_then(JsonbRef::to_text)
        .map_or(Value::Null, Value::text)
}

fn raw(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::text)
}

fn raw_as_text(json: Option<&str>) -> Value {
    json.and_then(raw_text).map_or(Value::Null, Value::text)
}

// --- access

fn field_of(args: &[Value]) -> Result<Option<JsonbRef<'_>>> {
    Ok(match value(args, 1)? {
        Value::Int4(index) => jsonb(args, 0)?.get_index(i64::from(*index)),
        _ => jsonb(args, 0)?.get(text(args, 1)?),
    })
}

pub fn jsonb_field(args: &[Value], _: Context) -> Result<Value> {
    Ok(optional(field_of(args)?))
}

pub fn jsonb_field_text(args: &[Value], _: Context) -> Result<Value> {
    Ok(optional_text(field_of(args)?))
}

fn raw_field(args: &[Value]) -> Result<Option<&str>> {
    let json = text(args, 0)?;
    Ok(match value(args, 1)? {
        Value::Int4(index) => raw_index(json, i64::from(*index)),
        _ => raw_get(json, text(args, 1)?),
    })
}

pub fn json_field(args: &[Value], _: Context) -> Result<Value> {
    Ok(raw(raw_field(args)?))
}

pub fn json_field_text(args: &[Value], _: Context) -> Result<Value> {
    Ok(raw_as_text(raw_field(args)?))
}

/// The path of `#>`, an array, or the variadic arguments of `jsonb_extract_path`. A NULL step
/// leads nowhere.
fn path(args: &[Value]) -> Result<Option<Vec<&str>>> {
    match value(args, 1)? {
        Value::Array(steps) => Ok(steps.values.iter().map(Value::as_str).collect()),
        _ => Ok(args[1..].iter().map(Value::as_str).collect()),
    }
}

pub fn jsonb_path(args: &[Value], _: Context) -> Result<Value> {
    Ok(match path(args)? {
        Some(path) => optional(jsonb(args, 0)?.get_path(path)),
        None => Value::Null,
    })
}

pub fn jsonb_path_text(args: &[Value], _: Context) -> Result<Value> {
    Ok(match path(args)? {
        Some(path) => optional_text(jsonb(args, 0)?.get_path(path)),
        None => Value::Null,
    })
}

pub fn json_path(args: &[Value], _: Context) -> Result<Value> {
    Ok(match path(args)? {
        Some(path) => raw(raw_path(text(args, 0)?, path)),
        None => Value::Null,
    })
}

pub fn json_path_text(args: &[Value], _: Context) -> Result<Value> {
    Ok(match path(args)? {
        Some(path) => raw_as_text(raw_path(text(args, 0)?, path)),
        None => Value::Null,
    })
}

// --- tests

pub fn contains(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Bool(jsonb(args, 0)?.contains(jsonb(args, 1)?)))
}

pub fn contained(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Bool(jsonb(args, 1)?.contains(jsonb(args, 0)?)))
}

pub fn exists(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Bool(jsonb(args, 0)?.has_key(text(args, 1)?)))
}

pub fn exists_any(args: &[Value], _: Context) -> Result<Value> {
    let json = jsonb(args, 0)?;
    Ok(Value::Bool(
        text_list(args, 1)?.into_iter().any(|key| json.has_key(key)),
    ))
}

pub fn exists_all(args: &[Value], _: Context) -> Result<Value> {
    let json = jsonb(args, 0)?;
    Ok(Value::Bool(
        text_list(args, 1)?.into_iter().all(|key| json.has_key(key)),
    ))
}

/// The kind of either type.
fn kind(args: &[Value]) -> Result<Kind> {
    Ok(match value(args, 0)? {
        Value::Jsonb(json) => json.as_ref().kind(),
        _ => raw_kind(text(args, 0)?),
    })
}

pub fn type_of(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::text(kind(args)?.name()))
}

pub fn array_length(args: &[Value], _: Context) -> Result<Value> {
    let length = match (kind(args)?, value(args, 0)?) {
        (Kind::Array, Value::Jsonb(json)) => json.as_ref().len(),
        (Kind::Array, _) => raw_elements(text(args, 0)?).count(),
        (Kind::Object, _) => bail!(
            InvalidParameterValue,
            "cannot get array length of a non-array"
        ),
        _ => bail!(InvalidParameterValue, "cannot get array length of a scalar"),
    };
    Ok(Value::Int4(length as i32))
}

// --- changes

fn wrap(json: Jsonb) -> Value {
    Value::Jsonb(json)
}

pub fn concat(args: &[Value], _: Context) -> Result<Value> {
    jsonb(args, 0)?.concat(jsonb(args, 1)?).map(wrap)
}

pub fn delete(args: &[Value], _: Context) -> Result<Value> {
    let json = jsonb(args, 0)?;
    match value(args, 1)? {
        Value::Array(_) => json.delete_keys(&text_list(args, 1)?),
        Value::Text(key) => json.delete_key(key),
        other => json.delete_index(other.as_i64().unwrap_or(0)),
    }
    .map(wrap)
}

/// The steps of a path of which none may be NULL.
fn checked_path(args: &[Value]) -> Result<Vec<&str>> {
    let steps = array(args, 1)?;
    let mut path = Vec::with_capacity(steps.len());
    for (i, step) in steps.values.iter().enumerate() {
        match step.as_str() {
            Some(step) => path.push(step),
            None => bail!(NullNotAllowed, "path element at position {} is null", i + 1),
        }
    }
    Ok(path)
}

pub fn delete_path(args: &[Value], _: Context) -> Result<Value> {
    jsonb(args, 0)?.delete_path(&checked_path(args)?).map(wrap)
}

pub fn set(args: &[Value], _: Context) -> Result<Value> {
    let create = args.len() < 4 || boolean(args, 3)?;
    jsonb(args, 0)?
        .set_path(&checked_path(args)?, jsonb(args, 2)?, create)
        .map(wrap)
}

/// `jsonb_set_lax`: what a NULL value means is the last argument.
pub fn set_lax(args: &[Value], context: Context) -> Result<Value> {
    if args
        .iter()
        .enumerate()
        .any(|(i, v)| v.is_null() && !matches!(i, 2 | 4))
    {
        return Ok(Value::Null);
    }
    if !value(args, 2)?.is_null() {
        return set(&args[..args.len().min(4)], context);
    }
    let treatment = match args.get(4) {
        None => "use_json_null",
        Some(Value::Null) => bail!(
            InvalidParameterValue,
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\""
        ),
        Some(_) => text(args, 4)?,
    };
    match treatment {
        "use_json_null" => {
            let create = args.len() < 4 || boolean(args, 3)?;
            jsonb(args, 0)?
                .set_path(&checked_path(args)?, JsonbRef::NULL, create)
                .map(wrap)
        }
        "delete_key" => delete_path(&args[..2], context),
        "return_target" => Ok(args[0].clone()),
        "raise_exception" => Err(error!(NullNotAllowed, "JSON value must not be null")
            .with_detail(
                "Exception was raised because null_value_treatment is \"raise_exception\".",
            )),
        _ => bail!(
            InvalidParameterValue,
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\""
        ),
    }
}

pub fn insert(args: &[Value], _: Context) -> Result<Value> {
    let after = args.len() > 3 && boolean(args, 3)?;
    jsonb(args, 0)?
        .insert_path(&checked_path(args)?, jsonb(args, 2)?, after)
        .map(wrap)
}

pub fn pretty(args: &[Value], _: Context) -> Result<Value> {
    let mut out = String::new();
    jsonb(args, 0)?
        .write_pretty(&mut out)
        .map_err(Error::internal)?;
    Ok(Value::from(out))
}

pub fn jsonb_strip_nulls(args: &[Value], _: Context) -> Result<Value> {
    jsonb(args, 0)?.strip_nulls().map(wrap)
}

pub fn json_strip_nulls(args: &[Value], _: Context) -> Result<Value> {
    fn strip(json: &str, out: &mut String) {
        match raw_kind(json) {
            Kind::Object => {
                out.push('{');
                let mut empty = true;
                for (name, member) in raw_entries(json).filter(|(_, v)| raw_kind(v) != Kind::Null) {
                    if !empty {
                        out.push(',');
                    }
                    empty = false;
                    let _ = write_string(out, &name);
                    out.push(':');
                    strip(member, out);
                }
                out.push('}');
            }
            Kind::Array => {
                out.push('[');
                for (i, item) in raw_elements(json).enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    strip(item, out);
                }
                out.push(']');
            }
            _ => out.push_str(json.trim()),
        }
    }
    let mut out = String::new();
    strip(text(args, 0)?, &mut out);
    Ok(Value::from(out))
}

// --- construction

fn type_at(types: &[Type], index: usize) -> Type {
    types
        .get(index)
        .or(types.last())
        .copied()
        .unwrap_or(Type::TEXT)
}

pub fn to_jsonb(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    value_to_jsonb(type_at(types, 0), value(args, 0)?, &text_context(context)).map(wrap)
}

/// `to_json`, `array_to_json`, `row_to_json`.
pub fn to_json(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    let mut out = String::new();
    value_to_json_text(
        &mut out,
        type_at(types, 0),
        value(args, 0)?,
        &text_context(context),
    )?;
    Ok(Value::from(out))
}

pub fn jsonb_build_array(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    let text_context = text_context(context);
    let mut out = ArrayBuilder::new();
    for (i, v) in args.iter().enumerate() {
        out.push(value_to_jsonb(type_at(types, i), v, &text_context)?.as_ref());
    }
    Ok(wrap(out.finish()))
}

pub fn json_build_array(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    let text_context = text_context(context);
    let mut out = String::from("[");
    for (i, v) in args.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        value_to_json_text(&mut out, type_at(types, i), v, &text_context)?;
    }
    out.push(']');
    Ok(Value::from(out))
}

fn check_even(args: &[Value], function: &str) -> Result<()> {
    if args.len() % 2 == 1 {
        return Err(error!(
            InvalidParameterValue,
            "argument list must have even number of elements"
        )
        .with_hint(format!(
            "The arguments of {function}() must consist of alternating keys and values."
        )));
    }
    Ok(())
}

fn key_error(error: Error, position: usize) -> Error {
    if error.message() == "field name must not be null" {
        return error!(InvalidParameterValue, "argument {position} cannot be null")
            .with_hint("Object keys should be text.");
    }
    error
}

pub fn jsonb_build_object(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    check_even(args, "jsonb_build_object")?;
    let text_context = text_context(context);
    let mut out = ObjectBuilder::new();
    for (i, pair) in args.chunks_exact(2).enumerate() {
        let key =
            object_key(type_at(types, 2 * i), &pair[0], context).map_err(|e| match pair[0] {
                Value::Null => error!(
                    InvalidParameterValue,
                    "argument {}: key must not be null",
                    2 * i + 1
                ),
                _ => e,
            })?;
        let json = value_to_jsonb(type_at(types, 2 * i + 1), &pair[1], &text_context)?;
        out.push(&key, json.as_ref());
    }
    Ok(wrap(out.finish()))
}

pub fn json_build_object(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    check_even(args, "json_build_object")?;
    let text_context = text_context(context);
    let mut out = String::from("{");
    for (i, pair) in args.chunks_exact(2).enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        let key = object_key(type_at(types, 2 * i), &pair[0], context)
            .map_err(|e| key_error(e, 2 * i + 1))?;
        write_string(&mut out, &key).map_err(Error::internal)?;
        out.push_str(" : ");
        value_to_json_text(&mut out, type_at(types, 2 * i + 1), &pair[1], &text_context)?;
    }
    out.push('}');
    Ok(Value::from(out))
}

/// The pairs of `jsonb_object(text[])`, `jsonb_object(keys, values)`.
fn text_pairs(args: &[Value]) -> Result<Vec<(String, Option<String>)>> {
    let owned = |v: &Value| v.as_str().map(str::to_owned);
    let first = array(args, 0)?;
    let flat: Vec<(Option<String>, Option<String>)> = if args.len() > 1 {
        let second = array(args, 1)?;
        if first.dimensions.len() > 1 || second.dimensions.len() > 1 {
            bail!(ArraySubscriptError, "wrong number of array subscripts");
        }
        if first.len() != second.len() {
            bail!(ArraySubscriptError, "mismatched array dimensions");
        }
        first
            .values
            .iter()
            .zip(&second.values)
            .map(|(k, v)| (owned(k), owned(v)))
            .collect()
    } else {
        match first.dimensions.as_slice() {
            [] => Vec::new(),
            [d] if d.len % 2 == 1 => {
                bail!(
                    ArraySubscriptError,
                    "array must have even number of elements"
                )
            }
            [_] => first
                .values
                .chunks_exact(2)
                .map(|p| (owned(&p[0]), owned(&p[1])))
                .collect(),
            [_, d] if d.len != 2 => {
                bail!(ArraySubscriptError, "array must have two columns")
            }
            [_, _] => first
                .values
                .chunks_exact(2)
                .map(|p| (owned(&p[0]), owned(&p[1])))
                .collect(),
            _ => bail!(ArraySubscriptError, "wrong number of array subscripts"),
        }
    };
    flat.into_iter()
        .map(|(k, v)| match k {
            Some(k) => Ok((k, v)),
            None => Err(error!(
                NullNotAllowed,
                "null value not allowed for object key"
            )),
        })
        .collect()
}

pub fn jsonb_object(args: &[Value], _: Context) -> Result<Value> {
    let mut out = ObjectBuilder::new();
    for (key, v) in text_pairs(args)? {
        let json = v.map_or_else(Jsonb::null, |v| Jsonb::from_text(&v));
        out.push(&key, json.as_ref());
    }
    Ok(wrap(out.finish()))
}

pub fn json_object(args: &[Value], _: Context) -> Result<Value> {
    let mut out = String::from("{");
    for (i, (key, v)) in text_pairs(args)?.into_iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_string(&mut out, &key).map_err(Error::internal)?;
        out.push_str(" : ");
        match v {
            Some(v) => write_string(&mut out, &v).map_err(Error::internal)?,
            None => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(Value::from(out))
}

// --- sets

fn need(args: &[Value], wanted: Kind, function: &str) -> Result<()> {
    let found = kind(args)?;
    if found == wanted {
        return Ok(());
    }
    Err(match (wanted, found) {
        (Kind::Object, Kind::Array) if function.ends_with("object_keys") => {
            error!(InvalidParameterValue, "cannot call {function} on an array")
        }
        (Kind::Object, _) if function.ends_with("object_keys") => {
            error!(InvalidParameterValue, "cannot call {function} on a scalar")
        }
        (Kind::Object, _) => error!(
            InvalidParameterValue,
            "cannot call {function} on a non-object"
        ),
        (_, Kind::Object) if function.starts_with("jsonb") => {
            error!(
                InvalidParameterValue,
                "cannot extract elements from an object"
            )
        }
        (_, Kind::Object) => error!(
            InvalidParameterValue,
            "cannot call {function} on a non-array"
        ),
        _ if function.starts_with("jsonb") => {
            error!(
                InvalidParameterValue,
                "cannot extract elements from a scalar"
            )
        }
        _ => error!(InvalidParameterValue, "cannot call {function} on a scalar"),
    })
}

/// The distinct members of an object in jsonb's order or in the document's.
fn members<'a>(json: JsonbRef<'a>) -> Result<Vec<(&'a str, JsonbRef<'a>)>> {
    json.entries().collect()
}

pub fn jsonb_object_keys(args: &[Value], _: Context) -> Result<Rows> {
    need(args, Kind::Object, "jsonb_object_keys")?;
    Ok(members(jsonb(args, 0)?)?
        .into_iter()
        .map(|(k, _)| vec![Value::text(k)])
        .collect())
}

pub fn json_object_keys(args: &[Value], _: Context) -> Result<Rows> {
    need(args, Kind::Object, "json_object_keys")?;
    Ok(raw_entries(text(args, 0)?)
        .map(|(k, _)| vec![Value::text(k)])
        .collect())
}

pub fn jsonb_each(args: &[Value], _: Context) -> Result<Rows> {
    need(args, Kind::Object, "jsonb_each")?;
    let members = members(jsonb(args, 0)?)?;
    Ok(members
        .into_iter()
        .map(|(k, v)| vec![Value::text(k), optional(Some(v))])
        .collect())
}

pub fn jsonb_each_text(args: &[Value], _: Context) -> Result<Rows> {
    need(args, Kind::Object, "jsonb_each_text")?;
    let members = members(jsonb(args, 0)?)?;
    Ok(members
        .into_iter()
        .map(|(k, v)| vec![Value::text(k), optional_text(Some(v))])
        .collect())
}

pub fn json_each(args: &[Value], _: Context) -> Result<Rows> {
    need(args, Kind::Object, "json_each")?;
    Ok(raw_entries(text(args, 0)?)
        .map(|(k, v)| vec![Value::text(k), raw(Some(v))])
        .collect())
}

pub fn json_each_text(args: &[Value], _: Context) -> Result<Rows> {
    need(args, Kind::Object, "json_each_text")?;
    Ok(raw_entries(text(args, 0)?)
        .map(|(k, v)| vec![Value::text(k), raw_as_text(Some(v))])
        .collect())
}

pub fn jsonb_array_elements(args: &[Value], _: Context) -> Result<Rows> {
    need(args, Kind::Array, "jsonb_array_elements")?;
    jsonb(args, 0)?
        .elements()
        .map(|v| Ok(vec![optional(Some(v?))]))
        .collect()
}

pub fn jsonb_array_elements_text(args: &[Value], _: Context) -> Result<Rows> {
    need(args, Kind::Array, "jsonb_array_elements_text")?;
    jsonb(args, 0)?
        .elements()
        .map(|v| Ok(vec![optional_text(Some(v?))]))
        .collect()
}

pub fn json_array_elements(args: &[Value], _: Context) -> Result<Rows> {
    need(args, Kind::Array, "json_array_elements")?;
    Ok(raw_elements(text(args, 0)?)
        .map(|v| vec![raw(Some(v))])
        .collect())
}

pub fn json_array_elements_text(args: &[Value], _: Context) -> Result<Rows> {
    need(args, Kind::Array, "json_array_elements_text")?;
    Ok(raw_elements(text(args, 0)?)
        .map(|v| vec![raw_as_text(Some(v))])
        .collect())
}
