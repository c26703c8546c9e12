//! Functions behind syntax that PostgreSQL has as expression nodes of its own: rows, array
//! constructors and subscripts, `ANY (array)`, COALESCE, GREATEST, casts through text.
//!
//! They are [`FunctionDef`]s like all others, with OIDs from 9600 on, so that every executor can
//! run them. [`COALESCE_OID`] is evaluated lazily by executors that can.

mod assign;

use super::binder::Typed;
use super::literal::{boolean, int4};
use crate::function::{
    FunctionContext, FunctionDef, Implementation, PgFunction, Volatility, registry, text_context,
};
use crate::pgtype;
use datafusion::logical_expr::Expr;
use helios_types::array::{Array, Dimension};
use helios_types::limits::{ARRAY_DIMENSIONS_MAX, ARRAY_ELEMENTS_MAX};
use helios_types::text;
use helios_types::{Error, Oid, Result, Type, Value, bail, error};
use std::cmp::Ordering;
use std::sync::Arc;

const ROW_OID: Oid = 9600;
const FIELD_OID: Oid = 9601;
const ARRAY_OID: Oid = 9602;
const SUBSCRIPT_OID: Oid = 9603;
const SLICE_OID: Oid = 9604;
/// `left op ANY (array)`: arguments left, array, OID of the operator's function.
pub const ANY_OID: Oid = 9605;
/// `left op ALL (array)`: the same arguments.
pub const ALL_OID: Oid = 9606;
/// Arguments after the first NULL-free one need not be evaluated.
pub const COALESCE_OID: Oid = 9607;
const GREATEST_OID: Oid = 9608;
const LEAST_OID: Oid = 9609;
const TO_TEXT_OID: Oid = 9610;
const FROM_TEXT_OID: Oid = 9611;
const CAST_ARRAY_OID: Oid = 9612;
const RELABEL_OID: Oid = 9613;
const ARRAY_NESTED_OID: Oid = 9614;
const NAMED_ROW_OID: Oid = 9615;
const ASSIGN_ELEMENT_OID: Oid = 9616;
const ASSIGN_SLICE_OID: Oid = 9617;

type Scalar = fn(&[Value], &mut dyn FunctionContext) -> Result<Value>;

const fn def(
    oid: Oid,
    name: &'static str,
    strict: bool,
    volatility: Volatility,
    f: Scalar,
) -> FunctionDef {
    FunctionDef {
        oid,
        name,
        args: &[],
        defaults: &[],
        variadic: true,
        result: Type::ANY.oid,
        columns: &[],
        strict,
        volatility,
        implementation: Implementation::Scalar(f),
    }
}

static ROW: FunctionDef = def(ROW_OID, "row", false, Volatility::Immutable, row_value);
static FIELD: FunctionDef = def(FIELD_OID, "field", true, Volatility::Immutable, field_value);
static ARRAY: FunctionDef = def(
    ARRAY_OID,
    "array",
    false,
    Volatility::Immutable,
    array_value,
);
static ARRAY_NESTED: FunctionDef = def(
    ARRAY_NESTED_OID,
    "array",
    false,
    Volatility::Immutable,
    nested_array_value,
);
static SUBSCRIPT: FunctionDef = def(
    SUBSCRIPT_OID,
    "subscript",
    true,
    Volatility::Immutable,
    subscript_value,
);
static SLICE: FunctionDef = def(
    SLICE_OID,
    "slice",
    false,
    Volatility::Immutable,
    slice_value,
);
static ANY: FunctionDef = def(ANY_OID, "any", false, Volatility::Stable, any_value);
static ALL: FunctionDef = def(ALL_OID, "all", false, Volatility::Stable, all_value);
static COALESCE: FunctionDef = def(
    COALESCE_OID,
    "coalesce",
    false,
    Volatility::Immutable,
    coalesce_value,
);
static GREATEST: FunctionDef = def(
    GREATEST_OID,
    "greatest",
    false,
    Volatility::Immutable,
    greatest_value,
);
static LEAST: FunctionDef = def(
    LEAST_OID,
    "least",
    false,
    Volatility::Immutable,
    least_value,
);
static TO_TEXT: FunctionDef = def(
    TO_TEXT_OID,
    "to_text",
    true,
    Volatility::Stable,
    to_text_value,
);
static FROM_TEXT: FunctionDef = def(
    FROM_TEXT_OID,
    "from_text",
    true,
    Volatility::Stable,
    from_text_value,
);
static CAST_ARRAY: FunctionDef = def(
    CAST_ARRAY_OID,
    "cast_array",
    true,
    Volatility::Stable,
    cast_array_value,
);
static RELABEL: FunctionDef = def(
    RELABEL_OID,
    "relabel",
    true,
    Volatility::Immutable,
    relabel_value,
);

