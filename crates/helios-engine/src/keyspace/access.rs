//! What a command reads and writes through: one logical database at one moment, either the newest
//! committed state, one that a statement sees, or an open transaction.
//!
//! Reading one key needs no snapshot. A command that reads more than one stored value calls
//! [`Access::pin`] first and sees all of them at one commit. A command that writes has locked its
//! keys before it runs ([`super::batch`]) and reads the newest state plus the transaction's own
//! writes.
//!
//! Every write of an entry goes through [`Access::put`] and [`Access::remove`], which keep the
//! counter, the expiry, the change record and the waiting clients right.

use super::batch::{Batch, Effects, Writes};
use super::entry::{self, Entry, Form, Kind, Meta, Version, wrong_type};
use super::{Database, Keyspace};
use helios_storage::{
    ChangeOp, Header, KeyRange, Pinned, Prefix, ReadView, RowHeader, ScanOptions, Snapshot, Space,
    Txn, split_header,
};
use helios_types::Result;
use smallvec::SmallVec;

pub type StoredKey = SmallVec<[u8; 96]>;

/// Is shown a key and its value, and says whether to go on.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<bool> + 'v;
/// Is shown a key, its header and its value, and says whether to go on.
pub type VisitEntry<'v> = dyn FnMut(&[u8], &Header, Entry<'_>) -> Result<bool> + 'v;

enum Source<'a> {
    Newest,
    Snapshot(Snapshot),
    View(ReadView),
    Batch(Writes<'a>),
}

/// See the module's documentation.
pub struct Access<'a> {
    keyspace: &'a Keyspace,
    database: &'a Database,
    source: Source<'a>,
    now_ms: u64,
    body: Vec<u8>,
}

/// What is stored under one key.
pub struct Slot<'a> {
    key: StoredKey,
    stored: Option<(Pinned<'a>, Header, usize)>,
    live: bool,
}

impl Slot<'_> {
    /// The value, unless there is none or it has expired.
    pub fn entry(&self) -> Result<Option<Entry<'_>>> {
        if !self.live {
            return Ok(None);
        }
        self.stored_entry()
    }

    fn stored_entry(&self) -> Result<Option<Entry<'_>>> {
        match &self.stored {
            Some(_) => Entry::decode(self.body()).map(Some),
            None => Ok(None),
        }
    }

    /// The value if it is of `kind`; an error if it is of another.
    pub fn of(&self, kind: Kind) -> Result<Option<Entry<'_>>> {
        match self.entry()? {
            Some(entry) if entry.kind != kind => wrong_type(),
            other => Ok(other),
        }
    }

    /// The bytes of a string value.
    pub fn string(&self) -> Result<Option<&[u8]>> {
        match self.of(Kind::String)? {
            Some(Entry {
                form: Form::String(bytes),
                ..
            }) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }

    pub fn exists(&self) -> bool {
        self.live
    }

    /// The encoded entry as it is stored.
    pub fn body(&self) -> &[u8] {
        self.stored
            .as_ref()
            .and_then(|(pinned, _, body)| pinned.get(*body..))
            .unwrap_or_default()
    }

    /// When the value expires, in milliseconds since the Unix epoch.
    pub fn expire_ms(&self) -> Option<u64> {
        match &self.stored {
            Some((_, header, _)) if self.live => header.expire_ms,
            _ => None,
        }
    }

    /// The commit that wrote the value: zero when there is none.
    pub fn stamp(&self) -> u64 {
        match &self.stored {
            Some((_, header, _)) if self.live => header.begin_ts.0,
            _ => 0,
        }
    }

    /// Bytes that the stored entry takes.
    pub fn stored_bytes(&self) -> usize {
        self.key.len()
            + self
                .stored
                .as_ref()
                .map_or(0, |(pinned, _, _)| pinned.len())
    }
}

impl<'a> Access<'a> {
    /// The newest committed state.
    pub fn newest(keyspace: &'a Keyspace, database: &'a Database, now_ms: u64) -> Self {
        Self::with(keyspace, database, now_ms, Source::Newest)
    }

    /// What a statement of a transaction sees.
    pub fn at(keyspace: &'a Keyspace, database: &'a Database, now_ms: u64, view: ReadView) -> Self {
        Self::with(keyspace, database, now_ms, Source::View(view))
    }

    /// The newest state and the transaction's own writes.
    pub fn writing(
        keyspace: &'a Keyspace,
        database: &'a Database,
        now_ms: u64,
        batch: &'a mut Batch,
    ) -> Self {
        Self::with(keyspace, database, now_ms, Source::Batch(batch.writes()))
    }

    /// As [`Access::writing`], in the transaction of a session.
    pub(crate) fn within(
        keyspace: &'a Keyspace,
        database: &'a Database,
        now_ms: u64,
        txn: &'a mut Txn,
        effects: &'a mut Effects,
    ) -> Self {
        let writes = Writes::new(txn, effects);
        Self::with(keyspace, database, now_ms, Source::Batch(writes))
    }

