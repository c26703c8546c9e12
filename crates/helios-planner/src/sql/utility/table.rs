//! CREATE TABLE: columns and constraints.

use super::option_of;
use crate::catalog::{Identity, ReferentialAction, Relation, Shape, Table};
use crate::sql::binder::Binder;
use crate::sql::name::Name;
use crate::sql::node::{inner, kind, optional, required, strings};
use crate::sql::scope::Clause;
use crate::utility::{ColumnSpec, ConstraintKind, ConstraintSpec, CreateTable, Utility};
use helios_types::limits::{COLUMNS_MAX, IDENTIFIER_BYTES_MAX};
use helios_types::{DatabaseId, Error, ObjectId, Result, Type, error};
use pg_query::protobuf::{ColumnDef, ConstrType, Constraint, CreateStmt, OnCommitAction, RangeVar};
use pg_query::{Node, NodeEnum};
use std::sync::Arc;

impl Binder<'_> {
    /// Schema and name of a relation to be created.
    pub fn creation_name(&self, var: &RangeVar) -> Result<(ObjectId, String)> {
        let RangeVar {
            catalogname,
            schemaname,
            relname,
            inh: _,
            relpersistence,
            alias: _,
            location,
        } = var;
        if relpersistence == "u" {
            return self.unsupported("UNLOGGED", *location);
        }
        if !catalogname.is_empty() {
            self.check_database(catalogname, &[catalogname, schemaname, relname], *location)?;
        }
        if relname.len() > IDENTIFIER_BYTES_MAX {
            return Err(error!(InvalidName, "identifier \"{relname}\" is too long"));
        }
        if relpersistence == "t" {
            if !schemaname.is_empty() && schemaname != "pg_temp" {
                return Err(self.at(
                    error!(
                        InvalidTableDefinition,
                        "cannot create temporary relation in non-temporary schema"
                    ),
                    *location,
                ));
            }
            // Without a temporary schema yet the engine makes one; it goes by the flag.
            let schema = match self.cx.temp_schema {
                Some(schema) => schema,
                None => self.creation_schema()?.id,
            };
            return Ok((schema, relname.clone()));
        }
        let schema = if schemaname.is_empty() {
            self.creation_schema()?
        } else {
            self.schema(schemaname, *location)?
        };
        if schema.database == DatabaseId(0) {
            let shown = &schema.name;
            return Err(error!(
                InsufficientPrivilege,
                "permission denied to create \"{shown}.{relname}\""
            )
            .with_detail("System catalog modifications are currently disallowed."));
        }
        Ok((schema.id, relname.clone()))
    }

    pub fn create_table(&mut self, node: &CreateStmt) -> Result<Utility> {
        let CreateStmt {
            relation,
            table_elts,
            inh_relations,
            partbound,
            partspec,
            of_typename,
            constraints,
            nnconstraints: _,
            options,
            oncommit,
            tablespacename,
            access_method,
            if_not_exists,
        } = node;
        let var = relation
            .as_ref()
            .ok_or_else(|| Error::internal("CREATE TABLE without a name"))?;
        for (refused, what) in [
            (!inh_relations.is_empty(), "INHERITS"),
            (partbound.is_some(), "PARTITION OF"),
            (partspec.is_some(), "PARTITION BY"),
            (of_typename.is_some(), "CREATE TABLE OF"),
            (!tablespacename.is_empty(), "TABLESPACE"),
            (
                matches!(
                    OnCommitAction::try_from(*oncommit),
                    Ok(OnCommitAction::OncommitDeleteRows | OnCommitAction::OncommitDrop)
                ),
                "ON COMMIT",
            ),
        ] {
            if refused {
                return self.unsupported(what, var.location);
            }
        }
        let document = match access_method.as_str() {
            "" | "heap" | "relational" => false,
            "document" => true,
            other => {
                return Err(error!(
                    UndefinedObject,
                    "access method \"{other}\" does not exist"
                ));
            }
        };
        let (schema, name) = self.creation_name(var)?;
        let mut create = CreateTable {
            schema,
            name,
            temporary: var.relpersistence == "t",
            if_not_exists: *if_not_exists,
            columns: Vec::new(),
            constraints: Vec::new(),
            options: relation_options(options)?
                .into_iter()
                .map(|(n, v)| (n, v.unwrap_or_default()))
                .collect(),
            document,
        };
        let mut checks = Vec::new();
        for element in table_elts.iter().chain(constraints) {
            match inner(element)? {
                NodeEnum::ColumnDef(column) => {
                    let (spec, mut own, more) = self.column_definition(column)?;
                    if create.columns.iter().any(|c| c.name == spec.name) {
                        return Err(self.at(
                            error!(
                                DuplicateColumn,
                                "column \"{}\" specified more than once", spec.name
                            ),
                            -1,
                        ));
                    }
                    create.columns.push(spec);
                    create.constraints.append(&mut own);
                    checks.extend(more);
                }
                NodeEnum::Constraint(constraint) => checks.push(constraint.as_ref().clone()),
                NodeEnum::TableLikeClause(_) => return self.unsupported("LIKE", var.location),
                other => return self.unsupported(kind(other), var.location),
            }
        }
        if create.columns.len() > COLUMNS_MAX {
            return Err(error!(
                LimitExceeded,
                "tables can have at most {COLUMNS_MAX} columns"
            ));
        }
        // Constraints and generated columns may name every column of the table.
        let table = Arc::new(self.future_table(&create));
        let mut keys = checks
            .iter()
            .filter(|c| c.contype == ConstrType::ConstrPrimary as i32);
        if let Some(second) = keys.nth(1) {
            let name = &create.name;
            return Err(self.at(
                error!(
                    InvalidTableDefinition,
                    "multiple primary keys for table \"{name}\" are not allowed"
                ),
                second.location,
            ));
        }
        for constraint in &checks {
            let spec = self.constraint(constraint, &table, Some(&create))?;
            create.constraints.push(spec);
        }
        self.check_generated(&create, &table, table_elts)?;
        Ok(Utility::CreateTable(create))
    }

    /// The table as its own constraints see it.
    fn future_table(&self, create: &CreateTable) -> Table {
        let columns = create
            .columns
            .iter()
            .map(|c| crate::catalog::Column {
                name: c.name.clone(),
                ty: c.ty,
                not_null: c.not_null,
                default: None,
                identity: None,
                sequence: None,
                generated: c.generated.clone(),
                dropped: false,
                missing: None,
                comment: None,
            })
            .collect();
        Table {
            id: ObjectId(0),
            database: self.cx.database,
            schema: create.schema,
            name: create.name.clone(),
            owner: self.cx.role,
            shape: Shape::Relational,
            storage: ObjectId(0),
            columns,
            schema_version: 0,
            layouts: Vec::new(),
            key: Vec::new(),
            indexes: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            history: false,
            redis_prefix: None,
            grants: Vec::new(),
            comment: None,
            temporary: create.temporary,
        }
    }

    fn check_generated(
        &mut self,
        create: &CreateTable,
        table: &Arc<Table>,
        elements: &[Node],
    ) -> Result<()> {
        for element in elements {
            let NodeEnum::ColumnDef(column) = inner(element)? else {
                continue;
            };
            let Some(spec) = create.columns.iter().find(|c| c.name == column.colname) else {
                continue;
            };
            if spec.generated.is_none() {
                continue;
            }
            for node in &column.constraints {
                let NodeEnum::Constraint(constraint) = inner(node)? else {
                    continue;
                };
                if constraint.contype == ConstrType::ConstrGenerated as i32 {
                    self.generated_expression(required(&constraint.raw_expr)?, table, spec)?;
                }
            }
        }
        Ok(())
    }

    pub fn generated_expression(
        &mut self,
        node: &NodeEnum,
        table: &Arc<Table>,
        spec: &ColumnSpec,
    ) -> Result<()> {
        let bound = self.table_expression(
            node,
            Some(table),
            Clause::Generated,
            Some(spec.ty),
            &spec.name,
        )?;
        if let Some(column) = crate::sql::scope::columns_of(&bound.expr)
            .into_iter()
            .find(|c| {
                c.name == spec.name
                    || table
                        .column(&c.name)
                        .is_some_and(|(_, c)| c.generated.is_some())
            })
        {
            let name = column.name;
            return Err(error!(
                InvalidObjectDefinition,
                "cannot use generated column \"{name}\" in column generation expression"
            )
            .with_detail("A generated column cannot reference another generated column."));
        }
        if is_mutable(&bound.expr) {
            return Err(error!(
                InvalidObjectDefinition,
                "generation expression is not immutable"
            ));
        }
        Ok(())
    }

    /// A column, the constraints it declares by itself, and those that need the whole table.
    pub fn column_definition(
        &mut self,
        node: &ColumnDef,
    ) -> Result<(ColumnSpec, Vec<ConstraintSpec>, Vec<Constraint>)> {
        let ColumnDef {
            colname,
            type_name,
            compression,
            inhcount: _,
            is_local: _,
            is_not_null: _,
            is_from_type: _,
            storage: _,
            storage_name,
            raw_default: _,
            cooked_default: _,
            identity: _,
            identity_sequence: _,
            generated: _,
            coll_clause,
            coll_oid: _,
            constraints,
            fdwoptions,
            location,
        } = node;
        if !compression.is_empty() || !storage_name.is_empty() {
            return self.unsupported("COMPRESSION and STORAGE", *location);
        }
        if !fdwoptions.is_empty() {
            return self.unsupported("column OPTIONS", *location);
        }
        if matches!(
            colname.as_str(),
            "ctid" | "xmin" | "xmax" | "cmin" | "cmax" | "tableoid"
        ) {
            return Err(error!(
                DuplicateColumn,
                "column name \"{colname}\" conflicts with a system column name"
            ));
        }
        let type_name = type_name
            .as_ref()
            .ok_or_else(|| Error::internal("column without a type"))?;
        let (ty, serial) = match serial_type(&strings(&type_name.names)?) {
            Some(_) if !type_name.array_bounds.is_empty() => {
                return Err(self.at(
                    error!(Unsupported, "array of serial is not implemented"),
                    *location,
                ));
            }
            Some(ty) => (ty, true),
            None => (self.type_name(type_name)?, false),
        };
        if matches!(ty.oid, 705 | 2249 | 2276 | 2277 | 2278 | 2283 | 2776) {
            let (name, shown) = (colname, crate::sql::type_name::display(ty));
            return Err(error!(
                InvalidTableDefinition,
                "column \"{name}\" has pseudo-type {shown}"
            ));
        }
        if let Some(collation) = coll_clause {
            self.check_collation(&collation.collname, collation.location)?;
        }
        let mut spec = ColumnSpec {
            name: colname.clone(),
            ty,
            not_null: serial,
            default: None,
            identity: None,
            serial,
            generated: None,
        };
        let mut later: Vec<Constraint> = Vec::new();
        for node in constraints {
            let NodeEnum::Constraint(constraint) = inner(node)? else {
                return Err(Error::internal("constraint"));
            };
            self.column_constraint(constraint, &mut spec, &mut later)?;
        }
        Ok((spec, Vec::new(), later))
    }

    fn column_constraint(
        &mut self,
        constraint: &Constraint,
        spec: &mut ColumnSpec,
        later: &mut Vec<Constraint>,
    ) -> Result<()> {
        let column = Node {
            node: Some(NodeEnum::String(pg_query::protobuf::String {
                sval: spec.name.clone(),
            })),
        };
        match ConstrType::try_from(constraint.contype).map_err(Error::internal)? {
            ConstrType::ConstrNull => {}
            ConstrType::ConstrNotnull => spec.not_null = true,
            ConstrType::ConstrDefault => {
                let name = spec.name.clone();
                if spec.default.is_some() || spec.serial {
                    return Err(error!(
                        SyntaxError,
                        "multiple default values specified for column \"{name}\""
                    ));
                }
                spec.default =
                    Some(self.default_text(required(&constraint.raw_expr)?, spec.ty, &name)?);
            }
            ConstrType::ConstrIdentity => {
                if !matches!(Type::new(spec.ty.oid), Type::INT2 | Type::INT4 | Type::INT8) {
                    return Err(error!(
                        InvalidParameterValue,
                        "identity column type must be smallint, integer, or bigint"
                    ));
                }
                let options = self.sequence_options(&constraint.options)?;
                spec.not_null = true;
                spec.identity = Some((identity(&constraint.generated_when), options));
            }
            ConstrType::ConstrGenerated => {
                if constraint.generated_kind == "v" {
                    return self.unsupported("a virtual generated column", constraint.location);
                }
                spec.generated = Some(self.expression_text(required(&constraint.raw_expr)?)?);
            }
            ConstrType::ConstrPrimary | ConstrType::ConstrUnique => {
                let mut whole = constraint.clone();
                whole.keys = vec![column];
                if whole.contype == ConstrType::ConstrPrimary as i32 {
                    spec.not_null = true;
                }
                later.push(whole);
            }
            ConstrType::ConstrForeign => {
                let mut whole = constraint.clone();
                whole.fk_attrs = vec![column];
                later.push(whole);
            }
            ConstrType::ConstrCheck => later.push(constraint.clone()),
            ConstrType::ConstrAttrDeferrable => set_last(later, |c| c.deferrable = true),
            ConstrType::ConstrAttrNotDeferrable => set_last(later, |c| c.deferrable = false),
            ConstrType::ConstrAttrDeferred => set_last(later, |c| {
                c.deferrable = true;
                c.initdeferred = true;
            }),
            ConstrType::ConstrAttrImmediate | ConstrType::ConstrAttrEnforced => {}
            ConstrType::ConstrAttrNotEnforced => {
                return self.unsupported("NOT ENFORCED", constraint.location);
            }
            ConstrType::ConstrExclusion => return self.unsupported("EXCLUDE", constraint.location),
            ConstrType::Undefined => return Err(Error::internal("constraint of no kind")),
        }
        Ok(())
    }

    /// A default as text, once it is known to fit the column.
    pub fn default_text(&mut self, node: &NodeEnum, ty: Type, column: &str) -> Result<String> {
        self.table_expression(node, None, Clause::Default, Some(ty), column)
            .map_err(|e| {
                // A column in a default has its own message.
                if e.kind() == helios_types::ErrorKind::UndefinedColumn {
                    let mut own = error!(
                        Unsupported,
                        "cannot use column reference in DEFAULT expression"
                    );
                    own.fields_mut().position = e.fields().position;
                    own
                } else {
                    e
                }
            })?;
        self.expression_text(node)
    }

    /// A table constraint over the columns of `table`, which may still be in the making.
    pub fn constraint(
        &mut self,
        node: &Constraint,
        table: &Arc<Table>,
        creating: Option<&CreateTable>,
    ) -> Result<ConstraintSpec> {
        let Constraint {
            contype,
            conname,
            deferrable,
            initdeferred,
            is_enforced: _,
            skip_validation,
            initially_valid: _,
            is_no_inherit: _,
            raw_expr,
            cooked_expr: _,
            generated_when: _,
            generated_kind: _,
            nulls_not_distinct,
            keys,
            without_overlaps,
            including,
            exclusions: _,
            options,
            indexname,
            indexspace,
            reset_default_tblspc: _,
            access_method: _,
            where_clause: _,
            pktable,
            fk_attrs,
            pk_attrs,
            fk_with_period,
            pk_with_period,
            fk_matchtype,
            fk_upd_action,
            fk_del_action,
            fk_del_set_cols,
            old_conpfeqop: _,
            old_pktable_oid: _,
            location,
        } = node;
        let at = *location;
        if *without_overlaps || *fk_with_period || *pk_with_period {
            return self.unsupported("WITHOUT OVERLAPS and PERIOD", at);
        }
        if !indexspace.is_empty() {
            return self.unsupported("USING INDEX TABLESPACE", at);
        }
        // Storage parameters of the index behind the constraint: fillfactor only.
        for option in options {
            let (name, _) = option_of(option)?;
            if name != "fillfactor" {
                return self.unsupported(format_args!("index parameter \"{name}\""), at);
            }
        }
        let owned = |nodes: &[Node]| -> Result<Vec<String>> {
            Ok(strings(nodes)?.into_iter().map(str::to_string).collect())
        };
        let kind = match ConstrType::try_from(*contype).map_err(Error::internal)? {
            ConstrType::ConstrCheck => {
                let expr = required(raw_expr)?;
                let bound = self.table_expression(
                    expr,
                    Some(table),
                    Clause::Check,
                    Some(Type::BOOL),
                    "check",
                )?;
                let mut columns: Vec<String> = Vec::new();
                for column in crate::sql::scope::columns_of(&bound.expr) {
                    if !columns.contains(&column.name) {
                        columns.push(column.name);
                    }
                }
                ConstraintKind::Check {
                    expression: self.expression_text(expr)?,
                    columns,
                }
            }
            ConstrType::ConstrPrimary | ConstrType::ConstrUnique if !indexname.is_empty() => {
                let index = table
                    .indexes
                    .iter()
                    .find(|i| i.name == *indexname)
                    .map(|i| i.id);
                let index = index.ok_or_else(|| {
                    self.at(
                        error!(UndefinedObject, "index \"{indexname}\" does not exist"),
                        at,
                    )
                })?;
                ConstraintKind::UsingIndex {
                    index,
                    primary: *contype == ConstrType::ConstrPrimary as i32,
                }
            }
            ConstrType::ConstrPrimary => {
                let columns = owned(keys)?;
                self.check_key_columns(&columns, table, "primary key", at)?;
                ConstraintKind::PrimaryKey {
                    columns,
                    include: self.included(including, table, at)?,
                }
            }
            ConstrType::ConstrUnique => {
                let columns = owned(keys)?;
                self.check_key_columns(&columns, table, "unique", at)?;
                ConstraintKind::Unique {
                    columns,
                    include: self.included(including, table, at)?,
                    nulls_not_distinct: *nulls_not_distinct,
                }
            }
            ConstrType::ConstrForeign => {
                if !fk_del_set_cols.is_empty() {
                    return self.unsupported("ON DELETE SET ... with a column list", at);
                }
                if fk_matchtype == "p" {
                    return Err(
                        self.at(error!(Unsupported, "MATCH PARTIAL not yet implemented"), at)
                    );
                }
                let columns = owned(fk_attrs)?;
                for column in &columns {
                    if table.column(column).is_none() {
                        return Err(error!(
                            UndefinedColumn,
                            "column \"{column}\" referenced in foreign key constraint does not exist"
                        ));
                    }
                }
                let var = pktable
                    .as_ref()
                    .ok_or_else(|| Error::internal("REFERENCES without a table"))?;
                let name = Name::of_object(var);
                let itself = creating.is_some_and(|c| {
                    c.name == name.name
                        && name
                            .schema
                            .as_ref()
                            .is_none_or(|s| self.schema_name(c.schema) == *s)
                });
                let referenced = if itself {
                    None
                } else {
                    Some(self.referenced_table(&name)?)
                };
                ConstraintKind::ForeignKey {
                    columns,
                    referenced: referenced.map(|t| t.id),
                    referenced_columns: owned(pk_attrs)?,
                    on_update: action(fk_upd_action)?,
                    on_delete: action(fk_del_action)?,
                    match_full: fk_matchtype == "f",
                }
            }
            ConstrType::ConstrExclusion => return self.unsupported("EXCLUDE", at),
            ConstrType::ConstrNotnull => {
                return self.unsupported("a named NOT NULL constraint of the table", at);
            }
            other => return self.unsupported(format_args!("table constraint {other:?}"), at),
        };
        Ok(ConstraintSpec {
            name: (!conname.is_empty()).then(|| conname.clone()),
            kind,
            deferrable: *deferrable,
            initially_deferred: *initdeferred,
            not_valid: *skip_validation,
        })
    }

    fn referenced_table(&mut self, name: &Name) -> Result<Arc<Table>> {
        match self.relation(name)? {
            Relation::Table(table) => Ok(table),
            _ => Err(error!(
                WrongObjectType,
                "referenced relation \"{}\" is not a table", name.name
            )),
        }
    }

    fn included(&mut self, nodes: &[Node], table: &Arc<Table>, at: i32) -> Result<Vec<String>> {
        let names: Vec<String> = nodes
            .iter()
            .map(|n| match inner(n)? {
                NodeEnum::String(s) => Ok(s.sval.clone()),
                NodeEnum::IndexElem(e) if optional(&e.expr).is_none() => Ok(e.name.clone()),
                _ => self.unsupported("an expression in INCLUDE", at),
            })
            .collect::<Result<_>>()?;
        self.check_key_columns(&names, table, "", at)?;
        Ok(names)
    }

    fn check_key_columns(
        &self,
        columns: &[String],
        table: &Arc<Table>,
        kind: &str,
        at: i32,
    ) -> Result<()> {
        for (i, column) in columns.iter().enumerate() {
            let Some((_, found)) = table.column(column) else {
                return Err(self.at(
                    error!(
                        UndefinedColumn,
                        "column \"{column}\" named in key does not exist"
                    ),
                    at,
                ));
            };
            if columns[..i].contains(column) && !kind.is_empty() {
                return Err(self.at(
                    error!(
                        DuplicateColumn,
                        "column \"{column}\" appears twice in {kind} constraint"
                    ),
                    at,
                ));
            }
            if !kind.is_empty() && !crate::sql::operator::ordered(found.ty) {
                let shown = crate::sql::type_name::display(Type::new(found.ty.oid));
                return Err(self.at(
                    error!(UndefinedObject, "data type {shown} has no default operator class for access method \"btree\"")
                        .with_hint("You must specify an operator class for the index or define a default operator class for the data type."),
                    at,
                ));
            }
        }
        Ok(())
    }
}

