//! Making one patch of several, without knowing what they are applied to.

use std::cmp::Ordering;

use super::patch::{Expiry, Kept, KeyedChanges, ListChanges, write_whole_front};
use super::patch_build::{Elements, write_elements};
use super::shape::{Keyed, KeyedChange};
use super::string::{StringChanges, laid_over, write_pieces};
use super::{Hash, PackedError, Patch, Set, Zset};
use crate::row::Kind;

/// The patch that does what one patch and then another do.
///
/// # Errors
/// As [`combine_into`].
pub fn combine(first: &[u8], second: &[u8]) -> Result<Vec<u8>, PackedError> {
    let mut out = Vec::new();
    combine_into(&mut out, first, second)?;
    Ok(out)
}

/// Appends the patch that does what one patch and then another do: what the second says of an entry counts.
///
/// The row is taken to be there if the first patch says nothing but its expiry; on a missing row that patch alone does
/// nothing.
///
/// # Errors
/// Nothing is appended. [`PackedError::Patch`] if either is damaged, [`PackedError::OtherKind`] if they are about
/// different types.
pub fn combine_into(out: &mut Vec<u8>, first: &[u8], second: &[u8]) -> Result<(), PackedError> {
    let start = out.len();
    out.reserve(first.len() + second.len());
    let (first, second) = (Patch::read(first)?, Patch::read(second)?);
    if let (Some(row), Some(patch)) = (first.kind(), second.kind())
        && row != patch
    {
        return Err(PackedError::OtherKind { patch, row });
    }
    let kind = first.kind().or(second.kind());
    let expiry = match second.expiry {
        Expiry::Kept => first.expiry,
        of_second => of_second,
    };
    let kept = Kept {
        head: first.kept.head.max(second.kept.head),
        end: [first.kept.end, second.kept.end].into_iter().flatten().min(),
    };
    write_whole_front(out, kind, expiry, kept);
    // One about any row has no changes, which is no change of any kind.
    let combined = match kind {
        Some(Kind::Hash) => keyed::<Hash>(out, first.changes, second.changes),
        Some(Kind::Set) => keyed::<Set>(out, first.changes, second.changes),
        Some(Kind::Zset) => keyed::<Zset>(out, first.changes, second.changes),
        Some(Kind::List) => list(out, first, second),
        Some(Kind::String) => string(out, first.changes, second.changes),
        Some(Kind::Stream) => Err(PackedError::Patch),
        None => Ok(()),
    };
    if combined.is_err() {
        out.truncate(start);
    }
    combined
}

/// The patch that does what all of them do one after the other; `None` if there are none. Takes time in proportion to
/// their bytes and the logarithm of their number.
///
/// # Errors
/// As [`combine_into`].
pub fn combine_all<'p>(patches: impl IntoIterator<Item = &'p [u8]>) -> Result<Option<Vec<u8>>, PackedError> {
    // Neighbours first, and then what came out of them: one after the other would copy the first as often as there are
    // others.
    let mut patches = patches.into_iter();
    let mut round = Vec::new();
    while let Some(first) = patches.next() {
        round.push(match patches.next() {
            Some(second) => combine(first, second)?,
            None => first.to_vec(),
        });
    }
    while round.len() > 1 {
        let pairs = round.chunks(2).map(|pair| match pair {
            [first, second] => combine(first, second),
            alone => Ok(alone.concat()),
        });
        round = pairs.collect::<Result<_, _>>()?;
    }
    Ok(round.pop())
}

fn keyed<S: Keyed>(out: &mut Vec<u8>, first: &[u8], second: &[u8]) -> Result<(), PackedError> {
    let mut first = KeyedChanges::<S>::new(first).peekable();
    let mut second = KeyedChanges::<S>::new(second).peekable();
    loop {
        let order = match (first.peek(), second.peek()) {
            (None, None) => return Ok(()),
            (Some(Err(error)), _) | (_, Some(Err(error))) => return Err(*error),
            (Some(Ok(_)), None) => Ordering::Less,
            (None, Some(Ok(_))) => Ordering::Greater,
            (Some(Ok((earlier, _))), Some(Ok((later, _)))) => earlier.cmp(later),
        };
        let earlier = if order.is_le() { first.next() } else { None };
        let later = if order.is_ge() { second.next() } else { None };
        if let Some(change) = later.or(earlier) {
            let (key, value): KeyedChange<'_, S> = change?;
            S::write_change(out, key, value);
        }
    }
}

fn list(out: &mut Vec<u8>, first: Patch<'_>, second: Patch<'_>) -> Result<(), PackedError> {
    let mut elements = Elements::new();
    let mut earlier = ListChanges::new(first.changes)
        .filter(|element| element.is_err() || element.is_ok_and(|(label, _)| second.kept.has(label)))
        .peekable();
    for element in ListChanges::new(second.changes) {
        let (label, element) = element?;
        while let Some(before) = earlier.next_if(|earlier| earlier.is_err() || earlier.is_ok_and(|(at, _)| at <= label))
        {
            let before = before?;
            if before.0 < label {
                elements.push(before);
            }
        }
        elements.push((label, element));
    }
    for element in earlier {
        elements.push(element?);
    }
    write_elements(out, &elements);
    Ok(())
}

fn string(out: &mut Vec<u8>, first: &[u8], second: &[u8]) -> Result<(), PackedError> {
    let (first, second) = (StringChanges::new(first), StringChanges::new(second));
    write_pieces(out, &laid_over(&first.collect_all()?, &second.collect_all()?));
    Ok(())
}
