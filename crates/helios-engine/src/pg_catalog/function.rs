//! pg_proc, pg_operator, pg_cast, pg_aggregate, from the planner's tables of functions.

use super::row::{array, letter, text, vector};
use super::{Request, Row};
use helios_planner::function::catalog::name::{IoFunction, io_functions};
use helios_planner::function::{
    CastContext, CastMethod, FunctionDef, Implementation, Volatility, registry,
};
use helios_types::{Oid, Result, Type, Value};

const PG_CATALOG: Value = Value::Oid(11);
const OWNER: Value = Value::Oid(10);
const INTERNAL: Value = Value::Oid(12);
const NONE: Value = Value::Oid(0);

/// What differs between the rows of `pg_proc`.
struct Function<'a> {
    oid: Oid,
    name: &'a str,
    args: &'a [Oid],
    result: Oid,
    kind: char,
    strict: bool,
    set: bool,
    volatility: char,
    defaults: usize,
    variadic: bool,
    columns: &'a [(&'static str, Oid)],
}

impl<'a> Function<'a> {
    fn of(def: &'a FunctionDef) -> Self {
        Function {
            oid: def.oid,
            name: def.name,
            args: def.args,
            result: def.result,
            kind: match def.implementation {
                Implementation::Aggregate(_) => 'a',
                Implementation::Window(_) => 'w',
                _ => 'f',
            },
            strict: def.strict,
            set: matches!(def.implementation, Implementation::Set(_)),
            volatility: match def.volatility {
                Volatility::Immutable => 'i',
                Volatility::Stable => 's',
                Volatility::Volatile => 'v',
            },
            defaults: def.defaults.len(),
            variadic: def.variadic,
            columns: def.columns,
        }
    }

    fn of_io(io: &'a IoFunction) -> Self {
        Function {
            oid: io.oid,
            name: io.name,
            args: &io.args,
            result: io.result,
            kind: 'f',
            strict: true,
            set: false,
            volatility: 's',
            defaults: 0,
            variadic: false,
            columns: &[],
        }
    }

    fn row(&self) -> Row {
        let oids = |types: &[Oid]| types.iter().map(|oid| Value::Oid(*oid)).collect::<Vec<_>>();
        let (all_types, modes, names) = if self.columns.is_empty() {
            (Value::Null, Value::Null, Value::Null)
        } else {
            let outputs: Vec<Oid> = self.columns.iter().map(|(_, ty)| *ty).collect();
            let modes = self
                .args
                .iter()
                .map(|_| 'i')
                .chain(self.columns.iter().map(|_| 'o'));
            let names = self
                .args
                .iter()
                .map(|_| "")
                .chain(self.columns.iter().map(|(n, _)| *n));
            (
                array(Type::OID, oids(&[self.args, &outputs].concat())),
                array(Type::CHAR, modes.map(letter).collect()),
                array(Type::TEXT, names.map(text).collect()),
            )
        };
        let variadic = if self.variadic {
            self.args.last().copied().unwrap_or(0)
        } else {
            0
        };
        vec![
            Value::Oid(self.oid),
            text(self.name),
            PG_CATALOG,
            OWNER,
            INTERNAL,
            Value::Float4(1.0),
            Value::Float4(if self.set { 1000.0 } else { 0.0 }),
            Value::Oid(variadic),
            NONE,
            letter(self.kind),
            Value::Bool(false),
            Value::Bool(false),
            Value::Bool(self.strict),
            Value::Bool(self.set),
            letter(self.volatility),
            letter('s'),
            Value::Int2(self.args.len() as i16),
            Value::Int2(self.defaults as i16),
            Value::Oid(self.result),
            vector(Type::OID, oids(self.args)),
            all_types,
            modes,
            names,
            Value::Null,
            Value::Null,
            text(self.name),
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
        ]
    }
}