static NAMED_ROW: FunctionDef = def(
    NAMED_ROW_OID,
    "row_to_json",
    true,
    Volatility::Stable,
    named_row_value,
);

static ASSIGN_ELEMENT: FunctionDef = def(
    ASSIGN_ELEMENT_OID,
    "assign_element",
    false,
    Volatility::Immutable,
    |args, _| assign::element(args),
);
static ASSIGN_SLICE: FunctionDef = def(
    ASSIGN_SLICE_OID,
    "assign_slice",
    false,
    Volatility::Immutable,
    |args, _| assign::slice(args),
);

fn call(def: &'static FunctionDef, args: Vec<Typed>, result: Type) -> Expr {
    let types = args.iter().map(|a| a.ty).collect();
    PgFunction::new(def, types, result).call(args.into_iter().map(|a| a.expr).collect())
}

pub(crate) fn oid_literal(oid: Oid, ty: Type) -> Expr {
    pgtype::literal(&Value::Oid(oid), ty)
}

fn oid_argument(oid: Oid) -> Typed {
    Typed::new(oid_literal(oid, Type::OID), Type::OID, -1)
}

fn int_argument(value: i32) -> Typed {
    Typed::new(int4(value), Type::INT4, -1)
}

/// A composite value; the field types come along, because a record carries them.
pub(crate) fn row(fields: Vec<Typed>) -> Expr {
    let mut args = Vec::with_capacity(fields.len() * 2);
    for field in fields {
        args.push(oid_argument(field.ty.oid));
        args.push(field);
    }
    call(&ROW, args, Type::RECORD)
}

fn row_value(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let fields: Vec<(Oid, Value)> = args
        .chunks_exact(2)
        .map(|pair| (oid_of(&pair[0]), pair[1].clone()))
        .collect();
    Ok(Value::Record(fields.into()))
}

/// A whole row as JSON, under the names of its columns.
pub(crate) fn named_row(mut row: Typed) -> Typed {
    let names = row.names.take().unwrap_or_default();
    let names = names.iter().map(Value::text).collect();
    let list = Type::TEXT.array_of().unwrap_or(Type::TEXT);
    let names = Value::Array(Arc::new(Array::from_values(Type::TEXT.oid, names)));
    let names = Typed::new(pgtype::literal(&names, list), list, -1);
    let at = row.at;
    Typed::new(
        call(&NAMED_ROW, vec![names, row], Type::JSON),
        Type::JSON,
        at,
    )
}

fn named_row_value(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let (Some(Value::Array(names)), Some(Value::Record(fields))) = (args.first(), args.get(1))
    else {
        return Err(Error::internal("JSON of something that is no row"));
    };
    let context = text_context(context);
    let mut out = String::from("{");
    for (i, (name, (oid, value))) in names.values.iter().zip(fields.iter()).enumerate() {
        if i > 0 {
            out.push(',');
        }
        helios_types::json::value_to_json_text(&mut out, Type::TEXT, name, &context)?;
        out.push(':');
        helios_types::json::value_to_json_text(&mut out, Type::new(*oid), value, &context)?;
    }
    out.push('}');
    Ok(Value::from(out))
}

/// Field number `index`, from zero, of a composite value.
pub(crate) fn field(record: Typed, index: usize, ty: Type) -> Expr {
    call(&FIELD, vec![record, int_argument(index as i32)], ty)
}

fn field_value(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let (Some(Value::Record(fields)), Some(index)) =
        (args.first(), args.get(1).and_then(Value::as_i64))
    else {
        return Err(Error::internal("field of something that is no record"));
    };
    Ok(usize::try_from(index)
        .ok()
        .and_then(|i| fields.get(i))
        .map_or(Value::Null, |(_, v)| v.clone()))
}

/// `ARRAY[…]` of scalars.
pub(crate) fn array(element: Type, values: Vec<Typed>, ty: Type) -> Expr {
    let mut args = vec![oid_argument(element.oid)];
    args.extend(values);
    call(&ARRAY, args, ty)
}

