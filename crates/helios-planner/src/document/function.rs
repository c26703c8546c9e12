//! The document language as SQL functions, so that plans of every protocol can hold it.
//!
//! A specification (filter, stage, sort, group) is an argument like any other. It is the same for
//! every row of a statement, so its compiled form is kept by the thread that evaluates it.

use super::accumulator::{Group, State};
use super::error::{DocError, DocResult, code};
use super::matcher::{Comparison, Matcher, compares, is_in};
use super::order::{compare, equal};
use super::path::{Leaf, Path, sort_value, visit};
use super::projection::{Dialect, Projection};
use super::raw::*;
use super::sort::SortSpec;
use super::stage::{Transform, Unwind};
use super::update::{Context as UpdateContext, Update};
use super::variable::{self, Place};
use super::window::Window;
use crate::function::{Accumulator, FunctionContext, FunctionDef, Implementation, Volatility};
use helios_types::{Error, ErrorKind, Jsonb, Oid, Result, Type, Value};
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// `bson_id_equals`, which lowering knows as the key of a document table.
pub const ID_EQUALS: Oid = 9005;
/// `bson_path_equals`, which lowering knows as the key of an index over a path.
pub const PATH_EQUALS: Oid = 9016;
/// `bson_path_range`, a bound of such a key.
pub const PATH_RANGE: Oid = 9018;
/// `bson_path_in`, several such keys.
pub const PATH_IN: Oid = 9019;
/// `bson_path_key`, an order that an index over a path gives.
pub const PATH_KEY: Oid = 9021;

const JSONB: Oid = Type::JSONB.oid;
const TEXT: Oid = Type::TEXT.oid;
const BYTEA: Oid = Type::BYTEA.oid;

impl From<DocError> for Error {
    fn from(error: DocError) -> Self {
        let kind = match error.code {
            code::INTERNAL_ERROR => ErrorKind::Internal,
            code::COMMAND_NOT_SUPPORTED => ErrorKind::Unsupported,
            _ => ErrorKind::InvalidParameterValue,
        };
        let mut out = Error::new(kind, error.message);
        out.fields_mut().foreign_code = Some(error.code);
        out
    }
}

macro_rules! functions {
    ($($oid:tt $name:literal ($($arg:expr),*) -> $result:expr, $strict:literal, $kind:ident $call:expr;)*) => {
        /// The rows of the function table.
        pub static FUNCTIONS: &[FunctionDef] = &[$(FunctionDef {
            oid: $oid,
            name: $name,
            args: &[$($arg),*],
            defaults: &[],
            variadic: false,
            result: $result,
            columns: &[],
            strict: $strict,
            volatility: Volatility::Immutable,
            implementation: Implementation::$kind($call),
        },)*
        FunctionDef {
            oid: 9020,
            name: "bson_row",
            args: &[Type::ANY.oid],
            defaults: &[],
            variadic: true,
            result: JSONB,
            columns: &[],
            strict: false,
            volatility: Volatility::Immutable,
            implementation: Implementation::Typed(row),
        }];
    };
}

functions! {
    9000 "bson_match"(JSONB, JSONB) -> Type::BOOL.oid, true, Scalar matches;
    9001 "bson_stage"(JSONB, JSONB) -> JSONB, true, Scalar stage;
    9002 "bson_project"(JSONB, JSONB, JSONB) -> JSONB, true, Scalar project;
    9003 "bson_sort_key"(JSONB, JSONB) -> BYTEA, true, Scalar sort_key;
    9004 "bson_group_key"(JSONB, JSONB) -> BYTEA, true, Scalar group_key;
    ID_EQUALS "bson_id_equals"(JSONB, JSONB) -> Type::BOOL.oid, true, Scalar id_equals;
    9006 "bson_lookup_match"(JSONB, JSONB, JSONB) -> Type::BOOL.oid, true, Scalar lookup_match;
    9007 "bson_set"(JSONB, TEXT, JSONB) -> JSONB, false, Scalar set;
    9008 "bson_count"(Type::INT8.oid, TEXT) -> JSONB, true, Scalar count;
    9009 "bson_bind"(JSONB, JSONB, Type::BOOL.oid) -> JSONB, true, Scalar bind;
    9014 "bson_updates"(JSONB, JSONB, Type::INT8.oid) -> Type::BOOL.oid, true, Scalar updates;
    9015 "bson_update"(JSONB, JSONB, Type::INT8.oid) -> JSONB, true, Scalar update;
    9017 "bson_json"(JSONB) -> JSONB, true, Scalar json;
    PATH_EQUALS "bson_path_equals"(JSONB, TEXT, JSONB) -> Type::BOOL.oid, true, Scalar path_equals;
    PATH_RANGE "bson_path_range"(JSONB, TEXT, TEXT, JSONB) -> Type::BOOL.oid, true, Scalar path_range;
    PATH_IN "bson_path_in"(JSONB, TEXT, JSONB) -> Type::BOOL.oid, true, Scalar path_in;
    PATH_KEY "bson_path_key"(JSONB, TEXT, Type::BOOL.oid) -> BYTEA, true, Scalar path_key;
    9022 "bson_lookup_values"(JSONB, TEXT) -> JSONB, true, Scalar lookup_values;
    9010 "bson_unwind"(JSONB, JSONB) -> JSONB, true, Set unwind;
    9024 "bson_window_key"(JSONB, JSONB) -> BYTEA, true, Scalar window_key;
    9023 "bson_window"(JSONB, JSONB) -> JSONB, true, Aggregate |_| Box::new(WindowState::default());
    9011 "bson_group"(JSONB, JSONB) -> JSONB, true, Aggregate |_| Box::new(GroupState::default());
    9012 "bson_array_agg"(JSONB) -> JSONB, true, Aggregate |_| Box::new(ArrayState::default());
    9013 "bson_distinct"(JSONB, TEXT) -> JSONB, true, Aggregate |_| Box::new(DistinctState::default());
}

