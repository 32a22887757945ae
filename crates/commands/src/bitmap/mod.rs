//! Bitmaps: strings whose bits are read and written.
//!
//! A bitmap is the bytes of a string (see [`crate::string`]). Bit 0 is the highest bit of byte 0; integers stand in the
//! bits with their most significant bit first. What lies beyond the end is zero.

mod bit;
mod count;
mod field;
mod integer;
mod operation;
mod position;
#[cfg(test)]
mod tests;

use crate::args::is;
use crate::error::SYNTAX;
use crate::{CommandError, Cx, Spec};

/// The family's commands.
pub static COMMANDS: &[Spec] = &[
    bit::SETBIT,
    bit::GETBIT,
    count::BITCOUNT,
    position::BITPOS,
    operation::BITOP,
    field::BITFIELD,
    field::BITFIELD_RO,
];

/// The number of a bit. It lies within the longest string that may be made.
fn bit_offset(cx: &Cx<'_>, arg: &[u8]) -> Result<u64, CommandError> {
    checked_offset(cx, haypile_resp::parse_i64(arg))
}

fn checked_offset(cx: &Cx<'_>, offset: Option<i64>) -> Result<u64, CommandError> {
    offset
        .and_then(|offset| u64::try_from(offset).ok())
        .filter(|offset| offset / 8 < cx.string_bytes_max as u64)
        .ok_or_else(|| CommandError::reply("ERR bit offset is not an integer or out of range"))
}

/// What the ends of a range count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(arg: Option<&[u8]>) -> Result<Self, CommandError> {
        match arg {
            None => Ok(Unit::Byte),
            Some(arg) if is(arg, "BYTE") => Ok(Unit::Byte),
            Some(arg) if is(arg, "BIT") => Ok(Unit::Bit),
            Some(_) => Err(SYNTAX),
        }
    }
}

/// The bits from `start` to `end`, both included and counted in `unit`, of a string of `len` bytes; negative ends
/// count from the end, and an end before the first is the first.
fn bit_range(start: i64, end: i64, unit: Unit, len: usize) -> std::ops::Range<u64> {
    let bits = if unit == Unit::Byte { 8 } else { 1 };
    let total = len as i64 * (8 / bits);
    let resolve = |n: i64| if n < 0 { n.saturating_add(total).max(0) } else { n };
    let (start, end) = (resolve(start), resolve(end).min(total - 1));
    if start > end {
        return 0..0;
    }
    (start * bits) as u64..((end + 1) * bits) as u64
}
