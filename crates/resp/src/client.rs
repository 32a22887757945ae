//! Decodes replies, RESP2 and RESP3 alike, for whoever talks to a server.

use bytes::{Buf, BytesMut};
use memchr::memchr;

use crate::error::ProtocolError;
use crate::number::parse_i64;

/// How deep aggregates may lie within one another. Redis' own replies stay below 10.
pub const DEPTH_MAX: usize = 64;

/// The longest bulk string or line that is accepted, in bytes.
const BULK_BYTES_MAX: usize = 4 << 30;

/// So many elements are reserved on the server's word; for more, the list grows as they arrive.
const UNSEEN_ELEMENTS_MAX: usize = 64;

/// A reply, or an element of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`: a status.
    Simple(String),
    /// `-` or `!`: an error, its code first.
    Error(String),
    /// `:`
    Integer(i64),
    /// `$`: any bytes.
    Bulk(Vec<u8>),
    /// `_`, or in RESP2 `$-1` or `*-1`.
    Null,
    /// `*`
    Array(Vec<Value>),
    /// `%`, in the order received.
    Map(Vec<(Value, Value)>),
    /// `~`, in the order received.
    Set(Vec<Value>),
    /// `>`: a message that is not the answer to a command.
    Push(Vec<Value>),
    /// `,`
    Double(f64),
    /// `#`
    Boolean(bool),
    /// `(`: decimal digits.
    BigNumber(String),
    /// `=`: text and its format, `txt` or `mkd`.
    Verbatim {
        /// Three bytes.
        format: [u8; 3],
        /// The text itself.
        text: Vec<u8>,
    },
}

impl Value {
    /// The bytes of a string of any kind.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(text) | Self::BigNumber(text) => Some(text.as_bytes()),
            Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The value of an integer.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of an error.
    pub fn as_error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array, a set or a push.
    pub fn as_elements(&self) -> Option<&[Value]> {
        match self {
            Self::Array(elements) | Self::Set(elements) | Self::Push(elements) => Some(elements),
            _ => None,
        }
    }
}

/// Decodes the reply at the beginning of `buf`; returns it and its length in bytes, or `None` when it has not arrived
/// completely. Attributes (`|`) are read over.
///
/// Begins at the beginning each time; for replies that arrive in many pieces use [`Decoder`].
///
/// # Errors
/// When the bytes are not RESP, or nest deeper than [`DEPTH_MAX`]. The connection is of no further use.
pub fn decode(buf: &[u8]) -> Result<Option<(Value, usize)>, ProtocolError> {
    let mut cursor = Cursor { buf, position: 0 };
    match cursor.value(0) {
        Ok(value) => Ok(Some((value, cursor.position))),
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Invalid(why)) => Err(ProtocolError::InvalidReply(why)),
    }
}

/// Decodes the replies of one connection as they arrive, and looks at the bytes of an incomplete one but once.
///
/// Between two calls the caller may only append to the buffer.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Up to where the incomplete reply has been looked through.
    position: usize,
    /// How many elements are missing from `position` on; 0 between replies.
    missing: usize,
    /// Up to where the line at `position` has been searched in vain for its end.
    searched: usize,
}

impl Decoder {
    /// A decoder for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a complete reply off the front of `buf`, if there is one.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Value>, ProtocolError> {
        match self.look_through(buf) {
            Ok(()) => {}
            Err(Stop::Incomplete) => return Ok(None),
            Err(Stop::Invalid(why)) => return Err(ProtocolError::InvalidReply(why)),
        }
        *self = Self::default();
        let Some((value, len)) = decode(buf)? else {
            return Err(ProtocolError::InvalidReply("its end is not where it was announced"));
        };
        buf.advance(len);
        Ok(Some(value))
    }

    /// Follows the lengths to the reply's end.
    fn look_through(&mut self, buf: &[u8]) -> Result<(), Stop> {
        if self.missing == 0 {
            self.missing = 1;
        }
        while self.missing > 0 {
            let line_end = self.line_end(buf)?;
            let header = Cursor {
                buf,
                position: self.position,
            }
            .header()?;
            let more = match header {
                Header::Line(..) => 0,
                Header::Blob(_, len) => {
                    if buf.len() < line_end + len + 2 {
                        return Err(Stop::Incomplete);
                    }
                    self.position = line_end + len + 2;
                    self.missing -= 1;
                    continue;
                }
                Header::Null => 0,
                Header::Aggregate(prefix, count) => count * elements_each(prefix) + usize::from(prefix == b'|'),
            };
            self.position = line_end;
            self.missing = (self.missing - 1)
                .checked_add(more)
                .ok_or(Stop::Invalid("too many elements"))?;
        }
        Ok(())
    }

    /// Where the line at `position` ends, its line end included.
    fn line_end(&mut self, buf: &[u8]) -> Result<usize, Stop> {
        let from = self.searched.max(self.position);
        match memchr(b'\n', &buf[from..]) {
            Some(i) => Ok(from + i + 1),
            None => {
                self.searched = buf.len();
                Err(Stop::Incomplete)
            }
        }
    }
}

