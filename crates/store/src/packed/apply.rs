//! Applying a patch to a body: one pass over both, and what does not change is copied in pieces as large as there are.

use std::ops::Range;

use smallvec::SmallVec;

use super::bytes::{prefix, write_blob, write_label, write_length};
use super::patch::{Kept, KeyedChanges, ListChanges};
use super::patch_build::Elements;
use super::shape::{Keyed, KeyedChange};
use super::string::{StringChanges, apply_pieces, length_after};
use super::{Element, Hash, Packed, PackedError, PackedList, Patch, Set, Shape, Zset};
use crate::row::Kind;

/// Bytes by which a body may grow beyond those of the patch: count and label.
const GROWTH_BYTES_MAX: usize = 24;

/// The body that a patch makes of a body, or of none.
///
/// # Errors
/// As [`apply_into`].
pub fn apply(kind: Kind, body: Option<&[u8]>, patch: &[u8]) -> Result<Vec<u8>, PackedError> {
    let mut out = Vec::new();
    apply_into(&mut out, kind, body, patch)?;
    Ok(out)
}

/// Appends the body that a patch makes of a body, or of none. `kind` is the body's. What the patch says of the expiry is
/// not the body's business.
///
/// # Errors
/// Nothing is appended. [`PackedError::Body`] and [`PackedError::Patch`], if damage is met: what is only copied is not
/// looked at. [`PackedError::OtherKind`]. [`PackedError::Gap`]: the elements of a list would not follow each other.
pub fn apply_into(out: &mut Vec<u8>, kind: Kind, body: Option<&[u8]>, patch: &[u8]) -> Result<(), PackedError> {
    let read = Patch::read(patch)?;
    if let Some(patch) = read.kind()
        && patch != kind
    {
        return Err(PackedError::OtherKind { patch, row: kind });
    }
    let body = body.unwrap_or(if kind.packs() { &[0] } else { &[] });
    if read.changes.is_empty() && read.kept == Kept::default() {
        out.extend_from_slice(body);
        return Ok(());
    }
    if kind == Kind::String {
        return string(out, body, read.changes);
    }
    let start = out.len();
    out.reserve(body.len() + patch.len() + GROWTH_BYTES_MAX);
    let applied = match kind {
        Kind::Hash => keyed::<Hash>(out, body, read.changes),
        Kind::Set => keyed::<Set>(out, body, read.changes),
        Kind::Zset => zset(out, body, read.changes),
        Kind::List => list(out, body, read),
        Kind::String | Kind::Stream => Err(PackedError::NotPacked),
    };
    if applied.is_err() {
        out.truncate(start);
    }
    applied
}

/// A base whose entries are copied, in pieces, as long as nothing is said about them.
struct Base<'a, S> {
    packed: Packed<'a, S>,
    /// Entries from here on have not been passed.
    rest: &'a [u8],
    left: usize,
    /// Offset of what has not been copied.
    copied: usize,
    /// Entries of the result, and where its count stands.
    count: usize,
    count_at: Range<usize>,
}

impl<'a, S: Shape> Base<'a, S> {
    fn new(out: &mut Vec<u8>, body: &'a [u8]) -> Result<Self, PackedError> {
        let packed = Packed::<S>::read(body)?;
        let start = out.len();
        // A guess that is right unless the count gets longer.
        write_length(out, packed.len);
        Ok(Base {
            packed,
            rest: packed.entries,
            left: packed.len,
            copied: 0,
            count: packed.len,
            count_at: start..out.len(),
        })
    }

    /// Copies what has been passed.
    fn copy(&mut self, out: &mut Vec<u8>) {
        let passed = self.packed.entries.len() - self.rest.len();
        out.extend_from_slice(&self.packed.entries[self.copied..passed]);
        self.copied = passed;
    }

    /// Goes past the next entry, which ends where `rest` begins.
    #[inline(always)]
    fn pass(&mut self, rest: &'a [u8]) {
        self.rest = rest;
        self.left -= 1;
    }

    /// Goes past the next entry and leaves it out. What came before must have been copied.
    fn leave_out(&mut self, rest: &'a [u8]) {
        self.pass(rest);
        self.copied = self.packed.entries.len() - rest.len();
        self.count -= 1;
    }

    /// Copies all that is left.
    fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.packed.entries[self.copied..]);
        if self.count != self.packed.len {
            let mut count = Vec::with_capacity(5);
            write_length(&mut count, self.count);
            out.splice(self.count_at, count);
        }
    }
}

fn keyed<S: Keyed>(out: &mut Vec<u8>, body: &[u8], changes: &[u8]) -> Result<(), PackedError> {
    let mut base = Base::<S>::new(out, body)?;
    for change in KeyedChanges::<S>::new(changes) {
        let (key, value) = change?;
        let key_prefix = prefix(key, key.len());
        while base.left > 0 {
            let (at, len, next) = S::key(base.rest).ok_or(PackedError::Body)?;
            let order = prefix(at, len).cmp(&key_prefix).then_with(|| at[..len].cmp(key));
            if order.is_lt() {
                base.pass(next);
                continue;
            }
            if order.is_eq() {
                base.copy(out);
                base.leave_out(next);
            }
            break;
        }
        if let Some(value) = value {
            base.copy(out);
            S::write_entry(out, key, value);
            base.count += 1;
        }
    }
    base.finish(out);
    Ok(())
}

