//! Reads of the key-value executor.

use super::access::Target;
use super::{KvPlan, Output};
use crate::kernel::index::row_key;
use crate::kernel::reach::may_repeat;
use crate::kernel::read::{Cell, RowView};
use crate::kernel::runtime::TableRuntime;
use foldhash::{HashSet, HashSetExt};
use helios_planner::scalar::{CompiledExpr, Env};
use helios_storage::{Pinned, ReadView, Scan, ScanOptions, Space, Store};
use helios_types::value::RowSink;
use helios_types::{Error, Result, Value, ValueRef};
use smallvec::SmallVec;

/// What a read looks at: a transaction's view, or the newest commit.
pub(crate) enum Source<'a> {
    Latest(&'a Store),
    View(&'a ReadView, &'a Store),
}

impl Source<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Pinned<'_>>> {
        match self {
            Source::Latest(store) => store.get(Space::Row, key),
            Source::View(view, _) => view.get(Space::Row, key),
        }
    }
}

impl KvPlan {
    /// Whether the plan can run on the newest commit without a snapshot: it looks at one row.
    pub(crate) fn is_point_read(&self) -> bool {
        matches!(self, KvPlan::Read { access, .. } if access.point().is_some())
    }

    /// Runs a read; gives the number of rows.
    pub(crate) fn read(
        &self,
        source: &Source<'_>,
        env: &mut dyn Env,
        now_ms: u64,
        key_buffer: &mut Vec<u8>,
        sink: &mut dyn RowSink,
    ) -> Result<u64> {
        let KvPlan::Read {
            rt,
            access,
            filter,
            output,
        } = self
        else {
            return Err(Error::internal("not a read"));
        };
        let mut emit = Emit {
            rt,
            filter: filter.as_ref(),
            output,
            now_ms,
            limit: u64::MAX,
            offset: 0,
            n: 0,
        };
        if let Some(key) = access.point() {
            key_buffer.clear();
            key_buffer.extend_from_slice(&rt.prefix.bytes());
            if super::access::append_key(rt, key, env, key_buffer)?
                && let Some(value) = source.get(key_buffer)?
            {
                emit.value(&value, env, sink)?;
            }
            return Ok(emit.n);
        }
        (emit.limit, emit.offset) = access.window(env)?;
        let Source::View(view, store) = source else {
            return Err(Error::internal("range read without a view"));
        };
        let target = access.target(rt, env, &|index| may_repeat(store, view, index))?;
        match target {
            Target::Nothing => {}
            Target::Keys(keys) => {
                for key in &keys {
                    if emit.n < emit.limit
                        && let Some(value) = view.get(Space::Row, key)?
                    {
                        emit.value(&value, env, sink)?;
                    }
                }
            }
            Target::Ranges {
                space,
                ranges,
                reverse,
                repeats,
            } => {
                let options = ScanOptions {
                    reverse,
                    ..ScanOptions::default()
                };
                let mut seen = repeats.then(HashSet::new);
                for range in ranges {
                    let scan = view.scan(space, range, options)?;
                    emit.scan(space, scan, view, &mut seen, env, sink)?;
                }
            }
        }
        Ok(emit.n)
    }
}

/// Filters, cuts out the window and hands on rows.
struct Emit<'a> {
    rt: &'a TableRuntime,
    filter: Option<&'a CompiledExpr>,
    output: &'a Output,
    now_ms: u64,
    limit: u64,
    offset: u64,
    n: u64,
}

impl Emit<'_> {
    /// The rows of one range. `seen` has the keys given so far, where a row may come again.
    fn scan(
        &mut self,
        space: Space,
        mut scan: Scan,
        view: &ReadView,
        seen: &mut Option<HashSet<Vec<u8>>>,
        env: &mut dyn Env,
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        let mut rows = 0u32;
        while self.n < self.limit {
            rows = rows.wrapping_add(1);
            if rows.is_multiple_of(16) {
                env.functions().checkpoint()?;
            }
            let Some((_, value)) = scan.next()? else {
                break;
            };
            if space == Space::Row {
                self.value(value, env, sink)?;
                continue;
            }
            let (_, body) = helios_storage::split_header(value)?;
            let key = row_key(self.rt, body);
            if let Some(value) = view.get(Space::Row, &key)?
                && seen.as_mut().is_none_or(|seen| seen.insert(key))
            {
                self.value(&value, env, sink)?;
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &[u8], env: &mut dyn Env, sink: &mut dyn RowSink) -> Result<()> {
        let Some(view) = self.rt.view(value, self.now_ms)? else {
            return Ok(());
        };
        match (self.filter, self.output) {
            (None, Output::Places(places)) => {
                if self.passes() {
                    emit_places(&view, places, sink)?;
                }
            }
            (filter, output) => {
                let row = view.to_values()?;
                if let Some(filter) = filter
                    && !filter.holds(&row, env)?
                {
                    return Ok(());
                }
                if !self.passes() {
                    return Ok(());
                }
                match output {
                    Output::Places(places) => emit_places(&view, places, sink)?,
                    Output::Expressions(exprs) => emit_expressions(&row, exprs, env, sink)?,
                }
            }
        }
        Ok(())
    }

    /// Counts a row that matched; whether it is in the window.
    fn passes(&mut self) -> bool {
        if self.offset > 0 {
            self.offset -= 1;
            return false;
        }
        self.n += 1;
        true
    }
}

fn emit_places(view: &RowView<'_>, places: &[usize], sink: &mut dyn RowSink) -> Result<()> {
    let cells: SmallVec<[Cell<'_>; 16]> = places
        .iter()
        .map(|&place| view.column(place))
        .collect::<Result<_>>()?;
    let values: SmallVec<[ValueRef<'_>; 16]> = cells.iter().map(Cell::as_ref).collect();
    sink.row(&values)
}

/// Evaluates and hands on one row.
pub(crate) fn emit_expressions(
    row: &[Value],
    exprs: &[CompiledExpr],
    env: &mut dyn Env,
    sink: &mut dyn RowSink,
) -> Result<()> {
    let values: SmallVec<[Value; 16]> = exprs
        .iter()
        .map(|e| e.eval(row, env))
        .collect::<Result<_>>()?;
    let values: SmallVec<[ValueRef<'_>; 16]> = values.iter().map(Value::as_ref).collect();
    sink.row(&values)
}
