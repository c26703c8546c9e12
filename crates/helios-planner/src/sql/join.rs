//! JOIN … ON, USING and NATURAL.

use super::binder::{Binder, Typed};
use super::construct;
use super::from::Source;
use super::node::{optional, required, strings};
use super::operator::conjunction;
use super::scope::{Clause, FromPhase, Item, ItemColumn};
use datafusion::common::JoinType;
use datafusion::logical_expr::Expr;
use helios_types::{Result, error};
use pg_query::protobuf::{JoinExpr, JoinType as Kind};

impl Binder<'_> {
    pub fn join_expression(&mut self, join: &JoinExpr) -> Result<Source> {
        let JoinExpr {
            jointype,
            is_natural,
            larg,
            rarg,
            using_clause,
            join_using_alias,
            quals,
            alias,
            rtindex: _,
        } = join;
        let kind = match Kind::try_from(*jointype) {
            Ok(Kind::JoinInner) => JoinType::Inner,
            Ok(Kind::JoinLeft) => JoinType::Left,
            Ok(Kind::JoinRight) => JoinType::Right,
            Ok(Kind::JoinFull) => JoinType::Full,
            _ => return self.unsupported("join type", -1),
        };
        let left = self.from_item(required(larg)?)?;
        let visible = self.level().items.len();
        let refused = matches!(kind, JoinType::Right | JoinType::Full);
        let mut seen = left.items.clone();
        for item in &mut seen {
            item.lateral_refused = refused;
        }
        self.check_duplicate_names(&left.items)?;
        self.level().items.extend(seen);
        let before = self.level().lateral.len();
        let right = self.from_item(required(rarg)?);
        self.level().items.truncate(visible);
        let right = right?;
        self.check_join_names(&left.items, &right.items)?;
        let left_count = left.items.len();
        let mut items = left.items;
        items.extend(right.items);
        let using: Vec<String> = if *is_natural {
            common_columns(&items[..left_count], &items[left_count..])
        } else {
            strings(using_clause)?
                .into_iter()
                .map(str::to_string)
                .collect()
        };
        let condition = if using.is_empty() {
            match optional(quals) {
                Some(node) => Some(self.join_condition(&items, node)?),
                None => None,
            }
        } else {
            let (condition, merged) = self.merge_columns(kind, &using, &items, left_count)?;
            self.merge_items(&mut items, merged, &using, left_count);
            if let Some(using_alias) = join_using_alias {
                self.using_alias(&mut items, using_alias, using.len())?;
            }
            Some(condition)
        };
        let plan = self.combine(left.plan, right.plan, kind, condition, before)?;
        if let Some(alias) = alias {
            let mut joined = joined_item(&items);
            self.apply_alias(&mut joined, Some(alias))?;
            for item in &mut items {
                item.name_visible = false;
                item.columns_visible = false;
            }
            items.push(joined);
        }
        Ok(Source { plan, items })
    }

    fn check_join_names(&mut self, left: &[Item], right: &[Item]) -> Result<()> {
        let saved = std::mem::replace(&mut self.level().items, left.to_vec());
        let result = self.check_duplicate_names(right);
        self.level().items = saved;
        result
    }

    /// ON sees the two sides and nothing else of this FROM.
    fn join_condition(&mut self, items: &[Item], node: &pg_query::NodeEnum) -> Result<Expr> {
        let saved = std::mem::replace(&mut self.level().items, items.to_vec());
        let phase = std::mem::replace(&mut self.level().phase, FromPhase::Done);
        let result = self.in_clause(Clause::JoinOn, |b| b.condition(node, "JOIN/ON"));
        self.level().items = saved;
        self.level().phase = phase;
        result
    }

    /// The condition of USING, and the merged columns.
    fn merge_columns(
        &mut self,
        kind: JoinType,
        using: &[String],
        items: &[Item],
        left_count: usize,
    ) -> Result<(Expr, Vec<ItemColumn>)> {
        let mut conditions = Vec::with_capacity(using.len());
        let mut merged = Vec::with_capacity(using.len());
        for (i, name) in using.iter().enumerate() {
            if using[..i].contains(name) {
                return Err(error!(
                    DuplicateColumn,
                    "column name \"{name}\" appears more than once in USING clause"
                ));
            }
            let left = find_using(&items[..left_count], name, "left")?;
            let right = find_using(&items[left_count..], name, "right")?;
            let l = Typed::new(left.expr.clone(), left.ty, -1);
            let r = Typed::new(right.expr.clone(), right.ty, -1);
            let ty = self.common_type(&[&l, &r], "JOIN/USING")?;
            let modifier = Self::common_modifier(&[&l, &r], ty);
            conditions.push(self.equal(l.clone(), r.clone())?);
            let l = self.coerce_to_common(l, ty, "JOIN/USING")?;
            let r = self.coerce_to_common(r, ty, "JOIN/USING")?;
            let ty = ty.with_modifier(modifier);
            let (expr, origin) = match kind {
                JoinType::Right => (r.expr, right.origin),
                JoinType::Full => (construct::coalesce(vec![l, r], ty), None),
                _ => (l.expr, left.origin),
            };
            merged.push(ItemColumn {
                name: name.clone(),
                expr,
                ty,
                origin,
            });
        }
        Ok((conjunction(conditions), merged))
    }

    /// After USING, unqualified names mean the merged columns and then the rest of both sides.
    fn merge_items(
        &mut self,
        items: &mut Vec<Item>,
        merged: Vec<ItemColumn>,
        using: &[String],
        left_count: usize,
    ) {
        let rest = |items: &[Item]| -> Vec<ItemColumn> {
            items
                .iter()
                .filter(|i| i.columns_visible)
                .flat_map(|i| i.columns.iter())
                .filter(|c| !using.contains(&c.name))
                .cloned()
                .collect()
        };
        let mut columns = merged;
        columns.extend(rest(&items[..left_count]));
        columns.extend(rest(&items[left_count..]));
        for item in items.iter_mut() {
            item.columns_visible = false;
        }
        let mut joined = joined_item(&[]);
        joined.columns = columns;
        items.push(joined);
    }

    /// `USING (a, b) AS x`: x holds the merged columns only.
    fn using_alias(
        &self,
        items: &mut Vec<Item>,
        alias: &pg_query::protobuf::Alias,
        count: usize,
    ) -> Result<()> {
        let Some(joined) = items.last() else {
            return Ok(());
        };
        let mut named = joined_item(&[]);
        named.columns = joined.columns[..count].to_vec();
        named.columns_visible = false;
        self.apply_alias(&mut named, Some(alias))?;
        named.name_visible = true;
        items.push(named);
        Ok(())
    }
}

