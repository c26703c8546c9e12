//! The rules that every plan goes through, whatever executor it will have.
//!
//! They are DataFusion's own, a short list: filters and limits move down (all the way into
//! `TableScan.filters`, where access paths are found), cross joins with equalities become joins,
//! outer joins that cannot give NULLs become inner ones, columns that nobody reads go. DataFusion's
//! analyzer is not run, because the binder has inserted every cast; expression simplification is
//! not run either, because it knows another SQL.
//!
//! Some rules look into constants as Arrow sees them, where `1.0` and `1.00` differ and char's
//! blanks count. So constants of types that Arrow does not compare as PostgreSQL does are hidden
//! from the rules as parameters with names of their own and put back afterwards.

use crate::lower::vector::is_exact;
use crate::node::ModifyTable;
use crate::pgtype;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion, TreeNodeRewriter};
use datafusion::common::{
    DataFusionError, ExprSchema, Result as DataFusionResult, config::ConfigOptions,
};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan};
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::eliminate_filter::EliminateFilter;
use datafusion::optimizer::eliminate_limit::EliminateLimit;
use datafusion::optimizer::eliminate_outer_join::EliminateOuterJoin;
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::push_down_limit::PushDownLimit;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerContext, OptimizerRule};
use helios_types::{Error, Result};
use std::sync::{Arc, LazyLock};

type Rules = Vec<Arc<dyn OptimizerRule + Send + Sync>>;

/// For plans in which no input of a join refers to another one.
fn all_rules() -> Rules {
    vec![
        Arc::new(ExtractEquijoinPredicate::new()),
        Arc::new(EliminateFilter::new()),
        Arc::new(EliminateCrossJoin::new()),
        Arc::new(EliminateLimit::new()),
        Arc::new(EliminateOuterJoin::new()),
        Arc::new(PushDownLimit::new()),
        Arc::new(PushDownFilter::new()),
        Arc::new(OptimizeProjections::new()),
    ]
}

/// For plans with LATERAL: joins keep their order, and columns that only a later input mentions
/// are kept.
fn lateral_rules() -> Rules {
    vec![
        Arc::new(ExtractEquijoinPredicate::new()),
        Arc::new(EliminateFilter::new()),
        Arc::new(EliminateLimit::new()),
        Arc::new(PushDownLimit::new()),
        Arc::new(PushDownFilter::new()),
    ]
}

struct Rulebook {
    all: Rules,
    lateral: Rules,
    options: Arc<ConfigOptions>,
}

static RULEBOOK: LazyLock<Rulebook> = LazyLock::new(|| {
    let mut options = ConfigOptions::default();
    options.optimizer.filter_null_join_keys = false;
    Rulebook {
        all: all_rules(),
        lateral: lateral_rules(),
        options: Arc::new(options),
    }
});

/// Optimises a bound plan; parameters stay as they are.
pub fn optimise(plan: LogicalPlan) -> Result<LogicalPlan> {
    let lateral = has_lateral(&plan);
    let mut hidden = Vec::new();
    let plan = hide_constants(plan, &mut hidden).map_err(Error::internal)?;
    let rules = if lateral {
        &RULEBOOK.lateral
    } else {
        &RULEBOOK.all
    };
    let context = OptimizerContext::new_with_config_options(RULEBOOK.options.clone())
        .without_query_execution_start_time();
    let plan = apply_rules(plan, rules, &context).map_err(Error::internal)?;
    show_constants(plan, &hidden).map_err(Error::internal)
}

/// Most times that the whole list is gone through.
const PASSES_MAX: usize = 2;

