//! Small readings of tree nodes.

use helios_types::{Error, Result};
use pg_query::NodeEnum;
use pg_query::protobuf::{self, Node, a_const};

/// The node inside; PostgreSQL's own lists have no holes where this is used.
pub(crate) fn inner(node: &Node) -> Result<&NodeEnum> {
    node.node
        .as_ref()
        .ok_or_else(|| Error::internal("empty parse tree node"))
}

pub(crate) fn required(node: &Option<Box<Node>>) -> Result<&NodeEnum> {
    optional(node).ok_or_else(|| Error::internal("missing parse tree node"))
}

pub(crate) fn optional(node: &Option<Box<Node>>) -> Option<&NodeEnum> {
    node.as_ref().and_then(|n| n.node.as_ref())
}

/// The text of a string node.
pub(crate) fn string(node: &Node) -> Result<&str> {
    match inner(node)? {
        NodeEnum::String(protobuf::String { sval }) => Ok(sval),
        other => Err(Error::internal(format!(
            "expected a name, found {}",
            kind(other)
        ))),
    }
}

pub(crate) fn strings(nodes: &[Node]) -> Result<Vec<&str>> {
    nodes.iter().map(string).collect()
}

/// The integer of an integer node or constant.
pub(crate) fn integer(node: &NodeEnum) -> Option<i64> {
    match node {
        NodeEnum::Integer(i) => Some(i64::from(i.ival)),
        NodeEnum::Float(f) => f.fval.parse().ok(),
        NodeEnum::AConst(protobuf::AConst {
            val: Some(a_const::Val::Ival(i)),
            ..
        }) => Some(i64::from(i.ival)),
        NodeEnum::AConst(protobuf::AConst {
            val: Some(a_const::Val::Fval(f)),
            ..
        }) => f.fval.parse().ok(),
        _ => None,
    }
}

/// The name of a node's kind as the tree calls it, for refusals of kinds without a better name.
pub(crate) fn kind(node: &NodeEnum) -> String {
    let text = format!("{node:?}");
    text.split(['(', ' ', '{'])
        .next()
        .unwrap_or_default()
        .to_string()
}

/// Byte offset of an expression in the source, -1 where the tree does not say.
pub(crate) fn location(node: &NodeEnum) -> i32 {
    match node {
        NodeEnum::ColumnRef(n) => n.location,
        NodeEnum::ParamRef(n) => n.location,
        NodeEnum::AConst(n) => n.location,
        NodeEnum::AExpr(n) => {
            // PostgreSQL reports an expression at its leftmost part.
            let left = n
                .lexpr
                .as_ref()
                .and_then(|l| l.node.as_ref())
                .map_or(-1, location);
            leftmost(left, n.location)
        }
        NodeEnum::BoolExpr(n) => {
            let first = n
                .args
                .first()
                .and_then(|l| l.node.as_ref())
                .map_or(-1, location);
            leftmost(first, n.location)
        }
        NodeEnum::TypeCast(n) => {
            let inside = n
                .arg
                .as_ref()
                .and_then(|l| l.node.as_ref())
                .map_or(-1, location);
            leftmost(inside, n.location)
        }
        NodeEnum::FuncCall(n) => n.location,
        NodeEnum::AIndirection(n) => n
            .arg
            .as_ref()
            .and_then(|l| l.node.as_ref())
            .map_or(-1, location),
        NodeEnum::AArrayExpr(n) => n.location,
        NodeEnum::RowExpr(n) => n.location,
        NodeEnum::SubLink(n) => {
            let test = n
                .testexpr
                .as_ref()
                .and_then(|l| l.node.as_ref())
                .map_or(-1, location);
            leftmost(test, n.location)
        }
        NodeEnum::CaseExpr(n) => n.location,
        NodeEnum::CoalesceExpr(n) => n.location,
        NodeEnum::MinMaxExpr(n) => n.location,
        NodeEnum::NullTest(n) => leftmost(
            n.arg
                .as_ref()
                .and_then(|l| l.node.as_ref())
                .map_or(-1, location),
            n.location,
        ),
        NodeEnum::BooleanTest(n) => leftmost(
            n.arg
                .as_ref()
                .and_then(|l| l.node.as_ref())
                .map_or(-1, location),
            n.location,
        ),
        NodeEnum::CollateClause(n) => leftmost(
            n.arg
                .as_ref()
                .and_then(|l| l.node.as_ref())
                .map_or(-1, location),
            n.location,
        ),
        NodeEnum::SqlvalueFunction(n) => n.location,
        NodeEnum::SetToDefault(n) => n.location,
        NodeEnum::GroupingFunc(n) => n.location,
        NodeEnum::ResTarget(n) => n.location,
        NodeEnum::TypeName(n) => n.location,
        NodeEnum::RangeVar(n) => n.location,
        NodeEnum::NamedArgExpr(n) => n.location,
        NodeEnum::SelectStmt(n) => n
            .target_list
            .first()
            .or_else(|| n.values_lists.first())
            .and_then(|t| t.node.as_ref())
            .map_or(-1, location),
        NodeEnum::List(n) => n
            .items
            .first()
            .and_then(|i| i.node.as_ref())
            .map_or(-1, location),
        _ => -1,
    }
}

fn leftmost(a: i32, b: i32) -> i32 {
    match (a, b) {
        (-1, b) => b,
        (a, -1) => a,
        (a, b) => a.min(b),
    }
}
