//! HSCAN's cursor: a place among a hash's fields in 63 bits.
//!
//! A scan returns fields in order. Its cursor says where to go on: at a *place*, some bytes that come after the last
//! field that has been returned, and not after the next. Fields that are there all the time so come exactly once, and
//! nothing has to be kept in between. But a place may be long. What is written into the number is what tells it apart:
//!
//! ```text
//!           bit 62      60        52          47                                             0
//! start     0
//! near      | 01 | length (8) | check (5)  | the 6 bytes that follow the prefix              |
//! far       | 10 | length (8) | check (29)                         | the 3 bytes that follow |
//! held      | 11 | length (8) | the 2 bytes that follow (16) | number (37)                  |
//! ```
//!
//! In each, a place is a prefix of `length` bytes, which stands in the hash itself, and the bytes that follow it. Zeros
//! at the end of those are padding, and not part of the place; so a place never comes after the field it was made of.
//! Bit 63 is never set, for clients that read a cursor as a signed number.
//!
//! - **near**: the prefix is what all fields had in common when the cursor was made, up to 255 bytes. To go on, take it
//!   from the first field.
//! - **far**: where many fields share what near can tell (`user:` and 500 more have the same 6 bytes). The prefix is
//!   longer, and is found by going from each prefix of that length to the next, up to [`PROBES_MAX`], until the check
//!   agrees. A cursor of this kind is only made if that finds the place.
//! - **held**: neither does. The place is held in this process under a number, which is a hash of it, so that equal
//!   numbers mean equal places. After a restart, or when too many others have come since, it is gone; then the scan
//!   goes on at the prefix that all fields had in common and the 2 bytes that follow, which comes before: fields are
//!   returned again, but none is missed.
//!
//! # While the hash changes
//!
//! A field that has been there since the scan began, and that has not been returned, comes at or after the place. It
//! must not be skipped, so what is found must never come after the place, if such a field is left.
//!
//! *Near and held.* All fields that were there when the cursor was made start with the prefix. The search goes up. If a
//! prefix before the right one agrees with the check by chance, fields are repeated. If one after it is reached, then no
//! field has the right one, and of those that were there nothing is left. Found nowhere, the scan starts again.
//!
//! *Far.* The same, but that fields with greater prefixes may have been there. These are skipped if all fields with the
//! right prefix go during the scan and a later prefix has the same 29 bits: once in 2^29 prefixes that are looked at.
//!
//! A scan that is repeated in part goes on from there with new cursors. It ends as long as the hash does not get new
//! smallest fields between all of its calls.

use haypile_store::Direction;
use haypile_store::keys::prefix_end;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::held;
use crate::sample::edge;
use crate::{Collection, CommandError, Cx};

/// Prefixes that are looked at to find the right one.
const PROBES_MAX: usize = if cfg!(test) { 6 } else { 64 };

const KIND_BITS: u32 = 61;
const PREFIX_MAX: usize = 255;
const NEAR_TAIL: usize = 6;
const NEAR_CHECK_BITS: u32 = 5;
const FAR_TAIL: usize = 3;
const FAR_CHECK_BITS: u32 = 29;
const HELD_TAIL: usize = 2;
const HELD_NUMBER_BITS: u32 = 37;

/// A cursor taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    Start,
    Near {
        len: u8,
        check: u64,
        tail: [u8; NEAR_TAIL],
    },
    Far {
        len: u8,
        check: u64,
        tail: [u8; FAR_TAIL],
    },
    Held {
        len: u8,
        tail: [u8; HELD_TAIL],
        number: u64,
    },
}

