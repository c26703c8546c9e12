//! The one place that talks to RocksDB: column families, options, raw reads and writes.
//!
//! | family | keys |
//! | --- | --- |
//! | `cur`, `idx`, `meta` | newest version of rows, index entries, catalog records |
//! | `hist`, `idxh`, `metah` | superseded versions, see [`crate::history`] |
//! | `log` | change records, see [`crate::changes`] |
//! | `ttl` | expiry times, see [`crate::ttl`] |
//! | `default` | the store's own records: last timestamp, counters, sequences, history starts |
//!
//! Errors are turned into [`Error`]s here; no RocksDB type leaves the crate.

use crate::load::LoadedObjects;
use crate::options::StoreOptions;
use crate::pinned::Pinned;
use crate::row_cache::RowCache;
use crate::space::Space;
use helios_types::{Error, ErrorKind, Result, Ts};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBPinnableSlice, DBRawIterator, DataBlockIndexType, IngestExternalFileOptions, Options,
    ReadOptions, WriteBatch, WriteOptions,
};
use self_cell::self_cell;
use std::path::PathBuf;
use std::sync::Arc;

/// A column family, by what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Current(Space),
    History(Space),
    Log,
    Ttl,
    System,
}

pub(crate) const FAMILIES: [Family; 9] = [
    Family::Current(Space::Row),
    Family::Current(Space::Index),
    Family::Current(Space::Meta),
    Family::History(Space::Row),
    Family::History(Space::Index),
    Family::History(Space::Meta),
    Family::Log,
    Family::Ttl,
    Family::System,
];

impl Family {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Family::Current(Space::Row) => "cur",
            Family::Current(Space::Index) => "idx",
            Family::Current(Space::Meta) => "meta",
            Family::History(Space::Row) => "hist",
            Family::History(Space::Index) => "idxh",
            Family::History(Space::Meta) => "metah",
            Family::Log => "log",
            Family::Ttl => "ttl",
            Family::System => "default",
        }
    }

    fn number(self) -> usize {
        match self {
            Family::Current(space) => space as usize,
            Family::History(space) => 3 + space as usize,
            Family::Log => 6,
            Family::Ttl => 7,
            Family::System => 8,
        }
    }
}

/// Turns an engine error into ours. `what` says what was attempted.
pub(crate) fn storage_error(what: &str, source: rocksdb::Error) -> Error {
    let text = source.to_string();
    let kind = match source.kind() {
        rocksdb::ErrorKind::Corruption => ErrorKind::DataCorrupted,
        _ if text.contains("No space left on device") => ErrorKind::DiskFull,
        rocksdb::ErrorKind::IOError => ErrorKind::Io,
        _ => ErrorKind::Internal,
    };
    let message = match kind {
        ErrorKind::DataCorrupted => format!("could not {what}: stored data is corrupted"),
        ErrorKind::DiskFull => format!("could not {what}: no space left on device"),
        ErrorKind::Io => format!("could not {what}: {text}"),
        _ => "internal error".to_owned(),
    };
    Error::new(kind, message).with_cause(text)
}

pub(crate) struct Database {
    db: DB,
    options: Options,
    cache: Cache,
    /// Reads the newest state.
    latest: ReadOptions,
    no_sync: WriteOptions,
    /// Numbers of the column families in write batches, by [`Family::number`].
    ids: [u32; FAMILIES.len()],
    pub(crate) rows: RowCache,
    pub(crate) loads: LoadedObjects,
    opened_with: StoreOptions,
    /// Makes every hand-over of the log fail, for tests of what follows.
    #[cfg(test)]
    pub(crate) failing: std::sync::atomic::AtomicBool,
}

impl Database {
    pub(crate) fn open(options: &StoreOptions) -> Result<Arc<Database>> {
        let cache = Cache::new_hyper_clock_cache(options.block_cache_bytes, 0);
        let shared = database_options(options);
        let families: Vec<_> = FAMILIES
            .iter()
            .map(|f| ColumnFamilyDescriptor::new(f.name(), family_options(*f, options, &cache)))
            .collect();
        let path = options.path.join("db");
        let opened = if options.read_only {
            DB::open_cf_descriptors_read_only(&shared, &path, families, false)
        } else {
            DB::open_cf_descriptors(&shared, &path, families)
        };
        let db = opened.map_err(|e| storage_error("open the data directory", e))?;
        let ids = family_ids(&db)?;
        let latest = ReadOptions::default();
        let mut no_sync = WriteOptions::default();
        no_sync.set_sync(false);
        Ok(Arc::new(Database {
            db,
            options: shared,
            cache,
            latest,
            no_sync,
            ids,
            rows: RowCache::new(options.row_cache_bytes),
            loads: LoadedObjects::default(),
            opened_with: options.clone(),
            #[cfg(test)]
            failing: Default::default(),
        }))
    }