fn array_value(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let element = args.first().map_or(0, oid_of);
    Ok(Value::Array(Arc::new(Array::from_values(
        element,
        args.get(1..).unwrap_or_default().to_vec(),
    ))))
}

/// `ARRAY[[…], […]]`: the values are arrays of one shape.
pub(crate) fn nested_array(element: Type, values: Vec<Typed>, ty: Type) -> Expr {
    let mut args = vec![oid_argument(element.oid)];
    args.extend(values);
    call(&ARRAY_NESTED, args, ty)
}

fn nested_array_value(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let element = args.first().map_or(0, oid_of);
    let mut dimensions: Option<Vec<Dimension>> = None;
    let mut values = Vec::new();
    let mut count = 0u32;
    for arg in args.get(1..).unwrap_or_default() {
        let Value::Array(inner) = arg else { continue };
        match &dimensions {
            None => dimensions = Some(inner.dimensions.clone()),
            Some(d)
                if d.iter()
                    .map(|x| x.len)
                    .eq(inner.dimensions.iter().map(|x| x.len)) => {}
            Some(_) => bail!(
                ArraySubscriptError,
                "multidimensional arrays must have array expressions with matching dimensions"
            ),
        }
        if values.len() + inner.values.len() > ARRAY_ELEMENTS_MAX {
            bail!(
                LimitExceeded,
                "array size exceeds the maximum allowed ({ARRAY_ELEMENTS_MAX})"
            );
        }
        values.extend(inner.values.iter().cloned());
        count += 1;
    }
    if values.is_empty() {
        return Ok(Value::Array(Arc::new(Array::from_values(
            element,
            Vec::new(),
        ))));
    }
    let mut all = vec![Dimension {
        len: count,
        lower: 1,
    }];
    all.extend(dimensions.unwrap_or_default());
    if all.len() > ARRAY_DIMENSIONS_MAX {
        let n = all.len();
        bail!(
            LimitExceeded,
            "number of array dimensions ({n}) exceeds the maximum allowed ({ARRAY_DIMENSIONS_MAX})"
        );
    }
    Ok(Value::Array(Arc::new(Array {
        element,
        dimensions: all,
        values,
    })))
}

/// `array[i][j]…`
pub(crate) fn subscript(array: Typed, indexes: Vec<Typed>, element: Type) -> Expr {
    let mut args = vec![array];
    args.extend(indexes);
    call(&SUBSCRIPT, args, element)
}

fn subscript_value(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let Some(Value::Array(array)) = args.first() else {
        return Err(Error::internal("subscript of something that is no array"));
    };
    let indexes = &args[1..];
    if indexes.len() != array.dimensions.len() {
        return Ok(Value::Null);
    }
    let mut offset = 0usize;
    for (dimension, index) in array.dimensions.iter().zip(indexes) {
        let position = index.as_i64().unwrap_or(0) - i64::from(dimension.lower);
        match usize::try_from(position) {
            Ok(position) if position < dimension.len as usize => {
                offset = offset * dimension.len as usize + position;
            }
            _ => return Ok(Value::Null),
        }
    }
    Ok(array.values.get(offset).cloned().unwrap_or_default())
}

/// The array with one element set.
pub(crate) fn assign_element(array: Typed, indexes: Vec<Typed>, value: Typed, ty: Type) -> Expr {
    let element = ty.element().map_or(0, |e| e.oid);
    let mut args = vec![oid_argument(element), array, value];
    args.extend(indexes);
    call(&ASSIGN_ELEMENT, args, ty)
}

/// The array of one dimension with the elements from `lower` to `upper` set.
pub(crate) fn assign_slice(
    array: Typed,
    lower: Typed,
    upper: Typed,
    value: Typed,
    ty: Type,
) -> Expr {
    let element = ty.element().map_or(0, |e| e.oid);
    call(
        &ASSIGN_SLICE,
        vec![oid_argument(element), array, value, lower, upper],
        ty,
    )
}

/// `array[a:b][c:d]…`; a missing bound is NULL with a false beside it.
pub(crate) fn slice(array: Typed, bounds: Vec<(Option<Typed>, Option<Typed>)>, ty: Type) -> Expr {
    let mut args = vec![array];
    for (lower, upper) in bounds {
        for bound in [lower, upper] {
            args.push(Typed::bool(boolean(bound.is_some()), -1));
            args.push(bound.unwrap_or_else(|| int_argument(0)));
        }
    }
    call(&SLICE, args, ty)
}

