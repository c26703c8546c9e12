//! Rows and index entries in bulk: sorted into table files that RocksDB takes in as they are.
//!
//! # The idea
//!
//! A load fills an object that only its own transaction knows: the storage of a new table or index,
//! or a new storage that the catalog will name instead of an empty one. Nobody else reads below that
//! prefix before the transaction commits, so its files can be written and taken in at any time
//! before that, and the commit of the catalog record is what makes them visible. In particular no
//! file waits for the commit's timestamp: the rows begin at the timestamp that was the last one when
//! the load began, and nobody can ask for the object at a moment between that and the commit, but for
//! old snapshots that use the newest catalog; those find the object empty ([`LoadedObjects`]).
//!
//! # How it works
//!
//! ```text
//! caller: add -> Block (4 MB) --channel--> thread: sort -> ascending? append to the table file
//!                                                          else keep; 128 MB kept -> run file
//!         finish ------------------------> merge blocks, runs, what is stored -> table files -> ingest
//! ```
//!
//! The caller encodes while the thread sorts and writes; used blocks go back to the caller. Rows
//! that come in the order of their keys are written once. Equal keys are found where runs meet: the
//! first to come stays, and the caller is told of the first one that came too late
//! ([`Loaded::duplicate`]).
//!
//! # What survives
//!
//! Before the first file is taken in, a record of the object is made durable (`l | prefix`). The
//! commit deletes it in its own batch; a rollback deletes the object and the record together; a store
//! that is opened with such a record deletes both. So after a crash either the commit is there, with
//! every file, or nothing of the load is. Files that were not taken in lie in the data directory's
//! `load`, which is emptied when the store is opened.

mod block;
mod files;
mod merge;
mod run;

use crate::commit::{LOAD, system_key};
use crate::database::{Database, Family};
use crate::header::{Header, RowHeader, encode_header};
use crate::space::{Prefix, Space};
use crate::store::Store;
use crate::txn::{Isolation, Txn};
use block::Block;
use helios_types::{Error, Result, Ts, bail, error};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Where files are written that are not part of the database yet.
pub(crate) const DIRECTORY: &str = "load";
/// Filled blocks that may wait for the thread.
const BLOCKS_WAITING: usize = 2;
/// Empty blocks that are kept for the caller.
const SPARE_MAX: usize = 4;

/// Objects that were loaded by transactions whose snapshots others may be older than.
#[derive(Default)]
pub(crate) struct LoadedObjects {
    /// The newest commit of a load; most reads look no further.
    newest: AtomicU64,
    committed: RwLock<HashMap<Prefix, Ts, foldhash::fast::RandomState>>,
    /// Loads that a crash interrupted, in a store that is only read.
    unfinished: RwLock<HashSet<Prefix>>,
    /// Memory of sorted blocks, of all loads under way.
    kept_bytes: AtomicUsize,
}

impl LoadedObjects {
    /// Whether a read at `ts` finds nothing below the prefix of `key`, whatever is stored.
    #[inline]
    pub(crate) fn hide(&self, key: &[u8], ts: Ts) -> bool {
        ts.0 < self.newest.load(Ordering::Acquire) && self.loaded_after(key, ts)
    }

    #[cold]
    fn loaded_after(&self, key: &[u8], ts: Ts) -> bool {
        let committed = self.committed.read();
        Prefix::of_key(key)
            .and_then(|prefix| committed.get(&prefix))
            .is_some_and(|loaded| ts < *loaded)
    }

    /// Before the commit is published.
    pub(crate) fn commit(&self, prefix: Prefix, ts: Ts) {
        self.committed.write().insert(prefix, ts);
        self.newest.fetch_max(ts.0, Ordering::Release);
    }

    pub(crate) fn forget(&self, prefix: Prefix) {
        self.committed.write().remove(&prefix);
    }

    /// Counts memory of blocks; gives the sum.
    fn keep(&self, bytes: usize) -> usize {
        self.kept_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    fn give_back(&self, bytes: usize) {
        self.kept_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_unfinished(&self, prefixes: impl IntoIterator<Item = Prefix>) {
        self.unfinished.write().extend(prefixes);
    }

    pub(crate) fn is_unfinished(&self, key: &[u8]) -> bool {
        let unfinished = self.unfinished.read();
        !unfinished.is_empty() && Prefix::of_key(key).is_some_and(|p| unfinished.contains(&p))
    }
}

/// What became of a load.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Entries taken in.
    pub entries: u64,
    /// Of the entries whose key was there before, the one with the lowest tag.
    pub duplicate: Option<Duplicate>,
}

/// An entry that was left out because its key had come before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    pub tag: u64,
    pub key: Vec<u8>,
    /// Header and body.
    pub value: Vec<u8>,
}

