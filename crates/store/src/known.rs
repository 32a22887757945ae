//! What the writer knows of collections: ranges of data keys of which it has every live element in memory.
//!
//! A queue leaves a trail. Whatever pops from one end of a sorted set or takes random members of a set leaves tombstones
//! behind, and a seek to the collection's start would cross all of them again each time, until a compaction has removed
//! them. And who pops once pops again: the next elements are worth reading along. The writer therefore remembers the ranges
//! that it has read, with what lives in them, which may be nothing; the next scan takes from there what it can, and
//! jumps over what is empty. It also keeps elements that it has drawn at random for who takes them one by one.
//!
//! This is about what the writer sees, pending writes included, and lives with the overlay: only the holder of the turn
//! learns and changes it. (Who fetches cold blocks for the writer looks into it too, to begin where the writer will.) A put into a known range adds to it; a deletion next to one extends it, which keeps the
//! head of a queue quick although elements are added in front of it. What is taken back makes its key unknown: a known
//! range may be smaller than the truth, never wrong.

mod candidates;
mod pass;

use std::collections::BTreeMap;
use std::ops::Bound;

use hashbrown::HashTable;
use haypile_rows::hash_of;

pub use self::candidates::ALL_CANDIDATES_MAX;
use self::candidates::Candidates;
pub use self::pass::Pass;
use crate::keys::collection_of;
use crate::{Cf, SpaceId};

/// Memory that an element or a range takes beyond its bytes.
const ENTRY_BYTES: usize = 96;
/// Live elements that a range has at most: what is read along, and room for what is put there.
const RANGE_MAX: usize = 2 * AHEAD_MAX;
/// An element with a longer value is not kept.
const VALUE_BYTES_MAX: usize = 256;
/// Elements that are read along first where a collection is scanned again and again, and at most.
const AHEAD_MIN: usize = 64;
const AHEAD_MAX: usize = 4096;
/// Collections of which it is remembered that they were scanned lately.
const RECENT: usize = 64;

/// See the module.
pub(crate) struct Known {
    collections: HashTable<Collection>,
    /// Bytes in use. When there are more than `bytes_max`, everything is forgotten and learned anew: it costs a few
    /// seeks to find.
    bytes: usize,
    bytes_max: usize,
    recent: [u64; RECENT],
}

struct Collection {
    hash: u64,
    space: SpaceId,
    prefix: Box<[u8]>,
    /// Bytes of ranges and elements.
    bytes: usize,
    /// By where they start; disjoint.
    ranges: BTreeMap<Vec<u8>, Range>,
    /// Drawn at random, wherever they stand.
    candidates: Candidates,
    /// Candidates that it has been given so far.
    given: u64,
    /// The pass in which they are drawn.
    pass: Pass,
    /// Within the range that was read last.
    hot: Vec<u8>,
    /// Elements that were read along then.
    ahead: usize,
}

/// Who pops does so from an end, which is found without a search.
impl Range {
    fn at_or_above(&self, key: &[u8]) -> Option<(&[u8], &[u8])> {
        let first = self.live.first_key_value().filter(|(first, _)| first[..] >= *key);
        let from = (Bound::Included(key), Bound::Unbounded);
        let (key, value) = first.or_else(|| self.live.range::<[u8], _>(from).next())?;
        Some((key, value))
    }

    fn below(&self, key: &[u8]) -> Option<(&[u8], &[u8])> {
        let last = self.live.last_key_value().filter(|(last, _)| last[..] < *key);
        let below = (Bound::Unbounded, Bound::Excluded(key));
        let (key, value) = last.or_else(|| self.live.range::<[u8], _>(below).next_back())?;
        Some((key, value))
    }

    fn remove(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        if let Some(first) = self.live.first_entry().filter(|first| first.key()[..] == *key) {
            return Some(first.remove());
        }
        self.live.remove(key)
    }

    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.live.iter().map(|(key, value)| bytes_of(key, value)).sum::<usize>()
    }
}

fn bytes_of(key: &[u8], value: &[u8]) -> usize {
    ENTRY_BYTES + key.len() + value.len()
}

