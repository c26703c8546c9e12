//! Scans of a key range: stored entries, merged with a transaction's own writes.

use crate::database::{Cursor, CursorOptions, Database, Epoch, Family};
use crate::history::{self, HistoryScan};
use crate::overlay::{Overlay, Written};
use crate::serializable::ReadSet;
use crate::snapshot::Snapshot;
use crate::space::{KeyRange, Space};
use helios_types::Result;
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

/// How a scan reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanOptions {
    /// From the last key to the first.
    pub reverse: bool,
    /// Whether blocks that are read stay in the cache; off for long scans of cold data.
    pub fill_cache: bool,
    /// Bytes to read ahead; zero leaves it to the store.
    pub readahead: usize,
}

impl Default for ScanOptions {
    fn default() -> Self {
        ScanOptions {
            reverse: false,
            fill_cache: true,
            readahead: 0,
        }
    }
}

impl ScanOptions {
    fn cursor(self) -> CursorOptions {
        CursorOptions {
            no_fill_cache: !self.fill_cache,
            readahead: self.readahead,
        }
    }
}

enum Base {
    Current(Cursor),
    History(Box<HistoryScan>),
    /// The range has no keys.
    Empty,
}

impl Base {
    #[inline]
    fn item(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Base::Current(cursor) => cursor.item(),
            Base::History(scan) => scan.item(),
            Base::Empty => None,
        }
    }

    #[inline]
    fn advance(&mut self) -> Result<()> {
        match self {
            Base::Current(cursor) => {
                cursor.advance();
                Ok(())
            }
            Base::History(scan) => scan.step(),
            Base::Empty => Ok(()),
        }
    }

    fn status(&self) -> Result<()> {
        match self {
            Base::Current(cursor) => cursor.status(),
            _ => Ok(()),
        }
    }
}

/// A transaction's own writes in a range, fetched some at a time.
struct OwnWrites {
    overlay: Arc<Overlay>,
    space: Space,
    range: KeyRange,
    limit: u32,
    reverse: bool,
    fetched: VecDeque<(Arc<[u8]>, Written)>,
    last: Option<Arc<[u8]>>,
    more: bool,
    batch: usize,
}

impl OwnWrites {
    fn head(&mut self) -> Option<&(Arc<[u8]>, Written)> {
        while self.fetched.is_empty() && self.more {
            let lo = Bound::Included(self.range.lo.as_slice());
            let hi = self
                .range
                .hi
                .as_deref()
                .map_or(Bound::Unbounded, Bound::Excluded);
            let bounds = match &self.last {
                Some(last) if self.reverse => (lo, Bound::Excluded(&**last)),
                Some(last) => (Bound::Excluded(&**last), hi),
                None => (lo, hi),
            };
            self.more = self.overlay.range(
                self.space,
                bounds,
                self.reverse,
                self.limit,
                self.batch,
                &mut self.fetched,
            );
            self.last = self.fetched.back().map(|(key, _)| key.clone());
            self.batch = (self.batch * 4).min(1024);
        }
        self.fetched.front()
    }
}

/// The entry that the scan stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Here {
    Nothing,
    Base,
    Own,
    /// The own write replaces the stored entry of the same key.
    Both,
}

/// What a scan reports to the transaction's read set.
struct Recorded {
    reads: Arc<ReadSet>,
    number: usize,
    space: Space,
    exhausted: bool,
    last: Vec<u8>,
}

/// A pull scan over a range, in key order. It owns what it reads from.
pub struct Scan {
    base: Base,
    own: Option<OwnWrites>,
    here: Here,
    reverse: bool,
    recorded: Option<Recorded>,
}

impl Scan {
    fn new(base: Base, reverse: bool) -> Scan {
        Scan {
            base,
            own: None,
            here: Here::Nothing,
            reverse,
            recorded: None,
        }
    }

    pub(crate) fn of_snapshot(
        snapshot: &Snapshot,
        space: Space,
        range: KeyRange,
        options: ScanOptions,
    ) -> Result<Scan> {
        let (db, epoch) = (&snapshot.state.db, &snapshot.state.epoch);
        if db.loads.hide(&range.lo, snapshot.ts()) {
            return Ok(Self::new(Base::Empty, options.reverse));
        }
        let Some(at) = snapshot.as_of else {
            return Self::of_current(db, Some(epoch.clone()), space, &range, options);
        };
        history::check_reach(&snapshot.state.history, space, &range.lo, at)?;
        if range.is_empty() {
            return Ok(Self::new(Base::Empty, options.reverse));
        }
        let how = options.cursor();
        let scan = HistoryScan::new(db, epoch, space, &range, at, options.reverse, how)?;
        Ok(Self::new(Base::History(Box::new(scan)), options.reverse))
    }

    /// The state at `epoch`, or the newest one.
    pub(crate) fn of_current(
        db: &Arc<Database>,
        epoch: Option<Arc<Epoch>>,
        space: Space,
        range: &KeyRange,
        options: ScanOptions,
    ) -> Result<Scan> {
        if range.is_empty() {
            return Ok(Self::new(Base::Empty, options.reverse));
        }
        let cursor = Cursor::new(
            db,
            Family::Current(space),
            &range.lo,
            range.hi.as_deref(),
            options.reverse,
            epoch,
            options.cursor(),
        )?;
        Ok(Self::new(Base::Current(cursor), options.reverse))
    }

