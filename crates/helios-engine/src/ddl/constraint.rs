//! Constraints: what CREATE TABLE and ALTER TABLE add, and what existing rows must satisfy.

use super::Ddl;
use helios_planner::catalog::{Check, ForeignKey, Index, IndexColumn, IndexKey, Table};
use helios_planner::utility::{ConstraintKind, ConstraintSpec};
use helios_storage::LockMode;
use helios_types::{Error, ErrorKind, ObjectId, Result, Value, bail};

impl Ddl<'_> {
    /// Adds a constraint; with `is_new` the table has no rows to check.
    pub(crate) async fn add_constraint(
        &mut self,
        table: Table,
        spec: &ConstraintSpec,
        is_new: bool,
    ) -> Result<Table> {
        if spec.deferrable && !matches!(spec.kind, ConstraintKind::ForeignKey { .. }) {
            return Err(Error::unsupported(
                "DEFERRABLE on a constraint other than a foreign key",
            ));
        }
        match &spec.kind {
            ConstraintKind::PrimaryKey { columns, include } => {
                self.add_primary_key(table, spec, columns, include, is_new)
                    .await
            }
            ConstraintKind::Unique {
                columns,
                include,
                nulls_not_distinct,
            } => {
                let index = self.constraint_index(&table, spec, columns, include, "key")?;
                let index = Index {
                    nulls_not_distinct: *nulls_not_distinct,
                    ..index
                };
                self.add_index(table, index, is_new).await
            }
            ConstraintKind::UsingIndex { .. } => {
                Err(Error::unsupported("ADD CONSTRAINT … USING INDEX"))
            }
            ConstraintKind::Check {
                expression,
                columns,
            } => self.add_check(table, spec, expression, columns, is_new),
            ConstraintKind::ForeignKey { .. } => self.add_foreign_key(table, spec, is_new).await,
        }
    }

    async fn add_primary_key(
        &mut self,
        mut table: Table,
        spec: &ConstraintSpec,
        columns: &[String],
        include: &[String],
        is_new: bool,
    ) -> Result<Table> {
        if table.primary_key().is_some() {
            bail!(
                InvalidTableDefinition,
                "multiple primary keys for table \"{}\" are not allowed",
                table.name
            );
        }
        let mut index = self.constraint_index(&table, spec, columns, include, "pkey")?;
        index.primary = true;
        let key = positions(&table, columns)?;
        for &position in &key {
            table.columns[position].not_null = true;
        }
        table.key = key;
        table.indexes.insert(0, index);
        if is_new {
            return Ok(table);
        }
        let old = self.table(table.id)?;
        self.rewrite(&old, table, &super::rewrite::Rewrite::default())
            .await
    }

    /// The index behind PRIMARY KEY or UNIQUE.
    fn constraint_index(
        &mut self,
        table: &Table,
        spec: &ConstraintSpec,
        columns: &[String],
        include: &[String],
        suffix: &str,
    ) -> Result<Index> {
        let keys = positions(table, columns)?;
        let taken: Vec<&str> = constraint_names(table);
        let name = match &spec.name {
            Some(name) => {
                self.require_free_name(table.schema, name)?;
                name.clone()
            }
            None => {
                let middle = if suffix == "pkey" {
                    String::new()
                } else {
                    columns.join("_")
                };
                self.choose_name(table.schema, &table.name, &middle, suffix, &taken)
            }
        };
        if taken.contains(&name.as_str()) {
            return Err(duplicate_constraint(&name, &table.name));
        }
        let id = self.next_id();
        let constraint = self.next_id();
        Ok(Index {
            id,
            storage: id,
            name,
            unique: true,
            primary: false,
            constraint: Some(constraint),
            columns: keys
                .into_iter()
                .map(|p| IndexColumn {
                    key: IndexKey::Column(p),
                    descending: false,
                    nulls_first: false,
                })
                .collect(),
            include: positions(table, include)?,
            predicate: None,
            nulls_not_distinct: false,
            multikey: false,
            ready: true,
            comment: None,
        })
    }

    fn add_check(
        &mut self,
        mut table: Table,
        spec: &ConstraintSpec,
        expression: &str,
        columns: &[String],
        is_new: bool,
    ) -> Result<Table> {
        let taken = constraint_names(&table);
        let name = match &spec.name {
            Some(name) if taken.contains(&name.as_str()) => {
                return Err(duplicate_constraint(name, &table.name));
            }
            Some(name) => name.clone(),
            None => {
                let middle = match columns {
                    [column] => column.as_str(),
                    _ => "",
                };
                self.choose_name(table.schema, &table.name, middle, "check", &taken)
            }
        };
        let id = self.next_id();
        let columns = positions(&table, columns)?;
        table.checks.push(Check {
            id,
            name: name.clone(),
            expression: expression.to_string(),
            columns,
        });
        // PostgreSQL evaluates the checks of a row in the order of their names.
        table.checks.sort_by(|a, b| a.name.cmp(&b.name));
        let table = (*self.put_table(table)?).clone();
        if !is_new && !spec.not_valid {
            self.validate_check(&table, &name)?;
        }
        Ok(table)
    }

    /// Fails when a stored row violates the check.
    pub(crate) fn validate_check(&mut self, table: &Table, name: &str) -> Result<()> {
        let table_name = table.name.clone();
        let rt = self.runtime(table)?;
        let Some(check) = rt.checks.iter().find(|c| c.name == name) else {
            return Ok(());
        };
        self.each_row(&rt, |state, _, row| {
            let mut env = helios_planner::scalar::ValueEnv { params: &[], functions: state };
            if matches!(check.condition.eval(row, &mut env)?, Value::Bool(false)) {
                bail!(
                    CheckViolation,
                    "check constraint \"{name}\" of relation \"{table_name}\" is violated by some row"
                );
            }
            Ok(())
        })
    }

    async fn add_foreign_key(
        &mut self,
        mut table: Table,
        spec: &ConstraintSpec,
        is_new: bool,
    ) -> Result<Table> {
        let ConstraintKind::ForeignKey {
            columns,
            referenced,
            referenced_columns,
            on_update,
            on_delete,
            match_full,
        } = &spec.kind
        else {
            return Err(Error::internal("not a foreign key"));
        };
        if *match_full && columns.len() > 1 {
            return Err(Error::unsupported(
                "MATCH FULL on a foreign key of several columns",
            ));
        }
        let own = positions(&table, columns)?;
        let parent = match referenced {
            Some(id) if *id != table.id => {
                let parent = self.table(*id)?;
                self.lock_table(&parent, LockMode::ShareRowExclusive)
                    .await?;
                self.session.state.require_privilege(parent.id, 'x')?;
                (*parent).clone()
            }
            _ => table.clone(),
        };
        let (index, parent_columns) = referenced_index(&parent, referenced_columns)?;
        if parent_columns.len() != own.len() {
            bail!(
                InvalidForeignKey,
                "number of referencing and referenced columns for foreign key disagree"
            );
        }
        for (&a, &b) in own.iter().zip(&parent_columns) {
            require_comparable(&table, a, &parent, b, &own, spec)?;
        }
        let taken = constraint_names(&table);
        let name = match &spec.name {
            Some(name) if taken.contains(&name.as_str()) => {
                return Err(duplicate_constraint(name, &table.name));
            }
            Some(name) => name.clone(),
            None => self.choose_name(
                table.schema,
                &table.name,
                &columns.join("_"),
                "fkey",
                &taken,
            ),
        };
        let key = ForeignKey {
            id: self.next_id(),
            name,
            columns: own,
            referenced: parent.id,
            referenced_columns: parent_columns,
            referenced_index: index,
            on_update: *on_update,
            on_delete: *on_delete,
            match_full: *match_full,
            deferrable: spec.deferrable,
            initially_deferred: spec.initially_deferred,
        };
        table.foreign_keys.push(key);
        let table = (*self.put_table(table)?).clone();
        if !is_new && !spec.not_valid {
            self.validate_foreign_keys(&table).await?;
        }
        Ok(table)
    }

    /// Checks the newest foreign key against the stored rows.
    async fn validate_foreign_keys(&mut self, table: &Table) -> Result<()> {
        let rt = self.runtime(table)?;
        let mut rows = Vec::new();
        self.each_row(&rt, |_, _, row| {
            rows.push(row.to_vec());
            Ok(())
        })?;
        let Some(key) = table.foreign_keys.last().map(|k| k.id) else {
            return Ok(());
        };
        let catalog = std::sync::Arc::new(self.catalog.clone());
        let before = std::mem::replace(&mut self.session.state.catalog, catalog);
        let result = self
            .session
            .with_writer(async |writer| {
                for row in &rows {
                    writer.checks.require_reference(&rt, key, row);
                }
                writer.run_checks().await
            })
            .await;
        self.session.state.catalog = before;
        result
    }

    /// ALTER TABLE … DROP CONSTRAINT.
    pub(crate) async fn drop_constraint(
        &mut self,
        mut table: Table,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<Table> {
        if let Some(at) = table.checks.iter().position(|c| c.name == name) {
            table.checks.remove(at);
            return Ok(table);
        }
        if let Some(at) = table.foreign_keys.iter().position(|k| k.name == name) {
            table.foreign_keys.remove(at);
            return Ok(table);
        }
        let found = table
            .indexes
            .iter()
            .position(|i| i.constraint.is_some() && i.name == name);
        let Some(at) = found else {
            if if_exists {
                self.notice(format!(
                    "constraint \"{name}\" of relation \"{}\" does not exist, skipping",
                    table.name
                ));
                return Ok(table);
            }
            bail!(
                UndefinedObject,
                "constraint \"{name}\" of relation \"{}\" does not exist",
                table.name
            );
        };
        self.drop_dependent_keys(&table, table.indexes[at].id, name, cascade)?;
        // Keys of the table to itself may have gone with the others.
        let mut table = Table {
            foreign_keys: self.table(table.id)?.foreign_keys.clone(),
            ..table
        };
        let index = table.indexes.remove(at);
        if index.primary {
            table.key = Vec::new();
            let old = self.table(table.id)?;
            return self
                .rewrite(&old, table, &super::rewrite::Rewrite::default())
                .await;
        }
        self.drop_storage(table.database, index.storage)?;
        Ok(table)
    }

    /// Foreign keys of any table that rely on a unique index.
    pub(crate) fn drop_dependent_keys(
        &mut self,
        table: &Table,
        index: ObjectId,
        name: &str,
        cascade: bool,
    ) -> Result<()> {
        let dependents: Vec<ObjectId> = self
            .catalog
            .referencing(table.id)
            .filter(|(_, k)| k.referenced_index == index)
            .map(|(t, _)| t.id)
            .collect();
        for id in dependents {
            let mut child = (*self.table(id)?).clone();
            if !cascade {
                let key = child
                    .foreign_keys
                    .iter()
                    .find(|k| k.referenced_index == index);
                return Err(Error::new(
                    ErrorKind::DependentObjectsStillExist,
                    format!(
                        "cannot drop constraint {name} on table {} because other objects depend on it",
                        table.name
                    ),
                )
                .with_detail(format!(
                    "constraint {} on table {} depends on index {name}",
                    key.map_or("?", |k| k.name.as_str()),
                    child.name
                ))
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
            }
            child.foreign_keys.retain(|k| k.referenced_index != index);
            self.put_table(child)?;
        }
        Ok(())
    }
}

fn constraint_names(table: &Table) -> Vec<&str> {
    let checks = table.checks.iter().map(|c| c.name.as_str());
    let keys = table.foreign_keys.iter().map(|k| k.name.as_str());
    let indexes = table.indexes.iter().map(|i| i.name.as_str());
    checks.chain(keys).chain(indexes).collect()
}

fn duplicate_constraint(name: &str, table: &str) -> Error {
    Error::new(
        ErrorKind::DuplicateObject,
        format!("constraint \"{name}\" for relation \"{table}\" already exists"),
    )
}

/// Positions of named columns.
pub(crate) fn positions(table: &Table, names: &[String]) -> Result<Vec<usize>> {
    names
        .iter()
        .map(|name| {
            table
                .column(name)
                .map(|(position, _)| position)
                .ok_or_else(|| {
                    Error::new(
                        ErrorKind::UndefinedColumn,
                        format!("column \"{name}\" named in key does not exist"),
                    )
                })
        })
        .collect()
}

/// The unique index that a foreign key refers to, and its columns in the key's order.
fn referenced_index(parent: &Table, names: &[String]) -> Result<(ObjectId, Vec<usize>)> {
    if names.is_empty() {
        return match parent.primary_key() {
            Some(index) => Ok((index.id, parent.key.clone())),
            None => bail!(
                UndefinedObject,
                "there is no primary key for referenced table \"{}\"",
                parent.name
            ),
        };
    }
    let columns = names
        .iter()
        .map(|name| {
            parent
                .column(name)
                .map(|(position, _)| position)
                .ok_or_else(|| {
                    Error::new(
                        ErrorKind::UndefinedColumn,
                        format!(
                            "column \"{name}\" referenced in foreign key constraint does not exist"
                        ),
                    )
                })
        })
        .collect::<Result<Vec<_>>>()?;
    let matches = |index: &&Index| {
        index.unique
            && index.predicate.is_none()
            && index.columns.len() == columns.len()
            && index
                .columns
                .iter()
                .all(|c| matches!(c.key, IndexKey::Column(p) if columns.contains(&p)))
    };
    match parent.indexes.iter().find(matches) {
        Some(index) => Ok((index.id, columns)),
        None => bail!(
            InvalidForeignKey,
            "there is no unique constraint matching given keys for referenced table \"{}\"",
            parent.name
        ),
    }
}

fn require_comparable(
    table: &Table,
    a: usize,
    parent: &Table,
    b: usize,
    columns: &[usize],
    spec: &ConstraintSpec,
) -> Result<()> {
    let (left, right) = (&table.columns[a], &parent.columns[b]);
    let integer = |oid: u32| matches!(oid, 20 | 21 | 23);
    let text = |oid: u32| matches!(oid, 25 | 1043);
    let (x, y) = (left.ty.oid, right.ty.oid);
    if x == y || (integer(x) && integer(y)) || (text(x) && text(y)) || (integer(x) && y == 1700) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::DatatypeMismatch,
        format!(
            "foreign key constraint \"{}\" cannot be implemented",
            spec.name.clone().unwrap_or_else(|| {
                let names: Vec<&str> = columns
                    .iter()
                    .map(|c| table.columns[*c].name.as_str())
                    .collect();
                format!("{}_{}_fkey", table.name, names.join("_"))
            })
        ),
    )
    .with_detail(format!(
        "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
        left.name,
        right.name,
        helios_types::text::format_type(left.ty),
        helios_types::text::format_type(right.ty)
    )))
}
