//! How the elements of a list are found and read by their indexes.

use std::ops::Range;

use haypile_store::{Direction, FETCHED_AHEAD, Value};

use super::damaged;
use crate::{Collection, CommandError, Cx, Outcome};

/// The index that an element's name is.
pub(super) fn index_of(name: &[u8]) -> Result<u64, CommandError> {
    let index = name.last_chunk().ok_or_else(damaged)?;
    Ok(u64::from_be_bytes(*index))
}

/// The bounds of a scan over these indexes.
pub(super) fn bounds(indexes: &Range<u64>) -> ([u8; 8], [u8; 8]) {
    (indexes.start.to_be_bytes(), indexes.end.to_be_bytes())
}

/// The element with an index that the list has.
pub(super) fn read<'a>(cx: &Cx<'a>, list: &Collection, index: u64) -> Result<Value<'a>, CommandError> {
    Ok(cx.element(list, &index.to_be_bytes())?.ok_or_else(damaged)?)
}

/// Ranges up to this length are read by lookups as long as these find the elements in memory, which costs half of what
/// an iterator does.
const LOOKUPS_IN_MEMORY_MAX: u64 = 1024;
/// Elements that are looked up first, to see whether they are in memory, and then at a time.
const LOOKUPS_FIRST: u64 = 4;
const LOOKUPS_AT_A_TIME: u64 = FETCHED_AHEAD as u64;
/// Elements that may come from RocksDB before the rest is read by an iterator: making one costs as much as two or three.
const MISSES_MAX: u64 = 2;
/// What the first scan has to bring into order where there are pending writes is worth more lookups.
const MISSES_WHEN_WRITING_MAX: u64 = 16;

/// Replies with an array of the elements with these indexes, all of which the list has.
pub(super) fn reply_with(cx: &mut Cx<'_>, list: &Collection, mut indexes: Range<u64>, direction: Direction) -> Outcome {
    let count = indexes.end.saturating_sub(indexes.start);
    cx.reply.array(usize::try_from(count).map_err(|_| damaged())?);
    if count <= LOOKUPS_IN_MEMORY_MAX && !list.is_packed() {
        look_up(cx, list, &mut indexes, direction)?;
    }
    if indexes.is_empty() {
        return Ok(());
    }
    let (lower, upper) = bounds(&indexes);
    let (mut scan, reply) = cx.scan_and_reply(list, &lower, Some(&upper), direction)?;
    let mut written = 0;
    while let Some((_, value)) = scan.next()? {
        reply.bulk(value);
        written += 1;
    }
    if written != indexes.end - indexes.start {
        return Err(damaged().into());
    }
    Ok(())
}

/// Reads elements by lookups for as long as it pays; leaves the rest in `indexes`.
fn look_up(cx: &mut Cx<'_>, list: &Collection, indexes: &mut Range<u64>, direction: Direction) -> Outcome {
    let mut misses_left = match cx.view.is_writing() {
        true => MISSES_WHEN_WRITING_MAX,
        false => MISSES_MAX,
    };
    let mut at_a_time = LOOKUPS_FIRST;
    while !indexes.is_empty() && misses_left > 0 {
        let goes_on = |was_in_memory: bool| {
            misses_left -= u64::from(!was_in_memory);
            misses_left > 0
        };
        let count = at_a_time.min(indexes.end - indexes.start);
        match direction {
            Direction::Forward => {
                let next = indexes.start..indexes.start + count;
                indexes.start += cx.reply_with_elements(list, next, goes_on)?;
            }
            Direction::Reverse => {
                let next = indexes.end - count..indexes.end;
                indexes.end -= cx.reply_with_elements(list, next.rev(), goes_on)?;
            }
        }
        at_a_time = LOOKUPS_AT_A_TIME;
    }
    Ok(())
}
