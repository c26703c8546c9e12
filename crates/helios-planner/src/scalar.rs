//! Expressions compiled for evaluation a row at a time.
//!
//! A DataFusion `Expr` names columns and is walked by pattern matching over sixty variants;
//! compiled once, it is a small tree in which columns are positions and comparisons know their
//! order. Logic is PostgreSQL's: three-valued, AND and OR stop early, CASE evaluates only the arm
//! it takes, strict functions give NULL for NULL.
//!
//! **References to outer rows** are closed over, as closures are: while a subquery is compiled its
//! [`Frame`] collects the outer columns that it mentions, at any depth, and each becomes a position
//! in that frame. The expression that holds the subquery then knows how to fill the frame from its
//! own row and its own frame. So a subquery needs nothing but its frame to run, whatever the depth,
//! and the frame is also the key under which its answer can be remembered.
//!
//! What an expression needs while it runs it asks from [`Env`]; running a subquery is the
//! executor's part.

mod compile;
mod eval;
mod fold;
mod order;
mod subquery;

pub use compile::{expr_type, parameter_position};
pub use order::{Key, Order, SortOrder};
pub use subquery::{Answer, Frame, SubqueryCompiler, SubquerySet, Want};

use crate::function::{FunctionContext, FunctionDef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use helios_types::{Error, Result, Type, Value, error};
use std::sync::Arc;

/// What an expression may ask while it is evaluated.
pub trait Env {
    /// Parameter `$n`, counted from zero.
    fn param(&self, n: usize) -> Result<&Value>;
    /// Values of outer columns, as the [`Frame`] of this query numbers them.
    fn frame(&self) -> &[Value];
    fn functions(&mut self) -> &mut dyn FunctionContext;
    /// Runs the subquery that the [`SubqueryCompiler`] gave this number.
    fn subquery(&mut self, slot: usize, frame: Vec<Value>, want: Want) -> Result<Answer>;
}

/// An [`Env`] for expressions without subqueries and outer references: defaults, CHECK
/// constraints, keys of the key-value executor.
pub struct ValueEnv<'a> {
    pub params: &'a [Value],
    pub functions: &'a mut dyn FunctionContext,
}

impl Env for ValueEnv<'_> {
    fn param(&self, n: usize) -> Result<&Value> {
        self.params.get(n).ok_or_else(|| missing_parameter(n))
    }

    fn frame(&self) -> &[Value] {
        &[]
    }

    fn functions(&mut self) -> &mut dyn FunctionContext {
        self.functions
    }

    fn subquery(&mut self, _: usize, _: Vec<Value>, _: Want) -> Result<Answer> {
        Err(Error::unsupported("a subquery in this place"))
    }
}

/// The error for a parameter that was not bound; `n` counts from zero.
pub fn missing_parameter(n: usize) -> Error {
    error!(UndefinedParameter, "there is no parameter ${}", n + 1)
}

/// An expression ready to be evaluated over rows of one schema.
#[derive(Clone, Debug)]
pub struct CompiledExpr(Node);

impl CompiledExpr {
    /// Compiles an expression that has neither subqueries nor outer references.
    pub fn compile(expr: &Expr, schema: &DFSchema) -> Result<Self> {
        Self::compile_in(expr, schema, &mut Frame::top(), &mut subquery::NoSubqueries)
    }

    /// Compiles an expression of a query whose outer references are collected in `frame`.
    pub fn compile_in(
        expr: &Expr,
        schema: &DFSchema,
        frame: &mut Frame,
        subqueries: &mut dyn SubqueryCompiler,
    ) -> Result<Self> {
        compile::Compiler {
            schema,
            frame,
            subqueries,
        }
        .compile(expr)
        .map(CompiledExpr)
    }

    /// A reference to the column at this position.
    pub fn column(position: usize) -> Self {
        CompiledExpr(Node::Column(position))
    }

    pub fn constant(value: Value) -> Self {
        CompiledExpr(Node::Constant(value))
    }

    pub fn eval(&self, row: &[Value], env: &mut dyn Env) -> Result<Value> {
        self.0.eval(row, env)
    }

