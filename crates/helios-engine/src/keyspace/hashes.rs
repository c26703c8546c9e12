//! Hashes. Small: field and value in turn. Large: the sub-key is the field.

use super::access::{Access, Slot, SubRange, SubValue};
use super::entry::{Entry, Form, Kind, Meta};
use super::packed::{self, Packed};
use super::{SMALL_BYTES_MAX, number};
use helios_types::{Result, bail};
use smallvec::SmallVec;
use std::sync::atomic::Ordering::Relaxed;

/// Level of a hash that OBJECT ENCODING calls `hashtable`.
const TABLE: u8 = 1;

type Fields<'a> = SmallVec<[(&'a [u8], &'a [u8]); 16]>;

/// The value of a field, inside the entry or in a sub-key of its own.
pub enum FieldValue<'a> {
    Small(&'a [u8]),
    Large(SubValue<'a>),
}

impl FieldValue<'_> {
    pub fn bytes(&self) -> &[u8] {
        match self {
            FieldValue::Small(bytes) => bytes,
            FieldValue::Large(value) => value,
        }
    }
}

fn small_fields(items: Packed<'_>) -> Result<Fields<'_>> {
    let mut fields = Fields::new();
    let mut iter = items.items();
    while let Some(pair) = iter.next_pair()? {
        fields.push(pair);
    }
    Ok(fields)
}

fn find_small<'v>(items: Packed<'v>, field: &[u8]) -> Result<Option<&'v [u8]>> {
    let mut iter = items.items();
    while let Some((name, value)) = iter.next_pair()? {
        if name == field {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

impl<'a> Access<'a> {
    /// The hash under `key`, for the methods that take its slot.
    pub fn hash(&mut self, key: &[u8]) -> Result<Slot<'a>> {
        let slot = self.slot_pinned(key)?;
        slot.of(Kind::Hash)?;
        Ok(slot)
    }

    pub fn hash_get<'s>(&self, slot: &'s Slot<'_>, field: &[u8]) -> Result<Option<FieldValue<'s>>>
    where
        'a: 's,
    {
        Ok(match slot.of(Kind::Hash)?.map(|entry| entry.form) {
            Some(Form::Small { items, .. }) => find_small(items, field)?.map(FieldValue::Small),
            Some(Form::Large(meta)) => self.sub_get(&meta.version, field)?.map(FieldValue::Large),
            _ => None,
        })
    }

    /// Shows all fields and values.
    pub fn hash_visit(
        &mut self,
        slot: &Slot<'_>,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<()> {
        match slot.of(Kind::Hash)?.map(|entry| entry.form) {
            Some(Form::Small { items, .. }) => {
                let mut iter = items.items();
                while let Some((field, value)) = iter.next_pair()? {
                    each(field, value);
                }
            }
            Some(Form::Large(meta)) => {
                self.sub_scan(&meta.version, SubRange::all(&[]), &mut |field, value| {
                    each(field, value);
                    Ok(true)
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// HSET: how many fields are new.
    pub fn hash_set<'p>(
        &mut self,
        key: &[u8],
        pairs: impl Iterator<Item = (&'p [u8], &'p [u8])> + Clone,
    ) -> Result<u64> {
        let slot = self.slot(key)?;
        self.hash_put(&slot, pairs)
    }

    /// HSETNX: whether the field was new.
    pub fn hash_set_absent(&mut self, key: &[u8], field: &[u8], value: &[u8]) -> Result<bool> {
        let slot = self.slot(key)?;
        if self.hash_get(&slot, field)?.is_some() {
            return Ok(false);
        }
        self.hash_put(&slot, std::iter::once((field, value)))?;
        Ok(true)
    }

    fn hash_put<'p>(
        &mut self,
        slot: &Slot<'_>,
        pairs: impl Iterator<Item = (&'p [u8], &'p [u8])> + Clone,
    ) -> Result<u64> {
        let entry = slot.of(Kind::Hash)?;
        let value_max = self
            .keyspace()
            .thresholds()
            .hash_max_listpack_value
            .load(Relaxed);
        let long = |bytes: &[u8]| bytes.len() as u64 > value_max;
        let mut level = entry.map_or(0, |entry| entry.level);
        if pairs
            .clone()
            .any(|(field, value)| long(field) || long(value))
        {
            level = TABLE;
        }
        let mut fields = match entry {
            Some(Entry {
                form: Form::Large(meta),
                ..
            }) => {
                return self.hash_put_large(slot, level, meta, pairs);
            }
            Some(Entry {
                form: Form::Small { items, .. },
                ..
            }) => small_fields(items)?,
            _ => Fields::new(),
        };
        let before = fields.len();
        let mut bytes: usize = fields
            .iter()
            .map(|(f, v)| packed::size(f.len()) + v.len())
            .sum();
        for (field, value) in pairs.clone() {
            match fields.iter_mut().find(|(name, _)| *name == field) {
                Some(found) => found.1 = value,
                None => fields.push((field, value)),
            }
            bytes += field.len() + value.len();
            if bytes > SMALL_BYTES_MAX {
                break;
            }
        }
        let mut items = Vec::with_capacity(bytes + fields.len() * 4);
        for (field, value) in &fields {
            packed::push(&mut items, field);
            packed::push(&mut items, value);
        }
        if bytes > SMALL_BYTES_MAX {
            let meta = self.hash_grow(slot)?;
            return self.hash_put_large(slot, level, meta, pairs);
        }
        let level = self.hash_level(level, fields.len() as u64);
        self.put_small(slot, Kind::Hash, level, fields.len(), &items)?;
        Ok((fields.len() - before) as u64)
    }

    fn hash_level(&self, level: u8, count: u64) -> u8 {
        if count
            > self
                .keyspace()
                .thresholds()
                .hash_max_listpack_entries
                .load(Relaxed)
        {
            TABLE
        } else {
            level
        }
    }

    /// Moves the fields of a small hash into sub-keys.
    fn hash_grow(&mut self, slot: &Slot<'_>) -> Result<Meta> {
        let mut meta = Meta::new(self.new_version(), 0);
        if let Some(Entry {
            form: Form::Small { items, .. },
            ..
        }) = slot.entry()?
        {
            for (field, value) in small_fields(items)? {
                self.sub_put(&meta.version, field, value)?;
                meta.count += 1;
            }
        }
        Ok(meta)
    }

    fn hash_put_large<'p>(
        &mut self,
        slot: &Slot<'_>,
        level: u8,
        mut meta: Meta,
        pairs: impl Iterator<Item = (&'p [u8], &'p [u8])>,
    ) -> Result<u64> {
        let mut added = 0;
        for (field, value) in pairs {
            added += u64::from(self.sub_get(&meta.version, field)?.is_none());
            self.sub_put(&meta.version, field, value)?;
        }
        meta.count += added;
        let level = self.hash_level(level, meta.count);
        self.put_large(slot, Kind::Hash, level, &meta)?;
        Ok(added)
    }

    /// HDEL: how many fields there were.
    pub fn hash_delete<'f>(
        &mut self,
        key: &[u8],
        names: impl Iterator<Item = &'f [u8]>,
    ) -> Result<u64> {
        let slot = self.slot(key)?;
        let Some(entry) = slot.of(Kind::Hash)? else {
            return Ok(0);
        };
        let mut removed = 0;
        match entry.form {
            Form::Small { items, .. } => {
                let mut fields = small_fields(items)?;
                let before = fields.len();
                for name in names {
                    fields.retain(|(field, _)| *field != name);
                }
                removed = (before - fields.len()) as u64;
                if removed > 0 {
                    let mut items = Vec::with_capacity(items.bytes().len());
                    for (field, value) in &fields {
                        packed::push(&mut items, field);
                        packed::push(&mut items, value);
                    }
                    self.put_small(&slot, Kind::Hash, entry.level, fields.len(), &items)?;
                }
            }
            Form::Large(mut meta) => {
                for name in names {
                    if self.sub_get(&meta.version, name)?.is_some() {
                        self.sub_delete(&meta.version, name)?;
                        removed += 1;
                    }
                }
                if removed > 0 {
                    meta.count = meta.count.saturating_sub(removed);
                    self.put_large(&slot, Kind::Hash, entry.level, &meta)?;
                }
            }
            Form::String(_) => {}
        }
        Ok(removed)
    }

    /// HINCRBY: the new number.
    pub fn hash_increment(&mut self, key: &[u8], field: &[u8], by: i64) -> Result<i64> {
        let slot = self.slot(key)?;
        let old = match self.hash_get(&slot, field)? {
            None => 0,
            Some(value) => match number::parse_i64(value.bytes()) {
                Some(old) => old,
                None => bail!(InvalidTextRepresentation, "hash value is not an integer"),
            },
        };
        let Some(new) = old.checked_add(by) else {
            bail!(NumericOutOfRange, "increment or decrement would overflow");
        };
        let mut text = Vec::with_capacity(20);
        number::write_i64(&mut text, new);
        self.hash_put(&slot, std::iter::once((field, text.as_slice())))?;
        Ok(new)
    }

    /// HINCRBYFLOAT: the new number as text.
    pub fn hash_increment_decimal(
        &mut self,
        key: &[u8],
        field: &[u8],
        by: &[u8],
    ) -> Result<Vec<u8>> {
        let slot = self.slot(key)?;
        let old = match self.hash_get(&slot, field)? {
            None => b"0".to_vec(),
            Some(value) => value.bytes().to_vec(),
        };
        if !number::is_decimal(&old) {
            bail!(InvalidTextRepresentation, "hash value is not a float");
        }
        let new = number::add_decimal(&old, by)?;
        self.hash_put(&slot, std::iter::once((field, new.as_slice())))?;
        Ok(new)
    }
}

pub fn encoding(level: u8) -> &'static str {
    if level >= TABLE {
        "hashtable"
    } else {
        "listpack"
    }
}
