//! Calls of immutable functions on constants are computed when the expression is compiled.

use super::{Node, ValueEnv};
use crate::function::{FrozenContext, Volatility};

/// The value of a call when it is constant; otherwise the call. A call that fails is left to fail
/// when, and if, it is evaluated.
pub(super) fn fold(node: Node) -> Node {
    let (Node::Call { def, args, .. } | Node::TypedCall { def, args, .. }) = &node else {
        return node;
    };
    let constant = def.volatility == Volatility::Immutable
        && args.iter().all(|a| matches!(a, Node::Constant(_)));
    if !constant {
        return node;
    }
    let mut nowhere = FrozenContext::nowhere();
    let mut env = ValueEnv {
        params: &[],
        functions: &mut nowhere,
    };
    match node.eval(&[], &mut env) {
        Ok(value) => Node::Constant(value),
        Err(_) => node,
    }
}
