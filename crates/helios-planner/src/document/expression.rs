//! Aggregation expressions: `{$add: ["$price", 1]}` compiled once, evaluated per document.
//!
//! A compiled expression is a tree whose variables are numbered slots. Values are borrowed from
//! the document wherever an operator hands one through, and owned where it makes one. An operator
//! is a plain function over its evaluated arguments; the few that must not evaluate all of them,
//! or that bind variables, are cases of [`Expr`].

mod arithmetic;
mod array;
mod convert;
mod date;
mod date_format;
mod date_parse;
mod date_unit;
mod logic;
mod object;
mod parse;
mod set;
mod string;
mod string_search;
mod trigonometry;

pub use convert::to_text;

use super::error::{DocResult, code, fail};
use super::path::{Looked, Path, lookup};
use super::raw::*;

/// A value during evaluation.
#[derive(Clone, Debug)]
pub enum Val<'a> {
    Ref(Bson<'a>),
    Own(BsonBuf),
}

impl<'a> Val<'a> {
    pub const MISSING: Val<'static> = Val::Ref(Bson::MISSING);
    pub const NULL: Val<'static> = Val::Ref(Bson::NULL);

    pub fn as_bson(&self) -> Bson<'_> {
        match self {
            Val::Ref(v) => *v,
            Val::Own(v) => v.as_bson(),
        }
    }

    pub fn into_buf(self) -> BsonBuf {
        match self {
            Val::Ref(v) => v.to_buf(),
            Val::Own(v) => v,
        }
    }

    pub fn bool(v: bool) -> Self {
        Val::Own(BsonBuf::bool(v))
    }

    pub fn string(v: &str) -> Self {
        Val::Own(BsonBuf::string(v))
    }

    pub fn is_nullish(&self) -> bool {
        self.as_bson().is_nullish()
    }

    pub fn is_missing(&self) -> bool {
        self.as_bson().is_missing()
    }

    pub fn at(&self, parts: &[Box<str>]) -> Val<'a> {
        match self {
            Val::Ref(v) => lookup(*v, parts).into(),
            Val::Own(v) if parts.is_empty() => Val::Own(v.clone()),
            Val::Own(v) => match lookup(v.as_bson(), parts) {
                Looked::Ref(found) => Val::Own(found.to_buf()),
                Looked::Own(made) => Val::Own(made),
            },
        }
    }

    /// The elements of an array, borrowed from the document when the array is.
    pub fn elements(&self) -> Vec<Val<'a>> {
        match self {
            Val::Ref(v) => v.elements().map(Val::Ref).collect(),
            Val::Own(v) => v
                .as_bson()
                .elements()
                .map(|e| Val::Own(e.to_buf()))
                .collect(),
        }
    }

    pub fn element(&self, index: usize) -> Val<'a> {
        match self {
            Val::Ref(v) => Val::Ref(v.element(index)),
            Val::Own(v) => Val::Own(v.as_bson().element(index).to_buf()),
        }
    }
}

impl<'a> From<Looked<'a>> for Val<'a> {
    fn from(found: Looked<'a>) -> Self {
        match found {
            Looked::Ref(v) => Val::Ref(v),
            Looked::Own(v) => Val::Own(v),
        }
    }
}

impl From<BsonBuf> for Val<'_> {
    fn from(v: BsonBuf) -> Self {
        Val::Own(v)
    }
}

