//! Functions and operators of arrays.

use super::argument::{Context, array, int4, value};
use super::collection::natural_oid;
use helios_types::array::Dimension;
use helios_types::limits::{ARRAY_DIMENSIONS_MAX, ARRAY_ELEMENTS_MAX};
use helios_types::{Array, Error, Result, Type, Value, bail, error};
use std::sync::Arc;

fn wrap(array: Array) -> Value {
    Value::Array(Arc::new(array))
}

/// The array, or an empty one for NULL, whose element type is that of `element`.
fn array_or_empty(value: &Value, element: &Value) -> Result<Arc<Array>> {
    match value {
        Value::Array(array) => Ok(array.clone()),
        Value::Null => Ok(Arc::new(Array::from_values(
            natural_oid(element),
            Vec::new(),
        ))),
        _ => Err(Error::internal("array function over another type")),
    }
}

pub fn append(args: &[Value], _: Context) -> Result<Value> {
    let element = value(args, 1)?;
    array_or_empty(value(args, 0)?, element)?
        .append(element.clone())
        .map(wrap)
}

pub fn prepend(args: &[Value], _: Context) -> Result<Value> {
    let element = value(args, 0)?;
    array_or_empty(value(args, 1)?, element)?
        .prepend(element.clone())
        .map(wrap)
}

pub fn concat(args: &[Value], _: Context) -> Result<Value> {
    match (value(args, 0)?, value(args, 1)?) {
        (Value::Array(a), Value::Array(b)) => a.concat(b).map(wrap),
        (Value::Null, other) | (other, Value::Null) => Ok(other.clone()),
        _ => Err(Error::internal("array_cat over another type")),
    }
}

fn dimension(args: &[Value]) -> Result<Option<Dimension>> {
    let array = array(args, 0)?;
    let index = usize::try_from(i64::from(int4(args, 1)?) - 1).ok();
    Ok(index.and_then(|i| array.dimensions.get(i)).copied())
}

pub fn length(args: &[Value], _: Context) -> Result<Value> {
    Ok(dimension(args)?.map_or(Value::Null, |d| Value::Int4(d.len as i32)))
}

pub fn lower(args: &[Value], _: Context) -> Result<Value> {
    Ok(dimension(args)?.map_or(Value::Null, |d| Value::Int4(d.lower)))
}

pub fn upper(args: &[Value], _: Context) -> Result<Value> {
    Ok(dimension(args)?.map_or(Value::Null, |d| Value::Int4(d.upper() as i32)))
}

pub fn dimensions(args: &[Value], _: Context) -> Result<Value> {
    Ok(match array(args, 0)?.dimensions.len() {
        0 => Value::Null,
        n => Value::Int4(n as i32),
    })
}

pub fn bounds_text(args: &[Value], _: Context) -> Result<Value> {
    let array = array(args, 0)?;
    if array.dimensions.is_empty() {
        return Ok(Value::Null);
    }
    let text: String = array
        .dimensions
        .iter()
        .map(|d| format!("[{}:{}]", d.lower, d.upper()))
        .collect();
    Ok(Value::from(text))
}

pub fn cardinality(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Int4(array(args, 0)?.len() as i32))
}

fn one_dimensional(array: &Array) -> Result<i32> {
    match array.dimensions.as_slice() {
        [] => Ok(1),
        [d] => Ok(d.lower),
        _ => Err(
            Error::unsupported("searching for elements in multidimensional arrays")
                .with_sqlstate(*b"0A000"),
        ),
    }
}

/// Equality that counts two NULLs as equal, as the search functions do.
fn same(a: &Value, b: &Value) -> bool {
    a == b
}

pub fn position(args: &[Value], _: Context) -> Result<Value> {
    if value(args, 0)?.is_null() {
        return Ok(Value::Null);
    }
    let (array, wanted) = (array(args, 0)?, value(args, 1)?);
    let lower = one_dimensional(array)?;
    let start = match args.get(2) {
        Some(Value::Null) => bail!(NullNotAllowed, "initial position must not be null"),
        Some(v) => v.as_i64().unwrap_or(1),
        None => i64::from(lower),
    };
    let skip = (start - i64::from(lower)).max(0) as usize;
    let found = array.values.iter().skip(skip).position(|v| same(v, wanted));
    Ok(found.map_or(Value::Null, |i| Value::Int4(lower + (i + skip) as i32)))
}

pub fn positions(args: &[Value], _: Context) -> Result<Value> {
    if value(args, 0)?.is_null() {
        return Ok(Value::Null);
    }
    let (array, wanted) = (array(args, 0)?, value(args, 1)?);
    let lower = one_dimensional(array)?;
    let found = array
        .values
        .iter()
        .enumerate()
        .filter(|(_, v)| same(v, wanted))
        .map(|(i, _)| Value::Int4(lower + i as i32))
        .collect();
    Ok(wrap(Array::from_values(Type::INT4.oid, found)))
}

pub fn remove(args: &[Value], _: Context) -> Result<Value> {
    if value(args, 0)?.is_null() {
        return Ok(Value::Null);
    }
    let (array, unwanted) = (array(args, 0)?, value(args, 1)?);
    if array.dimensions.len() > 1 {
        return Err(Error::unsupported(
            "removing elements from multidimensional arrays",
        ));
    }
    let kept: Vec<Value> = array
        .values
        .iter()
        .filter(|v| !same(v, unwanted))
        .cloned()
        .collect();
    let mut result = Array::from_values(array.element, kept);
    if let (Some(new), Some(old)) = (result.dimensions.first_mut(), array.dimensions.first()) {
        new.lower = old.lower;
    }
    Ok(wrap(result))
}

