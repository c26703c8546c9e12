//! HeliosDB over HTTP: the REST dialects of the contract.
//!
//! ```text
//! request -> route (which endpoint) -> auth (which role) -> body -> dialect (whose words)
//!         -> endpoint -> SQL with parameters -> engine session -> JSON straight into the body
//! ```
//!
//! * `dialect`, `route`: the rules that give one route table five languages.
//! * `accept`: which form of an answer the client wants.
//! * `error`: one error kind to the codes and statuses of every dialect.
//! * `json`: values out, parameters in.
//! * `fuzz`: what reads bytes of clients without the engine, which the target in `fuzz/` compiles too.
//! * `endpoint`: what each endpoint does, one file a topic.
//!
//! Invariants: every reply carries `X-Request-ID` and `X-Helios-Dialect`; a request runs in a
//! session of its role, and a session goes back for reuse only when nothing can have changed it;
//! authorization is the engine's; what is not supported is refused by name.

mod accept;
mod app;
mod auth;
mod body;
mod config;
mod dialect;
mod endpoint;
mod error;
mod execute;
mod filter;
mod fuzz;
mod json;
mod query_registry;
mod reply;
mod request;
mod route;
mod service;
mod target;
mod type_name;

pub use app::{App, Surroundings};
pub use config::HttpConfig;
pub use dialect::Dialect;
pub use service::HttpHandler;

/// Reads `data` in every way that this crate reads a client's bytes, also as a filter, a cursor and
/// parts of DDL; for the replay of the fuzz target's corpus. Nothing may panic.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    fuzz::requests(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = filter::check(text);
        endpoint::fuzz(text);
    }
}
