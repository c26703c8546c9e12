//! CREATE INDEX.

use super::option_of;
use crate::catalog::{IndexColumn, IndexKey, Table};
use crate::sql::binder::Binder;
use crate::sql::name::Name;
use crate::sql::node::{inner, optional, strings};
use crate::sql::operator::ordered;
use crate::sql::scope::Clause;
use crate::sql::type_name::display;
use crate::utility::{CreateIndex, Utility};
use helios_types::{Error, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{IndexElem, IndexStmt, SortByDir, SortByNulls};
use std::sync::Arc;

impl Binder<'_> {
    pub fn create_index(&mut self, node: &IndexStmt) -> Result<Utility> {
        let IndexStmt {
            idxname,
            relation,
            access_method,
            table_space,
            index_params,
            index_including_params,
            options,
            where_clause,
            exclude_op_names,
            idxcomment: _,
            index_oid: _,
            old_number: _,
            old_create_subid: _,
            old_first_relfilelocator_subid: _,
            unique,
            nulls_not_distinct,
            primary: _,
            isconstraint: _,
            iswithoutoverlaps: _,
            deferrable: _,
            initdeferred: _,
            transformed: _,
            concurrent,
            if_not_exists,
            reset_default_tblspc: _,
        } = node;
        let var = relation
            .as_ref()
            .ok_or_else(|| Error::internal("CREATE INDEX without a table"))?;
        match access_method.as_str() {
            "" | "btree" => {}
            other => {
                return self.unsupported(
                    format_args!("index access method \"{other}\""),
                    var.location,
                );
            }
        }
        if !table_space.is_empty() {
            return self.unsupported("TABLESPACE", var.location);
        }
        if !exclude_op_names.is_empty() {
            return self.unsupported("EXCLUDE", var.location);
        }
        for option in options {
            let (name, _) = option_of(option)?;
            if !matches!(name, "fillfactor" | "deduplicate_items") {
                return Err(error!(
                    InvalidParameterValue,
                    "unrecognized parameter \"{name}\""
                ));
            }
        }
        let name = Name::of_object(var);
        let table = self.table(&name)?;
        let mut columns = Vec::with_capacity(index_params.len());
        for param in index_params {
            let NodeEnum::IndexElem(elem) = inner(param)? else {
                return Err(Error::internal("index column"));
            };
            columns.push(self.index_column(elem, &table)?);
        }
        let mut include = Vec::with_capacity(index_including_params.len());
        for param in index_including_params {
            let NodeEnum::IndexElem(elem) = inner(param)? else {
                return Err(Error::internal("INCLUDE column"));
            };
            if optional(&elem.expr).is_some() {
                return self.unsupported("an expression in INCLUDE", var.location);
            }
            include.push(self.index_position(&table, &elem.name)?);
        }
        let predicate = match optional(where_clause) {
            Some(expr) => {
                let bound = self.table_expression(
                    expr,
                    Some(&table),
                    Clause::IndexPredicate,
                    Some(Type::BOOL),
                    "predicate",
                )?;
                if super::table::is_mutable(&bound.expr) {
                    return Err(error!(
                        InvalidObjectDefinition,
                        "functions in index predicate must be marked IMMUTABLE"
                    ));
                }
                Some(self.expression_text(expr)?)
            }
            None => None,
        };
        Ok(Utility::CreateIndex(CreateIndex {
            table: table.id,
            name: (!idxname.is_empty()).then(|| idxname.clone()),
            if_not_exists: *if_not_exists,
            unique: *unique,
            columns,
            include,
            predicate,
            nulls_not_distinct: *nulls_not_distinct,
            concurrently: *concurrent,
        }))
    }

    fn index_position(&self, table: &Table, name: &str) -> Result<usize> {
        table
            .column(name)
            .map(|(position, _)| position)
            .ok_or_else(|| error!(UndefinedColumn, "column \"{name}\" does not exist"))
    }

    fn index_column(&mut self, elem: &IndexElem, table: &Arc<Table>) -> Result<IndexColumn> {
        let IndexElem {
            name,
            expr,
            indexcolname: _,
            collation,
            opclass,
            opclassopts,
            ordering,
            nulls_ordering,
        } = elem;
        if !collation.is_empty() {
            self.check_collation(collation, -1)?;
        }
        if !opclassopts.is_empty() {
            return self.unsupported("operator class options", -1);
        }
        // All of these order by code points, which is the order that every index here has.
        if let Some(class) = strings(opclass)?.last()
            && !matches!(
                *class,
                "text_pattern_ops"
                    | "varchar_pattern_ops"
                    | "bpchar_pattern_ops"
                    | "text_ops"
                    | "varchar_ops"
                    | "int4_ops"
                    | "int8_ops"
                    | "int2_ops"
                    | "numeric_ops"
                    | "timestamptz_ops"
                    | "timestamp_ops"
                    | "date_ops"
                    | "uuid_ops"
                    | "bool_ops"
                    | "bytea_ops"
                    | "float8_ops"
                    | "float4_ops"
                    | "jsonb_ops"
                    | "name_ops"
            )
        {
            return self.unsupported(format_args!("operator class \"{class}\""), -1);
        }
        let descending = *ordering == SortByDir::SortbyDesc as i32;
        let nulls_first = match SortByNulls::try_from(*nulls_ordering) {
            Ok(SortByNulls::SortbyNullsFirst) => true,
            Ok(SortByNulls::SortbyNullsLast) => false,
            _ => descending,
        };
        let (key, ty) = match optional(expr) {
            None => {
                let position = self.index_position(table, name)?;
                (IndexKey::Column(position), table.columns[position].ty)
            }
            Some(node) => {
                let bound =
                    self.table_expression(node, Some(table), Clause::Index, None, "expression")?;
                if super::table::is_mutable(&bound.expr) {
                    return Err(error!(
                        InvalidObjectDefinition,
                        "functions in index expression must be marked IMMUTABLE"
                    ));
                }
                (
                    IndexKey::Expression(self.expression_text(node)?, bound.ty),
                    bound.ty,
                )
            }
        };
        if !ordered(ty) {
            let shown = display(Type::new(ty.oid));
            return Err(error!(UndefinedObject, "data type {shown} has no default operator class for access method \"btree\"")
                .with_hint("You must specify an operator class for the index or define a default operator class for the data type."));
        }
        Ok(IndexColumn {
            key,
            descending,
            nulls_first,
        })
    }
}
