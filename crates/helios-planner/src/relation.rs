//! A catalog relation as DataFusion's `TableSource`: pure metadata, no rows.
//!
//! The schema of a table's source is its live columns in order, followed by one hidden column
//! [`KEY_COLUMN`]: the encoded storage key of the row, by which UPDATE, DELETE and row locks name
//! it. `SELECT *` never shows it. A virtual table has it when its rows can be changed. The scan
//! evaluates every filter that is pushed into it itself,
//! so all pushdown is exact.

use crate::catalog::{Table, VirtualTable};
use crate::pgtype;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableSource, TableType};
use helios_types::{ObjectId, Type};
use std::sync::Arc;

/// Name of the hidden column with the row's encoded key (bytea).
pub const KEY_COLUMN: &str = "__key";

#[derive(Debug)]
pub struct RelationSource {
    pub relation: SourceRelation,
    schema: SchemaRef,
}

#[derive(Clone, Debug)]
pub enum SourceRelation {
    Table(Arc<Table>),
    Virtual(Arc<VirtualTable>),
}

impl RelationSource {
    pub fn table(table: Arc<Table>) -> Arc<Self> {
        let mut fields: Vec<_> = table
            .live_columns()
            .map(|(_, c)| pgtype::field(&c.name, c.ty))
            .collect();
        fields.push(pgtype::field(KEY_COLUMN, Type::BYTEA));
        Arc::new(RelationSource {
            relation: SourceRelation::Table(table),
            schema: Arc::new(Schema::new(fields)),
        })
    }

    pub fn virtual_table(table: Arc<VirtualTable>) -> Arc<Self> {
        let mut fields: Vec<_> = table
            .columns
            .iter()
            .map(|(n, ty)| pgtype::field(n, *ty))
            .collect();
        if table.written.is_some() {
            fields.push(pgtype::field(KEY_COLUMN, Type::BYTEA));
        }
        Arc::new(RelationSource {
            relation: SourceRelation::Virtual(table),
            schema: Arc::new(Schema::new(fields)),
        })
    }

    pub fn id(&self) -> ObjectId {
        match &self.relation {
            SourceRelation::Table(t) => t.id,
            SourceRelation::Virtual(v) => v.id,
        }
    }

    pub fn as_table(&self) -> Option<&Arc<Table>> {
        match &self.relation {
            SourceRelation::Table(t) => Some(t),
            SourceRelation::Virtual(_) => None,
        }
    }

    /// The table that a change or a lock of the rows is bound against.
    pub fn written(&self) -> Option<&Arc<Table>> {
        match &self.relation {
            SourceRelation::Table(t) => Some(t),
            SourceRelation::Virtual(v) => v.written.as_ref(),
        }
    }
}

impl TableSource for RelationSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> datafusion::common::Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }
}
