//! Constants: how the grammar's constants are typed, and casts of constants done at once.

use super::binder::{Binder, Typed};
use super::construct;
use crate::function::{CastMethod, PgFunction};
use crate::pgtype;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use helios_types::datetime::DateOrder;
use helios_types::text::{self, TextContext};
use helios_types::{Error, Numeric, Result, Type, Value, error};
use pg_query::protobuf::{
    AConst, BitString, Boolean, Float, Integer, String as StringNode, a_const::Val,
};

/// NULL of a type.
pub(crate) fn null(ty: Type) -> Expr {
    pgtype::literal(&Value::Null, ty)
}

/// An untyped string constant, or an untyped NULL.
pub(crate) fn unknown(text: Option<&str>, at: i32) -> Typed {
    let metadata = Some(pgtype::field_metadata(Type::UNKNOWN));
    let expr = Expr::Literal(ScalarValue::Utf8(text.map(str::to_string)), metadata);
    Typed::new(expr, Type::UNKNOWN, at)
}

pub(crate) fn int4(value: i32) -> Expr {
    pgtype::literal(&Value::Int4(value), Type::INT4)
}

pub(crate) fn boolean(value: bool) -> Expr {
    pgtype::literal(&Value::Bool(value), Type::BOOL)
}

pub(crate) fn string(value: &str, ty: Type) -> Expr {
    pgtype::literal(&Value::text(value), ty)
}

/// PostgreSQL's `make_const`.
pub(crate) fn constant(binder: &Binder<'_>, node: &AConst) -> Result<Typed> {
    let AConst {
        isnull,
        location,
        val,
    } = node;
    let typed = |value: Value, ty: Type| Typed::new(pgtype::literal(&value, ty), ty, *location);
    if *isnull {
        return Ok(unknown(None, *location));
    }
    Ok(match val {
        Some(Val::Ival(Integer { ival })) => typed(Value::Int4(*ival), Type::INT4),
        Some(Val::Fval(Float { fval })) => {
            let (value, ty) = number(fval).map_err(|e| binder.at(e, *location))?;
            typed(value, ty)
        }
        Some(Val::Boolval(Boolean { boolval })) => typed(Value::Bool(*boolval), Type::BOOL),
        Some(Val::Sval(StringNode { sval })) => unknown(Some(sval), *location),
        Some(Val::Bsval(BitString { .. })) => {
            return binder.unsupported("bit string constant", *location);
        }
        // The wire format leaves out a zero.
        None => typed(Value::Int4(0), Type::INT4),
    })
}

/// A number too large for int4 or with a fraction: int4, int8 or numeric.
pub(crate) fn number(text: &str) -> Result<(Value, Type)> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    let (sign, body) = digits
        .strip_prefix('-')
        .map_or(("", digits.as_str()), |rest| ("-", rest));
    let based = match body.get(..2) {
        Some("0x" | "0X") => Some(16),
        Some("0o" | "0O") => Some(8),
        Some("0b" | "0B") => Some(2),
        _ => None,
    };
    let integer = match based {
        Some(base) => i64::from_str_radix(&format!("{sign}{}", &body[2..]), base).ok(),
        None => digits.parse::<i64>().ok(),
    };
    if let Some(i) = integer {
        return Ok(match i32::try_from(i) {
            Ok(small) => (Value::Int4(small), Type::INT4),
            Err(_) => (Value::Int8(i), Type::INT8),
        });
    }
    if based.is_some() {
        return Err(error!(
            NumericOutOfRange,
            "value \"{text}\" is out of range for type bigint"
        ));
    }
    let value = text::parse_text(Type::NUMERIC, &digits, &TextContext::default())?;
    Ok((value, Type::NUMERIC))
}

/// An untyped string constant as a value of `ty`: at once when its meaning does not depend on the
/// session, else by a call at execution.
pub(crate) fn input(binder: &mut Binder<'_>, text: &str, ty: Type, at: i32) -> Result<Typed> {
    if ty.oid == Type::REGCLASS.oid && !text.bytes().all(|b| b.is_ascii_digit()) {
        return binder.regclass(text, at);
    }
    if ty.is_oid_like()
        && !text.bytes().all(|b| b.is_ascii_digit())
        && let Some(CastMethod::Function(oid)) = binder
            .cx
            .registry
            .cast(Type::TEXT.oid, ty.oid)
            .map(|c| c.method)
        && let Some(def) = binder.cx.registry.function(oid)
    {
        let call = PgFunction::new(def, vec![Type::TEXT], ty).call(vec![string(text, Type::TEXT)]);
        return Ok(Typed::new(call, ty, at));
    }
    if depends_on_session(text, ty) {
        never_a_date(text, ty)?;
        let source = Typed::new(string(text, Type::TEXT), Type::TEXT, at);
        return Ok(Typed::new(construct::cast_from_text(source, ty), ty, at));
    }
    let value = text::parse_text(ty, text, &TextContext::default())?;
    Ok(Typed::new(pgtype::literal(&value, ty), ty, at))
}

/// Whether the text's meaning hangs on time zone, date style, clock or catalog.
fn depends_on_session(text: &str, ty: Type) -> bool {
    match ty.oid {
        1082 | 1083 | 1114 => {
            !iso_date(text) && ty.oid != 1083
                || text.bytes().any(|b| b.is_ascii_alphabetic() && b != b'T')
        }
        1184 | 1266 => true,
        1115 | 1182 | 1183 | 1185 | 1270 => true,
        oid if Type::new(oid).is_oid_like() => oid != Type::OID.oid && oid != Type::REGTYPE.oid,
        oid => Type::new(oid)
            .element()
            .is_some_and(|e| e.is_oid_like() && e.oid != Type::OID.oid),
    }
}

