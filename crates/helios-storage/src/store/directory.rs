//! The data directory: who uses it, and which format its data has.

use helios_types::{Error, ErrorKind, Result, bail, error};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The format that this version reads and writes. Any change of a durable structure that an
/// older version would misread raises it.
pub(crate) const FORMAT: u32 = 1;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "heliosdb.lock";

fn io(what: &str, path: &Path, source: &std::io::Error) -> Error {
    error!(Io, "could not {what} \"{}\": {source}", path.display())
}

/// Held while a process uses the directory; the file names the process.
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    pub(super) fn take(directory: &Path, read_only: bool) -> Result<DirectoryLock> {
        let path = directory.join(LOCK_FILE);
        let mut open = OpenOptions::new();
        open.read(true);
        if !read_only {
            open.write(true).create(true).truncate(false);
        }
        let mut file = open.open(&path).map_err(|e| io("open", &path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The number is for the message only.
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim();
                let process = if holder.is_empty() {
                    "another process".into()
                } else {
                    format!("process {holder}")
                };
                bail!(
                    ObjectInUse,
                    "data directory \"{}\" is in use by {process}",
                    directory.display()
                );
            }
            Err(TryLockError::Error(e)) => return Err(io("lock", &path, &e)),
        }
        if !read_only {
            file.set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()))
                .map_err(|e| io("write", &path, &e))?;
        }
        Ok(DirectoryLock { _file: file })
    }
}

/// Makes the directory if need be and checks that it can be used.
pub(super) fn prepare(directory: &Path, read_only: bool) -> Result<()> {
    if !read_only {
        make(directory).map_err(|e| io("create data directory", directory, &e))?;
    }
    std::fs::read_dir(directory).map_err(|e| io("read data directory", directory, &e))?;
    Ok(())
}

/// Makes the directory and what is missing above it. A name survives a loss of power when the
/// directory that it stands in has been synced; an earlier process may have died before it did that.
fn make(directory: &Path) -> std::io::Result<()> {
    let parent = match directory.parent() {
        None => return Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    if !directory.exists() {
        make(parent)?;
        std::fs::create_dir_all(directory)?;
    }
    match sync(parent) {
        // Not ours, so that we did not make anything in it either.
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes the names of what was made in the directory survive a loss of power.
pub(super) fn sync_names(directory: &Path) -> Result<()> {
    sync(directory).map_err(|e| io("sync", directory, &e))
}

/// Refuses data of a newer format, or of something else.
pub(super) fn check_format(directory: &Path, read_only: bool) -> Result<()> {
    let path = directory.join(FORMAT_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(FORMAT) => Ok(()),
            Ok(format) if format > FORMAT => Err(Error::new(
                ErrorKind::ConfigFile,
                format!(
                    "data format {format} of \"{}\" is newer than this version of HeliosDB, which reads format {FORMAT}",
                    directory.display()
                ),
            )),
            _ => bail!(
                ConfigFile,
                "\"{}\" does not hold a data format number",
                path.display()
            ),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            if read_only || directory.join("db").exists() {
                bail!(
                    ConfigFile,
                    "\"{}\" is not a HeliosDB data directory",
                    directory.display()
                );
            }
            write_format(directory, &path)
        }
        Err(e) => Err(io("read", &path, &e)),
    }
}

/// Written whole or not at all, and synced with the directory, before any data is.
fn write_format(directory: &Path, path: &PathBuf) -> Result<()> {
    let draft = directory.join("FORMAT.new");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&draft)?;
        writeln!(file, "{FORMAT}")?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        sync(directory)
    };
    write().map_err(|e| io("write", path, &e))
}
