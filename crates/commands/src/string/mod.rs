//! Strings. The value stands in the row itself, after the header: there are no elements.
//!
//! ```text
//! row   tag u8 | [expire-at u64 BE] | the bytes of the string
//! ```
//!
//! Counters are decimal text, as clients see them. Bitmaps and HyperLogLogs are strings too.

mod append;
mod get;
mod lcs;
mod many;
mod number;
mod options;
mod range;
mod set;
#[cfg(test)]
mod tests;

use crate::{CommandError, Cx, Spec};

/// The family's commands.
pub static COMMANDS: &[Spec] = &[
    get::GET,
    set::SET,
    set::SETNX,
    set::SETEX,
    set::PSETEX,
    set::GETSET,
    get::GETDEL,
    get::GETEX,
    many::MGET,
    many::MSET,
    many::MSETNX,
    append::APPEND,
    get::STRLEN,
    number::INCR,
    number::DECR,
    number::INCRBY,
    number::DECRBY,
    number::INCRBYFLOAT,
    range::GETRANGE,
    range::SUBSTR,
    append::SETRANGE,
    lcs::LCS,
];

/// Refuses a string of `start + len` bytes if that is more than may be made.
fn check_length(cx: &Cx<'_>, start: u64, len: usize) -> Result<(), CommandError> {
    match start.checked_add(len as u64) {
        Some(total) if total <= cx.string_bytes_max as u64 => Ok(()),
        _ => Err(CommandError::reply(
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        )),
    }
}
