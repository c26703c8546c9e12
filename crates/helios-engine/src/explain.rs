//! EXPLAIN: the plan of a template and the executor it was lowered to.
//!
//! Shown is how rows are found and combined, in PostgreSQL's words: whoever asks the same question,
//! in whatever protocol, sees the same. What only shapes the answer for its protocol (the columns
//! of a row, the document of a row, aliases) is no part of it. The text is made from the template
//! alone; the JSON also has estimates, which follow the rows that tables have.

mod estimate;

use crate::apply::CompileOptions;
use crate::apply::join::looked_up;
use crate::apply::scan::{choose, virtual_lookup};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, SortExpr, TableScan};
use estimate::{Estimate, Path};
use helios_planner::catalog::{Table, VirtualTable};
use helios_planner::lower::access::conjuncts;
use helios_planner::node::{ModifyOp, ModifyTable};
use helios_planner::pgtype::literal_value;
use helios_planner::relation::{KEY_COLUMN, RelationSource, SourceRelation};
use helios_planner::template::{AccessPath, Executor, PlanTemplate};
use helios_types::text::{TextContext, to_text};
use helios_types::{Error, Result, Value};
use serde_json::{Map, Value as Json, json};
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainFormat {
    /// A line for the executor, then the plan's nodes, inputs indented.
    Text,
    Json,
}

/// `rows_of` is how many rows a table has.
pub(crate) fn explain(
    template: &PlanTemplate,
    format: ExplainFormat,
    rows_of: &dyn Fn(&Table) -> u64,
) -> Result<String> {
    let mut scans = 0;
    template
        .plan
        .apply_with_subqueries(|plan| {
            scans += usize::from(matches!(plan, LogicalPlan::TableScan(_)));
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        })
        .map_err(Error::internal)?;
    let shown = Shown {
        qualified: scans > 1,
        looks_up: matches!(template.executor, Executor::Apply),
        rows_of,
    };
    let root = shown.node(&template.plan);
    let executor = template.executor.name();
    match format {
        ExplainFormat::Text => {
            let mut text = format!("Executor: {executor}\n");
            root.write(&mut text, 0);
            Ok(text)
        }
        ExplainFormat::Json => {
            let plan = json!([{ "Plan": root.json(), "Executor": executor }]);
            serde_json::to_string_pretty(&plan).map_err(Error::internal)
        }
    }
}

