//! How to reach documents: by `_id`, which is their key, or through an index over paths.
//!
//! The conditions are document functions over the column `doc` with the path as a constant:
//! equality, membership in an array, and bounds, which hold among values of the bound's type. An
//! index has an entry for each element of an array, so a path says which documents may match and
//! the conditions are checked again; executors give a document once.
//!
//! Two things depend on whether some document has an array there, which the executor knows when
//! it runs and not the plan: of two bounds only one may be used, because different elements may
//! satisfy them, and none at all when the order of the index is wanted, because a document stands
//! where its least element is, or its greatest one.

use super::access::{Choice, Matcher, OrderColumn, OrderKey};
use crate::catalog::{IndexKey, Table};
use crate::document::function::{ID_EQUALS, PATH_EQUALS, PATH_IN, PATH_KEY, PATH_RANGE};
use crate::function::as_pg_function;
use crate::pgtype::literal_value;
use crate::template::{AccessPath, Bound};
use datafusion::logical_expr::{Expr, SortExpr};
use helios_types::{ObjectId, Value};

const ID: &str = "_id";

/// What one condition says of one path.
enum Fact<'a> {
    Equal(&'a Expr),
    AnyOf(&'a Expr),
    Lower(&'a Expr, bool),
    Upper(&'a Expr, bool),
}

/// Facts by path, with the places of their conditions.
struct Facts<'a>(Vec<(usize, String, Fact<'a>)>);

impl<'a> Facts<'a> {
    fn of(matcher: &Matcher<'_>, table: &Table, conditions: &[&'a Expr]) -> Option<Self> {
        let document = table.column("doc")?.0;
        let facts = conditions.iter().enumerate().filter_map(|(at, condition)| {
            let Expr::ScalarFunction(call) = condition else {
                return None;
            };
            let (subject, rest) = call.args.split_first()?;
            let value = rest.last()?;
            if (matcher.column)(subject) != Some(document) || !(matcher.constant)(value) {
                return None;
            }
            let path = || constant_text(rest.first()?);
            let (path, fact) = match as_pg_function(&call.func)?.def.oid {
                ID_EQUALS => (ID.to_owned(), Fact::Equal(value)),
                PATH_EQUALS => (path()?, Fact::Equal(value)),
                PATH_IN => (path()?, Fact::AnyOf(value)),
                PATH_RANGE => {
                    let fact = match constant_text(rest.get(1)?)?.as_str() {
                        ">" => Fact::Lower(value, false),
                        ">=" => Fact::Lower(value, true),
                        "<" => Fact::Upper(value, false),
                        "<=" => Fact::Upper(value, true),
                        _ => return None,
                    };
                    (path()?, fact)
                }
                _ => return None,
            };
            Some((at, path, fact))
        });
        Some(Facts(facts.collect()))
    }

    fn find<T>(&self, path: &str, pick: impl Fn(&Fact<'a>) -> Option<T>) -> Option<T> {
        let facts = self.0.iter().filter(|(_, p, _)| p == path);
        facts.map(|(_, _, fact)| fact).find_map(pick)
    }

    fn equal(&self, path: &str) -> Option<&'a Expr> {
        self.find(path, |f| match f {
            Fact::Equal(value) => Some(*value),
            _ => None,
        })
    }

    /// The place of the condition that [`Facts::equal`] of `_id` is: who finds a row by its key need
    /// not compare the document's `_id` again, since equal values, and no others, have equal keys.
    fn id_condition(&self) -> Option<usize> {
        let is_it = |path: &str, fact: &Fact<'_>| path == ID && matches!(fact, Fact::Equal(_));
        let found = self.0.iter().find(|(_, path, fact)| is_it(path, fact));
        found.map(|(at, _, _)| *at)
    }

    fn bounds(&self, path: &str) -> (Option<Bound>, Option<Bound>) {
        let bound = |value: &Expr, inclusive| Bound {
            value: value.clone(),
            inclusive,
        };
        let lower = self.find(path, |f| match f {
            Fact::Lower(value, inclusive) => Some(bound(value, *inclusive)),
            _ => None,
        });
        let upper = self.find(path, |f| match f {
            Fact::Upper(value, inclusive) => Some(bound(value, *inclusive)),
            _ => None,
        });
        (lower, upper)
    }
}

fn constant_text(expr: &Expr) -> Option<String> {
    let (value, _) = literal_value(expr)?.ok()?;
    value.as_str().map(str::to_owned)
}

