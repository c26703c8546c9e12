//! Table files that are to be taken in.

use crate::database::{Family, storage_error};
use crate::space::Space;
use helios_types::Result;
use rocksdb::{Options, SstFileWriter};
use std::path::PathBuf;

/// About how large a file gets.
const FILE_BYTES: u64 = 64 << 20;
/// Entries between looks at the size.
const LOOK: u32 = 1024;

/// Writes entries in key order to as many files as it takes.
pub(super) struct Files<'a> {
    options: &'a Options,
    directory: PathBuf,
    name: &'static str,
    number: u32,
    writer: Option<SstFileWriter<'a>>,
    paths: Vec<PathBuf>,
    since_look: u32,
}

impl<'a> Files<'a> {
    /// Files of one name are told apart by their numbers.
    pub(super) fn new(options: &'a Options, directory: PathBuf, name: &'static str) -> Files<'a> {
        Files {
            options,
            directory,
            name,
            number: 0,
            writer: None,
            paths: Vec::new(),
            since_look: 0,
        }
    }

    #[inline]
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if let Some(writer) = &mut self.writer {
            writer
                .put(key, value)
                .map_err(|e| storage_error("write a table file", e))?;
            self.since_look += 1;
            if self.since_look >= LOOK {
                self.since_look = 0;
                if writer.file_size() >= FILE_BYTES {
                    self.close()?;
                }
            }
            return Ok(());
        }
        self.number += 1;
        let name = format!("{}{}.sst", self.name, self.number);
        let path = self.directory.join(name);
        let mut writer = SstFileWriter::create(self.options);
        let opened = writer.open(&path);
        opened
            .and_then(|()| writer.put(key, value))
            .map_err(|e| storage_error("write a table file", e))?;
        self.paths.push(path);
        self.writer = Some(writer);
        Ok(())
    }

    /// Completes the file at hand and syncs it.
    fn close(&mut self) -> Result<()> {
        if let Some(mut writer) = self.writer.take() {
            writer
                .finish()
                .map_err(|e| storage_error("write a table file", e))?;
        }
        Ok(())
    }

    /// The files so far, complete and durable.
    pub(super) fn finish(&mut self) -> Result<Vec<PathBuf>> {
        self.close()?;
        Ok(std::mem::take(&mut self.paths))
    }
}

/// The family that holds a load's object.
pub(super) fn family(space: Space) -> Family {
    Family::Current(space)
}
