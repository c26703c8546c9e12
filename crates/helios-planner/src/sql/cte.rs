//! WITH.
//!
//! A CTE is bound once. Its references scan its result; when the whole statement is bound, one
//! that is referenced once, is neither MATERIALIZED nor data-modifying nor volatile, and names no
//! outer row is put in the place of its only scan.

use super::binder::{Binder, internal};
use super::from::Source;
use super::node::{kind, required, strings};
use super::plan::{self, Query, QueryColumn};
use super::scope::{Item, ItemColumn, column};
use crate::function::{Volatility, as_pg_function};
use crate::node::{CteScan, Materialize, ModifyTable, RecursiveCte};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use helios_types::{Error, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    Alias, CommonTableExpr, CteMaterialize, SelectStmt, SetOperation, WithClause,
};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Cte {
    pub name: String,
    id: u32,
    columns: Vec<QueryColumn>,
    /// Field names of the scan's schema.
    fields: Vec<(String, Type)>,
    references: Cell<u32>,
    /// Being bound and not of the form that may name itself.
    forbidden: bool,
}

/// A CTE whose result may have to be computed on its own.
pub(crate) struct Materialised {
    cte: Rc<Cte>,
    plan: LogicalPlan,
    inline: bool,
}

impl Binder<'_> {
    /// Binds the CTEs of a WITH clause into the current level.
    pub fn with_clause(&mut self, clause: Option<&WithClause>) -> Result<Vec<Materialised>> {
        let Some(WithClause {
            ctes,
            recursive,
            location: _,
        }) = clause
        else {
            return Ok(Vec::new());
        };
        let mut all: Vec<Materialised> = Vec::with_capacity(ctes.len());
        for node in ctes {
            let NodeEnum::CommonTableExpr(expr) = super::node::inner(node)? else {
                return Err(Error::internal("WITH"));
            };
            let name = &expr.ctename;
            if all.iter().any(|m| m.cte.name == *name) {
                return Err(self.at(
                    error!(
                        DuplicateAlias,
                        "WITH query name \"{name}\" specified more than once"
                    ),
                    expr.location,
                ));
            }
            let bound = self.common_table(expr, *recursive)?;
            self.level().ctes.push(bound.cte.clone());
            all.push(bound);
        }
        Ok(all)
    }

    fn common_table(&mut self, node: &CommonTableExpr, recursive: bool) -> Result<Materialised> {
        let CommonTableExpr {
            ctename,
            aliascolnames,
            ctematerialized,
            ctequery,
            search_clause,
            cycle_clause,
            location,
            cterecursive: _,
            cterefcount: _,
            ctecolnames: _,
            ctecoltypes: _,
            ctecoltypmods: _,
            ctecolcollations: _,
        } = node;
        if search_clause.is_some() {
            return self.unsupported("WITH ... SEARCH", *location);
        }
        if cycle_clause.is_some() {
            return self.unsupported("WITH ... CYCLE", *location);
        }
        let aliases: Vec<String> = strings(aliascolnames)?
            .into_iter()
            .map(str::to_string)
            .collect();
        let body = required(ctequery)?;
        let materialize =
            CteMaterialize::try_from(*ctematerialized).unwrap_or(CteMaterialize::Default);
        let mut modifies = false;
        let (query, level) = match body {
            NodeEnum::SelectStmt(select) => {
                let union = select.op == SetOperation::SetopUnion as i32;
                if recursive && union {
                    match self.recursive(ctename, select, &aliases, *location)? {
                        Some(found) => (found, None),
                        None => {
                            let (q, l) = self.in_level(|b| b.query(body, true))?;
                            (q, Some(l))
                        }
                    }
                } else {
                    if recursive {
                        self.push_forbidden(ctename);
                    }
                    let bound = self.in_level(|b| b.query(body, true));
                    if recursive {
                        self.level().ctes.pop();
                    }
                    let (q, l) = bound?;
                    (q, Some(l))
                }
            }
            NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) => {
                if self.levels.iter().filter(|l| l.clause.is_some()).count() > 0 {
                    return Err(self.at(
                        error!(
                            Unsupported,
                            "WITH clause containing a data-modifying statement must be at the top level"
                        ),
                        *location,
                    ));
                }
                modifies = true;
                let (q, l) = self.in_level(|b| b.modifying(body))?;
                (q, Some(l))
            }
            NodeEnum::MergeStmt(_) => return self.unsupported("MERGE", *location),
            other => return self.unsupported(format_args!("{} in WITH", kind(other)), *location),
        };
        if aliases.len() > query.columns.len() {
            let (has, given) = (query.columns.len(), aliases.len());
            return Err(self.at(
                error!(
                    InvalidColumnReference,
                    "WITH query \"{ctename}\" has {has} columns available but {given} columns specified"
                ),
                *location,
            ));
        }
        let mut columns = query.columns.clone();
        for (column, alias) in columns.iter_mut().zip(&aliases) {
            column.name = alias.clone();
        }
        let dependent = level.as_ref().is_some_and(|l| !l.outer.is_empty());
        let inline = !modifies
            && materialize != CteMaterialize::Always
            && !dependent
            && (materialize == CteMaterialize::Never || !has_volatile(&query.plan));
        let names = plan::unique_names(columns.iter().map(|c| c.name.as_str()));
        let fields: Vec<(String, Type)> = names
            .into_iter()
            .zip(columns.iter().map(|c| c.ty))
            .collect();
        let exprs = fields
            .iter()
            .enumerate()
            .map(|(i, (name, ty))| plan::alias(plan::output_column(&query.plan, i), name, *ty))
            .collect::<Vec<_>>();
        // A statement without RETURNING has no columns, and nothing to project.
        let plan = if exprs.is_empty() {
            query.plan
        } else {
            plan::project(query.plan, exprs)?
        };
        let id = self.next_cte();
        let cte = Rc::new(Cte {
            name: ctename.clone(),
            id,
            columns,
            fields,
            references: Cell::new(0),
            forbidden: false,
        });
        Ok(Materialised { cte, plan, inline })
    }

    fn push_forbidden(&mut self, name: &str) {
        let cte = Cte {
            name: name.to_string(),
            id: 0,
            columns: Vec::new(),
            fields: Vec::new(),
            references: Cell::new(0),
            forbidden: true,
        };
        self.level().ctes.push(Rc::new(cte));
    }

    /// `start UNION [ALL] step`, where step names the CTE; `None` when it does not.
    fn recursive(
        &mut self,
        name: &str,
        select: &SelectStmt,
        aliases: &[String],
        location: i32,
    ) -> Result<Option<Query>> {
        let (Some(start), Some(step)) = (&select.larg, &select.rarg) else {
            return Err(Error::internal("UNION without operands"));
        };
        self.push_forbidden(name);
        let start = self.in_level(|b| b.select(start, true));
        self.level().ctes.pop();
        let (start, _) = start?;
        let id = self.next_cte();
        let mut columns = start.columns.clone();
        for (column, alias) in columns.iter_mut().zip(aliases) {
            column.name = alias.clone();
            column.origin = None;
        }
        let names = plan::unique_names(columns.iter().map(|c| c.name.as_str()));
        let fields: Vec<(String, Type)> = names
            .iter()
            .cloned()
            .zip(columns.iter().map(|c| c.ty))
            .collect();
        let working = Rc::new(Cte {
            name: name.to_string(),
            id,
            columns: columns.clone(),
            fields: fields.clone(),
            references: Cell::new(0),
            forbidden: false,
        });
        self.level().ctes.push(working.clone());
        let step_query = self.in_level(|b| b.select(step, false));
        self.level().ctes.pop();
        let (step_query, _) = step_query?;
        if working.references.get() > 0
            && let Some(at) = aggregate_place(step)
        {
            return Err(self.at(
                error!(
                    InvalidRecursion,
                    "aggregate functions are not allowed in a recursive query's recursive term"
                ),
                at,
            ));
        }
        if working.references.get() == 0 {
            return Ok(None);
        }
        if working.references.get() > 1 {
            return Err(self.at(
                error!(
                    InvalidRecursion,
                    "recursive reference to query \"{name}\" must not appear more than once"
                ),
                location,
            ));
        }
        for (what, present) in [
            (
                "ORDER BY in a recursive query",
                !select.sort_clause.is_empty(),
            ),
            ("OFFSET in a recursive query", select.limit_offset.is_some()),
            ("LIMIT in a recursive query", select.limit_count.is_some()),
            (
                "FOR UPDATE/SHARE in a recursive query",
                !select.locking_clause.is_empty(),
            ),
        ] {
            if present {
                return Err(self.at(error!(Unsupported, "{what} is not implemented"), location));
            }
        }
        if step_query.columns.len() != start.columns.len() {
            return Err(error!(
                SyntaxError,
                "each UNION query must have the same number of columns"
            ));
        }
        self.check_recursive_types(name, &start, &step_query)?;
        let types: Vec<Type> = start.columns.iter().map(|c| c.ty).collect();
        let start_plan = self.brought_to(start, &types, &names, "UNION")?;
        let step_plan = self.brought_to(step_query, &types, &names, "UNION")?;
        let plan = plan::extension(RecursiveCte {
            id,
            start: Arc::new(start_plan),
            step: Arc::new(step_plan),
            distinct: !select.all,
            schema: plan::schema(&fields)?,
        });
        Ok(Some(Query { plan, columns }))
    }

    fn check_recursive_types(&mut self, name: &str, start: &Query, step: &Query) -> Result<()> {
        for (i, (a, b)) in start.columns.iter().zip(&step.columns).enumerate() {
            let l = super::binder::Typed::new(plan::output_column(&start.plan, i), a.ty, -1);
            let ty = if b.unknown { Type::UNKNOWN } else { b.ty };
            let r = super::binder::Typed::new(plan::output_column(&step.plan, i), ty, -1);
            let common = self.common_type(&[&l, &r], "UNION")?;
            if common.oid != a.ty.oid {
                let (n, from, to) = (
                    i + 1,
                    super::type_name::display(Type::new(a.ty.oid)),
                    super::type_name::display(common),
                );
                return Err(error!(
                    DatatypeMismatch,
                    "recursive query \"{name}\" column {n} has type {from} in non-recursive term but type {to} overall"
                )
                .with_hint("Cast the output of the non-recursive term to the correct type."));
            }
        }
        Ok(())
    }

    /// A reference to a CTE in FROM.
    pub fn cte_reference(
        &mut self,
        name: &str,
        alias: Option<&Alias>,
        location: i32,
    ) -> Result<Option<Source>> {
        let found = self
            .levels
            .iter()
            .rev()
            .find_map(|l| l.ctes.iter().rev().find(|c| c.name == name))
            .cloned();
        let Some(cte) = found else { return Ok(None) };
        if cte.forbidden {
            return Err(self.at(
                error!(
                    InvalidRecursion,
                    "recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] recursive-term"
                ),
                location,
            ));
        }
        if cte.fields.is_empty() {
            return Err(self.at(
                error!(
                    Unsupported,
                    "WITH query \"{name}\" does not have a RETURNING clause"
                ),
                location,
            ));
        }
        cte.references.set(cte.references.get() + 1);
        let shown = alias.map_or(name, |a| a.aliasname.as_str());
        let qualifier = self.unique(shown);
        let scan = plan::extension(CteScan {
            id: cte.id,
            name: cte.name.clone(),
            schema: plan::schema(&cte.fields)?,
        });
        let columns = cte
            .columns
            .iter()
            .zip(&cte.fields)
            .map(|(c, (field, _))| ItemColumn {
                name: c.name.clone(),
                expr: Expr::Column(column(Some(&qualifier), field)),
                ty: c.ty,
                origin: c.origin,
            })
            .collect();
        let mut item = Item {
            name: Some(name.to_string()),
            schema: None,
            hidden_name: None,
            qualifier: qualifier.clone(),
            columns,
            name_visible: true,
            columns_visible: true,
            table: None,
            relation: None,
            scalar: false,
            lateral_refused: false,
        };
        self.apply_alias(&mut item, alias)?;
        Ok(Some(Source {
            plan: plan::qualified(scan, &qualifier)?,
            items: vec![item],
        }))
    }

    /// The query with its CTEs: those inlined that may be, the others computed before it.
    pub fn finish_with(&mut self, query: Query, ctes: Vec<Materialised>) -> Result<Query> {
        let Query { mut plan, columns } = query;
        let mut kept: Vec<(u32, Arc<LogicalPlan>)> = Vec::new();
        // From the last to the first: a later one may hold the only scan of an earlier one.
        let mut remaining = ctes;
        while let Some(Materialised {
            cte,
            plan: body,
            inline,
        }) = remaining.pop()
        {
            let references = cte.references.get();
            if references == 0 && inline {
                continue;
            }
            if inline && references == 1 {
                let mut done = false;
                plan = replace_scan(plan, cte.id, &body, &mut done)?;
                for later in &mut kept {
                    if !done {
                        let new = replace_scan(later.1.as_ref().clone(), cte.id, &body, &mut done)?;
                        later.1 = Arc::new(new);
                    }
                }
                for earlier in &mut remaining {
                    if !done {
                        earlier.plan =
                            replace_scan(earlier.plan.clone(), cte.id, &body, &mut done)?;
                    }
                }
                if done {
                    continue;
                }
            }
            kept.push((cte.id, Arc::new(body)));
        }
        if kept.is_empty() {
            return Ok(Query { plan, columns });
        }
        kept.reverse();
        let plan = plan::extension(Materialize {
            ctes: kept,
            body: Arc::new(plan),
        });
        Ok(Query { plan, columns })
    }
}

