//! How to reach the rows of one table that satisfy a list of conditions.
//!
//! Conditions of the form `column = constant`, `column IN (constants)` and `column < constant` are
//! matched against the row key and the indexes. "Constant" means free of the table's own columns:
//! for the key-value executor constants and parameters, for the row executor also columns of the
//! other side of a join. A path implies the conditions it was made from, so they are not checked
//! again; a NULL constant reaches no row, as the comparison would.
//!
//! Types whose key encoding does not follow SQL's equality (`char(n)`, json) are left to the
//! conditions themselves.

use super::document;
use crate::catalog::{IndexKey, Shape, Table};
use crate::template::{AccessPath, Bound};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, SortExpr};
use helios_types::{ObjectId, Type};

/// Most keys that an IN list is turned into.
const POINTS_MAX: usize = 10_000;

/// What rows are sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// Position in `Table::columns`.
    Column(usize),
    /// A path of a document.
    Path(String),
}

/// A part of a wanted order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderColumn {
    pub key: OrderKey,
    pub ascending: bool,
    pub nulls_first: bool,
}

impl OrderColumn {
    fn column(&self) -> Option<usize> {
        match self.key {
            OrderKey::Column(column) => Some(column),
            OrderKey::Path(_) => None,
        }
    }
}

/// The chosen path.
#[derive(Clone, Debug)]
pub struct Choice {
    pub path: AccessPath,
    /// Which conditions the path implies, by position.
    pub implied: Vec<usize>,
    /// The rows come in the wanted order.
    pub ordered: bool,
    /// At most one row comes.
    pub unique: bool,
}

impl Choice {
    /// Whether the path reads only part of the table.
    pub fn is_selective(&self) -> bool {
        !matches!(self.path, AccessPath::Full { .. })
    }
}

/// Splits conditions at AND.
pub fn conjuncts(filters: &[Expr]) -> Vec<&Expr> {
    fn split<'a>(expr: &'a Expr, out: &mut Vec<&'a Expr>) {
        match expr {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::And,
                right,
            }) => {
                split(left, out);
                split(right, out);
            }
            Expr::Alias(alias) => split(&alias.expr, out),
            Expr::Between(between) if !between.negated => out.push(expr),
            other => out.push(other),
        }
    }
    let mut out = Vec::new();
    filters.iter().for_each(|f| split(f, &mut out));
    out
}

/// What one condition says of one column.
enum Fact<'a> {
    Equal(&'a Expr),
    AnyOf(&'a [Expr]),
    Lower(&'a Expr, bool),
    Upper(&'a Expr, bool),
    Between(&'a Expr, &'a Expr),
}

struct Facts<'a>(Vec<(usize, usize, Fact<'a>)>);

impl<'a> Facts<'a> {
    fn find<T>(&self, column: usize, pick: impl Fn(&Fact<'a>) -> Option<T>) -> Option<(usize, T)> {
        self.0
            .iter()
            .filter(|(c, _, _)| *c == column)
            .find_map(|(_, condition, fact)| Some((*condition, pick(fact)?)))
    }

    fn equal(&self, column: usize) -> Option<(usize, &'a Expr)> {
        self.find(column, |f| {
            if let Fact::Equal(e) = f {
                Some(*e)
            } else {
                None
            }
        })
    }
}

/// What the caller knows of expressions.
pub struct Matcher<'a> {
    /// The position in `Table::columns` when the expression is a column of this table.
    pub column: &'a dyn Fn(&Expr) -> Option<usize>,
    /// Whether the expression has a value before the table is read.
    pub constant: &'a dyn Fn(&Expr) -> bool,
}

/// Whether the key encoding of a type follows SQL's equality and order.
pub fn indexable(ty: Type) -> bool {
    let ty = ty.element().unwrap_or(ty);
    !matches!(ty.oid, 1042 | 114 | 3802 | 2249 | 142)
}

impl Matcher<'_> {
    fn fact<'a>(&self, table: &Table, condition: &'a Expr) -> Option<(usize, Fact<'a>)> {
        let column = |e: &Expr| {
            (self.column)(e).filter(|c| table.columns.get(*c).is_some_and(|c| indexable(c.ty)))
        };
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (column, value, op) = match (column(left), column(right)) {
                    (Some(c), None) if (self.constant)(right) => (c, right.as_ref(), *op),
                    (None, Some(c)) if (self.constant)(left) => (c, left.as_ref(), op.swap()?),
                    _ => return None,
                };
                let fact = match op {
                    Operator::Eq => Fact::Equal(value),
                    Operator::Gt => Fact::Lower(value, false),
                    Operator::GtEq => Fact::Lower(value, true),
                    Operator::Lt => Fact::Upper(value, false),
                    Operator::LtEq => Fact::Upper(value, true),
                    _ => return None,
                };
                Some((column, fact))
            }
            Expr::Between(between) if !between.negated => {
                let column = column(&between.expr)?;
                let both = (self.constant)(&between.low) && (self.constant)(&between.high);
                both.then_some((column, Fact::Between(&between.low, &between.high)))
            }
            Expr::InList(InList {
                expr,
                list,
                negated: false,
            }) => {
                let column = column(expr)?;
                let all = list.len() <= POINTS_MAX && list.iter().all(|e| (self.constant)(e));
                all.then_some((column, Fact::AnyOf(list)))
            }
            _ => None,
        }
    }

    /// An ORDER BY expression as a part of a wanted order.
    pub fn order_column(&self, table: &Table, sort: &SortExpr) -> Option<OrderColumn> {
        match (self.column)(&sort.expr) {
            Some(column) => Some(OrderColumn {
                key: OrderKey::Column(column),
                ascending: sort.asc,
                nulls_first: sort.nulls_first,
            }),
            None if table.shape == Shape::Document => document::order_column(self, table, sort),
            None => None,
        }
    }

    /// The best path for these conditions (already split, see [`conjuncts`]).
    pub fn choose(&self, table: &Table, conditions: &[&Expr], order: &[OrderColumn]) -> Choice {
        if table.shape == Shape::Document
            && let Some(choice) = document::choose(self, table, conditions, order)
        {
            return choice;
        }
        let facts = Facts(
            conditions
                .iter()
                .enumerate()
                .filter_map(|(i, c)| self.fact(table, c).map(|(column, fact)| (column, i, fact)))
                .collect(),
        );
        let mut best = (
            0,
            Choice {
                path: AccessPath::Full { reverse: false },
                implied: Vec::new(),
                ordered: order.is_empty(),
                unique: false,
            },
        );
        for candidate in candidates(table) {
            if let Some((score, choice)) = candidate.path(table, &facts, order)
                && score > best.0
            {
                best = (score, choice);
            }
        }
        best.1
    }
}