impl Cursor {
    /// A number that is no cursor is the start.
    fn read(cursor: u64) -> Self {
        let len = (cursor >> (KIND_BITS - 8)) as u8;
        let bits = |low: u32, bits: u32| cursor >> low & ((1 << bits) - 1);
        match cursor >> KIND_BITS {
            1 => Cursor::Near {
                len,
                check: bits(48, NEAR_CHECK_BITS),
                tail: low_bytes(cursor),
            },
            2 => Cursor::Far {
                len,
                check: bits(24, FAR_CHECK_BITS),
                tail: low_bytes(cursor),
            },
            3 => Cursor::Held {
                len,
                tail: low_bytes(cursor >> HELD_NUMBER_BITS),
                number: bits(0, HELD_NUMBER_BITS),
            },
            _ => Cursor::Start,
        }
    }

    fn write(self) -> u64 {
        let (kind, len, rest) = match self {
            Cursor::Start => return 0,
            Cursor::Near { len, check, tail } => (1, len, check << 48 | number(&tail)),
            Cursor::Far { len, check, tail } => (2, len, check << 24 | number(&tail)),
            Cursor::Held { len, tail, number: n } => (3, len, number(&tail) << HELD_NUMBER_BITS | n),
        };
        kind << KIND_BITS | u64::from(len) << (KIND_BITS - 8) | rest
    }
}

fn low_bytes<const N: usize>(n: u64) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&n.to_be_bytes()[8 - N..]);
    bytes
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b))
}

fn check(prefix: &[u8], bits: u32) -> u64 {
    xxh3_64(prefix) & ((1 << bits) - 1)
}

/// The bytes of a field from `from` on, padded with zeros.
fn tail<const N: usize>(field: &[u8], from: usize) -> [u8; N] {
    let mut tail = [0; N];
    let rest = field.get(from..).unwrap_or_default();
    let len = rest.len().min(N);
    tail[..len].copy_from_slice(&rest[..len]);
    tail
}

/// A prefix and what follows it, without padding.
fn place(prefix: &[u8], tail: &[u8]) -> Vec<u8> {
    let len = tail.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    [prefix, &tail[..len]].concat()
}

pub(super) fn common_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Where a scan goes on: at the first field that does not come before this. Empty is the start.
pub(super) fn resolve(cx: &mut Cx<'_>, hash: &Collection, cursor: u64) -> Result<Vec<u8>, CommandError> {
    let cursor = Cursor::read(cursor);
    match cursor {
        Cursor::Start => Ok(Vec::new()),
        Cursor::Near {
            len,
            check: hash_bits,
            tail,
        } => {
            let agrees = |prefix: &[u8]| check(prefix, NEAR_CHECK_BITS) == hash_bits;
            let prefix = find_prefix(cx, hash, len.into(), agrees)?;
            Ok(prefix.map_or_else(Vec::new, |prefix| place(&prefix, &tail)))
        }
        Cursor::Far {
            len,
            check: hash_bits,
            tail,
        } => {
            let agrees = |prefix: &[u8]| check(prefix, FAR_CHECK_BITS) == hash_bits;
            let prefix = find_prefix(cx, hash, len.into(), agrees)?;
            Ok(prefix.map_or_else(Vec::new, |prefix| place(&prefix, &tail)))
        }
        Cursor::Held { len, tail, number } => {
            if let Some(place) = held::find(number) {
                return Ok(place.into());
            }
            let prefix = find_prefix(cx, hash, len.into(), |_| true)?;
            Ok(prefix.map_or_else(Vec::new, |prefix| place(&prefix, &tail)))
        }
    }
}

/// What all fields have in common: its length, at most [`PREFIX_MAX`].
pub(super) fn common_prefix(cx: &mut Cx<'_>, hash: &Collection) -> Result<usize, CommandError> {
    let first = edge(cx, hash, &[], None, Direction::Forward)?.unwrap_or_default();
    let last = edge(cx, hash, &[], None, Direction::Reverse)?.unwrap_or_default();
    Ok(common_len(&first, &last).min(PREFIX_MAX))
}

