//! HeliosDB over gRPC: `heliosdb.v1.HeliosDB`, the standard health service and reflection.
//!
//! ```text
//! message -> command (SQL and typed parameters) -> engine session -> rows as protobuf values
//! ```
//!
//! `service` has the calls; `direct` brings the most frequent one to it without tonic's layers.
//!
//! Invariants: status codes are one exhaustive match over the error kinds (`error`), with the
//! REST code, SQLSTATE and hint as `google.rpc.ErrorInfo`; a stream is sent while the query runs
//! and stops with the client; a transaction's session waits under its id until it expires.

mod app;
mod direct;
mod error;
mod fuzz;
mod service;
mod stream;
mod value;

pub use app::{App, GrpcConfig, GrpcHandler};
pub use fuzz::fuzz;

/// The messages and stubs of `heliosdb.v1`.
pub mod proto {
    #![allow(clippy::all, missing_docs)]
    tonic::include_proto!("heliosdb.v1");

    /// The compiled descriptor of the proto file, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}