    fn handle(&self, family: Family) -> Result<&ColumnFamily> {
        self.db
            .cf_handle(family.name())
            .ok_or_else(|| Error::internal(format!("column family {} is missing", family.name())))
    }

    /// The number that stands for a family in a write batch.
    pub(crate) fn id(&self, family: Family) -> u32 {
        self.ids[family.number()]
    }

    #[inline]
    pub(crate) fn get(
        &self,
        family: Family,
        key: &[u8],
        at: Option<&Epoch>,
    ) -> Result<Option<DBPinnableSlice<'_>>> {
        let options = at.map_or(&self.latest, |epoch| &epoch.options);
        self.db
            .get_pinned_cf_opt(self.handle(family)?, key, options)
            .map_err(|e| storage_error("read", e))
    }

    /// The newest version.
    #[inline]
    pub(crate) fn get_newest(&self, space: Space, key: &[u8]) -> Result<Option<Pinned<'_>>> {
        if space != Space::Row {
            let value = self.get(Family::Current(space), key, None)?;
            return Ok(value.map(Pinned::block));
        }
        let ticket = match self.rows.get(key) {
            Ok(found) => return Ok(Some(Pinned::cached(found))),
            Err(ticket) => ticket,
        };
        let value = self.get(Family::Current(space), key, None)?;
        if let Some(value) = &value {
            self.rows.fill(&ticket, None, key, value);
        }
        Ok(value.map(Pinned::block))
    }

    /// The version that was the newest at `epoch`, which the commit at `ts` was the last to change.
    #[inline]
    pub(crate) fn get_at(
        &self,
        space: Space,
        key: &[u8],
        epoch: &Epoch,
        ts: Ts,
    ) -> Result<Option<Pinned<'_>>> {
        if space != Space::Row {
            let value = self.get(Family::Current(space), key, Some(epoch))?;
            return Ok(value.map(Pinned::block));
        }
        let ticket = match self.rows.get(key) {
            Ok(found) if found.is_visible_at(ts) => return Ok(Some(Pinned::cached(found))),
            Ok(_) => None,
            Err(ticket) => Some(ticket),
        };
        let value = self.get(Family::Current(space), key, Some(epoch))?;
        if let (Some(value), Some(ticket)) = (&value, &ticket) {
            self.rows.fill(ticket, Some(ts), key, value);
        }
        Ok(value.map(Pinned::block))
    }

    pub(crate) fn multi_get(
        &self,
        family: Family,
        keys: &[&[u8]],
        sorted: bool,
        at: Option<&Epoch>,
    ) -> Result<Vec<Option<DBPinnableSlice<'_>>>> {
        let options = at.map_or(&self.latest, |epoch| &epoch.options);
        self.db
            .batched_multi_get_cf_opt(self.handle(family)?, keys.iter().copied(), sorted, options)
            .into_iter()
            .map(|slot| slot.map_err(|e| storage_error("read", e)))
            .collect()
    }

    /// Hands a prepared batch to the write-ahead log buffer and the memtables.
    pub(crate) fn write(&self, batch: &[u8]) -> Result<()> {
        self.db
            .write_opt(WriteBatch::from_data(batch), &self.no_sync)
            .map_err(|e| storage_error("write to the log", e))
    }

    /// Hands buffered log records to the operating system; with `sync` to the device.
    pub(crate) fn flush_wal(&self, sync: bool) -> Result<()> {
        #[cfg(test)]
        if self.failing.load(std::sync::atomic::Ordering::Relaxed) {
            helios_types::bail!(Io, "could not flush the log: planted failure");
        }
        self.db
            .flush_wal(sync)
            .map_err(|e| storage_error("flush the log", e))
    }

    /// How table files of a space are written outside of the database.
    pub(crate) fn load_options(&self, space: Space) -> Options {
        let mut out = family_options(Family::Current(space), &self.opened_with, &self.cache);
        out.set_bytes_per_sync(1 << 20);
        out
    }

    /// Makes table files part of a family; they are moved. Durable on return.
    pub(crate) fn ingest(&self, family: Family, paths: &[PathBuf]) -> Result<()> {
        let mut how = IngestExternalFileOptions::default();
        how.set_move_files(true);
        self.db
            .ingest_external_file_cf_opts(self.handle(family)?, &how, paths.to_vec())
            .map_err(|e| storage_error("take table files in", e))
    }

    pub(crate) fn delete_files(&self, family: Family, lo: &[u8], hi: &[u8]) -> Result<()> {
        self.db
            .delete_file_in_range_cf(self.handle(family)?, lo, hi)
            .map_err(|e| storage_error("delete files", e))
    }

    pub(crate) fn approximate_bytes(&self, family: Family, lo: &[u8], hi: &[u8]) -> Result<u64> {
        let sizes = self
            .db
            .get_approximate_sizes_cf(self.handle(family)?, &[rocksdb::Range::new(lo, hi)]);
        Ok(sizes.first().copied().unwrap_or(0))
    }

    pub(crate) fn property(&self, family: Family, name: &str) -> u64 {
        self.handle(family)
            .ok()
            .and_then(|cf| self.db.property_int_value_cf(cf, name).ok().flatten())
            .unwrap_or(0)
    }

    pub(crate) fn ticker(&self, ticker: rocksdb::statistics::Ticker) -> u64 {
        self.options.get_ticker_count(ticker)
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache.get_usage()
    }
}

