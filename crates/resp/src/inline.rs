//! Inline commands: a line of words, as a person types it into telnet.
//!
//! Words are parted by blanks. `"..."` may hold blanks and the escapes `\n \r \t \b \a \xHH`, any other escaped
//! character being itself; `'...'` knows only `\'`. A closing quote must end its word.

use crate::error::ProtocolError;
use crate::request::Spans;

/// Splits `line` (without its line end) into `spans`. What the quotes stand for is never longer than how it is
/// written, so it is written over it, in place.
///
/// After an error `line` may hold a mixture of what was there and what it stands for.
pub(crate) fn split(line: &mut [u8], spans: &mut Spans) -> Result<(), ProtocolError> {
    let mut read = 0;
    loop {
        while line.get(read).is_some_and(|&b| is_space(b)) {
            read += 1;
        }
        if read == line.len() {
            return Ok(());
        }
        let start = read;
        let mut write = start;
        // Words without quotes stay where they are; a quote in the middle of a word continues it.
        while let Some(&byte) = line.get(read) {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => break,
                b'"' => {
                    (read, write) = double_quoted(line, read + 1, write)?;
                    break;
                }
                b'\'' => {
                    (read, write) = single_quoted(line, read + 1, write)?;
                    break;
                }
                byte => {
                    line[write] = byte;
                    read += 1;
                    write += 1;
                }
            }
        }
        spans.push((start as u32, (write - start) as u32));
    }
}

/// Reads from after the opening quote; returns where the word ends and where its text ends.
fn double_quoted(line: &mut [u8], mut read: usize, mut write: usize) -> Result<(usize, usize), ProtocolError> {
    loop {
        let (byte, len) = match line[read..] {
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_value(high) << 4 | hex_value(low), 4)
            }
            [b'\\', escaped, ..] => (unescape(escaped), 2),
            [b'"', ..] => return close(line, read + 1, write),
            [byte, ..] => (byte, 1),
            [] => return Err(ProtocolError::UnbalancedQuotes),
        };
        line[write] = byte;
        read += len;
        write += 1;
    }
}

/// Reads from after the opening quote; returns where the word ends and where its text ends.
fn single_quoted(line: &mut [u8], mut read: usize, mut write: usize) -> Result<(usize, usize), ProtocolError> {
    loop {
        let (byte, len) = match line[read..] {
            [b'\\', b'\'', ..] => (b'\'', 2),
            [b'\'', ..] => return close(line, read + 1, write),
            [byte, ..] => (byte, 1),
            [] => return Err(ProtocolError::UnbalancedQuotes),
        };
        line[write] = byte;
        read += len;
        write += 1;
    }
}

/// A closing quote must be followed by a blank or by nothing.
fn close(line: &[u8], after: usize, write: usize) -> Result<(usize, usize), ProtocolError> {
    match line.get(after) {
        Some(&byte) if !is_space(byte) => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok((after, write)),
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        byte => byte,
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// What C's `isspace` says; it has a vertical tab, which Rust's `is_ascii_whitespace` has not.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let mut line = line.as_bytes().to_vec();
        let mut spans = Spans::new();
        split(&mut line, &mut spans)?;
        Ok(spans
            .iter()
            .map(|&(start, len)| line[start as usize..][..len as usize].to_vec())
            .collect())
    }

    #[test]
    fn plain_words() {
        assert_eq!(words("").unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(words(" \t ").unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(words("  SET k\tv ").unwrap(), [b"SET", &b"k"[..], b"v"]);
        // A form feed does not part words, though it is skipped before one.
        assert_eq!(words("\x0ca\x0cb c").unwrap(), [b"a\x0cb", &b"c"[..]]);
    }

    #[test]
    fn quotes_and_escapes() {
        assert_eq!(words(r#"SET "a b" 'c d'"#).unwrap(), [b"SET", &b"a b"[..], b"c d"]);
        assert_eq!(
            words(r#""\x00\xfF\n\r\t\b\a\"\\\q\xg" end"#).unwrap(),
            [&b"\0\xff\n\r\t\x08\x07\"\\qxg"[..], b"end"]
        );
        assert_eq!(words(r#"'it\'s \n'"#).unwrap(), [b"it's \\n"]);
        assert_eq!(words(r#"foo"bar baz" x"#).unwrap(), [&b"foobar baz"[..], b"x"]);
        assert_eq!(words(r#""" ''"#).unwrap(), [b"", b""]);
        assert_eq!(words("a\\nb").unwrap(), [b"a\\nb"]);
    }

    #[test]
    fn unbalanced_quotes() {
        for line in [
            "\"abc",
            "'abc",
            "\"abc\"d",
            "'abc'd",
            "a \"",
            "\"abc\\\"",
            "\"abc\"\"d\"",
            "\"\\",
        ] {
            assert_eq!(words(line), Err(ProtocolError::UnbalancedQuotes), "{line}");
        }
    }
}
