//! Type names with their modifiers, as the grammar gives them.

use super::binder::Binder;
use super::node::{inner, integer, strings};
use helios_types::types::{BUILTIN, info};
use helios_types::{Oid, Result, Type, bail, error};
use pg_query::protobuf::TypeName;

/// `format_type` with its modifier, for messages.
pub(crate) fn display(ty: Type) -> String {
    if let Some(element) = ty.element()
        && !matches!(ty.oid, 22 | 30)
    {
        return format!("{}[]", display(element));
    }
    let name = match ty.oid {
        5077 => "anycompatible".to_string(),
        5078 => "anycompatiblearray".to_string(),
        5079 => "anycompatiblenonarray".to_string(),
        oid => info(oid).map_or_else(|| oid.to_string(), |i| i.display.to_string()),
    };
    if ty.modifier < 0 {
        return name;
    }
    match ty.oid {
        1700 => match ty.numeric_precision_scale() {
            Some((p, s)) => format!("numeric({p},{s})"),
            None => name,
        },
        1042 | 1043 => ty
            .char_length()
            .map_or(name.clone(), |n| format!("{name}({n})")),
        1083 => format!("time({}) without time zone", ty.modifier),
        1114 => format!("timestamp({}) without time zone", ty.modifier),
        1184 => format!("timestamp({}) with time zone", ty.modifier),
        1266 => format!("time({}) with time zone", ty.modifier),
        _ => name,
    }
}

fn named(name: &str) -> Option<Oid> {
    match name {
        "anycompatible" => return Some(5077),
        "anycompatiblearray" => return Some(5078),
        _ => {}
    }
    if let Some(element) = name.strip_prefix('_') {
        return named(element)
            .and_then(|oid| Type::new(oid).array_of())
            .map(|t| t.oid);
    }
    BUILTIN.iter().find(|i| i.name == name).map(|i| i.oid)
}

/// Known to PostgreSQL 15 and not here: refused as unsupported instead of as unknown.
const UNSUPPORTED: &[&str] = &[
    "money",
    "bit",
    "varbit",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "xml",
    "tsvector",
    "tsquery",
    "jsonpath",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "int4multirange",
    "int8multirange",
    "nummultirange",
    "tsmultirange",
    "tstzmultirange",
    "datemultirange",
    "pg_lsn",
    "txid_snapshot",
    "pg_snapshot",
    "xid8",
    "cid",
    "refcursor",
    "regconfig",
    "regdictionary",
    "regcollation",
    "gtsvector",
    "pg_ndistinct",
    "pg_dependencies",
    "pg_mcv_list",
];

