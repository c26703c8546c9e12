//! Versioned rows and keys in RocksDB: the only crate that knows RocksDB, and nothing of what rows
//! mean.
//!
//! # The idea
//!
//! The newest version of a row, index entry or catalog record stands at a fixed key, so reading it
//! is one `get`. A superseded version moves, in the batch of the commit that supersedes it, to a
//! history family under `key | end | begin`, and only where somebody wants history. Uncommitted
//! writes are in no family: each transaction has them in memory ([`Txn`]) and its readers merge
//! them in ([`ReadView`]). So there are no version chains to walk, nothing to clean up after a
//! rollback or a crash, and a snapshot is a RocksDB snapshot with a timestamp.
//!
//! # Modules
//!
//! * [`Store`]: a data directory in use; [`Snapshot`]: a fixed state of it; [`Scan`]: a range of one.
//! * [`Txn`], with [`LockKey`] and [`LockMode`]: locks, writes, commit; `commit` and `wal` say how a
//!   commit becomes ordered and durable; `serializable` validates reads.
//! * [`BulkLoad`]: many rows or index entries of a new object, as table files.
//! * `row_cache`: newest rows that are read again and again, in front of RocksDB.
//! * [`key`] and [`row`]: the codecs of keys and rows.
//! * history, changes, ttl, sequence, check: what their names say.
//!
//! # Figures
//!
//! `examples/costs.rs`, processor time of the calling thread in microseconds, 200,000 rows of 100
//! bytes, RocksDB 11.8, on a shared two-core virtual machine with other work on it; take the
//! ratios, not the values:
//!
//! | operation | in the memtable | in table files |
//! | --- | --- | --- |
//! | RocksDB alone: get (default options) | 2.6 | 3.5 |
//! | `Store::get` | 2.8 | 2.9 |
//! | `Store::get` of a key that is not there | 0.5 | 0.5 |
//! | `Store::snapshot` | 0.02 | 0.02 |
//! | begin, view, get, commit | 2.9 | 3.1 |
//! | `multi_get` of 50 neighbours, each key | 1.1 | 1.1 |
//! | scan, each row | 0.2 | 0.25 |
//! | RocksDB alone: put, log handed to the system | 5.9 | |
//! | lock, put, commit: `Off` | 6.7 | |
//! | lock, put, commit: `EverySecond` | 9 to 10 | |
//! | the same, five commits at a time (`group`) | 6 | |
//! | a row in a transaction of 10,000 | 1.1 to 1.6 | |
//! | encode a row of five columns; read one column | 0.10; 0.03 | |
//! | encode a key of bigint and text; of numeric | 0.05; 0.07 | |
//!
//! What reading and writing single rows costs is the search through RocksDB's memtable, which is one
//! cache miss after another: with 100,000 keys of which a memtable of 64 MB has many versions, it
//! took 35 % of the daemon's processor time for Redis' GET and 40 % for SET in pipelines. So there is
//! a row cache (a pipelined GET: 6.7 µs without, 2.1 µs with it), and the memtable has 16 MB (a put
//! of 9.1 µs at 64 MB takes 7.2 µs, flushes and compactions included; both on the busy machine).
//!
//! A commit by its own thread under the commit lock against one committer thread fed by a queue:
//! `EverySecond` 123,000 against 52,000 commits/s from one thread, 97,000 against 46,000 from two,
//! 83,000 against 54,000 from eight. With `On` both wait for the device and are equal within the
//! noise (11,000 against 7,000 from eight threads in the same run). So commits are made inline.
//!
//! # Invariants
//!
//! * Timestamps order commits as RocksDB's sequence numbers do: both are assigned under one lock.
//! * A commit is in one write batch, by itself or with others: rows, index entries, history,
//!   counters, change records and the last timestamp are all there after a crash or none is.
//! * What the row cache holds is the newest version, once its commit is published.
//! * A key in `cur` has one version; the versions of a key in `cur` and `hist` do not overlap.
//! * After a failed write or sync of the log nothing is acknowledged any more.

mod batch;
mod changes;
mod check;
mod commit;
mod database;
mod group;
mod header;
mod history;
pub mod key;
mod load;
mod lock;
mod moved;
mod options;
mod overlay;
mod pinned;
mod repr;
pub mod row;
mod row_cache;
mod scan;
mod sequence;
mod serializable;
mod snapshot;
mod space;
mod stats;
mod store;
mod ttl;
mod txn;
mod view;
mod wal;

pub use changes::{Change, ChangeOp, ChangeRecord, CommitNotice};
pub use check::{CheckReport, CheckVisitor, NoVisitor};
pub use group::GroupedCommit;
pub use header::{Header, RowHeader, split_header};
pub use key::{KeyColumn, decode_key, encode_bson_key, encode_key, prefix_successor};
pub use load::{BulkLoad, Duplicate, Loaded};
pub use lock::{AwaitedLock, LockKey, LockMode, Locked, SessionLocks, TryLock, Wait};
pub use options::StoreOptions;
pub use pinned::Pinned;
pub use row::{RowLayout, RowRef};
pub use scan::{Block, Scan, ScanOptions};
pub use sequence::SequenceParams;
pub use snapshot::Snapshot;
pub use space::{KeyRange, Prefix, Space};
pub use stats::StoreStats;
pub use store::Store;
pub use txn::{Isolation, Savepoint, Txn, TxnId, TxnOptions};
pub use view::ReadView;
pub use wal::{CommitInfo, CommitWait, Durability};