enum Stop {
    Incomplete,
    Invalid(&'static str),
}

/// A line that says what follows.
enum Header<'a> {
    /// The value is the line's rest.
    Line(u8, &'a [u8]),
    /// So many bytes and a line end follow.
    Blob(u8, usize),
    /// So many elements follow, or pairs of them.
    Aggregate(u8, usize),
    /// RESP2's absent value.
    Null,
}

/// How many elements follow for each that a header counts.
fn elements_each(prefix: u8) -> usize {
    if matches!(prefix, b'%' | b'|') { 2 } else { 1 }
}

struct Cursor<'a> {
    buf: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn header(&mut self) -> Result<Header<'a>, Stop> {
        let rest = &self.buf[self.position..];
        let end = memchr(b'\n', rest).ok_or(Stop::Incomplete)?;
        let [prefix, text @ .., b'\r'] = &rest[..end] else {
            return Err(Stop::Invalid("a line does not end in CR LF"));
        };
        self.position += end + 1;
        match prefix {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Ok(Header::Line(*prefix, text)),
            b'$' | b'*' if text == b"-1" => Ok(Header::Null),
            b'$' | b'=' | b'!' => match length(text)? {
                len if len > BULK_BYTES_MAX => Err(Stop::Invalid("too long a string")),
                len => Ok(Header::Blob(*prefix, len)),
            },
            b'*' | b'%' | b'~' | b'>' | b'|' => match length(text)? {
                count if count > u32::MAX as usize => Err(Stop::Invalid("too many elements")),
                count => Ok(Header::Aggregate(*prefix, count)),
            },
            _ => Err(Stop::Invalid("an unknown type")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        loop {
            match self.header()? {
                Header::Null => return Ok(Value::Null),
                Header::Line(prefix, text) => return line_value(prefix, text),
                Header::Blob(prefix, len) => return blob_value(prefix, self.blob(len)?),
                Header::Aggregate(..) if depth == DEPTH_MAX => return Err(Stop::Invalid("nested too deep")),
                Header::Aggregate(b'%', count) => return Ok(Value::Map(self.pairs(count, depth + 1)?)),
                Header::Aggregate(b'|', count) => {
                    // What a server adds about the reply; nobody has asked.
                    self.pairs(count, depth + 1)?;
                }
                Header::Aggregate(prefix, count) => {
                    let elements = self.elements(count, depth + 1)?;
                    return Ok(match prefix {
                        b'~' => Value::Set(elements),
                        b'>' => Value::Push(elements),
                        _ => Value::Array(elements),
                    });
                }
            }
        }
    }

    fn elements(&mut self, count: usize, depth: usize) -> Result<Vec<Value>, Stop> {
        let mut elements = Vec::with_capacity(count.min(UNSEEN_ELEMENTS_MAX));
        for _ in 0..count {
            elements.push(self.value(depth)?);
        }
        Ok(elements)
    }

    fn pairs(&mut self, count: usize, depth: usize) -> Result<Vec<(Value, Value)>, Stop> {
        let mut pairs = Vec::with_capacity(count.min(UNSEEN_ELEMENTS_MAX));
        for _ in 0..count {
            pairs.push((self.value(depth)?, self.value(depth)?));
        }
        Ok(pairs)
    }

    fn blob(&mut self, len: usize) -> Result<&'a [u8], Stop> {
        let rest = &self.buf[self.position..];
        if rest.len() < len + 2 {
            return Err(Stop::Incomplete);
        }
        if rest[len..len + 2] != *b"\r\n" {
            return Err(Stop::Invalid("a string is longer than announced"));
        }
        self.position += len + 2;
        Ok(&rest[..len])
    }
}

fn length(text: &[u8]) -> Result<usize, Stop> {
    parse_i64(text)
        .and_then(|n| usize::try_from(n).ok())
        .ok_or(Stop::Invalid("not a length"))
}

fn line_value(prefix: u8, text: &[u8]) -> Result<Value, Stop> {
    match prefix {
        b'+' => Ok(Value::Simple(String::from_utf8_lossy(text).into_owned())),
        b'-' => Ok(Value::Error(String::from_utf8_lossy(text).into_owned())),
        b':' => parse_i64(text.strip_prefix(b"+").unwrap_or(text))
            .map(Value::Integer)
            .ok_or(Stop::Invalid("not an integer")),
        b'_' if text.is_empty() => Ok(Value::Null),
        b'#' if text == b"t" => Ok(Value::Boolean(true)),
        b'#' if text == b"f" => Ok(Value::Boolean(false)),
        b',' => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
            .map(Value::Double)
            .ok_or(Stop::Invalid("not a double")),
        b'(' => {
            let digits = text
                .strip_prefix(b"-")
                .or_else(|| text.strip_prefix(b"+"))
                .unwrap_or(text);
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(Stop::Invalid("not a big number"));
            }
            Ok(Value::BigNumber(String::from_utf8_lossy(text).into_owned()))
        }
        _ => Err(Stop::Invalid("not a value of its type")),
    }
}

