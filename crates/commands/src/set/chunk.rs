//! Members of a set a bounded number at a time, to be held against other sets.

use std::cmp::Ordering;
use std::ops::Range;

use haypile_store::Direction;

use crate::{Collection, CommandError, Cx};

/// To ask for one member costs as much as to read this many.
const ASK_COST: u64 = 4;

/// Members with their spread, in order.
#[derive(Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    spans: Vec<Range<usize>>,
}

impl Chunk {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.spans.iter().map(|span| &self.bytes[span.clone()])
    }

    fn push(&mut self, element: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(element);
        self.spans.push(start..self.bytes.len());
    }

    /// Puts what has been read from several sets in order, each member once.
    pub(super) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.spans
            .sort_unstable_by(|a, b| bytes[a.clone()].cmp(&bytes[b.clone()]));
        self.spans.dedup_by(|a, b| bytes[a.clone()] == bytes[b.clone()]);
    }

    /// Adds members of a set from an element on, `max` of them or until the other element; gives the one at which to go
    /// on, `None` at the end.
    pub(super) fn read(
        &mut self,
        cx: &mut Cx<'_>,
        set: &Collection,
        lower: &[u8],
        upper: Option<&[u8]>,
        max: usize,
    ) -> Result<Option<Vec<u8>>, CommandError> {
        let mut scan = cx.scan(set, lower, upper, Direction::Forward)?;
        let mut left = max;
        while let Some((key, _)) = scan.next()? {
            if left == 0 {
                return Ok(Some(key.to_vec()));
            }
            self.push(key);
            left -= 1;
        }
        Ok(None)
    }

    /// Keeps those that are in another set too, or if not `inside`, those that are not. `between` is about how many
    /// members the other set has between the first and the last of these.
    pub(super) fn retain(
        &mut self,
        cx: &mut Cx<'_>,
        other: &Collection,
        between: u64,
        inside: bool,
    ) -> Result<(), CommandError> {
        let (Some(first), Some(last)) = (self.spans.first(), self.spans.last()) else {
            return Ok(());
        };
        if between > ASK_COST * self.spans.len() as u64 {
            return self.retain_by_asking(cx, other, inside);
        }
        let lower = self.bytes[first.clone()].to_vec();
        let upper = [&self.bytes[last.clone()], &[0]].concat();
        let mut scan = cx.scan(other, &lower, Some(&upper), Direction::Forward)?;
        let (mut at, mut kept) = (0, 0);
        while at < self.spans.len() {
            // Ours that come before theirs are not inside; without theirs, none of the rest is.
            let their = scan.next()?.map(|(key, _)| key);
            while let Some(span) = self.spans.get(at) {
                let order = their.map_or(Ordering::Less, |their| self.bytes[span.clone()].cmp(their));
                if order == Ordering::Greater {
                    break;
                }
                if (order == Ordering::Equal) == inside {
                    self.spans.swap(kept, at);
                    kept += 1;
                }
                at += 1;
            }
        }
        self.spans.truncate(kept);
        Ok(())
    }

    fn retain_by_asking(&mut self, cx: &Cx<'_>, other: &Collection, inside: bool) -> Result<(), CommandError> {
        let mut kept = 0;
        for i in 0..self.spans.len() {
            let element = &self.bytes[self.spans[i].clone()];
            if cx.has_element(other, element)? == inside {
                self.spans.swap(kept, i);
                kept += 1;
            }
        }
        self.spans.truncate(kept);
        Ok(())
    }
}
