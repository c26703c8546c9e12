//! The integrity check of stored keys: every entry decodes, every sub-key belongs to an entry.

use super::entry::{ENTRY, Entry, Form, GARBAGE, SUBKEY, Version};
use helios_types::{Result, bail};
use std::collections::HashSet;

/// Large values of one logical database, as their parts are met in key order: entries, then
/// sub-keys, then the markers of what waits to be removed.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    versions: HashSet<Version>,
    /// Versions with sub-keys and, so far, neither entry nor marker.
    unowned: HashSet<Version>,
}

impl Remains {
    /// Looks at one stored key, behind the prefix of its logical database.
    pub(crate) fn entry(&mut self, key: &[u8], body: &[u8]) -> Result<()> {
        let Some((&part, rest)) = key.split_first() else {
            bail!(DataCorrupted, "a key of the keyspace has no parts");
        };
        if part == ENTRY {
            return match Entry::decode(body)?.form {
                Form::String(_) => Ok(()),
                Form::Small { items, .. } => items.collect().map(drop),
                Form::Large(meta) => {
                    self.versions.insert(meta.version);
                    Ok(())
                }
            };
        }
        let Some(version) = rest.first_chunk::<12>() else {
            bail!(DataCorrupted, "a sub-key of the keyspace has no version");
        };
        match part {
            SUBKEY if self.versions.contains(version) => {}
            SUBKEY => {
                self.unowned.insert(*version);
            }
            GARBAGE => {
                self.unowned.remove(version);
            }
            other => bail!(
                DataCorrupted,
                "a key of the keyspace has the unknown part {other}"
            ),
        }
        Ok(())
    }

    /// How many large values have parts and nothing that they belong to.
    pub(crate) fn unowned(&self) -> usize {
        self.unowned.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Kind, Meta, encode_large};
    use super::*;

    fn sub_key(part: u8, version: Version) -> Vec<u8> {
        [&[part][..], &version, b"field"].concat()
    }

    #[test]
    fn parts_without_a_key_are_found_unless_they_wait_to_be_removed() {
        let mut body = Vec::new();
        let meta = Meta::new([1; 12], 1);
        encode_large(&mut body, Kind::Hash, 0, &meta);
        let mut remains = Remains::default();
        remains.entry(b"\0key", &body).unwrap();
        for version in [[1; 12], [2; 12], [3; 12]] {
            remains.entry(&sub_key(SUBKEY, version), b"").unwrap();
        }
        assert_eq!(remains.unowned(), 2);
        remains.entry(&sub_key(GARBAGE, [3; 12]), b"").unwrap();
        assert_eq!(remains.unowned(), 1);
        assert!(remains.entry(b"\0key", &[9]).is_err());
        assert!(remains.entry(b"\x01short", b"").is_err());
        assert!(remains.entry(b"\x07", b"").is_err());
    }
}
