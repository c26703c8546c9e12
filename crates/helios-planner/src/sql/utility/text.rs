//! SQL text out of trees and sources: what the catalog keeps.

use crate::sql::binder::Binder;
use crate::sql::construct::quoted;
use crate::sql::node::string;
use helios_types::{Error, Result};
use pg_query::protobuf::{
    FuncCall, ParseResult, RawStmt, ResTarget, SelectStmt, String as StringNode, a_const,
};
use pg_query::{Node, NodeEnum};

impl Binder<'_> {
    /// An expression as text that means the same under any search path.
    pub fn expression_text(&self, node: &NodeEnum) -> Result<String> {
        let mut node = node.clone();
        self.qualify_sequences(&mut node);
        let target = ResTarget {
            val: Some(Box::new(Node { node: Some(node) })),
            ..Default::default()
        };
        let select = SelectStmt {
            target_list: vec![Node {
                node: Some(NodeEnum::ResTarget(Box::new(target))),
            }],
            op: 1,
            limit_option: 1,
            ..Default::default()
        };
        let text = statement_text(NodeEnum::SelectStmt(Box::new(select)))?;
        text.strip_prefix("SELECT ")
            .map(str::to_string)
            .ok_or_else(|| Error::internal("deparsed expression"))
    }

    /// `nextval('seq')` names its sequence with its schema.
    fn qualify_sequences(&self, node: &mut NodeEnum) {
        match node {
            NodeEnum::FuncCall(call) if names_sequence(call) => {
                if let Some(argument) = call.args.first_mut().and_then(|a| a.node.as_mut()) {
                    self.qualify_constant(argument);
                }
            }
            NodeEnum::TypeCast(cast) => {
                if let Some(argument) = cast.arg.as_mut().and_then(|a| a.node.as_mut()) {
                    self.qualify_sequences(argument);
                }
            }
            _ => {}
        }
    }

    fn qualify_constant(&self, node: &mut NodeEnum) {
        match node {
            NodeEnum::TypeCast(cast) => {
                if let Some(argument) = cast.arg.as_mut().and_then(|a| a.node.as_mut()) {
                    self.qualify_constant(argument);
                }
            }
            NodeEnum::AConst(constant) => {
                if let Some(a_const::Val::Sval(StringNode { sval })) = &mut constant.val
                    && let Some(parts) = crate::sql::literal::split_identifier(sval)
                    && let [name] = parts.as_slice()
                    && let Some(relation) = self.find_relation(None, None, name)
                {
                    *sval = format!(
                        "{}.{}",
                        quoted(&self.schema_name(relation.schema())),
                        quoted(name)
                    );
                }
            }
            _ => {}
        }
    }

    /// A query as text with every relation named by its schema and every `*` written out.
    pub fn stored_query(&mut self, node: &NodeEnum) -> Result<String> {
        let mut node = node.clone();
        let mut scope: Vec<String> = Vec::new();
        self.qualify_query(&mut node, &mut scope)?;
        statement_text(node)
    }

    /// Qualifies relation names; `ctes` are names that mean no relation.
    fn qualify_query(&mut self, node: &mut NodeEnum, ctes: &mut Vec<String>) -> Result<()> {
        // The tree has many kinds of nodes that can hold a query: it is walked as data.
        let mut value = serde_json::to_value(&*node).map_err(Error::internal)?;
        let mut edits = Vec::new();
        self.collect_relations(&mut value, ctes, &mut edits);
        let NodeEnum::SelectStmt(_) = node else {
            return Ok(());
        };
        for (location, schema) in edits {
            set_schema(node, location, &schema);
        }
        Ok(())
    }

    fn collect_relations(
        &mut self,
        value: &mut serde_json::Value,
        ctes: &mut Vec<String>,
        edits: &mut Vec<(i64, String)>,
    ) {
        match value {
            serde_json::Value::Array(items) => {
                for item in items {
                    self.collect_relations(item, ctes, edits);
                }
            }
            serde_json::Value::Object(map) => {
                let depth = ctes.len();
                if let Some(list) = map
                    .get("with_clause")
                    .and_then(|w| w.get("ctes"))
                    .and_then(|c| c.as_array())
                {
                    for cte in list {
                        let name = cte
                            .pointer("/node/CommonTableExpr/ctename")
                            .and_then(|n| n.as_str());
                        ctes.extend(name.map(str::to_string));
                    }
                }
                if let (Some(name), Some(schema), Some(location)) = (
                    map.get("relname").and_then(|v| v.as_str()),
                    map.get("schemaname").and_then(|v| v.as_str()),
                    map.get("location").and_then(serde_json::Value::as_i64),
                ) && schema.is_empty()
                    && !ctes.iter().any(|c| c == name)
                    && let Some(relation) = self.find_relation(None, None, name)
                {
                    edits.push((location, self.schema_name(relation.schema())));
                }
                for item in map.values_mut() {
                    self.collect_relations(item, ctes, edits);
                }
                ctes.truncate(depth);
            }
            _ => {}
        }
    }
}

