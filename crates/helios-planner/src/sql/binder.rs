//! What binding one statement keeps: context, levels, parameters, privileges.

use super::parse::character;
use super::scope::Level;
use crate::catalog::Catalog;
use crate::function::{Registry, registry};
use crate::pgtype;
use crate::template::RequiredPrivilege;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Placeholder;
use helios_types::limits::PARAMETERS_MAX;
use helios_types::{DatabaseId, Error, ErrorKind, ObjectId, Result, Type, bail, error};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Deepest nesting of expressions and queries that is bound.
const DEPTH_MAX: u32 = 400;

/// What a statement is bound against.
#[derive(Clone)]
pub struct BindContext<'a> {
    pub catalog: Arc<Catalog>,
    pub database: DatabaseId,
    /// Names of schemas as `search_path` lists them; `"$user"` is understood.
    pub search_path: &'a [String],
    /// The schema of the session's temporary tables, searched first when there is one.
    pub temp_schema: Option<ObjectId>,
    pub role: ObjectId,
    /// Parameter types that the client declared; `None` is inferred.
    pub param_types: &'a [Option<Type>],
    pub registry: &'static Registry,
}

impl<'a> BindContext<'a> {
    pub fn new(
        catalog: Arc<Catalog>,
        database: DatabaseId,
        search_path: &'a [String],
        role: ObjectId,
    ) -> Self {
        BindContext {
            catalog,
            database,
            search_path,
            temp_schema: None,
            role,
            param_types: &[],
            registry: registry(),
        }
    }
}

/// A bound expression: every cast in place, and the SQL type it has.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub expr: Expr,
    pub ty: Type,
    /// Byte offset in the source for error messages, -1 when there is none.
    pub at: i32,
    /// Of the whole row of a FROM item: its columns' names, which the record does not carry.
    pub names: Option<Rc<[String]>>,
}

impl Typed {
    pub fn new(expr: Expr, ty: Type, at: i32) -> Self {
        Typed {
            expr,
            ty,
            at,
            names: None,
        }
    }

    pub fn bool(expr: Expr, at: i32) -> Self {
        Typed::new(expr, Type::BOOL, at)
    }

    pub fn is_unknown(&self) -> bool {
        self.ty.oid == Type::UNKNOWN.oid
    }
}

pub(crate) struct Binder<'a> {
    pub cx: BindContext<'a>,
    source: Option<Arc<str>>,
    pub levels: Vec<Level>,
    params: Vec<Option<Type>>,
    /// How often a qualifier or generated name was handed out.
    names: HashMap<String, u32>,
    pub privileges: Vec<RequiredPrivilege>,
    /// Inside a view: its owner.
    pub as_role: Option<ObjectId>,
    pub writes: bool,
    next_cte: u32,
    depth: u32,
    /// Views being expanded, so that one that names itself is refused.
    pub views: Vec<ObjectId>,
    /// Defaults, CHECK and the like: why subqueries, aggregates and parameters are refused.
    pub table_expression: Option<&'static str>,
}

impl<'a> Binder<'a> {
    pub fn new(cx: BindContext<'a>, source: Option<Arc<str>>) -> Self {
        let params = cx
            .param_types
            .iter()
            .map(|ty| ty.filter(|ty| ty.oid != Type::UNKNOWN.oid))
            .collect();
        Binder {
            cx,
            source,
            levels: Vec::new(),
            params,
            names: HashMap::new(),
            privileges: Vec::new(),
            as_role: None,
            writes: false,
            next_cte: 0,
            depth: 0,
            views: Vec::new(),
            table_expression: None,
        }
    }

    /// Runs `f` with another source text (or none), for text that comes from the catalog.
    pub fn with_source<T>(
        &mut self,
        source: Option<Arc<str>>,
        f: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let outer = std::mem::replace(&mut self.source, source);
        let result = f(self);
        self.source = outer;
        result
    }

    pub fn source(&self) -> Option<&Arc<str>> {
        self.source.as_ref()
    }

    /// Counts one more level of nesting around `f`.
    pub fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(
                error!(LimitExceeded, "stack depth limit exceeded").with_sqlstate(*b"54001")
            );
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    /// The error with the position of a byte offset in the source.
    pub fn at(&self, error: Error, location: i32) -> Error {
        match (&self.source, usize::try_from(location)) {
            (Some(source), Ok(offset)) => error.with_position(character(source, offset)),
            _ => error,
        }
    }

