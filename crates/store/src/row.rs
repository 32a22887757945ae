//! The value of a meta key: what a user key is.
//!
//! ```text
//! tag u8 | [expire-at u64 BE, ms since the epoch] | [home: id u64 BE, slot u16 BE] | body
//!
//! tag   kind in the low 4 bits | 0x80 = an expiry follows | 0x40 = packed; 0x30 are 0
//! home  where the elements stand; of collections that are not packed
//!
//! body of a string             its bytes
//! body of a packed collection  all its entries, see [`packed`](crate::packed)
//! body of another collection   see [`Spread`]
//! ```
//!
//! A small string so costs 5 bytes over its key and value (slot, hash, tag), 13 with an expiry. Lists, sets, sorted sets
//! and hashes may be packed; a collection that is not has its elements in the column family `data`.
//!
//! The tag 0x0f is that of no row. It stands before what could not be put together to one, so that whoever reads the row
//! notices: see the merge operator in `packed`.

use smallvec::SmallVec;

use crate::keys::Home;

/// Bytes of a header at most.
pub const HEADER_BYTES_MAX: usize = 19;

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

/// Bytes of a home.
const HOME_BYTES: usize = 10;

fn has_home(kind: Kind, packed: bool) -> bool {
    kind != Kind::String && !packed
}

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
    /// Where the elements of a collection stand that is not packed.
    pub home: Option<Home>,
}

impl Header {
    /// Appends the header.
    ///
    /// # Panics
    /// If it says that something is packed that never is, or if it is not known where the elements are: nobody could read
    /// the row.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes());
    }

    /// The bytes of the header.
    ///
    /// # Panics
    /// As [`Header::write`].
    pub fn bytes(self) -> SmallVec<[u8; HEADER_BYTES_MAX]> {
        let mut out = SmallVec::new();
        assert!(
            !self.packed || self.kind.packs(),
            "a {} cannot be packed",
            self.kind.name()
        );
        assert!(
            self.home.is_some() == has_home(self.kind, self.packed),
            "the elements of a collection stand in its row or have a home"
        );
        let tag = self.kind as u8 | if self.packed { PACKED } else { 0 };
        match self.expire_at {
            None => out.push(tag),
            Some(at) => {
                out.push(tag | EXPIRES);
                out.extend_from_slice(&at.to_be_bytes());
            }
        }
        if let Some(Home { slot, id }) = self.home {
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&slot.to_be_bytes());
        }
        out
    }

    /// Reads a header: it and the length it took. `None` if the row is not one.
    pub fn read(row: &[u8]) -> Option<(Header, usize)> {
        let (&tag, rest) = row.split_first()?;
        let kind = Kind::from_number(tag & KIND)?;
        let packed = tag & PACKED != 0;
        if tag & !(KIND | EXPIRES | PACKED) != 0 || (packed && !kind.packs()) {
            return None;
        }
        let (expire_at, mut length) = match tag & EXPIRES {
            0 => (None, 1),
            _ => (Some(u64::from_be_bytes(*rest.first_chunk::<8>()?)), 9),
        };
        let mut home = None;
        if has_home(kind, packed) {
            let (id, rest) = row[length..].split_first_chunk()?;
            home = Some(Home {
                slot: u16::from_be_bytes(*rest.first_chunk()?),
                id: u64::from_be_bytes(*id),
            });
            length += HOME_BYTES;
        }
        let header = Header {
            kind,
            expire_at,
            packed,
            home,
        };
        Some((header, length))
    }
}

/// Bytes of the body of a collection whose elements have rows of their own, at most.
pub const SPREAD_BYTES_MAX: usize = 16;

/// The body of a collection whose elements have rows of their own, in the column family `data`:
///
/// ```text
/// size u64 BE | [head u64 BE, of lists]
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Number of elements.
    pub size: u64,
    /// Of a list the index of its first element; 0 of others, which do not have it.
    pub head: u64,
}

impl Spread {
    /// The body.
    pub fn bytes(self, kind: Kind) -> SmallVec<[u8; SPREAD_BYTES_MAX]> {
        let mut out = SmallVec::from_slice(&self.size.to_be_bytes());
        if kind == Kind::List {
            out.extend_from_slice(&self.head.to_be_bytes());
        }
        out
    }

    /// Reads a body; `None` if it is cut short.
    pub fn read(kind: Kind, body: &[u8]) -> Option<Self> {
        let (size, rest) = body.split_first_chunk()?;
        let head = match kind {
            Kind::List => u64::from_be_bytes(*rest.first_chunk()?),
            _ => 0,
        };
        let size = u64::from_be_bytes(*size);
        Some(Spread { size, head })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Home = Home { slot: 0x0102, id: 7 };

    fn header(kind: Kind, expire_at: Option<u64>, packed: bool) -> Header {
        Header {
            kind,
            expire_at,
            packed,
            home: has_home(kind, packed).then_some(HOME),
        }
    }

    #[test]
    fn headers_are_written_as_documented() {
        let at = Some(0x0102_0304_0506_0708);
        for (header, bytes) in [
            (header(Kind::String, None, false), &[1][..]),
            (header(Kind::Hash, None, false), &[5, 0, 0, 0, 0, 0, 0, 0, 7, 1, 2]),
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
        // No kind, unused bits, packed strings and streams, an expiry or a home that is cut short.
        for row in [
            &[0][..],
            &[15],
            &[0x15],
            &[0x25],
            &[0x41],
            &[0x46],
            &[DAMAGED],
            &[0x85, 1, 2, 3, 4, 5, 6, 7],
            &[5, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        ] {
            assert_eq!(Header::read(row), None, "{row:?}");
        }
    }

    #[test]
    fn bodies_of_collections_are_written_as_documented() {
        for (kind, head) in [(Kind::Hash, 0), (Kind::List, 9)] {
            let spread = Spread { size: 8, head };
            let body = spread.bytes(kind);
            let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 8];
            if kind == Kind::List {
                expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 9]);
            }
            assert_eq!(body[..], expected);
            assert_eq!(Spread::read(kind, &body), Some(spread));
            for cut in 0..body.len() {
                assert_eq!(Spread::read(kind, &body[..cut]), None);
            }
        }
    }
}
