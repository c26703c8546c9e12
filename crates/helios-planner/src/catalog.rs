//! The catalog as a value: an immutable snapshot that sessions share and plans are bound against.
//!
//! database > schema > relation. A relation is a table, a view, a sequence, an index or a virtual
//! table; all of a schema share one name space, as in PostgreSQL. Every object has an [`ObjectId`]
//! that is also its PostgreSQL OID and never changes. A table's rows live under its `storage` id,
//! which changes when a rewrite (TRUNCATE, a new primary key, a changed type) gives it new rows.
//!
//! DDL clones the snapshot, changes the clone inside its transaction, and publishes it at commit
//! with a new [`Catalog::version`]; templates made under another version are made anew.

mod filled;

pub use filled::Filled;

use helios_types::{DatabaseId, ObjectId, Type, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// First id that user objects take; smaller ones are PostgreSQL's own.
pub const FIRST_USER_ID: u32 = 16384;
pub const PG_CATALOG_SCHEMA: ObjectId = ObjectId(11);
pub const PUBLIC_SCHEMA_NAME: &str = "public";

#[derive(Clone, Debug, Default)]
pub struct Catalog {
    pub version: u64,
    pub databases: BTreeMap<DatabaseId, Arc<Database>>,
    pub schemas: BTreeMap<ObjectId, Arc<Schema>>,
    pub relations: HashMap<ObjectId, Relation>,
    /// (schema, name) of every relation.
    pub relation_names: HashMap<(ObjectId, Arc<str>), ObjectId>,
    pub roles: BTreeMap<ObjectId, Arc<Role>>,
    /// Next id to hand out.
    pub next_id: u32,
    /// What older snapshots must not look for.
    pub filled: Filled,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    pub id: DatabaseId,
    pub name: String,
    pub owner: ObjectId,
    pub grants: Vec<Grant>,
    pub comment: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schema {
    pub id: ObjectId,
    pub database: DatabaseId,
    pub name: String,
    pub owner: ObjectId,
    pub grants: Vec<Grant>,
    pub comment: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    pub id: ObjectId,
    pub name: String,
    pub superuser: bool,
    pub login: bool,
    pub create_database: bool,
    pub create_role: bool,
    pub inherit: bool,
    /// SCRAM-SHA-256 verifier in PostgreSQL's text form (RFC 5803).
    pub password: Option<String>,
    pub member_of: Vec<ObjectId>,
}

/// Rights of one role on one object. `role` 0 is PUBLIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub role: ObjectId,
    pub grantor: ObjectId,
    /// PostgreSQL's letters: r SELECT, a INSERT, w UPDATE, d DELETE, D TRUNCATE, x REFERENCES,
    /// t TRIGGER, U USAGE, C CREATE, c CONNECT, T TEMPORARY.
    pub privileges: String,
    pub grantable: bool,
}

#[derive(Clone, Debug)]
pub enum Relation {
    Table(Arc<Table>),
    View(Arc<View>),
    Sequence(Arc<Sequence>),
    /// An index; the definition stands in its table.
    Index {
        id: ObjectId,
        table: ObjectId,
        schema: ObjectId,
    },
    /// Rows made by the engine: pg_catalog, information_schema, `redis.*`.
    Virtual(Arc<VirtualTable>),
}

/// Who made a table, and so how its rows are stored. Never converted on access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Typed columns in the row codec.
    Relational,
    /// Columns `_id` and `doc`; the row body is the raw BSON document, the key its `_id` in BSON
    /// comparison order.
    Document,
    /// One logical Redis database: binary keys to typed values.
    Keyspace,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    pub id: ObjectId,
    pub database: DatabaseId,
    pub schema: ObjectId,
    pub name: String,
    pub owner: ObjectId,
    pub shape: Shape,
    /// Where the rows are: the `object` of their key prefix.
    pub storage: ObjectId,
    /// In `attnum` order, dropped ones included, so that position + 1 is the attnum for ever.
    pub columns: Vec<Column>,
    /// The number written into row headers, and what older numbers meant.
    pub schema_version: u32,
    /// Column types of every version that rows may still carry: `layouts[v]` are the types of the
    /// first columns by attnum.
    pub layouts: Vec<Vec<Type>>,
    /// Positions in `columns` that make the row key; empty means a hidden 64-bit row number.
    pub key: Vec<usize>,
    /// The primary key's index comes first when there is one; it has no entries of its own.
    pub indexes: Vec<Index>,
    pub checks: Vec<Check>,
    pub foreign_keys: Vec<ForeignKey>,
    /// Keep superseded row versions.
    pub history: bool,
    /// `ALTER TABLE … SET (redis_prefix = …)`
    pub redis_prefix: Option<String>,
    pub grants: Vec<Grant>,
    pub comment: Option<String>,
    pub temporary: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub ty: Type,
    pub not_null: bool,
    /// SQL text of the default, bound where it is used.
    pub default: Option<String>,
    pub identity: Option<Identity>,
    /// The sequence that `serial` or identity made, dropped with the column.
    pub sequence: Option<ObjectId>,
    /// SQL text of `GENERATED ALWAYS AS (…) STORED`.
    pub generated: Option<String>,
    pub dropped: bool,
    /// What rows of schema versions before this column hold: the default at ALTER TABLE time.
    pub missing: Option<StoredValue>,
    pub comment: Option<String>,
}