/// Names the schema of the relation at a location, wherever it stands in the query.
fn set_schema(node: &mut NodeEnum, location: i64, schema: &str) {
    if let NodeEnum::SelectStmt(select) = node {
        walk_select(select, &mut |var| {
            if i64::from(var.location) == location && var.schemaname.is_empty() {
                var.schemaname = schema.to_string();
            }
        });
    }
}

type Edit<'a> = &'a mut dyn FnMut(&mut pg_query::protobuf::RangeVar);

fn walk_select(select: &mut SelectStmt, edit: Edit<'_>) {
    for node in select
        .target_list
        .iter_mut()
        .chain(&mut select.from_clause)
        .chain(&mut select.group_clause)
        .chain(&mut select.values_lists)
        .chain(&mut select.sort_clause)
        .chain(&mut select.distinct_clause)
        .chain(&mut select.window_clause)
    {
        walk(node, edit);
    }
    for node in [
        &mut select.where_clause,
        &mut select.having_clause,
        &mut select.limit_count,
        &mut select.limit_offset,
    ]
    .into_iter()
    .flatten()
    {
        walk(node, edit);
    }
    if let Some(with) = &mut select.with_clause {
        for cte in &mut with.ctes {
            walk(cte, edit);
        }
    }
    for side in [&mut select.larg, &mut select.rarg].into_iter().flatten() {
        walk_select(side, edit);
    }
}

fn walk_all(nodes: &mut [Node], edit: Edit<'_>) {
    for node in nodes {
        walk(node, edit);
    }
}

fn walk_some(node: &mut Option<Box<Node>>, edit: Edit<'_>) {
    if let Some(node) = node {
        walk(node, edit);
    }
}

fn walk(node: &mut Node, edit: Edit<'_>) {
    let Some(node) = node.node.as_mut() else {
        return;
    };
    match node {
        NodeEnum::RangeVar(var) => edit(var),
        NodeEnum::SelectStmt(n) => walk_select(n, edit),
        NodeEnum::CommonTableExpr(n) => walk_some(&mut n.ctequery, edit),
        NodeEnum::RangeSubselect(n) => walk_some(&mut n.subquery, edit),
        NodeEnum::RangeFunction(n) => walk_all(&mut n.functions, edit),
        NodeEnum::JoinExpr(n) => {
            walk_some(&mut n.larg, edit);
            walk_some(&mut n.rarg, edit);
            walk_some(&mut n.quals, edit);
        }
        NodeEnum::ResTarget(n) => walk_some(&mut n.val, edit),
        NodeEnum::SortBy(n) => walk_some(&mut n.node, edit),
        NodeEnum::SubLink(n) => {
            walk_some(&mut n.testexpr, edit);
            walk_some(&mut n.subselect, edit);
        }
        NodeEnum::AExpr(n) => {
            walk_some(&mut n.lexpr, edit);
            walk_some(&mut n.rexpr, edit);
        }
        NodeEnum::BoolExpr(n) => walk_all(&mut n.args, edit),
        NodeEnum::FuncCall(n) => {
            walk_all(&mut n.args, edit);
            walk_all(&mut n.agg_order, edit);
            walk_some(&mut n.agg_filter, edit);
            if let Some(over) = &mut n.over {
                walk_all(&mut over.partition_clause, edit);
                walk_all(&mut over.order_clause, edit);
            }
        }
        NodeEnum::TypeCast(n) => walk_some(&mut n.arg, edit),
        NodeEnum::CaseExpr(n) => {
            walk_some(&mut n.arg, edit);
            walk_all(&mut n.args, edit);
            walk_some(&mut n.defresult, edit);
        }
        NodeEnum::CaseWhen(n) => {
            walk_some(&mut n.expr, edit);
            walk_some(&mut n.result, edit);
        }
        NodeEnum::CoalesceExpr(n) => walk_all(&mut n.args, edit),
        NodeEnum::MinMaxExpr(n) => walk_all(&mut n.args, edit),
        NodeEnum::NullTest(n) => walk_some(&mut n.arg, edit),
        NodeEnum::BooleanTest(n) => walk_some(&mut n.arg, edit),
        NodeEnum::CollateClause(n) => walk_some(&mut n.arg, edit),
        NodeEnum::AIndirection(n) => walk_some(&mut n.arg, edit),
        NodeEnum::AArrayExpr(n) => walk_all(&mut n.elements, edit),
        NodeEnum::RowExpr(n) => walk_all(&mut n.args, edit),
        NodeEnum::GroupingSet(n) => walk_all(&mut n.content, edit),
        NodeEnum::List(n) => walk_all(&mut n.items, edit),
        NodeEnum::WindowDef(n) => {
            walk_all(&mut n.partition_clause, edit);
            walk_all(&mut n.order_clause, edit);
        }
        _ => {}
    }
}

