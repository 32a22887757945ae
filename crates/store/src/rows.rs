//! Rows in memory: what has been committed and is not in RocksDB yet, and what was read or written lately.
//!
//! A committed write is *published* here as a dirty row, which is all that point reads need; RocksDB gets it a little
//! later, together with thousands of others, sorted: a memtable takes sorted keys several times faster than
//! scattered ones, and a key that is written again before that reaches RocksDB once. When it has, the row is clean and
//! stays as a cache entry until the CLOCK hand evicts it.
//!
//! # Keeping the cache right
//! Only publishing changes a row's value, and only one thread publishes at a time. A reader that misses takes the shard's
//! write count as a *ticket*, reads RocksDB, and may add what it found only if the count is still the same: so
//! a value that was read before a write can never replace it. Dirty rows are never evicted.

use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;
use triomphe::ThinArc;

use crate::buckets::{Buckets, Place, prefetch};
use crate::keys::{self, parse_data_key};
use crate::{Cf, SpaceId};

/// Shards at most, a power of two: threads meet rarely, and none takes long to grow.
const SHARDS_MAX: usize = 1024;
/// Bytes of a shard at least, as long as there are several.
const SHARD_BYTES_MIN: usize = 256 << 10;
/// Larger rows are not cached once they are in RocksDB.
const CACHED_BYTES_MAX: usize = 16 << 10;
/// Memory that a row takes beyond its bytes: its head, its slot, what the allocator rounds up.
const ROW_OVERHEAD: usize = 72;
/// Rows that are fetched into the processor's cache together.
pub(crate) const FETCHED_AHEAD: usize = 32;
/// Slots that the CLOCK hand passes per insertion at most.
const HAND_STEPS: usize = 64;

/// The hash of a key in a keyspace's column family, the same in everything that is in memory. Seeded by chance when the
/// process starts, so that nobody can send keys that collide.
pub(crate) fn hash_of(space: SpaceId, cf: Cf, key: &[u8]) -> u64 {
    static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);
    let mut hasher = HASHER.build_hasher();
    hasher.write_u64(u64::from(space) << 8 | cf as u64);
    hasher.write(key);
    hasher.finish()
}

/// One key and value, in one allocation.
#[derive(Clone)]
pub(crate) struct Row(ThinArc<Head, u8>);

struct Head {
    hash: u64,
    space: SpaceId,
    key_len: u32,
    /// The dirty list that the row was published to, and its place in it.
    generation: u64,
    place: u32,
    cf: Cf,
    deleted: bool,
    /// RocksDB does not have it yet.
    dirty: AtomicBool,
    /// Looked up since the CLOCK hand came by.
    referenced: AtomicBool,
}

/// A key: what its hash is of, and the hash.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) hash: u64,
    pub(crate) space: SpaceId,
    pub(crate) cf: Cf,
    pub(crate) key: &'a [u8],
}

impl<'a> Key<'a> {
    pub(crate) fn new(space: SpaceId, cf: Cf, key: &'a [u8]) -> Self {
        let hash = hash_of(space, cf, key);
        Key { hash, space, cf, key }
    }
}

impl Row {
    /// A clean row. `scratch` is room for putting it together.
    pub(crate) fn new(scratch: &mut Vec<u8>, key: Key<'_>, value: Option<&[u8]>) -> Self {
        Self::in_list(scratch, key, value, None)
    }

    /// A dirty row, if it is in a list: its generation and the row's place.
    fn in_list(scratch: &mut Vec<u8>, key: Key<'_>, value: Option<&[u8]>, list: Option<(u64, u32)>) -> Self {
        scratch.clear();
        scratch.extend_from_slice(key.key);
        scratch.extend_from_slice(value.unwrap_or_default());
        let (generation, place) = list.unwrap_or_default();
        let head = Head {
            hash: key.hash,
            space: key.space,
            key_len: key.key.len() as u32,
            generation,
            place,
            cf: key.cf,
            deleted: value.is_none(),
            dirty: AtomicBool::new(list.is_some()),
            referenced: AtomicBool::new(false),
        };
        Row(ThinArc::from_header_and_slice(head, scratch))
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    pub(crate) fn hash(&self) -> u64 {
        self.head().hash
    }

    pub(crate) fn space(&self) -> SpaceId {
        self.head().space
    }

    pub(crate) fn cf(&self) -> Cf {
        self.head().cf
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.0.slice[..self.head().key_len as usize]
    }

    /// `None`: the key is deleted.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        (!self.head().deleted).then(|| &self.0.slice[self.head().key_len as usize..])
    }

