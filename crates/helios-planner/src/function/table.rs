//! The tables of functions, operators and casts, one row for each of PostgreSQL's that we have.
//!
//! The files beside this one are written by `generate.py` from PostgreSQL's own catalog, so that
//! OIDs, argument types and volatility are never typed by hand.

mod aggregate;
mod array;
mod cast;
mod cast_list;
mod compare;
mod json;
mod number;
mod operator;
mod system;
mod text;
mod time;

use super::{
    CastContext, CastDef, CastMethod, FunctionDef, Implementation, OperatorDef, Volatility,
};
use helios_types::Oid;

/// Every function of this library.
pub const FUNCTIONS: &[&[FunctionDef]] = &[
    number::FUNCTIONS,
    compare::FUNCTIONS,
    text::FUNCTIONS,
    time::FUNCTIONS,
    cast::FUNCTIONS,
    array::FUNCTIONS,
    json::FUNCTIONS,
    aggregate::FUNCTIONS,
    system::FUNCTIONS,
    OWN,
];

/// Functions that PostgreSQL writes in SQL, which have no fixed OID there.
const OWN: &[FunctionDef] = &[row(
    9300,
    "_pg_expandarray",
    &[2277],
    2249,
    true,
    Volatility::Immutable,
    Implementation::Set(super::array::expand),
)
.with_columns(&[("x", 21), ("n", 23)])];

pub const OPERATORS: &[OperatorDef] = operator::OPERATORS;
pub const CASTS: &[CastDef] = cast_list::CASTS;

const fn row(
    oid: Oid,
    name: &'static str,
    args: &'static [Oid],
    result: Oid,
    strict: bool,
    volatility: Volatility,
    implementation: Implementation,
) -> FunctionDef {
    FunctionDef {
        oid,
        name,
        args,
        defaults: &[],
        variadic: false,
        result,
        columns: &[],
        strict,
        volatility,
        implementation,
    }
}

impl FunctionDef {
    const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }

    const fn with_defaults(mut self, defaults: &'static [&'static str]) -> Self {
        self.defaults = defaults;
        self
    }

    const fn with_columns(mut self, columns: &'static [(&'static str, Oid)]) -> Self {
        self.columns = columns;
        self
    }
}

const fn operator(
    oid: Oid,
    name: &'static str,
    left: Oid,
    right: Oid,
    result: Oid,
    function: Oid,
) -> OperatorDef {
    OperatorDef {
        oid,
        name,
        left,
        right,
        result,
        function,
    }
}

const fn cast(source: Oid, target: Oid, context: CastContext, method: CastMethod) -> CastDef {
    CastDef {
        source,
        target,
        context,
        method,
    }
}