/// Refuses a text that is no date or time under any setting.
fn never_a_date(text: &str, ty: Type) -> Result<()> {
    if !matches!(ty.oid, 1082 | 1083 | 1114 | 1184) {
        return Ok(());
    }
    let mut refused = Ok(());
    for order in [DateOrder::Mdy, DateOrder::Dmy, DateOrder::Ymd] {
        let mut context = TextContext::default();
        context.dates.order = order;
        match text::parse_text(Type::new(ty.oid), text, &context) {
            Ok(_) => return Ok(()),
            Err(error) if refused.is_ok() => refused = Err(error),
            Err(_) => {}
        }
    }
    refused
}

/// `YYYY-MM-DD…`: the same day under every date style.
fn iso_date(text: &str) -> bool {
    let bytes = text.trim().as_bytes();
    bytes.len() >= 10
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[5..7].iter().all(u8::is_ascii_digit)
        && bytes[7] == b'-'
        && bytes[8..10].iter().all(u8::is_ascii_digit)
        && !bytes.get(10).is_some_and(u8::is_ascii_digit)
}

/// The value of a literal expression that the binder made.
pub(crate) fn value_of(typed: &Typed) -> Option<Value> {
    match &typed.expr {
        Expr::Literal(scalar, _) => pgtype::scalar_to_value(scalar, typed.ty).ok(),
        _ => None,
    }
}

/// Casts between numbers that cannot fail or depend on anything, done at bind time, so that
/// `bigint_column = 5` compares like with like and a key look-up is seen as one.
pub(crate) fn fold_cast(value: &Typed, target: Type) -> Option<Typed> {
    let source = value_of(value)?;
    let folded = match (&source, target.oid) {
        (Value::Null, _) => Value::Null,
        (Value::Int2(_) | Value::Int4(_) | Value::Int8(_), oid) => {
            let i = source.as_i64()?;
            match oid {
                21 => Value::Int2(i16::try_from(i).ok()?),
                23 => Value::Int4(i32::try_from(i).ok()?),
                20 => Value::Int8(i),
                26 => Value::Oid(u32::try_from(i).ok()?),
                701 => Value::Float8(i as f64),
                700 => Value::Float4(i as f32),
                1700 => Value::Numeric(Numeric::from(i)),
                oid if Type::new(oid).is_oid_like() => Value::Oid(u32::try_from(i).ok()?),
                _ => return None,
            }
        }
        (Value::Numeric(_), 700 | 701) => {
            let text = text::to_text(Type::NUMERIC, &source, &TextContext::default());
            text::parse_text(target, &text, &TextContext::default()).ok()?
        }
        (Value::Float4(f), 701) => Value::Float8(f64::from(*f)),
        (Value::Text(_), 25 | 1043) if value.ty.oid != Type::BPCHAR.oid => source,
        (Value::Oid(_), oid) if Type::new(oid).is_oid_like() => source,
        _ => return None,
    };
    Some(Typed::new(
        pgtype::literal(&folded, target),
        target,
        value.at,
    ))
}

/// A length coercion of a constant, when it does not fail.
pub(crate) fn fold_modifier(value: &Typed, target: Type, explicit: bool) -> Option<Typed> {
    let source = value_of(value)?;
    let folded = text::apply_modifier(target, source, explicit).ok()?;
    Some(Typed::new(
        pgtype::literal(&folded, target),
        target,
        value.at,
    ))
}

impl Binder<'_> {
    /// A relation's OID by its name as text.
    pub fn regclass(&self, text: &str, at: i32) -> Result<Typed> {
        let parts =
            split_identifier(text).ok_or_else(|| error!(InvalidName, "invalid name syntax"))?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let relation = match parts.as_slice() {
            [name] => self.find_relation(None, None, name),
            [schema, name] => {
                if self
                    .cx
                    .catalog
                    .schema_named(self.cx.database, schema)
                    .is_none()
                {
                    return Err(error!(
                        UndefinedSchema,
                        "schema \"{schema}\" does not exist"
                    ));
                }
                self.find_relation(None, Some(schema), name)
            }
            [database, schema, name] => self.find_relation(Some(database), Some(schema), name),
            _ => None,
        };
        let Some(relation) = relation else {
            let full = parts.join(".");
            return Err(error!(UndefinedTable, "relation \"{full}\" does not exist"));
        };
        let expr = construct::oid_literal(relation.id().0, Type::REGCLASS);
        Ok(Typed::new(expr, Type::REGCLASS, at))
    }
}

/// `a."B c".d` to its parts: unquoted ones folded to lower case.
pub(crate) fn split_identifier(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut chars = text.trim().chars().peekable();
    loop {
        let mut part = String::new();
        if chars.peek() == Some(&'"') {
            chars.next();
            loop {
                match chars.next()? {
                    '"' if chars.peek() == Some(&'"') => {
                        chars.next();
                        part.push('"');
                    }
                    '"' => break,
                    c => part.push(c),
                }
            }
        } else {
            while let Some(&c) = chars.peek() {
                if c == '.' || c == '"' {
                    break;
                }
                part.extend(c.to_lowercase());
                chars.next();
            }
            if part.trim().is_empty() || part.contains(char::is_whitespace) {
                return None;
            }
        }
        parts.push(part);
        match chars.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}

/// An error of a value's text form, for callers that have no better kind.
pub(crate) fn invalid(kind: &str, text: &str) -> Error {
    error!(InvalidParameterValue, "invalid {kind}: \"{text}\"")
}
