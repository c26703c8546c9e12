//! String values.

use super::access::{Access, Slot};
use super::entry::{Entry, encode_string};
use super::number;
use helios_types::{Result, bail};

/// Longest string that APPEND, SETRANGE and SETBIT make.
pub const STRING_BYTES_MAX: usize = 512 * 1024 * 1024;

/// The level of a string that was changed in place; OBJECT ENCODING shows it as `raw`.
const EDITED: u8 = 1;

/// What happens to the expiry when a string is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    Clear,
    Keep,
    /// Milliseconds since the Unix epoch.
    At(u64),
}

/// Under which condition SET writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Always,
    IfAbsent,
    IfPresent,
}

impl<'a> Access<'a> {
    /// The string under `key`; [`Slot::string`] gives its bytes.
    pub fn string(&mut self, key: &[u8]) -> Result<Slot<'a>> {
        let slot = self.slot(key)?;
        slot.string()?;
        Ok(slot)
    }

    fn put_string(
        &mut self,
        slot: &Slot<'_>,
        expiry: Expiry,
        level: u8,
        value: &[u8],
    ) -> Result<()> {
        let expire_ms = match expiry {
            Expiry::Clear => None,
            Expiry::Keep => slot.expire_ms(),
            Expiry::At(ms) => Some(ms),
        };
        self.put(slot, expire_ms, |out| encode_string(out, level, value))
    }

    /// SET: whether it was written, and what was there before.
    pub fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        expiry: Expiry,
        condition: Condition,
    ) -> Result<(bool, Slot<'a>)> {
        let slot = self.slot(key)?;
        let write = match condition {
            Condition::Always => true,
            Condition::IfAbsent => !slot.exists(),
            Condition::IfPresent => slot.exists(),
        };
        if write {
            self.put_string(&slot, expiry, 0, value)?;
        }
        Ok((write, slot))
    }

    /// SET … GET: as [`Access::set`], refused when the old value is no string.
    pub fn set_get(
        &mut self,
        key: &[u8],
        value: &[u8],
        expiry: Expiry,
        condition: Condition,
    ) -> Result<Slot<'a>> {
        self.string(key)?;
        Ok(self.set(key, value, expiry, condition)?.1)
    }

    /// MSETNX: writes all or none.
    pub fn set_all_absent<'p>(
        &mut self,
        pairs: impl Iterator<Item = (&'p [u8], &'p [u8])> + Clone,
    ) -> Result<bool> {
        for (key, _) in pairs.clone() {
            if self.slot(key)?.exists() {
                return Ok(false);
            }
        }
        for (key, value) in pairs {
            self.set(key, value, Expiry::Clear, Condition::Always)?;
        }
        Ok(true)
    }

    /// GETDEL.
    pub fn get_delete(&mut self, key: &[u8]) -> Result<Slot<'a>> {
        let slot = self.string(key)?;
        if slot.exists() {
            self.remove(&slot)?;
        }
        Ok(slot)
    }

    /// GETEX: reads, and sets or clears the expiry. A moment that has passed removes the key.
    pub fn get_expire(&mut self, key: &[u8], expiry: Expiry) -> Result<Slot<'a>> {
        let slot = self.string(key)?;
        let Some(Entry { level, .. }) = slot.entry()? else {
            return Ok(slot);
        };
        match expiry {
            Expiry::Keep => {}
            Expiry::At(ms) if ms <= self.now_ms() => self.remove(&slot)?,
            Expiry::Clear if slot.expire_ms().is_none() => {}
            expiry => {
                let value = slot.string()?.unwrap_or_default();
                self.put_string(&slot, expiry, level, value)?;
            }
        }
        Ok(slot)
    }

    /// APPEND: the new length.
    pub fn append(&mut self, key: &[u8], tail: &[u8]) -> Result<usize> {
        let slot = self.string(key)?;
        let Some(head) = slot.string()? else {
            self.put_string(&slot, Expiry::Clear, 0, tail)?;
            return Ok(tail.len());
        };
        let length = head.len() + tail.len();
        check_length(length)?;
        self.put(&slot, slot.expire_ms(), |out| {
            encode_string(out, EDITED, head);
            out.extend_from_slice(tail);
        })?;
        Ok(length)
    }

    /// SETRANGE: the new length. Zero bytes fill what lies between.
    pub fn set_range(&mut self, key: &[u8], offset: i64, part: &[u8]) -> Result<usize> {
        let Ok(offset) = usize::try_from(offset) else {
            bail!(InvalidParameterValue, "offset is out of range");
        };
        let slot = self.string(key)?;
        let old = slot.string()?;
        if part.is_empty() {
            return Ok(old.map_or(0, <[u8]>::len));
        }
        check_length(offset.saturating_add(part.len()))?;
        let mut value = old.unwrap_or_default().to_vec();
        if value.len() < offset + part.len() {
            value.resize(offset + part.len(), 0);
        }
        value[offset..offset + part.len()].copy_from_slice(part);
        self.put_edited(&slot, &value)?;
        Ok(value.len())
    }

    /// Stores a string that was changed in place.
    pub(super) fn put_edited(&mut self, slot: &Slot<'_>, value: &[u8]) -> Result<()> {
        self.put_string(slot, Expiry::Keep, EDITED, value)
    }

    /// INCRBY and its family: the new number.
    pub fn increment(&mut self, key: &[u8], by: i64) -> Result<i64> {
        let slot = self.string(key)?;
        let old = match slot.string()? {
            Some(text) => match number::parse_i64(text) {
                Some(old) => old,
                None => bail!(
                    InvalidTextRepresentation,
                    "value is not an integer or out of range"
                ),
            },
            None => 0,
        };
        let Some(new) = old.checked_add(by) else {
            bail!(NumericOutOfRange, "increment or decrement would overflow");
        };
        self.put(&slot, slot.expire_ms(), |out| {
            encode_string(out, 0, &[]);
            number::write_i64(out, new);
        })?;
        Ok(new)
    }

    /// INCRBYFLOAT: the new number as text.
    pub fn increment_decimal(&mut self, key: &[u8], by: &[u8]) -> Result<Vec<u8>> {
        let slot = self.string(key)?;
        let old = slot.string()?.unwrap_or(b"0");
        let new = number::add_decimal(old, by)?;
        self.put_string(&slot, Expiry::Keep, 0, &new)?;
        Ok(new)
    }
}