/// The numbers of the families are those that RocksDB puts into a batch; a probe batch shows them.
fn family_ids(db: &DB) -> Result<[u32; FAMILIES.len()]> {
    let mut ids = [0; FAMILIES.len()];
    for family in FAMILIES {
        let cf = db.cf_handle(family.name()).ok_or_else(|| {
            Error::internal(format!("column family {} is missing", family.name()))
        })?;
        let mut probe = WriteBatch::default();
        probe.put_cf(cf, b"k", b"v");
        ids[family.number()] = crate::batch::family_of_first_record(probe.data())
            .ok_or_else(|| Error::internal("unknown write batch format"))?;
    }
    Ok(ids)
}

/// Log files that are kept because a small family has not been flushed for long.
const LOG_BYTES_MAX: u64 = 256 << 20;

fn database_options(options: &StoreOptions) -> Options {
    let mut out = Options::default();
    out.create_if_missing(!options.read_only);
    out.create_missing_column_families(!options.read_only);
    out.set_manual_wal_flush(true);
    // All writes happen under the commit lock, so that the memtable needs no locking of its own.
    out.set_allow_concurrent_memtable_write(false);
    out.set_max_background_jobs(2);
    out.set_bytes_per_sync(1 << 20);
    out.set_wal_bytes_per_sync(512 << 10);
    out.set_max_open_files(options.max_open_files);
    out.set_max_total_wal_size(LOG_BYTES_MAX.max(4 * options.write_buffer_bytes as u64));
    out.set_keep_log_file_num(4);
    out.set_max_log_file_size(4 << 20);
    out.enable_statistics();
    out.set_statistics_level(rocksdb::statistics::StatsLevel::ExceptHistogramOrTimers);
    out.set_stats_dump_period_sec(0);
    out.set_stats_persist_period_sec(0);
    out
}

/// Memtables of rows and index entries that are written to one file together. A row's place is
/// searched in the newest alone, and that one is to be small: at two megabytes the processor finds
/// its pages in the TLB, at sixteen it does not, which took 12 to 15 % of all that SET costs.
const MEMTABLES_A_FLUSH: usize = 8;

