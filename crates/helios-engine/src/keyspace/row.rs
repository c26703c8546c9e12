//! The rows of the `redis.*` tables one by one: their names, and what stands under a name.
//!
//! A row is a key, or an element of one: a field, a member, or a place in a list. Its name is the
//! value of the hidden key column, by which changes and locks of the row know it; the lock itself
//! is that of the whole key, which Redis commands take too.

use super::access::Access;
use super::entry::Kind;
use super::number;
use super::session::database_numbered;
use super::tables::{KeyFilter, Table};
use super::{DATABASES, Database};
use helios_types::value::Rows;
use helios_types::{DatabaseId, Error, Result, Value, bail, limits};

pub(crate) const DB: usize = 0;
pub(crate) const KEY: usize = 1;
/// Field, member or index; the value of a string.
pub(crate) const ELEMENT: usize = 2;
/// The value of a field or list element, the score of a member, the expiry of a string.
pub(crate) const VALUE: usize = 3;
/// The expiry in `redis.keys`.
pub(crate) const KEYS_EXPIRY: usize = 4;
pub(crate) const KEYS_TTL: usize = 5;

/// Room that a key leaves for the rest of its stored form.
const OVERHEAD: usize = 64;

/// Which element of its key a row is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Element {
    /// The row is the key.
    Whole,
    /// A field of a hash, a member of a set.
    Named(Vec<u8>),
    /// A place in a list.
    At(i64),
}

/// The name of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RowName {
    pub(crate) number: u32,
    pub(crate) key: Vec<u8>,
    pub(crate) element: Element,
}

fn bytes(value: Option<&Value>) -> Result<&[u8]> {
    match value {
        Some(Value::Bytea(bytes)) => Ok(bytes),
        _ => Err(Error::internal("a row of the keyspace without its key")),
    }
}

impl RowName {
    /// The name of a row of a table. An element of a list must have its index.
    pub(crate) fn of(table: Table, row: &[Value]) -> Result<RowName> {
        let element = match table {
            Table::Keys | Table::Strings => Element::Whole,
            Table::Lists => match row.get(ELEMENT) {
                Some(Value::Int8(index)) => Element::At(*index),
                _ => return Err(Error::internal("an element of a list without its index")),
            },
            Table::Hashes | Table::Sets | Table::SortedSets => {
                Element::Named(bytes(row.get(ELEMENT))?.to_vec())
            }
        };
        let (number, key) = Self::key_of(row)?;
        if let Element::Named(name) = &element {
            check_length(key.len() + name.len())?;
        }
        Ok(RowName {
            number,
            key,
            element,
        })
    }

    /// The logical database and the key of a row.
    pub(crate) fn key_of(row: &[Value]) -> Result<(u32, Vec<u8>)> {
        let number = row.get(DB).and_then(Value::as_i64).unwrap_or(-1);
        let number = u32::try_from(number).ok().filter(|n| *n < DATABASES);
        let Some(number) = number else {
            let error = Error::new(
                helios_types::ErrorKind::NumericOutOfRange,
                "there is no such logical database of Redis",
            );
            return Err(error.with_hint(format!("They are numbered 0 to {}.", DATABASES - 1)));
        };
        let key = bytes(row.get(KEY))?.to_vec();
        check_length(key.len())?;
        Ok((number, key))
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut out = Vec::with_capacity(8 + self.key.len());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&(self.key.len() as u32).to_be_bytes());
        out.extend_from_slice(&self.key);
        match &self.element {
            Element::Whole => {}
            Element::Named(name) => out.extend_from_slice(name),
            Element::At(index) => out.extend_from_slice(&index.to_be_bytes()),
        }
        Value::Bytea(out.into())
    }

    /// Reads what [`RowName::to_value`] made.
    pub(crate) fn decode(table: Table, name: &[u8]) -> Result<RowName> {
        let decoded = || {
            let (number, rest) = name.split_first_chunk::<4>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (key, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            let element = match table {
                Table::Keys | Table::Strings => Element::Whole,
                Table::Lists => Element::At(i64::from_be_bytes(*rest.first_chunk()?)),
                Table::Hashes | Table::Sets | Table::SortedSets => Element::Named(rest.to_vec()),
            };
            Some(RowName {
                number: u32::from_be_bytes(*number),
                key: key.to_vec(),
                element,
            })
        };
        decoded().ok_or_else(|| Error::internal("the name of a row of the keyspace"))
    }

    pub(crate) fn database(&self, of: DatabaseId) -> Database {
        database_numbered(of, self.number)
    }
}

