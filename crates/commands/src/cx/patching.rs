//! Writing a part of a row: the log gets what has changed.

use haypile_store::keys::META_PREFIX;
use haypile_store::packed::{StringPatch, apply, write_expiry_patch};
use haypile_store::row::{Header, Kind};
use haypile_store::{StoreError, Value};

use super::{Cx, Row, counted};
use crate::CommandError;

/// A patch is logged instead of the row if the log so saves as many bytes: who replays it has to read the row.
const SAVED_BYTES_MIN: usize = 64;

/// A stretch of equal bytes in what has changed is logged too, instead of another run, if it is this short.
const GAP_BYTES_MAX: usize = 8;

/// Bytes of a patch of an expiry.
const EXPIRY_PATCH_BYTES: usize = 9;

fn saves(row_bytes: usize, key: &[u8], patch: &[u8]) -> bool {
    META_PREFIX + key.len() + patch.len() + SAVED_BYTES_MIN <= row_bytes
}

impl Cx<'_> {
    /// Changes a part of a string, or makes one: `row` is what [`Cx::string`] found, which has an expiry that stays. Gives the
    /// string's length.
    pub fn patch_string(
        &mut self,
        key: &[u8],
        row: Option<Row<'_>>,
        patch: &StringPatch<'_>,
    ) -> Result<usize, CommandError> {
        let mut bytes = Vec::new();
        patch.write(&mut bytes);
        let old = row.as_ref().map(|row| row.header);
        let len = patch.length_after(row.as_ref().map_or(0, |row| row.body().len()));
        if saves(len, key, &bytes) {
            let expire_at = old.and_then(|old| old.expire_at);
            let counted = counted(old, expire_at);
            let value = row.map(|row| row.value);
            self.find_meta(key);
            self.view.change(&self.meta, value, &bytes, counted)?;
            self.row_written(key, old, expire_at)?;
            return Ok(len);
        }
        let body = row.as_ref().map(Row::body);
        let whole = apply(Kind::String, body, &bytes).map_err(StoreError::from)?;
        self.put_string(key, old, &whole, old.and_then(|old| old.expire_at))?;
        Ok(len)
    }

    /// Stores a string that differs little from the one that is there; its expiry stays.
    pub fn put_similar_string(&mut self, key: &[u8], row: Option<Row<'_>>, value: &[u8]) -> Result<(), CommandError> {
        let old = row.as_ref().map_or(&[][..], Row::body);
        if row.is_none() || old.len() > value.len() {
            let header = row.map(|row| row.header);
            return self.put_string(key, header, value, header.and_then(|header| header.expire_at));
        }
        let mut patch = StringPatch::default();
        for (start, end) in differences(old, value) {
            patch.set(start, &value[start..end]);
        }
        self.patch_string(key, row, &patch).map(drop)
    }

    /// Gives a live key another expiry, or none. The row is kept as it is otherwise.
    pub fn set_expiry(&mut self, key: &[u8], row: &Row<'_>, expire_at: Option<u64>) -> Result<(), CommandError> {
        let mut patch = Vec::with_capacity(EXPIRY_PATCH_BYTES);
        write_expiry_patch(&mut patch, expire_at);
        if !saves(row.value.len(), key, &patch) {
            let header = Header {
                expire_at,
                ..row.header
            };
            return self.put_row(key, Some(row.header), header, row.body());
        }
        // Not copied: what is read of it does not change.
        let value = Some(Value::Borrowed(&row.value));
        let counted = counted(Some(row.header), expire_at);
        self.find_meta(key);
        self.view.change(&self.meta, value, &patch, counted)?;
        self.row_written(key, Some(row.header), expire_at)
    }
}

/// The ranges in which a string differs from one that is not longer, as starts and ends.
fn differences<'v>(old: &'v [u8], new: &'v [u8]) -> impl Iterator<Item = (usize, usize)> + 'v {
    let (common, _) = new.split_at(old.len());
    let blocks = old.chunks(GAP_BYTES_MAX).zip(common.chunks(GAP_BYTES_MAX));
    let differing = blocks.enumerate().filter(|(_, (old, new))| old != new);
    let mut ranges = differing.map(|(at, (_, new))| {
        let start = at * GAP_BYTES_MAX;
        (start, start + new.len())
    });
    let mut tail = (new.len() > old.len()).then_some((old.len(), new.len()));
    let mut run = ranges.next().or_else(|| tail.take());
    std::iter::from_fn(move || {
        let (start, mut end) = run?;
        loop {
            run = ranges.next().or_else(|| tail.take());
            match run {
                Some((next, to)) if next == end => end = to,
                _ => break,
            }
        }
        // Within the first and the last block what is equal is left out.
        let is_equal = |at: &usize| old.get(*at) == Some(&new[*at]);
        let start = start + (start..end).take_while(is_equal).count();
        let end = end - (start..end).rev().take_while(is_equal).count();
        Some((start, end))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::differences;

    proptest! {
        #[test]
        fn differences_are_all_that_differs(old in prop::collection::vec(0u8..2, 0..100), new in prop::collection::vec(0u8..2, 0..20), at in prop::collection::vec((0usize..100, 0u8..3), 0..6)) {
            let mut new = [&old[..], &new].concat();
            for (at, byte) in at {
                if let Some(there) = new.get_mut(at) {
                    *there = byte;
                }
            }
            let mut made = old.clone();
            made.resize(new.len(), 7);
            let mut last = None;
            for (start, end) in differences(&old, &new) {
                prop_assert!(start < end && last < Some(start));
                last = Some(end);
                made[start..end].copy_from_slice(&new[start..end]);
            }
            prop_assert_eq!(made, new);
        }
    }

    #[test]
    fn what_is_far_apart_are_two_ranges() {
        let old = [0; 64];
        let mut new = [0; 70];
        (new[3], new[5], new[40]) = (1, 1, 1);
        let ranges: Vec<_> = differences(&old, &new).collect();
        assert_eq!(ranges, [(3, 6), (40, 41), (64, 70)]);
    }
}