/// Compiled specifications that a thread used last.
struct Cached {
    spec: Jsonb,
    compiled: Rc<dyn Any>,
}

const CACHED_MAX: usize = 16;

thread_local! {
    static CACHE: RefCell<Vec<Cached>> = const { RefCell::new(Vec::new()) };
}

/// The compiled form of a specification; the type says which form.
fn compiled<T: 'static>(
    spec: &Jsonb,
    make: impl FnOnce(Bson<'_>) -> DocResult<T>,
) -> Result<Rc<T>> {
    let bytes = spec.as_bytes();
    let known = CACHE.with(|cache| {
        let cache = cache.borrow();
        cache.iter().find_map(|entry| {
            let same = entry.spec.as_bytes();
            let same =
                same.len() == bytes.len() && (same.as_ptr() == bytes.as_ptr() || same == bytes);
            if same {
                entry.compiled.clone().downcast::<T>().ok()
            } else {
                None
            }
        })
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let made = Rc::new(make(spec.as_ref().into())?);
    CACHE.with(|cache| {
        let mut cache = cache.borrow_mut();
        if cache.len() >= CACHED_MAX {
            cache.remove(0);
        }
        cache.push(Cached {
            spec: spec.clone(),
            compiled: made.clone(),
        });
    });
    Ok(made)
}

fn jsonb(args: &[Value], at: usize) -> Result<&Jsonb> {
    match args.get(at) {
        Some(Value::Jsonb(v)) => Ok(v),
        _ => Err(Error::internal("a document function got something else")),
    }
}

fn text(args: &[Value], at: usize) -> Result<&str> {
    args.get(at)
        .and_then(Value::as_str)
        .ok_or_else(|| Error::internal("a document function got no text"))
}

fn document(bytes: &[u8]) -> Value {
    Value::Jsonb(Jsonb::from_document(bytes))
}

fn value(v: &BsonBuf) -> Value {
    Value::Jsonb(Jsonb::new(v.tag, &v.bytes))
}

fn matches(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let matcher = compiled(jsonb(args, 1)?, Matcher::compile)?;
    Ok(Value::Bool(
        matcher.matches(jsonb(args, 0)?.as_ref().into())?,
    ))
}

/// `{"$project": …}` and every other stage that makes one document of one, or an array of them.
fn stage(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let transforms = compiled(jsonb(args, 1)?, |spec| match spec.tag {
        ARRAY => spec.elements().map(transform).collect(),
        _ => Ok(vec![transform(spec)?]),
    })?;
    let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
    let Some((first, rest)) = transforms.split_first() else {
        return Ok(document(input.bytes));
    };
    let mut current = first.apply(input)?;
    for transform in rest {
        current = transform.apply(Bson::document(&current))?;
    }
    Ok(document(&current))
}

fn transform(spec: Bson<'_>) -> DocResult<Transform> {
    let Some((name, argument)) = spec.fields().next() else {
        return Err(DocError::new(
            40323,
            "A pipeline stage specification object must contain exactly one field.",
        ));
    };
    Transform::compile(name, argument)?
        .ok_or_else(|| DocError::new(40324, format!("Unrecognized pipeline stage name: '{name}'")))
}

/// A specification with the values of `let` in place of their names.
fn bind(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let place = match args.get(2) {
        Some(Value::Bool(true)) => Place::Filter,
        _ => Place::Expression,
    };
    let (spec, variables) = (jsonb(args, 0)?, jsonb(args, 1)?);
    Ok(value(&variable::bind(
        spec.as_ref().into(),
        variables.as_ref().into(),
        place,
    )))
}

/// `{u: update, q: filter, a: arrayFilters}`; the filter only where the update asks for the
/// position that it matched.
struct CompiledUpdate {
    update: Update,
    filter: Option<Matcher>,
}

impl CompiledUpdate {
    fn compile(spec: Bson<'_>) -> DocResult<CompiledUpdate> {
        let filter = spec.get("q");
        Ok(CompiledUpdate {
            update: Update::compile(spec.get("u"), spec.get("a"))?,
            filter: filter
                .is_document()
                .then(|| Matcher::compile(filter))
                .transpose()?,
        })
    }

    /// The document after the update; `None` when nothing changes.
    fn apply(&self, document: Bson<'_>, now_ms: i64) -> DocResult<Option<Vec<u8>>> {
        let matched = match &self.filter {
            Some(filter) => filter.matches_at(document)?.1,
            None => None,
        };
        let context = UpdateContext {
            matched,
            inserting: false,
            now_ms,
        };
        self.update.apply(document, &context)
    }
}

/// What an update made of a document last: the condition of an UPDATE asks whether the row
/// changes, and its assignment then asks for the very same result.
struct LastUpdate {
    document: Jsonb,
    spec: Jsonb,
    now_ms: i64,
    after: Option<Value>,
}

thread_local! {
    static LAST_UPDATE: RefCell<Option<LastUpdate>> = const { RefCell::new(None) };
}

fn same(a: &Jsonb, b: &Jsonb) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    a.len() == b.len() && a.as_ptr() == b.as_ptr()
}

fn updated(args: &[Value]) -> Result<Option<Value>> {
    let (before, spec) = (jsonb(args, 0)?, jsonb(args, 1)?);
    let now_ms = args.get(2).and_then(Value::as_i64).unwrap_or(0);
    let known = LAST_UPDATE.with(|last| {
        let last = last.borrow();
        let known = last
            .as_ref()
            .filter(|l| same(&l.document, before) && same(&l.spec, spec) && l.now_ms == now_ms);
        known.map(|l| l.after.clone())
    });
    if let Some(after) = known {
        return Ok(after);
    }
    let update = compiled(spec, CompiledUpdate::compile)?;
    let after = update.apply(before.as_ref().into(), now_ms)?;
    let after = after.map(|bytes| document(&bytes));
    LAST_UPDATE.with(|last| {
        *last.borrow_mut() = Some(LastUpdate {
            document: before.clone(),
            spec: spec.clone(),
            now_ms,
            after: after.clone(),
        });
    });
    Ok(after)
}

/// Whether an update changes a document.
fn updates(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(Value::Bool(updated(args)?.is_some()))
}

/// A document after an update.
fn update(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let after = updated(args)?;
    LAST_UPDATE.with(|last| *last.borrow_mut() = None);
    match after {
        Some(after) => Ok(after),
        None => Ok(Value::Jsonb(jsonb(args, 0)?.clone())),
    }
}

/// Whether a path of a document leads to a value, or to an array that has it as an element.
fn path_equals(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let path = Path::new(text(args, 1)?);
    let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
    let wanted: Bson<'_> = jsonb(args, 2)?.as_ref().into();
    let found = visit(input, &path.parts, Leaf::Elements, &mut |value, _| {
        !value.is_missing() && equal(value, wanted)
    });
    Ok(Value::Bool(found))
}

/// The comparison that a range operator stands for.
pub fn comparison(operator: &str) -> Option<Comparison> {
    Some(match operator {
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        _ => return None,
    })
}

/// Whether a path leads to a value on one side of a bound, among values of the bound's type.
fn path_range(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let path = Path::new(text(args, 1)?);
    let Some(comparison) = comparison(text(args, 2)?) else {
        return Err(Error::internal("a range without a comparison"));
    };
    let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
    let bound: Bson<'_> = jsonb(args, 3)?.as_ref().into();
    let found = visit(input, &path.parts, Leaf::Elements, &mut |value, _| {
        compares(value, comparison, bound)
    });
    Ok(Value::Bool(found))
}

/// Whether a path leads to one of the values of an array; null stands for a missing one too.
fn path_in(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let path = Path::new(text(args, 1)?);
    let values = compiled(jsonb(args, 2)?, |list| {
        let mut values: Vec<BsonBuf> = list.elements().map(|v| v.to_buf()).collect();
        values.sort_by(|a, b| compare(a.as_bson(), b.as_bson()));
        Ok(values)
    })?;
    let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
    let found = visit(input, &path.parts, Leaf::Elements, &mut |value, _| {
        is_in(value, &values)
    });
    Ok(Value::Bool(found))
}

/// What `sort` compares of one path, as bytes in that order.
fn path_key(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let path = Path::new(text(args, 1)?);
    let descending = matches!(args.get(2), Some(Value::Bool(true)));
    let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
    let value = sort_value(input, &path.parts, descending);
    let mut out = Vec::with_capacity(16);
    if descending {
        super::key::encode_sort_descending(&mut out, value);
    } else {
        super::key::encode_sort(&mut out, value);
    }
    Ok(Value::bytea(out))
}

/// The values that a `$lookup` of this local field looks for.
fn lookup_values(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let path = Path::new(text(args, 1)?);
    let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
    let mut out = ArrayWriter::new();
    visit(input, &path.parts, Leaf::Elements, &mut |value, _| {
        if value.is_nullish() {
            out.push(Bson::NULL);
        } else if !value.is_array() {
            out.push(value);
        }
        false
    });
    Ok(value(&out.finish_buf()))
}

/// A projection of `find`; the filter is there for the positional operator.
fn project(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let projection = compiled(jsonb(args, 1)?, |spec| {
        Projection::compile(spec, Dialect::Find)
    })?;
    let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
    let index = if projection.is_positional() {
        compiled(jsonb(args, 2)?, Matcher::compile)?
            .matches_at(input)?
            .1
    } else {
        None
    };
    Ok(document(&projection.apply_at(input, index)?))
}

fn sort_key(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let spec = compiled(jsonb(args, 1)?, SortSpec::parse)?;
    Ok(Value::bytea(spec.key(jsonb(args, 0)?.as_ref().into())))
}

fn group_key(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let group = compiled(jsonb(args, 1)?, Group::compile)?;
    let id = group.id.evaluate(jsonb(args, 0)?.as_ref().into())?;
    Ok(Value::bytea(group.key(id.as_bson())))
}

fn id_equals(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
    Ok(Value::Bool(equal(
        input.get("_id"),
        jsonb(args, 1)?.as_ref().into(),
    )))
}

/// `$lookup`: whether a foreign document's field meets the local one's, elements of arrays
/// included; a missing field counts as null.
fn lookup_match(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let fields = compiled(jsonb(args, 2)?, |spec| {
        let path = |name: &str| Path::new(spec.get(name).as_str().unwrap_or(""));
        Ok((path("localField"), path("foreignField")))
    })?;
    let foreign: Bson<'_> = jsonb(args, 0)?.as_ref().into();
    let local: Bson<'_> = jsonb(args, 1)?.as_ref().into();
    let null = |v: Bson<'_>| v.is_nullish();
    let meets = visit(local, &fields.0.parts, Leaf::Elements, &mut |wanted, _| {
        if wanted.is_array() {
            return false;
        }
        visit(foreign, &fields.1.parts, Leaf::Elements, &mut |found, _| {
            (null(wanted) && null(found)) || (!null(found) && equal(wanted, found))
        })
    });
    Ok(Value::Bool(meets))
}

fn set(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let empty = BsonBuf::array(EMPTY.to_vec());
    let new: Bson<'_> = match args.get(2) {
        Some(Value::Jsonb(v)) => v.as_ref().into(),
        _ => empty.as_bson(),
    };
    let path = Path::new(text(args, 1)?);
    let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
    Ok(document(&super::stage::replace(input, &path.parts, new)))
}

