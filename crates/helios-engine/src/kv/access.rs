//! Keys and ranges of a program, computed from its parameters.

use crate::apply::ValueBound;
use crate::kernel::index::IndexRuntime;
use crate::kernel::reach::{Reach, each_range};
use crate::kernel::runtime::TableRuntime;
use helios_planner::scalar::{CompiledExpr, Env};
use helios_planner::template::{AccessPath, Bound, KvAccess};
use helios_storage::{KeyColumn, KeyRange, Prefix, Space, encode_bson_key, encode_key};
use helios_types::{Error, ErrorKind, ObjectId, Result, Value};
use smallvec::SmallVec;

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
    Each {
        index: Option<usize>,
        equal: Vec<CompiledExpr>,
        values: CompiledExpr,
    },
}

#[derive(Debug)]
struct RangePath {
    /// Position in `TableRuntime::indexes`; `None` is the row key itself.
    index: Option<usize>,
    equal: Vec<CompiledExpr>,
    lower: Option<(CompiledExpr, bool)>,
    upper: Option<(CompiledExpr, bool)>,
    reverse: bool,
    ordered: bool,
}

/// Where to look, with parameters filled in.
#[derive(Debug)]
pub(crate) enum Target {
    /// No row can match: a key value is NULL.
    Nothing,
    Keys(Vec<Vec<u8>>),
    Ranges {
        space: Space,
        ranges: SmallVec<[KeyRange; 1]>,
        reverse: bool,
        /// Whether a row may be reached more than once.
        repeats: bool,
    },
}

/// Tells whether documents may have several entries in an index.
pub(crate) type Repeats<'a> = &'a dyn Fn(Prefix) -> bool;

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
                ordered,
            } => Path::Range(RangePath {
                index: index_position(rt, *index)?,
                equal: compile_all(equal)?,
                lower: compile_bound(lower)?,
                upper: compile_bound(upper)?,
                reverse: *reverse,
                ordered: *ordered,
            }),
            AccessPath::Each {
                index,
                equal,
                values,
            } => Path::Each {
                index: index_position(rt, *index)?,
                equal: compile_all(equal)?,
                values: compile(values)?,
            },
            AccessPath::Full { reverse } => Path::Range(RangePath {
                index: None,
                equal: Vec::new(),
                lower: None,
                upper: None,
                reverse: *reverse,
                ordered: false,
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

    pub(crate) fn target(
        &self,
        rt: &TableRuntime,
        env: &mut dyn Env,
        repeats: Repeats<'_>,
    ) -> Result<Target> {
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
            Path::Range(path) => path.target(rt, env, repeats),
            Path::Each {
                index,
                equal,
                values,
            } => {
                let index = index.map(|at| &rt.indexes[at]);
                let (Some(equal), Value::Jsonb(values)) =
                    (values_of(equal, env)?, values.eval(&[], env)?)
                else {
                    return Ok(Target::Nothing);
                };
                let ranges = each_range(rt, index, &equal, &values)?;
                Ok(match index {
                    None => Target::Keys(ranges.into_iter().map(|range| range.lo).collect()),
                    Some(index) => Target::Ranges {
                        space: Space::Index,
                        ranges: ranges.into(),
                        reverse: false,
                        repeats: repeats(index.prefix),
                    },
                })
            }
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

/// The place of an index in `TableRuntime::indexes`; `None` for the table's own key.
fn index_position(rt: &TableRuntime, id: Option<ObjectId>) -> Result<Option<usize>> {
    let primary = rt.table.primary_key().map(|i| i.id);
    let Some(id) = id.filter(|id| Some(*id) != primary) else {
        return Ok(None);
    };
    match rt.indexes.iter().position(|i| i.index.id == id) {
        Some(at) => Ok(Some(at)),
        None => Err(Error::internal("plan names an index that is gone")),
    }
}

/// Values that a key has to equal; `None` when one is NULL, which equals nothing.
fn values_of(exprs: &[CompiledExpr], env: &mut dyn Env) -> Result<Option<Vec<Value>>> {
    let mut values = Vec::with_capacity(exprs.len());
    for expr in exprs {
        match expr.eval(&[], env)? {
            Value::Null => return Ok(None),
            value => values.push(value),
        }
    }
    Ok(Some(values))
}

impl RangePath {
    fn target(&self, rt: &TableRuntime, env: &mut dyn Env, repeats: Repeats<'_>) -> Result<Target> {
        let index: Option<&IndexRuntime> = self.index.map(|at| &rt.indexes[at]);
        let Some(equal) = values_of(&self.equal, env)? else {
            return Ok(Target::Nothing);
        };
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
        let reach = Reach {
            equal,
            lower,
            upper,
            ordered: self.ordered,
        };
        let several = rt.is_document() && index.is_some_and(|index| repeats(index.prefix));
        let range = reach.range(rt, index, |_| several)?;
        Ok(Target::Ranges {
            space: match index {
                Some(_) => Space::Index,
                None => Space::Row,
            },
            ranges: SmallVec::from_buf([range]),
            reverse: self.reverse,
            repeats: several,
        })
    }
}
