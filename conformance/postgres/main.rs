//! PostgreSQL's own clients and drivers against the daemon, measured by a real PostgreSQL 15.

mod bulk;
mod compat;
mod driver;
mod executor;
mod large;
mod pgbench;
mod psql;
mod sql;