/// The path and direction of an order that an index may give.
pub fn order_column(matcher: &Matcher<'_>, table: &Table, sort: &SortExpr) -> Option<OrderColumn> {
    let Expr::ScalarFunction(call) = &sort.expr else {
        return None;
    };
    let [subject, path, descending] = call.args.as_slice() else {
        return None;
    };
    let known = as_pg_function(&call.func)?.def.oid == PATH_KEY
        && (matcher.column)(subject) == Some(table.column("doc")?.0);
    let Ok((Value::Bool(descending), _)) = literal_value(descending).filter(|_| known)? else {
        return None;
    };
    Some(OrderColumn {
        key: OrderKey::Path(constant_text(path)?),
        ascending: sort.asc != descending,
        nulls_first: sort.nulls_first,
    })
}

/// The row key or an index, as an ordered list of paths.
struct Candidate<'t> {
    index: Option<ObjectId>,
    unique: bool,
    /// Path, descending.
    paths: Vec<(&'t str, bool)>,
}

fn candidates(table: &Table) -> impl Iterator<Item = Candidate<'_>> {
    let key = Candidate {
        index: None,
        unique: true,
        paths: vec![(ID, false)],
    };
    let usable = |i: &&crate::catalog::Index| i.ready && !i.primary && i.predicate.is_none();
    let indexes = table.indexes.iter().filter(usable).filter_map(|index| {
        let paths: Option<Vec<_>> = index
            .columns
            .iter()
            .map(|column| match &column.key {
                IndexKey::Path(path) => Some((path.as_str(), column.descending)),
                _ => None,
            })
            .collect();
        Some(Candidate {
            index: Some(index.id),
            unique: index.unique,
            paths: paths?,
        })
    });
    std::iter::once(key).chain(indexes)
}

impl Candidate<'_> {
    fn path(&self, facts: &Facts<'_>, order: &[OrderColumn]) -> Option<(u32, Choice)> {
        let choice = |path, ordered, unique| Choice {
            path,
            implied: Vec::new(),
            ordered,
            unique,
        };
        let equal: Vec<Expr> = self
            .paths
            .iter()
            .map_while(|(path, _)| facts.equal(path).cloned())
            .collect();
        if self.index.is_none() && !equal.is_empty() {
            let found = choice(AccessPath::Point(equal), true, true);
            let implied = facts.id_condition().into_iter().collect();
            return Some((1000, Choice { implied, ..found }));
        }
        let fixed = equal.len() as u32;
        let next = self.paths.get(equal.len());
        let values = next.and_then(|(path, _)| {
            facts.find(path, |f| match f {
                Fact::AnyOf(values) => Some((*values).clone()),
                _ => None,
            })
        });
        let direction = self.order(equal.len(), order);
        let (lower, upper) = next.map_or((None, None), |(path, _)| facts.bounds(path));
        if let Some(values) = values
            && (direction.is_none() || order.is_empty())
        {
            let path = AccessPath::Each {
                index: self.index,
                equal,
                values,
            };
            let score = 20 * fixed + if self.index.is_none() { 500 } else { 15 };
            return Some((score, choice(path, order.is_empty(), false)));
        }
        let bounded = lower.is_some() || upper.is_some();
        let sorts = direction.is_some() && !order.is_empty();
        if equal.is_empty() && !bounded && !sorts {
            return None;
        }
        let score = 20 * fixed
            + 5 * (u32::from(lower.is_some()) + u32::from(upper.is_some()))
            + 8 * u32::from(sorts)
            + u32::from(self.unique);
        let path = AccessPath::Range {
            index: self.index,
            equal,
            lower,
            upper,
            reverse: direction == Some(true),
            ordered: sorts,
        };
        Some((score, choice(path, direction.is_some(), false)))
    }

    /// Whether reading forwards (`Some(false)`) or backwards gives the wanted order, the first
    /// `skip` paths being equal to something. These are no part of an order: a document with an
    /// array there is sorted by another element than the one that was found.
    fn order(&self, skip: usize, order: &[OrderColumn]) -> Option<bool> {
        let mut reverse = None;
        let paths = self.paths.get(skip..)?;
        for (at, wanted) in order.iter().enumerate() {
            let Some((path, descending)) = paths.get(at) else {
                // What remains after the whole key does not matter.
                return (self.index.is_none() && at > 0).then_some(reverse?);
            };
            let same = matches!(&wanted.key, OrderKey::Path(p) if p == path);
            let backwards = wanted.ascending == *descending;
            if !same || *reverse.get_or_insert(backwards) != backwards {
                return None;
            }
        }
        Some(reverse.unwrap_or(false))
    }
}

/// The best path for these conditions; `None` when everything has to be read.
pub(super) fn choose(
    matcher: &Matcher<'_>,
    table: &Table,
    conditions: &[&Expr],
    order: &[OrderColumn],
) -> Option<Choice> {
    let facts = Facts::of(matcher, table, conditions)?;
    candidates(table)
        .filter_map(|candidate| candidate.path(&facts, order))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, choice)| choice)
}
