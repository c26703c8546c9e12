//! Which representation ([`Value`](helios_types::Value) variant) the values of a type have.

use helios_types::Type;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repr {
    Bool,
    Char,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Jsonb,
    /// With the element type.
    Array(Type),
    Record,
    /// Types made by users: enum labels, composite values, arrays of either.
    Other,
}

impl Repr {
    pub(crate) fn of(ty: Type) -> Repr {
        match ty.oid {
            16 => Repr::Bool,
            17 => Repr::Bytea,
            18 => Repr::Char,
            20 => Repr::Int8,
            21 => Repr::Int2,
            23 => Repr::Int4,
            28 => Repr::Oid,
            700 => Repr::Float4,
            701 => Repr::Float8,
            1082 => Repr::Date,
            1083 => Repr::Time,
            1114 => Repr::Timestamp,
            1184 => Repr::TimestampTz,
            1186 => Repr::Interval,
            1700 => Repr::Numeric,
            2249 => Repr::Record,
            2950 => Repr::Uuid,
            3802 => Repr::Jsonb,
            114 => Repr::Text,
            _ if ty.is_string() => Repr::Text,
            _ if ty.is_oid_like() => Repr::Oid,
            _ => ty.element().map_or(Repr::Other, Repr::Array),
        }
    }
}
