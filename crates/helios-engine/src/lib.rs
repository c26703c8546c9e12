//! The engine.

pub mod keyspace;

pub use helios_storage::Durability;
