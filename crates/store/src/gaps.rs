//! Where nothing is: ranges of data keys that are known to hold no live key.
//!
//! A queue leaves a trail. Whatever pops from one end of a sorted set or takes random members of a set leaves tombstones behind, and
//! a seek to the collection's start would cross all of them again each time, until a compaction has removed them. The
//! writer therefore remembers the ranges that it found empty at some cost, and the next scan jumps over them.
//!
//! Gaps are about what the writer sees, pending writes included, and live with the overlay: only the holder of the turn
//! learns, uses and changes them. A put into a gap splits it; a deletion next to a gap extends it and joins it with its
//! neighbour: that is what keeps a priority queue's head quick although elements are added in front of it. What is
//! taken back counts as put: a gap may be smaller than the truth, never larger.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use crate::keys::parse_data_key;
use crate::{Cf, SpaceId};

/// Gaps in all; beyond, everything is forgotten and learned anew: they cost a few seeks to find.
const GAPS_MAX: usize = 64 << 10;
/// Dead entries that finding a gap must have cost for it to be remembered.
pub(crate) const WORTH_LEARNING: u64 = 8;

/// Known empty ranges, by collection: from (inclusive) to until (exclusive), disjoint.
#[derive(Default)]
pub(crate) struct Gaps {
    collections: HashMap<(SpaceId, Box<[u8]>), Ranges>,
    total: usize,
}

/// The collection to which a data key, or a bound of a scan, belongs.
pub(crate) fn collection_of(key: &[u8]) -> Option<&[u8]> {
    parse_data_key(key).map(|parsed| &key[..parsed.prefix_len])
}

/// The key right after another.
fn after(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

type Ranges = BTreeMap<Vec<u8>, Vec<u8>>;

/// The last gap that starts at or before a key.
fn floor<'g>(gaps: &'g Ranges, key: &[u8]) -> Option<(&'g Vec<u8>, &'g Vec<u8>)> {
    gaps.range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
        .next_back()
}

/// The last gap that starts before a key.
fn below<'g>(gaps: &'g Ranges, key: &[u8]) -> Option<(&'g Vec<u8>, &'g Vec<u8>)> {
    gaps.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(key)))
        .next_back()
}

impl Gaps {
    /// Forgets everything.
    pub(crate) fn forget(&mut self) {
        self.collections.clear();
        self.total = 0;
    }

    fn of(&self, space: SpaceId, collection: &[u8]) -> Option<&Ranges> {
        if self.collections.is_empty() {
            return None;
        }
        self.collections.get(&(space, collection.into()))
    }

    /// Where a scan upwards from `key` may start instead: the end of the gap in which `key` lies.
    pub(crate) fn skip_up(&self, space: SpaceId, collection: &[u8], key: &[u8]) -> Option<Vec<u8>> {
        let (_, until) = floor(self.of(space, collection)?, key)?;
        (&until[..] > key).then(|| until.clone())
    }

    /// Where a scan downwards from below `key` may start instead: the start of the gap that reaches up to `key`.
    pub(crate) fn skip_down(&self, space: SpaceId, collection: &[u8], key: &[u8]) -> Option<Vec<u8>> {
        let (from, until) = below(self.of(space, collection)?, key)?;
        (&until[..] >= key).then(|| from.clone())
    }

    /// Remembers that nothing lives from `from` up to but not including `until`.
    pub(crate) fn learn(&mut self, space: SpaceId, collection: &[u8], from: &[u8], until: &[u8]) {
        if from >= until {
            return;
        }
        if self.total >= GAPS_MAX {
            self.forget();
        }
        let gaps = self.collections.entry((space, collection.into())).or_default();
        let (mut from, mut until) = (from.to_vec(), until.to_vec());
        // Take in all that it touches.
        while let Some((f, u)) = floor(gaps, &until) {
            if *u < from {
                break;
            }
            let (f, u) = (f.clone(), u.clone());
            gaps.remove(&f);
            self.total -= 1;
            from = from.min(f);
            until = until.max(u);
        }
        gaps.insert(from, until);
        self.total += 1;
    }

    /// A key is written.
    pub(crate) fn put(&mut self, space: SpaceId, cf: Cf, key: &[u8]) {
        if cf != Cf::Data || self.collections.is_empty() {
            return;
        }
        let Some(collection) = collection_of(key) else { return };
        let Some(gaps) = self.collections.get_mut(&(space, collection.into())) else {
            return;
        };
        let Some((from, until)) = floor(gaps, key) else { return };
        if &until[..] <= key {
            return;
        }
        let (from, until) = (from.clone(), until.clone());
        gaps.remove(&from);
        self.total -= 1;
        if from[..] < *key {
            gaps.insert(from, key.to_vec());
            self.total += 1;
        }
        let behind = after(key);
        if behind < until {
            gaps.insert(behind, until);
            self.total += 1;
        }
    }

    /// A key is deleted: a gap that ends or begins at it grows.
    pub(crate) fn deleted(&mut self, space: SpaceId, cf: Cf, key: &[u8]) {
        if cf != Cf::Data || self.collections.is_empty() {
            return;
        }
        let Some(collection) = collection_of(key) else { return };
        let Some(gaps) = self.of(space, collection) else { return };
        let behind = after(key);
        let ends_here = below(gaps, key).is_some_and(|(_, until)| until[..] == *key);
        if ends_here || gaps.contains_key(&behind) {
            self.learn(space, collection, key, &behind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::data_prefix;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_gap_never_hides_a_live_key(ops in prop::collection::vec((0u8..4, 0u8..40, 0u8..40), 1..200)) {
            let prefix = data_prefix(b"q", 7);
            let key = |n: u8| [&prefix[..], &[n]].concat();
            let mut live: BTreeSet<u8> = (0..40).step_by(3).collect();
            let mut gaps = Gaps::default();
            for (op, a, b) in ops {
                match op {
                    0 => {
                        live.insert(a);
                        gaps.put(0, Cf::Data, &key(a));
                    }
                    1 => {
                        live.remove(&a);
                        gaps.deleted(0, Cf::Data, &key(a));
                    }
                    // What a scan upwards from a would learn, and one downwards from b.
                    2 => {
                        let first = live.range(a..).next().copied().unwrap_or(200);
                        gaps.learn(0, &prefix, &key(a), &key(first));
                    }
                    _ => {
                        let from = live.range(..b).next_back().map_or(prefix.clone(), |&l| after(&key(l)));
                        gaps.learn(0, &prefix, &from, &key(b));
                    }
                }
                for start in 0..41 {
                    if let Some(to) = gaps.skip_up(0, &prefix, &key(start)) {
                        prop_assert!(live.iter().all(|&l| !(key(l) >= key(start) && key(l) < to)), "up from {start}");
                    }
                    if let Some(to) = gaps.skip_down(0, &prefix, &key(start)) {
                        prop_assert!(live.iter().all(|&l| !(key(l) < key(start) && key(l) >= to)), "down from {start}");
                    }
                }
            }
        }
    }
}
