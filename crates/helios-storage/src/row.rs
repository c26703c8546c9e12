//! The row codec: column *k* is read without decoding the columns before it.
//!
//! ```text
//! flags u8 | null bitmap, one bit a column | fixed-width values | end offsets | variable values
//! ```
//!
//! Fixed-width columns stand at offsets that the layout knows; a NULL leaves its place zero. Each
//! variable column has the end of its value in the offset table, counted from the start of the
//! variable part, in two bytes while that part is shorter than 64 KiB and in four otherwise (flag
//! [`WIDE`]). Numbers are little endian. The layout is made once for each version of a table's
//! schema; the row itself says neither types nor the number of columns.
//!
//! Every offset is checked when it is followed: a corrupt row is an error of kind
//! `DataCorrupted`, never a panic.

mod value;

use crate::repr::Repr;
use helios_types::{
    Error, ErrorKind, Interval, JsonbRef, Numeric, Result, Type, ValueRef, bail, error, limits,
};

const WIDE: u8 = 1;

/// Where a column's value stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Offset from the start of the row.
    Fixed(u32),
    /// Number among the variable columns.
    Variable(u32),
}

/// How the rows of one schema version are laid out.
#[derive(Clone, Debug)]
pub struct RowLayout {
    columns: Vec<(Repr, Place)>,
    /// Where the fixed-width values end and the offset table begins.
    fixed_end: usize,
    variable: usize,
}

fn fixed_width(repr: Repr) -> Option<usize> {
    Some(match repr {
        Repr::Bool | Repr::Char => 1,
        Repr::Int2 => 2,
        Repr::Int4 | Repr::Oid | Repr::Float4 | Repr::Date => 4,
        Repr::Int8 | Repr::Float8 | Repr::Time | Repr::Timestamp | Repr::TimestampTz => 8,
        Repr::Interval | Repr::Uuid => 16,
        _ => return None,
    })
}

impl RowLayout {
    pub fn new(types: &[Type]) -> Self {
        let mut offset = 1 + types.len().div_ceil(8);
        let mut variable = 0;
        let columns = types
            .iter()
            .map(|&ty| {
                let repr = Repr::of(ty);
                let place = match fixed_width(repr) {
                    Some(width) => {
                        let at = offset;
                        offset += width;
                        Place::Fixed(at as u32)
                    }
                    None => {
                        variable += 1;
                        Place::Variable(variable - 1)
                    }
                };
                (repr, place)
            })
            .collect();
        RowLayout {
            columns,
            fixed_end: offset,
            variable: variable as usize,
        }
    }

    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Appends the row. There is one value a column, each of its column's type or NULL.
    pub fn encode(&self, out: &mut Vec<u8>, values: &[ValueRef<'_>]) -> Result<()> {
        let start = out.len();
        let encoded = self.encode_as::<2>(out, values)?;
        if !encoded {
            out.truncate(start);
            self.encode_as::<4>(out, values)?;
        }
        Ok(())
    }

    /// Encodes with offsets of `WIDTH` bytes; false when the row needs wider ones.
    fn encode_as<const WIDTH: usize>(
        &self,
        out: &mut Vec<u8>,
        values: &[ValueRef<'_>],
    ) -> Result<bool> {
        if values.len() != self.columns.len() {
            bail!(
                Internal,
                "{} values for a row of {} columns",
                values.len(),
                self.columns.len()
            );
        }
        let start = out.len();
        let data = start + self.fixed_end + self.variable * WIDTH;
        out.resize(data, 0);
        out[start] = if WIDTH == 4 { WIDE } else { 0 };
        for (k, (value, &(repr, place))) in values.iter().zip(&self.columns).enumerate() {
            let null = value.is_null();
            if null {
                out[start + 1 + k / 8] |= 1 << (k % 8);
            }
            match place {
                Place::Fixed(at) => {
                    if !null {
                        put_fixed(&mut out[start + at as usize..], repr, value)?;
                    }
                }
                Place::Variable(number) => {
                    if !null {
                        put_variable(out, repr, value)?;
                    }
                    let end = out.len() - data;
                    if end > limits::VALUE_BYTES_MAX {
                        bail!(
                            LimitExceeded,
                            "row is larger than {} bytes",
                            limits::VALUE_BYTES_MAX
                        );
                    }
                    if WIDTH == 2 && end > usize::from(u16::MAX) {
                        return Ok(false);
                    }
                    let slot = start + self.fixed_end + number as usize * WIDTH;
                    out[slot..slot + WIDTH].copy_from_slice(&(end as u32).to_le_bytes()[..WIDTH]);
                }
            }
        }
        Ok(true)
    }
}

/// A stored row, read through its layout.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    pub layout: &'a RowLayout,
    pub bytes: &'a [u8],
}

impl<'a> RowRef<'a> {
    pub fn new(layout: &'a RowLayout, bytes: &'a [u8]) -> Self {
        RowRef { layout, bytes }
    }

