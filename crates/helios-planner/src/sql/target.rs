//! Select lists: `*`, expressions, and PostgreSQL's names of output columns.

use super::binder::{Binder, Typed};
use super::node::{inner, optional, required, strings};
use helios_types::{Error, ObjectId, Result, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExprKind, ColumnRef, MinMaxOp, ResTarget, SelectStmt, SqlValueFunctionOp as Op, SubLinkType,
};

/// A column of a select list, or a sort or group expression that is not shown.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub name: String,
    pub value: Typed,
    pub origin: Option<(ObjectId, i16)>,
    pub junk: bool,
}

type StarColumn = (String, Typed, Option<(ObjectId, i16)>);

impl Binder<'_> {
    pub fn target_list(&mut self, nodes: &[pg_query::Node]) -> Result<Vec<Target>> {
        let mut targets = Vec::with_capacity(nodes.len());
        for node in nodes {
            let NodeEnum::ResTarget(target) = inner(node)? else {
                return Err(Error::internal("select list"));
            };
            let ResTarget {
                name,
                indirection: _,
                val,
                location: _,
            } = target.as_ref();
            let value = required(val)?;
            if let Some(columns) = self.star(value)? {
                targets.extend(columns.into_iter().map(|(name, value, origin)| Target {
                    name,
                    value,
                    origin,
                    junk: false,
                }));
                continue;
            }
            let bound = self.expression(value)?;
            let shown = if name.is_empty() {
                figure_name(value)
            } else {
                name.clone()
            };
            let origin = self.origin_of(&bound);
            targets.push(Target {
                name: shown,
                value: bound,
                origin,
                junk: false,
            });
        }
        Ok(targets)
    }

    /// The table column that a plain column expression is.
    fn origin_of(&mut self, value: &Typed) -> Option<(ObjectId, i16)> {
        let datafusion::logical_expr::Expr::Column(_) = &value.expr else {
            return None;
        };
        self.level()
            .items
            .iter()
            .flat_map(|item| &item.columns)
            .find(|c| c.expr == value.expr)
            .and_then(|c| c.origin)
    }

    /// The columns that `*`, `t.*` or `(row).*` stands for; `None` for any other expression.
    fn star(&mut self, node: &NodeEnum) -> Result<Option<Vec<StarColumn>>> {
        match node {
            NodeEnum::ColumnRef(reference)
                if matches!(
                    reference.fields.last().and_then(|f| f.node.as_ref()),
                    Some(NodeEnum::AStar(_))
                ) =>
            {
                self.expand_star(reference).map(Some)
            }
            NodeEnum::AIndirection(indirection)
                if matches!(
                    indirection.indirection.last().and_then(|f| f.node.as_ref()),
                    Some(NodeEnum::AStar(_))
                ) =>
            {
                self.expand_record(indirection).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// `(t).*` of a FROM item, `(f(x)).*` of a function with known columns.
    fn expand_record(
        &mut self,
        node: &pg_query::protobuf::AIndirection,
    ) -> Result<Vec<StarColumn>> {
        let base = required(&node.arg)?;
        let at = super::node::location(base);
        if node.indirection.len() != 1 {
            return self.unsupported("row expansion of a nested composite", at);
        }
        match base {
            NodeEnum::ColumnRef(reference) => {
                let mut fields = reference.fields.clone();
                fields.push(pg_query::Node {
                    node: Some(NodeEnum::AStar(pg_query::protobuf::AStar {})),
                });
                self.expand_star(&ColumnRef {
                    fields,
                    location: at,
                })
            }
            NodeEnum::FuncCall(call) => {
                let name = strings(&call.funcname)?
                    .last()
                    .copied()
                    .unwrap_or_default()
                    .to_string();
                let columns = self
                    .cx
                    .registry
                    .functions_named(&name)
                    .iter()
                    .find_map(|d| (!d.columns.is_empty()).then_some(d.columns));
                let Some(columns) = columns else {
                    return Err(
                        self.at(error!(WrongObjectType, "type record is not composite"), at)
                    );
                };
                let value = self.expression(base)?;
                columns
                    .iter()
                    .map(|(field, _)| {
                        let selected = self.field_selection(value.clone(), field, base, at)?;
                        Ok((field.to_string(), selected, None))
                    })
                    .collect()
            }
            _ => self.unsupported("row expansion of this expression", at),
        }
    }

    pub fn expand_star(&mut self, reference: &ColumnRef) -> Result<Vec<StarColumn>> {
        let ColumnRef { fields, location } = reference;
        let at = *location;
        let names = strings(&fields[..fields.len().saturating_sub(1)])?;
        let (schema, table) = match names.as_slice() {
            [] => {
                let columns = self.all_columns(at)?;
                if self.level().items.is_empty() {
                    return Err(self.at(
                        error!(
                            SyntaxError,
                            "SELECT * with no tables specified is not valid"
                        ),
                        at,
                    ));
                }
                return Ok(columns);
            }
            [table] => (None, *table),
            [schema, table] => (Some(*schema), *table),
            [_, schema, table] => (Some(*schema), *table),
            _ => {
                let full = names.join(".");
                return Err(self.at(
                    error!(
                        SyntaxError,
                        "improper qualified name (too many dotted names): {full}.*"
                    ),
                    at,
                ));
            }
        };
        let Some((depth, index)) = self.find_item(schema, table, at)? else {
            return Err(self.missing_item(table, at));
        };
        (0..self.levels[depth].items[index].columns.len())
            .map(|c| {
                let value = self.use_column(depth, index, c, at)?;
                let shown = &self.levels[depth].items[index].columns[c];
                Ok((shown.name.clone(), value, shown.origin))
            })
            .collect()
    }
}

/// PostgreSQL's name for an unnamed output column.
pub(crate) fn figure_name(node: &NodeEnum) -> String {
    figure(node).map_or_else(|| "?column?".to_string(), |(name, _)| name)
}

/// The name, and whether it is a strong one (a column or function) or a weak one (a type).
fn figure(node: &NodeEnum) -> Option<(String, bool)> {
    let strong = |s: &str| Some((s.to_string(), true));
    match node {
        NodeEnum::ColumnRef(n) => match n.fields.last()?.node.as_ref()? {
            NodeEnum::String(s) => strong(&s.sval),
            _ => None,
        },
        NodeEnum::AIndirection(n) => {
            let field = n
                .indirection
                .iter()
                .rev()
                .find_map(|i| match i.node.as_ref() {
                    Some(NodeEnum::String(s)) => Some(s.sval.clone()),
                    _ => None,
                });
            match field {
                Some(name) => Some((name, true)),
                None => figure(optional(&n.arg)?),
            }
        }
        NodeEnum::FuncCall(n) => strong(strings(&n.funcname).ok()?.last()?),
        NodeEnum::AExpr(n) if n.kind == AExprKind::AexprNullif as i32 => strong("nullif"),
        NodeEnum::TypeCast(n) => match optional(&n.arg).and_then(figure) {
            Some((name, true)) => Some((name, true)),
            other => match n
                .type_name
                .as_ref()
                .and_then(|t| strings(&t.names).ok()?.last().map(|s| s.to_string()))
            {
                Some(name) => Some((name, false)),
                None => other,
            },
        },
        NodeEnum::CollateClause(n) => figure(optional(&n.arg)?),
        NodeEnum::GroupingFunc(_) => strong("grouping"),
        NodeEnum::SubLink(n) => match SubLinkType::try_from(n.sub_link_type).ok()? {
            SubLinkType::ExistsSublink => strong("exists"),
            SubLinkType::ArraySublink => strong("array"),
            SubLinkType::ExprSublink => match optional(&n.subselect)? {
                NodeEnum::SelectStmt(select) => Some((first_name(select), true)),
                _ => None,
            },
            _ => None,
        },
        NodeEnum::CaseExpr(n) => match optional(&n.defresult).and_then(figure) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".to_string(), false)),
        },
        NodeEnum::AArrayExpr(_) => strong("array"),
        NodeEnum::RowExpr(_) => strong("row"),
        NodeEnum::CoalesceExpr(_) => strong("coalesce"),
        NodeEnum::MinMaxExpr(n) => strong(if n.op == MinMaxOp::IsGreatest as i32 {
            "greatest"
        } else {
            "least"
        }),
        NodeEnum::SqlvalueFunction(n) => strong(match Op::try_from(n.op).ok()? {
            Op::SvfopCurrentDate => "current_date",
            Op::SvfopCurrentTime | Op::SvfopCurrentTimeN => "current_time",
            Op::SvfopCurrentTimestamp | Op::SvfopCurrentTimestampN => "current_timestamp",
            Op::SvfopLocaltime | Op::SvfopLocaltimeN => "localtime",
            Op::SvfopLocaltimestamp | Op::SvfopLocaltimestampN => "localtimestamp",
            Op::SvfopCurrentRole => "current_role",
            Op::SvfopCurrentUser => "current_user",
            Op::SvfopUser => "user",
            Op::SvfopSessionUser => "session_user",
            Op::SvfopCurrentCatalog => "current_catalog",
            Op::SvfopCurrentSchema => "current_schema",
            Op::SqlvalueFunctionOpUndefined => return None,
        }),
        _ => None,
    }
}

/// The name of a subquery's first column.
fn first_name(select: &SelectStmt) -> String {
    if let Some(left) = &select.larg {
        return first_name(left);
    }
    if !select.values_lists.is_empty() {
        return "column1".to_string();
    }
    match select.target_list.first().and_then(|t| t.node.as_ref()) {
        Some(NodeEnum::ResTarget(target)) if !target.name.is_empty() => target.name.clone(),
        Some(NodeEnum::ResTarget(target)) => {
            optional(&target.val).map_or_else(|| "?column?".to_string(), figure_name)
        }
        _ => "?column?".to_string(),
    }
}
