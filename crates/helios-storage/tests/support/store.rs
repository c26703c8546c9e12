//! What the tests of this crate share: a store in a temporary directory and short names.
#![allow(dead_code)]

use helios_storage::*;
use helios_types::{BranchId, DatabaseId, ObjectId, Result};
use std::sync::Arc;
use tempfile::TempDir;

pub fn options(directory: &std::path::Path) -> StoreOptions {
    StoreOptions {
        path: directory.to_path_buf(),
        block_cache_bytes: 8 << 20,
        write_buffer_bytes: 4 << 20,
        ..StoreOptions::default()
    }
}

pub fn store() -> (TempDir, Arc<Store>) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(options(directory.path())).unwrap();
    (directory, store)
}

pub fn object(number: u32) -> Prefix {
    Prefix::new(DatabaseId(1), BranchId::MAIN, ObjectId(number))
}

/// A key of the object.
pub fn key(number: u32, name: &str) -> Vec<u8> {
    let mut out = object(number).bytes().to_vec();
    out.extend_from_slice(name.as_bytes());
    out
}

pub fn begin(store: &Arc<Store>, isolation: Isolation) -> Txn {
    let mut txn = store.begin(TxnOptions {
        isolation,
        durability: Durability::Off,
        ..TxnOptions::default()
    });
    txn.start_statement();
    txn
}

pub fn put(txn: &mut Txn, number: u32, name: &str, body: &str) {
    txn.put(
        Space::Row,
        &key(number, name),
        RowHeader::default(),
        body.as_bytes(),
    );
}

pub fn commit(txn: Txn) -> Result<helios_types::Ts> {
    txn.commit_start()?.finish().map(|info| info.ts)
}

/// Writes one row in a transaction of its own.
pub fn write(store: &Arc<Store>, number: u32, name: &str, body: &str) -> helios_types::Ts {
    let mut txn = begin(store, Isolation::ReadCommitted);
    put(&mut txn, number, name, body);
    commit(txn).unwrap()
}

pub fn body(value: Option<Pinned<'_>>) -> Option<String> {
    value.map(|v| String::from_utf8(split_header(&v).unwrap().1.to_vec()).unwrap())
}

pub fn read(view: &ReadView, number: u32, name: &str) -> Option<String> {
    body(view.get(Space::Row, &key(number, name)).unwrap())
}

/// Names and bodies that a scan gives.
pub fn collect(mut scan: Scan) -> Vec<(String, String)> {
    let mut out = Vec::new();
    while let Some((key, value)) = scan.next().unwrap() {
        let name = String::from_utf8(key[Prefix::LEN..].to_vec()).unwrap();
        let (_, body) = split_header(value).unwrap();
        out.push((name, String::from_utf8(body.to_vec()).unwrap()));
    }
    out
}

pub fn scan(view: &ReadView, number: u32, reverse: bool) -> Vec<(String, String)> {
    let options = ScanOptions {
        reverse,
        ..ScanOptions::default()
    };
    collect(
        view.scan(Space::Row, object(number).range(), options)
            .unwrap(),
    )
}
