//! The two kernels that carry every row of every protocol.
//!
//! *Read* ([`read`]): bytes of a stored version to values: tombstones and expired rows are
//! absent, columns that a row's schema version did not have yet get their default of that time.
//! *Write* ([`write`]): defaults, generated columns, NOT NULL, CHECK, unique and foreign keys,
//! indexes, row counter, expiry and change record, under the row locks of the transaction.
//!
//! [`runtime`] holds what both need of a table, compiled once per catalog version.

pub(crate) mod document;
pub(crate) mod foreign_key;
pub(crate) mod index;
pub(crate) mod reach;
pub(crate) mod read;
pub(crate) mod reader;
pub(crate) mod runtime;
pub(crate) mod write;
