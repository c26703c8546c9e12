//! What the preloaded library (power_loss.c) wrote down: changes to files and directories, and the
//! syncs that cover them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file, whatever its name is at the moment.
pub type Inode = u64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Bytes written at a place; `lost` is what stood there.
    Write {
        file: Inode,
        at: u64,
        length: u64,
        size_before: u64,
        lost: Vec<u8>,
    },
    /// A new length; `lost` is the tail that it cut off.
    Resize {
        file: Inode,
        size: u64,
        size_before: u64,
        lost: Vec<u8>,
    },
    /// A new name, of a new file or as a link.
    Create(PathBuf),
    Unlink {
        path: PathBuf,
        file: Inode,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
        file: Inode,
        /// The file that had the name before; 0 for none.
        replaced: Inode,
    },
    MakeDirectory(PathBuf),
    RemoveDirectory(PathBuf),
}

impl Change {
    /// The file whose content it changes.
    pub fn file(&self) -> Option<Inode> {
        match self {
            Change::Write { file, .. } | Change::Resize { file, .. } => Some(*file),
            _ => None,
        }
    }

    /// The directory whose entries it changes.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Change::Write { .. } | Change::Resize { .. } => None,
            Change::Create(path)
            | Change::Unlink { path, .. }
            | Change::Rename { from: path, .. }
            | Change::MakeDirectory(path)
            | Change::RemoveDirectory(path) => path.parent(),
        }
    }
}

/// A change with the moments at which it began and ended, counted in lines.
#[derive(Clone, Debug)]
pub struct Entry {
    pub change: Change,
    /// Missing when the kill met it half way.
    ended: Option<usize>,
}

/// What a sync is of.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Synced {
    File(Inode),
    Directory(PathBuf),
}

#[derive(Debug, Default)]
pub struct Journal {
    pub changes: Vec<Entry>,
    /// The beginning of the last sync that came to its end.
    synced: HashMap<Synced, usize>,
    pub syncs: usize,
    /// How long the slowest sync took, or was under way when the kill came.
    pub slowest_sync: Duration,
    /// From the beginning of the last sync of a file that came to its end to the last line.
    pub unsynced_for: Duration,
}

/// A change or sync between its two lines.
enum Open {
    Change(usize),
    Sync(usize, Duration, Synced),
}

struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The next line's words; none when it was cut off by the kill.
    fn next(&mut self) -> Option<&'a str> {
        let end = self.rest.iter().position(|b| *b == b'\n')?;
        let line = std::str::from_utf8(&self.rest[..end]).expect("lines are text");
        self.rest = &self.rest[end + 1..];
        Some(line)
    }

    fn content(&mut self, length: usize) -> Option<&'a [u8]> {
        let (content, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest.strip_prefix(b"\n")?;
        Some(content)
    }
}

fn number(text: &str) -> u64 {
    text.parse()
        .unwrap_or_else(|e| panic!("journal: {text}: {e}"))
}

