//! Functions of PostgreSQL's catalog: array. Written by `generate.py`.

use super::row;
use crate::function::{FunctionDef, Implementation, Volatility, array, set};

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[FunctionDef] = &[
    row(378, "array_append", &[5078, 5077], 5078, false, Volatility::Immutable, Implementation::Scalar(array::append)),
    row(379, "array_prepend", &[5077, 5078], 5078, false, Volatility::Immutable, Implementation::Scalar(array::prepend)),
    row(383, "array_cat", &[5078, 5078], 5078, false, Volatility::Immutable, Implementation::Scalar(array::concat)),
    row(747, "array_dims", &[2277], 25, true, Volatility::Immutable, Implementation::Scalar(array::bounds_text)),
    row(748, "array_ndims", &[2277], 23, true, Volatility::Immutable, Implementation::Scalar(array::dimensions)),
    row(938, "generate_series", &[1114, 1114, 1186], 1114, true, Volatility::Immutable, Implementation::Set(set::series_timestamp)),
    row(939, "generate_series", &[1184, 1184, 1186], 1184, true, Volatility::Stable, Implementation::Set(set::series_timestamp)),
    row(1066, "generate_series", &[23, 23, 23], 23, true, Volatility::Immutable, Implementation::Set(set::series_integer)),
    row(1067, "generate_series", &[23, 23], 23, true, Volatility::Immutable, Implementation::Set(set::series_integer)),
    row(1068, "generate_series", &[20, 20, 20], 20, true, Volatility::Immutable, Implementation::Set(set::series_integer)),
    row(1069, "generate_series", &[20, 20], 20, true, Volatility::Immutable, Implementation::Set(set::series_integer)),
    row(1191, "generate_subscripts", &[2277, 23, 16], 23, true, Volatility::Immutable, Implementation::Set(array::subscripts)),
    row(1192, "generate_subscripts", &[2277, 23], 23, true, Volatility::Immutable, Implementation::Set(array::subscripts)),
    row(1193, "array_fill", &[2283, 1007], 2277, false, Volatility::Immutable, Implementation::Typed(array::fill)),
    row(1286, "array_fill", &[2283, 1007, 1007], 2277, false, Volatility::Immutable, Implementation::Typed(array::fill)),
    row(2091, "array_lower", &[2277, 23], 23, true, Volatility::Immutable, Implementation::Scalar(array::lower)),
    row(2092, "array_upper", &[2277, 23], 23, true, Volatility::Immutable, Implementation::Scalar(array::upper)),
    row(2176, "array_length", &[2277, 23], 23, true, Volatility::Immutable, Implementation::Scalar(array::length)),
    row(2331, "unnest", &[2277], 2283, true, Volatility::Immutable, Implementation::Set(array::unnest)),
    row(2747, "arrayoverlap", &[2277, 2277], 16, true, Volatility::Immutable, Implementation::Scalar(array::overlap)),
    row(2748, "arraycontains", &[2277, 2277], 16, true, Volatility::Immutable, Implementation::Scalar(array::contains)),
    row(2749, "arraycontained", &[2277, 2277], 16, true, Volatility::Immutable, Implementation::Scalar(array::contained)),
    row(3167, "array_remove", &[5078, 5077], 5078, false, Volatility::Immutable, Implementation::Scalar(array::remove)),
    row(3168, "array_replace", &[5078, 5077, 5077], 5078, false, Volatility::Immutable, Implementation::Scalar(array::replace)),
    row(3179, "cardinality", &[2277], 23, true, Volatility::Immutable, Implementation::Scalar(array::cardinality)),
    row(3259, "generate_series", &[1700, 1700, 1700], 1700, true, Volatility::Immutable, Implementation::Set(set::series_numeric)),
    row(3260, "generate_series", &[1700, 1700], 1700, true, Volatility::Immutable, Implementation::Set(set::series_numeric)),
    row(3277, "array_position", &[5078, 5077], 23, false, Volatility::Immutable, Implementation::Scalar(array::position)),
    row(3278, "array_position", &[5078, 5077, 23], 23, false, Volatility::Immutable, Implementation::Scalar(array::position)),
    row(3279, "array_positions", &[5078, 5077], 1007, false, Volatility::Immutable, Implementation::Scalar(array::positions)),
    row(6172, "trim_array", &[2277, 23], 2277, true, Volatility::Immutable, Implementation::Scalar(array::trim)),
];
