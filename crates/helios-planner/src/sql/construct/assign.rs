//! Assignment to elements and slices of arrays, as `SET a[2] = 5` means them.
//!
//! Arguments: OID of the element type, the array, the new value, the subscripts. An array of one
//! dimension grows to where the new element stands, with NULLs between; one of several does not.

use super::oid_of;
use helios_types::array::{Array, Dimension};
use helios_types::limits::ARRAY_ELEMENTS_MAX;
use helios_types::{Error, Oid, Result, Value, bail, error};
use std::sync::Arc;

fn base(args: &[Value]) -> Result<(Array, &Value, &[Value])> {
    let [element, array, value, subscripts @ ..] = args else {
        return Err(Error::internal("assignment without arguments"));
    };
    let element: Oid = oid_of(element);
    let array = match array {
        Value::Array(array) => array.as_ref().clone(),
        _ => Array::from_values(element, Vec::new()),
    };
    if subscripts.iter().any(Value::is_null) {
        bail!(
            NullNotAllowed,
            "array subscript in assignment must not be null"
        );
    }
    Ok((array, value, subscripts))
}

fn out_of_range() -> Error {
    error!(ArraySubscriptError, "array subscript out of range")
}

pub(super) fn element(args: &[Value]) -> Result<Value> {
    let (mut array, value, subscripts) = base(args)?;
    let indexes: Vec<i64> = subscripts.iter().filter_map(Value::as_i64).collect();
    if array.dimensions.is_empty() {
        array.dimensions = indexes
            .iter()
            .map(|index| {
                Ok(Dimension {
                    len: 1,
                    lower: i32::try_from(*index).map_err(|_| out_of_range())?,
                })
            })
            .collect::<Result<_>>()?;
        array.values = vec![value.clone()];
        return Ok(Value::Array(Arc::new(array)));
    }
    if indexes.len() != array.dimensions.len() {
        bail!(ArraySubscriptError, "wrong number of array subscripts");
    }
    if let [index] = indexes.as_slice() {
        widen(&mut array, *index, *index)?;
    }
    let mut offset = 0;
    for (dimension, index) in array.dimensions.iter().zip(&indexes) {
        let place = usize::try_from(index - i64::from(dimension.lower))
            .ok()
            .filter(|place| *place < dimension.len as usize)
            .ok_or_else(out_of_range)?;
        offset = offset * dimension.len as usize + place;
    }
    *array.values.get_mut(offset).ok_or_else(out_of_range)? = value.clone();
    Ok(Value::Array(Arc::new(array)))
}

pub(super) fn slice(args: &[Value]) -> Result<Value> {
    let (mut array, value, subscripts) = base(args)?;
    let [Some(lower), Some(upper)] = [
        subscripts.first().and_then(Value::as_i64),
        subscripts.get(1).and_then(Value::as_i64),
    ] else {
        return Err(Error::internal("slice without bounds"));
    };
    // Nothing is assigned from NULL.
    let Value::Array(source) = value else {
        return Ok(args.get(1).cloned().unwrap_or_default());
    };
    if lower > upper {
        bail!(
            ArraySubscriptError,
            "upper bound cannot be less than lower bound"
        );
    }
    if array.dimensions.len() > 1 {
        bail!(ArraySubscriptError, "wrong number of array subscripts");
    }
    let count = usize::try_from(upper - lower + 1).map_err(|_| out_of_range())?;
    if source.values.len() < count {
        bail!(ArraySubscriptError, "source array too small");
    }
    if array.dimensions.is_empty() {
        array.dimensions = vec![Dimension {
            len: 0,
            lower: i32::try_from(lower).map_err(|_| out_of_range())?,
        }];
    }
    widen(&mut array, lower, upper)?;
    let first = array
        .dimensions
        .first()
        .map_or(0, |d| lower - i64::from(d.lower));
    let first = usize::try_from(first).map_err(|_| out_of_range())?;
    for (place, new) in array
        .values
        .iter_mut()
        .skip(first)
        .zip(&source.values)
        .take(count)
    {
        *place = new.clone();
    }
    Ok(Value::Array(Arc::new(array)))
}

/// Makes the one dimension reach from `lower` to `upper` at least, with NULLs in what is new.
fn widen(array: &mut Array, lower: i64, upper: i64) -> Result<()> {
    let [dimension] = array.dimensions.as_mut_slice() else {
        return Err(out_of_range());
    };
    let first = i64::from(dimension.lower).min(lower);
    let end = (i64::from(dimension.lower) + i64::from(dimension.len)).max(upper + 1);
    let len = usize::try_from(end - first)
        .ok()
        .filter(|len| *len <= ARRAY_ELEMENTS_MAX)
        .ok_or_else(|| {
            error!(
                LimitExceeded,
                "array size exceeds the maximum allowed ({ARRAY_ELEMENTS_MAX})"
            )
        })?;
    let before = usize::try_from(i64::from(dimension.lower) - first).map_err(|_| out_of_range())?;
    array
        .values
        .splice(0..0, std::iter::repeat_n(Value::Null, before));
    array.values.resize(len, Value::Null);
    dimension.len = u32::try_from(len).map_err(|_| out_of_range())?;
    dimension.lower = i32::try_from(first).map_err(|_| out_of_range())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(values: &[i32]) -> Value {
        let values = values.iter().map(|v| Value::Int4(*v)).collect();
        Value::Array(Arc::new(Array::from_values(23, values)))
    }

    fn shown(value: &Value) -> String {
        let ty = helios_types::Type::INT4
            .array_of()
            .expect("int4 has an array type");
        helios_types::text::to_text(ty, value, &helios_types::text::TextContext::default())
    }

    #[test]
    fn an_array_of_one_dimension_grows_to_the_assigned_element() {
        let set = |array: Value, index: i32| {
            let args = [Value::Oid(23), array, Value::Int4(9), Value::Int4(index)];
            element(&args).map(|v| shown(&v))
        };
        assert_eq!(set(ints(&[1, 2]), 1).unwrap(), "{9,2}");
        assert_eq!(set(ints(&[1, 2]), 4).unwrap(), "{1,2,NULL,9}");
        assert_eq!(set(ints(&[1, 2]), -1).unwrap(), "[-1:2]={9,NULL,1,2}");
        assert_eq!(set(Value::Null, 3).unwrap(), "[3:3]={9}");
        assert!(set(ints(&[1]), i32::MAX).is_err());
    }

    #[test]
    fn a_slice_takes_as_many_elements_as_it_is_long() {
        let set = |lower: i32, upper: i32, source: &[i32]| {
            let bounds = [Value::Int4(lower), Value::Int4(upper)];
            let mut args = vec![Value::Oid(23), ints(&[1, 2, 3]), ints(source)];
            args.extend(bounds);
            slice(&args).map(|v| shown(&v))
        };
        assert_eq!(set(2, 3, &[8, 9]).unwrap(), "{1,8,9}");
        assert_eq!(set(3, 4, &[8, 9, 7]).unwrap(), "{1,2,8,9}");
        assert!(set(2, 3, &[8]).is_err());
        assert!(set(3, 2, &[8]).is_err());
    }
}