/// A node as it is shown.
#[derive(Default)]
struct Node {
    /// PostgreSQL's name of the kind of node.
    kind: String,
    /// What stands behind it on its line, as key and value: `Relation Name`, `Index Name`, `Alias`.
    target: Vec<(&'static str, String)>,
    /// Lines below it.
    details: Vec<(&'static str, String)>,
    estimate: Estimate,
    inputs: Vec<Node>,
}

impl Node {
    fn of(kind: impl Into<String>) -> Self {
        Node {
            kind: kind.into(),
            ..Node::default()
        }
    }

    fn target(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.target.push((key, value.into()));
        self
    }

    /// Adds a line unless it would be empty.
    fn detail(mut self, key: &'static str, value: String) -> Self {
        if !value.is_empty() {
            self.details.push((key, value));
        }
        self
    }

    fn write(&self, out: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        // Writing to a string does not fail.
        let _ = write!(out, "{indent}{}", self.kind);
        for (key, value) in &self.target {
            let word = match *key {
                "Index Name" => "using",
                "Relation Name" => "on",
                _ => "as",
            };
            let _ = write!(out, " {word} {value}");
        }
        out.push('\n');
        for (key, value) in &self.details {
            let _ = writeln!(out, "{indent}  {key}: {value}");
        }
        for input in &self.inputs {
            input.write(out, depth + 1);
        }
    }

    fn json(&self) -> Json {
        let mut object = Map::new();
        object.insert("Node Type".to_owned(), json!(self.kind));
        for (key, value) in self.target.iter().chain(&self.details) {
            object.insert((*key).to_owned(), json!(value));
        }
        let cents = |cost: f64| json!((cost * 100.0).round() / 100.0);
        let estimate = &self.estimate;
        object.insert("Startup Cost".to_owned(), cents(estimate.startup));
        object.insert("Total Cost".to_owned(), cents(estimate.total));
        object.insert("Plan Rows".to_owned(), json!(estimate.shown_rows()));
        if !self.inputs.is_empty() {
            let inputs: Vec<Json> = self.inputs.iter().map(Node::json).collect();
            object.insert("Plans".to_owned(), Json::Array(inputs));
        }
        Json::Object(object)
    }
}

/// How a plan is shown.
struct Shown<'a> {
    /// Columns are written with their relation, because the plan reads more than one.
    qualified: bool,
    /// Joins may look one side up by its key.
    looks_up: bool,
    rows_of: &'a dyn Fn(&Table) -> u64,
}

impl Shown<'_> {
    fn node(&self, plan: &LogicalPlan) -> Node {
        let mut node = match plan {
            // These rename and compute what comes out and decide nothing about how it is found.
            LogicalPlan::Projection(p) => self.node(&p.input),
            LogicalPlan::SubqueryAlias(a) => self.node(&a.input),
            LogicalPlan::Subquery(s) => self.node(&s.subquery),
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Join(join) => match self.lookup_join(join) {
                Some(node) => node,
                None => self.above_inputs(plan),
            },
            other => self.above_inputs(other),
        };
        let mut subplans = Vec::new();
        // The closure gives no error.
        let _ = plan.apply_subqueries(|subquery| {
            let mut subplan = Node::of("SubPlan");
            let inner = self.node(subquery);
            subplan.estimate = inner.estimate;
            subplan.inputs.push(inner);
            // One that refers to the rows around it runs for each of them.
            let correlated =
                matches!(subquery, LogicalPlan::Subquery(s) if !s.outer_ref_columns.is_empty());
            let times = if correlated { node.estimate.rows } else { 1.0 };
            node.estimate.add_subplan(&subplan.estimate, times);
            subplans.push(subplan);
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Jump)
        });
        node.inputs.extend(subplans);
        node
    }

    fn above_inputs(&self, plan: &LogicalPlan) -> Node {
        let mut node = self.inner(plan);
        node.inputs
            .extend(plan.inputs().into_iter().map(|input| self.node(input)));
        let inputs: Vec<Estimate> = node.inputs.iter().map(|i| i.estimate).collect();
        node.estimate = Estimate::above(plan, &inputs);
        node
    }

    /// A join that finds the rows of its second input by a key for each row of the first.
    fn lookup_join(&self, join: &Join) -> Option<Node> {
        if !self.looks_up {
            return None;
        }
        let row_count = |table: &Table| Some((self.rows_of)(table));
        let options = CompileOptions {
            row_count: &row_count,
        };
        let lookup = looked_up(join, &options)?;
        let rest: Vec<&Expr> = lookup.rest.iter().collect();
        let mut node = Node::of("Nested Loop")
            .detail("Join Type", join.join_type.to_string())
            .detail("Join Filter", self.conditions(&rest));
        let (outer, inner) = (self.node(lookup.outer), self.node(&lookup.inner));
        node.estimate = Estimate::looked_up(join.join_type, &outer.estimate, &inner.estimate);
        node.inputs = vec![outer, inner];
        Some(node)
    }

    /// A node with inputs, without them.
    fn inner(&self, plan: &LogicalPlan) -> Node {
        match plan {
            LogicalPlan::Filter(f) => {
                Node::of("Filter").detail("Filter", self.conditions(&[&f.predicate]))
            }
            LogicalPlan::Sort(s) => Node::of("Sort")
                .detail("Sort Key", self.sort_keys(&s.expr))
                .detail("Fetch", s.fetch.map_or(String::new(), |n| n.to_string())),
            LogicalPlan::Limit(l) => Node::of("Limit")
                .detail(
                    "Limit",
                    l.fetch.as_ref().map_or(String::new(), |e| self.text(e)),
                )
                .detail(
                    "Offset",
                    l.skip.as_ref().map_or(String::new(), |e| self.text(e)),
                ),
            LogicalPlan::Aggregate(a) => {
                Node::of("Aggregate").detail("Group Key", self.list(&a.group_expr))
            }
            LogicalPlan::Window(_) => Node::of("WindowAgg"),
            LogicalPlan::Distinct(_) => Node::of("Unique"),
            LogicalPlan::Union(_) => Node::of("Append"),
            LogicalPlan::Values(_) => Node::of("Values Scan"),
            LogicalPlan::EmptyRelation(_) => Node::of("Result"),
            LogicalPlan::Join(j) => {
                let equal =
                    j.on.iter()
                        .map(|(l, r)| format!("{} = {}", self.text(l), self.text(r)));
                let rest = j.filter.iter().map(|f| self.text(f));
                Node::of("Join")
                    .detail("Join Type", j.join_type.to_string())
                    .detail("Join Cond", parenthesised(equal.chain(rest)))
            }
            LogicalPlan::Extension(e) => match e.node.as_any().downcast_ref::<ModifyTable>() {
                Some(modify) => Node::of(match modify.op {
                    ModifyOp::Insert => "Insert",
                    ModifyOp::Update => "Update",
                    ModifyOp::Delete => "Delete",
                })
                .target("Relation Name", modify.table.name.as_str()),
                None => Node::of(e.node.name()),
            },
            other => Node::of(other.display().to_string()),
        }
    }

    /// A scan with the path that its table is reached by.
    fn scan(&self, scan: &TableScan) -> Node {
        let source = scan.source.as_ref() as &dyn std::any::Any;
        let table = match source.downcast_ref::<RelationSource>().map(|s| &s.relation) {
            Some(SourceRelation::Table(table)) => table,
            Some(SourceRelation::Virtual(rows)) if rows.written.is_some() => {
                return self.lookup_scan(scan, rows);
            }
            _ => {
                let filters: Vec<&Expr> = scan.filters.iter().collect();
                let mut node = Node::of("Seq Scan");
                node.estimate = Estimate::made(None, &filters);
                return self
                    .named(node, scan, scan.table_name.table())
                    .detail("Filter", self.conditions(&filters));
            }
        };
        let choice = choose(scan, table, &[]);
        let (mut node, path) = match &choice.path {
            AccessPath::Full { .. } => (Node::of("Seq Scan"), Path::Full),
            AccessPath::Point(_) => (index_scan(key_name(table)), Path::Keys(1)),
            AccessPath::Points(keys) => (index_scan(key_name(table)), Path::Keys(keys.len())),
            AccessPath::Range { index, .. } | AccessPath::Each { index, .. } => {
                let name = match index {
                    Some(id) => table.index(*id).map_or("", |i| i.name.as_str()),
                    None => key_name(table),
                };
                let path = Path::Range {
                    by_index: index.is_some(),
                    unique: choice.unique,
                };
                (index_scan(name), path)
            }
        };
        let (mut condition, mut filter) = (Vec::new(), Vec::new());
        for (at, expr) in conjuncts(&scan.filters).into_iter().enumerate() {
            if choice.is_selective() && choice.implied.contains(&at) {
                condition.push(expr);
            } else {
                filter.push(expr);
            }
        }
        node.estimate = Estimate::scan((self.rows_of)(table), &path, &condition, &filter);
        self.named(node, scan, &table.name)
            .detail("Index Cond", self.conditions(&condition))
            .detail("Filter", self.conditions(&filter))
    }

    /// A scan of rows that the engine makes, with what it looks up by the table's key.
    fn lookup_scan(&self, scan: &TableScan, rows: &VirtualTable) -> Node {
        let (condition, filter): (Vec<&Expr>, Vec<&Expr>) = conjuncts(&scan.filters)
            .into_iter()
            .partition(|expr| virtual_lookup(scan, rows, expr).is_some());
        let found = (!condition.is_empty()).then_some(1.0);
        let mut node = match rows.written.as_deref().map(key_name) {
            Some(name) if found.is_some() => index_scan(name),
            _ => Node::of("Seq Scan"),
        };
        node.estimate = Estimate::made(found, &filter);
        self.named(node, scan, &rows.name)
            .detail("Index Cond", self.conditions(&condition))
            .detail("Filter", self.conditions(&filter))
    }

    /// With the relation's name, and its alias where columns are written with it.
    fn named(&self, node: Node, scan: &TableScan, name: &str) -> Node {
        let node = node.target("Relation Name", name);
        let alias = scan.table_name.table();
        if self.qualified && alias != name {
            node.target("Alias", alias)
        } else {
            node
        }
    }

    fn conditions(&self, exprs: &[&Expr]) -> String {
        parenthesised(exprs.iter().map(|e| self.text(e)))
    }

    fn sort_keys(&self, keys: &[SortExpr]) -> String {
        let key = |k: &SortExpr| {
            let text = self.text(&k.expr);
            match (k.asc, k.nulls_first) {
                (true, false) => text,
                (true, true) => format!("{text} NULLS FIRST"),
                (false, true) => format!("{text} DESC"),
                (false, false) => format!("{text} DESC NULLS LAST"),
            }
        };
        keys.iter().map(key).collect::<Vec<_>>().join(", ")
    }

    fn list(&self, exprs: &[Expr]) -> String {
        let texts: Vec<String> = exprs.iter().map(|e| self.text(e)).collect();
        texts.join(", ")
    }

    /// An expression with plain column names and with constants as SQL has them.
    fn text(&self, expr: &Expr) -> String {
        let plain = expr.clone().transform(|e| {
            Ok(match e {
                Expr::Alias(alias) => Transformed::yes(*alias.expr),
                Expr::Column(mut column) | Expr::OuterReferenceColumn(_, mut column) => {
                    if !self.qualified || column.name == KEY_COLUMN {
                        column.relation = None::<TableReference>;
                    }
                    Transformed::yes(Expr::Column(column))
                }
                Expr::Literal(..) => match constant(&e) {
                    Some(text) => Transformed::yes(Expr::Column(Column::new_unqualified(text))),
                    None => Transformed::no(e),
                },
                other => Transformed::no(other),
            })
        });
        plain.map_or_else(|_| expr.to_string(), |t| t.data.to_string())
    }
}

fn index_scan(name: &str) -> Node {
    let node = Node::of("Index Scan");
    if name.is_empty() {
        node
    } else {
        node.target("Index Name", name)
    }
}

/// The index that stands for the order of the rows themselves.
fn key_name(table: &Table) -> &str {
    match table.primary_key() {
        Some(index) => &index.name,
        None => "",
    }
}

fn constant(expr: &Expr) -> Option<String> {
    let (value, ty) = literal_value(expr)?.ok()?;
    Some(match value {
        Value::Null => "NULL".to_owned(),
        value => {
            let text = to_text(ty, &value, &TextContext::default());
            match value {
                Value::Int2(_) | Value::Int4(_) | Value::Int8(_) | Value::Numeric(_) => text,
                Value::Bool(v) => v.to_string(),
                _ => format!("'{}'", text.replace('\'', "''")),
            }
        }
    })
}

fn parenthesised(conditions: impl Iterator<Item = String>) -> String {
    let conditions: Vec<String> = conditions.map(|c| format!("({c})")).collect();
    conditions.join(" AND ")
}
