//! ALTER TABLE: columns.

use super::Ddl;
use super::rewrite::{Rewrite, contains_nulls};
use helios_planner::catalog::{Column, Identity, IndexKey, StoredValue, Table};
use helios_planner::relation::RelationSource;
use helios_planner::scalar::{CompiledExpr, ValueEnv};
use helios_planner::sql::{BindContext, bind_table_expression};
use helios_planner::utility::{ColumnSpec, ConstraintSpec, SequenceOptions};
use helios_types::text::{TextContext, to_text};
use helios_types::{Error, ErrorKind, ObjectId, Result, Type, Value, bail, limits};

/// The position of a named column.
pub(crate) fn position(table: &Table, name: &str) -> Result<usize> {
    table
        .column(name)
        .map(|(position, _)| position)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::UndefinedColumn,
                format!(
                    "column \"{name}\" of relation \"{}\" does not exist",
                    table.name
                ),
            )
        })
}

impl Ddl<'_> {
    pub(crate) async fn add_column(
        &mut self,
        mut table: Table,
        spec: &ColumnSpec,
        constraints: &[ConstraintSpec],
        if_not_exists: bool,
    ) -> Result<Table> {
        if table.column(&spec.name).is_some() {
            let message = format!(
                "column \"{}\" of relation \"{}\" already exists",
                spec.name, table.name
            );
            if if_not_exists {
                self.session
                    .state
                    .notice("NOTICE", b"42701", format!("{message}, skipping"));
                return Ok(table);
            }
            bail!(DuplicateColumn, "{message}");
        }
        if table.columns.len() >= limits::COLUMNS_MAX {
            bail!(
                LimitExceeded,
                "tables can have at most {} columns",
                limits::COLUMNS_MAX
            );
        }
        require_relational(&table)?;
        let old = table.clone();
        let mut column = self.make_column(&table, spec)?;
        let per_row = spec.serial || spec.identity.is_some() || spec.generated.is_some();
        let volatile = match &column.default {
            Some(text) if !per_row => match self.constant_default(&table, text, column.ty)? {
                Some(value) => {
                    let text = (!value.is_null())
                        .then(|| to_text(column.ty, &value, &TextContext::default()));
                    column.missing = Some(StoredValue(text));
                    false
                }
                None => true,
            },
            _ => per_row,
        };
        let has_value = column.missing.as_ref().is_some_and(|m| m.0.is_some()) || volatile;
        if column.not_null && !has_value && self.has_rows(&table)? {
            return Err(contains_nulls(&column.name, &table.name));
        }
        let at = table.columns.len();
        table.columns.push(column);
        if volatile && self.has_rows(&old)? {
            table = self.fill_column(&old, table, at).await?;
        } else {
            // Older rows lack the column; their schema version says so.
            table.schema_version = table.layouts.len() as u32;
            table
                .layouts
                .push(table.columns.iter().map(|c| c.ty).collect());
        }
        let mut table = (*self.put_table(table)?).clone();
        for constraint in constraints {
            table = self.add_constraint(table, constraint, false).await?;
        }
        Ok(table)
    }

    /// A rewrite that computes a new column for each row.
    async fn fill_column(&mut self, old: &Table, table: Table, at: usize) -> Result<Table> {
        let column = &table.columns[at];
        let text = match (&column.generated, &column.default, column.sequence) {
            (Some(text), _, _) | (None, Some(text), _) => text.clone(),
            (None, None, Some(sequence)) => format!("nextval({}::regclass)", sequence.0),
            _ => return Err(Error::internal("a column without a value for each row")),
        };
        self.put_table(table.clone())?;
        let over = (column.generated.is_some()).then_some(old);
        let value = self.compile(&text, old, over.is_some(), column.ty)?;
        let rewrite = Rewrite {
            values: vec![(at, value)],
        };
        self.put_table(old.clone())?;
        self.rewrite(old, table, &rewrite).await
    }

    /// An expression over the old rows, assigned to `ty`.
    fn compile(&self, text: &str, table: &Table, over_row: bool, ty: Type) -> Result<CompiledExpr> {
        let path = self.session.state.search_path();
        let catalog = std::sync::Arc::new(self.catalog.clone());
        let context = BindContext::new(catalog, table.database, &path, self.session.state.role);
        let expr = bind_table_expression(text, over_row.then_some(table), Some(ty), &context)?;
        let source = RelationSource::table(std::sync::Arc::new(table.clone()));
        let schema = crate::kernel::runtime::row_schema(&source, &table.name)?;
        CompiledExpr::compile(&expr, &schema)
    }

    /// The value of a default that is the same for all rows; `None` when it is not.
    fn constant_default(&mut self, table: &Table, text: &str, ty: Type) -> Result<Option<Value>> {
        let path = self.session.state.search_path();
        let catalog = std::sync::Arc::new(self.catalog.clone());
        let context = BindContext::new(catalog, table.database, &path, self.session.state.role);
        let expr = bind_table_expression(text, None, Some(ty), &context)?;
        if is_volatile(&expr) {
            return Ok(None);
        }
        let compiled = CompiledExpr::compile(&expr, &datafusion::common::DFSchema::empty())?;
        let mut env = ValueEnv {
            params: &[],
            functions: &mut self.session.state,
        };
        compiled.eval(&[], &mut env).map(Some)
    }

    fn has_rows(&mut self, table: &Table) -> Result<bool> {
        let prefix = helios_storage::Prefix::new(
            table.database,
            helios_types::BranchId::MAIN,
            table.storage,
        );
        let view = self.transaction()?.txn.view_latest();
        let mut scan = view.scan(
            helios_storage::Space::Row,
            prefix.range(),
            Default::default(),
        )?;
        Ok(scan.next()?.is_some())
    }

    pub(crate) fn drop_column(
        &mut self,
        mut table: Table,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<Table> {
        let Some((at, column)) = table.column(name) else {
            if if_exists {
                self.notice(format!(
                    "column \"{name}\" of relation \"{}\" does not exist, skipping",
                    table.name
                ));
                return Ok(table);
            }
            return Err(position(&table, name)
                .err()
                .unwrap_or_else(|| Error::internal("column")));
        };
        require_relational(&table)?;
        let sequence = column.sequence;
        if table.key.contains(&at) {
            return Err(Error::unsupported("DROP COLUMN of a primary key column")
                .with_hint("Drop the primary key first."));
        }
        self.require_no_dependents(&table, name, cascade)?;
        let uses = |index: &helios_planner::catalog::Index| {
            index.include.contains(&at)
                || index.columns.iter().any(|c| c.key == IndexKey::Column(at))
                || index.predicate.is_some()
                || index
                    .columns
                    .iter()
                    .any(|c| matches!(c.key, IndexKey::Expression(..)))
        };
        let gone: Vec<(ObjectId, ObjectId, String)> = table
            .indexes
            .iter()
            .filter(|i| uses(i))
            .map(|i| (i.id, i.storage, i.name.clone()))
            .collect();
        for (id, storage, index_name) in gone {
            self.drop_dependent_keys(&table, id, &index_name, cascade)?;
            self.drop_storage(table.database, storage)?;
            table.indexes.retain(|i| i.id != id);
        }
        table.checks.retain(|c| !c.columns.contains(&at));
        table.foreign_keys.retain(|k| !k.columns.contains(&at));
        let column = &mut table.columns[at];
        column.dropped = true;
        column.name = format!("........pg.dropped.{}........", at + 1);
        column.not_null = false;
        column.default = None;
        column.identity = None;
        column.generated = None;
        column.sequence = None;
        if let Some(sequence) = sequence {
            self.remove_sequence(sequence)?;
        }
        Ok(table)
    }

    /// Views that read the table stand in the way of dropping its columns.
    fn require_no_dependents(&self, table: &Table, column: &str, cascade: bool) -> Result<()> {
        let view = self.catalog.relations.values().find_map(|r| match r {
            helios_planner::catalog::Relation::View(v) if v.depends_on.contains(&table.id) => {
                Some(v)
            }
            _ => None,
        });
        match view {
            Some(view) if !cascade => Err(Error::new(
                ErrorKind::DependentObjectsStillExist,
                format!(
                    "cannot drop column {column} of table {} because other objects depend on it",
                    table.name
                ),
            )
            .with_detail(format!(
                "view {} depends on table {}",
                view.name, table.name
            ))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")),
            Some(view) => Err(Error::unsupported(format!(
                "DROP COLUMN … CASCADE with view \"{}\" depending on the table",
                view.name
            ))),
            None => Ok(()),
        }
    }

    pub(crate) fn rename_column(
        &mut self,
        mut table: Table,
        from: &str,
        to: &str,
    ) -> Result<Table> {
        let at = position(&table, from)?;
        if table.column(to).is_some() {
            bail!(
                DuplicateColumn,
                "column \"{to}\" of relation \"{}\" already exists",
                table.name
            );
        }
        self.require_unread(table.id, "a new name for a column")?;
        let named_in_text = table.checks.iter().any(|c| c.columns.contains(&at))
            || table.columns.iter().any(|c| c.generated.is_some())
            || table.indexes.iter().any(|i| {
                i.predicate.is_some()
                    || i.columns
                        .iter()
                        .any(|c| matches!(c.key, IndexKey::Expression(..)))
            });
        if named_in_text {
            return Err(Error::unsupported(
                "RENAME of a column that a check, generated column or expression index names",
            ));
        }
        table.columns[at].name = to.to_string();
        Ok(table)
    }

    pub(crate) async fn alter_type(
        &mut self,
        mut table: Table,
        name: &str,
        ty: Type,
        using: Option<&str>,
    ) -> Result<Table> {
        let at = position(&table, name)?;
        require_relational(&table)?;
        let old = table.clone();
        if table.columns[at].ty == ty && using.is_none() {
            return Ok(table);
        }
        self.require_unread(table.id, "a new type for a column")?;
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let value = self.compile(using.unwrap_or(&quoted), &old, true, ty)?;
        table.columns[at].ty = ty;
        let rewrite = Rewrite {
            values: vec![(at, value)],
        };
        self.rewrite(&old, table, &rewrite).await
    }

    pub(crate) fn set_not_null(
        &mut self,
        mut table: Table,
        name: &str,
        not_null: bool,
    ) -> Result<Table> {
        let at = position(&table, name)?;
        if !not_null {
            if table.key.contains(&at) {
                bail!(
                    InvalidTableDefinition,
                    "column \"{name}\" is in a primary key"
                );
            }
            if table.columns[at].identity.is_some() {
                bail!(
                    SyntaxError,
                    "column \"{name}\" of relation \"{}\" is an identity column",
                    table.name
                );
            }
        } else if !table.columns[at].not_null {
            let rt = self.runtime(&table)?;
            let place = rt.place[at];
            let table_name = table.name.clone();
            self.each_row(&rt, |_, _, row| match place {
                Some(place) if row[place].is_null() => Err(contains_nulls(name, &table_name)),
                _ => Ok(()),
            })?;
        }
        table.columns[at].not_null = not_null;
        Ok(table)
    }

    pub(crate) fn add_identity(
        &mut self,
        mut table: Table,
        name: &str,
        identity: Identity,
        options: &SequenceOptions,
    ) -> Result<Table> {
        let at = position(&table, name)?;
        let column: &Column = &table.columns[at];
        if column.identity.is_some() {
            bail!(
                ObjectNotInPrerequisiteState,
                "column \"{name}\" of relation \"{}\" is already an identity column",
                table.name
            );
        }
        if !column.not_null {
            bail!(
                ObjectNotInPrerequisiteState,
                "column \"{name}\" of relation \"{}\" must be declared NOT NULL before identity can be added",
                table.name
            );
        }
        let ty = column.ty;
        let sequence = self.owned_sequence(&table, at, name, ty, options)?;
        table.columns[at].identity = Some(identity);
        table.columns[at].sequence = Some(sequence.id);
        Ok(table)
    }

    pub(crate) fn set_identity(
        &mut self,
        mut table: Table,
        name: &str,
        identity: Option<Identity>,
        options: &SequenceOptions,
    ) -> Result<Table> {
        let at = position(&table, name)?;
        let (Some(_), Some(sequence)) = (table.columns[at].identity, table.columns[at].sequence)
        else {
            bail!(
                ObjectNotInPrerequisiteState,
                "column \"{name}\" of relation \"{}\" is not an identity column",
                table.name
            );
        };
        if identity.is_some() {
            table.columns[at].identity = identity;
        }
        self.alter_sequence(sequence, options)?;
        Ok(table)
    }

    pub(crate) fn drop_identity(
        &mut self,
        mut table: Table,
        name: &str,
        if_exists: bool,
    ) -> Result<Table> {
        let at = position(&table, name)?;
        if table.columns[at].identity.take().is_none() {
            if if_exists {
                return Ok(table);
            }
            bail!(
                ObjectNotInPrerequisiteState,
                "column \"{name}\" of relation \"{}\" is not an identity column",
                table.name
            );
        }
        if let Some(sequence) = table.columns[at].sequence.take() {
            self.remove_sequence(sequence)?;
        }
        Ok(table)
    }
}

/// A table whose rows are documents has the columns it has.
fn require_relational(table: &Table) -> Result<()> {
    if table.shape == helios_planner::catalog::Shape::Relational {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "changing columns of \"{}\", which holds documents,",
        table.name
    )))
}

fn is_volatile(expr: &datafusion::logical_expr::Expr) -> bool {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    use helios_planner::function::{Volatility, as_pg_function};
    let mut found = false;
    let _ = expr.apply(|e| {
        if let datafusion::logical_expr::Expr::ScalarFunction(call) = e
            && as_pg_function(&call.func).is_none_or(|f| f.def.volatility == Volatility::Volatile)
        {
            found = true;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