    /// Refuses a clause by its name.
    pub fn unsupported<T>(&self, what: impl std::fmt::Display, location: i32) -> Result<T> {
        Err(self.at(Error::unsupported(what), location))
    }

    /// A name that nothing else in the statement has, made from `base`.
    pub fn unique(&mut self, base: &str) -> String {
        let clean: String = base
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '_' {
                    c.to_ascii_lowercase()
                } else {
                    '_'
                }
            })
            .collect();
        let clean = if clean.is_empty() || clean.starts_with(|c: char| c.is_ascii_digit()) {
            format!("t_{clean}")
        } else {
            clean
        };
        loop {
            let count = self.names.entry(clean.clone()).or_insert(0);
            *count += 1;
            let name = if *count == 1 {
                clean.clone()
            } else {
                format!("{clean}_{count}")
            };
            if *count == 1 || !self.names.contains_key(&name) {
                self.names.entry(name.clone()).or_insert(1);
                return name;
            }
        }
    }

    /// Keeps a name from being handed out by [`Binder::unique`].
    pub fn reserve(&mut self, name: &str) {
        self.names.entry(name.to_string()).or_insert(1);
    }

    pub fn next_cte(&mut self) -> u32 {
        self.next_cte += 1;
        self.next_cte
    }

    pub fn require(&mut self, relation: ObjectId, privilege: char) {
        let needed = RequiredPrivilege {
            relation,
            privilege,
            as_role: self.as_role,
        };
        if !self.privileges.contains(&needed) {
            self.privileges.push(needed);
        }
    }

    /// `$n` as it stands: of its known type, or unknown until its surroundings decide.
    pub fn parameter(&mut self, number: i32, location: i32) -> Result<Typed> {
        let index = usize::try_from(number).unwrap_or(0);
        if self.table_expression.is_some() || index == 0 || index > PARAMETERS_MAX {
            return Err(self.at(
                error!(UndefinedParameter, "there is no parameter ${number}"),
                location,
            ));
        }
        if self.params.len() < index {
            self.params.resize(index, None);
        }
        let ty = self.params[index - 1].unwrap_or(Type::UNKNOWN);
        Ok(Typed::new(placeholder(index, ty), ty, location))
    }

    /// Gives an unknown parameter its type.
    pub fn decide_parameter(&mut self, id: &str, ty: Type, location: i32) -> Result<Typed> {
        let index: usize = id
            .trim_start_matches('$')
            .parse()
            .map_err(Error::internal)?;
        let base = Type::new(ty.oid);
        let slot = self
            .params
            .get_mut(index - 1)
            .ok_or_else(|| Error::internal("parameter number"))?;
        match slot {
            None => *slot = Some(base),
            Some(decided) if *decided == base => {}
            Some(decided) => {
                let detail = format!(
                    "{} versus {}",
                    super::type_name::display(*decided),
                    super::type_name::display(base)
                );
                let error = Error::new(
                    ErrorKind::AmbiguousFunction,
                    format!("inconsistent types deduced for parameter ${index}"),
                )
                .with_detail(detail)
                .with_sqlstate(*b"42P08");
                return Err(self.at(error, location));
            }
        }
        Ok(Typed::new(placeholder(index, base), base, location))
    }

    /// All parameters' types once the statement is bound.
    pub fn parameter_types(&self) -> Result<Vec<Type>> {
        let mut types = Vec::with_capacity(self.params.len());
        for (i, ty) in self.params.iter().enumerate() {
            match ty {
                Some(ty) => types.push(*ty),
                None => {
                    let number = i + 1;
                    bail!(
                        IndeterminateDatatype,
                        "could not determine data type of parameter ${number}"
                    );
                }
            }
        }
        Ok(types)
    }

    pub fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }
}

fn placeholder(index: usize, ty: Type) -> Expr {
    let id = format!("${index}");
    let field = pgtype::field_ref(id.clone(), ty);
    Expr::Placeholder(Placeholder::new_with_field(id, Some(field)))
}

/// DataFusion's own refusals of a plan that the binder made are faults of the binder.
pub(crate) fn internal(error: datafusion::common::DataFusionError) -> Error {
    Error::internal(error)
}
