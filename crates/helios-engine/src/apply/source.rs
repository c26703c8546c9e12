//! Where rows come from: tables at a snapshot, and tables that the engine makes up.

use super::Row;
use helios_planner::catalog::{Table, VirtualTable};
use helios_planner::function::FunctionContext;
use helios_types::{Jsonb, ObjectId, Result, Value};
use std::sync::Arc;

/// An access path with its values: what [`helios_planner::template::AccessPath`] becomes when its
/// expressions are evaluated. No value in it is NULL.
#[derive(Clone, Debug)]
pub enum KeyPath {
    Point(Vec<Value>),
    /// Distinct keys.
    Points(Vec<Vec<Value>>),
    Range {
        index: Option<ObjectId>,
        equal: Vec<Value>,
        lower: Option<ValueBound>,
        upper: Option<ValueBound>,
        reverse: bool,
        ordered: bool,
    },
    Each {
        index: Option<ObjectId>,
        equal: Vec<Value>,
        values: Jsonb,
    },
    Full {
        reverse: bool,
    },
}

#[derive(Clone, Debug)]
pub struct ValueBound {
    pub value: Value,
    pub inclusive: bool,
}

/// A read of one table.
#[derive(Debug)]
pub struct ScanRequest<'a> {
    pub table: &'a Arc<Table>,
    pub path: KeyPath,
    /// Which columns of the table's source schema the rows hold, in this order; the position after
    /// the last live column is the key column.
    pub columns: &'a Arc<[usize]>,
}

/// Reads tables at one snapshot.
pub trait TableReader: Send + Sync {
    fn scan(&self, request: ScanRequest<'_>) -> Result<Box<dyn TableRows>>;
}

/// Rows of a table.
pub trait TableRows: Send {
    /// Replaces `row` by the next row; false at the end.
    fn next(&mut self, row: &mut Row) -> Result<bool>;
}

/// Makes the rows of virtual tables.
pub trait VirtualTables: Send + Sync {
    /// All columns of the rows that satisfy the lookups: (column position, wanted value), for
    /// columns among [`VirtualTable::lookups`]. Rows that do not satisfy them may come too.
    fn rows(
        &self,
        table: &VirtualTable,
        lookups: &[(usize, Value)],
        functions: &mut dyn FunctionContext,
    ) -> Result<Vec<Row>>;

    /// The name by which a change or a lock of the row knows it; NULL in tables that nobody changes.
    fn row_key(&self, _table: &VirtualTable, _row: &Row) -> Result<Value> {
        Ok(Value::Null)
    }
}
