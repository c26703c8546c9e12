//! Real clients against the real daemon.
//!
//! * [`daemon`]: starts the `heliosdb` binary on free ports with a directory of its own.
//! * [`postgres15`]: starts a real PostgreSQL 15 beside it, whose answers are the measure.
//! * [`chinook`]: where the sample database is.
//!
//! The programs that the tests run (psql, pgbench, redis-cli, …) are found in the system; a
//! missing one fails its test with the name of the package that has it.

pub mod chinook;
pub mod command;
pub mod daemon;
pub mod postgres15;