pub fn replace(args: &[Value], _: Context) -> Result<Value> {
    if value(args, 0)?.is_null() {
        return Ok(Value::Null);
    }
    let (array, from, to) = (array(args, 0)?, value(args, 1)?, value(args, 2)?);
    let values = array
        .values
        .iter()
        .map(|v| if same(v, from) { to } else { v }.clone())
        .collect();
    Ok(wrap(Array {
        element: array.element,
        dimensions: array.dimensions.clone(),
        values,
    }))
}

/// `array_fill(value, dimensions [, lower bounds])`
pub fn fill(args: &[Value], types: &[Type], _: Context) -> Result<Value> {
    let list = |index: usize, what: &str| -> Result<Vec<i64>> {
        match value(args, index)? {
            Value::Null => Err(error!(
                NullNotAllowed,
                "dimension array or low bound array cannot be null"
            )),
            Value::Array(a) if a.dimensions.len() > 1 => Err(error!(
                ArraySubscriptError,
                "wrong number of array subscripts"
            )
            .with_detail(format!("{what} array must be one dimensional."))),
            Value::Array(a) => a
                .values
                .iter()
                .map(|v| {
                    v.as_i64()
                        .ok_or_else(|| error!(NullNotAllowed, "dimension values cannot be null"))
                })
                .collect(),
            _ => Err(Error::internal("array_fill over another type")),
        }
    };
    let lengths = list(1, "Dimension")?;
    let lowers = if args.len() > 2 {
        list(2, "Low bound")?
    } else {
        vec![1; lengths.len()]
    };
    if lengths.len() != lowers.len() {
        return Err(
            error!(ArraySubscriptError, "wrong number of array subscripts")
                .with_detail("Low bound array has different size than dimensions array."),
        );
    }
    if lengths.len() > ARRAY_DIMENSIONS_MAX {
        let n = lengths.len();
        bail!(
            LimitExceeded,
            "number of array dimensions ({n}) exceeds the maximum allowed ({ARRAY_DIMENSIONS_MAX})"
        );
    }
    let total = lengths.iter().try_fold(1usize, |n, len| {
        n.checked_mul(usize::try_from(*len).ok()?)
            .filter(|n| *n <= ARRAY_ELEMENTS_MAX)
    });
    let Some(total) = total else {
        bail!(
            LimitExceeded,
            "array size exceeds the maximum allowed ({ARRAY_ELEMENTS_MAX})"
        );
    };
    let element = types
        .first()
        .map_or_else(|| natural_oid(&args[0]), |t| t.oid);
    if total == 0 || lengths.is_empty() {
        return Ok(wrap(Array::from_values(element, Vec::new())));
    }
    let dimensions = lengths
        .iter()
        .zip(&lowers)
        .map(|(len, lower)| Dimension {
            len: *len as u32,
            lower: *lower as i32,
        })
        .collect();
    Ok(wrap(Array {
        element,
        dimensions,
        values: vec![args[0].clone(); total],
    }))
}

/// `@>`: every element of the second stands in the first; NULL equals nothing.
fn contains_all(outer: &Array, inner: &Array) -> bool {
    inner
        .values
        .iter()
        .all(|v| !v.is_null() && outer.values.contains(v))
}

pub fn contains(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Bool(contains_all(array(args, 0)?, array(args, 1)?)))
}

pub fn contained(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Bool(contains_all(array(args, 1)?, array(args, 0)?)))
}

pub fn overlap(args: &[Value], _: Context) -> Result<Value> {
    let (a, b) = (array(args, 0)?, array(args, 1)?);
    Ok(Value::Bool(
        a.values
            .iter()
            .any(|v| !v.is_null() && b.values.contains(v)),
    ))
}

pub fn trim(args: &[Value], _: Context) -> Result<Value> {
    let (array, n) = (array(args, 0)?, int4(args, 1)?);
    let first = array.dimensions.first().map_or(0, |d| d.len as i32);
    if n < 0 || n > first {
        bail!(
            ArraySubscriptError,
            "number of elements to trim must be between 0 and {first}"
        );
    }
    let upper = array.dimensions.first().map_or(0, |d| d.upper()) - i64::from(n);
    Ok(wrap(array.slice(&[(None, i32::try_from(upper).ok())])))
}

pub fn unnest(args: &[Value], _: Context) -> Result<Vec<Vec<Value>>> {
    Ok(array(args, 0)?
        .values
        .iter()
        .map(|v| vec![v.clone()])
        .collect())
}

/// `generate_subscripts(array, dimension [, reverse])`
pub fn subscripts(args: &[Value], _: Context) -> Result<Vec<Vec<Value>>> {
    let Some(d) = dimension(args)? else {
        return Ok(Vec::new());
    };
    let all = (i64::from(d.lower)..=d.upper()).map(|i| vec![Value::Int4(i as i32)]);
    let reverse = matches!(args.get(2), Some(Value::Bool(true)));
    Ok(if reverse {
        all.rev().collect()
    } else {
        all.collect()
    })
}

/// `information_schema._pg_expandarray`: element and number.
pub fn expand(args: &[Value], _: Context) -> Result<Vec<Vec<Value>>> {
    let array = array(args, 0)?;
    Ok(array
        .values
        .iter()
        .enumerate()
        .map(|(i, v)| vec![v.clone(), Value::Int4(i as i32 + 1)])
        .collect())
}
