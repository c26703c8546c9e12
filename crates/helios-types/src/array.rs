//! PostgreSQL's array: a rectangular block of values in row-major order.
//!
//! Each dimension has its own lower bound, one unless said otherwise. Reading outside the bounds
//! gives NULL, not an error.

use crate::limits::{ARRAY_DIMENSIONS_MAX, ARRAY_ELEMENTS_MAX};
use crate::types::Oid;
use crate::value::{Value, compare};
use crate::{Error, Result, bail, error};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Extent of one dimension: `len` elements numbered from `lower`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimension {
    pub len: u32,
    pub lower: i32,
}

impl Dimension {
    pub fn upper(&self) -> i64 {
        i64::from(self.lower) + i64::from(self.len) - 1
    }

    /// The position of a subscript from zero.
    fn position(&self, subscript: i32) -> Option<usize> {
        let offset = i64::from(subscript) - i64::from(self.lower);
        (0..i64::from(self.len))
            .contains(&offset)
            .then_some(offset as usize)
    }
}

/// An array value. No dimensions means the empty array.
#[derive(Clone, Debug)]
pub struct Array {
    pub element: Oid,
    pub dimensions: Vec<Dimension>,
    pub values: Vec<Value>,
}

fn incompatible(detail: impl Into<String>) -> Error {
    error!(
        ArraySubscriptError,
        "cannot concatenate incompatible arrays"
    )
    .with_detail(detail)
}

fn too_large() -> Error {
    error!(
        LimitExceeded,
        "array size exceeds the maximum allowed ({ARRAY_ELEMENTS_MAX})"
    )
}

