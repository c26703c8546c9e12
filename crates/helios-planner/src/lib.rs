//! Every request becomes a DataFusion `LogicalPlan` here; nothing in this crate does I/O.
//!
//! ```text
//! SQL text ── pg_query ── sql::bind ─┐
//! MongoDB command ── document ───────┼─> LogicalPlan ── optimise ── lower ─> PlanTemplate
//! Redis, REST, gRPC ── builder ──────┘
//! ```
//!
//! * [`catalog`]: what planning knows of databases, tables, columns, indexes; read-only values.
//! * [`relation`]: a catalog table as DataFusion's `TableSource`.
//! * [`pgtype`]: SQL types beside Arrow types; literals and values between the two.
//! * [`node`]: plan nodes that DataFusion does not have.
//! * [`function`]: PostgreSQL's functions, operators, casts and aggregates, each written once over
//!   values and usable by every executor.
//! * [`document`]: MongoDB's language over BSON.
//! * [`scalar`]: expressions compiled for evaluation a row at a time.
//! * [`sql`]: PostgreSQL's grammar, names, types and functions bound to plans and [`utility`] commands.
//! * [`template`]: a plan with typed parameters and the executor it was lowered to.

pub mod catalog;
pub mod document;
pub mod function;
pub mod lower;
pub mod node;
pub mod optimise;
pub mod pgtype;
pub mod relation;
pub mod scalar;
pub mod sql;
pub mod template;
pub mod utility;