    /// Bytes of key and value.
    pub(crate) fn len(&self) -> usize {
        self.0.slice.len()
    }

    /// Has the processor fetch it.
    pub(crate) fn prefetch(&self) {
        prefetch(self.head());
    }

    fn is(&self, key: Key<'_>) -> bool {
        let head = self.head();
        head.hash == key.hash && head.space == key.space && head.cf == key.cf && self.key() == key.key
    }

    fn is_dirty(&self) -> bool {
        self.head().dirty.load(Ordering::Acquire)
    }

    fn is_same(&self, other: &Row) -> bool {
        std::ptr::eq(self.head(), other.head())
    }
}

/// What a look-up finds.
pub(crate) enum Found {
    /// The newest row of the key, which may say that it is deleted.
    Hit(Row),
    /// Nothing is known; a value read from RocksDB may be added with this ticket.
    Miss(Ticket),
}

/// Permission to add what was read, valid until the shard is written to.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    writes: u64,
}

/// A row that is to be written to RocksDB.
pub(crate) struct Dirty {
    pub(crate) row: Row,
    /// What rows are sorted by.
    front: u128,
}

/// Dirty rows since the last time they were taken, each key once.
#[derive(Default)]
pub(crate) struct DirtyList {
    pub(crate) rows: Vec<Dirty>,
    pub(crate) bytes: usize,
    /// Counts how often the list was taken.
    generation: u64,
    scratch: Vec<u8>,
}

/// See the module.
pub(crate) struct RowTable {
    shards: Box<[Mutex<Shard>]>,
    shard_bytes_max: usize,
}

#[derive(Default)]
struct Shard {
    rows: Buckets,
    bytes: usize,
    writes: u64,
}

