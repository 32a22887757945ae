//! The value of a meta key: what a user key is.
//!
//! ```text
//! tag u8 | [expire-at u64 BE, ms since the epoch] | body
//!
//! tag   kind in the low 4 bits | 0x80 = an expiry follows | 0x40 = packed; 0x30 are 0
//!
//! body of a string             its bytes
//! body of a packed collection  all its entries, see [`packed`](crate::packed)
//! body of another collection   version u64 BE | size u64 BE | what the type adds
//! ```
//!
//! A small string so costs 5 bytes over its key and value (slot, hash, tag), 13 with an expiry. Lists, sets, sorted sets
//! and hashes may be packed; a collection that is not has its elements in the column family `data`.
//!
//! The tag 0x0f is that of no row. It stands before what could not be put together to one, so that whoever reads the row
//! notices: see the merge operator in `packed`.

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

    /// True if small ones may be [`packed`](crate::packed).
    pub fn packs(self) -> bool {
        matches!(self, Kind::List | Kind::Set | Kind::Zset | Kind::Hash)
    }

    pub(crate) fn from_number(number: u8) -> Option<Kind> {
        Some(match number {
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

const KIND: u8 = 0x0f;
const EXPIRES: u8 = 0x80;
const PACKED: u8 = 0x40;

/// What stands in place of a tag before bytes that are no row.
pub(crate) const DAMAGED: u8 = 0x0f;

/// The front of a row: its type, when it expires, and how the rest is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type.
    pub kind: Kind,
    /// Milliseconds since the epoch at which the key is gone; `None` for a key that stays.
    pub expire_at: Option<u64>,
    /// The body is a packed one: all entries of a collection.
    pub packed: bool,
}

impl Header {
    /// Appends the header.
    ///
    /// # Panics
    /// If it says that something is packed that never is: nobody could read the row.
    pub fn write(self, out: &mut Vec<u8>) {
        assert!(
            !self.packed || self.kind.packs(),
            "a {} cannot be packed",
            self.kind.name()
        );
        let tag = self.kind as u8 | if self.packed { PACKED } else { 0 };
        match self.expire_at {
            None => out.push(tag),
            Some(at) => {
                out.push(tag | EXPIRES);
                out.extend_from_slice(&at.to_be_bytes());
            }
        }
    }

    /// Reads a header: it and the length it took. `None` if the row is not one.
    pub fn read(row: &[u8]) -> Option<(Header, usize)> {
        let (&tag, rest) = row.split_first()?;
        let kind = Kind::from_number(tag & KIND)?;
        let packed = tag & PACKED != 0;
        if tag & !(KIND | EXPIRES | PACKED) != 0 || (packed && !kind.packs()) {
            return None;
        }
        let (expire_at, length) = match tag & EXPIRES {
            0 => (None, 1),
            _ => (Some(u64::from_be_bytes(*rest.first_chunk::<8>()?)), 9),
        };
        let header = Header {
            kind,
            expire_at,
            packed,
        };
        Some((header, length))
    }
}

/// The version in a collection's row; `None` for a string, a packed collection, or bytes that are not a row.
pub fn version(row: &[u8]) -> Option<u64> {
    let (header, len) = Header::read(row)?;
    if header.kind == Kind::String || header.packed {
        return None;
    }
    Some(u64::from_be_bytes(*row[len..].first_chunk::<8>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: Kind, expire_at: Option<u64>, packed: bool) -> Header {
        Header {
            kind,
            expire_at,
            packed,
        }
    }

    #[test]
    fn headers_are_written_as_documented() {
        let at = Some(0x0102_0304_0506_0708);
        for (header, bytes) in [
            (header(Kind::String, None, false), &[1][..]),
            (header(Kind::Hash, None, false), &[5]),
            (header(Kind::Hash, None, true), &[0x45]),
            (header(Kind::String, at, false), &[0x81, 1, 2, 3, 4, 5, 6, 7, 8]),
            (header(Kind::List, at, true), &[0xc2, 1, 2, 3, 4, 5, 6, 7, 8]),
        ] {
            let mut out = Vec::new();
            header.write(&mut out);
            assert_eq!(out, bytes);
            assert_eq!(Header::read(&[&out[..], b"body"].concat()), Some((header, bytes.len())));
            assert_eq!(Header::read(&out[..out.len() - 1]), None);
        }
    }

    #[test]
    fn what_no_version_writes_is_no_row() {
        // No kind, unused bits, packed strings and streams, an expiry that is cut short.
        for row in [
            &[0][..],
            &[15],
            &[0x15],
            &[0x25],
            &[0x41],
            &[0x46],
            &[DAMAGED],
            &[0x85, 1, 2, 3, 4, 5, 6, 7],
        ] {
            assert_eq!(Header::read(row), None, "{row:?}");
        }
    }

    #[test]
    fn only_spread_collections_have_a_version() {
        let body = 7u64.to_be_bytes();
        let row = |tag: u8| [&[tag], &body[..]].concat();
        assert_eq!(version(&row(5)), Some(7));
        assert_eq!(version(&row(0x45)), None);
        assert_eq!(version(&row(1)), None);
    }
}
