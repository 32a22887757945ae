//! The value of a meta key: what a user key is.
//!
//! ```text
//! tag u8: kind in the low 4 bits, 0x80 = an expiry follows | [expire-at u64 BE, ms since the epoch] | body
//!
//! body of a string      its bytes
//! body of a collection  version u64 BE | size u64 BE | what the type adds
//! ```
//!
//! A small string so costs 5 bytes over its key and value (slot, hash, tag), 13 with an expiry.

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Bytes; also bitmaps and HyperLogLogs.
    String = 1,
    /// A sequence.
    List = 2,
    /// Members without order.
    Set = 3,
    /// Members with a score.
    Zset = 4,
    /// Fields with a value.
    Hash = 5,
    /// Entries with an id.
    Stream = 6,
}

impl Kind {
    /// The name that TYPE gives.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Zset => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
        }
    }

    fn from_tag(tag: u8) -> Option<Kind> {
        Some(match tag & 0x0f {
            1 => Kind::String,
            2 => Kind::List,
            3 => Kind::Set,
            4 => Kind::Zset,
            5 => Kind::Hash,
            6 => Kind::Stream,
            _ => return None,
        })
    }
}

const EXPIRES: u8 = 0x80;

/// The front of a row: its type and when it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type.
    pub kind: Kind,
    /// Milliseconds since the epoch at which the key is gone; `None` for a key that stays.
    pub expire_at: Option<u64>,
}

impl Header {
    /// Appends the header.
    pub fn write(self, out: &mut Vec<u8>) {
        match self.expire_at {
            None => out.push(self.kind as u8),
            Some(at) => {
                out.push(self.kind as u8 | EXPIRES);
                out.extend_from_slice(&at.to_be_bytes());
            }
        }
    }

    /// Reads a header: it and the length it took. `None` if the row is not one.
    pub fn read(row: &[u8]) -> Option<(Header, usize)> {
        let (&tag, rest) = row.split_first()?;
        let kind = Kind::from_tag(tag)?;
        if tag & EXPIRES == 0 {
            return Some((Header { kind, expire_at: None }, 1));
        }
        let at = u64::from_be_bytes(*rest.first_chunk::<8>()?);
        Some((
            Header {
                kind,
                expire_at: Some(at),
            },
            9,
        ))
    }
}

/// The version in a collection's row; `None` for a string or for bytes that are not a row.
pub fn version(row: &[u8]) -> Option<u64> {
    let (header, len) = Header::read(row)?;
    if header.kind == Kind::String {
        return None;
    }
    Some(u64::from_be_bytes(*row[len..].first_chunk::<8>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_written_as_documented() {
        let mut out = Vec::new();
        Header {
            kind: Kind::Hash,
            expire_at: None,
        }
        .write(&mut out);
        Header {
            kind: Kind::String,
            expire_at: Some(0x0102_0304_0506_0708),
        }
        .write(&mut out);
        assert_eq!(out, [5, 0x81, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(
            Header::read(&out[1..]),
            Some((
                Header {
                    kind: Kind::String,
                    expire_at: Some(0x0102_0304_0506_0708)
                },
                9
            ))
        );
        assert_eq!(Header::read(&out[1..5]), None);
        assert_eq!(Header::read(&[]), None);
        assert_eq!(Header::read(&[15]), None);
    }
}
