//! The keyspace as SQL sees it: the rows of the `redis.*` tables.
//!
//! A table's rows are made while the keyspace is scanned, each handed to the sink at once. Keys,
//! fields, members and values are `bytea`, because they may hold any bytes; `'user:1'` is valid
//! input for it. A restriction on the key reaches the scan as a range.

use super::access::Access;
use super::entry::{Entry, Form, Kind, Meta};
use super::keys::encoding_of;
use super::number;
use helios_storage::Header;
use helios_types::value::RowSink;
use helios_types::{Result, Type, ValueRef};
use std::sync::atomic::Ordering::Relaxed;

/// A table of the `redis` schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Keys,
    Strings,
    Hashes,
    Lists,
    Sets,
    SortedSets,
}

impl Table {
    pub const ALL: [Table; 6] = [
        Table::Keys,
        Table::Strings,
        Table::Hashes,
        Table::Lists,
        Table::Sets,
        Table::SortedSets,
    ];

    /// The name in the schema `redis`.
    pub fn name(self) -> &'static str {
        match self {
            Table::Keys => "keys",
            Table::Strings => "strings",
            Table::Hashes => "hashes",
            Table::Lists => "lists",
            Table::Sets => "sets",
            Table::SortedSets => "zsets",
        }
    }

    pub fn columns(self) -> &'static [(&'static str, Type)] {
        match self {
            Table::Keys => &[
                ("db", Type::INT4),
                ("key", Type::BYTEA),
                ("type", Type::TEXT),
                ("encoding", Type::TEXT),
                ("expire_at", Type::TIMESTAMPTZ),
                ("ttl_ms", Type::INT8),
                ("size", Type::INT8),
            ],
            Table::Strings => &[
                ("db", Type::INT4),
                ("key", Type::BYTEA),
                ("value", Type::BYTEA),
                ("expire_at", Type::TIMESTAMPTZ),
            ],
            Table::Hashes => &[
                ("db", Type::INT4),
                ("key", Type::BYTEA),
                ("field", Type::BYTEA),
                ("value", Type::BYTEA),
            ],
            Table::Lists => &[
                ("db", Type::INT4),
                ("key", Type::BYTEA),
                ("idx", Type::INT8),
                ("value", Type::BYTEA),
            ],
            Table::Sets => &[
                ("db", Type::INT4),
                ("key", Type::BYTEA),
                ("member", Type::BYTEA),
            ],
            Table::SortedSets => &[
                ("db", Type::INT4),
                ("key", Type::BYTEA),
                ("member", Type::BYTEA),
                ("score", Type::FLOAT8),
            ],
        }
    }

    /// How many of the leading columns identify a row; they are the table's primary key.
    pub fn key_columns(self) -> usize {
        match self {
            Table::Keys | Table::Strings => 2,
            _ => 3,
        }
    }

    pub(super) fn kind(self) -> Option<Kind> {
        match self {
            Table::Keys => None,
            Table::Strings => Some(Kind::String),
            Table::Hashes => Some(Kind::Hash),
            Table::Lists => Some(Kind::List),
            Table::Sets => Some(Kind::Set),
            Table::SortedSets => Some(Kind::SortedSet),
        }
    }
}

/// Keys from `low` (inclusive) to `high` (exclusive; `None`: to the end).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    pub low: Vec<u8>,
    pub high: Option<Vec<u8>>,
}

impl KeyFilter {
    /// One key.
    pub fn exactly(key: &[u8]) -> Self {
        KeyFilter {
            low: key.to_vec(),
            high: Some([key, &[0]].concat()),
        }
    }
}