fn slice_value(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let Some(Value::Array(array)) = args.first() else {
        return Ok(Value::Null);
    };
    let bounds = &args[1..];
    if bounds.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    let empty = || {
        Ok(Value::Array(Arc::new(Array::from_values(
            array.element,
            Vec::new(),
        ))))
    };
    if bounds.len() / 4 > array.dimensions.len() {
        return empty();
    }
    let mut ranges = Vec::with_capacity(array.dimensions.len());
    for (i, dimension) in array.dimensions.iter().enumerate() {
        let (first, last) = (
            i64::from(dimension.lower),
            i64::from(dimension.lower) + i64::from(dimension.len) - 1,
        );
        let given = bounds.get(i * 4..i * 4 + 4);
        let bound = |slot: usize, default: i64| match given {
            Some(b) if b[slot].as_bool() == Some(true) => b[slot + 1].as_i64().unwrap_or(default),
            _ => default,
        };
        let (lower, upper) = (bound(0, first).max(first), bound(2, last).min(last));
        if lower > upper {
            return empty();
        }
        ranges.push((lower - first) as usize..(upper - first + 1) as usize);
    }
    let mut values = Vec::new();
    collect(array, 0, 0, &ranges, &mut values);
    let dimensions = ranges
        .iter()
        .map(|r| Dimension {
            len: r.len() as u32,
            lower: 1,
        })
        .collect();
    Ok(Value::Array(Arc::new(Array {
        element: array.element,
        dimensions,
        values,
    })))
}

fn collect(
    array: &Array,
    depth: usize,
    offset: usize,
    ranges: &[std::ops::Range<usize>],
    out: &mut Vec<Value>,
) {
    let Some(range) = ranges.get(depth) else {
        out.extend(array.values.get(offset).cloned());
        return;
    };
    for i in range.clone() {
        collect(
            array,
            depth + 1,
            offset * array.dimensions[depth].len as usize + i,
            ranges,
            out,
        );
    }
}

/// `left op ANY|ALL (array)` through the operator's function.
pub(crate) fn quantified(all: bool, left: Typed, array: Typed, function: Oid) -> Expr {
    call(
        if all { &ALL } else { &ANY },
        vec![left, array, oid_argument(function)],
        Type::BOOL,
    )
}

fn any_value(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    compare_all(args, context, true)
}

fn all_value(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    compare_all(args, context, false)
}

/// Stops at the first element whose comparison is `decisive`; NULL when none is and one is NULL.
fn compare_all(args: &[Value], context: &mut dyn FunctionContext, decisive: bool) -> Result<Value> {
    let [left, array, function] = args else {
        return Err(Error::internal("ANY takes three arguments"));
    };
    let Value::Array(array) = array else {
        return Ok(Value::Null);
    };
    let def = registry()
        .function(oid_of(function))
        .ok_or_else(|| Error::internal("operator function of ANY is not registered"))?;
    let mut null = false;
    for element in &array.values {
        let result = if def.strict && (left.is_null() || element.is_null()) {
            Value::Null
        } else {
            run(def, &[left.clone(), element.clone()], context)?
        };
        match result.as_bool() {
            Some(b) if b == decisive => return Ok(Value::Bool(decisive)),
            Some(_) => {}
            None => null = true,
        }
    }
    Ok(if null {
        Value::Null
    } else {
        Value::Bool(!decisive)
    })
}

pub(crate) fn coalesce(args: Vec<Typed>, ty: Type) -> Expr {
    call(&COALESCE, args, ty)
}

fn coalesce_value(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(args
        .iter()
        .find(|v| !v.is_null())
        .cloned()
        .unwrap_or_default())
}

/// GREATEST and LEAST, with the OID of the type's `<` function first.
pub(crate) fn extreme(greatest: bool, less: Oid, args: Vec<Typed>, ty: Type) -> Expr {
    let mut all = vec![oid_argument(less)];
    all.extend(args);
    call(if greatest { &GREATEST } else { &LEAST }, all, ty)
}

fn greatest_value(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    extreme_value(args, context, Ordering::Greater)
}

fn least_value(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    extreme_value(args, context, Ordering::Less)
}

