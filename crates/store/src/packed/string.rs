//! Patches of strings: which bytes stand where.

use smallvec::SmallVec;

use super::bytes::{length, write_length};
use super::patch::write_front;
use super::{BODY_BYTES_MAX, PackedError};
use crate::row::Kind;

/// Pieces that are kept without allocating: a command usually has one.
const PIECES_INLINE: usize = 4;

/// An offset and the bytes that stand from there on, of which there is one at least.
pub(super) type Piece<'p> = (usize, &'p [u8]);

/// Pieces in the order of their offsets, none of which reaches into the next.
pub(super) type Pieces<'p> = SmallVec<[Piece<'p>; PIECES_INLINE]>;

/// What a command does to a string. Where two changes overlap the later one counts.
#[derive(Default)]
pub struct StringPatch<'v> {
    changes: Pieces<'v>,
}

impl<'v> StringPatch<'v> {
    /// These bytes stand from an offset on. If the string ends before, it is filled up with zeros.
    ///
    /// # Panics
    /// If they would end beyond [`BODY_BYTES_MAX`]: nobody could read the patch.
    pub fn set(&mut self, offset: usize, bytes: &'v [u8]) {
        assert!(
            offset.checked_add(bytes.len()).is_some_and(|end| end <= BODY_BYTES_MAX),
            "a patch reaches beyond the longest string"
        );
        if !bytes.is_empty() {
            self.changes.push((offset, bytes));
        }
    }

    /// True if it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The length of what it makes of a string of this length.
    pub fn length_after(&self, before: usize) -> usize {
        let ends = self.changes.iter().map(|(at, bytes)| at + bytes.len());
        ends.fold(before, usize::max)
    }

    /// Appends the patch.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_front(out, Kind::String);
        let is_in_order = self
            .changes
            .is_sorted_by(|(at, bytes), (next, _)| at + bytes.len() <= *next);
        match is_in_order {
            true => write_pieces(out, &self.changes),
            false => write_pieces(out, &in_order(&self.changes)),
        }
    }
}

/// Pieces of which later ones count, as pieces in order.
fn in_order<'p>(changes: &[Piece<'p>]) -> Pieces<'p> {
    match changes {
        [] | [_] => changes.iter().copied().collect(),
        // Halves first: laying one after the other over those before would pass these as often as there are others.
        _ => {
            let (first, second) = changes.split_at(changes.len() / 2);
            laid_over(&in_order(first), &in_order(second))
        }
    }
}

/// Pieces and others over them.
pub(super) fn laid_over<'p>(below: &[Piece<'p>], above: &[Piece<'p>]) -> Pieces<'p> {
    let mut out = Pieces::with_capacity(below.len() + above.len());
    let mut below = below.iter().copied();
    let mut under = below.next();
    for &(at, bytes) in above {
        let end = at + bytes.len();
        while let Some((start, old)) = under
            && start < end
        {
            let before = old.len().min(at.saturating_sub(start));
            if before > 0 {
                out.push((start, &old[..before]));
            }
            // What reaches past these may meet the next.
            let after = end - start;
            if after < old.len() {
                under = Some((end, &old[after..]));
                break;
            }
            under = below.next();
        }
        out.push((at, bytes));
    }
    out.extend(under);
    out.extend(below);
    out
}

/// Appends pieces: those that touch are one run of bytes.
pub(super) fn write_pieces(out: &mut Vec<u8>, pieces: &[Piece<'_>]) {
    for run in pieces.chunk_by(|(at, bytes), (next, _)| at + bytes.len() == *next) {
        write_length(out, run[0].0);
        write_length(out, run.iter().map(|(_, bytes)| bytes.len()).sum());
        run.iter().for_each(|(_, bytes)| out.extend_from_slice(bytes));
    }
}

/// The runs of a string's patch, in order. After an error it ends.
#[derive(Clone)]
pub(super) struct StringChanges<'a> {
    rest: &'a [u8],
    /// Where the last one that was read ends.
    end: Option<usize>,
}

impl<'a> StringChanges<'a> {
    pub(super) fn new(changes: &'a [u8]) -> Self {
        StringChanges {
            rest: changes,
            end: None,
        }
    }

    /// All of them.
    pub(super) fn collect_all(self) -> Result<Pieces<'a>, PackedError> {
        self.collect()
    }

    fn read(&mut self) -> Option<Piece<'a>> {
        let (at, rest) = length(self.rest)?;
        let (len, rest) = length(rest)?;
        // Runs that touch are one.
        let is_run = len > 0 && self.end.is_none_or(|end| at > end) && at.checked_add(len)? <= BODY_BYTES_MAX;
        if !is_run {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(len)?;
        (self.end, self.rest) = (Some(at + len), rest);
        Some((at, bytes))
    }
}

impl<'a> Iterator for StringChanges<'a> {
    type Item = Result<Piece<'a>, PackedError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.rest = &[];
        }
        Some(read.ok_or(PackedError::Patch))
    }
}

/// Where a row is put together.
pub(crate) trait Sink {
    /// Bytes follow.
    fn bytes(&mut self, bytes: &[u8]);

    /// As many zeros follow.
    fn zeros(&mut self, count: usize);
}

impl Sink for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn zeros(&mut self, count: usize) {
        self.resize(self.len() + count, 0);
    }
}

impl Sink for haypile_rows::Filler<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
    }

    fn zeros(&mut self, count: usize) {
        self.zeros(count);
    }
}

/// The length of what a patch makes of a string of this length.
pub(super) fn length_after(before: usize, pieces: &[Piece<'_>]) -> usize {
    pieces.last().map_or(before, |(at, bytes)| before.max(at + bytes.len()))
}

/// Writes what a patch makes of a string.
pub(super) fn apply_pieces(out: &mut impl Sink, body: &[u8], pieces: &[Piece<'_>]) {
    let mut passed = 0;
    for &(at, bytes) in pieces {
        out.bytes(body.get(passed..at.min(body.len())).unwrap_or_default());
        out.zeros(at.saturating_sub(passed.max(body.len())));
        out.bytes(bytes);
        passed = at + bytes.len();
    }
    out.bytes(body.get(passed..).unwrap_or_default());
}