impl Journal {
    pub fn read(path: &Path) -> Journal {
        let bytes = std::fs::read(path).expect("a journal");
        let mut lines = Lines { rest: &bytes };
        let mut journal = Journal::default();
        let mut open = HashMap::new();
        let mut failed = BTreeSet::new();
        let (mut moment, mut last, mut last_sync) = (0, Duration::ZERO, Duration::ZERO);
        while let Some(line) = lines.next() {
            moment += 1;
            let (kind, rest) = line.split_once(' ').expect("kind and number");
            let (id, rest) = rest.split_once(' ').expect("number and time");
            let (time, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let time = Duration::from_micros(number(time));
            last = last.max(time);
            match kind {
                "+" | "-" => {
                    let Some(_) = lines.content(0) else { break };
                    match open.remove(&number(id)).expect("what ends has begun") {
                        Open::Change(at) if kind == "+" => journal.changes[at].ended = Some(moment),
                        Open::Change(at) => drop(failed.insert(at)),
                        Open::Sync(..) if kind == "-" => {}
                        Open::Sync(began, at, of) => {
                            if matches!(of, Synced::File(_)) {
                                last_sync = last_sync.max(at);
                            }
                            journal.note_sync(began, time - at, of);
                        }
                    }
                }
                "s" => {
                    let Some(_) = lines.content(0) else { break };
                    let of = match rest.split_once(' ').expect("file and path") {
                        (file, ".") => Synced::File(number(file)),
                        (_, path) => Synced::Directory(path.into()),
                    };
                    open.insert(number(id), Open::Sync(moment, time, of));
                }
                "?" => panic!("the daemon writes in a way that the library cannot follow: {rest}"),
                _ => {
                    let Some(change) = change(kind, rest, &mut lines) else {
                        break;
                    };
                    open.insert(number(id), Open::Change(journal.changes.len()));
                    journal.changes.push(Entry {
                        change,
                        ended: None,
                    });
                }
            }
        }
        journal.unsynced_for = last - last_sync;
        for under_way in open.values() {
            if let Open::Sync(_, at, _) = under_way {
                journal.slowest_sync = journal.slowest_sync.max(last - *at);
            }
        }
        let mut at = 0;
        journal.changes.retain(|_| {
            at += 1;
            !failed.contains(&(at - 1))
        });
        journal
    }

    fn note_sync(&mut self, began: usize, took: Duration, of: Synced) {
        self.syncs += 1;
        self.slowest_sync = self.slowest_sync.max(took);
        let last = self.synced.entry(of).or_default();
        *last = began.max(*last);
    }

    /// Whether a sync that came to its end began after this change had ended.
    fn is_covered(&self, entry: &Entry) -> bool {
        let of = match (entry.change.file(), entry.change.directory()) {
            (Some(file), _) => Synced::File(file),
            (None, directory) => Synced::Directory(directory.unwrap_or(Path::new("")).into()),
        };
        matches!((entry.ended, self.synced.get(&of)), (Some(ended), Some(began)) if ended < *began)
    }

    /// The changes of each file's content that no sync covers, in their order.
    pub fn unsynced_content(&self) -> BTreeMap<Inode, Vec<&Change>> {
        let mut out: BTreeMap<Inode, Vec<&Change>> = BTreeMap::new();
        for entry in &self.changes {
            let Some(file) = entry.change.file() else {
                continue;
            };
            if !self.is_covered(entry) {
                out.entry(file).or_default().push(&entry.change);
            } else {
                // Taking back the one would destroy the other.
                let after = out.contains_key(&file);
                assert!(!after, "a sync covers a later write and not an earlier one");
            }
        }
        out
    }

    /// The changes of directory entries that no sync covers, in their order.
    pub fn unsynced_names(&self) -> Vec<&Change> {
        let names = |e: &&Entry| e.change.file().is_none() && !self.is_covered(e);
        self.changes
            .iter()
            .filter(names)
            .map(|e| &e.change)
            .collect()
    }

    /// The length that each file must have now; none where the last change was met half way.
    pub fn lengths(&self) -> HashMap<Inode, Option<u64>> {
        let mut out = HashMap::new();
        for Entry { change, ended } in &self.changes {
            let (file, size) = match change {
                Change::Write {
                    file,
                    at,
                    length,
                    size_before,
                    ..
                } => (*file, (at + length).max(*size_before)),
                Change::Resize { file, size, .. } => (*file, *size),
                _ => continue,
            };
            out.insert(file, ended.map(|_| size));
        }
        out
    }

    /// The names that were given, to tell unknown files.
    pub fn is_named(&self, path: &Path) -> bool {
        self.changes.iter().any(|e| match &e.change {
            Change::Create(name) | Change::Rename { to: name, .. } => name == path,
            _ => false,
        })
    }
}

/// A change from its line and what stands behind it; none when that was cut off by the kill.
fn change(kind: &str, rest: &str, lines: &mut Lines<'_>) -> Option<Change> {
    let words: Vec<&str> = rest.split(' ').collect();
    // The path is the last word but may have spaces in it.
    let path = |after: usize| PathBuf::from(words[after..].join(" "));
    let content = match kind {
        "w" => number(words[4]),
        "t" => number(words[3]),
        "r" => number(words[2]),
        _ => 0,
    };
    let content = lines.content(usize::try_from(content).ok()?)?;
    Some(match kind {
        "w" => Change::Write {
            file: number(words[0]),
            at: number(words[1]),
            length: number(words[2]),
            size_before: number(words[3]),
            lost: content.to_vec(),
        },
        "t" => Change::Resize {
            file: number(words[0]),
            size: number(words[1]),
            size_before: number(words[2]),
            lost: content.to_vec(),
        },
        "c" => Change::Create(path(0)),
        "u" => Change::Unlink {
            file: number(words[0]),
            path: path(1),
        },
        "r" => Change::Rename {
            file: number(words[0]),
            replaced: number(words[1]),
            from: path(3),
            to: String::from_utf8_lossy(content).into_owned().into(),
        },
        "m" => Change::MakeDirectory(path(0)),
        "d" => Change::RemoveDirectory(path(0)),
        _ => panic!("journal: unknown line {kind} {rest}"),
    })
}
