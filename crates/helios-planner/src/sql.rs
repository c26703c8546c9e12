//! PostgreSQL's SQL: text to tree to plan.
//!
//! ```text
//! text ── parse (libpg_query) ──> Statement ── bind ──> Bound::Plan(BoundPlan) | Bound::Utility
//! ```
//!
//! * [`parse`] splits and parses a query string; errors carry PostgreSQL's text and position.
//! * [`normalise`] masks the literals of a simple-protocol statement, so that repeated statements
//!   share a template without being parsed.
//! * [`bind`] resolves names, types, operators, functions and casts by PostgreSQL's rules.
//!
//! Inside, a [`binder::Binder`] keeps a stack of query levels ([`scope::Level`]): a name is looked
//! up from the innermost level outwards, and what is found further out becomes an outer reference.
//! Every FROM item has a qualifier that is unique in the statement. Every expression is bound to a
//! [`binder::Typed`]: DataFusion's expression and its SQL type, every cast already inserted, so
//! that no later phase coerces anything.
//!
//! A tree node is taken apart with all its fields named; what is not consumed is refused with
//! 0A000 and the clause's name.
//!
//! COLLATE accepts `"default"`, `"C"`, `"POSIX"` and `"C.UTF-8"`, which all are the one collation of
//! every database here (order of code points), and refuses every other.

mod aggregate;
mod array;
mod binder;
mod coerce;
mod construct;
mod cte;
mod delete;
mod expression;
mod from;
mod function;
mod function_scan;
mod grouping;
mod insert;
mod join;
mod literal;
mod name;
mod node;
mod normalise;
mod on_conflict;
mod operator;
mod order;
mod parse;
pub(crate) mod plan;
mod predicate;
mod resolve;
mod scope;
mod select;
mod set_operation;
mod special;
mod statement;
mod sublink;
mod target;
mod type_name;
mod update;
mod utility;
mod window;

pub use binder::BindContext;
pub use construct::{ALL_OID, ANY_OID, COALESCE_OID};
pub use normalise::{Normalised, normalise};
pub use parse::{Statement, parse};
pub use statement::{
    Bound, BoundPlan, bind, bind_query_as_plan, bind_table_expression, sequences_of,
};