/// An operator over its arguments; it is told its name, which several share an implementation by.
type Function = for<'a> fn(&'static str, &[Val<'a>]) -> DocResult<Val<'a>>;
/// An operator with named arguments, `None` where one was not given.
type NamedFunction = for<'a> fn(&'static str, &[Option<Val<'a>>]) -> DocResult<Val<'a>>;

/// A positional operator and the number of arguments it takes.
#[derive(Clone, Copy)]
struct Operator {
    name: &'static str,
    min: usize,
    max: usize,
    call: Function,
}

/// An operator whose argument is an object: its names, and whether each is required.
#[derive(Clone, Copy)]
struct NamedOperator {
    name: &'static str,
    parameters: &'static [(&'static str, bool)],
    call: NamedFunction,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl std::fmt::Debug for NamedOperator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[derive(Clone, Debug)]
enum Expr {
    Constant(BsonBuf),
    /// A field of the document.
    Field(Path),
    Variable(usize, Path),
    Document(Vec<(Box<str>, Expr)>),
    Array(Vec<Expr>),
    Call(Operator, Vec<Expr>),
    Named(NamedOperator, Vec<Option<Expr>>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Cond(Box<[Expr; 3]>),
    IfNull(Vec<Expr>),
    Switch {
        branches: Vec<(Expr, Expr)>,
        default: Option<Box<Expr>>,
    },
    Let {
        bindings: Vec<(usize, Expr)>,
        body: Box<Expr>,
    },
    Filter {
        input: Box<Expr>,
        element: usize,
        condition: Box<Expr>,
        limit: Option<Box<Expr>>,
    },
    Map {
        input: Box<Expr>,
        element: usize,
        body: Box<Expr>,
    },
    Reduce {
        input: Box<Expr>,
        initial: Box<Expr>,
        value: usize,
        element: usize,
        body: Box<Expr>,
    },
    Random,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {
    body: Expr,
    slots: usize,
}

/// Variables that a stage binds before it evaluates: `let` of `$lookup`, `$$value` and so on.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    pub values: Vec<(String, BsonBuf)>,
}

/// What evaluation reads.
struct Env<'a> {
    root: Val<'a>,
    slots: Vec<Val<'a>>,
}

impl Expression {
    pub fn compile(value: Bson<'_>) -> DocResult<Expression> {
        parse::compile(value, &Variables::default())
    }

    /// Compiles with variables whose values are known now.
    pub fn compile_with(value: Bson<'_>, variables: &Variables) -> DocResult<Expression> {
        parse::compile(value, variables)
    }

    /// True with this probability.
    pub fn compile_sample_rate(rate: f64) -> DocResult<Expression> {
        parse::sample_rate(rate)
    }

    /// The expression that always gives this value.
    pub fn constant(value: BsonBuf) -> Expression {
        Expression {
            body: Expr::Constant(value),
            slots: 0,
        }
    }

    /// The value when it does not depend on a document.
    pub fn as_constant(&self) -> Option<Bson<'_>> {
        match &self.body {
            Expr::Constant(v) => Some(v.as_bson()),
            _ => None,
        }
    }

    /// The path when the expression is nothing but a field.
    pub fn as_field(&self) -> Option<&Path> {
        match &self.body {
            Expr::Field(path) => Some(path),
            _ => None,
        }
    }

    pub fn evaluate<'a>(&self, document: Bson<'a>) -> DocResult<Val<'a>> {
        let mut env = Env {
            root: Val::Ref(document),
            slots: vec![Val::MISSING; self.slots],
        };
        eval(&self.body, &mut env)
    }
}

fn eval<'a>(expr: &Expr, env: &mut Env<'a>) -> DocResult<Val<'a>> {
    Ok(match expr {
        Expr::Constant(v) => Val::Own(v.clone()),
        Expr::Field(path) => env.root.at(&path.parts),
        Expr::Variable(slot, path) => env
            .slots
            .get(*slot)
            .map_or(Val::MISSING, |v| v.at(&path.parts)),
        Expr::Document(fields) => {
            let mut out = Writer::new();
            for (name, field) in fields {
                out.put(name, eval(field, env)?.as_bson());
            }
            Val::Own(BsonBuf::document(out.finish()))
        }
        Expr::Array(elements) => {
            let mut out = ArrayWriter::new();
            for element in elements {
                out.push(eval(element, env)?.as_bson());
            }
            Val::Own(out.finish_buf())
        }
        Expr::Call(operator, arguments) => {
            let mut values: smallvec::SmallVec<[Val<'a>; 4]> = smallvec::SmallVec::new();
            for argument in arguments {
                values.push(eval(argument, env)?);
            }
            (operator.call)(operator.name, &values)?
        }
        Expr::Named(operator, arguments) => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                values.push(argument.as_ref().map(|a| eval(a, env)).transpose()?);
            }
            (operator.call)(operator.name, &values)?
        }
        Expr::And(parts) => {
            for part in parts {
                if !eval(part, env)?.as_bson().truthy() {
                    return Ok(Val::bool(false));
                }
            }
            Val::bool(true)
        }
        Expr::Or(parts) => {
            for part in parts {
                if eval(part, env)?.as_bson().truthy() {
                    return Ok(Val::bool(true));
                }
            }
            Val::bool(false)
        }
        Expr::Cond(parts) => {
            let chosen = if eval(&parts[0], env)?.as_bson().truthy() {
                1
            } else {
                2
            };
            eval(&parts[chosen], env)?
        }
        Expr::IfNull(parts) => {
            let mut last = Val::NULL;
            for part in parts {
                last = eval(part, env)?;
                if !last.is_nullish() {
                    break;
                }
            }
            last
        }
        Expr::Random => Val::Own(BsonBuf::double(random())),
        _ => return eval_binding(expr, env),
    })
}