fn extreme_value(
    args: &[Value],
    context: &mut dyn FunctionContext,
    wanted: Ordering,
) -> Result<Value> {
    let def = args
        .first()
        .and_then(|f| registry().function(oid_of(f)))
        .ok_or_else(|| Error::internal("comparison of GREATEST is not registered"))?;
    let mut best: Option<&Value> = None;
    for value in args[1..].iter().filter(|v| !v.is_null()) {
        let replace = match best {
            None => true,
            Some(current) => {
                let pair = match wanted {
                    Ordering::Greater => [current.clone(), value.clone()],
                    _ => [value.clone(), current.clone()],
                };
                run(def, &pair, context)?.as_bool() == Some(true)
            }
        };
        if replace {
            best = Some(value);
        }
    }
    Ok(best.cloned().unwrap_or_default())
}

/// Any type's output function.
pub(crate) fn cast_to_text(value: Typed, target: Type) -> Expr {
    let (oid, modifier) = (value.ty.oid, value.ty.modifier);
    call(
        &TO_TEXT,
        vec![value, oid_argument(oid), int_argument(modifier)],
        target,
    )
}

fn to_text_value(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let [value, oid, modifier] = args else {
        return Err(Error::internal("to_text takes three arguments"));
    };
    let ty = Type::new(oid_of(oid)).with_modifier(modifier.as_i64().unwrap_or(-1) as i32);
    output_text(ty, value, context).map(Value::from)
}

/// Any type's input function.
pub(crate) fn cast_from_text(value: Typed, target: Type) -> Expr {
    call(
        &FROM_TEXT,
        vec![
            value,
            oid_argument(target.oid),
            int_argument(target.modifier),
        ],
        target,
    )
}

fn from_text_value(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let [value, oid, modifier] = args else {
        return Err(Error::internal("from_text takes three arguments"));
    };
    let ty = Type::new(oid_of(oid)).with_modifier(modifier.as_i64().unwrap_or(-1) as i32);
    let text = value
        .as_str()
        .ok_or_else(|| Error::internal("from_text of something that is no text"))?;
    input_text(ty, text, context)
}

/// An array cast element by element.
pub(crate) fn cast_array(value: Typed, target: Type, modifier: i32, explicit: bool) -> Expr {
    let from = value.ty.element().unwrap_or(Type::TEXT);
    let to = target.element().unwrap_or(Type::TEXT);
    let args = vec![
        value,
        oid_argument(from.oid),
        oid_argument(to.oid),
        int_argument(modifier),
        Typed::bool(boolean(explicit), -1),
    ];
    call(&CAST_ARRAY, args, target)
}

fn cast_array_value(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let [Value::Array(array), from, to, modifier, explicit] = args else {
        return Err(Error::internal(
            "cast_array takes an array and four arguments",
        ));
    };
    let (from, to) = (Type::new(oid_of(from)), Type::new(oid_of(to)));
    let modifier = modifier.as_i64().unwrap_or(-1) as i32;
    let explicit = explicit.as_bool().unwrap_or(true);
    let mut values = Vec::with_capacity(array.values.len());
    for value in &array.values {
        values.push(cast_element(value, from, to, modifier, explicit, context)?);
    }
    Ok(Value::Array(Arc::new(Array {
        element: to.oid,
        dimensions: array.dimensions.clone(),
        values,
    })))
}

fn cast_element(
    value: &Value,
    from: Type,
    to: Type,
    modifier: i32,
    explicit: bool,
    context: &mut dyn FunctionContext,
) -> Result<Value> {
    use crate::function::CastMethod;
    if value.is_null() {
        return Ok(Value::Null);
    }
    let base = if from.oid == to.oid || super::coerce::same_value(from.oid, to.oid) {
        value.clone()
    } else {
        match registry().cast(from.oid, to.oid).map(|c| c.method) {
            Some(CastMethod::Binary) => relabelled(value, to.oid)?,
            Some(CastMethod::Function(oid)) => {
                let def = registry()
                    .function(oid)
                    .ok_or_else(|| Error::internal("cast function is missing"))?;
                let all = [value.clone(), Value::Int4(-1), Value::Bool(explicit)];
                run(def, &all[..def.args.len().clamp(1, 3)], context)?
            }
            _ => {
                let text = output_text(from, value, context)?;
                input_text(to, &text, context)?
            }
        }
    };
    if modifier < 0 {
        Ok(base)
    } else {
        text::apply_modifier(to.with_modifier(modifier), base, explicit)
    }
}

/// A binary-compatible cast between types that [`Value`] holds differently.
pub(crate) fn relabel(value: Typed, target: Type) -> Expr {
    call(&RELABEL, vec![value, oid_argument(target.oid)], target)
}