/// The row key or an index, as an ordered list of columns.
struct Candidate {
    index: Option<ObjectId>,
    unique: bool,
    /// Column, descending, NULLs first.
    columns: Vec<(usize, bool, bool)>,
}

fn candidates(table: &Table) -> Vec<Candidate> {
    let mut out = Vec::new();
    if !table.key.is_empty() {
        let columns = table.key.iter().map(|c| (*c, false, false)).collect();
        out.push(Candidate {
            index: None,
            unique: true,
            columns,
        });
    }
    for index in table
        .indexes
        .iter()
        .filter(|i| i.ready && !i.primary && !i.multikey)
    {
        if index.predicate.is_some() {
            continue;
        }
        let columns: Option<Vec<_>> = index
            .columns
            .iter()
            .map(|c| match c.key {
                IndexKey::Column(column) => Some((column, c.descending, c.nulls_first)),
                _ => None,
            })
            .collect();
        if let Some(columns) = columns {
            out.push(Candidate {
                index: Some(index.id),
                unique: index.unique,
                columns,
            });
        }
    }
    out
}

impl Candidate {
    fn path(
        &self,
        table: &Table,
        facts: &Facts<'_>,
        order: &[OrderColumn],
    ) -> Option<(u32, Choice)> {
        let mut implied = Vec::new();
        let mut equal = Vec::new();
        for (column, _, _) in &self.columns {
            let Some((condition, value)) = facts.equal(*column) else {
                break;
            };
            implied.push(condition);
            equal.push(value.clone());
        }
        if equal.len() == self.columns.len() {
            let path = match self.index {
                None => AccessPath::Point(equal),
                Some(_) => self.range(equal, None, None, false),
            };
            let score = match (self.index, self.unique) {
                (None, _) => 1000,
                (_, true) => 900,
                _ => 100 + 20 * self.columns.len() as u32,
            };
            // One row, or rows equal in every column of the index: ordered by any of them.
            let columns: Vec<_> = self.columns.iter().map(|c| c.0).collect();
            let ordered = self.unique
                || order
                    .iter()
                    .all(|o| o.column().is_some_and(|c| columns.contains(&c)));
            return Some((
                score,
                Choice {
                    path,
                    implied,
                    ordered,
                    unique: self.unique,
                },
            ));
        }
        if let Some(choice) = self.points(facts, &equal, &implied, order) {
            return Some((800, choice));
        }
        let (lower, upper) = bounds(facts, self.columns[equal.len()].0, &mut implied);
        let direction = self.order(table, equal.len(), order);
        let bounded = lower.is_some() || upper.is_some();
        if equal.is_empty() && !bounded && direction.is_none_or(|_| order.is_empty()) {
            return None;
        }
        let score = 20 * equal.len() as u32
            + 5 * (u32::from(lower.is_some()) + u32::from(upper.is_some()))
            + if direction.is_some() && !order.is_empty() {
                8
            } else {
                0
            }
            + u32::from(self.index.is_none());
        let path = self.range(equal, lower, upper, direction == Some(true));
        Some((
            score,
            Choice {
                path,
                implied,
                ordered: direction.is_some(),
                unique: false,
            },
        ))
    }

