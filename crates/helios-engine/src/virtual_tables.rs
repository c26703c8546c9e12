//! Tables whose rows the engine makes when they are read: the system catalog, `redis.*`.

use crate::apply::{Row, VirtualTables};
use crate::kernel::reader::ViewReader;
use helios_planner::catalog::VirtualTable;
use helios_planner::function::FunctionContext;
use helios_types::{Result, Value};
use std::sync::Arc;

/// Virtual tables at one snapshot.
pub(crate) struct Tables {
    reader: Arc<ViewReader>,
}

impl Tables {
    pub(crate) fn new(reader: Arc<ViewReader>) -> Self {
        Tables { reader }
    }
}

impl VirtualTables for Tables {
    fn rows(
        &self,
        table: &VirtualTable,
        lookups: &[(usize, Value)],
        functions: &mut dyn FunctionContext,
    ) -> Result<Vec<Row>> {
        if crate::pg_catalog::is_system_table(table) {
            return crate::pg_catalog::rows(&self.reader.engine, table, lookups, functions);
        }
        if crate::keyspace::sql_tables::is_keyspace_table(table) {
            return crate::keyspace::sql_tables::rows(&self.reader, table, lookups, functions);
        }
        Err(helios_types::Error::unsupported(format!(
            "reading \"{}\"",
            table.name
        )))
    }

    fn row_key(&self, table: &VirtualTable, row: &Row) -> Result<Value> {
        match crate::keyspace::Table::of(table.id) {
            Some(kind) => crate::keyspace::row::RowName::of(kind, row).map(|name| name.to_value()),
            None => Ok(Value::Null),
        }
    }
}