    fn with(
        keyspace: &'a Keyspace,
        database: &'a Database,
        now_ms: u64,
        source: Source<'a>,
    ) -> Self {
        Access {
            keyspace,
            database,
            source,
            now_ms,
            body: Vec::new(),
        }
    }

    /// The command's time: a value that expires at or before it is gone.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub fn keyspace(&self) -> &'a Keyspace {
        self.keyspace
    }

    pub fn database(&self) -> &'a Database {
        self.database
    }

    /// The same moment in another logical database; for MOVE and COPY.
    pub fn in_database<'b>(&'b mut self, database: &'b Database) -> Access<'b> {
        let source = match &mut self.source {
            Source::Newest => Source::Newest,
            Source::Snapshot(snapshot) => Source::Snapshot(snapshot.clone()),
            Source::View(view) => Source::View(view.clone()),
            Source::Batch(batch) => Source::Batch(batch.reborrow()),
        };
        Access {
            keyspace: self.keyspace,
            database,
            source,
            now_ms: self.now_ms,
            body: Vec::new(),
        }
    }

    /// All reads that follow see one commit.
    pub fn pin(&mut self) {
        if matches!(self.source, Source::Newest) {
            self.source = Source::Snapshot(self.keyspace.store().snapshot());
        }
    }

    /// The stored value. One that comes from a snapshot or is the transaction's own is copied, so
    /// that it may be kept while the command goes on.
    fn get(&self, key: &[u8]) -> Result<Option<Pinned<'a>>> {
        match &self.source {
            Source::Newest => self.keyspace.store().get(Space::Row, key),
            Source::Snapshot(snapshot) => {
                Ok(snapshot.get(Space::Row, key)?.map(Pinned::into_owned))
            }
            Source::View(view) => Ok(view.get(Space::Row, key)?.map(Pinned::into_owned)),
            Source::Batch(batch) => Ok(batch.get(key)?.map(Pinned::into_owned)),
        }
    }

    /// What is stored under `key`.
    pub fn slot(&mut self, key: &[u8]) -> Result<Slot<'a>> {
        let key = self.database.entry_key(key);
        let stored = match self.get(&key)? {
            Some(pinned) => {
                let (header, body) = split_header(&pinned)?;
                let start = pinned.len() - body.len();
                Some((pinned, header, start))
            }
            None => None,
        };
        let live = stored
            .as_ref()
            .is_some_and(|(_, header, _)| !self.is_expired(header));
        Ok(Slot { key, stored, live })
    }

    /// As [`Access::slot`]; if the value is large, what is read next belongs to the same commit.
    pub fn slot_pinned(&mut self, key: &[u8]) -> Result<Slot<'a>> {
        let slot = self.slot(key)?;
        if matches!(self.source, Source::Newest)
            && matches!(
                slot.entry()?,
                Some(Entry {
                    form: Form::Large(_),
                    ..
                })
            )
        {
            self.pin();
            return self.slot(key);
        }
        Ok(slot)
    }

    fn is_expired(&self, header: &Header) -> bool {
        header.expire_ms.is_some_and(|at| at <= self.now_ms)
    }

    /// Stores a new value under the slot's key. An expiry that has passed already removes it.
    pub fn put(
        &mut self,
        slot: &Slot<'_>,
        expire_ms: Option<u64>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        encode(&mut body);
        let new_version = match Entry::decode(&body)?.form {
            Form::Large(meta) => Some(meta.version),
            _ => None,
        };
        self.discard_subkeys(slot, new_version)?;
        self.count(slot, 1, expire_ms.is_some());
        self.batch().put(
            &slot.key,
            RowHeader {
                schema: 0,
                expire_ms,
            },
            &body,
        );
        if self.batch().logs_changes() {
            let old = slot.stored.is_some().then(|| slot.body());
            self.log(&slot.key, old, Some(&body));
        }
        self.body = body;
        self.changed(slot);
        Ok(())
    }

    /// Removes the value; sub-keys that are left go with it. Does nothing when there is none.
    pub fn remove(&mut self, slot: &Slot<'_>) -> Result<()> {
        self.discard_subkeys(slot, None)?;
        self.unlink(slot)
    }

    /// Removes the entry and leaves its sub-keys, because none are left or another entry has them.
    pub fn unlink(&mut self, slot: &Slot<'_>) -> Result<()> {
        if slot.stored.is_some() {
            self.count(slot, 0, false);
            self.batch().delete(&slot.key);
            if self.batch().logs_changes() {
                self.log(&slot.key, Some(slot.body()), None);
            }
            self.changed(slot);
        }
        Ok(())
    }

    /// Adds a change record: of an entry, or of an element that is kept under a sub-key. Its key is
    /// the stored one without the object's number.
    fn log(&mut self, stored: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        let op = match (old, new) {
            (None, None) => return,
            (None, Some(_)) => ChangeOp::Insert,
            (Some(_), Some(_)) => ChangeOp::Update,
            (Some(_), None) => ChangeOp::Delete,
        };
        let object = self.database.object();
        self.batch().log(object, op, stored, old, new);
    }

    /// The change record of a sub-key.
    fn log_sub_key(&mut self, stored: &[u8], new: Option<&[u8]>) -> Result<()> {
        if !self.batch().logs_changes() {
            return Ok(());
        }
        let old = self.get(stored)?;
        let old = match &old {
            Some(value) => Some(split_header(value)?.1),
            None => None,
        };
        self.log(stored, old, new);
        Ok(())
    }

    /// Counts the change of a key that exists `after` the write or not, and may expire then.
    fn count(&mut self, slot: &Slot<'_>, after: i64, expires: bool) {
        let database = self.database;
        let before = i64::from(slot.stored.is_some());
        if after != before {
            self.batch().count(database.object(), after - before);
        }
        let expired = slot
            .stored
            .as_ref()
            .is_some_and(|(_, header, _)| header.expire_ms.is_some());
        if expires != expired {
            let delta = i64::from(expires) - i64::from(expired);
            self.batch().count(database.expiring(), delta);
        }
    }

    /// Removes the value if it has expired: whether it had.
    pub(super) fn remove_expired(&mut self, key: &[u8]) -> Result<bool> {
        let slot = self.slot(key)?;
        let expired = slot.stored.is_some() && !slot.live;
        if expired {
            self.remove(&slot)?;
        }
        Ok(expired)
    }

    /// Marks the sub-keys of the stored value for removal, unless the new value keeps them.
    fn discard_subkeys(&mut self, slot: &Slot<'_>, keep: Option<Version>) -> Result<()> {
        if let Some(meta) = slot.stored_entry()?.and_then(|entry| entry.meta())
            && Some(meta.version) != keep
        {
            let marker = self.database.garbage_key(&meta.version);
            self.batch().put(
                &marker,
                RowHeader {
                    schema: 0,
                    expire_ms: None,
                },
                &[],
            );
            let object = self.database.object();
            self.batch().garbage(object);
        }
        Ok(())
    }

    fn changed(&mut self, slot: &Slot<'_>) {
        self.batch().changed(&slot.key);
    }

    /// The transaction. Commands that write are only ever run with one.
    fn batch(&mut self) -> &mut Writes<'a> {
        match &mut self.source {
            Source::Batch(batch) => batch,
            _ => unreachable!("a command that writes runs in a transaction"),
        }
    }

    /// A version for a collection that becomes large now.
    pub fn new_version(&self) -> Version {
        self.keyspace.new_version()
    }

    pub fn sub_get(&self, version: &Version, sub: &[u8]) -> Result<Option<SubValue<'a>>> {
        match self.get(&self.database.sub_key(version, sub))? {
            Some(pinned) => {
                let (_, body) = split_header(&pinned)?;
                let start = pinned.len() - body.len();
                Ok(Some(SubValue { pinned, start }))
            }
            None => Ok(None),
        }
    }

    pub fn sub_put(&mut self, version: &Version, sub: &[u8], body: &[u8]) -> Result<()> {
        let key = self.database.sub_key(version, sub);
        self.log_sub_key(&key, Some(body))?;
        self.batch().put(
            &key,
            RowHeader {
                schema: 0,
                expire_ms: None,
            },
            body,
        );
        Ok(())
    }

    pub fn sub_delete(&mut self, version: &Version, sub: &[u8]) -> Result<()> {
        let key = self.database.sub_key(version, sub);
        self.log_sub_key(&key, None)?;
        self.batch().delete(&key);
        Ok(())
    }

    /// Shows the sub-keys of a large collection in order, from `from` (inclusive) on or, in reverse,
    /// from `from` (exclusive; all when `None`) down, until `visit` returns false. `bound` is the
    /// leading part that all of them share.
    pub fn sub_scan(
        &mut self,
        version: &Version,
        range: SubRange<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let low = self.database.sub_key(version, range.low);
        let high = match range.high {
            Some(high) => Some(self.database.sub_key(version, high)),
            None => helios_storage::prefix_successor(&self.database.sub_key(version, range.within))
                .map(StoredKey::from_vec),
        };
        let skip = low.len() - range.low.len();
        self.scan(&low, high.as_deref(), range.reverse, &mut |key, value| {
            let (_, body) = split_header(value)?;
            visit(key.get(skip..).unwrap_or_default(), body)
        })
    }

    /// Shows the live entries from `low` (inclusive) to `high` (exclusive; `None`: to the end) until
    /// `visit` returns false.
    pub fn entry_scan(
        &mut self,
        low: &[u8],
        high: Option<&[u8]>,
        reverse: bool,
        visit: &mut VisitEntry<'_>,
    ) -> Result<()> {
        let start = self.database.entry_key(low);
        let end = match high {
            Some(high) => self.database.entry_key(high),
            None => self.database.entries_end(),
        };
        let now_ms = self.now_ms;
        let database = self.database;
        self.scan(&start, Some(&end), reverse, &mut |key, value| {
            let (header, body) = split_header(value)?;
            if header.expire_ms.is_some_and(|at| at <= now_ms) {
                return Ok(true);
            }
            visit(database.key_of_entry(key), &header, Entry::decode(body)?)
        })
    }

    /// The keys of all entries, whether they have expired or not.
    pub(super) fn raw_entry_keys(&mut self, keys: &mut Vec<Vec<u8>>) -> Result<()> {
        let start = self.database.entry_key(&[]);
        let end = self.database.entries_end();
        let database = self.database;
        self.scan(&start, Some(&end), false, &mut |key, _| {
            keys.push(database.key_of_entry(key).to_vec());
            Ok(true)
        })
    }

    fn scan(
        &mut self,
        low: &[u8],
        high: Option<&[u8]>,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.pin();
        let range = KeyRange {
            lo: low.to_vec(),
            hi: high.map(<[u8]>::to_vec),
        };
        let options = ScanOptions {
            reverse,
            ..ScanOptions::default()
        };
        let mut scan = match &self.source {
            Source::Newest => return Ok(()),
            Source::Snapshot(snapshot) => snapshot.scan(Space::Row, range, options)?,
            Source::View(view) => view.scan(Space::Row, range, options)?,
            Source::Batch(batch) => batch.scan(range, options)?,
        };
        while let Some((key, value)) = scan.next()? {
            if !visit(key, value)? {
                break;
            }
        }
        Ok(())
    }

    /// The exact number of keys as of the last commit, and of this transaction.
    pub fn key_count(&self) -> i64 {
        self.counted(self.database.object())
    }

    /// How many of the keys have an expiry.
    pub fn expiring_count(&self) -> i64 {
        self.counted(self.database.expiring())
    }

    fn counted(&self, object: Prefix) -> i64 {
        match &self.source {
            Source::Batch(batch) => batch.row_count(object),
            _ => self.keyspace.store().row_count(object),
        }
    }

    /// The keys of all entries, whether they have expired or not.
    pub fn all_keys(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut keys = Vec::new();
        self.raw_entry_keys(&mut keys)?;
        Ok(keys)
    }
}

