//! Keys and ranges of a program, computed from its parameters.

use crate::apply::ValueBound;
use crate::kernel::reader::key_range;
use crate::kernel::runtime::TableRuntime;
use helios_planner::scalar::{CompiledExpr, Env};
use helios_planner::template::{AccessPath, Bound, KvAccess};
use helios_storage::{KeyColumn, KeyRange, Space, encode_bson_key, encode_key};
use helios_types::{Error, ErrorKind, Result, Value};

#[derive(Debug)]
pub(crate) struct Access {
    path: Path,
    limit: Option<CompiledExpr>,
    offset: Option<CompiledExpr>,
}

#[derive(Debug)]
enum Path {
    Point(Vec<CompiledExpr>),
    Points(Vec<Vec<CompiledExpr>>),
    Range(RangePath),
}

#[derive(Debug)]
struct RangePath {
    /// Position in `TableRuntime::indexes`; `None` is the row key itself.
    index: Option<usize>,
    equal: Vec<CompiledExpr>,
    lower: Option<(CompiledExpr, bool)>,
    upper: Option<(CompiledExpr, bool)>,
    reverse: bool,
}

/// Where to look, with parameters filled in.
#[derive(Debug)]
pub(crate) enum Target {
    /// No row can match: a key value is NULL.
    Nothing,
    Keys(Vec<Vec<u8>>),
    Range {
        space: Space,
        range: KeyRange,
        reverse: bool,
    },
}

fn compile(expr: &datafusion::logical_expr::Expr) -> Result<CompiledExpr> {
    CompiledExpr::compile(expr, &datafusion::common::DFSchema::empty())
}

fn compile_all(exprs: &[datafusion::logical_expr::Expr]) -> Result<Vec<CompiledExpr>> {
    exprs.iter().map(compile).collect()
}

fn compile_bound(bound: &Option<Bound>) -> Result<Option<(CompiledExpr, bool)>> {
    bound
        .as_ref()
        .map(|b| Ok((compile(&b.value)?, b.inclusive)))
        .transpose()
}

impl Access {
    pub(crate) fn compile(access: &KvAccess, rt: &TableRuntime) -> Result<Self> {
        let path = match &access.path {
            AccessPath::Point(key) => Path::Point(compile_all(key)?),
            AccessPath::Points(keys) => {
                Path::Points(keys.iter().map(|k| compile_all(k)).collect::<Result<_>>()?)
            }
            AccessPath::Range {
                index,
                equal,
                lower,
                upper,
                reverse,
            } => {
                let primary = rt.table.primary_key().map(|i| i.id);
                let index = match index {
                    Some(id) if Some(*id) != primary => Some(
                        rt.indexes
                            .iter()
                            .position(|i| i.index.id == *id)
                            .ok_or_else(|| Error::internal("plan names an index that is gone"))?,
                    ),
                    _ => None,
                };
                Path::Range(RangePath {
                    index,
                    equal: compile_all(equal)?,
                    lower: compile_bound(lower)?,
                    upper: compile_bound(upper)?,
                    reverse: *reverse,
                })
            }
            AccessPath::Full { reverse } => Path::Range(RangePath {
                index: None,
                equal: Vec::new(),
                lower: None,
                upper: None,
                reverse: *reverse,
            }),
        };
        let optional = |e: &Option<_>| e.as_ref().map(compile).transpose();
        Ok(Access {
            path,
            limit: optional(&access.limit)?,
            offset: optional(&access.offset)?,
        })
    }

    /// Whether at most one row can match, and it is named by its key.
    pub(crate) fn point(&self) -> Option<&[CompiledExpr]> {
        match &self.path {
            Path::Point(key) if self.limit.is_none() && self.offset.is_none() => Some(key),
            _ => None,
        }
    }

