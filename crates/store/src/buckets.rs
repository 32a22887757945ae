//! A hash table of rows in which looking one up touches two cache lines: the bucket, and the row itself.
//!
//! A bucket is one cache line: seven rows, a byte of each one's hash, and a count of the rows that found no room in it
//! and went on to the next bucket (as in Facebook's F14 tables). With more keys than the processor's cache holds, a
//! miss costs more than all the rest of a point read, so lines are what counts; and the bucket's address needs
//! nothing but the hash, so that it can be fetched ahead for many keys at once.

use crate::rows::Row;

/// Rows of a bucket.
const WIDTH: usize = 7;
/// Rows that a bucket has on average before the table grows.
const FULL: usize = 5;
/// A count that has reached this is not known exactly any more, and stays.
const OVERFLOW_MAX: u8 = u8::MAX;

#[derive(Default)]
#[repr(align(64))]
struct Bucket {
    tags: [u8; WIDTH],
    /// Rows whose search begins here or earlier and goes on behind this bucket.
    overflow: u8,
    rows: [Option<Row>; WIDTH],
}

/// Where a row stands, until the table is changed.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    bucket: usize,
    slot: usize,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Buckets {
    /// A power of two, or none.
    buckets: Vec<Bucket>,
    len: usize,
    /// Where the CLOCK hand stands: a slot's number over all buckets.
    hand: usize,
}

impl Buckets {
    /// Has the processor fetch the bucket of a hash.
    pub(crate) fn prefetch_bucket(&self, hash: u64) {
        if let Some(bucket) = self.buckets.get(self.home(hash)) {
            prefetch(bucket);
        }
    }

    /// Has it fetch the row that is probably the one with this hash. The bucket should have arrived.
    pub(crate) fn prefetch_row(&self, hash: u64) {
        let Some(bucket) = self.buckets.get(self.home(hash)) else {
            return;
        };
        let slot = bucket.tags.iter().position(|found| *found == tag(hash));
        if let Some(row) = slot.and_then(|slot| bucket.rows[slot].as_ref()) {
            row.prefetch();
        }
    }

    /// The row for which `is_it` holds, among those with this hash.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(&Row) -> bool) -> Option<(Place, &Row)> {
        if self.buckets.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            for slot in 0..WIDTH {
                if bucket.tags[slot] == tag(hash)
                    && let Some(row) = &bucket.rows[slot]
                    && is_it(row)
                {
                    return Some((Place { bucket: at, slot }, row));
                }
            }
            if bucket.overflow == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// Adds a row that is not there.
    pub(crate) fn insert(&mut self, row: Row) {
        if self.len >= self.buckets.len() * FULL {
            self.grow();
        }
        self.len += 1;
        self.place(row);
    }

    /// Puts a row in the place of another one with the same hash.
    pub(crate) fn replace(&mut self, place: Place, row: Row) -> Option<Row> {
        self.buckets[place.bucket].rows[place.slot].replace(row)
    }

    /// Takes a row out.
    pub(crate) fn remove(&mut self, place: Place) -> Option<Row> {
        let row = self.buckets[place.bucket].rows[place.slot].take()?;
        self.buckets[place.bucket].tags[place.slot] = 0;
        self.len -= 1;
        let mut at = self.home(row.hash());
        while at != place.bucket {
            let overflow = &mut self.buckets[at].overflow;
            if *overflow != OVERFLOW_MAX {
                *overflow -= 1;
            }
            at = self.after(at);
        }
        Some(row)
    }

    /// Moves the CLOCK hand on by one slot: the row on which it stands then, if there is one.
    pub(crate) fn next_of_hand(&mut self) -> Option<(Place, &Row)> {
        if self.buckets.is_empty() {
            return None;
        }
        self.hand = (self.hand + 1) % (self.buckets.len() * WIDTH);
        let (bucket, slot) = (self.hand / WIDTH, self.hand % WIDTH);
        let row = self.buckets[bucket].rows[slot].as_ref()?;
        Some((Place { bucket, slot }, row))
    }

    fn grow(&mut self) {
        let count = (self.buckets.len() * 2).max(1);
        let before = std::mem::take(&mut self.buckets);
        self.buckets.resize_with(count, Bucket::default);
        self.hand = 0;
        for row in before.into_iter().flat_map(|bucket| bucket.rows).flatten() {
            self.place(row);
        }
    }

    /// There is room: buckets have more slots than rows.
    fn place(&mut self, row: Row) {
        let mut at = self.home(row.hash());
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(slot) = bucket.rows.iter().position(Option::is_none) {
                bucket.tags[slot] = tag(row.hash());
                bucket.rows[slot] = Some(row);
                return;
            }
            bucket.overflow = bucket.overflow.saturating_add(1);
            at = self.after(at);
        }
    }

    fn home(&self, hash: u64) -> usize {
        hash as usize & self.buckets.len().wrapping_sub(1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.buckets.len() - 1)
    }
}

fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8
}

/// Has the processor fetch the line at which a value begins, if it can be told to.
pub(crate) fn prefetch<T: ?Sized>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint that reads nothing; any address is allowed, and SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cf;
    use crate::rows::Key;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn row(hash: u64, key: u8, value: u8) -> Row {
        let (space, cf) = (0, Cf::Meta);
        let key = Key {
            hash,
            space,
            cf,
            key: &[key],
        };
        Row::new(&mut Vec::new(), key, Some(&[value]))
    }

    proptest! {
        /// With few different hashes and many keys, rows overflow from bucket to bucket and around the end.
        #[test]
        fn it_has_what_was_put_into_it(ops in prop::collection::vec((any::<bool>(), 0u8..60, any::<u8>()), 0..400)) {
            let hash = |key: u8| u64::from(key % 5) * 0x0123_4567_89ab_cdef;
            let mut table = Buckets::default();
            let mut model = BTreeMap::new();
            for (put, key, value) in ops {
                let found = table.find(hash(key), |row| row.key() == [key]).map(|(place, _)| place);
                prop_assert_eq!(found.is_some(), model.contains_key(&key));
                match (put, found) {
                    (true, Some(place)) => drop(table.replace(place, row(hash(key), key, value))),
                    (true, None) => table.insert(row(hash(key), key, value)),
                    (false, Some(place)) => drop(table.remove(place)),
                    (false, None) => {}
                }
                if put { model.insert(key, value); } else { model.remove(&key); }
                prop_assert_eq!(table.len, model.len());
            }
            for key in 0..60 {
                let found = table.find(hash(key), |row| row.key() == [key]).and_then(|(_, row)| Some(row.value()?[0]));
                prop_assert_eq!(found, model.get(&key).copied());
            }
            let mut seen = 0;
            for _ in 0..table.buckets.len() * WIDTH {
                seen += usize::from(table.next_of_hand().is_some());
            }
            prop_assert_eq!(seen, model.len(), "the hand comes by each row once in a round");
            prop_assert!(table.buckets.iter().all(|b| b.overflow == 0) || !model.is_empty());
        }
    }
}