impl Access<'_> {
    /// Hands the rows of `table` in this logical database to `sink`, in the order of the keys.
    pub fn scan_table(
        &mut self,
        table: Table,
        filter: &KeyFilter,
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        self.pin();
        let db = ValueRef::Int4(i32::try_from(self.database().number()).unwrap_or(i32::MAX));
        let now_ms = self.now_ms();
        let list_max = self
            .keyspace()
            .thresholds()
            .list_max_listpack_size
            .load(Relaxed) as i64;
        // Large collections are in another part of the storage: they are shown after the entries.
        let mut large: Vec<(Vec<u8>, Kind, Meta)> = Vec::new();
        self.entry_scan(
            &filter.low,
            filter.high.as_deref(),
            false,
            &mut |key, header, entry| {
                if table.kind().is_some_and(|kind| kind != entry.kind) {
                    return Ok(true);
                }
                match table {
                    Table::Keys => key_row(&db, key, header, &entry, (now_ms, list_max), sink)?,
                    Table::Strings => {
                        let Form::String(value) = entry.form else {
                            return Ok(true);
                        };
                        sink.row(&[
                            db.clone(),
                            ValueRef::Bytea(key),
                            ValueRef::Bytea(value),
                            expire_at(header),
                        ])?;
                    }
                    _ => match entry.form {
                        Form::Large(meta) => large.push((key.to_vec(), entry.kind, meta)),
                        _ => small_rows(&db, key, &entry, sink)?,
                    },
                }
                Ok(true)
            },
        )?;
        for (key, kind, meta) in large {
            self.large_rows(&db, &key, kind, &meta, sink)?;
        }
        Ok(())
    }

    fn large_rows(
        &mut self,
        db: &ValueRef<'_>,
        key: &[u8],
        kind: Kind,
        meta: &Meta,
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        let within: &[u8] = if kind == Kind::SortedSet {
            super::zsets::BY_MEMBER
        } else {
            &[]
        };
        let mut index = 0i64;
        let range = super::access::SubRange::all(within);
        self.sub_scan(&meta.version, range, &mut |sub, value| {
            let sub = sub.get(within.len()..).unwrap_or_default();
            if kind == Kind::List {
                let mut items = super::packed::Packed::new(value).items();
                while let Some(item) = items.next_item()? {
                    list_row(db, key, index, item, sink)?;
                    index += 1;
                }
            } else {
                element_row(db, key, kind, sub, value, sink)?;
            }
            Ok(true)
        })
    }
}

fn expire_at(header: &Header) -> ValueRef<'static> {
    match header
        .expire_ms
        .and_then(|ms| i64::try_from(ms).ok()?.checked_mul(1000))
    {
        Some(micros) => ValueRef::TimestampTz(micros),
        None => ValueRef::Null,
    }
}

fn key_row(
    db: &ValueRef<'_>,
    key: &[u8],
    header: &Header,
    entry: &Entry<'_>,
    (now_ms, list_max): (u64, i64),
    sink: &mut dyn RowSink,
) -> Result<()> {
    let left = header.expire_ms.map(|at| at.saturating_sub(now_ms) as i64);
    sink.row(&[
        db.clone(),
        ValueRef::Bytea(key),
        ValueRef::Text(entry.kind.name()),
        ValueRef::Text(encoding_of(entry, list_max)),
        expire_at(header),
        left.map_or(ValueRef::Null, ValueRef::Int8),
        ValueRef::Int8(entry.count() as i64),
    ])
}

fn small_rows(
    db: &ValueRef<'_>,
    key: &[u8],
    entry: &Entry<'_>,
    sink: &mut dyn RowSink,
) -> Result<()> {
    let Form::Small { items, .. } = entry.form else {
        return Ok(());
    };
    let mut items = items.items();
    match entry.kind {
        Kind::Hash => {
            while let Some((field, value)) = items.next_pair()? {
                element_row(db, key, entry.kind, field, value, sink)?;
            }
        }
        Kind::List => {
            let mut index = 0;
            while let Some(item) = items.next_item()? {
                list_row(db, key, index, item, sink)?;
                index += 1;
            }
        }
        Kind::SortedSet => {
            while let Some(item) = items.next_item()? {
                let (score, member) = item.split_at(item.len().min(8));
                element_row(db, key, entry.kind, member, score, sink)?;
            }
        }
        Kind::Set | Kind::String => {
            while let Some(member) = items.next_item()? {
                element_row(db, key, entry.kind, member, &[], sink)?;
            }
        }
    }
    Ok(())
}

fn list_row(
    db: &ValueRef<'_>,
    key: &[u8],
    index: i64,
    item: &[u8],
    sink: &mut dyn RowSink,
) -> Result<()> {
    let row = [
        db.clone(),
        ValueRef::Bytea(key),
        ValueRef::Int8(index),
        ValueRef::Bytea(item),
    ];
    sink.row(&row)
}

fn element_row(
    db: &ValueRef<'_>,
    key: &[u8],
    kind: Kind,
    element: &[u8],
    value: &[u8],
    sink: &mut dyn RowSink,
) -> Result<()> {
    let beside = match kind {
        Kind::SortedSet => {
            let score = value
                .first_chunk::<8>()
                .map_or(0.0, |key| number::score_of(*key));
            Some(ValueRef::Float8(score))
        }
        Kind::Hash => Some(ValueRef::Bytea(value)),
        _ => None,
    };
    let (key, element) = (ValueRef::Bytea(key), ValueRef::Bytea(element));
    match beside {
        Some(value) => sink.row(&[db.clone(), key, element, value]),
        None => sink.row(&[db.clone(), key, element]),
    }
}