/// All that lives from its start (inclusive) until its end (exclusive).
struct Range {
    until: Vec<u8>,
    live: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A key and its value.
pub(crate) type Element = (Vec<u8>, Vec<u8>);

/// What is known of a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look<'k> {
    /// The next live element and its value.
    Element(&'k [u8], &'k [u8]),
    /// There is none before this key; ask again from there.
    NoneBefore(&'k [u8]),
    /// Nothing.
    Unknown,
}

/// The key right after another.
pub(crate) fn after(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

impl Known {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Known {
            collections: HashTable::new(),
            bytes: 0,
            bytes_max,
            recent: [0; RECENT],
        }
    }

    /// Forgets everything.
    pub(crate) fn forget(&mut self) {
        self.collections.clear();
        self.bytes = 0;
    }

    /// Notes that a collection is scanned; true if it was lately, so that reading along is worth it.
    pub(crate) fn is_scanned_again(&mut self, space: SpaceId, prefix: &[u8]) -> bool {
        let hash = hash_of(space, Cf::Data as u8, prefix);
        let slot = &mut self.recent[hash as usize % RECENT];
        std::mem::replace(slot, hash) == hash
    }

    /// How many elements to read along: twice as many as the last time if all of these have been used up. Each scan costs the
    /// same before its first element, and more the more is in memory only.
    pub(crate) fn ahead(&self, space: SpaceId, prefix: &[u8]) -> usize {
        let used_up = self.of(space, prefix).filter(|collection| {
            let hot = collection.containing(&collection.hot);
            hot.is_none_or(|(_, range)| range.live.is_empty())
        });
        used_up.map_or(AHEAD_MIN, |collection| {
            (2 * collection.ahead).clamp(AHEAD_MIN, AHEAD_MAX)
        })
    }

    /// What comes at `key` or above it.
    pub(crate) fn look_up(&self, space: SpaceId, prefix: &[u8], key: &[u8]) -> Look<'_> {
        let Some((_, range)) = self.of(space, prefix).and_then(|c| c.containing(key)) else {
            return Look::Unknown;
        };
        match range.at_or_above(key) {
            Some((key, value)) => Look::Element(key, value),
            None => Look::NoneBefore(&range.until),
        }
    }