/// Which sub-keys of a collection a scan shows.
#[derive(Clone, Copy, Debug)]
pub struct SubRange<'a> {
    /// The leading part that all of them share.
    pub within: &'a [u8],
    /// Inclusive.
    pub low: &'a [u8],
    /// Exclusive; `None` goes to the end of `within`.
    pub high: Option<&'a [u8]>,
    pub reverse: bool,
}

impl<'a> SubRange<'a> {
    /// Everything that begins with `within`.
    pub fn all(within: &'a [u8]) -> Self {
        SubRange {
            within,
            low: within,
            high: None,
            reverse: false,
        }
    }
}

/// The value of a sub-key.
pub struct SubValue<'a> {
    pinned: Pinned<'a>,
    start: usize,
}

impl std::ops::Deref for SubValue<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.pinned.get(self.start..).unwrap_or_default()
    }
}

impl Access<'_> {
    /// Writes a small collection, or removes it when nothing is left in it.
    pub fn put_small(
        &mut self,
        slot: &Slot<'_>,
        kind: Kind,
        level: u8,
        count: usize,
        items: &[u8],
    ) -> Result<()> {
        if count == 0 {
            return self.remove(slot);
        }
        self.put(slot, slot.expire_ms(), |out| {
            entry::encode_small(out, kind, level, count, items);
        })
    }

    /// Writes the entry of a large collection, or removes it when the last element has gone.
    pub fn put_large(&mut self, slot: &Slot<'_>, kind: Kind, level: u8, meta: &Meta) -> Result<()> {
        if meta.count == 0 {
            return self.unlink(slot);
        }
        self.put(slot, slot.expire_ms(), |out| {
            entry::encode_large(out, kind, level, meta)
        })
    }

    /// The first sub-key of a range with its value, or the last one when the range is reversed.
    pub fn sub_first(
        &mut self,
        version: &Version,
        range: SubRange<'_>,
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let mut found = None;
        self.sub_scan(version, range, &mut |sub, value| {
            found = Some((sub.to_vec(), value.to_vec()));
            Ok(false)
        })?;
        Ok(found)
    }
}