    pub(crate) fn target(&self, rt: &TableRuntime, env: &mut dyn Env) -> Result<Target> {
        match &self.path {
            Path::Point(key) => {
                let mut out = rt.prefix.bytes().to_vec();
                Ok(if append_key(rt, key, env, &mut out)? {
                    Target::Keys(vec![out])
                } else {
                    Target::Nothing
                })
            }
            Path::Points(keys) => {
                let mut found = Vec::with_capacity(keys.len());
                for key in keys {
                    let mut out = rt.prefix.bytes().to_vec();
                    if append_key(rt, key, env, &mut out)? {
                        found.push(out);
                    }
                }
                found.sort();
                found.dedup();
                Ok(Target::Keys(found))
            }
            Path::Range(path) => path.target(rt, env),
        }
    }

    /// Rows to return and rows to skip first.
    pub(crate) fn window(&self, env: &mut dyn Env) -> Result<(u64, u64)> {
        let limit = row_count(self.limit.as_ref(), env, "LIMIT")?.unwrap_or(u64::MAX);
        let offset = row_count(self.offset.as_ref(), env, "OFFSET")?.unwrap_or(0);
        Ok((limit, offset))
    }
}

/// The value of a LIMIT or OFFSET; NULL means none.
pub(crate) fn row_count(
    expr: Option<&CompiledExpr>,
    env: &mut dyn Env,
    clause: &str,
) -> Result<Option<u64>> {
    let Some(expr) = expr else { return Ok(None) };
    let value = expr.eval(&[], env)?;
    if value.is_null() {
        return Ok(None);
    }
    let Some(n) = value.as_i64() else {
        return Err(Error::internal(format!("{clause} is not an integer")));
    };
    u64::try_from(n).map(Some).map_err(|_| {
        Error::new(
            ErrorKind::InvalidRowCount,
            format!("{clause} must not be negative"),
        )
        .with_sqlstate(if clause == "LIMIT" {
            *b"2201W"
        } else {
            *b"2201X"
        })
    })
}

/// Appends a row key; false when a value is NULL, which equals nothing.
pub(crate) fn append_key(
    rt: &TableRuntime,
    key: &[CompiledExpr],
    env: &mut dyn Env,
    out: &mut Vec<u8>,
) -> Result<bool> {
    for expr in key {
        match expr.eval(&[], env)? {
            Value::Null => return Ok(false),
            Value::Jsonb(id) if rt.is_document() => encode_bson_key(out, id.as_ref(), false)?,
            value => encode_key(out, value.as_ref(), KeyColumn::ASC)?,
        }
    }
    Ok(true)
}

impl RangePath {
    fn target(&self, rt: &TableRuntime, env: &mut dyn Env) -> Result<Target> {
        let (space, prefix, columns): (_, _, Vec<KeyColumn>) = match self.index {
            Some(at) => {
                let index = &rt.indexes[at];
                (
                    Space::Index,
                    index.prefix.bytes().to_vec(),
                    index.columns.iter().map(|(_, c)| *c).collect(),
                )
            }
            None => (
                Space::Row,
                rt.prefix.bytes().to_vec(),
                vec![KeyColumn::ASC; rt.key.len()],
            ),
        };
        let mut equal = Vec::with_capacity(self.equal.len());
        for expr in &self.equal {
            match expr.eval(&[], env)? {
                Value::Null => return Ok(Target::Nothing),
                value => equal.push(value),
            }
        }
        let mut bounds = [None, None];
        for (slot, bound) in bounds.iter_mut().zip([&self.lower, &self.upper]) {
            let Some((expr, inclusive)) = bound else {
                continue;
            };
            match expr.eval(&[], env)? {
                Value::Null => return Ok(Target::Nothing),
                value => {
                    *slot = Some(ValueBound {
                        value,
                        inclusive: *inclusive,
                    })
                }
            }
        }
        let [lower, upper] = bounds;
        let range = key_range(prefix, &columns, &equal, &lower, &upper)?;
        Ok(Target::Range {
            space,
            range,
            reverse: self.reverse,
        })
    }
}
