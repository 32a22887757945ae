//! Elements of a collection that were drawn at random, for who takes them one by one.

use hashbrown::HashTable;
use haypile_rows::hash_of;

use crate::Cf;

/// Candidates that the writer keeps of a collection at most where these are all its elements.
pub const ALL_CANDIDATES_MAX: usize = 1024;
/// Memory that a candidate takes beyond its bytes.
const CANDIDATE_BYTES: usize = 40;

/// Elements that live, each at most once. While the collection changes they are what is left of those that were drawn; if all
/// were drawn, they stay all, up to [`ALL_CANDIDATES_MAX`].
#[derive(Default)]
pub(super) struct Candidates {
    keys: Vec<Candidate>,
    /// Where each stands among `keys`.
    places: HashTable<u32>,
    /// Bytes in use.
    bytes: usize,
    /// No element of the collection is missing.
    are_all: bool,
}

struct Candidate {
    hash: u64,
    key: Box<[u8]>,
}

fn hash_of_key(key: &[u8]) -> u64 {
    hash_of(0, Cf::Data as u8, key)
}

impl Candidates {
    pub(super) fn of(keys: Vec<Vec<u8>>, are_all: bool) -> Self {
        let mut candidates = Candidates {
            keys: Vec::with_capacity(keys.len()),
            places: HashTable::with_capacity(keys.len()),
            ..Candidates::default()
        };
        for key in keys {
            candidates.add(key);
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
    pub(super) fn any(&self, random: u64) -> Option<&[u8]> {
        let at = (u128::from(random) * self.keys.len() as u128) >> 64;
        self.keys.get(at as usize).map(|candidate| &candidate.key[..])
    }

    /// An element has been written.
    pub(super) fn put(&mut self, key: &[u8]) {
        if self.are_all {
            self.add(key.to_vec());
            if self.keys.len() > ALL_CANDIDATES_MAX {
                *self = Candidates::default();
            }
        }
    }

    /// An element has been deleted.
    pub(super) fn deleted(&mut self, key: &[u8]) {
        if self.keys.is_empty() {
            return;
        }
        let (hash, keys) = (hash_of_key(key), &mut self.keys);
        let is_it = |place: &u32| keys[*place as usize].hash == hash && *keys[*place as usize].key == *key;
        let Ok(found) = self.places.find_entry(hash, is_it) else {
            return;
        };
        let (at, _) = found.remove();
        keys.swap_remove(at as usize);
        if let Some(moved) = keys.get(at as usize) {
            let before = keys.len() as u32;
            if let Some(place) = self.places.find_mut(moved.hash, |place| *place == before) {
                *place = at;
            }
        }
        self.bytes -= key.len() + CANDIDATE_BYTES;
    }

    /// Whether an element lives is not known any more.
    pub(super) fn unknown(&mut self, key: &[u8]) {
        match self.are_all {
            true => *self = Candidates::default(),
            false => self.deleted(key),
        }
    }

    fn add(&mut self, key: Vec<u8>) {
        let (hash, keys) = (hash_of_key(&key), &self.keys);
        let is_it = |place: &u32| keys[*place as usize].hash == hash && *keys[*place as usize].key == *key;
        if self.places.find(hash, is_it).is_some() {
            return;
        }
        self.places
            .insert_unique(hash, keys.len() as u32, |place| keys[*place as usize].hash);
        self.bytes += key.len() + CANDIDATE_BYTES;
        let key = key.into_boxed_slice();
        self.keys.push(Candidate { hash, key });
    }
}
