//! Elements of a collection that were drawn at random, for who takes them one by one.

use haypile_rows::hash_of;

use crate::Cf;

/// Candidates that the writer keeps of a collection at most where these are all its elements. Each change looks through them.
pub const ALL_CANDIDATES_MAX: usize = 1024;
/// Memory that a candidate takes beyond its bytes.
const CANDIDATE_BYTES: usize = 32;

/// Elements that live, each at most once. While the collection changes they are what is left of those that were drawn; if all
/// were drawn, they stay all, up to [`ALL_CANDIDATES_MAX`].
#[derive(Default)]
pub(super) struct Candidates {
    keys: Vec<Box<[u8]>>,
    /// Hashes of the keys, in the same order.
    hashes: Vec<u64>,
    /// Bytes in use.
    bytes: usize,
    /// No element of the collection is missing.
    are_all: bool,
    /// Where the last was that somebody has asked for.
    last: usize,
}

fn hash_of_key(key: &[u8]) -> u64 {
    hash_of(0, Cf::Data as u8, key)
}

impl Candidates {
    pub(super) fn of(keys: Vec<Vec<u8>>, are_all: bool) -> Self {
        let mut candidates = Candidates::default();
        for key in keys {
            candidates.add(&key);
        }
        candidates.are_all = are_all;
        candidates
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn are_all(&self) -> bool {
        self.are_all
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// One of them, chosen by a random number.
    pub(super) fn any(&mut self, random: u64) -> Option<&[u8]> {
        self.last = ((u128::from(random) * self.keys.len() as u128) >> 64) as usize;
        self.keys.get(self.last).map(|key| &key[..])
    }

    /// An element has been written.
    pub(super) fn put(&mut self, key: &[u8]) {
        if self.are_all {
            self.add(key);
            if self.keys.len() > ALL_CANDIDATES_MAX {
                *self = Candidates::default();
            }
        }
    }

    /// An element has been deleted.
    pub(super) fn deleted(&mut self, key: &[u8]) {
        if let Some(at) = self.find(key) {
            self.bytes -= key.len() + CANDIDATE_BYTES;
            self.keys.swap_remove(at);
            self.hashes.swap_remove(at);
        }
    }

    /// Whether an element lives is not known any more.
    pub(super) fn unknown(&mut self, key: &[u8]) {
        match self.are_all {
            true => *self = Candidates::default(),
            false => self.deleted(key),
        }
    }

    fn add(&mut self, key: &[u8]) {
        if self.find(key).is_none() {
            self.bytes += key.len() + CANDIDATE_BYTES;
            self.keys.push(key.into());
            self.hashes.push(hash_of_key(key));
        }
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        let is_it = |at: &usize| self.keys.get(*at).is_some_and(|found| **found == *key);
        if is_it(&self.last) {
            return Some(self.last);
        }
        let hash = hash_of_key(key);
        let mut places = self.hashes.iter().enumerate().filter(|(_, found)| **found == hash);
        places.find_map(|(at, _)| is_it(&at).then_some(at))
    }
}
