use std::ops::Range;

use haypile_store::{Direction, Value};

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

/// Ranges up to this length are read by one lookup for each element: making an iterator costs as much as two or three.
const LOOKUPS_MAX: u64 = 2;
/// The same where there are pending writes, which the first scan has to bring into order.
const LOOKUPS_WHEN_WRITING_MAX: u64 = 16;

/// Replies with an array of the elements with these indexes, all of which the list has.
pub(super) fn reply_with(cx: &mut Cx<'_>, list: &Collection, indexes: Range<u64>, direction: Direction) -> Outcome {
    let count = indexes.end.saturating_sub(indexes.start);
    cx.reply.array(usize::try_from(count).map_err(|_| damaged())?);
    let lookups_max = if cx.view.is_writing() {
        LOOKUPS_WHEN_WRITING_MAX
    } else {
        LOOKUPS_MAX
    };
    if count <= lookups_max {
        let mut key = ElementKey::of(list);
        for step in 0..count {
            let index = match direction {
                Direction::Forward => indexes.start + step,
                Direction::Reverse => indexes.end - 1 - step,
            };
            let value = read(cx, &mut key, index)?;
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
