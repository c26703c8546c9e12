//! Sorting more than fits into memory, and the merge that ends it.

use super::block::{Block, Head, head_of};
use super::files::{Files, family};
use super::run::{RunReader, RunWriter};
use super::{Duplicate, Job, Loaded, Spare};
use crate::database::{Cursor, CursorOptions};
use helios_types::{Error, Result};
use rocksdb::Options;
use std::cmp::Ordering;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Memory for sorted blocks of all loads under way.
const KEPT_BYTES: usize = 128 << 20;
/// What a load may keep although others keep much.
const KEPT_BYTES_MIN: usize = 8 << 20;
/// Entries that are worth a second thread.
const DIVIDED: usize = 1 << 16;
/// Run files that are merged at once.
const RUNS_MAX: usize = 64;

/// Takes blocks as they come.
pub(super) struct Sorter<'a> {
    job: &'a Job,
    options: &'a Options,
    files: Files<'a>,
    /// The last key in `files`; blocks behind it are appended.
    last: Vec<u8>,
    written: u64,
    kept: Vec<Block>,
    kept_bytes: usize,
    runs: Vec<PathBuf>,
    run_number: u32,
    used: Spare,
}

impl<'a> Sorter<'a> {
    pub(super) fn new(job: &'a Job, options: &'a Options, used: Spare) -> Self {
        Sorter {
            job,
            options,
            files: Files::new(options, job.directory.clone(), "a"),
            last: Vec::new(),
            written: 0,
            kept: Vec::new(),
            kept_bytes: 0,
            runs: Vec::new(),
            run_number: 0,
            used,
        }
    }

    /// What was taken in already.
    fn stored_entries(&self) -> Result<Cursor> {
        let range = self.job.prefix.range();
        let how = CursorOptions {
            no_fill_cache: true,
            readahead: 0,
        };
        Cursor::new(
            self.job.store.database(),
            family(self.job.space),
            &range.lo,
            range.hi.as_deref(),
            false,
            None,
            how,
        )
    }

    pub(super) fn take(&mut self, mut block: Block) -> Result<()> {
        let nothing_kept = self.kept.is_empty() && self.runs.is_empty();
        let follows = block.get(0).is_some_and(|e| e.key > self.last.as_slice());
        if nothing_kept && block.is_ascending() && follows {
            self.append(&block)?;
            self.used.give(block);
            return Ok(());
        }
        block.sort();
        let loads = &self.job.store.database().loads;
        let all = loads.keep(block.bytes());
        self.kept_bytes += block.bytes();
        self.kept.push(block);
        if all >= KEPT_BYTES && self.kept_bytes >= KEPT_BYTES_MIN {
            self.spill()?;
        }
        Ok(())
    }

    fn append(&mut self, block: &Block) -> Result<()> {
        for at in 0..block.len() {
            if let Some(entry) = block.get(at) {
                self.files.put(entry.key, entry.value)?;
            }
        }
        if let Some(entry) = block.len().checked_sub(1).and_then(|last| block.get(last)) {
            self.last.clear();
            self.last.extend_from_slice(entry.key);
        }
        self.written += block.len() as u64;
        Ok(())
    }

    /// Writes the kept blocks to a run file.
    fn spill(&mut self) -> Result<()> {
        let blocks = std::mem::take(&mut self.kept);
        let run = self.merge_to_run(blocks.into_iter().map(Source::block).collect())?;
        self.give_back();
        self.runs.push(run);
        if self.runs.len() >= RUNS_MAX {
            let runs = std::mem::take(&mut self.runs);
            let sources = runs.iter().map(|path| Source::run(path));
            let run = self.merge_to_run(sources.collect::<Result<_>>()?)?;
            self.runs.push(run);
            for path in runs {
                std::fs::remove_file(&path).map_err(|e| super::io(&path, &e))?;
            }
        }
        Ok(())
    }

    fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.kept_bytes);
        self.job.store.database().loads.give_back(bytes);
    }

    fn merge_to_run(&mut self, sources: Vec<Source>) -> Result<PathBuf> {
        self.run_number += 1;
        let path = self.job.directory.join(format!("{}.run", self.run_number));
        let mut out = RunWriter::create(path)?;
        let mut merge = Merge::new(sources);
        while let Some(source) = merge.first() {
            out.put(source.key(), source.value(), source.tag())?;
            merge.advance()?;
        }
        for block in merge.into_blocks() {
            self.used.give(block);
        }
        out.finish()
    }

    /// Puts everything together and takes it in.
    pub(super) fn finish(mut self) -> Result<Loaded> {
        let mut loaded = Loaded {
            entries: self.written,
            duplicate: None,
        };
        if self.kept.is_empty() && self.runs.is_empty() {
            let paths = self.files.finish()?;
            self.job.ingest(&paths)?;
            return Ok(loaded);
        }
        if self.written > 0 {
            // They are looked at again, for keys that came twice.
            let paths = self.files.finish()?;
            self.job.ingest(&paths)?;
        }
        if self.written == 0 && self.runs.is_empty() {
            return self.merge_divided();
        }
        let mut sources: Vec<Source> = std::mem::take(&mut self.kept)
            .into_iter()
            .map(Source::block)
            .collect();
        for path in &self.runs {
            sources.push(Source::run(path)?);
        }
        if self.written > 0 {
            sources.push(Source::Stored(self.stored_entries()?));
        }
        merge_to_files(sources, &mut self.files, &mut loaded)?;
        let paths = self.files.finish()?;
        self.job.ingest(&paths)?;
        Ok(loaded)
    }

    /// The same for what is in memory, by two threads: one for the smaller keys, one for the larger.
    fn merge_divided(&mut self) -> Result<Loaded> {
        let blocks: Vec<Arc<Block>> = std::mem::take(&mut self.kept)
            .into_iter()
            .map(Arc::new)
            .collect();
        let entries: usize = blocks.iter().map(|block| block.len()).sum();
        let largest = blocks.iter().max_by_key(|block| block.len());
        let middle = largest
            .filter(|_| entries >= DIVIDED)
            .and_then(|block| block.get(block.len() / 2))
            .map(|entry| entry.key.to_vec());
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        for block in &blocks {
            let end = match &middle {
                Some(key) => block.before(key),
                None => block.len(),
            };
            lower.push(Source::part(block, 0..end));
            upper.push(Source::part(block, end..block.len()));
        }
        let mut loaded = Loaded::default();
        let mut others = Files::new(self.options, self.job.directory.clone(), "b");
        let (mut paths, rest) = std::thread::scope(|scope| {
            let rest = scope.spawn(|| {
                let mut loaded = Loaded::default();
                merge_to_files(upper, &mut others, &mut loaded)?;
                Ok::<_, Error>((others.finish()?, loaded))
            });
            let own = merge_to_files(lower, &mut self.files, &mut loaded);
            let rest = rest.join();
            own?;
            let rest = rest.unwrap_or_else(|_| Err(Error::internal("a merge ended by itself")))?;
            Ok::<_, Error>((self.files.finish()?, rest))
        })?;
        let (more, rest) = rest;
        paths.extend(more);
        loaded.entries += rest.entries;
        if let Some(Duplicate { tag, key, value }) = rest.duplicate {
            loaded.note_duplicate(&key, &value, tag);
        }
        self.job.ingest(&paths)?;
        Ok(loaded)
    }
}

impl Drop for Sorter<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn merge_to_files(sources: Vec<Source>, files: &mut Files<'_>, loaded: &mut Loaded) -> Result<()> {
    let mut merge = Merge::new(sources);
    let mut last = Vec::new();
    while let Some(source) = merge.first() {
        let key = source.key();
        if key == last.as_slice() {
            loaded.note_duplicate(key, source.value(), source.tag());
        } else {
            last.clear();
            last.extend_from_slice(key);
            if !source.is_stored() {
                files.put(key, source.value())?;
                loaded.entries += 1;
            }
        }
        merge.advance()?;
    }
    Ok(())
}

/// Entries in key order.
enum Source {
    /// Entries of a sorted block from a place to another.
    Block {
        block: Arc<Block>,
        at: usize,
        end: usize,
    },
    Run(Box<RunReader>),
    Stored(Cursor),
}

impl Source {
    fn block(block: Block) -> Source {
        let all = 0..block.len();
        Source::part(&Arc::new(block), all)
    }

