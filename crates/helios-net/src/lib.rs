//! What every listener needs once: bind, accept, TLS, limits, timeouts, drain and counters.
//!
//! A front-end implements [`Handler`] and never touches a listening socket. [`serve`] accepts
//! connections, gives each a task of its own with a [`Connection`], and returns when the
//! [`Shutdown`] was triggered and the last connection is gone or the drain deadline has passed.
//!
//! Invariants:
//! * A connection's panic, error or timeout ends that connection only.
//! * No timer is armed on the path of a request: a connection notes when it starts to wait, and
//!   one watchdog per listener looks at the notes every second.
//! * Draining never cuts a request short before the deadline: a byte protocol reads end-of-file
//!   where it would have waited for the next request, HTTP uses its own graceful shutdown.

mod activity;
mod alarm;
mod awake;
mod balance;
pub mod bearer;
mod connection;
mod counters;
pub mod http;
pub mod lease;
mod listener;
mod presence;
mod roaming;
mod server;
mod shutdown;
mod stream;
mod tls;
mod workers;

pub use alarm::Alarm;
pub use connection::Connection;
pub use counters::Counters;
pub use listener::{Limits, Listener, TlsMode, bind};
pub use presence::Watch;
pub use server::{Handler, serve};
pub use shutdown::{DRAIN_DEADLINE, Shutdown};
pub use stream::Stream;
pub use tls::{ClientAuth, TlsFiles, server_config};
pub use workers::Workers;
