//! Values in PostgreSQL's text format, with the names of catalog objects.

use helios_planner::catalog::Catalog;
use helios_planner::function::catalog::View;
use helios_planner::function::catalog::name::{object_name, parse_object};
use helios_types::text::{ByteWriter, TextContext, write_text};
use helios_types::{DatabaseId, Result, Type, Value, ValueRef};
use std::sync::Arc;

/// What the names of regclass and its like are looked up in.
#[derive(Clone, Debug)]
pub struct Names {
    pub catalog: Arc<Catalog>,
    pub database: DatabaseId,
    pub search_path: Vec<String>,
}

impl Names {
    /// A value of regclass or one of its like from its text.
    pub fn parse(&self, ty: Type, text: &str) -> Result<Value> {
        let view = View {
            catalog: self.catalog.clone(),
            database: self.database,
            search_path: self.search_path.clone(),
        };
        parse_object(ty, text, &view).map(Value::Oid)
    }
}

/// How a session prints values.
#[derive(Clone, Debug, Default)]
pub struct TextForm {
    pub context: TextContext,
    /// Present when a column of the result needs it.
    pub names: Option<Names>,
}

impl TextForm {
    /// Appends the value without its length; NULL appends nothing.
    pub fn write(&self, out: &mut Vec<u8>, value: &ValueRef<'_>, ty: Type) -> Result<()> {
        match value {
            // The commonest types of a result, without a detour.
            ValueRef::Int4(v) => out.extend_from_slice(itoa::Buffer::new().format(*v).as_bytes()),
            ValueRef::Int8(v) => out.extend_from_slice(itoa::Buffer::new().format(*v).as_bytes()),
            ValueRef::Text(v) if ty.oid != Type::BPCHAR.oid => {
                out.extend_from_slice(v.as_bytes());
            }
            ValueRef::Oid(oid) if prints_name(ty) => match &self.names {
                Some(names) => out.extend_from_slice(
                    object_name(ty, *oid, &names.catalog, names.database, &names.search_path)
                        .as_bytes(),
                ),
                None => out.extend_from_slice(itoa::Buffer::new().format(*oid).as_bytes()),
            },
            value => write_text(&mut ByteWriter(out), ty, value, &self.context)?,
        }
        Ok(())
    }
}

/// The types whose text is the name of a catalog object.
pub fn prints_name(ty: Type) -> bool {
    ty.is_oid_like() && ty.oid != Type::OID.oid
}
