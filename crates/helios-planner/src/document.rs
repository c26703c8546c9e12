//! The document language: filters, projections, updates, expressions and accumulators over BSON.
//!
//! Everything here is a pure function of bytes: a specification is compiled once into a tree and
//! evaluated on raw documents, which are never decoded as a whole. MongoDB's front-end translates
//! its commands to plans whose functions (`bson_match`, `bson_project`, …) call into this module;
//! `jsonb` of SQL is the same bytes.
//!
//! The semantics are MongoDB's: one order over all types, comparisons bracketed by type, paths
//! that look through arrays, two truth values. Refusals carry MongoDB's numbers and texts in
//! [`DocError`], which the front-end answers as they are.

pub mod accumulator;
pub mod decimal;
pub mod display;
pub mod error;
pub mod expression;
pub mod function;
pub mod key;
pub mod matcher;
pub mod number;
pub mod order;
pub mod path;
pub mod pattern;
pub mod projection;
pub mod raw;
pub mod sort;
pub mod stage;
pub mod update;
pub mod variable;
pub mod window;

pub use error::{DocError, DocResult};
pub use raw::{Bson, BsonBuf};
