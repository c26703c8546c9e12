//! From filters and pipelines to statements of the shared planner.
//!
//! A query becomes text with parameters, which the binder turns into the same plan as a query of
//! any other protocol; the text is the key under which the plan is found again, so filters and
//! limits are parameters and not part of it. What BSON alone decides is a document function
//! (`bson_match`, `bson_stage`, …, see `helios_planner::document::function`); what a typed column
//! can decide is an ordinary predicate, so that keys and indexes are used.

mod bucket;
mod column;
mod path;
mod pipeline;
mod relation;

pub use column::{Predicate, id_alone};
pub use pipeline::Query;
pub use relation::{Collection, Statements, quote};

use helios_planner::document::raw::Bson;
use helios_types::{Jsonb, Type, Value};

/// Text of a statement and its parameters.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    pub text: String,
    pub params: Params,
}

/// Parameters in order, with their types.
#[derive(Clone, Debug, Default)]
pub struct Params {
    pub values: Vec<Value>,
    pub types: Vec<Option<Type>>,
}

impl Params {
    /// Adds a parameter; its name in the text.
    pub fn push(&mut self, ty: Type, value: Value) -> String {
        self.values.push(value);
        self.types.push(Some(ty));
        format!("${}", self.values.len())
    }

    pub fn bson(&mut self, value: Bson<'_>) -> String {
        self.push(
            Type::JSONB,
            Value::Jsonb(Jsonb::new(value.tag, value.bytes)),
        )
    }

    pub fn text(&mut self, value: &str) -> String {
        self.push(Type::TEXT, Value::text(value))
    }

    pub fn integer(&mut self, value: i64) -> String {
        self.push(Type::INT8, Value::Int8(value))
    }
}

#[cfg(test)]
mod tests;
