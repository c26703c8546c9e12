//! CREATE TABLE.

use super::Ddl;
use helios_planner::catalog::{Column, Shape, Table};
use helios_planner::utility::{ColumnSpec, CreateTable};
use helios_storage::Prefix;
use helios_types::{BranchId, ObjectId, Result, Type, bail, limits};

impl Ddl<'_> {
    pub(crate) async fn create_table(&mut self, spec: &CreateTable) -> Result<Option<ObjectId>> {
        if spec.temporary {
            bail!(Unsupported, "temporary tables are not supported");
        }
        self.session.state.require_create(spec.schema)?;
        if spec.if_not_exists
            && self
                .catalog
                .relation_named(spec.schema, &spec.name)
                .is_some()
        {
            self.session.state.notice(
                "NOTICE",
                b"42P07",
                format!("relation \"{}\" already exists, skipping", spec.name),
            );
            return Ok(None);
        }
        self.require_free_name(spec.schema, &spec.name)?;
        if spec.columns.len() > limits::COLUMNS_MAX {
            bail!(
                LimitExceeded,
                "tables can have at most {} columns",
                limits::COLUMNS_MAX
            );
        }
        let id = self.next_id();
        let mut table = self.empty_table(id, spec.schema, &spec.name)?;
        for (name, value) in &spec.options {
            if name == "redis_prefix" {
                self.claim_prefix(&table, value).await?;
            }
            super::alter::set_option(&mut table, name, Some(value))?;
        }
        if spec.document {
            return self.create_document(table).map(Some);
        }
        for column in &spec.columns {
            if table.columns.iter().any(|c| c.name == column.name) {
                bail!(
                    DuplicateColumn,
                    "column \"{}\" specified more than once",
                    column.name
                );
            }
            let column = self.make_column(&table, column)?;
            table.columns.push(column);
        }
        table.layouts = vec![table.columns.iter().map(|c| c.ty).collect()];
        // Known before its constraints are added, because they may refer to it.
        let mut table = (*self.put_table(table)?).clone();
        for constraint in &spec.constraints {
            table = self.add_constraint(table, constraint, true).await?;
        }
        self.put_table(table)?;
        Ok(Some(id))
    }

    /// A table without columns.
    pub(crate) fn empty_table(
        &mut self,
        id: ObjectId,
        schema: ObjectId,
        name: &str,
    ) -> Result<Table> {
        let database = match self.catalog.schemas.get(&schema) {
            Some(s) if s.database.0 == 0 => {
                bail!(
                    InsufficientPrivilege,
                    "permission denied to create \"{}.{name}\"",
                    s.name
                )
            }
            Some(s) => s.database,
            None => bail!(UndefinedSchema, "schema does not exist"),
        };
        let storage = Prefix::new(database, BranchId::MAIN, id);
        self.session.engine.runtimes.storage_created(storage, 0);
        Ok(Table {
            id,
            database,
            schema,
            name: name.to_string(),
            owner: self.session.state.role,
            shape: Shape::Relational,
            storage: id,
            columns: Vec::new(),
            schema_version: 0,
            layouts: vec![Vec::new()],
            key: Vec::new(),
            indexes: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            history: false,
            redis_prefix: None,
            grants: Vec::new(),
            comment: None,
            temporary: false,
        })
    }

    /// The two columns of a table whose rows are documents.
    fn create_document(&mut self, mut table: Table) -> Result<ObjectId> {
        let column = |name: &str, ty| Column {
            name: name.to_string(),
            ty,
            not_null: true,
            default: None,
            identity: None,
            sequence: None,
            generated: None,
            dropped: false,
            missing: None,
            comment: None,
        };
        table.shape = Shape::Document;
        table.columns = vec![column("_id", Type::TEXT), column("doc", Type::JSONB)];
        table.layouts = Vec::new();
        let id = table.id;
        self.put_table(table)?;
        Ok(id)
    }

    /// A column, with the sequence that serial or identity asks for.
    pub(crate) fn make_column(&mut self, table: &Table, spec: &ColumnSpec) -> Result<Column> {
        let mut column = Column {
            name: spec.name.clone(),
            ty: spec.ty,
            not_null: spec.not_null || spec.serial || spec.identity.is_some(),
            default: spec.default.clone(),
            identity: None,
            sequence: None,
            generated: spec.generated.clone(),
            dropped: false,
            missing: None,
            comment: None,
        };
        let position = table.columns.len();
        if spec.serial {
            let options = Default::default();
            let sequence = self.owned_sequence(table, position, &spec.name, spec.ty, &options)?;
            let schema = self
                .catalog
                .schemas
                .get(&table.schema)
                .map_or("public", |s| s.name.as_str());
            column.default = Some(format!(
                "nextval('{}.{}'::regclass)",
                quote(schema),
                quote(&sequence.name).replace('\'', "''")
            ));
            column.sequence = Some(sequence.id);
        } else if let Some((identity, options)) = &spec.identity {
            let sequence = self.owned_sequence(table, position, &spec.name, spec.ty, options)?;
            column.identity = Some(*identity);
            column.sequence = Some(sequence.id);
        }
        Ok(column)
    }
}

/// An identifier as SQL text, quoted when it has to be.
pub(crate) fn quote(name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if plain {
        name.to_string()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
