//! How a store is opened.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct StoreOptions {
    pub path: PathBuf,
    pub block_cache_bytes: usize,
    /// Memory for rows that are read again and again one by one.
    pub row_cache_bytes: usize,
    /// Memory of one memtable of rows or of index entries; there are up to three of each. A small
    /// one stays in the processor's cache: inserting into 64 MB takes a third more processor time
    /// than into 16 MB, flushes and compactions included.
    pub write_buffer_bytes: usize,
    /// How long change records are kept; `None` keeps no change log.
    pub log_retention: Option<Duration>,
    pub read_only: bool,
    /// Files that RocksDB keeps open; -1 keeps all.
    pub max_open_files: i32,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            path: PathBuf::from("heliosdb-data"),
            block_cache_bytes: 256 << 20,
            row_cache_bytes: 64 << 20,
            write_buffer_bytes: 16 << 20,
            log_retention: None,
            read_only: false,
            max_open_files: 4096,
        }
    }
}
