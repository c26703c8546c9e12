//! The Redis front-end: RESP2 and RESP3 over the keyspace of the engine.
//!
//! ```text
//! codec    bytes -> requests, replies -> bytes
//! command  the table of commands, their arguments and answers, one file a family
//! session  one connection: batches, transactions, subscriptions, waiting
//! server   what all connections share; clients and channels are its parts
//! translate keys of database 16 to rows, commands to statements of the shared plan
//! backend  who a connection is and where its databases are stored
//! port     the listener of the daemon
//! ```
//!
//! A request goes from the read buffer to the keyspace and its answer into the output buffer
//! without being copied or put into a tree; all requests that arrived together are committed and
//! answered together. COMPAT.md lists every command and its test.

mod backend;
mod channels;
mod clients;
pub mod codec;
pub mod command;
mod config;
pub mod error;
mod port;
mod server;
mod session;
mod translate;

pub use port::Port;
