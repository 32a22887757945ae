//! What leaves the table: versions that are elsewhere too, as long as there are too many bytes, and buckets that are too few or too many.

use std::sync::atomic::Ordering;

use super::limbo::Waits;
use super::{
    CACHED_BYTES_MAX, FETCHED_AHEAD, HAND_STEPS, Inner, LIMBO_BYTES, LIMBO_ROWS, RowTable, SLOT_BYTES, TOO_LARGE,
    allocate, buckets_at, deallocate,
};
use crate::buckets::{Buckets, Place, prefetch};
use crate::row::{Row, RowRef};
use crate::sync::{MutexGuard, lock};

impl RowTable {
    /// These versions can be read elsewhere by all who have entered and will enter: they are no longer dirty, and those that
    /// are worth nothing as a cache are taken out.
    pub fn mark_clean<'r>(&self, rows: impl Iterator<Item = &'r Row> + Clone) {
        let mut ahead = rows.clone().skip(FETCHED_AHEAD);
        for row in rows {
            if let Some(row) = ahead.next() {
                row.prefetch();
            }
            self.mark_one_clean(row);
        }
        self.look_again();
        self.shrink();
    }

    /// The same for who then lets go of them, which looks at each again.
    pub fn mark_clean_and_drop(&self, lists: Vec<Vec<Row>>) {
        for rows in lists {
            let mut rows = rows.into_iter();
            while let Some(row) = rows.next() {
                if let Some(row) = rows.as_slice().get(FETCHED_AHEAD) {
                    row.prefetch();
                }
                // A deletion is taken out of its bucket.
                if let Some(row) = rows
                    .as_slice()
                    .get(FETCHED_AHEAD / 2)
                    .filter(|row| row.value().is_none())
                {
                    self.prefetch_bucket(row.hash());
                }
                self.mark_one_clean(&row);
            }
        }
        self.look_again();
        self.shrink();
    }

    /// Takes out a deletion that nobody has to be told of: what it deletes is nowhere else, and no reader minds whether it
    /// finds that.
    pub fn remove_deletion(&self, row: &Row) {
        assert!(
            row.value().is_none(),
            "only deletions are taken out before they are clean"
        );
        self.remove(row);
    }

    fn mark_one_clean(&self, row: &Row) {
        row.clean();
        if row.value().is_some() && row.len() <= CACHED_BYTES_MAX && self.shard_bytes_max() > 0 {
            return;
        }
        self.remove(row);
    }

    /// Takes a version out if it is the newest.
    fn remove(&self, row: &Row) {
        let index = self.shard_of(row.hash());
        let mut inner = lock(&self.shards[index].0.inner);
        let buckets = self.own_buckets(index, &inner);
        let is_it = |found: &Row| found.is_same(row);
        // SAFETY: the shard is locked: what is in it stays.
        if let Some((place, _)) = unsafe { buckets.find(row.hash(), is_it) } {
            self.take_out(buckets, &mut inner, place, row.hash());
        }
    }

    /// There is something to be evicted again.
    fn look_again(&self) {
        for shard in &self.shards {
            lock(&shard.0.inner).passed_in_vain = 0;
        }
    }

    /// Evicts what is too much, shard by shard: what was dirty could not be evicted.
    pub(super) fn shrink(&self) {
        let shard_bytes_max = self.shard_bytes_max();
        if shard_bytes_max == 0 {
            return;
        }
        for (index, shard) in self.shards.iter().enumerate() {
            let mut inner = lock(&shard.0.inner);
            let buckets = self.own_buckets(index, &inner);
            let mut steps = 2 * buckets.slots();
            while inner.bytes > shard_bytes_max && steps > 0 && !inner.is_all_dirty(buckets) {
                self.evict(buckets, &mut inner);
                steps = steps.saturating_sub(HAND_STEPS);
            }
            // What was there for a moment must not take memory for good.
            if inner.len < buckets.room() / TOO_LARGE {
                let log2 = (2 * inner.len).div_ceil(Buckets::room_of_one()).next_power_of_two();
                self.resize(index, buckets, &mut inner, log2.trailing_zeros());
            }
        }
    }

    /// Evicts everything that may be evicted, and gives back what it took. A few rows that are left of many keep whole pages of the
    /// allocator's from being used for anything else.
    pub fn clear(&self) {
        for (index, shard) in self.shards.iter().enumerate() {
            let mut inner = lock(&shard.0.inner);
            let buckets = self.own_buckets(index, &inner);
            for number in 0..buckets.slots() {
                let (place, row) = buckets.nth(number);
                if row.is_null() {
                    continue;
                }
                // SAFETY: the shard is locked: what is in it stays.
                let row = unsafe { RowRef::from_ptr(row) };
                if !row.is_dirty() {
                    self.take_out(buckets, &mut inner, place, row.hash());
                }
            }
        }
        self.eras.advance();
        for shard in &self.shards {
            lock(&shard.0.inner).limbo.free(self.eras);
        }
        self.shrink();
    }

    pub(super) fn grow<'t>(
        &'t self,
        index: usize,
        before: Buckets<'_>,
        inner: &mut MutexGuard<'_, Inner>,
    ) -> Buckets<'t> {
        self.resize(index, before, inner, before.0.len().trailing_zeros() + 1)
    }

    /// Puts the rows of a shard into 2 to the power `log2` buckets, in which there is room for them.
    fn resize<'t>(
        &'t self,
        index: usize,
        before: Buckets<'_>,
        inner: &mut MutexGuard<'_, Inner>,
        log2: u32,
    ) -> Buckets<'t> {
        let grown = allocate(log2);
        // SAFETY: just made, by `allocate`.
        let buckets = unsafe { buckets_at(grown) };
        for number in 0..before.slots() {
            if let Some(ahead) = (number + FETCHED_AHEAD < before.slots()).then(|| before.nth(number + FETCHED_AHEAD).1)
            {
                prefetch(ahead);
            }
            let (_, row) = before.nth(number);
            if !row.is_null() {
                // SAFETY: the shard is locked: what is in it stays.
                buckets.insert(unsafe { RowRef::from_ptr(row) }.hash(), row);
            }
        }
        inner.hand = 0;
        let old = self.arrays[index].swap(grown, Ordering::AcqRel);
        let tag = self.eras.tag();
        // SAFETY: made by `allocate`, and out of reach now. Its rows belong to the new array.
        inner.limbo.add(tag, Waits::Buckets(unsafe { deallocate(old) }));
        self.tidy(inner);
        buckets
    }

    pub(super) fn evict(&self, buckets: Buckets<'_>, inner: &mut MutexGuard<'_, Inner>) {
        let mut steps = 0;
        let shard_bytes_max = self.shard_bytes_max();
        while inner.bytes > shard_bytes_max && steps < HAND_STEPS && !inner.is_all_dirty(buckets) {
            steps += 1;
            inner.passed_in_vain += 1;
            inner.hand = (inner.hand + 1) % buckets.slots();
            let (place, row) = buckets.scattered(inner.hand);
            if row.is_null() {
                continue;
            }
            // SAFETY: the shard is locked: what is in it stays.
            let row = unsafe { RowRef::from_ptr(row) };
            if !row.is_dirty() && !row.untouch() {
                inner.passed_in_vain = 0;
                self.take_out(buckets, inner, place, row.hash());
            }
        }
    }

    fn take_out(&self, buckets: Buckets<'_>, inner: &mut MutexGuard<'_, Inner>, place: Place, hash: u64) {
        let row = buckets.remove(place, hash);
        // SAFETY: it was in the table, whose count it is.
        let row = unsafe { Row::from_ptr(row) };
        inner.len -= 1;
        inner.bytes -= row.allocated() + SLOT_BYTES;
        let tag = self.eras.tag();
        inner.limbo.add_row(tag, row);
        self.tidy(inner);
    }

    fn tidy(&self, inner: &mut MutexGuard<'_, Inner>) {
        if inner.limbo.len() >= LIMBO_ROWS || inner.limbo.bytes() >= LIMBO_BYTES {
            self.eras.advance();
            inner.limbo.free(self.eras);
        }
    }
}
