//! Evaluation of compiled expressions.

use super::{Case, Comparison, Env, Node, Order};
use helios_types::{Result, Value, bail};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cmp::Ordering;

impl Comparison {
    pub(super) fn accepts(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

fn column(row: &[Value], position: usize) -> Result<&Value> {
    match row.get(position) {
        Some(value) => Ok(value),
        None => bail!(
            Internal,
            "column {position} of a row of {} columns",
            row.len()
        ),
    }
}

fn outer(env: &dyn Env, position: usize) -> Result<&Value> {
    match env.frame().get(position) {
        Some(value) => Ok(value),
        None => bail!(Internal, "outer column {position} has no value"),
    }
}

/// The arguments of a call; `None` when a strict function need not be called.
#[inline]
fn arguments(
    strict: bool,
    args: &[Node],
    row: &[Value],
    env: &mut dyn Env,
) -> Result<Option<SmallVec<[Value; 4]>>> {
    let mut values = SmallVec::with_capacity(args.len());
    for arg in args {
        values.push(arg.eval(row, env)?);
    }
    Ok(if strict && values.iter().any(Value::is_null) {
        None
    } else {
        Some(values)
    })
}

impl Node {
    pub(super) fn eval(&self, row: &[Value], env: &mut dyn Env) -> Result<Value> {
        Ok(match self {
            Node::Column(position) => column(row, *position)?.clone(),
            Node::Constant(value) => value.clone(),
            Node::Param(n) => env.param(*n)?.clone(),
            Node::Outer(position) => outer(env, *position)?.clone(),
            Node::Case(case) => return case.eval(row, env),
            Node::Coalesce(list) => {
                for operand in list {
                    let value = operand.eval(row, env)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Value::Null
            }
            Node::Subquery(node) => return node.eval(row, env),
            Node::Call {
                def,
                function,
                args,
            } => {
                return match arguments(def.strict, args, row, env)? {
                    Some(values) => function(&values, env.functions()),
                    None => Ok(Value::Null),
                };
            }
            Node::TypedCall {
                def,
                function,
                args,
                types,
            } => {
                return match arguments(def.strict, args, row, env)? {
                    Some(values) => function(&values, types, env.functions()),
                    None => Ok(Value::Null),
                };
            }
            _ => return Ok(self.truth(row, env)?.into()),
        })
    }

    /// The value without a copy where it exists already.
    #[inline]
    fn eval_cow<'a>(&'a self, row: &'a [Value], env: &mut dyn Env) -> Result<Cow<'a, Value>> {
        match self {
            Node::Column(position) => column(row, *position).map(Cow::Borrowed),
            Node::Constant(value) => Ok(Cow::Borrowed(value)),
            _ => self.eval(row, env).map(Cow::Owned),
        }
    }

    pub(super) fn truth(&self, row: &[Value], env: &mut dyn Env) -> Result<Option<bool>> {
        match self {
            Node::Compare {
                op,
                order,
                left,
                right,
            } => Ok(ordering(*order, left, right, row, env)?.map(|order| op.accepts(order))),
            Node::Distinct {
                negated,
                order,
                left,
                right,
            } => {
                let left = left.eval_cow(row, env)?;
                let right = right.eval_cow(row, env)?;
                let distinct = match (left.is_null(), right.is_null()) {
                    (false, false) => order.compare(&left, &right).is_ne(),
                    (left, right) => left != right,
                };
                Ok(Some(distinct != *negated))
            }
            Node::And(list) => connective(list, false, row, env),
            Node::Or(list) => connective(list, true, row, env),
            Node::Not(operand) => Ok(operand.truth(row, env)?.map(|b| !b)),
            Node::IsNull { operand, negated } => {
                Ok(Some(operand.eval_cow(row, env)?.is_null() != *negated))
            }
            Node::IsTruth {
                operand,
                truth,
                negated,
            } => Ok(Some((operand.truth(row, env)? == *truth) != *negated)),
            Node::InList {
                operand,
                order,
                list,
                negated,
            } => {
                let value = operand.eval_cow(row, env)?;
                Ok(in_list(&value, *order, list, row, env)?.map(|found| found != *negated))
            }
            Node::InSet {
                operand,
                order,
                set,
                negated,
            } => {
                let value = operand.eval_cow(row, env)?;
                Ok(set.contains(&value, *order).map(|found| found != *negated))
            }
            _ => match &*self.eval_cow(row, env)? {
                Value::Bool(b) => Ok(Some(*b)),
                Value::Null => Ok(None),
                other => bail!(Internal, "condition gave {other:?}"),
            },
        }
    }
}

/// The order of two operands; `None` when one of them is NULL.
#[inline]
fn ordering(
    order: Order,
    left: &Node,
    right: &Node,
    row: &[Value],
    env: &mut dyn Env,
) -> Result<Option<Ordering>> {
    // A column against a parameter or an outer column needs no copy of either.
    if let Node::Column(position) = left {
        let value = column(row, *position)?;
        let other = match right {
            Node::Param(n) => Some(env.param(*n)?),
            Node::Outer(position) => Some(outer(env, *position)?),
            _ => None,
        };
        if let Some(other) = other {
            let null = value.is_null() || other.is_null();
            return Ok((!null).then(|| order.compare(value, other)));
        }
    }
    let left = left.eval_cow(row, env)?;
    let right = right.eval_cow(row, env)?;
    let null = left.is_null() || right.is_null();
    Ok((!null).then(|| order.compare(&left, &right)))
}

/// AND (`decisive` false) and OR (`decisive` true): one decisive operand decides, else an unknown
/// one makes the result unknown.
fn connective(
    list: &[Node],
    decisive: bool,
    row: &[Value],
    env: &mut dyn Env,
) -> Result<Option<bool>> {
    let mut unknown = false;
    for operand in list {
        match operand.truth(row, env)? {
            Some(b) if b == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { None } else { Some(!decisive) })
}

fn in_list(
    value: &Value,
    order: Order,
    list: &[Node],
    row: &[Value],
    env: &mut dyn Env,
) -> Result<Option<bool>> {
    if list.is_empty() {
        return Ok(Some(false));
    }
    if value.is_null() {
        return Ok(None);
    }
    let mut unknown = false;
    for item in list {
        let item = item.eval_cow(row, env)?;
        if item.is_null() {
            unknown = true;
        } else if order.compare(value, &item).is_eq() {
            return Ok(Some(true));
        }
    }
    Ok(if unknown { None } else { Some(false) })
}

impl Case {
    fn eval(&self, row: &[Value], env: &mut dyn Env) -> Result<Value> {
        let operand = match &self.operand {
            Some((node, order)) => Some((node.eval(row, env)?, *order)),
            None => None,
        };
        for (when, then) in &self.arms {
            let taken = match &operand {
                Some((value, _)) if value.is_null() => false,
                Some((value, order)) => {
                    let when = when.eval_cow(row, env)?;
                    !when.is_null() && order.compare(value, &when).is_eq()
                }
                None => when.truth(row, env)? == Some(true),
            };
            if taken {
                return then.eval(row, env);
            }
        }
        match &self.otherwise {
            Some(node) => node.eval(row, env),
            None => Ok(Value::Null),
        }
    }
}