    /// The value of column `k`, counted from zero.
    #[inline]
    pub fn column(&self, k: usize) -> Result<ValueRef<'a>> {
        let Some(&(repr, place)) = self.layout.columns.get(k) else {
            bail!(
                Internal,
                "column {k} of a row of {} columns",
                self.layout.columns.len()
            );
        };
        match self.bytes.get(1 + k / 8) {
            Some(byte) if byte & 1 << (k % 8) != 0 => return Ok(ValueRef::Null),
            Some(_) => {}
            None => return Err(corrupt()),
        }
        match place {
            Place::Fixed(at) => get_fixed(self.bytes.get(at as usize..).unwrap_or_default(), repr),
            Place::Variable(number) => {
                get_variable(self.variable(number as usize).ok_or_else(corrupt)?, repr)
            }
        }
    }

    pub fn is_null(&self, k: usize) -> bool {
        self.bytes
            .get(1 + k / 8)
            .is_some_and(|byte| byte & 1 << (k % 8) != 0)
    }

    fn variable(&self, number: usize) -> Option<&'a [u8]> {
        let table = self.bytes.get(self.layout.fixed_end..)?;
        if self.bytes.first()? & WIDE == 0 {
            let offset = |i: usize| {
                table
                    .get(i * 2..)
                    .and_then(|b| b.first_chunk())
                    .map(|b| u16::from_le_bytes(*b))
            };
            let begin = if number == 0 { 0 } else { offset(number - 1)? };
            let data = table.get(self.layout.variable * 2..)?;
            data.get(usize::from(begin)..usize::from(offset(number)?))
        } else {
            let offset = |i: usize| {
                table
                    .get(i * 4..)
                    .and_then(|b| b.first_chunk())
                    .map(|b| u32::from_le_bytes(*b))
            };
            let begin = if number == 0 { 0 } else { offset(number - 1)? };
            let data = table.get(self.layout.variable * 4..)?;
            data.get(begin as usize..offset(number)? as usize)
        }
    }

    /// Checks that every column decodes; used by the integrity check.
    pub fn verify(&self) -> Result<()> {
        (0..self.layout.columns()).try_for_each(|k| self.column(k).map(drop))
    }
}

fn corrupt() -> Error {
    Error::new(
        ErrorKind::DataCorrupted,
        "row is shorter than its columns say",
    )
}

fn mismatch(repr: Repr, value: &ValueRef<'_>) -> Error {
    error!(
        Internal,
        "value {:?} for a column stored as {repr:?}",
        std::mem::discriminant(value)
    )
}

#[inline]
fn put_fixed(out: &mut [u8], repr: Repr, value: &ValueRef<'_>) -> Result<()> {
    fn put<const N: usize>(out: &mut [u8], bytes: [u8; N]) {
        out[..N].copy_from_slice(&bytes);
    }
    match (repr, value) {
        (Repr::Bool, ValueRef::Bool(v)) => put(out, [u8::from(*v)]),
        (Repr::Char, ValueRef::Char(v)) => put(out, [*v]),
        (Repr::Int2, ValueRef::Int2(v)) => put(out, v.to_le_bytes()),
        (Repr::Int4, ValueRef::Int4(v)) | (Repr::Date, ValueRef::Date(v)) => {
            put(out, v.to_le_bytes());
        }
        (Repr::Int8, ValueRef::Int8(v))
        | (Repr::Time, ValueRef::Time(v))
        | (Repr::Timestamp, ValueRef::Timestamp(v))
        | (Repr::TimestampTz, ValueRef::TimestampTz(v)) => put(out, v.to_le_bytes()),
        (Repr::Oid, ValueRef::Oid(v)) => put(out, v.to_le_bytes()),
        (Repr::Float4, ValueRef::Float4(v)) => put(out, v.to_le_bytes()),
        (Repr::Float8, ValueRef::Float8(v)) => put(out, v.to_le_bytes()),
        (Repr::Uuid, ValueRef::Uuid(v)) => put(out, **v),
        (Repr::Interval, ValueRef::Interval(v)) => {
            put(out, v.micros.to_le_bytes());
            put(&mut out[8..], v.days.to_le_bytes());
            put(&mut out[12..], v.months.to_le_bytes());
        }
        _ => return Err(mismatch(repr, value)),
    }
    Ok(())
}

