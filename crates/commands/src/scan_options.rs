//! What SCAN and its relatives over collections (HSCAN, SSCAN, ZSCAN) have in common: cursor, MATCH, COUNT and the reply's
//! frame.

use haypile_resp::{Reply, Request};

use crate::args::{integer, is};
use crate::error::SYNTAX;
use crate::{CommandError, glob};

/// What follows the cursor.
pub(crate) struct ScanOptions<'r> {
    pattern: Option<&'r [u8]>,
    /// How many elements to look at, about.
    pub(crate) count: u64,
}

/// Elements that a call looks at where no COUNT is given.
pub(crate) const COUNT_DEFAULT: u64 = 10;

/// The number behind COUNT.
pub(crate) fn count(arg: &[u8]) -> Result<u64, CommandError> {
    u64::try_from(integer(arg)?).ok().filter(|&n| n >= 1).ok_or(SYNTAX)
}

impl<'r> ScanOptions<'r> {
    /// Reads the options from argument `from` on.
    pub(crate) fn parse(request: &'r Request, from: usize) -> Result<Self, CommandError> {
        let mut options = ScanOptions {
            pattern: None,
            count: COUNT_DEFAULT,
        };
        let mut i = from;
        while i < request.len() {
            match request.get(i + 1) {
                Some(value) if is(&request[i], "COUNT") => {
                    options.count = count(value)?;
                }
                Some(value) if is(&request[i], "MATCH") => options.pattern = (value != b"*").then_some(value),
                _ => return Err(SYNTAX),
            }
            i += 2;
        }
        Ok(options)
    }

    /// True if the pattern lets an element through.
    pub(crate) fn admits(&self, element: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, element))
    }
}

/// A cursor, read as C's `strtoul` does, which is what Redis uses: the empty text is 0.
pub(crate) fn parse_cursor(text: &[u8]) -> Result<u64, CommandError> {
    let invalid = || CommandError::reply("ERR invalid cursor");
    let (negative, digits) = match text {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(invalid());
    }
    // Digits only, so this is UTF-8, and only too large a number fails.
    let number: u64 = std::str::from_utf8(digits)
        .unwrap_or_default()
        .parse()
        .map_err(|_| invalid())?;
    Ok(if negative { number.wrapping_neg() } else { number })
}

/// The reply for a key that does not exist.
pub(crate) fn reply_empty(reply: &mut Reply) {
    reply.array(2);
    reply.bulk(b"0");
    reply.array(0);
}

/// A scan's reply while its elements are gathered: the cursor, which stands before them, is known last.
pub(crate) struct ScanReply {
    body: Reply,
    count: usize,
}

impl ScanReply {
    /// A reply that will be written to `reply`.
    pub(crate) fn new(reply: &Reply) -> Self {
        ScanReply {
            body: Reply::new(reply.version()),
            count: 0,
        }
    }

    /// Adds a bulk string to the elements.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.body.bulk(bytes);
        self.count += 1;
    }

    /// Bytes of the elements so far.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Writes it all, with the cursor of the next call; 0 ends the scan.
    pub(crate) fn finish(self, reply: &mut Reply, cursor: u64) {
        reply.array(2);
        reply.bulk_str(&cursor.to_string());
        reply.array(self.count);
        reply.raw(self.body.buffer());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_strtoul_does() {
        for (text, cursor) in [
            ("", 0),
            ("0", 0),
            ("+7", 7),
            ("007", 7),
            ("-1", u64::MAX),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()).unwrap(), cursor, "{text}");
        }
        for text in [
            " 1",
            "1 ",
            "a",
            "-",
            "+",
            "--1",
            "+-1",
            "++1",
            "0x1",
            "18446744073709551616",
        ] {
            assert!(parse_cursor(text.as_bytes()).is_err(), "{text}");
        }
    }
}