    /// What comes below `key`.
    pub(crate) fn look_down(&self, space: SpaceId, prefix: &[u8], key: &[u8]) -> Look<'_> {
        let below = (Bound::Unbounded, Bound::Excluded(key));
        let found = self
            .of(space, prefix)
            .and_then(|collection| collection.ranges.range::<[u8], _>(below).next_back())
            .filter(|(_, range)| range.until[..] >= *key);
        let Some((from, range)) = found else {
            return Look::Unknown;
        };
        match range.below(key) {
            Some((key, value)) => Look::Element(key, value),
            None => Look::NoneBefore(from),
        }
    }

    /// One of the candidates of a collection of `size` elements, chosen by a random number.
    pub(crate) fn candidate(&self, space: SpaceId, prefix: &[u8], size: u64, random: u64) -> Option<&[u8]> {
        let candidates = &self.of(space, prefix)?.candidates;
        let are_right = !candidates.are_all() || candidates.len() as u64 == size;
        candidates.any(random).filter(|_| are_right)
    }

    /// How many candidates a collection has been given since it is known.
    pub(crate) fn candidates_given(&self, space: SpaceId, prefix: &[u8]) -> u64 {
        self.of(space, prefix).map_or(0, |collection| collection.given)
    }

    /// The pass in which candidates of a collection are drawn.
    pub(crate) fn pass(&self, space: SpaceId, prefix: &[u8]) -> Pass {
        let collection = self.of(space, prefix);
        collection.map_or(Pass::default(), |collection| collection.pass.clone())
    }

    /// Remembers elements of a collection that live and were drawn at random, or all of them, and the pass in which that was.
    pub(crate) fn set_candidates(
        &mut self,
        space: SpaceId,
        prefix: &[u8],
        keys: impl Iterator<Item = impl AsRef<[u8]>>,
        are_all: bool,
        pass: Pass,
    ) {
        let collection = self.of_mut(space, prefix);
        let before = collection.bytes;
        collection.bytes -= collection.pass.bytes();
        collection.bytes += pass.bytes();
        collection.pass = pass;
        collection.change_candidates(|candidates| candidates.set(keys, are_all));
        collection.given += collection.candidates.len() as u64;
        let now = collection.bytes;
        self.bytes = self.bytes + now - before;
    }

    /// Remembers what lives from `from` up to but not including `until`, in order.
    pub(crate) fn learn(
        &mut self,
        space: SpaceId,
        prefix: &[u8],
        (from, until): (&[u8], &[u8]),
        live: impl IntoIterator<Item = Element>,
    ) {
        if from >= until {
            return;
        }
        let collection = self.of_mut(space, prefix);
        let before = collection.bytes;
        collection.cut_at(from);
        collection.cut_at(until);
        let within = (Bound::Included(from), Bound::Excluded(until));
        while let Some((start, _)) = collection.ranges.range::<[u8], _>(within).next() {
            let start = start.clone();
            collection.take(&start);
        }
        let live: BTreeMap<_, _> = live.into_iter().collect();
        if !live.is_empty() {
            collection.hot = from.to_vec();
            collection.ahead = live.len();
        }
        let range = Range {
            until: until.to_vec(),
            live,
        };
        collection.add(from.to_vec(), range);
        collection.join_at(from);
        collection.join_at(until);
        let now = collection.bytes;
        self.bytes = self.bytes + now - before;
    }

    /// A key is written.
    pub(crate) fn put(&mut self, space: SpaceId, key: &[u8], value: &[u8]) {
        self.change(space, key, |collection| {
            collection.change_candidates(|candidates| candidates.put(key));
            let Some(range) = collection.containing_mut(key) else {
                return;
            };
            if value.len() > VALUE_BYTES_MAX || range.live.len() >= RANGE_MAX && !range.live.contains_key(key) {
                collection.unknown(key);
            } else {
                let before = range.live.insert(key.to_vec(), value.to_vec());
                collection.bytes += bytes_of(key, value);
                collection.bytes -= before.map_or(0, |value| bytes_of(key, &value));
            }
        });
    }

    /// A key is deleted: a range that ends or begins at it grows.
    pub(crate) fn deleted(&mut self, space: SpaceId, key: &[u8]) {
        self.change(space, key, |collection| {
            collection.change_candidates(|candidates| candidates.deleted(key));
            if let Some(range) = collection.containing_mut(key) {
                if let Some(value) = range.remove(key) {
                    collection.bytes -= bytes_of(key, &value);
                }
                return;
            }
            let below = (Bound::Unbounded, Bound::Excluded(key));
            let below = collection.ranges.range_mut::<[u8], _>(below).next_back();
            if let Some((_, range)) = below.filter(|(_, range)| range.until[..] == *key) {
                // What was behind its end is behind the key now.
                range.until.push(0);
                if collection.starts_behind(key) {
                    collection.join_at(&after(key));
                }
            } else if collection.starts_behind(key)
                && let Some(range) = collection.take(&after(key))
            {
                collection.add(key.to_vec(), range);
            }
        });
    }

    /// Whether a key lives is not known any more.
    pub(crate) fn unknown(&mut self, space: SpaceId, key: &[u8]) {
        self.change(space, key, |collection| {
            collection.change_candidates(|candidates| candidates.unknown(key));
            collection.unknown(key);
        });
    }

    fn of(&self, space: SpaceId, prefix: &[u8]) -> Option<&Collection> {
        if self.collections.is_empty() {
            return None;
        }
        let hash = hash_of(space, Cf::Data as u8, prefix);
        self.collections.find(hash, |c| c.is(hash, space, prefix))
    }

    fn of_mut(&mut self, space: SpaceId, prefix: &[u8]) -> &mut Collection {
        let hash = hash_of(space, Cf::Data as u8, prefix);
        let is_it = |c: &Collection| c.is(hash, space, prefix);
        let entry = self.collections.entry(hash, is_it, |c| c.hash);
        let entry = entry.or_insert_with(|| Collection {
            hash,
            space,
            prefix: prefix.into(),
            bytes: 0,
            ranges: BTreeMap::new(),
            candidates: Candidates::default(),
            given: 0,
            pass: Pass::default(),
            hot: Vec::new(),
            ahead: 0,
        });
        entry.into_mut()
    }

    fn change(&mut self, space: SpaceId, key: &[u8], change: impl FnOnce(&mut Collection)) {
        if self.collections.is_empty() {
            return;
        }
        let Some(prefix) = collection_of(key) else { return };
        let hash = hash_of(space, Cf::Data as u8, prefix);
        if let Some(collection) = self.collections.find_mut(hash, |c| c.is(hash, space, prefix)) {
            let before = collection.bytes;
            change(collection);
            self.bytes = self.bytes + collection.bytes - before;
        }
        if self.bytes > self.bytes_max {
            self.forget();
        }
    }
}

