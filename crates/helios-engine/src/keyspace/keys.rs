//! Commands on keys of any kind: existence, removal, expiry, renaming, copying.

use super::access::{Access, Slot, SubRange};
use super::entry::{self, Entry, Form, Kind, Meta};
use super::random::{Ends, descend};
use super::{Database, hashes, lists, sets, strings, zsets};
use helios_types::{Result, bail};
use std::sync::atomic::Ordering::Relaxed;

/// Under which condition EXPIRE changes an expiry. A key without one counts as one that never
/// comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireCondition {
    pub absent: bool,
    pub present: bool,
    pub later: bool,
    pub earlier: bool,
}

/// What EXPIRE did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    NotSet,
    Set,
    /// The moment had passed, so the key is gone.
    Removed,
}

/// What TTL answers about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeToLive {
    NoKey,
    Forever,
    /// Unix time in milliseconds.
    Until(u64),
}

impl<'a> Access<'a> {
    pub fn exists(&mut self, key: &[u8]) -> Result<bool> {
        Ok(self.slot(key)?.exists())
    }

    /// DEL and UNLINK: whether there was a value.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool> {
        let slot = self.slot(key)?;
        self.remove(&slot)?;
        Ok(slot.exists())
    }

    pub fn kind(&mut self, key: &[u8]) -> Result<Option<Kind>> {
        Ok(self.slot(key)?.entry()?.map(|entry| entry.kind))
    }

    pub fn time_to_live(&mut self, key: &[u8]) -> Result<TimeToLive> {
        let slot = self.slot(key)?;
        Ok(match (slot.exists(), slot.expire_ms()) {
            (false, _) => TimeToLive::NoKey,
            (true, None) => TimeToLive::Forever,
            (true, Some(at)) => TimeToLive::Until(at),
        })
    }

    /// EXPIREAT in milliseconds.
    pub fn expire_at(&mut self, key: &[u8], at: i64, when: ExpireCondition) -> Result<Expired> {
        let slot = self.slot(key)?;
        if !slot.exists() {
            return Ok(Expired::NotSet);
        }
        let old = slot.expire_ms().map(|ms| ms as i64);
        if (when.absent && old.is_some())
            || (when.present && old.is_none())
            || (when.later && old.is_none_or(|old| at <= old))
            || (when.earlier && old.is_some_and(|old| at >= old))
        {
            return Ok(Expired::NotSet);
        }
        match u64::try_from(at) {
            Ok(at) if at > self.now_ms() => {
                self.put_expiry(&slot, Some(at))?;
                Ok(Expired::Set)
            }
            _ => {
                self.remove(&slot)?;
                Ok(Expired::Removed)
            }
        }
    }

    /// PERSIST: whether there was an expiry.
    pub fn persist(&mut self, key: &[u8]) -> Result<bool> {
        let slot = self.slot(key)?;
        if slot.expire_ms().is_none() {
            return Ok(false);
        }
        self.put_expiry(&slot, None)?;
        Ok(true)
    }

    fn put_expiry(&mut self, slot: &Slot<'_>, expire_ms: Option<u64>) -> Result<()> {
        let body = slot.body();
        self.put(slot, expire_ms, |out| out.extend_from_slice(body))
    }

    /// RENAME; with `only_absent` RENAMENX: whether it was renamed. The source must exist.
    pub fn rename(&mut self, from: &[u8], to: &[u8], only_absent: bool) -> Result<bool> {
        let source = self.slot(from)?;
        if !source.exists() {
            bail!(UndefinedObject, "no such key");
        }
        if from == to {
            return Ok(!only_absent);
        }
        let target = self.slot(to)?;
        if only_absent && target.exists() {
            return Ok(false);
        }
        // The sub-keys belong to the version, which moves along.
        self.unlink(&source)?;
        let body = source.body();
        self.put(&target, source.expire_ms(), |out| {
            out.extend_from_slice(body)
        })?;
        Ok(true)
    }

    /// COPY, also into another database: whether it was copied.
    pub fn copy(
        &mut self,
        from: &[u8],
        database: &Database,
        to: &[u8],
        replace: bool,
    ) -> Result<bool> {
        let source = self.slot(from)?;
        let Some(entry) = source.entry()? else {
            return Ok(false);
        };
        let elements = match entry.meta() {
            Some(meta) => self.raw_sub_keys(&meta)?,
            None => Vec::new(),
        };
        let version = self.new_version();
        let mut other = self.in_database(database);
        let target = other.slot(to)?;
        if target.exists() && !replace {
            return Ok(false);
        }
        match entry.meta() {
            None => {
                let body = source.body();
                other.put(&target, source.expire_ms(), |out| {
                    out.extend_from_slice(body)
                })?;
            }
            Some(meta) => {
                for (sub, value) in elements {
                    other.sub_put(&version, &sub, &value)?;
                }
                let meta = Meta { version, ..meta };
                other.put(&target, source.expire_ms(), |out| {
                    entry::encode_large(out, entry.kind, entry.level, &meta);
                })?;
            }
        }
        Ok(true)
    }

    /// MOVE: whether the key was there and was not in the other database.
    pub fn move_to(&mut self, key: &[u8], database: &Database) -> Result<bool> {
        if !self.copy(key, database, key, false)? {
            return Ok(false);
        }
        self.delete(key)
    }

    fn raw_sub_keys(&mut self, meta: &Meta) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut all = Vec::new();
        self.sub_scan(&meta.version, SubRange::all(&[]), &mut |sub, value| {
            all.push((sub.to_vec(), value.to_vec()));
            Ok(true)
        })?;
        Ok(all)
    }

    /// RANDOMKEY.
    pub fn random_key(&mut self) -> Result<Option<Vec<u8>>> {
        self.pin();
        descend(&mut EntryEnds { access: self })
    }

    /// FLUSHDB: removes every key.
    pub fn flush(&mut self) -> Result<u64> {
        let mut keys = Vec::new();
        self.raw_entry_keys(&mut keys)?;
        for key in &keys {
            self.delete(key)?;
        }
        Ok(keys.len() as u64)
    }

    /// OBJECT ENCODING.
    pub fn encoding(&mut self, key: &[u8]) -> Result<Option<&'static str>> {
        let slot = self.slot(key)?;
        let max = self
            .keyspace()
            .thresholds()
            .list_max_listpack_size
            .load(Relaxed) as i64;
        Ok(slot.entry()?.map(|entry| encoding_of(&entry, max)))
    }

    /// MEMORY USAGE: the bytes that the key takes in storage.
    pub fn stored_bytes(&mut self, key: &[u8]) -> Result<Option<u64>> {
        let slot = self.slot_pinned(key)?;
        let Some(entry) = slot.entry()? else {
            return Ok(None);
        };
        let mut bytes = slot.stored_bytes() as u64;
        if let Some(meta) = entry.meta() {
            self.sub_scan(&meta.version, SubRange::all(&[]), &mut |sub, value| {
                bytes += (sub.len() + value.len()) as u64 + SUBKEY_OVERHEAD;
                Ok(true)
            })?;
        }
        Ok(Some(bytes))
    }
}