fn count(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let n = args.first().and_then(Value::as_i64).unwrap_or(0);
    let mut out = Writer::new();
    out.put(text(args, 1)?, super::number::fitting_integer(n).as_bson());
    Ok(document(&out.finish()))
}

/// A column of jsonb as part of a document: numbers as a MongoDB client would have sent them.
fn json(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    helios_types::json::natural(jsonb(args, 0)?.as_ref()).map(Value::Jsonb)
}

/// Names and values in turn, as a document.
fn row(args: &[Value], types: &[Type], _: &mut dyn FunctionContext) -> Result<Value> {
    let mut out = Writer::new();
    for (at, pair) in args.chunks(2).enumerate() {
        let [name, value] = pair else {
            return Err(Error::internal("a name without a value"));
        };
        let ty = types.get(2 * at + 1).copied().unwrap_or(Type::TEXT);
        let element = match value {
            Value::Null => Jsonb::null(),
            value => helios_types::conversion::to_bson(ty, value)?,
        };
        out.put(name.as_str().unwrap_or(""), element.as_ref().into());
    }
    Ok(document(&out.finish()))
}

fn unwind(args: &[Value], _: &mut dyn FunctionContext) -> Result<Vec<Vec<Value>>> {
    let unwind = compiled(jsonb(args, 1)?, Unwind::compile)?;
    let mut out = Vec::new();
    unwind.apply(jsonb(args, 0)?.as_ref().into(), &mut out);
    Ok(out.iter().map(|d| vec![document(d)]).collect())
}

