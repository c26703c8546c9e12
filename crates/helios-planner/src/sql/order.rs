//! ORDER BY, DISTINCT ON and GROUP BY items: ordinals, output names, expressions.

use super::binder::{Binder, Typed};
use super::node::{inner, kind, required, string, strings};
use super::scope::Clause;
use super::target::Target;
use datafusion::logical_expr::{Expr, SortExpr};
use helios_types::{Error, Result, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{SortBy, SortByDir, SortByNulls, a_const};

/// A sort key: a position in the target list, and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SortKey {
    pub target: usize,
    pub ascending: bool,
    pub nulls_first: bool,
}

/// Direction and place of nulls; NULLs count as larger than everything.
pub(crate) fn direction(sort: &SortBy) -> Result<(bool, bool)> {
    let SortBy {
        node: _,
        sortby_dir,
        sortby_nulls,
        use_op,
        location: _,
    } = sort;
    let dir = SortByDir::try_from(*sortby_dir).map_err(Error::internal)?;
    let ascending = if dir == SortByDir::SortbyUsing {
        match strings(use_op)?.as_slice() {
            ["<"] | ["pg_catalog", "<"] => true,
            [">"] | ["pg_catalog", ">"] => false,
            other => {
                let name = other.last().copied().unwrap_or_default();
                return Err(error!(
                    WrongObjectType,
                    "operator {name} is not a valid ordering operator"
                )
                .with_hint(
                    "Ordering operators must be \"<\" or \">\" members of btree operator families.",
                ));
            }
        }
    } else {
        dir != SortByDir::SortbyDesc
    };
    let nulls_first = match SortByNulls::try_from(*sortby_nulls).map_err(Error::internal)? {
        SortByNulls::SortbyNullsFirst => true,
        SortByNulls::SortbyNullsLast => false,
        _ => !ascending,
    };
    Ok((ascending, nulls_first))
}

impl Binder<'_> {
    /// ORDER BY over a select list, which may grow by hidden columns.
    pub fn order_by(
        &mut self,
        nodes: &[pg_query::Node],
        targets: &mut Vec<Target>,
    ) -> Result<Vec<SortKey>> {
        let mut keys: Vec<SortKey> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let NodeEnum::SortBy(sort) = inner(node)? else {
                return Err(Error::internal(kind(inner(node)?)));
            };
            let (ascending, nulls_first) =
                direction(sort).map_err(|e| self.at(e, sort.location))?;
            let target = self.find_target(required(&sort.node)?, targets, Clause::OrderBy)?;
            let value = std::mem::replace(
                &mut targets[target].value,
                super::literal::unknown(None, -1),
            );
            targets[target].value = self.resolve_unknown(value)?;
            self.check_ordered(
                targets[target].value.ty,
                super::node::location(required(&sort.node)?),
            )?;
            if !keys.iter().any(|k| k.target == target) {
                keys.push(SortKey {
                    target,
                    ascending,
                    nulls_first,
                });
            }
        }
        Ok(keys)
    }

    /// PostgreSQL's `findTargetlistEntrySQL92`: the position of what an ORDER BY, GROUP BY or
    /// DISTINCT ON item means; an expression that is not in the list is added as a hidden column.
    pub fn find_target(
        &mut self,
        node: &NodeEnum,
        targets: &mut Vec<Target>,
        clause: Clause,
    ) -> Result<usize> {
        if let NodeEnum::ColumnRef(reference) = node
            && let [field] = reference.fields.as_slice()
            && let Ok(name) = string(field)
            && let Some(found) = self.named_target(name, targets, clause, reference.location)?
        {
            return Ok(found);
        }
        if let NodeEnum::AConst(constant) = node {
            let clause_name = clause.name();
            let ordinal = match &constant.val {
                Some(a_const::Val::Ival(i)) => i64::from(i.ival),
                None if !constant.isnull => 0,
                _ => {
                    return Err(self.at(
                        error!(SyntaxError, "non-integer constant in {clause_name}"),
                        constant.location,
                    ));
                }
            };
            let visible: Vec<usize> = (0..targets.len()).filter(|&i| !targets[i].junk).collect();
            return usize::try_from(ordinal - 1)
                .ok()
                .and_then(|i| visible.get(i).copied())
                .ok_or_else(|| {
                    self.at(
                        error!(
                            InvalidColumnReference,
                            "{clause_name} position {ordinal} is not in select list"
                        ),
                        constant.location,
                    )
                });
        }
        let value = self.in_clause(clause, |b| b.expression(node))?;
        Ok(self.add_target(value, targets))
    }

    /// The position of an expression in the list, which is extended when it is not there.
    pub fn add_target(&mut self, value: Typed, targets: &mut Vec<Target>) -> usize {
        if let Some(found) = targets.iter().position(|t| t.value.expr == value.expr) {
            return found;
        }
        targets.push(Target {
            name: "__sort".to_string(),
            value,
            origin: None,
            junk: true,
        });
        targets.len() - 1
    }

    fn named_target(
        &mut self,
        name: &str,
        targets: &[Target],
        clause: Clause,
        at: i32,
    ) -> Result<Option<usize>> {
        // In GROUP BY a column of FROM comes before an output name.
        if clause == Clause::GroupBy {
            let local = self
                .level()
                .items
                .iter()
                .any(|i| i.columns_visible && i.columns.iter().any(|c| c.name == name));
            if local {
                return Ok(None);
            }
        }
        let mut found: Option<usize> = None;
        for (i, target) in targets.iter().enumerate() {
            if target.junk || target.name != name {
                continue;
            }
            match found {
                Some(first) if targets[first].value.expr != target.value.expr => {
                    let clause_name = clause.name();
                    return Err(self.at(
                        error!(AmbiguousColumn, "{clause_name} \"{name}\" is ambiguous"),
                        at,
                    ));
                }
                Some(_) => {}
                None => found = Some(i),
            }
        }
        Ok(found)
    }

    /// ORDER BY inside an aggregate or a window: plain expressions.
    pub fn sort_expressions(&mut self, nodes: &[pg_query::Node]) -> Result<Vec<(SortExpr, Typed)>> {
        let mut sorts = Vec::with_capacity(nodes.len());
        for node in nodes {
            let NodeEnum::SortBy(sort) = inner(node)? else {
                return Err(Error::internal("ORDER BY"));
            };
            let (ascending, nulls_first) =
                direction(sort).map_err(|e| self.at(e, sort.location))?;
            let value = self.expression(required(&sort.node)?)?;
            let value = self.resolve_unknown(value)?;
            self.check_ordered(value.ty, value.at)?;
            sorts.push((
                SortExpr::new(value.expr.clone(), ascending, nulls_first),
                value,
            ));
        }
        Ok(sorts)
    }
}

/// Sort keys over expressions.
pub(crate) fn sort_exprs(keys: &[SortKey], expr: impl Fn(usize) -> Expr) -> Vec<SortExpr> {
    keys.iter()
        .map(|k| SortExpr::new(expr(k.target), k.ascending, k.nulls_first))
        .collect()
}