/// A near cursor for going on between two fields that follow each other, if it can tell them apart. `common` is what
/// [`common_prefix`] gives.
pub(super) fn near(common: usize, done: &[u8], next: &[u8]) -> Option<u64> {
    let tail = tail(next, common);
    let prefix = &next[..common];
    (place(prefix, &tail).as_slice() > done).then(|| {
        let (len, check) = (common as u8, check(prefix, NEAR_CHECK_BITS));
        Cursor::Near { len, check, tail }.write()
    })
}

/// A cursor for going on between two fields that follow each other and that no near cursor tells apart.
pub(super) fn far_or_held(
    cx: &mut Cx<'_>,
    hash: &Collection,
    common: usize,
    done: &[u8],
    next: &[u8],
) -> Result<u64, CommandError> {
    // With this many bytes of it, the next field comes after the last.
    let needed = common_len(done, next) + 1;
    // The longer the prefix, the more there are to look at.
    for len in needed.saturating_sub(FAR_TAIL)..=needed.min(PREFIX_MAX) {
        let (prefix, tail) = (&next[..len], tail(next, len));
        let expected = place(prefix, &tail);
        if expected.as_slice() <= done {
            continue;
        }
        let bits = check(prefix, FAR_CHECK_BITS);
        let agrees = |prefix: &[u8]| check(prefix, FAR_CHECK_BITS) == bits;
        match find_prefix(cx, hash, len, agrees)? {
            Some(found) if found == prefix => {
                let (len, check) = (len as u8, bits);
                return Ok(Cursor::Far { len, check, tail }.write());
            }
            Some(_) => {}
            None => break,
        }
    }
    let exact = &next[..needed];
    let number =
        xxh3_64_with_seed(exact, u64::from(hash.slot()) << 16 ^ u64::from(cx.db())) & ((1 << HELD_NUMBER_BITS) - 1);
    held::hold(number, exact);
    Ok(Cursor::Held {
        len: common as u8,
        tail: tail(next, common),
        number,
    }
    .write())
}

/// The first of the prefixes of this length that agrees, among the first few.
fn find_prefix(
    cx: &mut Cx<'_>,
    hash: &Collection,
    len: usize,
    agrees: impl Fn(&[u8]) -> bool,
) -> Result<Option<Vec<u8>>, CommandError> {
    let mut lower = Vec::new();
    for _ in 0..PROBES_MAX {
        let Some(mut field) = edge(cx, hash, &lower, None, Direction::Forward)? else {
            return Ok(None);
        };
        if field.len() < len {
            field.push(0);
            lower = field;
            continue;
        }
        let prefix = &field[..len];
        if agrees(prefix) {
            return Ok(Some(prefix.to_vec()));
        }
        field.truncate(len);
        match prefix_end(&field) {
            Some(next) => lower = next,
            None => return Ok(None),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(
            len: u8,
            check in 0u64..1 << 29,
            near: [u8; 6],
            far: [u8; 3],
            held: [u8; 2],
            number in 0u64..1 << 37,
        ) {
            for cursor in [
                Cursor::Start,
                Cursor::Near { len, check: check & 31, tail: near },
                Cursor::Far { len, check, tail: far },
                Cursor::Held { len, tail: held, number },
            ] {
                let written = cursor.write();
                prop_assert!(written < 1 << 63);
                prop_assert_eq!(written == 0, cursor == Cursor::Start);
                prop_assert_eq!(Cursor::read(written), cursor);
            }
        }

        #[test]
        fn any_number_can_be_read(number: u64) {
            let cursor = Cursor::read(number);
            prop_assert!(cursor == Cursor::Start || cursor.write() == number);
        }

        #[test]
        fn a_place_is_never_after_its_field(field in prop::collection::vec(0u8..3, 0..12), len in 0usize..12) {
            let len = len.min(field.len());
            let tail: [u8; NEAR_TAIL] = tail(&field, len);
            prop_assert!(place(&field[..len], &tail) <= field);
        }
    }
}
