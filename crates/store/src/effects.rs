//! The payload of a log entry: what one command, or one transaction, does to the store.
//!
//! Effects say what is, not what to do, so replaying them twice is harmless and no version of the program can
//! read another result into them. A payload is a sequence of:
//!
//! ```text
//! put     0x01 | keyspace varint | column family u8 | key length varint | key | value length varint | value
//! delete  0x02 | keyspace varint | column family u8 | key length varint | key
//! count   0x03 | keyspace varint | keys varint | expires varint        both zigzag: what the counters change by
//! map     0x04 | database varint | keyspace varint                     the database is this keyspace from now on
//! tag     0x05 | name length varint | command | database varint | key length varint | user key
//! ```
//!
//! A tag stands before the effects of the command it names. Numbers are LEB128.

use std::ops::Range;

use crate::keys::{read_varint, write_varint};
use crate::{Cf, SpaceId, StoreError};

const PUT: u8 = 1;
const DELETE: u8 = 2;
const COUNT: u8 = 3;
const MAP: u8 = 4;
const TAG: u8 = 5;

/// One effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the module's table
pub enum Effect<'a> {
    Put {
        space: SpaceId,
        cf: Cf,
        key: &'a [u8],
        value: &'a [u8],
    },
    Delete {
        space: SpaceId,
        cf: Cf,
        key: &'a [u8],
    },
    Count {
        space: SpaceId,
        keys: i64,
        expires: i64,
    },
    Map {
        db: u16,
        space: SpaceId,
    },
    Tag {
        command: &'a [u8],
        db: u16,
        key: &'a [u8],
    },
}

/// Where a put's key and value, or a delete's key, ended up in the buffer.
pub(crate) struct Written {
    pub(crate) key: Range<usize>,
    pub(crate) value: Option<Range<usize>>,
}

pub(crate) fn write_put(out: &mut Vec<u8>, space: SpaceId, cf: Cf, key: &[u8], value: Option<&[u8]>) -> Written {
    out.push(if value.is_some() { PUT } else { DELETE });
    write_varint(out, u64::from(space));
    out.push(cf as u8);
    let key = write_bytes(out, key);
    let value = value.map(|value| write_bytes(out, value));
    Written { key, value }
}

pub(crate) fn write_count(out: &mut Vec<u8>, space: SpaceId, keys: i64, expires: i64) {
    out.push(COUNT);
    write_varint(out, u64::from(space));
    write_varint(out, zigzag(keys));
    write_varint(out, zigzag(expires));
}

pub(crate) fn write_map(out: &mut Vec<u8>, db: u16, space: SpaceId) {
    out.push(MAP);
    write_varint(out, u64::from(db));
    write_varint(out, u64::from(space));
}

pub(crate) fn write_tag(out: &mut Vec<u8>, command: &[u8], db: u16, key: &[u8]) {
    out.push(TAG);
    write_bytes(out, command);
    write_varint(out, u64::from(db));
    write_bytes(out, key);
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Range<usize> {
    write_varint(out, bytes.len() as u64);
    let start = out.len();
    out.extend_from_slice(bytes);
    start..out.len()
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

/// Reads the effects of a payload one after another. After an error it ends.
pub struct Effects<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Effects<'a> {
    /// The effects in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Effects { bytes, at: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let b = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(b)
    }

    fn varint(&mut self) -> Option<u64> {
        let (n, used) = read_varint(self.bytes.get(self.at..)?)?;
        self.at += used;
        Some(n)
    }

    fn blob(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        let end = self.at.checked_add(len)?;
        let blob = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(blob)
    }

    fn space(&mut self) -> Option<SpaceId> {
        SpaceId::try_from(self.varint()?).ok()
    }

    fn db(&mut self) -> Option<u16> {
        u16::try_from(self.varint()?).ok()
    }

    fn read(&mut self) -> Option<Effect<'a>> {
        Some(match self.byte()? {
            PUT => Effect::Put {
                space: self.space()?,
                cf: Cf::from_u8(self.byte()?)?,
                key: self.blob()?,
                value: self.blob()?,
            },
            DELETE => Effect::Delete {
                space: self.space()?,
                cf: Cf::from_u8(self.byte()?)?,
                key: self.blob()?,
            },
            COUNT => Effect::Count {
                space: self.space()?,
                keys: unzigzag(self.varint()?),
                expires: unzigzag(self.varint()?),
            },
            MAP => Effect::Map {
                db: self.db()?,
                space: self.space()?,
            },
            TAG => Effect::Tag {
                command: self.blob()?,
                db: self.db()?,
                key: self.blob()?,
            },
            _ => return None,
        })
    }
}

impl<'a> Iterator for Effects<'a> {
    type Item = Result<Effect<'a>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let start = self.at;
        Some(self.read().ok_or_else(|| {
            self.at = self.bytes.len();
            StoreError::Corrupt(format!("a log entry's effect at offset {start} cannot be read"))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn effects_read_back_in_order() {
        let mut out = Vec::new();
        write_tag(&mut out, b"set", 3, b"k");
        let put = write_put(&mut out, 300, Cf::Meta, b"key", Some(b"value"));
        write_put(&mut out, 0, Cf::Data, b"gone", None);
        write_count(&mut out, 1, -2, i64::MAX);
        write_map(&mut out, 15, 70_000);
        assert_eq!(&out[put.key], b"key");
        assert_eq!(&out[put.value.unwrap()], b"value");
        let read: Vec<_> = Effects::new(&out).map(Result::unwrap).collect();
        assert_eq!(
            read,
            [
                Effect::Tag {
                    command: b"set",
                    db: 3,
                    key: b"k"
                },
                Effect::Put {
                    space: 300,
                    cf: Cf::Meta,
                    key: b"key",
                    value: b"value"
                },
                Effect::Delete {
                    space: 0,
                    cf: Cf::Data,
                    key: b"gone"
                },
                Effect::Count {
                    space: 1,
                    keys: -2,
                    expires: i64::MAX
                },
                Effect::Map { db: 15, space: 70_000 },
            ]
        );
    }

    #[test]
    fn format_1_still_reads() {
        let frozen = [1, 2, 0, 1, b'k', 2, b'v', b'w', 2, 2, 1, 1, b'e', 3, 2, 1, 2];
        let read: Vec<_> = Effects::new(&frozen).map(Result::unwrap).collect();
        assert_eq!(
            read,
            [
                Effect::Put {
                    space: 2,
                    cf: Cf::Meta,
                    key: b"k",
                    value: b"vw"
                },
                Effect::Delete {
                    space: 2,
                    cf: Cf::Data,
                    key: b"e"
                },
                Effect::Count {
                    space: 2,
                    keys: -1,
                    expires: 1
                },
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Effects::new(&bytes).count();
        }

        #[test]
        fn zigzag_round_trips(n: i64) {
            prop_assert_eq!(unzigzag(zigzag(n)), n);
        }
    }
}