/// Calls `visit` with every function call of an expression, subqueries left out.
pub(crate) fn each_call(node: &Node, visit: &mut dyn FnMut(&FuncCall)) {
    let mut all = |nodes: &[Node]| nodes.iter().for_each(|n| each_call(n, visit));
    match node.node.as_ref() {
        Some(NodeEnum::FuncCall(n)) => {
            all(&n.args);
            visit(n);
        }
        Some(NodeEnum::ResTarget(n)) => all(n.val.as_deref().map_or(&[], std::slice::from_ref)),
        Some(NodeEnum::SortBy(n)) => all(n.node.as_deref().map_or(&[], std::slice::from_ref)),
        Some(NodeEnum::AExpr(n)) => {
            all(n.lexpr.as_deref().map_or(&[], std::slice::from_ref));
            all(n.rexpr.as_deref().map_or(&[], std::slice::from_ref));
        }
        Some(NodeEnum::BoolExpr(n)) => all(&n.args),
        Some(NodeEnum::TypeCast(n)) => all(n.arg.as_deref().map_or(&[], std::slice::from_ref)),
        Some(NodeEnum::CaseExpr(n)) => {
            all(n.arg.as_deref().map_or(&[], std::slice::from_ref));
            all(&n.args);
            all(n.defresult.as_deref().map_or(&[], std::slice::from_ref));
        }
        Some(NodeEnum::CaseWhen(n)) => {
            all(n.expr.as_deref().map_or(&[], std::slice::from_ref));
            all(n.result.as_deref().map_or(&[], std::slice::from_ref));
        }
        Some(NodeEnum::CoalesceExpr(n)) => all(&n.args),
        Some(NodeEnum::MinMaxExpr(n)) => all(&n.args),
        Some(NodeEnum::NullTest(n)) => all(n.arg.as_deref().map_or(&[], std::slice::from_ref)),
        Some(NodeEnum::AArrayExpr(n)) => all(&n.elements),
        Some(NodeEnum::RowExpr(n)) => all(&n.args),
        Some(NodeEnum::List(n)) => all(&n.items),
        _ => {}
    }
}

fn names_sequence(call: &FuncCall) -> bool {
    call.funcname
        .last()
        .and_then(|n| string(n).ok())
        .is_some_and(|name| {
            matches!(
                name,
                "nextval" | "currval" | "setval" | "pg_get_serial_sequence"
            )
        })
}

/// A statement as canonical text.
pub(crate) fn statement_text(node: NodeEnum) -> Result<String> {
    let raw = RawStmt {
        stmt: Some(Box::new(Node { node: Some(node) })),
        stmt_location: 0,
        stmt_len: 0,
    };
    let result = ParseResult {
        version: 180_000,
        stmts: vec![raw],
    };
    pg_query::deparse(&result, Default::default()).map_err(Error::internal)
}

/// The strings of a list node: a qualified name.
pub(crate) fn name_parts(node: &NodeEnum) -> Result<Vec<Node>> {
    match node {
        NodeEnum::List(list) => Ok(list.items.clone()),
        NodeEnum::TypeName(name) => Ok(name.names.clone()),
        NodeEnum::String(_) => Ok(vec![Node {
            node: Some(node.clone()),
        }]),
        other => Err(Error::internal(crate::sql::node::kind(other))),
    }
}