    fn range(
        &self,
        equal: Vec<Expr>,
        lower: Option<Bound>,
        upper: Option<Bound>,
        reverse: bool,
    ) -> AccessPath {
        AccessPath::Range {
            index: self.index,
            equal,
            lower,
            upper,
            reverse,
            ordered: false,
        }
    }

    /// Whole row keys from one IN list, the other key columns being equal to constants.
    fn points(
        &self,
        facts: &Facts<'_>,
        equal: &[Expr],
        implied: &[usize],
        order: &[OrderColumn],
    ) -> Option<Choice> {
        if self.index.is_some() || !order.is_empty() {
            return None;
        }
        let mut implied = implied.to_vec();
        let mut list = None;
        let mut parts = equal.to_vec();
        for (position, (column, _, _)) in self.columns.iter().enumerate().skip(equal.len()) {
            if let Some((condition, value)) = facts.equal(*column) {
                implied.push(condition);
                parts.push(value.clone());
                continue;
            }
            let (condition, values) = facts.find(*column, |f| {
                if let Fact::AnyOf(list) = f {
                    Some(*list)
                } else {
                    None
                }
            })?;
            if list.replace((position, values)).is_some() {
                return None;
            }
            implied.push(condition);
            // Replaced below by each item of the list.
            parts.push(values.first()?.clone());
        }
        let (position, values) = list?;
        let keys = values
            .iter()
            .map(|value| {
                let mut key = parts.clone();
                key[position] = value.clone();
                key
            })
            .collect();
        Some(Choice {
            path: AccessPath::Points(keys),
            implied,
            ordered: false,
            unique: false,
        })
    }

    /// Whether reading forwards (`Some(false)`) or backwards gives the wanted order, the first
    /// `skip` columns being constant.
    fn order(&self, table: &Table, skip: usize, order: &[OrderColumn]) -> Option<bool> {
        let fixed: Vec<usize> = self.columns[..skip].iter().map(|c| c.0).collect();
        let mut wanted = order
            .iter()
            .filter(|o| o.column().is_none_or(|c| !fixed.contains(&c)))
            .peekable();
        let mut reverse = None;
        for (column, descending, nulls_first) in &self.columns[skip..] {
            let Some(want) = wanted.peek() else { break };
            if want.key != OrderKey::Column(*column)
                || !table.columns.get(*column).is_some_and(|c| indexable(c.ty))
            {
                return None;
            }
            let backwards = want.ascending == *descending;
            let nulls_agree = table.columns.get(*column).is_some_and(|c| c.not_null)
                || table.key.contains(column)
                || want.nulls_first == (*nulls_first != backwards);
            if !nulls_agree || *reverse.get_or_insert(backwards) != backwards {
                return None;
            }
            wanted.next();
        }
        // What remains after a whole unique key does not matter.
        let rest_matters = wanted.peek().is_some() && !(self.unique && self.index.is_none());
        (!rest_matters).then_some(reverse.unwrap_or(false))
    }
}

fn bounds(
    facts: &Facts<'_>,
    column: usize,
    implied: &mut Vec<usize>,
) -> (Option<Bound>, Option<Bound>) {
    let between = facts.find(column, |f| {
        if let Fact::Between(a, b) = f {
            Some((*a, *b))
        } else {
            None
        }
    });
    if let Some((condition, (low, high))) = between {
        implied.push(condition);
        let bound = |e: &Expr| {
            Some(Bound {
                value: e.clone(),
                inclusive: true,
            })
        };
        return (bound(low), bound(high));
    }
    let mut take = |found: Option<(usize, (&Expr, bool))>| {
        found.map(|(condition, (value, inclusive))| {
            implied.push(condition);
            Bound {
                value: value.clone(),
                inclusive,
            }
        })
    };
    let lower = take(facts.find(column, |f| {
        if let Fact::Lower(e, i) = f {
            Some((*e, *i))
        } else {
            None
        }
    }));
    let upper = take(facts.find(column, |f| {
        if let Fact::Upper(e, i) = f {
            Some((*e, *i))
        } else {
            None
        }
    }));
    (lower, upper)
}
