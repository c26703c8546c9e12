//! Takes back what a loss of power would have lost.
//!
//! Of a file what was written since its last sync is lost: all of it, all behind some write, that
//! write torn at some byte, or nothing. Of a directory the same is true of its names, whole changes
//! each: new names go, renamed files have their old ones, unlinked ones are back. Files and
//! directories lose independently of each other, because nothing but a sync orders them.

use crate::journal::{Change, Inode, Journal};
use conformance::random::Random;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How much of what was not synced is lost.
#[derive(Debug)]
pub enum Fate {
    /// All of it.
    All,
    /// Whatever these numbers say, for each file and directory anew.
    Random(Random),
}

impl Fate {
    /// How many of `changes` survive, from the first; and whether a part of the next one does.
    fn survivors(&mut self, changes: usize) -> (usize, bool) {
        let Fate::Random(random) = self else {
            return (0, false);
        };
        match random.below(6) {
            0..=2 => (0, false),
            3 => (changes, false),
            _ => (random.below(changes as u64 + 1) as usize, true),
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        match self {
            Fate::All => 0,
            Fate::Random(random) => random.below(end.max(1)),
        }
    }
}

/// What was lost.
#[derive(Debug, Default)]
pub struct Loss {
    pub files: usize,
    pub bytes: u64,
    pub names: usize,
    /// Syncs that were made before.
    pub syncs: usize,
    pub slowest_sync: Duration,
    pub unsynced_for: Duration,
}

/// Where the files are now, by number.
type Places = HashMap<Inode, PathBuf>;

fn find(directory: &Path, places: &mut Places) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let kind = path.symlink_metadata().expect("metadata");
        if kind.is_dir() {
            find(&path, places);
        } else {
            places.insert(kind.ino(), path);
        }
    }
}

/// The files below a directory before the library sees any.
pub fn files(root: &Path) -> HashSet<PathBuf> {
    let mut places = Places::new();
    find(root, &mut places);
    let below = |path: PathBuf| path.strip_prefix(root).expect("below").to_path_buf();
    places.into_values().map(below).collect()
}

/// Everything that is there must be known from the journal, or something writes past the library.
fn check_journal(journal: &Journal, root: &Path, before: &HashSet<PathBuf>, places: &Places) {
    let lengths = journal.lengths();
    for (number, place) in places {
        if let Some(Some(length)) = lengths.get(number) {
            let found = place.metadata().expect("metadata").len();
            assert_eq!(found, *length, "length of {}", place.display());
        }
        if let Ok(path) = place.strip_prefix(root) {
            let known = before.contains(path) || journal.is_named(path);
            assert!(known, "{} came past the library", path.display());
        }
    }
}

/// Takes back below `root` what the journal knows as not synced. `graveyard` has the files that were
/// unlinked, `before` the names that were there at the start.
pub fn rewind(
    journal: &Journal,
    root: &Path,
    graveyard: &Path,
    before: &HashSet<PathBuf>,
    fate: &mut Fate,
) -> Loss {
    let mut places = Places::new();
    find(graveyard, &mut places);
    find(root, &mut places);
    check_journal(journal, root, before, &places);
    let mut loss = Loss {
        syncs: journal.syncs,
        slowest_sync: journal.slowest_sync,
        unsynced_for: journal.unsynced_for,
        ..Loss::default()
    };
    for (file, changes) in journal.unsynced_content() {
        // One that is gone altogether cannot come back.
        if let Some(place) = places.get(&file) {
            lose_content(place, &changes, fate, &mut loss);
        }
    }
    let names = journal.unsynced_names();
    let mut directories: Vec<&Path> = names.iter().filter_map(|c| c.directory()).collect();
    directories.sort();
    directories.dedup();
    let mut surviving = HashMap::new();
    for directory in directories {
        let mine = names.iter().filter(|c| c.directory() == Some(directory));
        surviving.insert(directory, fate.survivors(mine.count()).0);
    }
    let lost: Vec<&Change> = names
        .into_iter()
        .filter(|change| {
            let left = change.directory().and_then(|d| surviving.get_mut(d));
            let left = left.expect("each directory has its share");
            let survives = *left > 0;
            *left -= usize::from(survives);
            !survives
        })
        .collect();
    loss.names = lost.len();
    for change in lost.into_iter().rev() {
        take_back_name(change, root, graveyard);
    }
    loss
}

fn lose_content(place: &Path, changes: &[&Change], fate: &mut Fate, loss: &mut Loss) {
    let file = OpenOptions::new().read(true).write(true).open(place);
    let file = file.unwrap_or_else(|e| panic!("{}: {e}", place.display()));
    let (survivors, torn) = fate.survivors(changes.len());
    let Some(first) = changes.get(survivors) else {
        return;
    };
    let torn = torn.then(|| head_of(&file, first, fate));
    loss.files += 1;
    for change in changes[survivors..].iter().rev() {
        loss.bytes += take_back_content(&file, change);
    }
    if let Some((at, bytes)) = torn {
        file.write_all_at(&bytes, at).expect("a written file");
    }
}

/// The first bytes that a write wrote.
fn head_of(file: &File, change: &Change, fate: &mut Fate) -> (u64, Vec<u8>) {
    let Change::Write { at, length, .. } = change else {
        return (0, Vec::new());
    };
    // The kill may have met it half way.
    let there = file.metadata().expect("metadata").len().saturating_sub(*at);
    let mut bytes = vec![0; fate.below(*length.min(&there)) as usize];
    file.read_exact_at(&mut bytes, *at).expect("a read file");
    (*at, bytes)
}

fn take_back_content(file: &File, change: &Change) -> u64 {
    let (at, size, lost) = match change {
        Change::Write {
            at,
            size_before,
            lost,
            ..
        } => (*at, *size_before, lost),
        Change::Resize {
            size,
            size_before,
            lost,
            ..
        } => (*size, *size_before, lost),
        _ => panic!("{change:?} changes no content"),
    };
    let now = file.metadata().expect("metadata").len();
    file.write_all_at(lost, at).expect("a written file");
    file.set_len(size).expect("a written file");
    now.saturating_sub(size)
}

/// Takes back one change of a directory, which the kill may have met before it was made.
fn take_back_name(change: &Change, root: &Path, graveyard: &Path) {
    let fine = |result: std::io::Result<()>| match result {
        Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => {
            panic!("{change:?}: {e}")
        }
        _ => {}
    };
    let is = |path: &Path, file: Inode| path.symlink_metadata().is_ok_and(|m| m.ino() == file);
    match change {
        Change::Create(path) => fine(std::fs::remove_file(root.join(path))),
        Change::Unlink { path, file } => {
            let grave = graveyard.join(file.to_string());
            fine(std::fs::hard_link(grave, root.join(path)));
        }
        Change::Rename {
            from,
            to,
            file,
            replaced,
        } => {
            let (from, to) = (root.join(from), root.join(to));
            if is(&to, *file) {
                fine(std::fs::rename(&to, from));
                if *replaced > 0 {
                    fine(std::fs::hard_link(graveyard.join(replaced.to_string()), to));
                }
            }
        }
        Change::MakeDirectory(path) => fine(std::fs::remove_dir_all(root.join(path))),
        Change::RemoveDirectory(path) => fine(std::fs::create_dir(root.join(path))),
        Change::Write { .. } | Change::Resize { .. } => panic!("{change:?} changes no name"),
    }
}