    /// Merges in the writes of commands before `limit`.
    pub(crate) fn with_own_writes(
        mut self,
        overlay: &Arc<Overlay>,
        space: Space,
        range: &KeyRange,
        limit: u32,
    ) -> Scan {
        self.own = Some(OwnWrites {
            overlay: overlay.clone(),
            space,
            range: range.clone(),
            limit,
            reverse: self.reverse,
            fetched: VecDeque::new(),
            last: None,
            more: true,
            batch: 4,
        });
        self
    }

    /// Reports to `reads` what the scan has read when it ends.
    pub(crate) fn recorded_in(
        mut self,
        reads: &Arc<ReadSet>,
        space: Space,
        range: KeyRange,
    ) -> Scan {
        let number = reads.range(space, range);
        self.recorded = Some(Recorded {
            reads: reads.clone(),
            number,
            space,
            exhausted: false,
            last: Vec::new(),
        });
        self
    }

    /// The next entry: key and value (header and body).
    #[inline]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.leave()?;
        match &self.own {
            None => {
                self.here = if self.base.item().is_some() {
                    Here::Base
                } else {
                    Here::Nothing
                }
            }
            Some(_) => self.choose()?,
        }
        if self.here == Here::Nothing {
            self.base.status()?;
            if let Some(recorded) = &mut self.recorded {
                recorded.exhausted = true;
            }
            return Ok(None);
        }
        self.note();
        Ok(self.item())
    }

    fn item(&self) -> Option<(&[u8], &[u8])> {
        match self.here {
            Here::Nothing => None,
            Here::Base => self.base.item(),
            Here::Own | Here::Both => {
                let (key, written) = self.own.as_ref()?.fetched.front()?;
                Some((key, written.as_deref().unwrap_or_default()))
            }
        }
    }

    /// Moves past the entry that was given out last.
    #[inline]
    fn leave(&mut self) -> Result<()> {
        let here = std::mem::replace(&mut self.here, Here::Nothing);
        if matches!(here, Here::Base | Here::Both) {
            self.base.advance()?;
        }
        if matches!(here, Here::Own | Here::Both)
            && let Some(own) = &mut self.own
        {
            own.fetched.pop_front();
        }
        Ok(())
    }

    /// Finds the next entry of the merge, passing own deletions.
    fn choose(&mut self) -> Result<()> {
        loop {
            let Some(own) = &mut self.own else {
                return Ok(());
            };
            let base = self.base.item().map(|(key, _)| key);
            let (here, deleted) = match (base, own.head()) {
                (None, None) => (Here::Nothing, false),
                (Some(_), None) => (Here::Base, false),
                (None, Some((_, written))) => (Here::Own, written.is_none()),
                (Some(base), Some((key, written))) => {
                    let order = if self.reverse {
                        key[..].cmp(base)
                    } else {
                        base.cmp(&key[..])
                    };
                    match order {
                        std::cmp::Ordering::Less => (Here::Base, false),
                        std::cmp::Ordering::Equal => (Here::Both, written.is_none()),
                        std::cmp::Ordering::Greater => (Here::Own, written.is_none()),
                    }
                }
            };
            self.here = here;
            if !deleted {
                return Ok(());
            }
            self.leave()?;
        }
    }

    fn note(&mut self) {
        let Some(mut recorded) = self.recorded.take() else {
            return;
        };
        if let Some((key, _)) = self.item() {
            recorded.last.clear();
            recorded.last.extend_from_slice(key);
        }
        self.recorded = Some(recorded);
    }

    /// Fills `block` with the next entries, up to `max_rows` of them and about `max_bytes` bytes;
    /// false when the scan had ended before.
    pub fn next_block(
        &mut self,
        block: &mut Block,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<bool> {
        block.clear();
        while block.len() < max_rows && block.data.len() < max_bytes {
            match self.next()? {
                Some((key, value)) => block.push(key, value),
                None => break,
            }
        }
        Ok(!block.is_empty())
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        if let Some(recorded) = &self.recorded
            && !recorded.exhausted
            && !recorded.last.is_empty()
        {
            recorded.reads.narrow(
                recorded.number,
                recorded.space,
                &recorded.last,
                self.reverse,
            );
        }
    }
}

/// Many entries in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct Block {
    data: Vec<u8>,
    /// Where the key and the value of each entry end.
    ends: Vec<(usize, usize)>,
}

impl Block {
    pub fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.data.extend_from_slice(key);
        let key_end = self.data.len();
        self.data.extend_from_slice(value);
        self.ends.push((key_end, self.data.len()));
    }

    /// Key and value of an entry.
    pub fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let (key_end, end) = *self.ends.get(index)?;
        let begin = if index == 0 {
            0
        } else {
            self.ends.get(index - 1)?.1
        };
        Some((self.data.get(begin..key_end)?, self.data.get(key_end..end)?))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.len()).filter_map(|i| self.get(i))
    }
}
