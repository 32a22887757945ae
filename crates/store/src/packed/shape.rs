//! How one entry is written, in a body and in a patch, for each type.

use super::bytes::{blob, length, write_blob, write_length};
use crate::row::Kind;

/// What a packed body is made of. The markers below are all there are.
pub trait Shape: Sized + 'static {
    /// The type.
    const KIND: Kind;
    /// Bytes of an entry at least.
    const ENTRY_BYTES_MIN: usize;
    /// An entry.
    type Item<'a>: Copy;

    /// Reads an entry: it, and what follows. `None` if it is cut short.
    fn entry(bytes: &[u8]) -> Option<(Self::Item<'_>, &[u8])>;

    /// True if the first may stand before the second.
    fn in_order(first: Self::Item<'_>, second: Self::Item<'_>) -> bool;

    /// Bytes of the longest that an entry has: a field or its value, a member, an element.
    fn longest(item: Self::Item<'_>) -> usize;
}

/// Entries that are found by a key: a field or a member.
pub(super) trait Keyed: Shape {
    /// What belongs to a key.
    type Value<'a>: Copy;

    /// Of an entry: what begins with its key, the key's length, and what follows the entry. For scans that need no more.
    fn key(bytes: &[u8]) -> Option<(&[u8], usize, &[u8])>;

    /// Appends an entry of a body.
    fn write_entry(out: &mut Vec<u8>, key: &[u8], value: Self::Value<'_>);

    /// Reads an entry of a patch, whose value is `None` if it is gone: it, and what follows.
    fn change(bytes: &[u8]) -> Option<(KeyedChange<'_, Self>, &[u8])>;

    /// Appends an entry of a patch.
    fn write_change(out: &mut Vec<u8>, key: &[u8], value: Option<Self::Value<'_>>);
}

/// A key, and what belongs to it or `None` if it is gone.
pub(super) type KeyedChange<'a, S> = (&'a [u8], Option<<S as Keyed>::Value<'a>>);

/// Hashes: field and value.
#[derive(Clone, Copy, Debug)]
pub struct Hash;

/// Sets: members.
#[derive(Clone, Copy, Debug)]
pub struct Set;

/// Sorted sets: score and member.
#[derive(Clone, Copy, Debug)]
pub struct Zset;

/// Lists: elements.
#[derive(Clone, Copy, Debug)]
pub struct Element;

/// Reads a hash's two lengths.
#[inline(always)]
fn lengths(bytes: &[u8]) -> Option<(usize, usize, &[u8])> {
    // Both in one byte is the rule, and one branch.
    match bytes {
        [field, value, rest @ ..] if (field | value) < 0x80 => Some((usize::from(*field), usize::from(*value), rest)),
        _ => {
            let (field, rest) = length(bytes)?;
            let (value, rest) = length(rest)?;
            Some((field, value, rest))
        }
    }
}

impl Shape for Hash {
    const KIND: Kind = Kind::Hash;
    const ENTRY_BYTES_MIN: usize = 2;
    type Item<'a> = (&'a [u8], &'a [u8]);

    #[inline(always)]
    fn entry(bytes: &[u8]) -> Option<(Self::Item<'_>, &[u8])> {
        let (field, value, rest) = lengths(bytes)?;
        let (field, rest) = rest.split_at_checked(field)?;
        let (value, rest) = rest.split_at_checked(value)?;
        Some(((field, value), rest))
    }

    fn in_order(first: Self::Item<'_>, second: Self::Item<'_>) -> bool {
        first.0 < second.0
    }

    fn longest((field, value): Self::Item<'_>) -> usize {
        field.len().max(value.len())
    }
}

impl Keyed for Hash {
    type Value<'a> = &'a [u8];

    #[inline(always)]
    fn key(bytes: &[u8]) -> Option<(&[u8], usize, &[u8])> {
        let (field, value, rest) = lengths(bytes)?;
        Some((rest, field, rest.get(field + value..)?))
    }

    fn write_entry(out: &mut Vec<u8>, field: &[u8], value: &[u8]) {
        write_length(out, field.len());
        write_length(out, value.len());
        out.extend_from_slice(field);
        out.extend_from_slice(value);
    }

    fn change(bytes: &[u8]) -> Option<(KeyedChange<'_, Self>, &[u8])> {
        let (field, value, rest) = lengths(bytes)?;
        let (field, rest) = rest.split_at_checked(field)?;
        match value.checked_sub(1) {
            None => Some(((field, None), rest)),
            Some(value) => {
                let (value, rest) = rest.split_at_checked(value)?;
                Some(((field, Some(value)), rest))
            }
        }
    }

    fn write_change(out: &mut Vec<u8>, field: &[u8], value: Option<&[u8]>) {
        write_length(out, field.len());
        write_length(out, value.map_or(0, |value| value.len() + 1));
        out.extend_from_slice(field);
        out.extend_from_slice(value.unwrap_or_default());
    }
}

impl Shape for Set {
    const KIND: Kind = Kind::Set;
    const ENTRY_BYTES_MIN: usize = 1;
    type Item<'a> = &'a [u8];

    #[inline(always)]
    fn entry(bytes: &[u8]) -> Option<(Self::Item<'_>, &[u8])> {
        blob(bytes)
    }

    fn in_order(first: Self::Item<'_>, second: Self::Item<'_>) -> bool {
        first < second
    }

    fn longest(member: Self::Item<'_>) -> usize {
        member.len()
    }
}

impl Keyed for Set {
    type Value<'a> = ();

    #[inline(always)]
    fn key(bytes: &[u8]) -> Option<(&[u8], usize, &[u8])> {
        let (member, rest) = length(bytes)?;
        Some((rest, member, rest.get(member..)?))
    }

    fn write_entry(out: &mut Vec<u8>, member: &[u8], (): ()) {
        write_blob(out, member);
    }

    fn change(bytes: &[u8]) -> Option<(KeyedChange<'_, Self>, &[u8])> {
        let (member, is_gone, rest) = marked_member(bytes)?;
        Some(((member, (!is_gone).then_some(())), rest))
    }

    fn write_change(out: &mut Vec<u8>, member: &[u8], value: Option<()>) {
        write_marked_member(out, member, value.is_none());
    }
}

impl Shape for Zset {
    const KIND: Kind = Kind::Zset;
    const ENTRY_BYTES_MIN: usize = 9;
    type Item<'a> = (u64, &'a [u8]);

    #[inline(always)]
    fn entry(bytes: &[u8]) -> Option<(Self::Item<'_>, &[u8])> {
        let (score, rest) = bytes.split_first_chunk::<8>()?;
        let (member, rest) = blob(rest)?;
        Some(((u64::from_be_bytes(*score), member), rest))
    }

    fn in_order(first: Self::Item<'_>, second: Self::Item<'_>) -> bool {
        first < second
    }

    fn longest((_, member): Self::Item<'_>) -> usize {
        member.len()
    }
}

impl Keyed for Zset {
    type Value<'a> = u64;

    #[inline(always)]
    fn key(bytes: &[u8]) -> Option<(&[u8], usize, &[u8])> {
        Set::key(bytes.get(8..)?)
    }

    fn write_entry(out: &mut Vec<u8>, member: &[u8], score: u64) {
        out.extend_from_slice(&score.to_be_bytes());
        write_blob(out, member);
    }

    fn change(bytes: &[u8]) -> Option<(KeyedChange<'_, Self>, &[u8])> {
        let (member, is_gone, rest) = marked_member(bytes)?;
        if is_gone {
            return Some(((member, None), rest));
        }
        let (score, rest) = rest.split_first_chunk::<8>()?;
        Some(((member, Some(u64::from_be_bytes(*score))), rest))
    }

    fn write_change(out: &mut Vec<u8>, member: &[u8], score: Option<u64>) {
        write_marked_member(out, member, score.is_none());
        if let Some(score) = score {
            out.extend_from_slice(&score.to_be_bytes());
        }
    }
}

impl Shape for Element {
    const KIND: Kind = Kind::List;
    const ENTRY_BYTES_MIN: usize = 1;
    type Item<'a> = &'a [u8];

    #[inline(always)]
    fn entry(bytes: &[u8]) -> Option<(Self::Item<'_>, &[u8])> {
        blob(bytes)
    }

    fn in_order(_: Self::Item<'_>, _: Self::Item<'_>) -> bool {
        true
    }

    fn longest(element: Self::Item<'_>) -> usize {
        element.len()
    }
}

/// A member of a patch, and whether it is gone.
fn marked_member(bytes: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let (marked, rest) = length(bytes)?;
    let (member, rest) = rest.split_at_checked(marked >> 1)?;
    Some((member, marked & 1 == 1, rest))
}

fn write_marked_member(out: &mut Vec<u8>, member: &[u8], is_gone: bool) {
    write_length(out, member.len() << 1 | usize::from(is_gone));
    out.extend_from_slice(member);
}
