//! Elements of a collection that were drawn at random, for who takes them one by one.

use hashbrown::HashTable;
use haypile_rows::hash_of;

use crate::Cf;

/// Candidates that the writer keeps of a collection at most where these are all its elements.
pub const ALL_CANDIDATES_MAX: usize = 1024;
/// Memory that a candidate takes beyond its bytes.
const CANDIDATE_BYTES: usize = 32;
/// Bytes of candidates that are gone from which on the others are moved together, if they are not more.
const GONE_BYTES_MIN: usize = 4096;

/// Elements that live, each at most once. While the collection changes they are what is left of those that were drawn; if all
/// were drawn, they stay all, up to [`ALL_CANDIDATES_MAX`].
#[derive(Default)]
pub(super) struct Candidates {
    keys: Vec<Candidate>,
    /// Their keys, and of some that are gone.
    names: Vec<u8>,
    /// Where each stands among `keys`.
    places: HashTable<u32>,
    /// Bytes in use.
    bytes: usize,
    /// Bytes of `names` that are in use.
    live_bytes: usize,
    /// No element of the collection is missing.
    are_all: bool,
}

/// A candidate: the hash of its key, and where that stands.
struct Candidate {
    hash: u64,
    start: u32,
    len: u32,
}

impl Candidate {
    fn key<'n>(&self, names: &'n [u8]) -> &'n [u8] {
        &names[self.start as usize..][..self.len as usize]
    }
}

fn hash_of_key(key: &[u8]) -> u64 {
    hash_of(0, Cf::Data as u8, key)
}

impl Candidates {
    /// Makes them these, of which each may come several times.
    pub(super) fn set(&mut self, keys: impl Iterator<Item = impl AsRef<[u8]>>, are_all: bool) {
        self.clear();
        for key in keys {
            self.add(key.as_ref());
        }
        self.are_all = are_all;
    }

    /// Forgets them. What they took is kept for others.
    fn clear(&mut self) {
        self.keys.clear();
        self.names.clear();
        self.places.clear();
        (self.bytes, self.live_bytes, self.are_all) = (0, 0, false);
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
        self.keys.get(at as usize).map(|candidate| candidate.key(&self.names))
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
        if self.keys.is_empty() {
            return;
        }
        let (hash, keys, names) = (hash_of_key(key), &mut self.keys, &self.names);
        let is_it = |place: &u32| keys[*place as usize].hash == hash && keys[*place as usize].key(names) == key;
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
        self.live_bytes -= key.len();
        if self.names.len() - self.live_bytes > self.live_bytes.max(GONE_BYTES_MIN) {
            self.move_together();
        }
    }

    /// Gives back what the keys take that are gone.
    fn move_together(&mut self) {
        let mut names = Vec::with_capacity(self.live_bytes);
        for candidate in &mut self.keys {
            let start = names.len() as u32;
            names.extend_from_slice(candidate.key(&self.names));
            candidate.start = start;
        }
        self.names = names;
    }

    /// Whether an element lives is not known any more.
    pub(super) fn unknown(&mut self, key: &[u8]) {
        match self.are_all {
            true => *self = Candidates::default(),
            false => self.deleted(key),
        }
    }

    fn add(&mut self, key: &[u8]) {
        let (hash, keys, names) = (hash_of_key(key), &self.keys, &self.names);
        let is_it = |place: &u32| keys[*place as usize].hash == hash && keys[*place as usize].key(names) == key;
        if names.len() + key.len() > u32::MAX as usize || self.places.find(hash, is_it).is_some() {
            return;
        }
        self.places
            .insert_unique(hash, keys.len() as u32, |place| keys[*place as usize].hash);
        self.bytes += key.len() + CANDIDATE_BYTES;
        self.live_bytes += key.len();
        let (start, len) = (self.names.len() as u32, key.len() as u32);
        self.names.extend_from_slice(key);
        self.keys.push(Candidate { hash, start, len });
    }
}
