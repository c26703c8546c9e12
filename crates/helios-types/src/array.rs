//! PostgreSQL's array: a rectangular block of values in row-major order.

use crate::types::Oid;
use crate::value::Value;

/// Extent of one dimension: `len` elements numbered from `lower`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimension {
    pub len: u32,
    pub lower: i32,
}

/// An array value. No dimensions means the empty array.
#[derive(Clone, Debug)]
pub struct Array {
    pub element: Oid,
    pub dimensions: Vec<Dimension>,
    pub values: Vec<Value>,
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
}