/// Prefix, kind, version and header of a sub-key.
const SUBKEY_OVERHEAD: u64 = 12 + 1 + 12 + 9;

/// How OBJECT ENCODING names the form of a value; `list_max` is `list-max-listpack-size`.
pub fn encoding_of(entry: &Entry<'_>, list_max: i64) -> &'static str {
    match (entry.kind, entry.form) {
        (Kind::String, Form::String(bytes)) => strings::encoding(entry.level, bytes),
        (Kind::Hash, _) => hashes::encoding(entry.level),
        (Kind::List, _) => lists::encoding(entry, list_max),
        (Kind::Set, _) => sets::encoding(entry),
        (Kind::SortedSet, _) => zsets::encoding(entry),
        (Kind::String, _) => "raw",
    }
}

struct EntryEnds<'e, 'a> {
    access: &'e mut Access<'a>,
}

impl EntryEnds<'_, '_> {
    fn find(&mut self, low: &[u8], high: Option<&[u8]>, reverse: bool) -> Result<Option<Vec<u8>>> {
        let mut found = None;
        self.access
            .entry_scan(low, high, reverse, &mut |key, _, _| {
                found = Some(key.to_vec());
                Ok(false)
            })?;
        Ok(found)
    }
}

impl Ends for EntryEnds<'_, '_> {
    fn first(&mut self, low: &[u8]) -> Result<Option<Vec<u8>>> {
        self.find(low, None, false)
    }

    fn last(&mut self, high: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        self.find(&[], high, true)
    }
}