/// The operators that bind variables or choose among branches.
fn eval_binding<'a>(expr: &Expr, env: &mut Env<'a>) -> DocResult<Val<'a>> {
    match expr {
        Expr::Switch { branches, default } => {
            for (case, then) in branches {
                if eval(case, env)?.as_bson().truthy() {
                    return eval(then, env);
                }
            }
            match default {
                Some(default) => eval(default, env),
                None => fail!(
                    40066,
                    "$switch could not find a matching branch for an input, and no default was specified."
                ),
            }
        }
        Expr::Let { bindings, body } => {
            let mut values = Vec::with_capacity(bindings.len());
            for (slot, binding) in bindings {
                values.push((*slot, eval(binding, env)?));
            }
            for (slot, value) in values {
                env.slots[slot] = value;
            }
            eval(body, env)
        }
        Expr::Filter {
            input,
            element,
            condition,
            limit,
        } => {
            let input = eval(input, env)?;
            if input.is_nullish() {
                return Ok(Val::NULL);
            }
            if !input.as_bson().is_array() {
                fail!(
                    28651,
                    "input to $filter must be an array not {}",
                    input.as_bson().type_name()
                );
            }
            let limit = filter_limit(limit.as_deref(), env)?;
            let mut out = ArrayWriter::new();
            for value in input.elements() {
                if out.len() >= limit {
                    break;
                }
                env.slots[*element] = value.clone();
                if eval(condition, env)?.as_bson().truthy() {
                    out.push(value.as_bson());
                }
            }
            Ok(Val::Own(out.finish_buf()))
        }
        Expr::Map {
            input,
            element,
            body,
        } => {
            let input = eval(input, env)?;
            if input.is_nullish() {
                return Ok(Val::NULL);
            }
            if !input.as_bson().is_array() {
                fail!(
                    16883,
                    "input to $map must be an array not {}",
                    input.as_bson().type_name()
                );
            }
            let mut out = ArrayWriter::new();
            for value in input.elements() {
                env.slots[*element] = value;
                out.push(eval(body, env)?.as_bson());
                limit_size(out.bytes())?;
            }
            Ok(Val::Own(out.finish_buf()))
        }
        Expr::Reduce {
            input,
            initial,
            value,
            element,
            body,
        } => {
            let input = eval(input, env)?;
            if input.is_nullish() {
                return Ok(Val::NULL);
            }
            if !input.as_bson().is_array() {
                fail!(
                    40080,
                    "$reduce requires that 'input' be an array, found: {}",
                    super::display::render(input.as_bson())
                );
            }
            let mut accumulated = eval(initial, env)?;
            for item in input.elements() {
                env.slots[*value] = accumulated;
                env.slots[*element] = item;
                accumulated = eval(body, env)?;
            }
            Ok(accumulated)
        }
        other => fail!(code::INTERNAL_ERROR, "not a binding operator: {other:?}"),
    }
}

fn filter_limit<'a>(limit: Option<&Expr>, env: &mut Env<'a>) -> DocResult<usize> {
    let Some(limit) = limit else {
        return Ok(usize::MAX);
    };
    let value = eval(limit, env)?;
    if value.is_nullish() {
        return Ok(usize::MAX);
    }
    match super::number::Number::of(value.as_bson()).and_then(|n| n.to_exact_i64()) {
        Some(v) if v > 0 => Ok(v as usize),
        Some(v) => fail!(327392, "$filter: limit must be greater than 0: {v}"),
        None => fail!(
            327391,
            "$filter: limit must be represented as a 32-bit integral value: {}",
            super::display::render(value.as_bson())
        ),
    }
}

/// Values that an expression makes are bounded like stored ones, with room for intermediates.
pub(crate) fn limit_size(bytes: usize) -> DocResult<()> {
    const VALUE_BYTES_MAX: usize = 64 << 20;
    if bytes > VALUE_BYTES_MAX {
        fail!(
            code::EXCEEDED_MEMORY_LIMIT,
            "value made by an expression exceeds {VALUE_BYTES_MAX} bytes"
        );
    }
    Ok(())
}

/// A number in [0, 1) from a generator of this thread's own.
pub(super) fn random() -> f64 {
    use std::cell::Cell;
    use std::hash::{BuildHasher, RandomState};
    thread_local!(static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0u8)));
    STATE.with(|state| {
        // splitmix64: the usual constants of that generator.
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mut z = next;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    })
}