#[inline]
fn get_fixed(bytes: &[u8], repr: Repr) -> Result<ValueRef<'_>> {
    fn get<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
        bytes.first_chunk::<N>().copied().ok_or_else(corrupt)
    }
    Ok(match repr {
        Repr::Bool => ValueRef::Bool(get::<1>(bytes)?[0] != 0),
        Repr::Char => ValueRef::Char(get::<1>(bytes)?[0]),
        Repr::Int2 => ValueRef::Int2(i16::from_le_bytes(get(bytes)?)),
        Repr::Int4 => ValueRef::Int4(i32::from_le_bytes(get(bytes)?)),
        Repr::Date => ValueRef::Date(i32::from_le_bytes(get(bytes)?)),
        Repr::Int8 => ValueRef::Int8(i64::from_le_bytes(get(bytes)?)),
        Repr::Time => ValueRef::Time(i64::from_le_bytes(get(bytes)?)),
        Repr::Timestamp => ValueRef::Timestamp(i64::from_le_bytes(get(bytes)?)),
        Repr::TimestampTz => ValueRef::TimestampTz(i64::from_le_bytes(get(bytes)?)),
        Repr::Oid => ValueRef::Oid(u32::from_le_bytes(get(bytes)?)),
        Repr::Float4 => ValueRef::Float4(f32::from_le_bytes(get(bytes)?)),
        Repr::Float8 => ValueRef::Float8(f64::from_le_bytes(get(bytes)?)),
        Repr::Uuid => ValueRef::Uuid(bytes.first_chunk().ok_or_else(corrupt)?),
        Repr::Interval => {
            let bytes = get::<16>(bytes)?;
            ValueRef::Interval(Interval {
                micros: i64::from_le_bytes(get(&bytes)?),
                days: i32::from_le_bytes(get(&bytes[8..])?),
                months: i32::from_le_bytes(get(&bytes[12..])?),
            })
        }
        _ => bail!(Internal, "column stored as {repr:?} has no fixed width"),
    })
}

#[inline]
fn put_variable(out: &mut Vec<u8>, repr: Repr, value: &ValueRef<'_>) -> Result<()> {
    match (repr, value) {
        (Repr::Text, ValueRef::Text(v)) => out.extend_from_slice(v.as_bytes()),
        (Repr::Bytea, ValueRef::Bytea(v)) => out.extend_from_slice(v),
        (Repr::Jsonb, ValueRef::Jsonb(v)) => {
            out.push(v.element);
            out.extend_from_slice(v.bytes);
        }
        (Repr::Numeric, ValueRef::Numeric(v)) => v.to_bytes(out),
        (Repr::Array(_) | Repr::Record | Repr::Other, _) => value::put_tagged(out, value, 0)?,
        _ => return Err(mismatch(repr, value)),
    }
    Ok(())
}

#[inline]
fn get_variable(bytes: &[u8], repr: Repr) -> Result<ValueRef<'_>> {
    Ok(match repr {
        Repr::Text => ValueRef::Text(value::text(bytes)?),
        Repr::Bytea => ValueRef::Bytea(bytes),
        Repr::Jsonb => {
            let (&element, bytes) = bytes.split_first().ok_or_else(corrupt)?;
            ValueRef::Jsonb(JsonbRef { element, bytes })
        }
        Repr::Numeric => ValueRef::Numeric(Numeric::from_bytes(bytes)?),
        _ => value::get_tagged(bytes)?,
    })
}

#[cfg(test)]
mod tests;
