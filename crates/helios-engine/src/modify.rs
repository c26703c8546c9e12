//! Plans that write or lock rows, driven from above the row executor.
//!
//! Waiting for a lock is asynchronous and the row executor is not, so a plan is taken apart: each
//! `ModifyTable` and `LockRows` in it becomes a *step*, run to its end in order, whose rows the
//! rest of the plan reads as a CTE. A statement's steps all read the statement's snapshot, and none
//! sees what another wrote, as PostgreSQL has it for data-modifying CTEs.
//!
//! When a row has changed since the snapshot by the time its lock is granted, READ COMMITTED asks
//! the plan again with the target's scan fixed to the newest version of that one row; if the plan
//! still gives a row, that is the row to change (PostgreSQL's EvalPlanQual). The other levels fail.

mod compile;
mod run;

pub(crate) use compile::{Pipeline, has_steps};