fn check_length(length: usize) -> Result<()> {
    if length > limits::KEY_BYTES_MAX - OVERHEAD {
        bail!(
            LimitExceeded,
            "key size {length} exceeds maximum {} for the keyspace",
            limits::KEY_BYTES_MAX - OVERHEAD
        );
    }
    Ok(())
}

impl Access<'_> {
    /// The row of a table under a name, if it is there.
    pub(crate) fn table_row(&mut self, table: Table, name: &RowName) -> Result<Option<Vec<Value>>> {
        let (key, kind) = (name.key.as_slice(), self.kind(&name.key)?);
        if kind.is_none() || table.kind().is_some_and(|of| kind != Some(of)) {
            return Ok(None);
        }
        let last = match (&name.element, table.kind()) {
            (Element::Whole, _) => {
                let mut rows = Rows::default();
                self.scan_table(table, &KeyFilter::exactly(key), &mut rows)?;
                return Ok(rows.0.pop());
            }
            (Element::Named(field), Some(Kind::Hash)) => {
                let slot = self.hash(key)?;
                let value = self.hash_get(&slot, field)?;
                value.map(|value| vec![Value::bytea(field), Value::bytea(value.bytes())])
            }
            (Element::Named(member), Some(Kind::Set)) => {
                let slot = self.set_slot(key)?;
                let found = self.set_contains(&slot, member)?;
                found.then(|| vec![Value::bytea(member)])
            }
            (Element::Named(member), _) => {
                let slot = self.zset(key)?;
                let score = self.zset_score(&slot, member)?;
                score.map(|score| vec![Value::bytea(member), Value::Float8(score)])
            }
            (Element::At(index), _) => {
                let slot = self.list(key)?;
                let item = match *index {
                    0.. => self.list_at(&slot, *index)?,
                    _ => None,
                };
                item.map(|item| vec![Value::Int8(*index), Value::bytea(item)])
            }
        };
        Ok(last.map(|last| {
            let number = i32::try_from(name.number).unwrap_or(i32::MAX);
            let mut row = vec![Value::Int4(number), Value::bytea(key)];
            row.extend(last);
            row
        }))
    }
}

/// A key for messages: as text where it is text.
pub(crate) fn shown(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => format!("\"{text}\""),
        _ => {
            let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\\x{hex}")
        }
    }
}

/// A score as the table shows it: minus zero is zero.
pub(crate) fn score(value: f64) -> f64 {
    number::score_of(number::score_key(value + 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written() {
        let row = |element: Value| vec![Value::Int4(3), Value::bytea(b"k\0"), element];
        for (table, element) in [
            (Table::Keys, Value::from("string")),
            (Table::Hashes, Value::bytea(b"")),
            (Table::Sets, Value::bytea(b"a\0b")),
            (Table::Lists, Value::Int8(-1)),
        ] {
            let name = RowName::of(table, &row(element)).unwrap();
            let Value::Bytea(encoded) = name.to_value() else {
                panic!("a name is bytes")
            };
            assert_eq!(RowName::decode(table, &encoded).unwrap(), name);
        }
        assert!(RowName::decode(Table::Lists, &[0; 9]).is_err());
        assert!(RowName::of(Table::Lists, &row(Value::Null)).is_err());
    }
}