impl Collection {
    fn is(&self, hash: u64, space: SpaceId, prefix: &[u8]) -> bool {
        self.hash == hash && self.space == space && *self.prefix == *prefix
    }

    /// The range in which a key lies.
    fn containing(&self, key: &[u8]) -> Option<(&[u8], &Range)> {
        let up_to = (Bound::Unbounded, Bound::Included(key));
        let (from, range) = self.ranges.range::<[u8], _>(up_to).next_back()?;
        (range.until[..] > *key).then_some((&from[..], range))
    }

    fn containing_mut(&mut self, key: &[u8]) -> Option<&mut Range> {
        let up_to = (Bound::Unbounded, Bound::Included(key));
        let (_, range) = self.ranges.range_mut::<[u8], _>(up_to).next_back()?;
        (range.until[..] > *key).then_some(range)
    }

    /// True if a range starts right behind a key.
    fn starts_behind(&self, key: &[u8]) -> bool {
        let above = (Bound::Excluded(key), Bound::Unbounded);
        let above = self.ranges.range::<[u8], _>(above).next();
        above.is_some_and(|(from, _)| from.split_last() == Some((&0, key)))
    }

    fn change_candidates(&mut self, change: impl FnOnce(&mut Candidates)) {
        let before = self.candidates.bytes();
        change(&mut self.candidates);
        self.bytes = self.bytes + self.candidates.bytes() - before;
    }

    fn add(&mut self, from: Vec<u8>, range: Range) {
        self.bytes += range.bytes();
        self.ranges.insert(from, range);
    }

    fn take(&mut self, from: &[u8]) -> Option<Range> {
        let range = self.ranges.remove(from)?;
        self.bytes -= range.bytes();
        Some(range)
    }

    /// Makes two of the range in which a key lies, unless it starts there.
    fn cut_at(&mut self, key: &[u8]) {
        let Some(range) = self.containing_mut(key) else { return };
        let before = range.bytes();
        let above = Range {
            live: range.live.split_off(key),
            until: std::mem::replace(&mut range.until, key.to_vec()),
        };
        let below = range.bytes();
        self.bytes = self.bytes + below + above.bytes() - before;
        // What is left of a range that starts there is empty, and its place is taken.
        if self.ranges.insert(key.to_vec(), above).is_some() {
            self.bytes -= below;
        }
    }

    /// Makes one of the range that ends at a key and the one that starts there, if that is not too large.
    fn join_at(&mut self, key: &[u8]) {
        let Some(above) = self.ranges.get(key).map(|range| range.live.len()) else {
            return;
        };
        let below = (Bound::Unbounded, Bound::Excluded(key));
        let below = self.ranges.range::<[u8], _>(below).next_back();
        let joins = below.filter(|(_, range)| range.until[..] == *key && range.live.len() + above <= RANGE_MAX);
        let Some(from) = joins.map(|(from, _)| from.clone()) else {
            return;
        };
        if let (Some(mut below), Some(mut above)) = (self.take(&from), self.take(key)) {
            below.live.append(&mut above.live);
            below.until = above.until;
            self.add(from, below);
        }
    }

    fn unknown(&mut self, key: &[u8]) {
        if self.containing(key).is_some() {
            self.cut_at(key);
            self.cut_at(&after(key));
            self.take(key);
        }
    }
}

#[cfg(test)]
mod tests;
