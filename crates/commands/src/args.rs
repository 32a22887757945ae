//! Reading arguments, with Redis' error texts.

use haypile_resp::{parse_f64, parse_i64};

use crate::CommandError;
use crate::error::{NOT_FLOAT, NOT_INTEGER, NOT_POSITIVE};

/// An integer of 64 bits.
pub fn integer(arg: &[u8]) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(NOT_INTEGER)
}

/// An integer of 32 bits, as numbers of databases are.
pub fn int32(arg: &[u8]) -> Result<i32, CommandError> {
    i32::try_from(integer(arg)?).map_err(|_| {
        CommandError::reply(format!(
            "ERR value is out of range, value must between {} and {}",
            i32::MIN,
            i32::MAX
        ))
    })
}

/// An integer that is not negative. Redis has one text for what is negative and what is no integer.
pub fn non_negative(arg: &[u8]) -> Result<u64, CommandError> {
    let number = parse_i64(arg).and_then(|n| u64::try_from(n).ok());
    number.ok_or(NOT_POSITIVE)
}

/// A floating-point number; infinities are allowed, NaN is not.
pub fn float(arg: &[u8]) -> Result<f64, CommandError> {
    parse_f64(arg).ok_or(NOT_FLOAT)
}

/// True if the argument is this word, in any case. `word` is given in upper case.
pub fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// A blocking command's timeout: seconds, possibly with a fraction; 0 waits for ever. Gives milliseconds.
pub fn timeout(arg: &[u8]) -> Result<Option<u64>, CommandError> {
    let seconds = parse_f64(arg).ok_or_else(|| CommandError::reply("ERR timeout is not a float or out of range"))?;
    if seconds < 0.0 {
        return Err(CommandError::reply("ERR timeout is negative"));
    }
    let ms = (seconds * 1000.0).ceil();
    if !ms.is_finite() || ms > i64::MAX as f64 / 2.0 {
        return Err(CommandError::reply("ERR timeout is out of range"));
    }
    Ok((ms > 0.0).then_some(ms as u64))
}

/// Resolves Redis' start and end of a range (negative = from the end) over `len` items into a half-open range of
/// indexes; empty if it selects nothing.
pub fn range(start: i64, end: i64, len: u64) -> std::ops::Range<u64> {
    let signed = i64::try_from(len).unwrap_or(i64::MAX);
    let resolve = |n: i64| if n < 0 { n.saturating_add(signed) } else { n };
    let (start, end) = (resolve(start).max(0), resolve(end).min(signed - 1));
    if start > end || start >= signed {
        return 0..0;
    }
    start as u64..end as u64 + 1
}
