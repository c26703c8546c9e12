//! Opening a store and finding its state again.

use super::directory::{self, DirectoryLock};
use super::{Closing, Store};
use crate::batch::Batch;
use crate::commit::{COUNTER, CommitState, HISTORY, LAST_TS, LOAD, unix_ms};
use crate::database::{Cursor, CursorOptions, Database, Family};
use crate::group::Waiting;
use crate::history::HistoryStarts;
use crate::lock::LockTable;
use crate::options::StoreOptions;
use crate::sequence::Sequences;
use crate::serializable::RecentWrites;
use crate::snapshot::State;
use crate::space::Prefix;
use crate::stats::Counters;
use crate::wal::{IdleWork, Wal};
use arc_swap::ArcSwapOption;
use helios_types::{Error, ErrorKind, Result, Ts};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// Notices that a slow subscriber may fall behind.
const NOTICES: usize = 1024;

impl Store {
    /// Opens the data directory, makes it when it is not there, and takes it for this process.
    pub fn open(options: StoreOptions) -> Result<Arc<Store>> {
        directory::prepare(&options.path, options.read_only)?;
        let lock = DirectoryLock::take(&options.path, options.read_only)?;
        directory::check_format(&options.path, options.read_only)?;
        let db = Database::open(&options)?;
        if !options.read_only {
            // RocksDB syncs what is in its directory, not its directory's name.
            directory::sync_names(&options.path)?;
        }
        crate::load::clean_up(&db, &options.path, options.read_only)?;
        let state = recover(&db)?;
        let counters = Arc::new(Counters::default());
        let wal = Wal::new(db.clone(), counters.clone());
        let last_ts = Arc::new(AtomicU64::new(state.last_ts.0));
        let newest: Arc<ArcSwapOption<State>> = Arc::default();
        let thread = if options.read_only {
            wal.forbid("the store was opened for reading only");
            None
        } else {
            wal.set_idle_work(idle_work(&options, &db, &last_ts, &newest));
            Some(wal.start()?)
        };
        Ok(Arc::new(Store {
            options,
            db,
            commit: Mutex::new(state),
            waiting: Waiting::default(),
            put_aside: Default::default(),
            last_ts,
            newest,
            wal,
            locks: Arc::new(LockTable::new(counters.clone())),
            moved: Default::default(),
            sequences: Mutex::new(Sequences::default()),
            notices: broadcast::Sender::new(NOTICES),
            counters,
            next_id: AtomicU64::new(1),
            closing: Mutex::new(Closing {
                thread,
                lock: Some(lock),
            }),
        }))
    }
}

fn corrupt(what: &str) -> Error {
    Error::new(
        ErrorKind::DataCorrupted,
        format!("{what} of the store does not decode"),
    )
}

/// The last timestamp, the counters and the history starts.
fn recover(db: &Arc<Database>) -> Result<CommitState> {
    let last_ts = match db.get(Family::System, LAST_TS, None)? {
        Some(bytes) => {
            let bytes = bytes
                .first_chunk::<8>()
                .ok_or_else(|| corrupt("last timestamp"))?;
            Ts(u64::from_be_bytes(*bytes))
        }
        None => Ts::ZERO,
    };
    let mut state = CommitState {
        last_ts,
        counters: Default::default(),
        history: Arc::default(),
        recent: RecentWrites::default(),
    };
    each_record(db, COUNTER, |prefix, value| {
        state.counters.insert(prefix, i64::from_be_bytes(value));
    })?;
    let mut history = HistoryStarts::new();
    each_record(db, HISTORY, |prefix, value| {
        history.insert(prefix, Ts(u64::from_be_bytes(value)));
    })?;
    state.history = Arc::new(history);
    Ok(state)
}

/// Objects of loads that were not committed.
pub(crate) fn unfinished_loads(db: &Arc<Database>) -> Result<Vec<Prefix>> {
    let how = CursorOptions::default();
    let hi = [LOAD + 1];
    let mut cursor = Cursor::new(db, Family::System, &[LOAD], Some(&hi), false, None, how)?;
    let mut found = Vec::new();
    while let Some((key, _)) = cursor.item() {
        let prefix = key.get(1..).and_then(|k| k.try_into().ok());
        found.push(Prefix::from_bytes(prefix.ok_or_else(|| corrupt("a load"))?));
        cursor.advance();
    }
    cursor.status()?;
    Ok(found)
}

fn each_record(db: &Arc<Database>, kind: u8, mut visit: impl FnMut(Prefix, [u8; 8])) -> Result<()> {
    let how = CursorOptions::default();
    let mut cursor = Cursor::new(
        db,
        Family::System,
        &[kind],
        Some(&[kind + 1]),
        false,
        None,
        how,
    )?;
    while let Some((key, value)) = cursor.item() {
        let record = key
            .get(1..)
            .and_then(|k| <[u8; Prefix::LEN]>::try_from(k).ok());
        match (record, <[u8; 8]>::try_from(value)) {
            (Some(prefix), Ok(value)) => visit(Prefix::from_bytes(prefix), value),
            _ => return Err(corrupt("a counter")),
        }
        cursor.advance();
    }
    cursor.status()
}

/// What the log thread does besides: lets go of a state that nobody reads any more, which would
/// hold back compaction, and cuts the change log off at its retention.
fn idle_work(
    options: &StoreOptions,
    db: &Arc<Database>,
    last_ts: &Arc<AtomicU64>,
    newest: &Arc<ArcSwapOption<State>>,
) -> IdleWork {
    const TRIM_INTERVAL: Duration = Duration::from_secs(60);
    let (db, last_ts, newest) = (db.clone(), last_ts.clone(), newest.clone());
    let retention = options.log_retention;
    let trimmed = Mutex::new(Instant::now());
    Arc::new(move |wal: &Wal| {
        let outdated = newest.load_full();
        if let Some(state) = outdated
            && state.ts.0 != last_ts.load(Ordering::Acquire)
        {
            newest.compare_and_swap(&state, None);
        }
        let Some(retention) = retention else { return };
        let mut trimmed = trimmed.lock();
        if trimmed.elapsed() >= TRIM_INTERVAL {
            *trimmed = Instant::now();
            let horizon = unix_ms().saturating_sub(retention.as_millis() as u64);
            if let Err(error) = trim_log(&db, wal, Ts::from_unix_ms(horizon)) {
                tracing::warn!(%error, "trimming the change log failed");
            }
        }
    })
}

/// Deletes change records from before `horizon`.
pub(super) fn trim_log(db: &Arc<Database>, wal: &Wal, horizon: Ts) -> Result<()> {
    let hi = horizon.0.to_be_bytes();
    let how = CursorOptions::default();
    let cursor = Cursor::new(db, Family::Log, &[], Some(&hi), false, None, how)?;
    if cursor.item().is_none() {
        return cursor.status();
    }
    let mut batch = Batch::new();
    batch.delete_range(db.id(Family::Log), &[], &hi);
    wal.write(batch.finish()).map(drop)
}