pub(super) fn pg_proc(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let io = io_functions();
    if let Some(oid) = request.wanted("oid") {
        let row = registry()
            .function(oid)
            .map(|f| Function::of(f).row())
            .or_else(|| {
                io.iter()
                    .find(|f| f.oid == oid)
                    .map(|f| Function::of_io(f).row())
            });
        return Ok(row.into_iter().collect());
    }
    let name = request.wanted_name("proname");
    let wanted = |f: &str| name.is_none_or(|name| name == f);
    let mut rows: Vec<(Oid, Row)> = registry()
        .all_functions()
        .filter(|f| wanted(f.name))
        .map(|f| (f.oid, Function::of(f).row()))
        .collect();
    for f in io
        .iter()
        .filter(|f| wanted(f.name) && registry().function(f.oid).is_none())
    {
        rows.push((f.oid, Function::of_io(f).row()));
    }
    rows.sort_by_key(|(oid, _)| *oid);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

pub(super) fn pg_operator(_: &mut Request<'_>) -> Result<Vec<Row>> {
    let mut operators: Vec<_> = registry().all_operators().collect();
    operators.sort_by_key(|o| o.oid);
    Ok(operators
        .into_iter()
        .map(|o| {
            let equality = o.name == "=" && o.left == o.right;
            let commuted = match o.name {
                "=" | "<>" => o.name,
                "<" => ">",
                ">" => "<",
                "<=" => ">=",
                ">=" => "<=",
                _ => "",
            };
            let negated = match o.name {
                "=" => "<>",
                "<>" => "=",
                "<" => ">=",
                ">" => "<=",
                "<=" => ">",
                ">=" => "<",
                _ => "",
            };
            let find = |name: &str, left: Oid, right: Oid| {
                let found = registry()
                    .operators_named(name)
                    .iter()
                    .find(|c| c.left == left && c.right == right);
                Value::Oid(found.map_or(0, |c| c.oid))
            };
            vec![
                Value::Oid(o.oid),
                text(o.name),
                PG_CATALOG,
                OWNER,
                letter(if o.left == 0 { 'l' } else { 'b' }),
                Value::Bool(equality),
                Value::Bool(equality),
                Value::Oid(o.left),
                Value::Oid(o.right),
                Value::Oid(o.result),
                find(commuted, o.right, o.left),
                find(negated, o.left, o.right),
                Value::Oid(o.function),
                NONE,
                NONE,
            ]
        })
        .collect())
}

pub(super) fn pg_cast(_: &mut Request<'_>) -> Result<Vec<Row>> {
    let mut casts: Vec<_> = registry().all_casts().collect();
    casts.sort_by_key(|c| (c.source, c.target));
    Ok(casts
        .into_iter()
        // Casts through the text form have no row in PostgreSQL either.
        .filter(|c| c.method != CastMethod::InOut)
        .map(|c| {
            let function = match c.method {
                CastMethod::Function(oid) => oid,
                _ => 0,
            };
            vec![
                Value::Oid(0xd000_0000 | (c.source & 0x3fff) << 14 | c.target & 0x3fff),
                Value::Oid(c.source),
                Value::Oid(c.target),
                Value::Oid(function),
                letter(match c.context {
                    CastContext::Implicit => 'i',
                    CastContext::Assignment => 'a',
                    CastContext::Explicit => 'e',
                }),
                letter(if function == 0 { 'b' } else { 'f' }),
            ]
        })
        .collect())
}

pub(super) fn pg_aggregate(_: &mut Request<'_>) -> Result<Vec<Row>> {
    let mut aggregates: Vec<_> = registry()
        .all_functions()
        .filter(|f| matches!(f.implementation, Implementation::Aggregate(_)))
        .collect();
    aggregates.sort_by_key(|f| f.oid);
    Ok(aggregates
        .into_iter()
        .map(|f| {
            let mut row = vec![Value::Oid(f.oid), letter('n'), Value::Int2(0)];
            // Their state is not made of SQL functions.
            row.extend(std::iter::repeat_n(NONE, 8));
            row.extend([
                Value::Bool(false),
                Value::Bool(false),
                letter('r'),
                letter('r'),
            ]);
            row.extend([NONE, Value::Oid(Type::new(2281).oid), Value::Int4(0)]);
            row.extend([NONE, Value::Int4(0), Value::Null, Value::Null]);
            row
        })
        .collect())
}
