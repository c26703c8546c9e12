//! Plan nodes that DataFusion does not have.
//!
//! Each is a `UserDefinedLogicalNodeCore`; predicates are never pushed through them unless said
//! otherwise. A node's `schema` fields carry SQL types as [`crate::pgtype`] says.

mod modify;
mod query;

pub use modify::{Assignment, ConflictAction, ModifyOp, ModifyTable, OnConflict};
pub use query::{
    CteScan, FunctionCall, FunctionScan, LockRows, LockStrength, LockWait, Materialize, ProjectSet,
    RecursiveCte, RowLock, SetOperation, SetOperator,
};
