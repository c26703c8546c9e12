//! Query levels and what names mean in them.
//!
//! A level is one SELECT (or one set operation, INSERT, UPDATE, …). Its items are what FROM made
//! visible, in order. A column found in an enclosing level becomes an outer reference, and every
//! level in between remembers it: that list is the `outer_ref_columns` of its subquery.

use super::binder::{Binder, Typed};
use super::construct;
use super::cte::Cte;
use crate::catalog::Table;
use crate::pgtype;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Spans, TableReference};
use datafusion::logical_expr::Expr;
use helios_types::{Error, ObjectId, Result, Type, bail, error};
use pg_query::protobuf::WindowDef;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Qualifier of the columns that stand for a subquery's while a comparison with it is resolved.
pub(crate) const STAND_IN: &str = "__subquery";

/// Which clause an expression stands in: decides what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    SelectTarget,
    From,
    JoinOn,
    Where,
    Having,
    GroupBy,
    OrderBy,
    DistinctOn,
    Limit,
    Offset,
    Values,
    UpdateTarget,
    Returning,
    Filter,
    WindowPartition,
    WindowOrder,
    WindowFrame,
    Default,
    Check,
    Index,
    IndexPredicate,
    Generated,
    CopyWhere,
    Execute,
    Using,
}

impl Clause {
    /// As PostgreSQL names it in "… are not allowed in …".
    pub fn name(self) -> &'static str {
        match self {
            Clause::SelectTarget => "SELECT",
            Clause::From => "functions in FROM",
            Clause::JoinOn => "JOIN conditions",
            Clause::Where => "WHERE",
            Clause::Having => "HAVING",
            Clause::GroupBy => "GROUP BY",
            Clause::OrderBy => "ORDER BY",
            Clause::DistinctOn => "DISTINCT ON",
            Clause::Limit => "LIMIT",
            Clause::Offset => "OFFSET",
            Clause::Values => "VALUES",
            Clause::UpdateTarget => "UPDATE",
            Clause::Returning => "RETURNING",
            Clause::Filter => "FILTER",
            Clause::WindowPartition => "window PARTITION BY",
            Clause::WindowOrder => "window ORDER BY",
            Clause::WindowFrame => "window frame",
            Clause::Default => "DEFAULT expressions",
            Clause::Check => "check constraints",
            Clause::Index => "index expressions",
            Clause::IndexPredicate => "index predicates",
            Clause::Generated => "column generation expressions",
            Clause::CopyWhere => "COPY FROM WHERE conditions",
            Clause::Execute => "EXECUTE parameters",
            Clause::Using => "transform expressions",
        }
    }
}

/// Whether FROM items of a level may be seen from inside one of its own FROM items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum FromPhase {
    /// FROM is complete: everything is visible.
    #[default]
    Done,
    /// Inside a LATERAL item or a function: what stands to the left is visible.
    Lateral,
    /// Inside a subquery without LATERAL: nothing is, and the message says so.
    Hidden,
}

#[derive(Clone, Debug)]
pub(crate) struct ItemColumn {
    pub name: String,
    pub expr: Expr,
    pub ty: Type,
    pub origin: Option<(ObjectId, i16)>,
}

/// A FROM item as names see it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The alias, or the relation's name; none for an unaliased join.
    pub name: Option<String>,
    /// Schema of a relation without alias, for `schema.table.column`.
    pub schema: Option<String>,
    /// The relation's real name when an alias hides it, for hints.
    pub hidden_name: Option<String>,
    /// The plan's qualifier.
    pub qualifier: String,
    pub columns: Vec<ItemColumn>,
    /// Whether `name` can be used, and whether columns are found without it.
    pub name_visible: bool,
    pub columns_visible: bool,
    pub table: Option<Arc<Table>>,
    pub relation: Option<ObjectId>,
    /// A function with a scalar result: the alias alone means its value, not a row.
    pub scalar: bool,
    /// Set while a RIGHT or FULL join's right side is bound: seen and not allowed.
    pub lateral_refused: bool,
}

