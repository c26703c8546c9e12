//! A directory that forgets what was not synced, for a program that runs on it and is killed.

use crate::journal::Journal;
use crate::rewind::{Fate, Loss, files, rewind};
use conformance::command::run;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Which syncs the library answers without making them: the planted mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Of files whose name ends with this.
    Files(&'static str),
    Directories,
}

pub struct Disk {
    /// The library, journals and graveyards; beside the root, so that files can be linked.
    own: TempDir,
    library: PathBuf,
    /// What was there when the program was started last.
    before: HashSet<PathBuf>,
    runs: u32,
}

impl Disk {
    /// Builds the library.
    pub fn new() -> Disk {
        let own = TempDir::new().expect("a temporary directory");
        let library = own.path().join("power_loss.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("crash/power_loss.c");
        run(Command::new("cc")
            .args(["-O1", "-fPIC", "-shared", "-o"])
            .args([&library, &source]))
        .expect_success("the C compiler (deploy/setup.sh build installs one)");
        Disk {
            own,
            library,
            before: HashSet::new(),
            runs: 0,
        }
    }

    fn journal(&self) -> PathBuf {
        self.own.path().join(format!("journal-{}", self.runs))
    }

    fn graveyard(&self) -> PathBuf {
        self.own.path().join(format!("graveyard-{}", self.runs))
    }

    /// The environment of a program that is about to start on this directory. What is there now has
    /// survived until now and stays.
    pub fn environment(&mut self, root: &Path, lie: Option<Lie>) -> Vec<(String, String)> {
        self.runs += 1;
        std::fs::create_dir(self.graveyard()).expect("a directory");
        // The kill may come before the program's first line.
        std::fs::File::create(self.journal()).expect("a file");
        self.before = files(root);
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let mut out = vec![
            ("LD_PRELOAD".to_owned(), text(&self.library)),
            ("POWER_LOSS_ROOT".to_owned(), text(root)),
            ("POWER_LOSS_JOURNAL".to_owned(), text(&self.journal())),
            ("POWER_LOSS_GRAVEYARD".to_owned(), text(&self.graveyard())),
        ];
        if let Some(lie) = lie {
            let lie = match lie {
                Lie::Files(end) => end,
                Lie::Directories => "/",
            };
            out.push(("POWER_LOSS_LIE".to_owned(), lie.to_owned()));
        }
        out
    }

    /// Makes of the directory, whose program is dead, what a loss of power would have left.
    pub fn lose_power(&self, root: &Path, fate: &mut Fate) -> Loss {
        let journal = Journal::read(&self.journal());
        let loss = rewind(&journal, root, &self.graveyard(), &self.before, fate);
        std::fs::remove_dir_all(self.graveyard()).expect("a removed directory");
        std::fs::remove_file(self.journal()).expect("a removed file");
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Runs a program on a directory with a file `old` in it and loses power behind it.
    fn left_by(disk: &mut Disk, program: &str, lie: Option<Lie>) -> BTreeMap<String, String> {
        let root = TempDir::new().unwrap();
        std::fs::write(root.path().join("old"), "old content").unwrap();
        let program = format!(
            "import os\n\
             def start(name, flags=0): return os.open(name, os.O_RDWR | os.O_CREAT | flags)\n\
             def put(name, text, flags=0): f = start(name, flags); os.write(f, text); return f\n\
             def sync(name): f = os.open(name, os.O_RDONLY); os.fsync(f); os.close(f)\n\
             {program}"
        );
        let environment = disk.environment(root.path(), lie);
        run(Command::new("python3")
            .args(["-I", "-S", "-c", &program])
            .current_dir(root.path())
            .envs(environment))
        .expect_success(&program);
        disk.lose_power(root.path(), &mut Fate::All);
        files(root.path())
            .into_iter()
            .map(|name| {
                let text = std::fs::read_to_string(root.path().join(&name)).unwrap();
                (name.display().to_string(), text)
            })
            .collect()
    }

    #[test]
    fn what_was_synced_stays_and_what_was_not_is_lost() {
        let new = "put('new', b'synced'); sync('new'); sync('.')";
        #[rustfmt::skip]
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[("old", "old content")]),
            ("put('old', b'NEW')", &[("old", "old content")]),
            ("put('old', b'NEW'); sync('old')", &[("old", "NEW content")]),
            ("put('old', b'NEW', os.O_APPEND)", &[("old", "old content")]),
            ("put('old', b'NEW', os.O_TRUNC)", &[("old", "old content")]),
            ("f = put('old', b'NEW'); os.fdatasync(f); os.write(f, b'ER')", &[("old", "NEW content")]),
            ("f = put('old', b'NEW'); os.fsync(f); os.pwrite(f, b'X', 0); os.pwrite(f, b'Y', 40)", &[("old", "NEW content")]),
            ("f = start('old'); os.ftruncate(f, 3)", &[("old", "old content")]),
            ("f = start('old'); os.ftruncate(f, 3); g = os.dup(f); os.fsync(g); os.write(g, b'OLD AGAIN')", &[("old", "old")]),
            ("f = start('old'); os.posix_fallocate(f, 0, 100)", &[("old", "old content")]),
            ("put('new', b'x')", &[("old", "old content")]),
            ("put('new', b'x'); sync('new')", &[("old", "old content")]),
            ("put('new', b'x'); sync('.')", &[("new", ""), ("old", "old content")]),
            (&format!("{new}; put('new', b'more', os.O_APPEND)"), &[("new", "synced"), ("old", "old content")]),
            (&format!("{new}; os.rename('new', 'old')"), &[("new", "synced"), ("old", "old content")]),
            (&format!("{new}; os.rename('new', 'old'); sync('.')"), &[("old", "synced")]),
            ("put('new', b'x'); os.rename('new', 'newer'); os.rename('newer', 'old')", &[("old", "old content")]),
            ("put('new', b'x'); os.rename('new', 'old'); sync('.')", &[("old", "")]),
            ("os.unlink('old')", &[("old", "old content")]),
            ("os.unlink('old'); sync('.')", &[]),
            ("os.unlink('old'); put('old', b'new'); sync('old')", &[("old", "old content")]),
            ("put('old', b'NEW'); os.unlink('old')", &[("old", "old content")]),
            ("os.link('old', 'other')", &[("old", "old content")]),
            ("os.mkdir('d'); put('d/f', b'x'); sync('d/f'); sync('d')", &[("old", "old content")]),
            ("os.mkdir('d'); put('d/f', b'x'); sync('d/f'); sync('d'); sync('.')", &[("d/f", "x"), ("old", "old content")]),
            ("os.mkdir('d'); sync('.'); put('d/f', b'x'); sync('d/f'); sync('.')", &[("old", "old content")]),
        ];
        let mut disk = Disk::new();
        for (program, expected) in cases {
            let expected = expected.iter().map(|(n, t)| ((*n).into(), (*t).into()));
            assert_eq!(
                left_by(&mut disk, program, None),
                expected.collect(),
                "{program}"
            );
        }
    }

    #[test]
    fn a_sync_that_lies_keeps_nothing() {
        let program = "put('new', b'synced'); sync('new'); sync('.')";
        let mut disk = Disk::new();
        let mut left = |lie| {
            let mut left = left_by(&mut disk, program, lie);
            left.remove("old");
            left.into_values().collect::<Vec<_>>()
        };
        assert_eq!(left(None), ["synced"]);
        assert_eq!(left(Some(Lie::Files("ew"))), [""]);
        assert_eq!(left(Some(Lie::Files("old"))), ["synced"]);
        assert!(left(Some(Lie::Directories)).is_empty());
    }

    #[test]
    #[should_panic(expected = "cannot follow: mmap")]
    fn a_way_to_write_that_is_not_followed_is_an_error() {
        let program = "import mmap; f = start('old'); mmap.mmap(f, 3)";
        left_by(&mut Disk::new(), program, None);
    }

    #[test]
    #[should_panic(expected = "length of")]
    fn a_write_past_the_library_is_noticed() {
        let shell = "subprocess.run(['sh', '-c', 'echo more >> old'], env={})";
        let program = format!("import subprocess; put('old', b'NEW'); {shell}");
        left_by(&mut Disk::new(), &program, None);
    }
}