/// Applies the rules in order until nothing changes.
///
/// DataFusion's own loop also checks that its executor could run the plan, which correlated
/// subqueries here need not satisfy: the row executor evaluates them as they are.
fn apply_rules(
    mut plan: LogicalPlan,
    rules: &Rules,
    config: &dyn OptimizerConfig,
) -> DataFusionResult<LogicalPlan> {
    for _ in 0..PASSES_MAX {
        let mut changed = false;
        for rule in rules {
            let rewritten = match rule.apply_order() {
                Some(order) => plan.rewrite_with_subqueries(&mut Walk {
                    order,
                    rule,
                    config,
                })?,
                None => rule.rewrite(plan, config)?,
            };
            changed |= rewritten.transformed;
            plan = rewritten.data;
        }
        if !changed {
            break;
        }
    }
    Ok(plan)
}

/// Applies one rule at every node, in the order that the rule asks for.
struct Walk<'a> {
    order: ApplyOrder,
    rule: &'a Arc<dyn OptimizerRule + Send + Sync>,
    config: &'a dyn OptimizerConfig,
}

impl TreeNodeRewriter for Walk<'_> {
    type Node = LogicalPlan;

    fn f_down(&mut self, node: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
        match self.order {
            ApplyOrder::TopDown if self.rule.name() == "push_down_filter" => {
                let node = disguised(node);
                match correlated_apart(&node) {
                    Some(apart) => Ok(apart),
                    None => self.rule.rewrite(node, self.config),
                }
            }
            ApplyOrder::TopDown => self.rule.rewrite(node, self.config),
            ApplyOrder::BottomUp => Ok(Transformed::no(node)),
        }
    }

    fn f_up(&mut self, node: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
        match self.order {
            ApplyOrder::BottomUp => self.rule.rewrite(node, self.config),
            ApplyOrder::TopDown => Ok(Transformed::no(undisguised(node))),
        }
    }
}

/// Name of the alias that hides a join key.
const DISGUISE: &str = "#key";

/// A join, or filters over one, whose keys of types with unlike equal values (1.0 and 1.00) look
/// like expressions: the rule takes a condition on one column for a condition on the column that
/// equals it, which does not hold for `scale(x) = 1`.
fn disguised(node: LogicalPlan) -> LogicalPlan {
    match node {
        LogicalPlan::Join(mut join) => {
            let schema = join.left.schema().clone();
            for (left, _) in &mut join.on {
                if let Expr::Column(column) = left
                    && let Ok(field) = schema.field_from_column(column)
                    && !is_exact(pgtype::type_of_field(field).oid)
                {
                    *left = left.clone().alias(DISGUISE);
                }
            }
            LogicalPlan::Join(join)
        }
        LogicalPlan::Filter(mut filter)
            if matches!(
                filter.input.as_ref(),
                LogicalPlan::Join(_) | LogicalPlan::Filter(_)
            ) =>
        {
            filter.input = Arc::new(disguised(Arc::unwrap_or_clone(filter.input)));
            LogicalPlan::Filter(filter)
        }
        other => other,
    }
}

fn undisguised(node: LogicalPlan) -> LogicalPlan {
    let LogicalPlan::Join(mut join) = node else {
        return node;
    };
    for (left, _) in &mut join.on {
        if matches!(left, Expr::Alias(alias) if alias.name == DISGUISE) {
            *left = left.clone().unalias();
        }
    }
    LogicalPlan::Join(join)
}

/// A filter with correlated subqueries, which stay where they are while the other conditions may
/// move down from below them: the rule does not see which columns a subquery takes from outside,
/// neither to choose the side of a join nor to give them the names that they have further down.
fn correlated_apart(node: &LogicalPlan) -> Option<Transformed<LogicalPlan>> {
    let LogicalPlan::Filter(filter) = node else {
        return None;
    };
    if matches!(filter.input.as_ref(), LogicalPlan::TableScan(_)) {
        return None;
    }
    let (stay, moving): (Vec<&Expr>, Vec<&Expr>) = split_conjunction(&filter.predicate)
        .into_iter()
        .partition(|e| is_correlated(e));
    let stay = conjunction(stay.into_iter().cloned())?;
    let Some(moving) = conjunction(moving.into_iter().cloned()) else {
        return Some(Transformed::no(node.clone()));
    };
    let below = LogicalPlan::Filter(Filter::new(moving, filter.input.clone()));
    let above = LogicalPlan::Filter(Filter::new(stay, Arc::new(below)));
    Some(Transformed::yes(above))
}