/// What the thread needs to know.
struct Job {
    store: Arc<Store>,
    space: Space,
    prefix: Prefix,
    directory: PathBuf,
    /// Held while files are taken in; true when nobody wants them any more.
    given_up: Arc<Mutex<bool>>,
}

/// Blocks whose memory is used again.
#[derive(Clone, Default)]
struct Spare(Arc<Mutex<Vec<Block>>>);

impl Spare {
    fn take(&self) -> Block {
        self.0.lock().pop().unwrap_or_else(Block::new)
    }

    fn give(&self, mut block: Block) {
        block.clear();
        let mut blocks = self.0.lock();
        if blocks.len() < SPARE_MAX {
            blocks.push(block);
        }
    }
}

enum Message {
    Block(Block),
    Finish,
}

/// A load under way: one object in one space. Dropping it takes in nothing.
pub struct BulkLoad {
    store: Arc<Store>,
    space: Space,
    prefix: Prefix,
    begin: [u8; 8],
    block: Block,
    /// From the first block on.
    running: Option<Running>,
}

/// What the caller has of the thread.
struct Running {
    sender: mpsc::Sender<Message>,
    spare: Spare,
    outcome: oneshot::Receiver<Result<Loaded>>,
    given_up: Arc<Mutex<bool>>,
}

impl Txn {
    /// Begins to load an object that no other transaction knows. What the load takes in goes when
    /// this transaction rolls back, to a savepoint before this or altogether.
    ///
    /// Only at READ COMMITTED: the later statements of this transaction see what was loaded because
    /// they take new snapshots.
    pub fn bulk_load(&mut self, space: Space, prefix: Prefix) -> Result<BulkLoad> {
        if self.isolation() != Isolation::ReadCommitted || self.options().read_only {
            bail!(Internal, "a bulk load at {:?}", self.isolation());
        }
        self.store().wal().check()?;
        self.add_load(prefix);
        let store = self.store().clone();
        Ok(BulkLoad {
            space,
            prefix,
            begin: store.last_ts().0.max(1).to_be_bytes(),
            block: Block::new(),
            running: None,
            store,
        })
    }

    /// Ends a load as [`BulkLoad::finish`] does, or, when it has no more than a block, writes its
    /// entries as any others: files and syncs cost more than that.
    pub async fn finish_load(&mut self, mut load: BulkLoad) -> Result<Loaded> {
        if load.running.is_some() {
            return load.finish().await;
        }
        self.forget_load(load.prefix);
        load.block.sort();
        let mut loaded = Loaded::default();
        let mut last: &[u8] = &[];
        for at in 0..load.block.len() {
            let Some(entry) = load.block.get(at) else {
                break;
            };
            if entry.key == last {
                loaded.note_duplicate(entry.key, entry.value, entry.tag);
                continue;
            }
            last = entry.key;
            loaded.entries += 1;
            self.put_prepared(load.space, entry.key, entry.value);
        }
        Ok(loaded)
    }
}

impl Loaded {
    fn note_duplicate(&mut self, key: &[u8], value: &[u8], tag: u64) {
        if self.duplicate.as_ref().is_none_or(|first| tag < first.tag) {
            self.duplicate = Some(Duplicate {
                tag,
                key: key.to_vec(),
                value: value.to_vec(),
            });
        }
    }
}

impl BulkLoad {
    fn start(&self) -> Result<Running> {
        let number = self.store.next_id();
        let directory = self.store.path().join(DIRECTORY).join(number.to_string());
        let (sender, receiver) = mpsc::channel(BLOCKS_WAITING);
        let spare = Spare::default();
        let used = spare.clone();
        let (answer, outcome) = oneshot::channel();
        let given_up = Arc::new(Mutex::new(false));
        let job = Job {
            store: self.store.clone(),
            space: self.space,
            prefix: self.prefix,
            directory,
            given_up: given_up.clone(),
        };
        std::thread::Builder::new()
            .name("helios-load".into())
            .spawn(move || {
                let result = work(&job, receiver, used);
                remove(&job.directory);
                drop(job);
                // Nobody waits for a load that was given up.
                let _ = answer.send(result);
            })
            .map_err(|e| error!(Io, "could not start a thread: {e}"))?;
        Ok(Running {
            sender,
            spare,
            outcome,
            given_up,
        })
    }