impl Item {
    pub fn column(&self, name: &str) -> Option<&ItemColumn> {
        self.columns.iter().find(|c| c.name == name)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct AggregateCall {
    pub expr: Expr,
    pub name: String,
    pub ty: Type,
}

/// A set-returning function of a select list: `stage` counts how deep it calls others.
#[derive(Clone, Debug)]
pub(crate) struct SetCall {
    pub expr: Expr,
    pub name: String,
    pub ty: Type,
    pub stage: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct NamedWindow {
    pub name: String,
    pub def: WindowDef,
}

#[derive(Default)]
pub(crate) struct Level {
    pub items: Vec<Item>,
    pub phase: FromPhase,
    pub clause: Option<Clause>,
    pub ctes: Vec<Rc<Cte>>,
    pub aggregates: Vec<AggregateCall>,
    pub windows: Vec<AggregateCall>,
    pub sets: Vec<SetCall>,
    pub named_windows: Vec<NamedWindow>,
    /// Columns of enclosing levels that this level or one inside it names.
    pub outer: Vec<Expr>,
    /// Columns of this level that inner levels name while its FROM is being bound.
    pub lateral: Vec<Column>,
    /// Arguments of an aggregate are being bound.
    pub in_aggregate: bool,
    pub in_window: bool,
    /// Inside CASE, COALESCE and the like: no set-returning functions.
    pub conditional: Option<&'static str>,
    /// Where each column was first named outside of aggregates, for GROUP BY errors.
    pub positions: HashMap<Column, i32>,
    /// `GROUPING(…)` calls: generated column name and its arguments.
    pub groupings: Vec<(String, Vec<Expr>)>,
}

pub(crate) fn column(qualifier: Option<&str>, name: &str) -> Column {
    Column {
        relation: qualifier.map(|q| TableReference::Bare {
            table: Arc::from(q),
        }),
        name: name.to_string(),
        spans: Spans::new(),
    }
}

/// Turns the columns of an expression into references to an enclosing query's row.
pub(crate) fn outer_reference(expr: Expr, ty: Type) -> Result<Expr> {
    expr.transform_up(|e| {
        Ok(match e {
            Expr::Column(c) => {
                let field = pgtype::field_ref(c.name.clone(), ty);
                Transformed::yes(Expr::OuterReferenceColumn(field, c))
            }
            other => Transformed::no(other),
        })
    })
    .map(|t| t.data)
    .map_err(super::binder::internal)
}

/// Every column an expression names directly.
pub(crate) fn columns_of(expr: &Expr) -> Vec<Column> {
    let mut found = Vec::new();
    let _ = expr.apply(|e| {
        if let Expr::Column(c) = e {
            found.push(c.clone());
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    });
    found
}

enum Found {
    None,
    One(usize, usize),
    Ambiguous,
}

impl Binder<'_> {
    /// Runs `f` in a new level and gives what it made together with the level.
    pub fn in_level<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<(T, Level)> {
        let depth = self.levels.len();
        self.levels.push(Level::default());
        let result = self.nested(f);
        let level = self
            .levels
            .pop()
            .ok_or_else(|| Error::internal("no query level"))?;
        debug_assert_eq!(depth, self.levels.len());
        result.map(|value| (value, level))
    }

    /// Runs `f` while expressions belong to `clause`.
    pub fn in_clause<T>(
        &mut self,
        clause: Clause,
        f: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let outer = self.level().clause.replace(clause);
        let result = f(self);
        self.level().clause = outer;
        result
    }

    pub fn clause(&mut self) -> Clause {
        self.level().clause.unwrap_or(Clause::SelectTarget)
    }

    fn find(level: &Level, name: &str) -> Found {
        let mut found = Found::None;
        for (i, item) in level
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.columns_visible)
        {
            for (c, column) in item.columns.iter().enumerate() {
                if column.name == name {
                    match found {
                        Found::None => found = Found::One(i, c),
                        _ => return Found::Ambiguous,
                    }
                }
            }
        }
        found
    }

    /// `name` alone: a column of the nearest level that has one.
    pub fn unqualified_column(&mut self, name: &str, location: i32) -> Result<Option<Typed>> {
        for depth in (0..self.levels.len()).rev() {
            if self.levels[depth].phase == FromPhase::Hidden {
                continue;
            }
            match Self::find(&self.levels[depth], name) {
                Found::None => {}
                Found::Ambiguous => {
                    return Err(self.at(
                        error!(AmbiguousColumn, "column reference \"{name}\" is ambiguous"),
                        location,
                    ));
                }
                Found::One(item, column) => {
                    return self.use_column(depth, item, column, location).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// An expression for a column of the level at `depth`.
    pub fn use_column(
        &mut self,
        depth: usize,
        item: usize,
        column: usize,
        location: i32,
    ) -> Result<Typed> {
        let level = &self.levels[depth];
        let item = &level.items[item];
        if item.lateral_refused && depth + 1 < self.levels.len() {
            let name = item.name.clone().unwrap_or_default();
            return Err(self.at(
                error!(
                    InvalidColumnReference,
                    "invalid reference to FROM-clause entry for table \"{name}\""
                )
                .with_detail(
                    "The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
                ),
                location,
            ));
        }
        let column = item.columns[column].clone();
        self.reach(depth, column.expr, column.ty, location)
    }

    /// The expression `expr` of the level at `depth`, seen from the innermost level.
    pub fn reach(&mut self, depth: usize, expr: Expr, ty: Type, location: i32) -> Result<Typed> {
        let top = self.levels.len() - 1;
        if depth == top {
            if !self.levels[top].in_aggregate {
                for column in columns_of(&expr) {
                    self.levels[top].positions.entry(column).or_insert(location);
                }
            }
            return Ok(Typed::new(expr, ty, location));
        }
        for column in columns_of(&expr) {
            if self.levels[depth].phase != FromPhase::Done
                && !self.levels[depth].lateral.contains(&column)
            {
                self.levels[depth].lateral.push(column.clone());
            }
            self.levels[depth]
                .positions
                .entry(column)
                .or_insert(location);
        }
        let reference = outer_reference(expr, ty)?;
        let _ = reference.apply(|e| {
            if matches!(e, Expr::OuterReferenceColumn(..)) {
                for level in &mut self.levels[depth + 1..] {
                    if !level.outer.contains(e) {
                        level.outer.push(e.clone());
                    }
                }
            }
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        });
        Ok(Typed::new(reference, ty, location))
    }

    /// An expression of the current level as seen from a subquery of it; what it names is added to
    /// the subquery's outer references.
    pub fn outer_columns(&self, expr: Expr, outer: &mut Vec<Expr>) -> Result<Expr> {
        let level = self.levels.last();
        let type_of = |column: &Column| {
            let items = level
                .into_iter()
                .flat_map(|l| &l.items)
                .flat_map(|i| &i.columns);
            let in_from = items
                .filter(|c| matches!(&c.expr, Expr::Column(e) if e == column))
                .map(|c| c.ty)
                .next();
            let computed = || {
                let level = level?;
                let known = level
                    .aggregates
                    .iter()
                    .chain(&level.windows)
                    .find(|a| a.name == column.name);
                known.map(|a| a.ty).or_else(|| {
                    level
                        .sets
                        .iter()
                        .find(|s| s.name == column.name)
                        .map(|s| s.ty)
                })
            };
            in_from.or_else(computed).unwrap_or(Type::TEXT)
        };
        let stand_in = TableReference::Bare {
            table: Arc::from(STAND_IN),
        };
        expr.transform_up(|e| {
            let reference = match e {
                Expr::Column(c) if c.relation.as_ref() != Some(&stand_in) => {
                    let field = pgtype::field_ref(c.name.clone(), type_of(&c));
                    Expr::OuterReferenceColumn(field, c)
                }
                Expr::OuterReferenceColumn(..) => e,
                other => return Ok(Transformed::no(other)),
            };
            if !outer.contains(&reference) {
                outer.push(reference.clone());
            }
            Ok(Transformed::yes(reference))
        })
        .map(|t| t.data)
        .map_err(super::binder::internal)
    }

    /// The item that `[schema.]name` means: (depth, index).
    pub fn find_item(
        &self,
        schema: Option<&str>,
        name: &str,
        location: i32,
    ) -> Result<Option<(usize, usize)>> {
        for depth in (0..self.levels.len()).rev() {
            let level = &self.levels[depth];
            if level.phase == FromPhase::Hidden {
                continue;
            }
            let mut found = level.items.iter().enumerate().filter(|(_, item)| {
                item.name_visible
                    && item.name.as_deref() == Some(name)
                    && schema.is_none_or(|s| item.schema.as_deref() == Some(s))
            });
            if let Some((index, _)) = found.next() {
                if found.next().is_some() {
                    return Err(self.at(
                        error!(DuplicateAlias, "table reference \"{name}\" is ambiguous"),
                        location,
                    ));
                }
                return Ok(Some((depth, index)));
            }
        }
        Ok(None)
    }

    /// The error for a table name that no visible FROM item has.
    pub fn missing_item(&self, name: &str, location: i32) -> Error {
        for level in self.levels.iter().rev() {
            for item in &level.items {
                if item.name.as_deref() == Some(name) && item.name.is_some() {
                    let error = error!(
                        UndefinedTable,
                        "invalid reference to FROM-clause entry for table \"{name}\""
                    );
                    let error = if level.phase == FromPhase::Hidden {
                        error
                            .with_detail(format!(
                                "There is an entry for table \"{name}\", but it cannot be referenced from this part of the query."
                            ))
                            .with_hint("To reference that table, you must mark this subquery with LATERAL.")
                    } else {
                        error.with_detail(format!(
                            "There is an entry for table \"{name}\", but it cannot be referenced from this part of the query."
                        ))
                    };
                    return self.at(error, location);
                }
                if let (Some(hidden), Some(alias)) = (&item.hidden_name, &item.name)
                    && hidden == name
                {
                    let hint =
                        format!("Perhaps you meant to reference the table alias \"{alias}\".");
                    return self.at(
                        error!(
                            UndefinedTable,
                            "invalid reference to FROM-clause entry for table \"{name}\""
                        )
                        .with_hint(hint),
                        location,
                    );
                }
            }
        }
        self.at(
            error!(
                UndefinedTable,
                "missing FROM-clause entry for table \"{name}\""
            ),
            location,
        )
    }

    /// `item.name`: a column, a system column, or nothing.
    pub fn item_column(
        &mut self,
        depth: usize,
        index: usize,
        name: &str,
        location: i32,
    ) -> Result<Option<Typed>> {
        let item = &self.levels[depth].items[index];
        let mut matches = item
            .columns
            .iter()
            .enumerate()
            .filter(|(_, c)| c.name == name);
        if let Some((column, _)) = matches.next() {
            if matches.next().is_some() {
                return Err(self.at(
                    error!(AmbiguousColumn, "column reference \"{name}\" is ambiguous"),
                    location,
                ));
            }
            return self.use_column(depth, index, column, location).map(Some);
        }
        self.system_column(depth, index, name, location)
    }

    /// `tableoid` is given; the columns of PostgreSQL's own row format are refused.
    fn system_column(
        &mut self,
        depth: usize,
        index: usize,
        name: &str,
        location: i32,
    ) -> Result<Option<Typed>> {
        let Some(relation) = self.levels[depth].items[index].relation else {
            return Ok(None);
        };
        match name {
            "tableoid" => Ok(Some(Typed::new(
                construct::oid_literal(relation.0, Type::OID),
                Type::OID,
                location,
            ))),
            "ctid" | "xmin" | "xmax" | "cmin" | "cmax" => {
                self.unsupported(format_args!("system column \"{name}\""), location)
            }
            _ => Ok(None),
        }
    }

    /// A system column without a table name.
    pub fn unqualified_system_column(
        &mut self,
        name: &str,
        location: i32,
    ) -> Result<Option<Typed>> {
        if !matches!(
            name,
            "tableoid" | "ctid" | "xmin" | "xmax" | "cmin" | "cmax"
        ) {
            return Ok(None);
        }
        for depth in (0..self.levels.len()).rev() {
            let candidates: Vec<usize> = (0..self.levels[depth].items.len())
                .filter(|&i| {
                    let item = &self.levels[depth].items[i];
                    item.name_visible && item.relation.is_some()
                })
                .collect();
            match candidates.as_slice() {
                [] => {}
                [index] => return self.system_column(depth, *index, name, location),
                _ => bail!(AmbiguousColumn, "column reference \"{name}\" is ambiguous"),
            }
        }
        Ok(None)
    }

    /// The error for a column that nothing has, with PostgreSQL's hint where the name is qualified
    /// out of reach or close to another.
    pub fn missing_column(&self, table: Option<&str>, name: &str, location: i32) -> Error {
        let message = match table {
            Some(table) => error!(UndefinedColumn, "column {table}.{name} does not exist"),
            None => error!(UndefinedColumn, "column \"{name}\" does not exist"),
        };
        let error = match self.column_hint(table, name) {
            Some(ColumnHint::Detail(text)) => message.with_detail(text),
            Some(ColumnHint::DetailAndHint(detail, hint)) => {
                message.with_detail(detail).with_hint(hint)
            }
            Some(ColumnHint::Hint(text)) => message.with_hint(text),
            None => message,
        };
        self.at(error, location)
    }

    fn column_hint(&self, table: Option<&str>, name: &str) -> Option<ColumnHint> {
        let level = self.levels.last()?;
        // A column of that very name which cannot be reached from here.
        for level in self.levels.iter().rev() {
            for item in &level.items {
                let reachable = level.phase != FromPhase::Hidden;
                if table.is_none()
                    && item.column(name).is_some()
                    && let Some(item_name) = &item.name
                    && !reachable
                {
                    let detail = format!(
                        "There is a column named \"{name}\" in table \"{item_name}\", but it cannot be referenced from this part of the query."
                    );
                    return Some(ColumnHint::DetailAndHint(
                        detail,
                        "To reference that column, you must mark this subquery with LATERAL."
                            .into(),
                    ));
                }
                if table.is_none()
                    && item.column(name).is_some()
                    && let Some(item_name) = &item.name
                {
                    return Some(ColumnHint::Detail(format!(
                        "There is a column named \"{name}\" in table \"{item_name}\", but it cannot be referenced from this part of the query."
                    )));
                }
            }
        }
        let mut best: Option<(usize, Vec<(String, String)>)> = None;
        for item in &level.items {
            let Some(item_name) = &item.name else {
                continue;
            };
            let table_distance = table.map_or(0, |t| edit_distance(t, item_name));
            for column in &item.columns {
                let distance = edit_distance(name, &column.name) + table_distance;
                // PostgreSQL offers a name only when it is near: at most three edits and not most
                // of the word.
                if distance > 3 || distance > name.chars().count() / 2 {
                    continue;
                }
                let entry = (item_name.clone(), column.name.clone());
                match &mut best {
                    Some((d, list)) if *d == distance => list.push(entry),
                    Some((d, _)) if *d < distance => {}
                    _ => best = Some((distance, vec![entry])),
                }
            }
        }
        let (_, list) = best?;
        let quoted = |(t, c): &(String, String)| format!("\"{t}.{c}\"");
        match list.as_slice() {
            [one] => Some(ColumnHint::Hint(format!(
                "Perhaps you meant to reference the column {}.",
                quoted(one)
            ))),
            [one, two] => Some(ColumnHint::Hint(format!(
                "Perhaps you meant to reference the column {} or the column {}.",
                quoted(one),
                quoted(two)
            ))),
            _ => None,
        }
    }
}

enum ColumnHint {
    Detail(String),
    DetailAndHint(String, String),
    Hint(String),
}

/// Levenshtein distance, for hints.
pub(crate) fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut previous = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = previous + usize::from(ca != *cb);
            previous = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(previous + 1);
        }
    }
    row[b.len()]
}