impl RowTable {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let shards = (bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX).next_power_of_two();
        RowTable {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            shard_bytes_max: bytes_max / shards,
        }
    }

    /// Bytes in use.
    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }

    /// Has the processor fetch what looking up these hashes will touch, all at once instead of one after another.
    pub(crate) fn prefetch(&self, hashes: impl Iterator<Item = u64> + Clone) {
        for hash in hashes.clone() {
            self.shard(hash).lock().rows.prefetch_bucket(hash);
        }
        for hash in hashes {
            self.shard(hash).lock().rows.prefetch_row(hash);
        }
    }

    pub(crate) fn get(&self, key: Key<'_>) -> Found {
        let shard = self.shard(key.hash).lock();
        match shard.rows.find(key.hash, |row| row.is(key)) {
            Some((_, row)) => {
                let referenced = &row.head().referenced;
                if !referenced.load(Ordering::Relaxed) {
                    referenced.store(true, Ordering::Relaxed);
                }
                Found::Hit(row.clone())
            }
            None => Found::Miss(Ticket { writes: shard.writes }),
        }
    }

    /// Adds what RocksDB has for a key that was missed.
    pub(crate) fn fill(&self, ticket: Ticket, key: Key<'_>, value: &[u8]) {
        if self.shard_bytes_max == 0 || key.key.len() + value.len() > CACHED_BYTES_MAX {
            return;
        }
        let scratch = &mut Vec::with_capacity(key.key.len() + value.len());
        let row = Row::new(scratch, key, Some(value));
        let mut shard = self.shard(key.hash).lock();
        if shard.writes != ticket.writes || shard.rows.find(key.hash, |row| row.is(key)).is_some() {
            return;
        }
        self.add(&mut shard, row);
    }

    /// Publishes a committed write. Only the thread that holds `list` publishes.
    pub(crate) fn publish(&self, list: &mut DirtyList, key: Key<'_>, value: Option<&[u8]>) {
        let mut shard = self.shard(key.hash).lock();
        shard.writes += 1;
        let known = shard.rows.find(key.hash, |row| row.is(key));
        let listed = known.and_then(|(_, old)| {
            let head = old.head();
            (old.is_dirty() && head.generation == list.generation).then_some(head.place)
        });
        let known = known.map(|(place, _)| place);
        let at = listed.unwrap_or(list.rows.len() as u32);
        let row = Row::in_list(&mut list.scratch, key, value, Some((list.generation, at)));
        list.bytes += row.len();
        match listed {
            // The newer value takes its place.
            Some(at) => {
                let listed = std::mem::replace(&mut list.rows[at as usize].row, row.clone());
                list.bytes -= listed.len();
            }
            None => list.rows.push(Dirty {
                row: row.clone(),
                front: front(key),
            }),
        }
        match known {
            Some(place) => {
                shard.bytes += row.len();
                let before = shard.rows.replace(place, row);
                shard.bytes -= before.map_or(0, |before| before.len());
            }
            None => self.add(&mut shard, row),
        }
    }

    /// Takes the dirty rows to write them to RocksDB; what is published from now on goes to a new list.
    pub(crate) fn take_dirty(&self, list: &mut DirtyList) -> Vec<Dirty> {
        list.generation += 1;
        list.bytes = 0;
        std::mem::take(&mut list.rows)
    }

    /// These rows are in RocksDB now: those that were not published again since are clean.
    pub(crate) fn mark_clean(&self, rows: &[Dirty]) {
        let goes = |row: &Row| row.head().deleted || row.len() > CACHED_BYTES_MAX || self.shard_bytes_max == 0;
        for rows in rows.chunks(FETCHED_AHEAD) {
            let leaving = rows.iter().filter(|dirty| goes(&dirty.row));
            self.prefetch(leaving.map(|dirty| dirty.row.hash()));
            for Dirty { row, .. } in rows {
                row.head().dirty.store(false, Ordering::Release);
                if goes(row) {
                    let mut shard = self.shard(row.hash()).lock();
                    let found = shard.rows.find(row.hash(), |found| found.is_same(row));
                    if let Some((place, _)) = found {
                        shard.remove(place);
                    }
                }
            }
        }
    }

    fn add(&self, shard: &mut Shard, row: Row) {
        shard.bytes += row.len() + ROW_OVERHEAD;
        shard.rows.insert(row);
        self.evict(shard);
    }

    fn evict(&self, shard: &mut Shard) {
        let mut steps = 0;
        while shard.bytes > self.shard_bytes_max && steps < HAND_STEPS {
            steps += 1;
            let Some((place, row)) = shard.rows.next_of_hand() else {
                continue;
            };
            if !row.is_dirty() && !row.head().referenced.swap(false, Ordering::Relaxed) {
                shard.remove(place);
            }
        }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // Buckets go by the low bits and the top ones.
        &self.shards[(hash >> 40) as usize & (self.shards.len() - 1)]
    }
}

impl Shard {
    fn remove(&mut self, place: Place) {
        if let Some(row) = self.rows.remove(place) {
            self.bytes -= row.len() + ROW_OVERHEAD;
        }
    }
}

/// What rows are sorted by. Not quite RocksDB's order, which nothing depends on, but neighbours are close to each other,
/// and comparing two needs nothing but this: keyspace, column family and slot, then the collection (some bits of its
/// hash) and the element, or the key.
fn front(key: Key<'_>) -> u128 {
    let mut front = [0; 16];
    front[0] = key.space as u8;
    front[1] = key.cf as u8;
    let prefix = match key.cf {
        Cf::Data => parse_data_key(key.key).map_or(0, |parsed| parsed.prefix_len),
        Cf::Meta | Cf::Expiry => 0,
    };
    let (collection, rest) = key.key.split_at(prefix);
    let mut at = 2;
    if !collection.is_empty() {
        front[2..4].copy_from_slice(&collection[..2]);
        front[4..6].copy_from_slice(&keys::spread(collection).to_be_bytes());
        at = 6;
    }
    let len = rest.len().min(front.len() - at);
    front[at..at + len].copy_from_slice(&rest[..len]);
    u128::from_be_bytes(front)
}