    /// Adds an entry; its key begins with the load's prefix. `tag` is the caller's name for it.
    #[inline]
    pub fn add(&mut self, key: &[u8], header: RowHeader, body: &[u8], tag: u64) -> Result<()> {
        crate::commit::check_key(Space::Row, key)?;
        let begin = self.begin;
        self.block.push(key, tag, |out| {
            let at = out.len() + Header::BEGIN_TS.start;
            encode_header(out, header, false);
            if let Some(stamp) = out.get_mut(at..at + begin.len()) {
                stamp.copy_from_slice(&begin);
            }
            out.extend_from_slice(body);
        });
        Ok(())
    }

    /// Whether it is time for [`BulkLoad::hand_over`].
    #[inline]
    pub fn is_full(&self) -> bool {
        self.block.is_full()
    }

    /// Gives what was added so far to the thread; waits while that has enough to do.
    pub async fn hand_over(&mut self) -> Result<()> {
        if self.running.is_none() {
            self.running = Some(self.start()?);
        }
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let block = std::mem::replace(&mut self.block, running.spare.take());
        if block.is_empty() || running.sender.send(Message::Block(block)).await.is_ok() {
            return Ok(());
        }
        // The thread ends early only after an error.
        match (&mut running.outcome).await {
            Ok(Err(error)) => Err(error),
            _ => Err(Error::internal("a load ended by itself")),
        }
    }

    /// Takes in everything. The object can be read by this transaction's next statement.
    pub async fn finish(mut self) -> Result<Loaded> {
        self.hand_over().await?;
        let Some(running) = &mut self.running else {
            return Ok(Loaded::default());
        };
        // If the thread has ended, its outcome says why.
        let _ = running.sender.send(Message::Finish).await;
        (&mut running.outcome)
            .await
            .unwrap_or_else(|_| Err(Error::internal("a load ended without an outcome")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Waits for files that are just being taken in: they are deleted after this.
        *self.given_up.lock() = true;
    }
}

/// What the thread does.
fn work(job: &Job, mut blocks: mpsc::Receiver<Message>, used: Spare) -> Result<Loaded> {
    std::fs::create_dir_all(&job.directory).map_err(|e| io(&job.directory, &e))?;
    let options = job.store.database().load_options(job.space);
    let mut sorter = merge::Sorter::new(job, &options, used);
    while let Some(message) = blocks.blocking_recv() {
        match message {
            Message::Block(block) => sorter.take(block)?,
            Message::Finish => return sorter.finish(),
        }
    }
    bail!(QueryCancelled, "the load was given up")
}

fn remove(directory: &Path) {
    if let Err(error) = std::fs::remove_dir_all(directory)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "could not remove the files of a load");
    }
}

fn io(path: &Path, source: &std::io::Error) -> Error {
    if source.kind() == std::io::ErrorKind::StorageFull {
        return error!(DiskFull, "could not write \"{}\": {source}", path.display());
    }
    error!(Io, "could not use \"{}\": {source}", path.display())
}

impl Job {
    /// Makes the files part of the database.
    fn ingest(&self, paths: &[PathBuf]) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let given_up = self.given_up.lock();
        if *given_up {
            bail!(QueryCancelled, "the load was given up");
        }
        let store = &self.store;
        let db = store.database();
        let mut batch = crate::batch::Batch::new();
        batch.put(db.id(Family::System), &system_key(LOAD, self.prefix), &[]);
        store.wal().write(batch.finish())?;
        store.wal().sync()?;
        db.ingest(Family::Current(self.space), paths)?;
        // A snapshot that others share may be of before.
        let commits = store.commit_state().lock();
        store.forget_newest();
        drop(commits);
        Ok(())
    }
}

/// Removes what is left of loads whose transactions did not commit; with `read_only` it is only
/// kept from being counted.
pub(crate) fn clean_up(db: &Arc<Database>, path: &Path, read_only: bool) -> Result<()> {
    let unfinished = crate::store::unfinished_loads(db)?;
    if read_only {
        db.loads.set_unfinished(unfinished);
        return Ok(());
    }
    for prefix in &unfinished {
        tracing::info!(object = prefix.object.0, "removing a load that did not end");
        let mut batch = crate::batch::Batch::new();
        crate::store::delete_object(db, *prefix, &mut batch)?;
        batch.delete(db.id(Family::System), &system_key(LOAD, *prefix));
        db.write(batch.finish())?;
    }
    if !unfinished.is_empty() {
        db.flush_wal(true)?;
    }
    remove(&path.join(DIRECTORY));
    Ok(())
}