    fn part(block: &Arc<Block>, entries: Range<usize>) -> Source {
        Source::Block {
            block: block.clone(),
            at: entries.start,
            end: entries.end,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Source::Block { at, end, .. } => at == end,
            _ => self.key().is_empty(),
        }
    }

    /// Stands at the first entry of the file, which has some.
    fn run(path: &std::path::Path) -> Result<Source> {
        let mut reader = RunReader::open(path)?;
        reader.advance()?;
        Ok(Source::Run(Box::new(reader)))
    }

    fn is_stored(&self) -> bool {
        matches!(self, Source::Stored(_))
    }

    fn head(&self) -> Head {
        match self {
            Source::Block { block, at, .. } => block.get(*at).map_or(Head::default(), |e| e.head),
            Source::Run(reader) => reader.head,
            Source::Stored(_) => head_of(self.key()),
        }
    }

    fn key(&self) -> &[u8] {
        match self {
            Source::Block { block, at, .. } => block.get(*at).map_or(&[], |e| e.key),
            Source::Run(reader) => reader.key(),
            Source::Stored(cursor) => cursor.item().map_or(&[], |(key, _)| key),
        }
    }

    fn value(&self) -> &[u8] {
        match self {
            Source::Block { block, at, .. } => block.get(*at).map_or(&[], |e| e.value),
            Source::Run(reader) => reader.value(),
            Source::Stored(cursor) => cursor.item().map_or(&[], |(_, value)| value),
        }
    }

    fn tag(&self) -> u64 {
        match self {
            Source::Block { block, at, .. } => block.get(*at).map_or(0, |e| e.tag),
            Source::Run(reader) => reader.tag,
            // What is there came before everything else.
            Source::Stored(_) => 0,
        }
    }

    /// False at the end.
    fn advance(&mut self) -> Result<bool> {
        match self {
            Source::Block { at, end, .. } => {
                *at += 1;
                Ok(*at < *end)
            }
            Source::Run(reader) => reader.advance(),
            Source::Stored(cursor) => {
                cursor.advance();
                cursor.status()?;
                Ok(cursor.item().is_some())
            }
        }
    }

    /// The order of the entries that two sources stand at.
    fn order(&self, other: &Source) -> Ordering {
        self.key()
            .cmp(other.key())
            .then_with(|| other.is_stored().cmp(&self.is_stored()))
            .then_with(|| self.tag().cmp(&other.tag()))
    }
}

/// The entries of many sources in one order: a heap of sources, the first one on top.
struct Merge {
    sources: Vec<Source>,
    /// Places in `sources`, with the heads of the keys that they stand at.
    heap: Vec<(Head, usize)>,
}

impl Merge {
    fn new(sources: Vec<Source>) -> Merge {
        let heap = sources.iter().enumerate();
        let heap = heap.filter(|(_, source)| !source.is_empty());
        let mut merge = Merge {
            heap: heap.map(|(at, source)| (source.head(), at)).collect(),
            sources,
        };
        for at in (0..merge.heap.len() / 2).rev() {
            merge.sink(at);
        }
        merge
    }

    fn first(&self) -> Option<&Source> {
        self.sources.get(self.heap.first()?.1)
    }

    fn advance(&mut self) -> Result<()> {
        let Some((head, at)) = self.heap.first_mut() else {
            return Ok(());
        };
        let more = match self.sources.get_mut(*at) {
            Some(source) => {
                let more = source.advance()?;
                *head = source.head();
                more
            }
            None => false,
        };
        if !more {
            self.heap.swap_remove(0);
        }
        self.sink(0);
        Ok(())
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        let ((a_head, a), (b_head, b)) = (self.heap[a], self.heap[b]);
        match a_head.cmp(&b_head) {
            Ordering::Equal => self.sources[a].order(&self.sources[b]).is_lt(),
            order => order.is_lt(),
        }
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let mut first = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.is_before(child, first) {
                    first = child;
                }
            }
            if first == at {
                return;
            }
            self.heap.swap(at, first);
            at = first;
        }
    }

    fn into_blocks(self) -> impl Iterator<Item = Block> {
        self.sources.into_iter().filter_map(|source| match source {
            Source::Block { block, .. } => Arc::into_inner(block),
            _ => None,
        })
    }
}