/// A join as one item: all columns of its parts.
fn joined_item(items: &[Item]) -> Item {
    Item {
        name: None,
        schema: None,
        hidden_name: None,
        qualifier: String::new(),
        columns: items
            .iter()
            .filter(|i| i.columns_visible)
            .flat_map(|i| i.columns.clone())
            .collect(),
        name_visible: true,
        columns_visible: true,
        table: None,
        relation: None,
        scalar: false,
        lateral_refused: false,
    }
}

fn common_columns(left: &[Item], right: &[Item]) -> Vec<String> {
    let visible = |items: &[Item]| -> Vec<String> {
        items
            .iter()
            .filter(|i| i.columns_visible)
            .flat_map(|i| i.columns.iter().map(|c| c.name.clone()))
            .collect()
    };
    let right = visible(right);
    visible(left)
        .into_iter()
        .filter(|n| right.contains(n))
        .collect()
}

fn find_using<'i>(items: &'i [Item], name: &str, side: &str) -> Result<&'i ItemColumn> {
    let mut found = items
        .iter()
        .filter(|i| i.columns_visible)
        .flat_map(|i| &i.columns)
        .filter(|c| c.name == name);
    let Some(first) = found.next() else {
        return Err(error!(
            UndefinedColumn,
            "column \"{name}\" specified in USING clause does not exist in {side} table"
        ));
    };
    if found.next().is_some() {
        return Err(error!(
            AmbiguousColumn,
            "common column name \"{name}\" appears more than once in {side} table"
        ));
    }
    Ok(first)
}
