//! The Redis port, driven from outside over its wire, and a real redis-server beside it.

mod database16;
mod golden;
mod peer;
mod resp;
mod tair;
