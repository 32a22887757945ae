//! How a list makes room in its middle, and closes a gap there: the shorter side moves.

use std::ops::Range;

use haypile_store::Direction;

use super::element::{self, index_of};
use super::{damaged, tail};
use crate::{Collection, CommandError, Cx, Outcome};

/// Elements that are read before they are written again. Once something has been written and is read over, the writer keeps all
/// that it writes in order, which costs as much as the writing: mostly one chunk is enough.
const CHUNK_ELEMENTS_MAX: u64 = if cfg!(test) { 512 } else { 1 << 20 };
/// The same in bytes; one element may be larger.
const CHUNK_BYTES_MAX: usize = 16 << 20;

/// Makes a place for an element before the one that has `index` (or at the end), by moving the shorter side. Gives the
/// index of the place. The row is for the caller to store.
pub(super) fn open_gap(cx: &mut Cx<'_>, list: &mut Collection, index: u64) -> Result<u64, CommandError> {
    let (head, tail) = (list.head, tail(list)?);
    let left_is_shorter = index - head <= tail - index;
    let gap = if left_is_shorter {
        list.head = head.checked_sub(1).ok_or(super::FULL)?;
        let target = list.head;
        relocate(cx, list, head..index, &[], target, Direction::Forward)?;
        index - 1
    } else {
        tail.checked_add(1).ok_or(super::FULL)?;
        relocate(cx, list, index..tail, &[], tail, Direction::Reverse)?;
        index
    };
    list.size += 1;
    Ok(gap)
}

/// Removes the elements with these indexes, which are in order. The longest run of elements between them stays where it
/// is, and the others close up to it. The row is for the caller to store.
pub(super) fn remove(cx: &mut Cx<'_>, list: &mut Collection, removed: &[u64]) -> Outcome {
    let count = removed.len() as u64;
    if count == list.size {
        list.size = 0; // the elements are collected later
        return Ok(());
    }
    let (head, tail) = (list.head, tail(list)?);
    let (before, stays) = longest_run(head..tail, removed);
    let (left, right) = removed.split_at(before);
    relocate(cx, list, stays.end..tail, right, stays.end, Direction::Forward)?;
    // Where nothing is removed to the left, nothing moves and the place is not used.
    let last_of_left = stays.start.wrapping_sub(1);
    if !left.is_empty() {
        relocate(cx, list, head..stays.start, left, last_of_left, Direction::Reverse)?;
    }
    let new_head = head + left.len() as u64;
    for index in (head..new_head).chain(tail - right.len() as u64..tail) {
        cx.delete_element(list, &index.to_be_bytes())?;
    }
    list.head = new_head;
    list.size -= count;
    Ok(())
}

/// The longest run of indexes without one that is removed, and how many are removed before it.
fn longest_run(indexes: Range<u64>, removed: &[u64]) -> (usize, Range<u64>) {
    let mut best = (0, indexes.start..indexes.start);
    let mut start = indexes.start;
    for (before, end) in removed.iter().copied().chain([indexes.end]).enumerate() {
        if end - start > best.1.end - best.1.start {
            best = (before, start..end);
        }
        start = end.saturating_add(1);
    }
    best
}

/// Writes the elements of `source` that `skipped` (in order) does not name to other indexes: forward, to `target` and
/// those after it; in reverse, the last one to `target` and the others to those before it. An element moves against the
/// direction or not at all, so none is overwritten before it has been read. The old places are left as they are.
fn relocate(
    cx: &mut Cx<'_>,
    list: &mut Collection,
    mut source: Range<u64>,
    mut skipped: &[u64],
    mut target: u64,
    direction: Direction,
) -> Outcome {
    let mut chunk = Chunk::default();
    while !source.is_empty() {
        chunk.read(cx, list, &source, direction)?;
        for value in chunk.values() {
            let index = match direction {
                Direction::Forward => source.start,
                Direction::Reverse => source.end - 1,
            };
            let next_skipped = match direction {
                Direction::Forward => skipped.split_first(),
                Direction::Reverse => skipped.split_last(),
            };
            match direction {
                Direction::Forward => source.start += 1,
                Direction::Reverse => source.end -= 1,
            }
            if let Some((&first, rest)) = next_skipped
                && first == index
            {
                skipped = rest;
                continue;
            }
            cx.put_element(list, &target.to_be_bytes(), value)?;
            // The one beyond the last is not used: it may not exist.
            target = match direction {
                Direction::Forward => target.wrapping_add(1),
                Direction::Reverse => target.wrapping_sub(1),
            };
        }
    }
    Ok(())
}

/// Values of consecutive elements.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Chunk {
    /// Reads the first elements of a range in this direction, at least one.
    fn read(&mut self, cx: &mut Cx<'_>, list: &Collection, range: &Range<u64>, direction: Direction) -> Outcome {
        self.bytes.clear();
        self.ends.clear();
        let count = (range.end - range.start).min(CHUNK_ELEMENTS_MAX);
        let (part, mut index) = match direction {
            Direction::Forward => (range.start..range.start + count, range.start),
            Direction::Reverse => (range.end - count..range.end, range.end - 1),
        };
        let (lower, upper) = element::bounds(&part);
        let mut scan = cx.scan(list, &lower, Some(&upper), direction)?;
        while self.bytes.len() < CHUNK_BYTES_MAX
            && let Some((key, value)) = scan.next()?
        {
            if index_of(key)? != index {
                return Err(damaged().into());
            }
            index = match direction {
                Direction::Forward => index.wrapping_add(1),
                Direction::Reverse => index.wrapping_sub(1),
            };
            self.bytes.extend_from_slice(value);
            self.ends.push(self.bytes.len());
        }
        if self.ends.is_empty() || (self.bytes.len() < CHUNK_BYTES_MAX && self.ends.len() as u64 != count) {
            return Err(damaged().into());
        }
        Ok(())
    }

    fn values(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::longest_run;

    #[test]
    fn the_longest_run_is_found() {
        assert_eq!(longest_run(5..15, &[7, 9]), (2, 10..15));
        assert_eq!(longest_run(5..15, &[5, 14]), (1, 6..14));
        assert_eq!(longest_run(5..15, &[12]), (0, 5..12));
        assert_eq!(longest_run(0..2, &[0]), (1, 1..2));
        assert_eq!(longest_run(0..2, &[1]), (0, 0..1));
        assert_eq!(
            longest_run(u64::MAX - 2..u64::MAX, &[u64::MAX - 1]),
            (0, u64::MAX - 2..u64::MAX - 1)
        );
    }
}
