//! Bit operations on string values. Bit 0 is the highest bit of the first byte.

use super::access::Access;
use super::entry::encode_string;
use super::strings::STRING_BYTES_MAX;
use helios_types::{Result, bail};

/// The number of bits of the longest string.
pub const BITS_MAX: u64 = STRING_BYTES_MAX as u64 * 8;

pub fn bit_of(value: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset >> 3)
        .ok()
        .and_then(|at| value.get(at));
    byte.is_some_and(|byte| byte >> (7 - (offset & 7)) & 1 == 1)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOperation {
    And,
    Or,
    Xor,
    Not,
}

/// How BITFIELD treats a result that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// The width and sign of a BITFIELD integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    pub signed: bool,
    pub bits: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldOperation {
    Get,
    Set(i64),
    Increment(i64),
}

/// One operation of BITFIELD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldStep {
    pub kind: FieldType,
    pub offset: u64,
    pub operation: FieldOperation,
    pub overflow: Overflow,
}

impl FieldType {
    fn bounds(self) -> (i128, i128) {
        if self.signed {
            (-(1i128 << (self.bits - 1)), (1i128 << (self.bits - 1)) - 1)
        } else {
            (0, (1i128 << self.bits) - 1)
        }
    }

    fn read(self, value: &[u8], offset: u64) -> i128 {
        let mut number: i128 = 0;
        for bit in 0..u64::from(self.bits) {
            number = number << 1 | i128::from(bit_of(value, offset + bit));
        }
        if self.signed && number >> (self.bits - 1) & 1 == 1 {
            number -= 1i128 << self.bits;
        }
        number
    }

    fn write(self, value: &mut Vec<u8>, offset: u64, number: i128) {
        let end = ((offset + u64::from(self.bits)) as usize).div_ceil(8);
        if value.len() < end {
            value.resize(end, 0);
        }
        for bit in 0..self.bits {
            let on = number >> (self.bits - 1 - bit) & 1 == 1;
            set_bit(value, offset + u64::from(bit), on);
        }
    }

    /// `number` brought into range, or `None` when that must fail.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i128> {
        let (low, high) = self.bounds();
        if (low..=high).contains(&number) {
            return Some(number);
        }
        match overflow {
            Overflow::Fail => None,
            Overflow::Saturate => Some(number.clamp(low, high)),
            Overflow::Wrap => Some((number - low).rem_euclid(high - low + 1) + low),
        }
    }
}

fn set_bit(value: &mut [u8], offset: u64, on: bool) {
    let mask = 0x80u8 >> (offset & 7);
    if let Some(byte) = value.get_mut((offset >> 3) as usize) {
        if on {
            *byte |= mask;
        } else {
            *byte &= !mask;
        }
    }
}

impl Access<'_> {
    /// SETBIT: the old bit. `offset` is below [`BITS_MAX`].
    pub fn set_bit(&mut self, key: &[u8], offset: u64, on: bool) -> Result<bool> {
        let slot = self.string(key)?;
        let mut value = slot.string()?.unwrap_or_default().to_vec();
        let old = bit_of(&value, offset);
        let end = (offset >> 3) as usize + 1;
        if value.len() < end {
            value.resize(end, 0);
        }
        set_bit(&mut value, offset, on);
        self.put_edited(&slot, &value)?;
        Ok(old)
    }

    /// BITOP: the length of the result, which replaces `destination`.
    pub fn bit_operation<'k>(
        &mut self,
        operation: BitOperation,
        destination: &[u8],
        sources: impl Iterator<Item = &'k [u8]>,
    ) -> Result<usize> {
        let mut result: Option<Vec<u8>> = None;
        for key in sources {
            let slot = self.string(key)?;
            let source = slot.string()?.unwrap_or_default();
            result = Some(match result {
                None if operation == BitOperation::Not => source.iter().map(|byte| !byte).collect(),
                None => source.to_vec(),
                Some(so_far) => combine(operation, so_far, source),
            });
        }
        let result = result.unwrap_or_default();
        let slot = self.slot(destination)?;
        if result.is_empty() {
            self.remove(&slot)?;
        } else {
            self.put(&slot, None, |out| encode_string(out, 0, &result))?;
        }
        Ok(result.len())
    }

    /// BITFIELD: one answer a step, `None` for an overflow that fails.
    pub fn bit_field(&mut self, key: &[u8], steps: &[FieldStep]) -> Result<Vec<Option<i64>>> {
        let slot = self.string(key)?;
        let mut value = slot.string()?.unwrap_or_default().to_vec();
        let mut answers = Vec::with_capacity(steps.len());
        let mut changed = false;
        for step in steps {
            let old = step.kind.read(&value, step.offset);
            let (new, answer) = match step.operation {
                FieldOperation::Get => (None, Some(old)),
                FieldOperation::Set(number) => {
                    let new = step.kind.fit(i128::from(number), step.overflow);
                    (new, new.map(|_| old))
                }
                FieldOperation::Increment(by) => {
                    let new = step.kind.fit(old + i128::from(by), step.overflow);
                    (new, new)
                }
            };
            if step.operation != FieldOperation::Get {
                // As in Redis the string grows even when the operation fails.
                let end = ((step.offset + u64::from(step.kind.bits)) as usize).div_ceil(8);
                if value.len() < end {
                    value.resize(end, 0);
                    changed = true;
                }
            }
            if let Some(new) = new {
                step.kind.write(&mut value, step.offset, new);
                changed = true;
            }
            answers.push(answer.map(|answer| answer as i64));
        }
        if changed {
            self.put_edited(&slot, &value)?;
        }
        Ok(answers)
    }
}