    /// Whether the condition holds: NULL counts as false.
    pub fn holds(&self, row: &[Value], env: &mut dyn Env) -> Result<bool> {
        Ok(self.0.truth(row, env)? == Some(true))
    }

    /// The condition's three-valued result; `None` is unknown.
    pub fn truth(&self, row: &[Value], env: &mut dyn Env) -> Result<Option<bool>> {
        self.0.truth(row, env)
    }

    /// The column that the expression is, when it is nothing but a column.
    pub fn as_column(&self) -> Option<usize> {
        match self.0 {
            Node::Column(position) => Some(position),
            _ => None,
        }
    }

    pub fn as_constant(&self) -> Option<&Value> {
        match &self.0 {
            Node::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Largest column position that the expression reads, plus one; subqueries included.
    pub fn width(&self) -> usize {
        self.0.width()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug)]
enum Node {
    Column(usize),
    Constant(Value),
    Param(usize),
    /// A column of an enclosing query.
    Outer(usize),
    Compare {
        op: Comparison,
        order: Order,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// IS [NOT] DISTINCT FROM
    Distinct {
        negated: bool,
        order: Order,
        left: Box<Node>,
        right: Box<Node>,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    IsNull {
        operand: Box<Node>,
        negated: bool,
    },
    /// IS [NOT] TRUE / FALSE / UNKNOWN
    IsTruth {
        operand: Box<Node>,
        truth: Option<bool>,
        negated: bool,
    },
    Case(Box<Case>),
    /// The first operand that is not NULL; those after it are not evaluated.
    Coalesce(Vec<Node>),
    InList {
        operand: Box<Node>,
        order: Order,
        list: Vec<Node>,
        negated: bool,
    },
    /// A long IN list of constants.
    InSet {
        operand: Box<Node>,
        order: Order,
        set: Arc<SubquerySet>,
        negated: bool,
    },
    Call {
        def: &'static FunctionDef,
        function: ScalarFn,
        args: Vec<Node>,
    },
    /// A call of a function that is told the types of its arguments.
    TypedCall {
        def: &'static FunctionDef,
        function: TypedFn,
        args: Vec<Node>,
        types: Arc<[Type]>,
    },
    Subquery(Box<subquery::SubqueryNode>),
}

type ScalarFn = fn(&[Value], &mut dyn FunctionContext) -> Result<Value>;
type TypedFn = fn(&[Value], &[Type], &mut dyn FunctionContext) -> Result<Value>;

#[derive(Clone, Debug)]
struct Case {
    /// `CASE operand WHEN value`, with the order that compares them.
    operand: Option<(Node, Order)>,
    arms: Vec<(Node, Node)>,
    otherwise: Option<Node>,
}

impl Node {
    /// Calls `visit` with each direct part.
    fn parts<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        match self {
            Node::Column(_) | Node::Constant(_) | Node::Param(_) | Node::Outer(_) => {}
            Node::Compare { left, right, .. } | Node::Distinct { left, right, .. } => {
                visit(left);
                visit(right);
            }
            Node::And(list)
            | Node::Or(list)
            | Node::Coalesce(list)
            | Node::Call { args: list, .. }
            | Node::TypedCall { args: list, .. } => {
                list.iter().for_each(visit);
            }
            Node::Not(operand)
            | Node::IsNull { operand, .. }
            | Node::IsTruth { operand, .. }
            | Node::InSet { operand, .. } => visit(operand),
            Node::InList { operand, list, .. } => {
                visit(operand);
                list.iter().for_each(visit);
            }
            Node::Case(case) => {
                if let Some((operand, _)) = &case.operand {
                    visit(operand);
                }
                for (when, then) in &case.arms {
                    visit(when);
                    visit(then);
                }
                if let Some(otherwise) = &case.otherwise {
                    visit(otherwise);
                }
            }
            Node::Subquery(node) => node.parts().for_each(visit),
        }
    }

    fn width(&self) -> usize {
        if let Node::Column(position) = self {
            return position + 1;
        }
        let mut width = 0;
        self.parts(&mut |part| width = width.max(part.width()));
        width
    }
}

#[cfg(test)]
mod tests;