/// Whether the condition has a subquery that takes columns from outside.
fn is_correlated(condition: &Expr) -> bool {
    condition
        .exists(|e| {
            let subquery = match e {
                Expr::ScalarSubquery(subquery) => subquery,
                Expr::Exists(exists) => &exists.subquery,
                Expr::InSubquery(inside) => &inside.subquery,
                _ => return Ok(false),
            };
            Ok(!subquery.outer_ref_columns.is_empty())
        })
        .unwrap_or(true)
}

/// Whether a relation of the plan is evaluated for each row of another one.
pub fn has_lateral(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::Subquery(s) if !s.outer_ref_columns.is_empty());
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    // A subquery of an expression appears as a node as well, so look at inputs only.
    found && relation_subquery(plan)
}

fn relation_subquery(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node {
            found |= [&join.left, &join.right]
                .into_iter()
                .any(|side| is_subquery(side));
        }
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    found
}

fn is_subquery(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(alias) => is_subquery(&alias.input),
        LogicalPlan::Projection(projection) => is_subquery(&projection.input),
        LogicalPlan::Filter(filter) => is_subquery(&filter.input),
        _ => false,
    }
}

const HIDDEN: char = '#';

/// Applies `change` to every expression of the plan and of its subqueries.
pub fn map_expressions(
    plan: LogicalPlan,
    change: &mut dyn FnMut(Expr) -> DataFusionResult<Transformed<Expr>>,
) -> DataFusionResult<LogicalPlan> {
    plan.transform_down_with_subqueries(|node| {
        // VALUES rows and function calls keep their place; everything else is generic.
        #[allow(clippy::redundant_closure)] // The closure borrows it again for each expression.
        node.map_expressions(|expr| expr.transform_up(|e| change(e)))
    })
    .map(|t| t.data)
}

fn hide_constants(plan: LogicalPlan, hidden: &mut Vec<Expr>) -> DataFusionResult<LogicalPlan> {
    map_expressions(plan, &mut |expr| {
        let Expr::Literal(scalar, metadata) = &expr else {
            return Ok(Transformed::no(expr));
        };
        let ty = pgtype::literal_type(scalar, metadata.as_ref());
        let float = matches!(ty.oid, 700 | 701);
        if scalar.is_null() || (pgtype::arrow_comparable(ty.oid) && !float) {
            return Ok(Transformed::no(expr));
        }
        let number = match hidden.iter().position(|e| *e == expr) {
            Some(number) => number,
            None => {
                hidden.push(expr);
                hidden.len() - 1
            }
        };
        let field = pgtype::field_ref("constant", ty);
        let id = format!("{HIDDEN}{number}");
        Ok(Transformed::yes(Expr::Placeholder(Placeholder {
            id,
            field: Some(field),
        })))
    })
}

fn show_constants(plan: LogicalPlan, hidden: &[Expr]) -> DataFusionResult<LogicalPlan> {
    if hidden.is_empty() {
        return Ok(plan);
    }
    map_expressions(plan, &mut |expr| {
        let Expr::Placeholder(placeholder) = &expr else {
            return Ok(Transformed::no(expr));
        };
        let Some(number) = placeholder.id.strip_prefix(HIDDEN) else {
            return Ok(Transformed::no(expr));
        };
        match number.parse::<usize>().ok().and_then(|n| hidden.get(n)) {
            Some(constant) => Ok(Transformed::yes(constant.clone())),
            None => Err(DataFusionError::Internal(format!(
                "no constant {}",
                placeholder.id
            ))),
        }
    })
}

/// The node when the plan writes: a [`ModifyTable`] at the top.
pub fn as_modify(plan: &LogicalPlan) -> Option<&ModifyTable> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}