/// A value in its PostgreSQL text form; `None` is NULL.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredValue(pub Option<String>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    Always,
    ByDefault,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Index {
    pub id: ObjectId,
    /// Where the entries are; changes when a rewrite makes them anew.
    pub storage: ObjectId,
    pub name: String,
    pub unique: bool,
    pub primary: bool,
    /// Whether a constraint (PRIMARY KEY, UNIQUE) owns it; its id is `constraint`.
    pub constraint: Option<ObjectId>,
    pub columns: Vec<IndexColumn>,
    /// Positions of columns that entries carry beyond the key.
    pub include: Vec<usize>,
    /// SQL text of a partial index's condition.
    pub predicate: Option<String>,
    pub nulls_not_distinct: bool,
    /// Document tables: an entry per array element.
    pub multikey: bool,
    /// False in the catalog of a transaction whose snapshot is older than the entries
    /// ([`Catalog::as_seen_at`]): they are written, and found by what looks at the newest state, but
    /// the snapshot is not read through them, nor is it unique by them.
    pub ready: bool,
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexColumn {
    pub key: IndexKey,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum IndexKey {
    /// Position in `Table::columns`.
    Column(usize),
    /// SQL text of an expression over the table's columns, and its type.
    Expression(String, Type),
    /// A dotted path into a document, in BSON comparison order.
    Path(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    pub id: ObjectId,
    pub name: String,
    /// SQL text of the condition.
    pub expression: String,
    /// Columns the condition names, by position.
    pub columns: Vec<usize>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForeignKey {
    pub id: ObjectId,
    pub name: String,
    pub columns: Vec<usize>,
    pub referenced: ObjectId,
    /// Positions in the referenced table, in the order of `columns`.
    pub referenced_columns: Vec<usize>,
    /// The unique index (primary key included) of the referenced table that answers the check.
    pub referenced_index: ObjectId,
    pub on_update: ReferentialAction,
    pub on_delete: ReferentialAction,
    pub match_full: bool,
    pub deferrable: bool,
    pub initially_deferred: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    pub id: ObjectId,
    pub database: DatabaseId,
    pub schema: ObjectId,
    pub name: String,
    pub owner: ObjectId,
    pub columns: Vec<(String, Type)>,
    /// The SELECT as text, every name in it schema-qualified.
    pub query: String,
    /// Relations the query reads.
    pub depends_on: Vec<ObjectId>,
    pub grants: Vec<Grant>,
    pub comment: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sequence {
    pub id: ObjectId,
    pub database: DatabaseId,
    pub schema: ObjectId,
    pub name: String,
    pub owner: ObjectId,
    pub ty: Type,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cache: i64,
    pub cycle: bool,
    /// Where its numbers are counted; another one after RESTART, so that a rollback undoes it.
    pub storage: ObjectId,
    /// `OWNED BY`: table and column position.
    pub owned_by: Option<(ObjectId, usize)>,
    pub grants: Vec<Grant>,
    pub comment: Option<String>,
}

/// A table whose rows the engine makes when it is scanned.
#[derive(Clone, Debug)]
pub struct VirtualTable {
    pub id: ObjectId,
    pub schema: ObjectId,
    pub name: String,
    pub columns: Vec<(String, Type)>,
    /// Columns whose equality the producer can use instead of a scan of everything.
    pub lookups: Vec<usize>,
    /// A set of columns that is unique, so that a lookup gives at most one row.
    pub unique: Vec<usize>,
    /// The table as statements that change or lock its rows bind it, with defaults and primary key;
    /// `None` when nobody may.
    pub written: Option<Arc<Table>>,
}

/// The value of a stored default or missing column, for those that need it as a constant.
pub type Constant = (Type, Value);

impl Table {
    /// Whether one value each of these columns, given by name, is in at most one row.
    pub fn is_unique_by(&self, columns: &[&str]) -> bool {
        let given = |position: usize| {
            let column = self.columns.get(position).filter(|c| !c.dropped);
            column.is_some_and(|c| columns.contains(&c.name.as_str()))
        };
        let of_key = |key: &[usize]| !key.is_empty() && key.iter().all(|at| given(*at));
        let of_index = |index: &Index| {
            let mut keys = index.columns.iter().map(|c| &c.key);
            index.unique
                && index.ready
                && index.predicate.is_none()
                && keys.all(|key| matches!(key, IndexKey::Column(at) if given(*at)))
        };
        of_key(&self.key) || self.indexes.iter().any(of_index)
    }

    /// Columns that exist, with their positions.
    pub fn live_columns(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, c)| !c.dropped)
    }

    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.live_columns().find(|(_, c)| c.name == name)
    }

    pub fn primary_key(&self) -> Option<&Index> {
        self.indexes.iter().find(|i| i.primary)
    }

    pub fn index(&self, id: ObjectId) -> Option<&Index> {
        self.indexes.iter().find(|i| i.id == id)
    }
}

impl Relation {
    pub fn id(&self) -> ObjectId {
        match self {
            Relation::Table(t) => t.id,
            Relation::View(v) => v.id,
            Relation::Sequence(s) => s.id,
            Relation::Index { id, .. } => *id,
            Relation::Virtual(v) => v.id,
        }
    }

    pub fn schema(&self) -> ObjectId {
        match self {
            Relation::Table(t) => t.schema,
            Relation::View(v) => v.schema,
            Relation::Sequence(s) => s.schema,
            Relation::Index { schema, .. } => *schema,
            Relation::Virtual(v) => v.schema,
        }
    }
}

impl Catalog {
    pub fn database_named(&self, name: &str) -> Option<&Arc<Database>> {
        self.databases.values().find(|d| d.name == name)
    }

    pub fn schema_named(&self, database: DatabaseId, name: &str) -> Option<&Arc<Schema>> {
        // System schemas belong to database 0 and are seen from every database.
        self.schemas
            .values()
            .find(|s| s.name == name && (s.database == database || s.database == DatabaseId(0)))
    }

    pub fn relation_named(&self, schema: ObjectId, name: &str) -> Option<&Relation> {
        let id = self.relation_names.get(&(schema, Arc::from(name)))?;
        self.relations.get(id)
    }

    pub fn table(&self, id: ObjectId) -> Option<&Arc<Table>> {
        match self.relations.get(&id) {
            Some(Relation::Table(table)) => Some(table),
            _ => None,
        }
    }

    pub fn role_named(&self, name: &str) -> Option<&Arc<Role>> {
        self.roles.values().find(|r| r.name == name)
    }

    /// Every table with a foreign key to `table`, with that key.
    pub fn referencing(&self, table: ObjectId) -> impl Iterator<Item = (&Arc<Table>, &ForeignKey)> {
        self.relations
            .values()
            .filter_map(|r| {
                if let Relation::Table(t) = r {
                    Some(t)
                } else {
                    None
                }
            })
            .flat_map(move |t| {
                t.foreign_keys
                    .iter()
                    .filter(move |f| f.referenced == table)
                    .map(move |f| (t, f))
            })
    }
}