/// `$group`: one accumulator state per field, and the id of the first document.
#[derive(Default)]
struct GroupState {
    spec: Option<Jsonb>,
    id: Option<BsonBuf>,
    states: Vec<State>,
    size: usize,
}

/// Most bytes that one group may hold.
const GROUP_BYTES_MAX: usize = 100 << 20;

impl Accumulator for GroupState {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        let spec = jsonb(args, 1)?;
        let group = compiled(spec, Group::compile)?;
        let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
        if self.spec.is_none() {
            self.spec = Some(spec.clone());
            self.states = group.start();
            self.id = Some(group.id.evaluate(input)?.into_buf());
        }
        group.add(&mut self.states, input)?;
        self.size += input.bytes.len();
        if self.size > GROUP_BYTES_MAX {
            self.size = self.states.iter().map(State::size).sum();
            if self.size > GROUP_BYTES_MAX {
                return Err(DocError::new(
                    code::EXCEEDED_MEMORY_LIMIT,
                    "$group used too much memory",
                )
                .into());
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        let (Some(spec), Some(id)) = (&self.spec, &self.id) else {
            return Ok(Value::Null);
        };
        let group = compiled(spec, Group::compile)?;
        Ok(document(&group.finish(id.as_bson(), &self.states)?))
    }
}

fn window_key(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let window = compiled(jsonb(args, 1)?, Window::compile)?;
    Ok(Value::bytea(window.key(jsonb(args, 0)?.as_ref().into())?))
}

/// `$setWindowFields`: the documents of one partition.
#[derive(Default)]
struct WindowState {
    spec: Option<Jsonb>,
    documents: Vec<Vec<u8>>,
    size: usize,
}

impl Accumulator for WindowState {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
        if self.spec.is_none() {
            self.spec = Some(jsonb(args, 1)?.clone());
        }
        self.size += input.bytes.len();
        if self.size > GROUP_BYTES_MAX {
            return Err(DocError::new(
                code::EXCEEDED_MEMORY_LIMIT,
                "$setWindowFields used too much memory",
            )
            .into());
        }
        self.documents.push(input.bytes.to_vec());
        Ok(())
    }