impl Binder<'_> {
    /// A type name in an expression or a column definition.
    pub fn type_name(&self, name: &TypeName) -> Result<Type> {
        let TypeName {
            names,
            type_oid: _,
            setof,
            pct_type,
            typmods,
            typemod: _,
            array_bounds,
            location,
        } = name;
        if *setof {
            return self.unsupported("SETOF in a type name", *location);
        }
        if *pct_type {
            return self.unsupported("%TYPE", *location);
        }
        let names = strings(names)?;
        let (schema, base) = match names.as_slice() {
            [base] => (None, *base),
            [schema, base] => (Some(*schema), *base),
            [database, schema, base] => {
                self.check_database(database, &names, *location)?;
                (Some(*schema), *base)
            }
            _ => {
                let full = names.join(".");
                return Err(self.at(
                    error!(
                        SyntaxError,
                        "improper qualified name (too many dotted names): {full}"
                    ),
                    *location,
                ));
            }
        };
        if schema.is_some_and(|s| s != "pg_catalog") || named(base).is_none() {
            if schema.is_none_or(|s| s == "pg_catalog") && UNSUPPORTED.contains(&base) {
                return self.unsupported(format_args!("type {base}"), *location);
            }
            if let Some(schema) = schema
                && self
                    .cx
                    .catalog
                    .schema_named(self.cx.database, schema)
                    .is_none()
            {
                return Err(self.at(
                    error!(UndefinedSchema, "schema \"{schema}\" does not exist"),
                    *location,
                ));
            }
            let relation = self.find_relation(None, schema, base).is_some();
            if relation && schema != Some("pg_catalog") {
                return self.unsupported(
                    format_args!("row type of relation \"{base}\" as a type name"),
                    *location,
                );
            }
            let full = names.join(".") + if array_bounds.is_empty() { "" } else { "[]" };
            return Err(self.at(
                error!(UndefinedObject, "type \"{full}\" does not exist"),
                *location,
            ));
        }
        let oid = named(base).unwrap_or(Type::TEXT.oid);
        let modifiers = self.modifiers(typmods, *location)?;
        let ty = Type {
            oid,
            modifier: self.modifier(oid, &modifiers, *location)?,
        };
        if array_bounds.is_empty() {
            return Ok(ty);
        }
        match ty.array_of() {
            Some(array) => Ok(array),
            None => {
                let shown = display(ty);
                Err(self.at(
                    error!(
                        UndefinedObject,
                        "could not find array type for data type {shown}"
                    ),
                    *location,
                ))
            }
        }
    }

    fn modifiers(&self, typmods: &[pg_query::Node], location: i32) -> Result<Vec<i64>> {
        typmods
            .iter()
            .map(|node| {
                integer(inner(node)?).ok_or_else(|| {
                    self.at(
                        error!(
                            SyntaxError,
                            "type modifiers must be simple constants or identifiers"
                        ),
                        location,
                    )
                })
            })
            .collect()
    }

    /// PostgreSQL's `typmodin` of each type.
    fn modifier(&self, oid: Oid, modifiers: &[i64], location: i32) -> Result<i32> {
        let invalid =
            |message: String| Err(self.at(error!(InvalidParameterValue, "{message}"), location));
        match (oid, modifiers) {
            (_, []) => Ok(-1),
            (1042 | 1043, [n]) => {
                let name = if oid == 1042 { "char" } else { "varchar" };
                if *n < 1 {
                    return invalid(format!("length for type {name} must be at least 1"));
                }
                if *n > 10_485_760 {
                    return invalid(format!("length for type {name} cannot exceed 10485760"));
                }
                Ok(*n as i32 + 4)
            }
            (1700, [p, rest @ ..]) if rest.len() < 2 => {
                let s = rest.first().copied().unwrap_or(0);
                if !(1..=1000).contains(p) {
                    return invalid(format!("NUMERIC precision {p} must be between 1 and 1000"));
                }
                if !(-1000..=1000).contains(&s) {
                    return invalid(format!("NUMERIC scale {s} must be between -1000 and 1000"));
                }
                Ok(((*p as i32) << 16 | (s as i32 & 0x7ff)) + 4)
            }
            (1700, _) => invalid("invalid NUMERIC type modifier".into()),
            (1083 | 1114 | 1184 | 1266, [p]) => {
                if *p < 0 {
                    let name = if matches!(oid, 1083 | 1266) {
                        "TIME"
                    } else {
                        "TIMESTAMP"
                    };
                    let zone = if matches!(oid, 1184 | 1266) {
                        " WITH TIME ZONE"
                    } else {
                        ""
                    };
                    return invalid(format!("{name}({p}){zone} precision must not be negative"));
                }
                Ok((*p).min(6) as i32)
            }
            (1186, [range]) => Ok(if *range == 0x7fff {
                -1
            } else {
                (*range as i32) << 16 | 0xffff
            }),
            (1186, [range, p]) => {
                if *p < 0 {
                    return invalid(format!("INTERVAL({p}) precision must not be negative"));
                }
                Ok((*range as i32) << 16 | (*p).min(6) as i32)
            }
            (1042 | 1043 | 1083 | 1114 | 1184 | 1186 | 1266, _) => {
                invalid("invalid type modifier".into())
            }
            _ => {
                let shown = display(Type::new(oid));
                bail!(
                    SyntaxError,
                    "type modifier is not allowed for type \"{shown}\""
                )
            }
        }
    }
}
