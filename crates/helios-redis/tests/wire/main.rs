//! The Redis port, driven from outside over its wire, and a real redis-server beside it.

mod clients;
mod database16;
mod golden;
mod hot_keys;
mod in_sql;
mod input;
mod keyspace;
mod peer;
mod prefix;
mod resp;
mod server;
mod sql_writes;
mod tair;