    /// `{d: [documents]}`
    fn finish(&mut self, context: &mut dyn FunctionContext) -> Result<Value> {
        let Some(spec) = &self.spec else {
            return Ok(Value::Null);
        };
        let window = compiled(spec, Window::compile)?;
        let made = window.apply(&self.documents, || context.checkpoint())?;
        let mut out = Writer::new();
        let list = array_of(made.iter().map(|d| Bson::document(d)));
        out.put("d", list.as_bson());
        Ok(document(&out.finish()))
    }
}

/// Documents in order of arrival, as one array.
#[derive(Default)]
struct ArrayState {
    out: ArrayWriter,
}

impl Accumulator for ArrayState {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        self.out.push(jsonb(args, 0)?.as_ref().into());
        super::expression::limit_size(self.out.bytes())?;
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        Ok(value(&std::mem::take(&mut self.out).finish_buf()))
    }
}

/// The distinct values at a path, elements of arrays instead of the arrays.
#[derive(Default)]
struct DistinctState {
    values: Vec<BsonBuf>,
}

impl Accumulator for DistinctState {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        let path = Path::new(text(args, 1)?);
        let input: Bson<'_> = jsonb(args, 0)?.as_ref().into();
        visit(input, &path.parts, Leaf::Whole, &mut |found, _| {
            let mut add = |v: Bson<'_>| {
                if let Err(at) = self
                    .values
                    .binary_search_by(|known| compare(known.as_bson(), v))
                {
                    self.values.insert(at, v.to_buf());
                }
            };
            if found.is_array() {
                found.elements().for_each(add);
            } else if !found.is_missing() {
                add(found);
            }
            false
        });
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        Ok(value(&array_of(self.values.iter().map(BsonBuf::as_bson))))
    }
}
