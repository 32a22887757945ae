use std::ops::Range;

use haypile_store::{Direction, Reads, StoreError, Value};

use super::damaged;
use crate::{Collection, CommandError, Cx, Outcome};

/// The data key of an element: one buffer for all elements of a list.
pub(super) struct ElementKey(Vec<u8>);

impl ElementKey {
    pub(super) fn of(list: &Collection) -> Self {
        ElementKey(list.element(&[&[0; 8]]))
    }

    /// The key of the element with this index.
    pub(super) fn at(&mut self, index: u64) -> &[u8] {
        if let Some(place) = self.0.last_chunk_mut() {
            *place = index.to_be_bytes();
        }
        &self.0
    }
}

/// The index in an element's data key.
pub(super) fn index_of(data_key: &[u8]) -> Result<u64, CommandError> {
    let index = data_key.last_chunk().ok_or_else(damaged)?;
    Ok(u64::from_be_bytes(*index))
}

/// The bounds of a scan over these indexes.
pub(super) fn bounds(list: &Collection, indexes: &Range<u64>) -> (Vec<u8>, Vec<u8>) {
    (
        list.element(&[&indexes.start.to_be_bytes()]),
        list.element(&[&indexes.end.to_be_bytes()]),
    )
}

/// The element with an index that the list has.
pub(super) fn read<'a>(cx: &Cx<'a>, key: &mut ElementKey, index: u64) -> Result<Value<'a>, CommandError> {
    Ok(cx.element(key.at(index))?.ok_or_else(damaged)?)
}

/// Without a snapshot, ranges up to this length are read by lookups as long as these find the elements in memory, which
/// costs half of what an iterator does.
const LOOKUPS_IN_MEMORY_MAX: u64 = 128;
/// Elements that may have to come from RocksDB then. They are in memory the next time.
const MISSES_MAX: u64 = 8;
/// Ranges up to this length are read by one lookup for each element: making an iterator costs as much as two or three.
const LOOKUPS_MAX: u64 = 2;
/// The same where there are pending writes, which the first scan has to bring into order.
const LOOKUPS_WHEN_WRITING_MAX: u64 = 16;

/// Replies with an array of the elements with these indexes, all of which the list has.
pub(super) fn reply_with(cx: &mut Cx<'_>, list: &Collection, indexes: Range<u64>, direction: Direction) -> Outcome {
    let count = indexes.end.saturating_sub(indexes.start);
    cx.reply.array(usize::try_from(count).map_err(|_| damaged())?);
    let (lookups_max, mut misses_left) = match cx.view.reads() {
        Reads::OneByOne if count > LOOKUPS_IN_MEMORY_MAX => return Err(StoreError::NeedsSnapshot.into()),
        Reads::OneByOne => (LOOKUPS_IN_MEMORY_MAX, MISSES_MAX),
        Reads::Snapshot => (LOOKUPS_MAX, LOOKUPS_MAX),
        Reads::Pending => (LOOKUPS_WHEN_WRITING_MAX, LOOKUPS_WHEN_WRITING_MAX),
    };
    if count <= lookups_max {
        let mut key = ElementKey::of(list);
        for step in 0..count {
            let index = match direction {
                Direction::Forward => indexes.start + step,
                Direction::Reverse => indexes.end - 1 - step,
            };
            let value = match cx.element(key.at(index))? {
                Some(value) => value,
                // The list has changed since its row was read.
                None if cx.view.reads() == Reads::OneByOne => return Err(StoreError::NeedsSnapshot.into()),
                None => return Err(damaged().into()),
            };
            if !value.is_shared() {
                misses_left = misses_left.checked_sub(1).ok_or(StoreError::NeedsSnapshot)?;
            }
            cx.reply.bulk(&value);
        }
        return Ok(());
    }
    let (lower, upper) = bounds(list, &indexes);
    let (mut scan, reply) = cx.scan_and_reply(&lower, Some(&upper), direction)?;
    let mut written = 0;
    while let Some((_, value)) = scan.next()? {
        reply.bulk(value);
        written += 1;
    }
    if written != count {
        return Err(damaged().into());
    }
    Ok(())
}
