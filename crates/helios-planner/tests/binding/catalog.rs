//! A catalog for binding tests: PostgreSQL's system tables, and what CREATE statements make.

use helios_planner::catalog::*;
use helios_planner::sql::{BindContext, Bound, bind, parse};
use helios_planner::utility::{ConstraintKind, CreateTable, Utility};
use helios_types::{DatabaseId, ObjectId, Type};
use std::sync::Arc;

pub const DATABASE: DatabaseId = DatabaseId(5);
pub const ROLE: ObjectId = ObjectId(10);
const PUBLIC: ObjectId = ObjectId(2200);

pub struct TestCatalog {
    pub catalog: Catalog,
    pub path: Vec<String>,
}

impl TestCatalog {
    pub fn new() -> Self {
        let mut catalog = Catalog {
            next_id: FIRST_USER_ID,
            ..Default::default()
        };
        let database = Database {
            id: DATABASE,
            name: "test".into(),
            owner: ROLE,
            grants: vec![],
            comment: None,
        };
        catalog.databases.insert(DATABASE, Arc::new(database));
        let role = Role {
            id: ROLE,
            name: "postgres".into(),
            superuser: true,
            login: true,
            create_database: true,
            create_role: true,
            inherit: true,
            password: None,
            member_of: vec![],
        };
        catalog.roles.insert(ROLE, Arc::new(role));
        for (id, name, database) in [
            (PG_CATALOG_SCHEMA, "pg_catalog", DatabaseId(0)),
            (PUBLIC, "public", DATABASE),
        ] {
            let schema = Schema {
                id,
                database,
                name: name.into(),
                owner: ROLE,
                grants: vec![],
                comment: None,
            };
            catalog.schemas.insert(id, Arc::new(schema));
        }
        let mut test = TestCatalog {
            catalog,
            path: vec!["$user".into(), "public".into()],
        };
        test.add_system_tables();
        test
    }

    /// One line a column: schema, table, column, type, table's OID.
    fn add_system_tables(&mut self) {
        let mut tables: Vec<VirtualTable> = Vec::new();
        for line in include_str!("../data/binding/system_columns.tsv").lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [_, table, column, ty, oid] = fields[..] else {
                panic!("system_columns.tsv: {line}")
            };
            let column = (column.to_string(), Type::new(ty.parse().unwrap()));
            match tables.last_mut() {
                Some(last) if last.name == table => last.columns.push(column),
                _ => tables.push(VirtualTable {
                    id: ObjectId(oid.parse().unwrap()),
                    schema: PG_CATALOG_SCHEMA,
                    name: table.to_string(),
                    columns: vec![column],
                    lookups: vec![],
                    unique: vec![],
                    written: None,
                }),
            }
        }
        for table in tables {
            let (id, name) = (table.id, Arc::from(table.name.as_str()));
            self.catalog
                .relation_names
                .insert((PG_CATALOG_SCHEMA, name), id);
            self.catalog
                .relations
                .insert(id, Relation::Virtual(Arc::new(table)));
        }
    }

    pub fn context(&self) -> BindContext<'_> {
        BindContext::new(Arc::new(self.catalog.clone()), DATABASE, &self.path, ROLE)
    }

    /// Binds every statement of a text, carries out CREATE and ADD PRIMARY KEY, and gives the
    /// errors with the statement they belong to.
    pub fn run(&mut self, sql: &str) -> Vec<String> {
        let mut errors = Vec::new();
        for statement in parse(sql).expect("the corpus parses") {
            match bind(&statement, &self.context()) {
                Ok(Bound::Utility(utility)) => self.apply(utility),
                Ok(Bound::Plan(_)) => {}
                Err(error) => errors.push(format!("{error:?}\n  {}", statement.text())),
            }
        }
        errors
    }

    fn next_id(&mut self) -> ObjectId {
        self.catalog.next_id += 1;
        ObjectId(self.catalog.next_id - 1)
    }

    fn apply(&mut self, utility: Utility) {
        match utility {
            Utility::CreateTable(create) => self.create(&create),
            Utility::AlterTable { table, changes } => {
                let mut table = self.catalog.table(table).unwrap().as_ref().clone();
                for change in changes {
                    if let helios_planner::utility::AlterTable::AddConstraint(c) = change {
                        self.constrain(&mut table, &c.kind, c.name.as_deref());
                    }
                }
                self.catalog
                    .relations
                    .insert(table.id, Relation::Table(Arc::new(table)));
            }
            Utility::CreateView(view) => {
                let id = self.next_id();
                let name = Arc::from(view.name.as_str());
                let view = View {
                    id,
                    database: DATABASE,
                    schema: view.schema,
                    name: view.name,
                    owner: ROLE,
                    columns: view.columns,
                    query: view.query,
                    depends_on: view.depends_on,
                    grants: vec![],
                    comment: None,
                };
                self.catalog.relation_names.insert((view.schema, name), id);
                self.catalog
                    .relations
                    .insert(id, Relation::View(Arc::new(view)));
            }
            _ => {}
        }
    }

    fn create(&mut self, create: &CreateTable) {
        let id = self.next_id();
        let columns: Vec<Column> = create
            .columns
            .iter()
            .map(|c| Column {
                name: c.name.clone(),
                ty: c.ty,
                not_null: c.not_null,
                default: c.default.clone(),
                identity: c.identity.as_ref().map(|(i, _)| *i),
                sequence: None,
                generated: c.generated.clone(),
                dropped: false,
                missing: None,
                comment: None,
            })
            .collect();
        let mut table = Table {
            id,
            database: DATABASE,
            schema: create.schema,
            name: create.name.clone(),
            owner: ROLE,
            shape: Shape::Relational,
            storage: id,
            layouts: vec![],
            columns,
            schema_version: 0,
            key: vec![],
            indexes: vec![],
            checks: vec![],
            foreign_keys: vec![],
            history: false,
            redis_prefix: None,
            grants: vec![],
            comment: None,
            temporary: create.temporary,
        };
        for constraint in &create.constraints {
            self.constrain(&mut table, &constraint.kind, constraint.name.as_deref());
        }
        self.catalog
            .relation_names
            .insert((table.schema, Arc::from(create.name.as_str())), id);
        self.catalog
            .relations
            .insert(id, Relation::Table(Arc::new(table)));
    }

    fn constrain(&mut self, table: &mut Table, kind: &ConstraintKind, name: Option<&str>) {
        let (columns, primary) = match kind {
            ConstraintKind::PrimaryKey { columns, .. } => (columns, true),
            ConstraintKind::Unique { columns, .. } => (columns, false),
            _ => return,
        };
        let positions: Vec<usize> = columns.iter().map(|c| table.column(c).unwrap().0).collect();
        let id = self.next_id();
        let default = if primary {
            format!("{}_pkey", table.name)
        } else {
            format!("{}_{}_key", table.name, columns.join("_"))
        };
        table.indexes.push(Index {
            id,
            storage: id,
            name: name.map_or(default, str::to_string),
            unique: true,
            primary,
            constraint: Some(id),
            columns: positions
                .iter()
                .map(|p| IndexColumn {
                    key: IndexKey::Column(*p),
                    descending: false,
                    nulls_first: false,
                })
                .collect(),
            include: vec![],
            predicate: None,
            nulls_not_distinct: false,
            multikey: false,
            ready: true,
            comment: None,
        });
        if primary {
            table.key = positions;
        }
    }
}