fn family_options(family: Family, options: &StoreOptions, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(8 << 10);
    table.set_format_version(6);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_bloom_filter(10.0, false);
    if matches!(family, Family::Current(_)) {
        table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        table.set_data_block_hash_ratio(0.75);
    }
    let mut out = Options::default();
    out.set_block_based_table_factory(&table);
    let main = matches!(family, Family::Current(Space::Row | Space::Index));
    if main {
        out.set_write_buffer_size(options.write_buffer_bytes / MEMTABLES_A_FLUSH);
        out.set_min_write_buffer_number_to_merge(MEMTABLES_A_FLUSH as i32);
        out.set_max_write_buffer_number(3 * MEMTABLES_A_FLUSH as i32);
    } else {
        out.set_write_buffer_size((options.write_buffer_bytes / 4).max(1 << 20));
        out.set_max_write_buffer_number(3);
    }
    out.set_level_compaction_dynamic_level_bytes(true);
    out.set_compression_type(DBCompressionType::Lz4);
    out.set_bottommost_compression_type(if main {
        DBCompressionType::Lz4
    } else {
        DBCompressionType::Zstd
    });
    if matches!(family, Family::Current(_)) {
        out.set_memtable_prefix_bloom_ratio(0.05);
        out.set_memtable_whole_key_filtering(true);
    }
    out
}

self_cell!(
    struct SnapshotCell {
        owner: Arc<Database>,
        #[covariant]
        dependent: RawSnapshot,
    }
);
type RawSnapshot<'a> = rocksdb::Snapshot<'a>;

fn raw_snapshot(db: &Arc<Database>) -> RawSnapshot<'_> {
    db.db.snapshot()
}

/// A fixed state of the whole database, shared by everybody who reads it.
pub(crate) struct Epoch {
    // Before `cell`, because it points into the snapshot.
    options: ReadOptions,
    cell: SnapshotCell,
}

impl Epoch {
    pub(crate) fn new(db: &Arc<Database>) -> Epoch {
        let cell = SnapshotCell::new(db.clone(), raw_snapshot);
        let mut options = ReadOptions::default();
        options.set_snapshot(cell.borrow_dependent());
        Epoch { options, cell }
    }

    fn snapshot(&self) -> &RawSnapshot<'_> {
        self.cell.borrow_dependent()
    }
}

self_cell!(
    struct IteratorCell {
        owner: Arc<Database>,
        #[covariant]
        dependent: RawIterator,
    }
);
type RawIterator<'a> = DBRawIterator<'a>;

/// How an iterator reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CursorOptions {
    pub(crate) no_fill_cache: bool,
    pub(crate) readahead: usize,
}

/// A raw iterator over one family between two bounds, in either direction.
pub(crate) struct Cursor {
    cell: IteratorCell,
    reverse: bool,
    // The iterator reads at this state.
    _epoch: Option<Arc<Epoch>>,
}

impl Cursor {
    pub(crate) fn new(
        db: &Arc<Database>,
        family: Family,
        lo: &[u8],
        hi: Option<&[u8]>,
        reverse: bool,
        epoch: Option<Arc<Epoch>>,
        how: CursorOptions,
    ) -> Result<Cursor> {
        let mut options = ReadOptions::default();
        if let Some(epoch) = &epoch {
            options.set_snapshot(epoch.snapshot());
        }
        if !lo.is_empty() {
            options.set_iterate_lower_bound(lo);
        }
        if let Some(hi) = hi {
            options.set_iterate_upper_bound(hi);
        }
        options.fill_cache(!how.no_fill_cache);
        if how.readahead > 0 {
            options.set_readahead_size(how.readahead);
        }
        options.set_background_purge_on_iterator_cleanup(true);
        let cell = IteratorCell::try_new(db.clone(), |db| {
            Ok::<_, Error>(db.db.raw_iterator_cf_opt(db.handle(family)?, options))
        })?;
        let mut cursor = Cursor {
            cell,
            reverse,
            _epoch: epoch,
        };
        cursor.cell.with_dependent_mut(|_, it| {
            if reverse {
                it.seek_to_last()
            } else {
                it.seek_to_first()
            }
        });
        Ok(cursor)
    }

    #[inline]
    pub(crate) fn advance(&mut self) {
        let reverse = self.reverse;
        self.cell
            .with_dependent_mut(|_, it| if reverse { it.prev() } else { it.next() });
    }

    /// The entry under the cursor; `None` at the end.
    #[inline]
    pub(crate) fn item(&self) -> Option<(&[u8], &[u8])> {
        self.cell.borrow_dependent().item()
    }

    /// Whether the cursor ended because reading failed.
    pub(crate) fn status(&self) -> Result<()> {
        self.cell
            .borrow_dependent()
            .status()
            .map_err(|e| storage_error("read", e))
    }
}