fn relabel_value(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let [value, oid] = args else {
        return Err(Error::internal("relabel takes two arguments"));
    };
    relabelled(value, oid_of(oid))
}

fn relabelled(value: &Value, target: Oid) -> Result<Value> {
    Ok(match (value, target) {
        (Value::Int4(i), oid) if Type::new(oid).is_oid_like() => Value::Oid(*i as u32),
        (Value::Oid(o), 23) => Value::Int4(*o as i32),
        (Value::Text(t), 17) => Value::bytea(t.as_bytes()),
        (value, _) => value.clone(),
    })
}

/// A function of the registry on values; its declared types are the values' own.
fn run(def: &FunctionDef, args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    match def.implementation {
        Implementation::Scalar(f) => f(args, context),
        Implementation::Typed(f) => {
            let types: Vec<Type> = def.args.iter().map(|oid| Type::new(*oid)).collect();
            f(args, &types, context)
        }
        _ => Err(Error::internal(format!(
            "function {} is not scalar",
            def.name
        ))),
    }
}

fn oid_of(value: &Value) -> Oid {
    match value {
        Value::Oid(oid) => *oid,
        other => other
            .as_i64()
            .and_then(|i| u32::try_from(i).ok())
            .unwrap_or(0),
    }
}

/// A value's text; names for the reg* types, as the catalog has them.
fn output_text(ty: Type, value: &Value, context: &mut dyn FunctionContext) -> Result<String> {
    if let (Value::Oid(oid), Type::REGCLASS) = (value, Type::new(ty.oid)) {
        let catalog = context.catalog();
        let found = catalog.relations.get(&helios_types::ObjectId(*oid));
        if let Some((name, schema)) = found.and_then(|r| relation_name(&catalog, r)) {
            let visible = matches!(schema.as_str(), "pg_catalog")
                || context.search_path(true).contains(&schema);
            return Ok(if visible {
                quoted(&name)
            } else {
                format!("{}.{}", quoted(&schema), quoted(&name))
            });
        }
    }
    Ok(text::to_text(ty, value, &text_context(context)))
}

fn input_text(ty: Type, text: &str, context: &mut dyn FunctionContext) -> Result<Value> {
    let text = text.trim();
    if ty.oid == Type::REGCLASS.oid && !text.bytes().all(|b| b.is_ascii_digit()) {
        return regclass_in(text, context);
    }
    text::parse_text(ty, text, &text_context(context))
}

fn regclass_in(text: &str, context: &mut dyn FunctionContext) -> Result<Value> {
    let parts = super::literal::split_identifier(text)
        .ok_or_else(|| error!(InvalidName, "invalid name syntax"))?;
    let catalog = context.catalog();
    let database = catalog
        .database_named(context.current_database())
        .map(|d| d.id);
    let database = database.ok_or_else(|| Error::internal("current database"))?;
    let find = |schema: &str, name: &str| {
        let schema = catalog.schema_named(database, schema)?;
        catalog.relation_named(schema.id, name).map(|r| r.id().0)
    };
    let oid = match parts.as_slice() {
        [name] => {
            let mut path = context.search_path(true);
            if !path.iter().any(|s| s == "pg_catalog") {
                path.insert(0, "pg_catalog".into());
            }
            path.iter().find_map(|schema| find(schema, name))
        }
        [schema, name] | [_, schema, name] => find(schema, name),
        _ => None,
    };
    oid.map(Value::Oid).ok_or_else(|| {
        error!(
            UndefinedTable,
            "relation \"{}\" does not exist",
            parts.join(".")
        )
    })
}

fn relation_name(
    catalog: &crate::catalog::Catalog,
    relation: &crate::catalog::Relation,
) -> Option<(String, String)> {
    use crate::catalog::Relation;
    let name = match relation {
        Relation::Table(t) => t.name.clone(),
        Relation::View(v) => v.name.clone(),
        Relation::Sequence(s) => s.name.clone(),
        Relation::Virtual(v) => v.name.clone(),
        Relation::Index { id, table, .. } => catalog.table(*table)?.index(*id)?.name.clone(),
    };
    Some((name, catalog.schemas.get(&relation.schema())?.name.clone()))
}

/// An identifier as SQL has to write it.
pub(crate) fn quoted(name: &str) -> String {
    crate::function::catalog::name::quote_identifier(name)
}
