//! The catalog on disk: one record per object in the `meta` family.
//!
//! ```text
//! key   = "object/" | kind: u8 | id: u32 big endian      value = JSON of the descriptor
//! key   = "catalog/next_id"                              value = u32 big endian
//! key   = "analyzed/" | table: u32 big endian            value = i64 big endian: µs since 1970
//! ```
//!
//! JSON, because it is readable in a dump and a field added later has a default; descriptors are
//! few and read once at start. Records are written through the transaction of the DDL statement,
//! so that a catalog change commits with the rows it belongs to.

use helios_planner::catalog::{Catalog, Database, Relation, Role, Schema, Sequence, Table, View};
use helios_storage::{KeyRange, RowHeader, ScanOptions, Snapshot, Space, Store, Txn};
use helios_types::{Error, ErrorKind, ObjectId, Result, Ts};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

const OBJECTS: &[u8] = b"object/";
const NEXT_ID: &[u8] = b"catalog/next_id";
const ANALYZED: &[u8] = b"analyzed/";

/// What a record describes. The numbers are on disk and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Database = 1,
    Schema = 2,
    Role = 3,
    Table = 4,
    View = 5,
    Sequence = 6,
}

fn key(kind: Kind, id: u32) -> Vec<u8> {
    let mut key = OBJECTS.to_vec();
    key.push(kind as u8);
    key.extend_from_slice(&id.to_be_bytes());
    key
}

fn header() -> RowHeader {
    RowHeader {
        schema: 0,
        expire_ms: None,
    }
}

/// Writes one descriptor.
pub(crate) fn put<T: Serialize>(txn: &mut Txn, kind: Kind, id: u32, descriptor: &T) -> Result<()> {
    let json = serde_json::to_vec(descriptor).map_err(Error::internal)?;
    txn.put(Space::Meta, &key(kind, id), header(), &json);
    Ok(())
}

pub(crate) fn delete(txn: &mut Txn, kind: Kind, id: u32) {
    txn.delete(Space::Meta, &key(kind, id));
}

pub(crate) fn put_next_id(txn: &mut Txn, next_id: u32) {
    txn.put(Space::Meta, NEXT_ID, header(), &next_id.to_be_bytes());
}

fn analyzed_key(table: ObjectId) -> Vec<u8> {
    [ANALYZED, &table.0.to_be_bytes()].concat()
}

/// When a table was analyzed, in microseconds since 1970.
pub(crate) fn put_analyzed(txn: &mut Txn, table: ObjectId, time_us: i64) {
    let key = analyzed_key(table);
    txn.put(Space::Meta, &key, header(), &time_us.to_be_bytes());
}

pub(crate) fn delete_analyzed(txn: &mut Txn, table: ObjectId) {
    txn.delete(Space::Meta, &analyzed_key(table));
}

/// When a table was analyzed last, as far as that is committed.
pub(crate) fn analyzed(store: &Store, table: ObjectId) -> Result<Option<i64>> {
    let Some(value) = store.get(Space::Meta, &analyzed_key(table))? else {
        return Ok(None);
    };
    let (_, body) = helios_storage::split_header(&value)?;
    let time = body.try_into().map(i64::from_be_bytes);
    time.map(Some).map_err(|_| corrupt("time of ANALYZE"))
}

/// When a table or view was made, and when its definition was changed last.
pub(crate) fn times(store: &Store, relation: &Relation) -> Result<Option<(Ts, Ts)>> {
    let (kind, id) = match relation {
        Relation::Table(table) => (Kind::Table, table.id),
        Relation::View(view) => (Kind::View, view.id),
        _ => return Ok(None),
    };
    store.catalog_record_times(&key(kind, id.0))
}

/// Every committed descriptor; `None` when the directory is new.
pub(crate) fn load(snapshot: &Snapshot) -> Result<Option<Catalog>> {
    let Some(value) = snapshot.get(Space::Meta, NEXT_ID)? else {
        return Ok(None);
    };
    let (_, body) = helios_storage::split_header(&value)?;
    let next_id = body
        .try_into()
        .map(u32::from_be_bytes)
        .map_err(|_| corrupt("catalog/next_id"))?;
    let mut catalog = Catalog {
        version: 1,
        next_id,
        ..Catalog::default()
    };
    let range = KeyRange::prefix(OBJECTS);
    let mut scan = snapshot.scan(Space::Meta, range, ScanOptions::default())?;
    while let Some((key, value)) = scan.next()? {
        let kind = key.get(OBJECTS.len()).copied().unwrap_or(0);
        let (_, body) = helios_storage::split_header(value)?;
        add(&mut catalog, kind, body)?;
    }
    Ok(Some(catalog))
}

fn add(catalog: &mut Catalog, kind: u8, body: &[u8]) -> Result<()> {
    match kind {
        1 => {
            let d: Database = decode(body)?;
            catalog.databases.insert(d.id, Arc::new(d));
        }
        2 => {
            let s: Schema = decode(body)?;
            catalog.schemas.insert(s.id, Arc::new(s));
        }
        3 => {
            let r: Role = decode(body)?;
            catalog.roles.insert(r.id, Arc::new(r));
        }
        4 => insert_table(catalog, Arc::new(decode::<Table>(body)?)),
        5 => {
            let v: View = decode(body)?;
            insert_relation(catalog, &v.name.clone(), Relation::View(Arc::new(v)));
        }
        6 => {
            let s: Sequence = decode(body)?;
            insert_relation(catalog, &s.name.clone(), Relation::Sequence(Arc::new(s)));
        }
        _ => return Err(corrupt(&format!("catalog record of unknown kind {kind}"))),
    }
    Ok(())
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| corrupt("catalog record").with_cause(e))
}

fn corrupt(what: &str) -> Error {
    Error::new(
        ErrorKind::DataCorrupted,
        format!("{what} cannot be decoded"),
    )
}

/// Adds or replaces a relation that is neither a table nor an index.
pub(crate) fn insert_relation(catalog: &mut Catalog, name: &str, relation: Relation) {
    remove_relation(catalog, relation.id());
    catalog
        .relation_names
        .insert((relation.schema(), Arc::from(name)), relation.id());
    catalog.relations.insert(relation.id(), relation);
}

/// Adds or replaces a table and the names of its indexes.
pub(crate) fn insert_table(catalog: &mut Catalog, table: Arc<Table>) {
    remove_relation(catalog, table.id);
    for index in &table.indexes {
        catalog
            .relation_names
            .insert((table.schema, Arc::from(index.name.as_str())), index.id);
        let relation = Relation::Index {
            id: index.id,
            table: table.id,
            schema: table.schema,
        };
        catalog.relations.insert(index.id, relation);
    }
    catalog
        .relation_names
        .insert((table.schema, Arc::from(table.name.as_str())), table.id);
    catalog.relations.insert(table.id, Relation::Table(table));
}

/// Removes a relation, and with a table its indexes, from the look-up maps.
pub(crate) fn remove_relation(catalog: &mut Catalog, id: ObjectId) {
    let Some(relation) = catalog.relations.remove(&id) else {
        return;
    };
    let mut gone = vec![id];
    if let Relation::Table(table) = &relation {
        gone.extend(table.indexes.iter().map(|i| i.id));
    }
    catalog.relations.retain(|id, _| !gone.contains(id));
    catalog.relation_names.retain(|_, id| !gone.contains(id));
}
