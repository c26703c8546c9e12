//! Expressions: one node kind each, taken apart whole.

use super::binder::{Binder, Typed};
use super::coerce::category;
use super::construct;
use super::literal;
use super::node::{inner, kind, optional, required, string, strings};
use super::operator::{and, compare, ordered};
use super::type_name::display;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, Operator};
use helios_types::{Error, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExpr, AExprKind, BoolExpr, BoolExprType, BoolTestType, BooleanTest, CaseExpr, CaseWhen,
    CoalesceExpr, CollateClause, ColumnRef, GroupingFunc, MinMaxExpr, MinMaxOp, NullTest,
    NullTestType, ParamRef, RowExpr, SetToDefault, TypeCast,
};

impl Binder<'_> {
    /// Binds an expression.
    pub fn expression(&mut self, node: &NodeEnum) -> Result<Typed> {
        self.nested(|binder| binder.expression_node(node))
    }

    fn expression_node(&mut self, node: &NodeEnum) -> Result<Typed> {
        match node {
            NodeEnum::AConst(n) => literal::constant(self, n),
            NodeEnum::ColumnRef(n) => self.column_reference(n),
            NodeEnum::ParamRef(ParamRef { number, location }) => self.parameter(*number, *location),
            NodeEnum::TypeCast(n) => self.type_cast(n),
            NodeEnum::AExpr(n) => self.operator_expression(n),
            NodeEnum::BoolExpr(n) => self.boolean_expression(n),
            NodeEnum::FuncCall(n) => self.function_call(n),
            NodeEnum::SubLink(n) => self.sublink(n),
            NodeEnum::CaseExpr(n) => self.case(n),
            NodeEnum::CoalesceExpr(n) => self.coalesce(n),
            NodeEnum::MinMaxExpr(n) => self.extreme(n),
            NodeEnum::NullTest(n) => self.null_test(n),
            NodeEnum::BooleanTest(n) => self.boolean_test(n),
            NodeEnum::AArrayExpr(n) => self.array_constructor(n, None),
            NodeEnum::AIndirection(n) => self.indirection(n),
            NodeEnum::RowExpr(n) => self.row(n),
            NodeEnum::CollateClause(n) => self.collate(n),
            NodeEnum::SqlvalueFunction(n) => self.sql_value_function(n),
            NodeEnum::GroupingFunc(n) => self.grouping_function(n),
            NodeEnum::SetToDefault(default) => {
                let SetToDefault { location, .. } = default.as_ref();
                Err(self.at(
                    error!(SyntaxError, "DEFAULT is not allowed in this context"),
                    *location,
                ))
            }
            NodeEnum::NamedArgExpr(n) => self.unsupported("named argument", n.location),
            NodeEnum::CurrentOfExpr(_) => self.unsupported("WHERE CURRENT OF", -1),
            NodeEnum::MultiAssignRef(_) => {
                Err(Error::internal("multi-column assignment outside UPDATE"))
            }
            NodeEnum::XmlExpr(n) => self.unsupported("XML expression", n.location),
            NodeEnum::XmlSerialize(n) => self.unsupported("XMLSERIALIZE", n.location),
            NodeEnum::JsonIsPredicate(n) => self.unsupported("IS JSON", n.location),
            NodeEnum::JsonFuncExpr(n) => self.unsupported("SQL/JSON query function", n.location),
            NodeEnum::JsonObjectConstructor(n) => self.unsupported("JSON_OBJECT", n.location),
            NodeEnum::JsonArrayConstructor(n) => self.unsupported("JSON_ARRAY", n.location),
            NodeEnum::JsonArrayQueryConstructor(n) => self.unsupported("JSON_ARRAY", n.location),
            NodeEnum::JsonObjectAgg(_) => self.unsupported("JSON_OBJECTAGG", -1),
            NodeEnum::JsonArrayAgg(_) => self.unsupported("JSON_ARRAYAGG", -1),
            NodeEnum::JsonParseExpr(n) => self.unsupported("JSON()", n.location),
            NodeEnum::JsonScalarExpr(n) => self.unsupported("JSON_SCALAR", n.location),
            NodeEnum::JsonSerializeExpr(n) => self.unsupported("JSON_SERIALIZE", n.location),
            NodeEnum::MergeSupportFunc(n) => self.unsupported("MERGE_ACTION", n.location),
            other => self.unsupported(format_args!("{} in an expression", kind(other)), -1),
        }
    }

    pub fn expressions(&mut self, nodes: &[pg_query::Node]) -> Result<Vec<Typed>> {
        nodes.iter().map(|n| self.expression(inner(n)?)).collect()
    }

    /// A condition: boolean, under the construct's name in errors.
    pub fn condition(&mut self, node: &NodeEnum, construct_name: &str) -> Result<Expr> {
        let value = self.expression(node)?;
        self.coerce_bool(value, construct_name)
    }

    fn column_reference(&mut self, reference: &ColumnRef) -> Result<Typed> {
        let ColumnRef { fields, location } = reference;
        let at = *location;
        let star = fields
            .iter()
            .any(|f| matches!(f.node, Some(NodeEnum::AStar(_))));
        if star {
            return Err(self.at(
                error!(SyntaxError, "row expansion via \"*\" is not supported here"),
                at,
            ));
        }
        match strings(fields)?.as_slice() {
            [name] => {
                if let Some(found) = self.unqualified_column(name, at)? {
                    return Ok(found);
                }
                if let Some(found) = self.unqualified_system_column(name, at)? {
                    return Ok(found);
                }
                match self.find_item(None, name, at)? {
                    Some((depth, index)) => self.whole_row(depth, index, at),
                    None => Err(self.missing_column(None, name, at)),
                }
            }
            [table, name] => match self.find_item(None, table, at)? {
                Some((depth, index)) => match self.item_column(depth, index, name, at)? {
                    Some(found) => Ok(found),
                    None => Err(self.missing_column(Some(table), name, at)),
                },
                None => Err(self.missing_item(table, at)),
            },
            [schema, table, name] => match self.find_item(Some(schema), table, at)? {
                Some((depth, index)) => match self.item_column(depth, index, name, at)? {
                    Some(found) => Ok(found),
                    None => Err(self.missing_column(Some(&format!("{schema}.{table}")), name, at)),
                },
                None => Err(self.missing_item(table, at)),
            },
            parts @ [database, schema, table, name] => {
                self.check_database(database, parts, at)?;
                match self.find_item(Some(schema), table, at)? {
                    Some((depth, index)) => match self.item_column(depth, index, name, at)? {
                        Some(found) => Ok(found),
                        None => Err(self.missing_column(Some(table), name, at)),
                    },
                    None => Err(self.missing_item(table, at)),
                }
            }
            parts => {
                let full = parts.join(".");
                Err(self.at(
                    error!(
                        SyntaxError,
                        "improper qualified name (too many dotted names): {full}"
                    ),
                    at,
                ))
            }
        }
    }

    /// The whole row of a FROM item; of a scalar function, its value.
    fn whole_row(&mut self, depth: usize, index: usize, at: i32) -> Result<Typed> {
        let count = self.levels[depth].items[index].columns.len();
        if self.levels[depth].items[index].scalar && count == 1 {
            return self.use_column(depth, index, 0, at);
        }
        let fields: Vec<Typed> = (0..count)
            .map(|c| self.use_column(depth, index, c, at))
            .collect::<Result<_>>()?;
        let names = self.levels[depth].items[index]
            .columns
            .iter()
            .map(|c| c.name.clone())
            .collect();
        Ok(Typed {
            names: Some(names),
            ..Typed::new(construct::row(fields), Type::RECORD, at)
        })
    }

    fn type_cast(&mut self, cast: &TypeCast) -> Result<Typed> {
        let TypeCast {
            arg,
            type_name,
            location,
        } = cast;
        let name = type_name
            .as_ref()
            .ok_or_else(|| Error::internal("cast without a type"))?;
        let target = self.type_name(name)?;
        let at = if *location >= 0 {
            *location
        } else {
            name.location
        };
        let node = required(arg)?;
        // ARRAY[…]::type[] types its elements by the target.
        if let NodeEnum::AArrayExpr(array) = node
            && target.is_array()
        {
            let value = self.array_constructor(array, Some(target))?;
            return self.cast(value, target, at);
        }
        let value = self.expression(node)?;
        let operand_at = value.at;
        let cast = self.cast(value, target, at)?;
        Ok(Typed {
            at: if operand_at >= 0 && operand_at < at {
                operand_at
            } else {
                at
            },
            ..cast
        })
    }

    fn operator_expression(&mut self, node: &AExpr) -> Result<Typed> {
        let AExpr {
            kind: a_kind,
            name,
            lexpr,
            rexpr,
            rexpr_list_start: _,
            rexpr_list_end: _,
            location,
        } = node;
        let at = *location;
        let a_kind = AExprKind::try_from(*a_kind).map_err(Error::internal)?;
        match a_kind {
            AExprKind::AexprOp => {
                let op = self.operator_name(name, at)?;
                match (optional(lexpr), required(rexpr)?) {
                    (None, right) => {
                        let right = self.expression(right)?;
                        self.prefix(op, right, at)
                    }
                    (Some(NodeEnum::RowExpr(left)), NodeEnum::RowExpr(right)) => {
                        self.row_comparison(op, left, right, at)
                    }
                    (Some(NodeEnum::RowExpr(left)), NodeEnum::SubLink(sub))
                        if sub.testexpr.is_none() =>
                    {
                        self.row_subquery(op, left, sub, at)
                    }
                    (Some(left), right) => {
                        let left = self.expression(left)?;
                        let right = self.expression(right)?;
                        self.binary(op, left, right, at)
                    }
                }
            }
            AExprKind::AexprOpAny | AExprKind::AexprOpAll => {
                let op = self.operator_name(name, at)?;
                let left = self.expression(required(lexpr)?)?;
                let right = self.expression(required(rexpr)?)?;
                self.quantified_array(a_kind == AExprKind::AexprOpAll, op, left, right, at)
            }
            AExprKind::AexprDistinct | AExprKind::AexprNotDistinct => self.distinct_node(
                a_kind == AExprKind::AexprNotDistinct,
                required(lexpr)?,
                required(rexpr)?,
                at,
            ),
            AExprKind::AexprNullif => self.nullif(required(lexpr)?, required(rexpr)?, at),
            AExprKind::AexprIn => {
                let negated = self.operator_name(name, at)? == "<>";
                self.in_list(negated, required(lexpr)?, required(rexpr)?, at)
            }
            AExprKind::AexprLike | AExprKind::AexprIlike | AExprKind::AexprSimilar => {
                let op = self.operator_name(name, at)?;
                let left = self.expression(required(lexpr)?)?;
                let right = self.expression(required(rexpr)?)?;
                self.binary(op, left, right, at)
            }
            AExprKind::AexprBetween
            | AExprKind::AexprNotBetween
            | AExprKind::AexprBetweenSym
            | AExprKind::AexprNotBetweenSym => {
                self.between(a_kind, required(lexpr)?, required(rexpr)?, at)
            }
            AExprKind::Undefined => Err(Error::internal("operator of no kind")),
        }
    }

    fn boolean_expression(&mut self, node: &BoolExpr) -> Result<Typed> {
        let BoolExpr {
            xpr: _,
            boolop,
            args,
            location,
        } = node;
        let op = BoolExprType::try_from(*boolop).map_err(Error::internal)?;
        let name = match op {
            BoolExprType::AndExpr => "AND",
            BoolExprType::OrExpr => "OR",
            _ => "NOT",
        };
        let mut bound = Vec::with_capacity(args.len());
        for arg in args {
            bound.push(self.condition(inner(arg)?, name)?);
        }
        let operator = match op {
            BoolExprType::AndExpr => Operator::And,
            BoolExprType::OrExpr => Operator::Or,
            _ => {
                let operand = bound
                    .pop()
                    .ok_or_else(|| Error::internal("NOT of nothing"))?;
                return Ok(Typed::bool(Expr::Not(Box::new(operand)), *location));
            }
        };
        let expr = balanced(bound, operator).ok_or_else(|| Error::internal("AND of nothing"))?;
        Ok(Typed::bool(expr, *location))
    }

    fn case(&mut self, node: &CaseExpr) -> Result<Typed> {
        let CaseExpr {
            xpr: _,
            casetype: _,
            casecollid: _,
            arg,
            args,
            defresult,
            location,
        } = node;
        let saved = self.level().conditional.replace("CASE");
        let result = self.case_inner(arg, args, defresult, *location);
        self.level().conditional = saved;
        result
    }

    fn case_inner(
        &mut self,
        arg: &Option<Box<pg_query::Node>>,
        args: &[pg_query::Node],
        defresult: &Option<Box<pg_query::Node>>,
        at: i32,
    ) -> Result<Typed> {
        let subject = match optional(arg) {
            Some(node) => {
                let value = self.expression(node)?;
                Some(self.resolve_unknown(value)?)
            }
            None => None,
        };
        let mut conditions = Vec::with_capacity(args.len());
        let mut results = Vec::with_capacity(args.len() + 1);
        for when in args {
            let NodeEnum::CaseWhen(when) = inner(when)? else {
                return Err(Error::internal("WHEN expected"));
            };
            let CaseWhen {
                xpr: _,
                expr,
                result,
                location,
            } = when.as_ref();
            let condition = match &subject {
                Some(subject) => {
                    let value = self.expression(required(expr)?)?;
                    self.binary("=", subject.clone(), value, *location)?.expr
                }
                None => self.condition(required(expr)?, "CASE/WHEN")?,
            };
            conditions.push(condition);
            results.push(self.expression(required(result)?)?);
        }
        // PostgreSQL decides the type with the default result first.
        let default = match optional(defresult) {
            Some(node) => self.expression(node)?,
            None => literal::unknown(None, -1),
        };
        let all: Vec<&Typed> = std::iter::once(&default).chain(&results).collect();
        let ty = self.common_type(&all, "CASE")?;
        let modifier = Self::common_modifier(&all, ty);
        let default = self.coerce_to_common(default, ty, "CASE/ELSE")?;
        let mut when_then = Vec::with_capacity(results.len());
        for (condition, result) in conditions.into_iter().zip(results) {
            let result = self.coerce_to_common(result, ty, "CASE/WHEN")?;
            when_then.push((Box::new(condition), Box::new(result.expr)));
        }
        let case = Case {
            expr: None,
            when_then_expr: when_then,
            else_expr: Some(Box::new(default.expr)),
        };
        Ok(Typed::new(Expr::Case(case), ty.with_modifier(modifier), at))
    }

    fn coalesce(&mut self, node: &CoalesceExpr) -> Result<Typed> {
        let CoalesceExpr {
            xpr: _,
            coalescetype: _,
            coalescecollid: _,
            args,
            location,
        } = node;
        let saved = self.level().conditional.replace("COALESCE");
        let bound = self.expressions(args);
        self.level().conditional = saved;
        let bound = bound?;
        let all: Vec<&Typed> = bound.iter().collect();
        let ty = self.common_type(&all, "COALESCE")?;
        let modifier = Self::common_modifier(&all, ty);
        let mut values = Vec::with_capacity(bound.len());
        for value in bound {
            values.push(self.coerce_to_common(value, ty, "COALESCE")?);
        }
        let ty = ty.with_modifier(modifier);
        Ok(Typed::new(construct::coalesce(values, ty), ty, *location))
    }

    fn extreme(&mut self, node: &MinMaxExpr) -> Result<Typed> {
        let MinMaxExpr {
            xpr: _,
            minmaxtype: _,
            minmaxcollid: _,
            inputcollid: _,
            op,
            args,
            location,
        } = node;
        let greatest = *op == MinMaxOp::IsGreatest as i32;
        let name = if greatest { "GREATEST" } else { "LEAST" };
        let bound = self.expressions(args)?;
        let all: Vec<&Typed> = bound.iter().collect();
        let ty = self.common_type(&all, name)?;
        let modifier = Self::common_modifier(&all, ty);
        let mut values = Vec::with_capacity(bound.len());
        for value in bound {
            values.push(self.coerce_to_common(value, ty, name)?);
        }
        let less = self.less_than(ty, name, *location)?;
        let ty = ty.with_modifier(modifier);
        Ok(Typed::new(
            construct::extreme(greatest, less, values, ty),
            ty,
            *location,
        ))
    }

    fn nullif(&mut self, left: &NodeEnum, right: &NodeEnum, at: i32) -> Result<Typed> {
        let left = self.expression(left)?;
        let left = self.resolve_unknown(left)?;
        let right = self.expression(right)?;
        let equal = self.binary("=", left.clone(), right, at)?;
        let case = Case {
            expr: None,
            when_then_expr: vec![(Box::new(equal.expr), Box::new(literal::null(left.ty)))],
            else_expr: Some(Box::new(left.expr)),
        };
        Ok(Typed::new(Expr::Case(case), left.ty, at))
    }

    fn null_test(&mut self, node: &NullTest) -> Result<Typed> {
        let NullTest {
            xpr: _,
            arg,
            nulltesttype,
            argisrow: _,
            location,
        } = node;
        let is_null = *nulltesttype == NullTestType::IsNull as i32;
        let test = |e: Expr| {
            if is_null {
                Expr::IsNull(Box::new(e))
            } else {
                Expr::IsNotNull(Box::new(e))
            }
        };
        if let NodeEnum::RowExpr(row) = required(arg)? {
            let values = self.expressions(&row.args)?;
            let mut tests = Vec::with_capacity(values.len());
            for value in values {
                tests.push(test(self.resolve_unknown(value)?.expr));
            }
            return Ok(Typed::bool(super::operator::conjunction(tests), *location));
        }
        let value = self.expression(required(arg)?)?;
        let value = self.resolve_unknown(value)?;
        Ok(Typed::bool(test(value.expr), *location))
    }

    fn boolean_test(&mut self, node: &BooleanTest) -> Result<Typed> {
        let BooleanTest {
            xpr: _,
            arg,
            booltesttype,
            location,
        } = node;
        let test = BoolTestType::try_from(*booltesttype).map_err(Error::internal)?;
        let name = match test {
            BoolTestType::IsTrue => "IS TRUE",
            BoolTestType::IsNotTrue => "IS NOT TRUE",
            BoolTestType::IsFalse => "IS FALSE",
            BoolTestType::IsNotFalse => "IS NOT FALSE",
            BoolTestType::IsUnknown => "IS UNKNOWN",
            BoolTestType::IsNotUnknown => "IS NOT UNKNOWN",
            BoolTestType::Undefined => return Err(Error::internal("boolean test of no kind")),
        };
        let operand = Box::new(self.condition(required(arg)?, name)?);
        let expr = match test {
            BoolTestType::IsTrue => Expr::IsTrue(operand),
            BoolTestType::IsNotTrue => Expr::IsNotTrue(operand),
            BoolTestType::IsFalse => Expr::IsFalse(operand),
            BoolTestType::IsNotFalse => Expr::IsNotFalse(operand),
            BoolTestType::IsUnknown => Expr::IsUnknown(operand),
            _ => Expr::IsNotUnknown(operand),
        };
        Ok(Typed::bool(expr, *location))
    }

    fn row(&mut self, node: &RowExpr) -> Result<Typed> {
        let RowExpr {
            xpr: _,
            args,
            row_typeid: _,
            row_format: _,
            colnames: _,
            location,
        } = node;
        let fields = self.row_fields(args)?;
        Ok(Typed::new(construct::row(fields), Type::RECORD, *location))
    }

    /// The fields of a row constructor; `t.*` stands for the table's columns.
    pub fn row_fields(&mut self, args: &[pg_query::Node]) -> Result<Vec<Typed>> {
        let mut fields = Vec::with_capacity(args.len());
        for arg in args {
            if let NodeEnum::ColumnRef(reference) = inner(arg)?
                && matches!(
                    reference.fields.last().and_then(|f| f.node.as_ref()),
                    Some(NodeEnum::AStar(_))
                )
            {
                fields.extend(
                    self.expand_star(reference)?
                        .into_iter()
                        .map(|(_, value, _)| value),
                );
                continue;
            }
            let value = self.expression(inner(arg)?)?;
            fields.push(self.resolve_unknown(value)?);
        }
        Ok(fields)
    }

    pub fn collate(&mut self, node: &CollateClause) -> Result<Typed> {
        let CollateClause {
            arg,
            collname,
            location,
        } = node;
        self.check_collation(collname, *location)?;
        let value = self.expression(required(arg)?)?;
        if category(value.ty.oid) != 'S' && !value.is_unknown() {
            let shown = display(Type::new(value.ty.oid));
            return Err(self.at(
                error!(
                    DatatypeMismatch,
                    "collations are not supported by type {shown}"
                ),
                *location,
            ));
        }
        Ok(value)
    }

    /// Accepts the names of the one collation there is.
    pub fn check_collation(&self, name: &[pg_query::Node], location: i32) -> Result<()> {
        let parts = strings(name)?;
        match parts.as_slice() {
            ["default" | "C" | "POSIX" | "C.UTF-8" | "C.utf8" | "ucs_basic"]
            | [
                "pg_catalog",
                "default" | "C" | "POSIX" | "C.UTF-8" | "C.utf8" | "ucs_basic",
            ] => Ok(()),
            parts => {
                let full = parts.join(".");
                Err(self.at(
                    error!(
                        UndefinedObject,
                        "collation \"{full}\" for encoding \"UTF8\" does not exist"
                    ),
                    location,
                ))
            }
        }
    }

    fn grouping_function(&mut self, node: &GroupingFunc) -> Result<Typed> {
        let GroupingFunc {
            xpr: _,
            args,
            refs: _,
            agglevelsup: _,
            location,
        } = node;
        if args.len() > 31 {
            return Err(self.at(
                error!(LimitExceeded, "GROUPING must have fewer than 32 arguments"),
                *location,
            ));
        }
        let bound = self.in_aggregate(|binder| binder.expressions(args))?;
        let name = self.unique("grouping");
        let exprs = bound.into_iter().map(|b| b.expr).collect();
        self.level().groupings.push((name.clone(), exprs));
        Ok(Typed::new(
            Expr::Column(super::scope::column(None, &name)),
            Type::INT4,
            *location,
        ))
    }

    /// `(composite).field` on something that is not a plain table name.
    pub fn field_selection(
        &mut self,
        value: Typed,
        name: &str,
        node: &NodeEnum,
        at: i32,
    ) -> Result<Typed> {
        if let Some((index, ty)) = self.record_field(node, name)? {
            return Ok(Typed::new(construct::field(value, index, ty), ty, at));
        }
        if value.ty.oid == Type::RECORD.oid {
            return Err(self.at(
                error!(
                    UndefinedColumn,
                    "could not identify column \"{name}\" in record data type"
                ),
                at,
            ));
        }
        let shown = display(Type::new(value.ty.oid));
        Err(self.at(
            error!(
                WrongObjectType,
                "column notation .{name} applied to type {shown}, which is not a composite type"
            ),
            at,
        ))
    }

    /// Position and type of a field of a composite expression whose fields are known.
    fn record_field(&mut self, node: &NodeEnum, name: &str) -> Result<Option<(usize, Type)>> {
        match node {
            NodeEnum::FuncCall(call) => {
                let function = string(
                    call.funcname
                        .last()
                        .ok_or_else(|| Error::internal("call of nothing"))?,
                )?;
                let found = self
                    .cx
                    .registry
                    .functions_named(function)
                    .iter()
                    .find_map(|def| {
                        def.columns
                            .iter()
                            .position(|(n, _)| *n == name)
                            .map(|i| (i, def.columns[i].1))
                    });
                Ok(found.map(|(i, oid)| {
                    let ty = Type::new(oid);
                    (i, self.polymorphic_field(call, ty))
                }))
            }
            NodeEnum::RowExpr(row) => {
                let index = name.strip_prefix('f').and_then(|n| n.parse::<usize>().ok());
                let Some(index) = index.filter(|i| (1..=row.args.len()).contains(i)) else {
                    return Ok(None);
                };
                let field = self.expression(inner(&row.args[index - 1])?)?;
                Ok(Some((index - 1, self.resolve_unknown(field)?.ty)))
            }
            NodeEnum::ColumnRef(reference) => {
                let [field] = reference.fields.as_slice() else {
                    return Ok(None);
                };
                let table = string(field)?;
                let Some((depth, index)) = self.find_item(None, table, reference.location)? else {
                    return Ok(None);
                };
                let item = &self.levels[depth].items[index];
                Ok(item
                    .columns
                    .iter()
                    .position(|c| c.name == name)
                    .map(|i| (i, item.columns[i].ty)))
            }
            _ => Ok(None),
        }
    }

    /// The type of an output column that is declared polymorphic, by the call's first argument.
    fn polymorphic_field(&mut self, call: &pg_query::protobuf::FuncCall, ty: Type) -> Type {
        if !super::coerce::is_polymorphic(ty.oid) {
            return ty;
        }
        let first = call.args.first().and_then(|a| a.node.as_ref());
        let bound = first.and_then(|node| self.expression(node).ok());
        match bound {
            Some(b) if ty.oid != Type::ANYARRAY.oid => b.ty.element().unwrap_or(b.ty),
            Some(b) => b.ty,
            None => Type::TEXT,
        }
    }

    /// `IS [NOT] DISTINCT FROM` over scalars or rows.
    fn distinct_node(
        &mut self,
        negated: bool,
        left: &NodeEnum,
        right: &NodeEnum,
        at: i32,
    ) -> Result<Typed> {
        if let (NodeEnum::RowExpr(l), NodeEnum::RowExpr(r)) = (left, right) {
            let (l, r) = (self.row_fields(&l.args)?, self.row_fields(&r.args)?);
            self.check_row_lengths(l.len(), r.len(), at)?;
            let mut parts = Vec::with_capacity(l.len());
            for (l, r) in l.into_iter().zip(r) {
                parts.push(self.distinct(negated, l, r, at)?.expr);
            }
            let joined = if negated {
                super::operator::conjunction(parts)
            } else {
                parts
                    .into_iter()
                    .reduce(super::operator::or)
                    .unwrap_or_else(|| literal::boolean(false))
            };
            return Ok(Typed::bool(joined, at));
        }
        let left = self.expression(left)?;
        let right = self.expression(right)?;
        // A comparison with NULL is a null test.
        for (value, other) in [(&left, &right), (&right, &left)] {
            if value.is_unknown() && matches!(&value.expr, Expr::Literal(v, _) if v.is_null()) {
                let operand = self.resolve_unknown(other.clone())?;
                let boxed = Box::new(operand.expr);
                let expr = if negated {
                    Expr::IsNull(boxed)
                } else {
                    Expr::IsNotNull(boxed)
                };
                return Ok(Typed::bool(expr, at));
            }
        }
        self.distinct(negated, left, right, at)
    }

    pub fn check_row_lengths(&self, left: usize, right: usize, at: i32) -> Result<()> {
        if left == right {
            return Ok(());
        }
        Err(self.at(
            error!(SyntaxError, "unequal number of entries in row expressions"),
            at,
        ))
    }

    /// `(a, b) op (c, d)`
    pub fn row_comparison(
        &mut self,
        op: &str,
        left: &RowExpr,
        right: &RowExpr,
        at: i32,
    ) -> Result<Typed> {
        let (left, right) = (
            self.expressions(&left.args)?,
            self.expressions(&right.args)?,
        );
        self.compare_rows(op, left, right, at)
    }

    pub fn compare_rows(
        &mut self,
        op: &str,
        left: Vec<Typed>,
        right: Vec<Typed>,
        at: i32,
    ) -> Result<Typed> {
        self.check_row_lengths(left.len(), right.len(), at)?;
        if left.is_empty() {
            return Err(self.at(
                error!(Unsupported, "cannot compare rows of zero length"),
                at,
            ));
        }
        let pairs: Vec<(Typed, Typed)> = left.into_iter().zip(right).collect();
        match op {
            "=" => {
                let mut parts = Vec::with_capacity(pairs.len());
                for (l, r) in pairs {
                    parts.push(self.binary("=", l, r, at)?.expr);
                }
                Ok(Typed::bool(super::operator::conjunction(parts), at))
            }
            "<>" => {
                let mut parts = Vec::with_capacity(pairs.len());
                for (l, r) in pairs {
                    parts.push(self.binary("<>", l, r, at)?.expr);
                }
                let any = parts.into_iter().reduce(super::operator::or);
                Ok(Typed::bool(
                    any.unwrap_or_else(|| literal::boolean(false)),
                    at,
                ))
            }
            "<" | "<=" | ">" | ">=" => {
                // Lexicographic: a strict comparison decides at the first pair that differs.
                let strict = if op.starts_with('<') { "<" } else { ">" };
                let mut result: Option<Expr> = None;
                for (l, r) in pairs.into_iter().rev() {
                    let last = result.take();
                    let own = if last.is_none() { op } else { strict };
                    let test = self.binary(own, l.clone(), r.clone(), at)?.expr;
                    result = Some(match last {
                        None => test,
                        Some(rest) => {
                            let equal = self.binary("=", l, r, at)?.expr;
                            super::operator::or(test, and(equal, rest))
                        }
                    });
                }
                Ok(Typed::bool(
                    result.unwrap_or_else(|| literal::boolean(true)),
                    at,
                ))
            }
            other => Err(self.at(
                error!(
                    Unsupported,
                    "could not determine interpretation of row comparison operator {other}"
                )
                .with_hint(
                    "Row comparison operators must be associated with btree operator families.",
                ),
                at,
            )),
        }
    }

    /// A type that can be sorted and grouped, or 42883.
    pub fn check_ordered(&self, ty: Type, at: i32) -> Result<()> {
        if ordered(ty) {
            return Ok(());
        }
        let shown = display(Type::new(ty.oid));
        Err(self.at(
            error!(
                UndefinedFunction,
                "could not identify an ordering operator for type {shown}"
            )
            .with_hint("Use an explicit ordering operator or modify the query."),
            at,
        ))
    }
}

/// A long chain as a balanced tree, so that its depth stays small.
pub(crate) fn balanced(mut exprs: Vec<Expr>, op: Operator) -> Option<Expr> {
    if exprs.len() <= 8 {
        return exprs.into_iter().reduce(|l, r| compare(l, op, r));
    }
    let right = exprs.split_off(exprs.len() / 2);
    Some(compare(balanced(exprs, op)?, op, balanced(right, op)?))
}