/// Sorts rows so that RocksDB takes them fast.
pub(crate) fn sort(rows: &mut [Dirty]) {
    rows.sort_unstable_by_key(|dirty| dirty.front);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(found: Found) -> Option<Option<Vec<u8>>> {
        match found {
            Found::Hit(row) => Some(row.value().map(<[u8]>::to_vec)),
            Found::Miss(_) => None,
        }
    }

    fn ticket(table: &RowTable, key: &[u8]) -> Ticket {
        match table.get(Key::new(0, Cf::Meta, key)) {
            Found::Miss(ticket) => ticket,
            Found::Hit(_) => panic!("{key:?} is known"),
        }
    }

    #[test]
    fn what_was_read_before_a_write_never_replaces_it() {
        let table = RowTable::new(1 << 20);
        let mut list = DirtyList::default();
        let early = ticket(&table, b"k");
        table.publish(&mut list, Key::new(0, Cf::Meta, b"k"), Some(b"new"));
        let rows = table.take_dirty(&mut list);
        table.mark_clean(&rows);
        table.fill(early, Key::new(0, Cf::Meta, b"k"), b"old");
        assert_eq!(
            value(table.get(Key::new(0, Cf::Meta, b"k"))),
            Some(Some(b"new".to_vec()))
        );
        // Also when the row has been removed in between.
        let early = ticket(&table, b"d");
        table.publish(&mut list, Key::new(0, Cf::Meta, b"d"), None);
        let rows = table.take_dirty(&mut list);
        table.mark_clean(&rows);
        table.fill(early, Key::new(0, Cf::Meta, b"d"), b"old");
        assert_eq!(value(table.get(Key::new(0, Cf::Meta, b"d"))), None);
    }

    #[test]
    fn a_row_published_again_while_it_is_written_stays_dirty() {
        let table = RowTable::new(0);
        let mut list = DirtyList::default();
        table.publish(&mut list, Key::new(0, Cf::Data, b"k"), Some(b"1"));
        table.publish(&mut list, Key::new(0, Cf::Data, b"k"), Some(b"22"));
        let rows = table.take_dirty(&mut list);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].row.value(), Some(&b"22"[..]));
        table.publish(&mut list, Key::new(0, Cf::Data, b"k"), Some(b"3"));
        table.mark_clean(&rows);
        assert_eq!(value(table.get(Key::new(0, Cf::Data, b"k"))), Some(Some(b"3".to_vec())));
        let rows = table.take_dirty(&mut list);
        assert_eq!(rows.len(), 1);
        table.mark_clean(&rows);
        assert_eq!(table.bytes(), 0, "a table without room keeps dirty rows only");
    }

    #[test]
    fn the_cache_keeps_to_its_size_and_dirty_rows_stay() {
        let table = RowTable::new(64 << 10);
        let mut list = DirtyList::default();
        for n in 0u32..100 {
            table.publish(&mut list, Key::new(1, Cf::Meta, &n.to_be_bytes()), Some(&[7; 100]));
        }
        for n in 1000u32..20_000 {
            let key = n.to_be_bytes();
            let t = match table.get(Key::new(1, Cf::Meta, &key)) {
                Found::Miss(t) => t,
                Found::Hit(_) => continue,
            };
            table.fill(t, Key::new(1, Cf::Meta, &key), &[7; 100]);
        }
        assert!(table.bytes() < 2 * (64 << 10), "{} bytes", table.bytes());
        for n in 0u32..100 {
            assert!(value(table.get(Key::new(1, Cf::Meta, &n.to_be_bytes()))).is_some());
        }
    }
}
