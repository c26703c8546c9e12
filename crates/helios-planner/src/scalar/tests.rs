use super::*;
use crate::function::{FrozenContext, Implementation, PgFunction, Volatility};
use crate::pgtype;
use datafusion::common::Column;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Operator, binary_expr, lit};
use helios_types::{Oid, bail};
use std::collections::HashMap;

fn schema(columns: &[(&str, Type)]) -> DFSchema {
    let fields = columns
        .iter()
        .map(|(n, ty)| (Some("t".into()), pgtype::field_ref(*n, *ty)))
        .collect();
    DFSchema::new_with_metadata(fields, HashMap::new()).unwrap()
}

fn int(v: i32) -> Expr {
    pgtype::literal(&Value::Int4(v), Type::INT4)
}

fn null(ty: Type) -> Expr {
    pgtype::literal(&Value::Null, ty)
}

fn truth(v: Option<bool>) -> Expr {
    pgtype::literal(&v.into(), Type::BOOL)
}

fn eval(expr: &Expr, schema: &DFSchema, row: &[Value], params: &[Value]) -> Result<Value> {
    let mut functions = FrozenContext::nowhere();
    let mut env = ValueEnv {
        params,
        functions: &mut functions,
    };
    CompiledExpr::compile(expr, schema)?.eval(row, &mut env)
}

fn constant(expr: &Expr) -> Value {
    eval(expr, &schema(&[]), &[], &[]).unwrap()
}

const fn scalar(
    oid: Oid,
    name: &'static str,
    strict: bool,
    function: fn(&[Value], &mut dyn FunctionContext) -> Result<Value>,
) -> FunctionDef {
    FunctionDef {
        oid,
        name,
        args: &[],
        defaults: &[],
        variadic: false,
        result: 23,
        columns: &[],
        strict,
        volatility: Volatility::Immutable,
        implementation: Implementation::Scalar(function),
    }
}

static FAIL: FunctionDef = scalar(9991, "fail", false, |_, _| {
    bail!(DivisionByZero, "division by zero")
});
static STRICT: FunctionDef = scalar(9992, "strict", true, |args, _| Ok(args[0].clone()));

fn fail() -> Expr {
    PgFunction::new(&FAIL, vec![], Type::BOOL).call(vec![])
}

#[test]
fn logic_has_three_values() {
    let cases = [(Some(true)), (Some(false)), None];
    for a in cases {
        for b in cases {
            let and = match (a, b) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
            let or = match (a, b) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
            assert_eq!(constant(&truth(a).and(truth(b))), and.into());
            assert_eq!(constant(&truth(a).or(truth(b))), or.into());
        }
        assert_eq!(
            constant(&Expr::Not(Box::new(truth(a)))),
            a.map(|b| !b).into()
        );
        assert_eq!(
            constant(&Expr::IsTrue(Box::new(truth(a)))),
            Value::Bool(a == Some(true))
        );
        assert_eq!(
            constant(&Expr::IsNotFalse(Box::new(truth(a)))),
            Value::Bool(a != Some(false))
        );
        assert_eq!(
            constant(&Expr::IsUnknown(Box::new(truth(a)))),
            Value::Bool(a.is_none())
        );
    }
}

#[test]
fn a_decided_connective_does_not_look_at_the_rest() {
    assert_eq!(
        constant(&truth(Some(false)).and(fail())),
        Value::Bool(false)
    );
    assert_eq!(constant(&truth(Some(true)).or(fail())), Value::Bool(true));
    assert!(eval(&truth(Some(true)).and(fail()), &schema(&[]), &[], &[]).is_err());
}

#[test]
fn case_evaluates_only_the_arm_it_takes() {
    let case = datafusion::logical_expr::when(truth(Some(true)), int(1))
        .otherwise(fail())
        .unwrap();
    assert_eq!(constant(&case), Value::Int4(1));
}

#[test]
fn in_lists_know_null_whether_short_or_long() {
    let list = |n: i32, with_null: bool| {
        let mut list: Vec<_> = (0..n).map(int).collect();
        if with_null {
            list.push(null(Type::INT4));
        }
        list
    };
    for n in [3, 50] {
        let test = |value: Expr, with_null, negated| {
            constant(&Expr::InList(InList::new(
                Box::new(value),
                list(n, with_null),
                negated,
            )))
        };
        assert_eq!(test(int(1), false, false), Value::Bool(true));
        assert_eq!(test(int(1), true, true), Value::Bool(false));
        assert_eq!(test(int(-1), false, false), Value::Bool(false));
        assert_eq!(test(int(-1), true, false), Value::Null);
        assert_eq!(test(int(-1), true, true), Value::Null);
        assert_eq!(test(null(Type::INT4), false, false), Value::Null);
    }
}

#[test]
fn comparisons_with_null_are_unknown_and_distinct_is_not() {
    let compare = |l, op, r| constant(&binary_expr(l, op, r));
    assert_eq!(compare(int(1), Operator::Lt, int(2)), Value::Bool(true));
    assert_eq!(
        compare(null(Type::INT4), Operator::Eq, null(Type::INT4)),
        Value::Null
    );
    let not_distinct = Operator::IsNotDistinctFrom;
    assert_eq!(
        compare(null(Type::INT4), not_distinct, null(Type::INT4)),
        Value::Bool(true)
    );
    assert_eq!(
        compare(int(1), Operator::IsDistinctFrom, null(Type::INT4)),
        Value::Bool(true)
    );
}

#[test]
fn columns_and_parameters_compare_in_either_order() {
    let schema = schema(&[("a", Type::INT4), ("b", Type::BPCHAR)]);
    let param = |n: usize, ty| {
        Expr::Placeholder(datafusion::logical_expr::expr::Placeholder {
            id: format!("${n}"),
            field: Some(pgtype::field_ref("p", ty)),
        })
    };
    let a = || Expr::Column(Column::new(Some("t"), "a"));
    let row = [Value::Int4(5), Value::text("x  ")];
    let params = [Value::Int4(3), Value::text("x")];
    let less = binary_expr(param(1, Type::INT4), Operator::Lt, a());
    assert_eq!(
        eval(&less, &schema, &row, &params).unwrap(),
        Value::Bool(true)
    );
    let b = Expr::Column(Column::new(Some("t"), "b"));
    let equal = b.eq(param(2, Type::BPCHAR));
    assert_eq!(
        eval(&equal, &schema, &row, &params).unwrap(),
        Value::Bool(true)
    );
    assert!(
        eval(&less, &schema, &row, &[]).is_err(),
        "a parameter that was not given"
    );
}

#[test]
fn strict_functions_are_not_called_with_null() {
    let call = |arg| PgFunction::new(&STRICT, vec![Type::INT4], Type::INT4).call(vec![arg]);
    assert_eq!(constant(&call(int(4))), Value::Int4(4));
    assert_eq!(constant(&call(null(Type::INT4))), Value::Null);
    assert!(
        CompiledExpr::compile(&call(int(4)), &schema(&[]))
            .unwrap()
            .as_constant()
            .is_some()
    );
}

#[test]
fn what_datafusion_alone_knows_is_refused() {
    let error = CompiledExpr::compile(&(lit(1i32) + lit(2i32)), &schema(&[])).unwrap_err();
    assert_eq!(error.kind(), helios_types::ErrorKind::Internal);
}
