//! The MongoDB front-end: the wire protocol of MongoDB 7.0 over TCP, standard port 27017.
//!
//! ```text
//! bytes ── codec ──> Message ── command ──> translate ──> engine Session ── reply ──> bytes
//! ```
//!
//! * [`codec`]: bytes to messages and back. No I/O, fuzzed.
//! * `command`: what each command does, one file a family.
//! * [`translate`]: filters and pipelines to statements over the shared planner.
//! * `session`: connections, authentication, logical sessions, transactions, cursors.
//! * [`error`]: errors with MongoDB's numbers.
//!
//! A MongoDB database is the logical database of that name if there is one, else a schema of the
//! default database; a collection is a table. Tables made here keep raw BSON; tables made by SQL
//! are seen as documents of their columns.
//!
//! Invariants: a reply is written for every message that wants one, in order; lengths are checked
//! before they allocate; a logical session's transaction and the cursors belong to the server, not
//! to a connection, because drivers send them over any connection of their pool.

pub mod codec;
mod command;
mod config;
pub mod error;
mod session;
pub mod translate;

pub use config::Config;

use helios_engine::Engine;
use helios_net::{Listener, Shutdown};
use std::sync::Arc;

/// Serves the listener until `shutdown`, then drains.
pub async fn serve(listener: Listener, engine: Arc<Engine>, config: Config, shutdown: Shutdown) {
    let server = session::Server::new(engine, config);
    tokio::spawn(server.clone().sweep(shutdown.clone()));
    helios_net::serve(listener, Arc::new(session::FrontEnd { server }), shutdown).await;
}
