//! Calls of immutable functions on constants are computed when the expression is compiled.

use super::{Node, ValueEnv};
use crate::catalog::Catalog;
use crate::function::{FunctionContext, Volatility};
use helios_types::{Error, ObjectId, Result};
use std::sync::Arc;

/// The value of a call when it is constant; otherwise the call. A call that fails is left to fail
/// when, and if, it is evaluated.
pub(super) fn fold(node: Node) -> Node {
    let Node::Call { def, args, .. } = &node else { return node };
    let constant = def.volatility == Volatility::Immutable
        && args.iter().all(|a| matches!(a, Node::Constant(_)));
    if !constant {
        return node;
    }
    let mut nothing = Nothing;
    let mut env = ValueEnv { params: &[], functions: &mut nothing };
    match node.eval(&[], &mut env) {
        Ok(value) => Node::Constant(value),
        Err(_) => node,
    }
}

/// What an immutable function may know of the session: nothing.
struct Nothing;

fn refused<T>() -> Result<T> {
    Err(Error::internal("an immutable function asked for the session"))
}

impl FunctionContext for Nothing {
    fn transaction_time(&self) -> i64 {
        0
    }
    fn statement_time(&self) -> i64 {
        0
    }
    fn time_zone(&self) -> &str {
        "UTC"
    }
    fn current_user(&self) -> &str {
        ""
    }
    fn session_user(&self) -> &str {
        ""
    }
    fn current_database(&self) -> &str {
        ""
    }
    fn search_path(&self, _: bool) -> Vec<String> {
        Vec::new()
    }
    fn setting(&self, _: &str) -> Option<String> {
        None
    }
    fn set_setting(&mut self, _: &str, _: &str, _: bool) -> Result<String> {
        refused()
    }
    fn backend_pid(&self) -> i32 {
        0
    }
    fn catalog(&self) -> Arc<Catalog> {
        Arc::default()
    }
    fn sequence_next(&mut self, _: ObjectId) -> Result<i64> {
        refused()
    }
    fn sequence_last(&mut self, _: ObjectId) -> Result<i64> {
        refused()
    }
    fn sequence_set(&mut self, _: ObjectId, _: i64, _: bool) -> Result<()> {
        refused()
    }
    fn last_sequence_value(&self) -> Result<i64> {
        refused()
    }
    fn transaction_id(&mut self) -> Result<u64> {
        refused()
    }
}