fn string(out: &mut Vec<u8>, body: &[u8], changes: &[u8]) -> Result<(), PackedError> {
    let pieces = StringChanges::new(changes).collect_all()?;
    out.reserve(length_after(body.len(), &pieces));
    apply_pieces(out, body, &pieces);
    Ok(())
}

/// Changes that are kept without allocating.
const CHANGES_INLINE: usize = 8;

fn zset(out: &mut Vec<u8>, body: &[u8], changes: &[u8]) -> Result<(), PackedError> {
    let mut base = Base::<Zset>::new(out, body)?;
    let changes = KeyedChanges::<Zset>::new(changes);
    // The order of members, and of those that stay or come the order of the body.
    let changes: SmallVec<[KeyedChange<'_, Zset>; CHANGES_INLINE]> = changes.collect::<Result<_, _>>()?;
    let mut added: SmallVec<[(u64, &[u8]); CHANGES_INLINE]> = changes
        .iter()
        .filter_map(|(member, score)| Some(((*score)?, *member)))
        .collect();
    added.sort_unstable();
    let mut added = &added[..];
    let mut missing = changes.len();
    while base.left > 0 && (missing > 0 || !added.is_empty()) {
        let (item, next) = Zset::entry(base.rest).ok_or(PackedError::Body)?;
        while let [first, others @ ..] = added
            && *first <= item
        {
            base.copy(out);
            Zset::write_entry(out, first.1, first.0);
            base.count += 1;
            added = others;
        }
        if missing > 0 && is_changed(&changes, item.1) {
            base.copy(out);
            base.leave_out(next);
            missing -= 1;
        } else {
            base.pass(next);
        }
    }
    if !added.is_empty() {
        base.copy(out);
        added
            .iter()
            .for_each(|(score, member)| Zset::write_entry(out, member, *score));
        base.count += added.len();
    }
    base.finish(out);
    Ok(())
}

#[inline]
fn is_changed(changes: &[KeyedChange<'_, Zset>], member: &[u8]) -> bool {
    match changes {
        [(one, _)] => *one == member,
        many => many.binary_search_by(|(at, _)| (*at).cmp(member)).is_ok(),
    }
}

fn list(out: &mut Vec<u8>, body: &[u8], patch: Patch<'_>) -> Result<(), PackedError> {
    let list = PackedList::read(body)?;
    let labels = list.labels();
    let from = patch.kept.head.unwrap_or(0).clamp(labels.start, labels.end);
    let end = patch.kept.end.unwrap_or(u64::MAX).clamp(from, labels.end);
    let kept = from..end;
    let set: Elements<'_> = ListChanges::new(patch.changes).collect::<Result<_, _>>()?;

    let ends = |set: &Elements<'_>| Some(set.first()?.0..set.last()?.0 + 1);
    let result = match ends(&set) {
        Some(set) if kept.is_empty() => set,
        Some(set) => set.start.min(kept.start)..set.end.max(kept.end),
        None => kept.clone(),
    };
    write_length(out, (result.end - result.start) as usize);
    if result.is_empty() {
        return Ok(());
    }
    write_label(out, result.start);
    let mut old = OldElements {
        rest: list.elements.entries,
        at: labels.start,
        end: labels.end,
    };
    old.take_until(kept.start)?;
    let mut at = result.start;
    for (label, element) in set {
        if at < label {
            out.extend_from_slice(old.take(&kept, at, label)?);
        }
        write_blob(out, element);
        if kept.contains(&label) {
            old.take_until(label + 1)?;
        }
        at = label + 1;
    }
    if at < result.end {
        out.extend_from_slice(old.take(&kept, at, result.end)?);
    }
    Ok(())
}

/// The elements of a list that have not been passed.
struct OldElements<'a> {
    rest: &'a [u8],
    /// The label of the first of them, and the one after the last.
    at: u64,
    end: u64,
}

impl<'a> OldElements<'a> {
    /// Those with labels from `at`, to which it has come, to `label`; they are all to be among those kept.
    fn take(&mut self, kept: &Range<u64>, at: u64, label: u64) -> Result<&'a [u8], PackedError> {
        if at < kept.start || label > kept.end {
            return Err(PackedError::Gap);
        }
        self.take_until(label)
    }

    fn take_until(&mut self, label: u64) -> Result<&'a [u8], PackedError> {
        let before = self.rest;
        if label == self.end {
            (self.at, self.rest) = (label, &[]);
            return Ok(before);
        }
        while self.at < label {
            (_, self.rest) = Element::entry(self.rest).ok_or(PackedError::Body)?;
            self.at += 1;
        }
        Ok(&before[..before.len() - self.rest.len()])
    }
}