/// Where the recursive term itself calls an aggregate: its select list, HAVING or ORDER BY.
fn aggregate_place(step: &SelectStmt) -> Option<i32> {
    let mut place = None;
    let lists = step
        .target_list
        .iter()
        .chain(step.having_clause.as_deref())
        .chain(&step.sort_clause);
    for node in lists {
        super::utility::each_call(node, &mut |call| {
            let aggregate = call.over.is_none()
                && call.funcname.last().is_some_and(|name| {
                    super::node::string(name).is_ok_and(|name| {
                        crate::function::registry()
                            .functions_named(name)
                            .iter()
                            .any(|f| {
                                matches!(
                                    f.implementation,
                                    crate::function::Implementation::Aggregate(_)
                                )
                            })
                    })
                });
            if aggregate && place.is_none() {
                place = Some(call.location);
            }
        });
    }
    place
}

/// The plan with the scan of one CTE replaced by its query.
fn replace_scan(
    plan: LogicalPlan,
    id: u32,
    body: &LogicalPlan,
    done: &mut bool,
) -> Result<LogicalPlan> {
    plan.transform_down_with_subqueries(|node| {
        if let LogicalPlan::Extension(extension) = &node
            && let Some(scan) = extension.node.as_any().downcast_ref::<CteScan>()
            && scan.id == id
        {
            *done = true;
            return Ok(Transformed::new(
                body.clone(),
                true,
                TreeNodeRecursion::Jump,
            ));
        }
        Ok(Transformed::no(node))
    })
    .map(|t| t.data)
    .map_err(internal)
}

/// Whether running the plan more or less often could be noticed.
fn has_volatile(plan: &LogicalPlan) -> bool {
    let mut volatile = false;
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Extension(extension) = node
            && extension.node.as_any().is::<ModifyTable>()
        {
            volatile = true;
        }
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::ScalarFunction(call) = e
                    && as_pg_function(&call.func)
                        .is_some_and(|f| f.def.volatility == Volatility::Volatile)
                {
                    volatile = true;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(if volatile {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    volatile
}
