//! The payload of a log entry: what one command, or one transaction, does to the store.
//!
//! Effects say what is, not what to do, so replaying them twice is harmless and no version of the program can
//! read another result into them. (Counters alone change by what is said, so an entry is counted once: what is on disk says up
//! to which.) A payload is a sequence of:
//!
//! ```text
//! put     0x01 | keyspace varint | column family u8 | key length varint | key | value length varint | value
//! delete  0x02 | keyspace varint | column family u8 | key length varint | key
//! map     0x04 | database varint | keyspace varint                     the database is this keyspace from now on
//! tag     0x05 | name length varint | command | database varint | key length varint | user key
//! tag     0x06 | as 0x05               and then the key was created: keyspace event "new"
//! tag     0x07 | as 0x05               and then the command's own keyspace event about the key
//! tag     0x08 | as 0x05               first the one, then the other
//! event   0x09 | event u8              about the key of the last row put, deleted or patched, in the tag's database
//! event   0x0a | event u8 | database varint | key length varint | user key
//! members 0x0c | length varint | bytes                               who belongs to the replica group; alone in its entry
//! patch   0x0b | keyspace varint | column family u8 | key length varint | key | patch length varint | patch     of a row of `meta`
//! ```
//!
//! The column family is 0 for `meta`, 1 for `data`, 2 for `expiry`; beside it a put, delete or patch of a row in `meta` has what it
//! changes the counters of its keyspace and slot by: 0x10 = a key more, 0x20 = a key fewer, 0x40 = a key more expires,
//! 0x80 = a key fewer does.
//!
//! A patch says what entries of a packed collection are, which bytes stand where in a string, or when a row expires; its own
//! bytes are those of [`packed`](crate::packed). Replayed from an earlier point than the row is from, patches and what stands
//! between them give the same row again, but for a list's, which fit only where they were made; a patch of an expiry on a row
//! that is not there changes nothing.
//!
//! A tag stands before the effects of the command it names. Numbers are LEB128.
//!
//! Keyspace events are those that the command raised, in order: what the tag says comes first. They are for the
//! subscribers of replicas and change nothing in the store. What most writes raise is in the tag's first byte, so that they
//! cost nothing; others cost two bytes, unless they are about a key that stands nowhere near. The log of an older version
//! has none.

use std::ops::Range;

use crate::keys::{read_varint, write_varint};
use crate::{Cf, Counted, SpaceId, StoreError};

const PUT: u8 = 1;
const DELETE: u8 = 2;
const MAP: u8 = 4;
const TAG: u8 = 5;
const TAG_LAST: u8 = TAG + (TAG_NEW | TAG_OWN);
const EVENT_OF_ROW: u8 = 9;
const EVENT: u8 = 10;
const PATCH: u8 = 11;
const MEMBERS: u8 = 12;

/// Added to a tag's first byte: the key was created.
pub(crate) const TAG_NEW: u8 = 1;
/// Added to a tag's first byte: the command's own event.
pub(crate) const TAG_OWN: u8 = 2;

/// The number of the keyspace event "new"; the others are the business of those who raise them.
pub const NEW: u8 = 1;

/// One effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the module's table
pub enum Effect<'a> {
    Put {
        space: SpaceId,
        cf: Cf,
        key: &'a [u8],
        value: &'a [u8],
        counted: Counted,
    },
    Delete {
        space: SpaceId,
        cf: Cf,
        key: &'a [u8],
        counted: Counted,
    },
    Map {
        db: u16,
        space: SpaceId,
    },
    Tag {
        command: &'a [u8],
        db: u16,
        key: &'a [u8],
        /// The event "new" about this key.
        new: bool,
        /// The command's own event about this key.
        own: bool,
    },
    EventOfRow {
        event: u8,
    },
    Event {
        event: u8,
        db: u16,
        key: &'a [u8],
    },
    /// What the store keeps for the replica group, and does not understand.
    Members {
        bytes: &'a [u8],
    },
    Patch {
        space: SpaceId,
        /// A key of [`Cf::Meta`].
        key: &'a [u8],
        patch: &'a [u8],
        counted: Counted,
    },
}

impl Effect<'_> {
    /// The keyspace of which it changes a key; `None` if it changes none.
    pub fn space(&self) -> Option<SpaceId> {
        match *self {
            Effect::Put { space, .. } | Effect::Delete { space, .. } | Effect::Patch { space, .. } => Some(space),
            Effect::Map { .. }
            | Effect::Tag { .. }
            | Effect::EventOfRow { .. }
            | Effect::Event { .. }
            | Effect::Members { .. } => None,
        }
    }
}

/// Where a put's key and value, or a delete's key, ended up in the buffer.
pub(crate) struct Written {
    pub(crate) key: Range<usize>,
    pub(crate) value: Option<Range<usize>>,
}

/// A value in two parts, which need not be put together before.
pub(crate) type Parts<'v> = [&'v [u8]; 2];