impl Array {
    /// A one-dimensional array numbered from one; empty when `values` is.
    pub fn from_values(element: Oid, values: Vec<Value>) -> Self {
        let dimensions = if values.is_empty() {
            Vec::new()
        } else {
            vec![Dimension {
                len: values.len() as u32,
                lower: 1,
            }]
        };
        Array {
            element,
            dimensions,
            values,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// The element at these subscripts; NULL outside the bounds or with another number of them.
    pub fn get(&self, subscripts: &[i32]) -> Value {
        if subscripts.len() != self.dimensions.len() || subscripts.is_empty() {
            return Value::Null;
        }
        self.position(subscripts)
            .and_then(|i| self.values.get(i))
            .cloned()
            .unwrap_or(Value::Null)
    }

    fn position(&self, subscripts: &[i32]) -> Option<usize> {
        self.dimensions
            .iter()
            .zip(subscripts)
            .try_fold(0, |at, (d, s)| Some(at * d.len as usize + d.position(*s)?))
    }

    /// `a[l:u, …]`: missing bounds are the dimension's own, missing dimensions whole. The result
    /// is numbered from one.
    pub fn slice(&self, bounds: &[(Option<i32>, Option<i32>)]) -> Array {
        let empty = Array::from_values(self.element, Vec::new());
        if self.dimensions.is_empty() || bounds.len() > self.dimensions.len() {
            return empty;
        }
        let mut ranges = Vec::with_capacity(self.dimensions.len());
        for (i, dimension) in self.dimensions.iter().enumerate() {
            let (lower, upper) = bounds.get(i).copied().unwrap_or((None, None));
            let first = lower.map_or(i64::from(dimension.lower), i64::from);
            let last = upper.map_or(dimension.upper(), i64::from);
            let first = first.max(i64::from(dimension.lower));
            let last = last.min(dimension.upper());
            if first > last {
                return empty;
            }
            let start = (first - i64::from(dimension.lower)) as usize;
            ranges.push(start..start + (last - first + 1) as usize);
        }
        let mut values = Vec::new();
        self.copy_slice(&ranges, 0, 0, &mut values);
        let dimensions = ranges
            .iter()
            .map(|r| Dimension {
                len: r.len() as u32,
                lower: 1,
            })
            .collect();
        Array {
            element: self.element,
            dimensions,
            values,
        }
    }

    fn copy_slice(
        &self,
        ranges: &[std::ops::Range<usize>],
        level: usize,
        base: usize,
        out: &mut Vec<Value>,
    ) {
        let (Some(range), Some(dimension)) = (ranges.get(level), self.dimensions.get(level)) else {
            return;
        };
        for i in range.clone() {
            let at = base * dimension.len as usize + i;
            if level + 1 == ranges.len() {
                out.extend(self.values.get(at).cloned());
            } else {
                self.copy_slice(ranges, level + 1, at, out);
            }
        }
    }

    /// `a[s, …] = value`. A one-dimensional array grows, with NULLs between; others do not.
    pub fn set(&self, subscripts: &[i32], value: Value) -> Result<Array> {
        if subscripts.is_empty() || subscripts.len() > ARRAY_DIMENSIONS_MAX {
            bail!(ArraySubscriptError, "wrong number of array subscripts");
        }
        let mut result = self.clone();
        if self.dimensions.is_empty() {
            result.dimensions = subscripts
                .iter()
                .map(|s| Dimension { len: 1, lower: *s })
                .collect();
            result.values = vec![value];
            return Ok(result);
        }
        if subscripts.len() != self.dimensions.len() {
            bail!(ArraySubscriptError, "wrong number of array subscripts");
        }
        if let Some(at) = self.position(subscripts) {
            if let Some(slot) = result.values.get_mut(at) {
                *slot = value;
            }
            return Ok(result);
        }
        let ([subscript], [dimension]) = (subscripts, result.dimensions.as_mut_slice()) else {
            bail!(ArraySubscriptError, "array subscript out of range");
        };
        let below = i64::from(dimension.lower) - i64::from(*subscript);
        let above = i64::from(*subscript) - dimension.upper();
        let added = below.max(above) as usize;
        if added + result.values.len() > ARRAY_ELEMENTS_MAX {
            return Err(too_large());
        }
        if below > 0 {
            let gap = std::iter::repeat_n(Value::Null, added - 1);
            result
                .values
                .splice(0..0, std::iter::once(value).chain(gap));
            dimension.lower = *subscript;
        } else {
            result
                .values
                .extend(std::iter::repeat_n(Value::Null, added - 1));
            result.values.push(value);
        }
        dimension.len += added as u32;
        Ok(result)
    }

    fn only_dimension(&self) -> Result<Option<Dimension>> {
        match self.dimensions.as_slice() {
            [] => Ok(None),
            [dimension] => Ok(Some(*dimension)),
            _ => Err(error!(
                InvalidParameterValue,
                "argument must be empty or one-dimensional array"
            )
            .with_sqlstate(*b"22000")),
        }
    }

    pub fn append(&self, value: Value) -> Result<Array> {
        let lower = self.only_dimension()?.map_or(1, |d| d.lower);
        let mut values = self.values.clone();
        values.push(value);
        Ok(self.one_dimensional(values, lower))
    }

    pub fn prepend(&self, value: Value) -> Result<Array> {
        let lower = self.only_dimension()?.map_or(1, |d| d.lower);
        let mut values = Vec::with_capacity(self.values.len() + 1);
        values.push(value);
        values.extend_from_slice(&self.values);
        Ok(self.one_dimensional(values, lower))
    }

    fn one_dimensional(&self, values: Vec<Value>, lower: i32) -> Array {
        let mut array = Array::from_values(self.element, values);
        for dimension in &mut array.dimensions {
            dimension.lower = lower;
        }
        array
    }

    /// `a || b`: arrays of the same shape below the first dimension, or one that is an element of
    /// the other.
    pub fn concat(&self, other: &Array) -> Result<Array> {
        if self.is_empty() {
            return Ok(other.clone());
        }
        if other.is_empty() {
            return Ok(self.clone());
        }
        if self.values.len() + other.values.len() > ARRAY_ELEMENTS_MAX {
            return Err(too_large());
        }
        let (a, b) = (&self.dimensions, &other.dimensions);
        let lengths = |d: &[Dimension]| d.iter().map(|d| d.len).collect::<Vec<_>>();
        let (mut dimensions, added, inner_a, inner_b) = match (a.len(), b.len()) {
            (x, y) if x == y => (a.clone(), b[0].len, lengths(&a[1..]), lengths(&b[1..])),
            (x, y) if x == y + 1 => (a.clone(), 1, lengths(&a[1..]), lengths(b)),
            (x, y) if x + 1 == y => (b.clone(), 1, lengths(a), lengths(&b[1..])),
            (x, y) => {
                return Err(incompatible(format!(
                    "Arrays of {x} and {y} dimensions are not compatible for concatenation."
                )));
            }
        };
        if inner_a != inner_b {
            let detail = if a.len() == b.len() {
                "Arrays with differing element dimensions are not compatible for concatenation."
            } else {
                "Arrays with differing dimensions are not compatible for concatenation."
            };
            return Err(incompatible(detail));
        }
        if let Some(first) = dimensions.first_mut() {
            first.len += added;
        }
        let values = self.values.iter().chain(&other.values).cloned().collect();
        Ok(Array {
            element: self.element,
            dimensions,
            values,
        })
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Array {}

impl PartialOrd for Array {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Array {
    /// Element by element, then by number, dimensions and bounds.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |d: &Dimension| (d.len, d.lower);
        self.values
            .iter()
            .zip(&other.values)
            .map(|(a, b)| compare(a, b))
            .find(|order| *order != Ordering::Equal)
            .unwrap_or_else(|| self.values.len().cmp(&other.values.len()))
            .then_with(|| self.dimensions.len().cmp(&other.dimensions.len()))
            .then_with(|| {
                self.dimensions
                    .iter()
                    .map(key)
                    .cmp(other.dimensions.iter().map(key))
            })
    }
}

impl Hash for Array {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.values.len());
        for value in &self.values {
            value.hash(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Type;
    use crate::text::{TextContext, parse_array, write_array};

    fn array(text: &str) -> Array {
        parse_array(Type::INT4, text, &TextContext::default()).unwrap()
    }

    fn shown(array: &Array) -> String {
        let mut out = String::new();
        write_array(&mut out, Type::INT4, array, &TextContext::default()).unwrap();
        out
    }

    #[test]
    fn concatenation_joins_equal_shapes_and_elements_of_the_other() {
        for (a, b, expected) in [
            ("{1,2}", "{3}", "{1,2,3}"),
            ("{}", "{3}", "{3}"),
            ("[0:1]={1,2}", "{3}", "[0:2]={1,2,3}"),
            ("{{1,2}}", "{3,4}", "{{1,2},{3,4}}"),
            ("{1,2}", "{{3,4}}", "{{1,2},{3,4}}"),
            ("{{1,2}}", "{{3,4}}", "{{1,2},{3,4}}"),
        ] {
            assert_eq!(
                shown(&array(a).concat(&array(b)).unwrap()),
                expected,
                "{a} || {b}"
            );
        }
        assert!(array("{{1,2}}").concat(&array("{{1}}")).is_err());
        assert!(array("{{{1}}}").concat(&array("{1}")).is_err());
    }

    #[test]
    fn slices_are_cut_to_the_bounds_and_numbered_from_one() {
        let a = array("{{1,2,3},{4,5,6}}");
        assert_eq!(
            shown(&a.slice(&[(Some(2), Some(9)), (None, Some(2))])),
            "{{4,5}}"
        );
        assert_eq!(shown(&a.slice(&[(Some(1), Some(1))])), "{{1,2,3}}");
        assert_eq!(shown(&a.slice(&[(Some(3), None)])), "{}");
        assert!(matches!(a.get(&[2, 3]), Value::Int4(6)));
        assert!(a.get(&[3, 1]).is_null());
        assert!(a.get(&[1]).is_null());
    }

    #[test]
    fn assignment_extends_one_dimension_with_nulls() {
        let a = array("{1,2}");
        assert_eq!(
            shown(&a.set(&[5], Value::Int4(9)).unwrap()),
            "{1,2,NULL,NULL,9}"
        );
        assert_eq!(
            shown(&a.set(&[-1], Value::Int4(9)).unwrap()),
            "[-1:2]={9,NULL,1,2}"
        );
        assert_eq!(shown(&a.set(&[1], Value::Int4(9)).unwrap()), "{9,2}");
        assert!(array("{{1}}").set(&[2, 1], Value::Int4(9)).is_err());
    }
}
