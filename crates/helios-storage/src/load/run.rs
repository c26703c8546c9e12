//! Sorted entries in a file of their own, when they are too many for memory.
//!
//! ```text
//! key length u32 | value length u32 | tag u64 | key | value
//! ```

use super::block::{Head, head_of};
use super::io;
use helios_types::{Result, bail};
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

const WRITE_BUFFER: usize = 1 << 20;
const READ_BUFFER: usize = 256 << 10;
const HEAD: usize = 16;

pub(super) struct RunWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

impl RunWriter {
    pub(super) fn create(path: PathBuf) -> Result<RunWriter> {
        let file = File::create(&path).map_err(|e| io(&path, &e))?;
        let out = BufWriter::with_capacity(WRITE_BUFFER, file);
        Ok(RunWriter { path, out })
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8], tag: u64) -> Result<()> {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&(key.len() as u32).to_le_bytes());
        head[4..8].copy_from_slice(&(value.len() as u32).to_le_bytes());
        head[8..].copy_from_slice(&tag.to_le_bytes());
        let written = self.out.write_all(&head);
        let written = written.and_then(|()| self.out.write_all(key));
        let written = written.and_then(|()| self.out.write_all(value));
        written.map_err(|e| io(&self.path, &e))
    }

    pub(super) fn finish(mut self) -> Result<PathBuf> {
        self.out.flush().map_err(|e| io(&self.path, &e))?;
        Ok(self.path)
    }
}

pub(super) struct RunReader {
    path: PathBuf,
    input: BufReader<File>,
    /// Key and value of the entry at hand.
    data: Vec<u8>,
    key: usize,
    pub(super) tag: u64,
    pub(super) head: Head,
}

impl RunReader {
    /// Stands before the first entry.
    pub(super) fn open(path: &Path) -> Result<RunReader> {
        let file = File::open(path).map_err(|e| io(path, &e))?;
        Ok(RunReader {
            path: path.to_path_buf(),
            input: BufReader::with_capacity(READ_BUFFER, file),
            data: Vec::new(),
            key: 0,
            tag: 0,
            head: Head::default(),
        })
    }

    pub(super) fn key(&self) -> &[u8] {
        self.data.get(..self.key).unwrap_or_default()
    }

    pub(super) fn value(&self) -> &[u8] {
        self.data.get(self.key..).unwrap_or_default()
    }

    /// False at the end.
    pub(super) fn advance(&mut self) -> Result<bool> {
        let mut head = [0; HEAD];
        match self.input.read_exact(&mut head) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(io(&self.path, &e)),
        }
        let [a, b, c, d, e, f, g, h, tag @ ..] = head;
        self.key = u32::from_le_bytes([a, b, c, d]) as usize;
        let value = u32::from_le_bytes([e, f, g, h]) as usize;
        self.tag = u64::from_le_bytes(tag);
        self.data.resize(self.key + value, 0);
        if let Err(error) = self.input.read_exact(&mut self.data) {
            bail!(Io, "could not read \"{}\": {error}", self.path.display());
        }
        self.head = head_of(self.key());
        Ok(true)
    }
}