fn combine(operation: BitOperation, mut left: Vec<u8>, right: &[u8]) -> Vec<u8> {
    if left.len() < right.len() {
        left.resize(right.len(), 0);
    }
    for (at, byte) in left.iter_mut().enumerate() {
        let other = right.get(at).copied().unwrap_or(0);
        match operation {
            BitOperation::And => *byte &= other,
            BitOperation::Or => *byte |= other,
            BitOperation::Xor => *byte ^= other,
            BitOperation::Not => {}
        }
    }
    left
}

/// A range of BITCOUNT and BITPOS in bits, resolved against `length` bits; `None` when empty.
pub fn resolve_bits(start: i64, end: i64, in_bits: bool, bytes: usize) -> Option<(u64, u64)> {
    let total = if in_bits {
        bytes as i64 * 8
    } else {
        bytes as i64
    };
    if start < 0 && end < 0 && start > end {
        return None;
    }
    let start = if start < 0 {
        total.saturating_add(start).max(0)
    } else {
        start
    };
    let end = if end < 0 {
        total.saturating_add(end).max(0)
    } else {
        end.min(total - 1)
    };
    if start > end || total == 0 {
        return None;
    }
    let (start, end) = (start as u64, end as u64);
    Some(if in_bits {
        (start, end)
    } else {
        (start * 8, end * 8 + 7)
    })
}

/// The number of ones between two bits, both inclusive.
pub fn count_bits(value: &[u8], first: u64, last: u64) -> u64 {
    let mut total = 0u64;
    let mut bit = first;
    while bit <= last {
        if bit & 7 == 0 && bit + 7 <= last {
            total += value
                .get((bit >> 3) as usize)
                .map_or(0, |byte| u64::from(byte.count_ones()));
            bit += 8;
        } else {
            total += u64::from(bit_of(value, bit));
            bit += 1;
        }
    }
    total
}

/// The first bit with the wanted value between two bits, both inclusive.
pub fn find_bit(value: &[u8], wanted: bool, first: u64, last: u64) -> Option<u64> {
    let skip = if wanted { 0x00 } else { 0xff };
    let mut bit = first;
    while bit <= last {
        if bit & 7 == 0 && value.get((bit >> 3) as usize) == Some(&skip) {
            bit += 8;
            continue;
        }
        if bit_of(value, bit) == wanted {
            return Some(bit);
        }
        bit += 1;
    }
    None
}

/// The type of a BITFIELD integer: `i1` to `i64`, `u1` to `u63`.
pub fn parse_field_type(text: &[u8]) -> Result<FieldType> {
    let parsed = match text.split_first() {
        Some((b'i', bits)) => Some((true, bits, 64)),
        Some((b'u', bits)) => Some((false, bits, 63)),
        _ => None,
    };
    if let Some((signed, bits, most)) = parsed
        && let Some(bits) = super::number::parse_i64(bits)
        && (1..=most).contains(&bits)
    {
        return Ok(FieldType {
            signed,
            bits: bits as u32,
        });
    }
    bail!(
        InvalidParameterValue,
        "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
    )
}