pub(crate) fn write_put(
    out: &mut Vec<u8>,
    (space, cf): (SpaceId, Cf),
    key: &[u8],
    value: Option<Parts<'_>>,
    counted: Counted,
) -> Written {
    assert!(
        cf == Cf::Meta || counted == Counted::NOTHING,
        "keys are counted with their rows"
    );
    out.push(if value.is_some() { PUT } else { DELETE });
    write_varint(out, u64::from(space));
    out.push(cf as u8 | counted.bits());
    let key = write_bytes(out, key);
    let value = value.map(|[front, body]| {
        write_varint(out, (front.len() + body.len()) as u64);
        let start = out.len();
        out.extend_from_slice(front);
        out.extend_from_slice(body);
        start..out.len()
    });
    Written { key, value }
}

pub(crate) fn write_map(out: &mut Vec<u8>, db: u16, space: SpaceId) {
    out.push(MAP);
    write_varint(out, u64::from(db));
    write_varint(out, u64::from(space));
}

/// Where a tag's first byte and its key ended up.
pub(crate) struct WrittenTag {
    pub(crate) at: usize,
    pub(crate) key: Range<usize>,
}

pub(crate) fn write_tag(out: &mut Vec<u8>, command: &[u8], db: u16, key: &[u8]) -> WrittenTag {
    let at = out.len();
    out.push(TAG);
    write_bytes(out, command);
    write_varint(out, u64::from(db));
    let key = write_bytes(out, key);
    WrittenTag { at, key }
}

/// Adds [`TAG_NEW`] or [`TAG_OWN`] to the tag at this place.
pub(crate) fn mark_tag(out: &mut [u8], at: usize, bit: u8) {
    out[at] += bit;
    assert!(
        (TAG..=TAG_LAST).contains(&out[at]),
        "an event is marked where there is no tag"
    );
}

pub(crate) fn write_event_of_row(out: &mut Vec<u8>, event: u8) {
    out.extend_from_slice(&[EVENT_OF_ROW, event]);
}

pub(crate) fn write_event(out: &mut Vec<u8>, event: u8, db: u16, key: &[u8]) {
    out.extend_from_slice(&[EVENT, event]);
    write_varint(out, u64::from(db));
    write_bytes(out, key);
}

/// The place of the patch's key in the buffer.
pub(crate) fn write_patch(
    out: &mut Vec<u8>,
    space: SpaceId,
    key: &[u8],
    patch: &[u8],
    counted: Counted,
) -> Range<usize> {
    out.push(PATCH);
    write_varint(out, u64::from(space));
    out.push(Cf::Meta as u8 | counted.bits());
    let key = write_bytes(out, key);
    write_bytes(out, patch);
    key
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Range<usize> {
    write_varint(out, bytes.len() as u64);
    let start = out.len();
    out.extend_from_slice(bytes);
    start..out.len()
}

/// Reads the effects of a payload one after another. After an error it ends.
#[derive(Clone)]
pub struct Effects<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Effects<'a> {
    /// The effects in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Effects { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> usize {
        self.at
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
        // One more can be counted, for the keyspace that comes next.
        SpaceId::try_from(self.varint()?)
            .ok()
            .filter(|space| *space < SpaceId::MAX)
    }

    /// A column family, and what is counted with a row of it.
    fn family(&mut self) -> Option<(Cf, Counted)> {
        let byte = self.byte()?;
        let (cf, counted) = (Cf::from_u8(byte & 0x0f)?, Counted::from_bits(byte & 0xf0)?);
        (cf == Cf::Meta || counted == Counted::NOTHING).then_some((cf, counted))
    }

    fn db(&mut self) -> Option<u16> {
        u16::try_from(self.varint()?).ok()
    }

    fn read(&mut self) -> Option<Effect<'a>> {
        Some(match self.byte()? {
            PUT => {
                let (space, (cf, counted)) = (self.space()?, self.family()?);
                Effect::Put {
                    space,
                    cf,
                    key: self.blob()?,
                    value: self.blob()?,
                    counted,
                }
            }
            DELETE => {
                let (space, (cf, counted)) = (self.space()?, self.family()?);
                let key = self.blob()?;
                Effect::Delete {
                    space,
                    cf,
                    key,
                    counted,
                }
            }
            MAP => Effect::Map {
                db: self.db()?,
                space: self.space()?,
            },
            tag @ TAG..=TAG_LAST => Effect::Tag {
                command: self.blob()?,
                db: self.db()?,
                key: self.blob()?,
                new: (tag - TAG) & TAG_NEW != 0,
                own: (tag - TAG) & TAG_OWN != 0,
            },
            EVENT_OF_ROW => Effect::EventOfRow { event: self.byte()? },
            EVENT => Effect::Event {
                event: self.byte()?,
                db: self.db()?,
                key: self.blob()?,
            },
            MEMBERS => Effect::Members { bytes: self.blob()? },
            PATCH => {
                let (space, (cf, counted)) = (self.space()?, self.family()?);
                if cf != Cf::Meta {
                    return None;
                }
                Effect::Patch {
                    space,
                    key: self.blob()?,
                    patch: self.blob()?,
                    counted,
                }
            }
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
mod tests;