fn blob_value(prefix: u8, blob: &[u8]) -> Result<Value, Stop> {
    match (prefix, blob) {
        (b'!', error) => Ok(Value::Error(String::from_utf8_lossy(error).into_owned())),
        (b'=', [a, b, c, b':', text @ ..]) => Ok(Value::Verbatim {
            format: [*a, *b, *c],
            text: text.to_vec(),
        }),
        (b'=', _) => Err(Stop::Invalid("verbatim text without its format")),
        (_, bytes) => Ok(Value::Bulk(bytes.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Value {
        let (value, len) = decode(text.as_bytes()).unwrap().unwrap();
        assert_eq!(len, text.len());
        for cut in 0..text.len() {
            assert_eq!(decode(&text.as_bytes()[..cut]), Ok(None), "{text} cut at {cut}");
        }
        // In single bytes.
        let mut decoder = Decoder::new();
        let mut buf = BytesMut::new();
        for (i, byte) in text.bytes().enumerate() {
            buf.extend_from_slice(&[byte]);
            let decoded = decoder.decode(&mut buf).unwrap();
            assert_eq!(decoded, (i + 1 == text.len()).then(|| value.clone()));
        }
        assert!(buf.is_empty());
        value
    }

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.into())
    }

    #[test]
    fn every_type() {
        assert_eq!(one("+OK\r\n"), Value::Simple("OK".into()));
        assert_eq!(one("-ERR no\r\n"), Value::Error("ERR no".into()));
        assert_eq!(one("!6\r\nERR no\r\n"), Value::Error("ERR no".into()));
        assert_eq!(one(":-12\r\n"), Value::Integer(-12));
        assert_eq!(one("$2\r\n\r\n\r\n"), bulk("\r\n"));
        assert_eq!(one("$0\r\n\r\n"), bulk(""));
        assert_eq!(one("$-1\r\n"), Value::Null);
        assert_eq!(one("*-1\r\n"), Value::Null);
        assert_eq!(one("_\r\n"), Value::Null);
        assert_eq!(one("*0\r\n"), Value::Array(vec![]));
        assert_eq!(
            one("*2\r\n:1\r\n*1\r\n$1\r\na\r\n"),
            Value::Array(vec![Value::Integer(1), Value::Array(vec![bulk("a")])])
        );
        assert_eq!(
            one("%1\r\n+k\r\n:2\r\n"),
            Value::Map(vec![(Value::Simple("k".into()), Value::Integer(2))])
        );
        assert_eq!(one("~1\r\n#t\r\n"), Value::Set(vec![Value::Boolean(true)]));
        assert_eq!(one(">1\r\n#f\r\n"), Value::Push(vec![Value::Boolean(false)]));
        assert_eq!(one(",1.5\r\n"), Value::Double(1.5));
        assert_eq!(one(",-inf\r\n"), Value::Double(f64::NEG_INFINITY));
        assert!(matches!(decode(b",nan\r\n"), Ok(Some((Value::Double(d), 6))) if d.is_nan()));
        assert_eq!(one("(-123\r\n"), Value::BigNumber("-123".into()));
        assert_eq!(
            one("=7\r\ntxt:abc\r\n"),
            Value::Verbatim {
                format: *b"txt",
                text: b"abc".to_vec()
            }
        );
        assert_eq!(
            one("|1\r\n+ttl\r\n:3\r\n*1\r\n|0\r\n:4\r\n"),
            Value::Array(vec![Value::Integer(4)])
        );
    }

    #[test]
    fn what_is_not_a_reply() {
        for text in [
            "x\r\n",
            "\r\n",
            "\n",
            "+OK\n",
            ":1a\r\n",
            ":\r\n",
            "$-2\r\n",
            "$1\r\nab\r\n",
            "*-2\r\n",
            "*x\r\n",
            "#x\r\n",
            "_x\r\n",
            ",x\r\n",
            "(x\r\n",
            "(\r\n",
            "=2\r\nab\r\n",
            "$9223372036854775807\r\n",
            "*9223372036854775807\r\n",
            "=-1\r\n",
            "%-1\r\n",
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text:?}");
            assert!(Decoder::new().decode(&mut BytesMut::from(text)).is_err(), "{text:?}");
        }
        let deep = "*1\r\n".repeat(DEPTH_MAX) + ":1\r\n";
        assert!(decode(deep.as_bytes()).unwrap().is_some());
        let deeper = "*1\r\n".repeat(DEPTH_MAX + 1) + ":1\r\n";
        assert!(decode(deeper.as_bytes()).is_err());
        assert_eq!(decode(b"*4294967295\r\n"), Ok(None));
    }

    #[test]
    fn takes_one_reply_at_a_time() {
        let mut buf = BytesMut::from("+a\r\n+b\r\n+c");
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(&mut buf), Ok(Some(Value::Simple("a".into()))));
        assert_eq!(decoder.decode(&mut buf), Ok(Some(Value::Simple("b".into()))));
        assert_eq!(decoder.decode(&mut buf), Ok(None));
        assert_eq!(buf, "+c");
    }
}