fn set_last(constraints: &mut [Constraint], change: impl FnOnce(&mut Constraint)) {
    if let Some(last) = constraints.last_mut() {
        change(last);
    }
}

pub(super) fn identity(when: &str) -> Identity {
    if when == "a" {
        Identity::Always
    } else {
        Identity::ByDefault
    }
}

fn serial_type(names: &[&str]) -> Option<Type> {
    match names {
        ["smallserial" | "serial2"] => Some(Type::INT2),
        ["serial" | "serial4"] => Some(Type::INT4),
        ["bigserial" | "serial8"] => Some(Type::INT8),
        _ => None,
    }
}

fn action(letter: &str) -> Result<ReferentialAction> {
    Ok(match letter {
        "" | "a" => ReferentialAction::NoAction,
        "r" => ReferentialAction::Restrict,
        "c" => ReferentialAction::Cascade,
        "n" => ReferentialAction::SetNull,
        "d" => ReferentialAction::SetDefault,
        other => return Err(Error::internal(format!("referential action {other}"))),
    })
}

/// The options of a table; PostgreSQL's fillfactor says nothing here and may stand.
pub(super) fn relation_options(nodes: &[Node]) -> Result<Vec<(String, Option<String>)>> {
    let mut options = Vec::with_capacity(nodes.len());
    for node in nodes {
        let (name, argument) = option_of(node)?;
        match name {
            "history" | "redis_prefix" => {
                options.push((name.to_string(), super::option_text(argument)?));
            }
            "fillfactor" | "autovacuum_enabled" => {}
            "oids" if super::boolean_option(argument).is_ok_and(|on| !on) => {}
            other => {
                return Err(error!(
                    InvalidParameterValue,
                    "unrecognized parameter \"{other}\""
                ));
            }
        }
    }
    Ok(options)
}

/// Whether the value can change with session or time.
pub(super) fn is_mutable(expr: &datafusion::logical_expr::Expr) -> bool {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut mutable = false;
    let _ = expr.apply(|e| {
        if let datafusion::logical_expr::Expr::ScalarFunction(call) = e
            && let Some(f) = crate::function::as_pg_function(&call.func)
        {
            // Our own cast nodes are stable by declaration; those to and from numbers are not moved
            // by any setting.
            mutable |=
                f.def.volatility != crate::function::Volatility::Immutable && f.def.oid < 9600;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    mutable
}