fn check_length(length: usize) -> Result<()> {
    if length > STRING_BYTES_MAX {
        bail!(
            LimitExceeded,
            "string exceeds maximum allowed size (proto-max-bulk-len)"
        );
    }
    Ok(())
}

/// The part of `value` from `start` to `end`, both counted from the end when negative.
pub fn range_of(value: &[u8], start: i64, end: i64) -> &[u8] {
    let length = value.len() as i64;
    if length == 0 || (start < 0 && end < 0 && start > end) {
        return &[];
    }
    let start = if start < 0 {
        (length.saturating_add(start)).max(0)
    } else {
        start
    };
    let end = if end < 0 {
        (length.saturating_add(end)).max(0)
    } else {
        end.min(length - 1)
    };
    if start > end {
        return &[];
    }
    value.get(start as usize..=end as usize).unwrap_or_default()
}

/// How OBJECT ENCODING names the form of a string.
pub fn encoding(level: u8, value: &[u8]) -> &'static str {
    if level >= EDITED {
        "raw"
    } else if value.len() <= 20 && number::parse_i64(value).is_some() {
        "int"
    } else if value.len() <= 44 {
        "embstr"
    } else {
        "raw"
    }
}

/// One run of equal bytes of LCS: where it stands in each of the two strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    pub a: (usize, usize),
    pub b: (usize, usize),
}

impl Match {
    pub fn len(&self) -> usize {
        self.a.1 - self.a.0 + 1
    }

    pub fn is_empty(&self) -> bool {
        false
    }
}

/// The longest common subsequence of two strings.
#[derive(Debug, Default)]
pub struct Lcs {
    pub bytes: Vec<u8>,
    /// From the end of the strings to their start, as Redis lists them.
    pub matches: Vec<Match>,
}

/// Largest table of LCS: the product of both lengths.
const LCS_CELLS_MAX: usize = 64 * 1024 * 1024;

pub fn lcs(a: &[u8], b: &[u8]) -> Result<Lcs> {
    let width = b.len() + 1;
    let cells = (a.len() + 1)
        .checked_mul(width)
        .filter(|cells| *cells <= LCS_CELLS_MAX);
    let Some(cells) = cells else {
        bail!(
            LimitExceeded,
            "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
        );
    };
    let mut table = vec![0u32; cells];
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            table[i * width + j] = if a[i - 1] == b[j - 1] {
                table[(i - 1) * width + j - 1] + 1
            } else {
                table[(i - 1) * width + j].max(table[i * width + j - 1])
            };
        }
    }
    let mut found = Lcs::default();
    let (mut i, mut j) = (a.len(), b.len());
    let mut run: Option<Match> = None;
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            found.bytes.push(a[i - 1]);
            run = Some(match run {
                Some(run) if run.a.0 == i && run.b.0 == j => Match {
                    a: (i - 1, run.a.1),
                    b: (j - 1, run.b.1),
                },
                other => {
                    found.matches.extend(other);
                    Match {
                        a: (i - 1, i - 1),
                        b: (j - 1, j - 1),
                    }
                }
            });
            i -= 1;
            j -= 1;
        } else if table[(i - 1) * width + j] > table[i * width + j - 1] {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    found.matches.extend(run);
    found.bytes.reverse();
    Ok(found)
}
