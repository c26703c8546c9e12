//! Real clients against the real daemon.
//!
//! * [`daemon`]: starts the `heliosdb` binary on free ports with a directory of its own.
//! * [`postgres15`]: starts a real PostgreSQL 15 beside it, whose answers are the measure.
//! * [`pg_client`]: PostgreSQL's protocol, for tests that must see its answers one by
//!   one; [`redis_client`] for Redis.
//! * [`random`]: random numbers with a seed that is printed.
//! * [`clients`]: where the drivers of Python and Node.js are.
//! * [`chinook`]: where the sample database is.
//!
//! The programs that the tests run (psql, pgbench, redis-cli, …) are found in the system; a
//! missing one fails its test with the name of the package that has it.

pub mod chinook;
pub mod clients;
pub mod command;
pub mod daemon;
pub mod pg_client;
pub mod postgres15;
pub mod random;
pub mod redis_client;
