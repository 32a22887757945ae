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

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;
use std::hash::{BuildHasher, Hasher};

use crate::{Cf, SpaceId};

/// Shards, a power of two: threads meet rarely.
const SHARDS: usize = 64;
/// Larger rows are not cached once they are in RocksDB.
const CACHED_BYTES_MAX: usize = 16 << 10;
/// Memory that a row takes beyond its bytes: entry, table slot, allocation.
const ROW_OVERHEAD: usize = 96;
/// Bytes before the key in a row: keyspace and column family.
const IDENT: usize = 5;
/// Entries that the CLOCK hand passes per insertion at most.
const HAND_STEPS: usize = 64;

/// One key and value, in one allocation: keyspace u32 BE, column family u8, key, value.
#[derive(Clone)]
pub(crate) struct Row {
    bytes: Arc<[u8]>,
    key_len: u32,
    deleted: bool,
}

impl Row {
    pub(crate) fn space(&self) -> SpaceId {
        SpaceId::from_be_bytes([self.bytes[0], self.bytes[1], self.bytes[2], self.bytes[3]])
    }

    pub(crate) fn cf(&self) -> Cf {
        Cf::from_u8(self.bytes[4]).unwrap_or(Cf::Meta)
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.bytes[IDENT..IDENT + self.key_len as usize]
    }

    /// `None`: the key is deleted.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        (!self.deleted).then(|| &self.bytes[self.value_at()..])
    }

    fn value_at(&self) -> usize {
        IDENT + self.key_len as usize
    }

    /// What rows are sorted by: keyspace, column family, key.
    pub(crate) fn order(&self) -> &[u8] {
        &self.bytes[..self.value_at()]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// What a look-up finds.
pub(crate) enum Found {
    /// The key's value, `None` if it is known not to exist: shared bytes and where the value starts in them.
    Hit(Option<(Arc<[u8]>, usize)>),
    /// Nothing is known; a value read from RocksDB may be added with this ticket.
    Miss(Ticket),
}

/// Permission to add what was read, valid until the shard is written to.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    hash: u64,
    writes: u64,
}

/// A row that is to be written to RocksDB.
pub(crate) struct Dirty {
    pub(crate) row: Row,
    /// The first bytes of what rows are sorted by: tells most apart without touching their memory.
    front: u128,
    hash: u64,
    entry: u32,
}

/// Dirty rows since the last time they were taken, each key once.
#[derive(Default)]
pub(crate) struct DirtyList {
    pub(crate) rows: Vec<Dirty>,
    pub(crate) bytes: usize,
    /// Counts how often the list was taken; 0 is never used.
    generation: u64,
    scratch: Vec<u8>,
}

/// See the module.
pub(crate) struct RowTable {
    shards: Box<[Mutex<Shard>]>,
    hasher: DefaultHashBuilder,
    shard_bytes_max: usize,
    bytes: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    bytes: usize,
    writes: u64,
    hand: usize,
}

struct Entry {
    row: Option<Row>,
    hash: u64,
    /// Generation of the dirty list that has the row; 0 = clean.
    dirty: u64,
    /// Its place in that list.
    place: u32,
    referenced: bool,
}

impl RowTable {
    pub(crate) fn new(bytes_max: usize) -> Self {
        RowTable {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: DefaultHashBuilder::default(),
            shard_bytes_max: bytes_max / SHARDS,
            bytes: AtomicUsize::new(0),
        }
    }

    /// Bytes in use.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn get(&self, space: SpaceId, cf: Cf, key: &[u8]) -> Found {
        let hash = self.hash(space, cf, key);
        let mut shard = self.shard(hash).lock();
        match shard.find(hash, space, cf, key) {
            Some(at) => {
                let entry = &mut shard.entries[at as usize];
                entry.referenced = true;
                let value = entry.row.as_ref().filter(|row| !row.deleted);
                Found::Hit(value.map(|row| (row.bytes.clone(), row.value_at())))
            }
            None => Found::Miss(Ticket {
                hash,
                writes: shard.writes,
            }),
        }
    }

    /// Adds what RocksDB has for a key that was missed.
    pub(crate) fn fill(&self, ticket: Ticket, space: SpaceId, cf: Cf, key: &[u8], value: &[u8]) {
        if self.shard_bytes_max == 0 || key.len() + value.len() > CACHED_BYTES_MAX {
            return;
        }
        let row = make_row(
            &mut Vec::with_capacity(IDENT + key.len() + value.len()),
            space,
            cf,
            key,
            Some(value),
        );
        let mut shard = self.shard(ticket.hash).lock();
        if shard.writes != ticket.writes || shard.find(ticket.hash, space, cf, key).is_some() {
            return;
        }
        self.bytes.fetch_add(row.len() + ROW_OVERHEAD, Ordering::Relaxed);
        shard.insert(Entry {
            row: Some(row),
            hash: ticket.hash,
            dirty: 0,
            place: 0,
            referenced: false,
        });
        self.evict(&mut shard);
    }

    /// Publishes a committed write. Only the thread that holds `list` publishes.
    pub(crate) fn publish(&self, list: &mut DirtyList, space: SpaceId, cf: Cf, key: &[u8], value: Option<&[u8]>) {
        if list.generation == 0 {
            list.generation = 1;
        }
        let row = make_row(&mut list.scratch, space, cf, key, value);
        list.bytes += row.len();
        let hash = self.hash(space, cf, key);
        let mut shard = self.shard(hash).lock();
        shard.writes += 1;
        let place = list.rows.len() as u32;
        let at = match shard.find(hash, space, cf, key) {
            Some(at) => {
                let entry = &mut shard.entries[at as usize];
                let before = entry.row.replace(row.clone()).map_or(0, |r| r.len());
                if entry.dirty == list.generation {
                    // It is in the list already: the newer value takes its place.
                    list.rows[entry.place as usize].row = row.clone();
                    list.bytes -= before;
                    shard.bytes = shard.bytes + row.len() - before;
                    self.adjust(row.len(), before);
                    return;
                }
                entry.dirty = list.generation;
                entry.place = place;
                shard.bytes = shard.bytes + row.len() - before;
                self.adjust(row.len(), before);
                at
            }
            None => {
                let entry = Entry {
                    row: Some(row.clone()),
                    hash,
                    dirty: list.generation,
                    place,
                    referenced: false,
                };
                self.bytes.fetch_add(row.len() + ROW_OVERHEAD, Ordering::Relaxed);
                let at = shard.insert(entry);
                self.evict(&mut shard);
                at
            }
        };
        drop(shard);
        let front = front(row.order());
        list.rows.push(Dirty {
            row,
            front,
            hash,
            entry: at,
        });
    }

    /// Takes the dirty rows to write them to RocksDB; what is published from now on goes to a new list.
    pub(crate) fn take_dirty(&self, list: &mut DirtyList) -> (Vec<Dirty>, u64) {
        let generation = list.generation;
        list.generation += 1;
        list.bytes = 0;
        (std::mem::take(&mut list.rows), generation)
    }

    /// These rows are in RocksDB now: those that were not published again since are clean.
    pub(crate) fn mark_clean(&self, rows: &[Dirty], generation: u64) {
        for dirty in rows {
            let mut shard = self.shard(dirty.hash).lock();
            let entry = &mut shard.entries[dirty.entry as usize];
            if entry.dirty != generation {
                continue;
            }
            entry.dirty = 0;
            if dirty.row.deleted || dirty.row.len() > CACHED_BYTES_MAX || self.shard_bytes_max == 0 {
                self.remove(&mut shard, dirty.entry);
            }
        }
    }

    fn evict(&self, shard: &mut Shard) {
        let mut steps = 0;
        while shard.bytes > self.shard_bytes_max && steps < HAND_STEPS && !shard.entries.is_empty() {
            steps += 1;
            shard.hand = (shard.hand + 1) % shard.entries.len();
            let at = shard.hand;
            let entry = &mut shard.entries[at];
            if entry.row.is_none() || entry.dirty != 0 {
                continue;
            }
            if std::mem::take(&mut entry.referenced) {
                continue;
            }
            self.remove(shard, at as u32);
        }
    }

    fn remove(&self, shard: &mut Shard, at: u32) {
        let hash = shard.entries[at as usize].hash;
        if let Ok(slot) = shard.table.find_entry(hash, |&i| i == at) {
            slot.remove();
        }
        if let Some(row) = shard.entries[at as usize].row.take() {
            shard.bytes -= row.len() + ROW_OVERHEAD;
            self.bytes.fetch_sub(row.len() + ROW_OVERHEAD, Ordering::Relaxed);
        }
        shard.free.push(at);
    }

    fn adjust(&self, after: usize, before: usize) {
        if after >= before {
            self.bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The table uses the low and the top bits.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    fn hash(&self, space: SpaceId, cf: Cf, key: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(u64::from(space) << 8 | cf as u64);
        hasher.write(key);
        hasher.finish()
    }
}

impl Shard {
    fn find(&self, hash: u64, space: SpaceId, cf: Cf, key: &[u8]) -> Option<u32> {
        let found = self.table.find(hash, |&at| {
            let entry = &self.entries[at as usize];
            entry.hash == hash
                && entry
                    .row
                    .as_ref()
                    .is_some_and(|row| row.key() == key && row.space() == space && row.cf() == cf)
        });
        found.copied()
    }

    fn insert(&mut self, entry: Entry) -> u32 {
        let hash = entry.hash;
        self.bytes += entry.row.as_ref().map_or(0, Row::len) + ROW_OVERHEAD;
        let at = match self.free.pop() {
            Some(at) => {
                self.entries[at as usize] = entry;
                at
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        let entries = &self.entries;
        self.table.insert_unique(hash, at, |&i| entries[i as usize].hash);
        at
    }
}

fn make_row(scratch: &mut Vec<u8>, space: SpaceId, cf: Cf, key: &[u8], value: Option<&[u8]>) -> Row {
    scratch.clear();
    scratch.extend_from_slice(&space.to_be_bytes());
    scratch.push(cf as u8);
    scratch.extend_from_slice(key);
    scratch.extend_from_slice(value.unwrap_or_default());
    Row {
        bytes: Arc::from(&scratch[..]),
        key_len: key.len() as u32,
        deleted: value.is_none(),
    }
}

fn front(order: &[u8]) -> u128 {
    let mut front = [0; 16];
    let len = order.len().min(16);
    front[..len].copy_from_slice(&order[..len]);
    u128::from_be_bytes(front)
}

/// Sorts rows as RocksDB does: by column family and key.
pub(crate) fn sort(rows: &mut [Dirty]) {
    rows.sort_unstable_by(|a, b| a.front.cmp(&b.front).then_with(|| a.row.order().cmp(b.row.order())));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(found: Found) -> Option<Option<Vec<u8>>> {
        match found {
            Found::Hit(hit) => Some(hit.map(|(bytes, at)| bytes[at..].to_vec())),
            Found::Miss(_) => None,
        }
    }

    fn ticket(table: &RowTable, key: &[u8]) -> Ticket {
        match table.get(0, Cf::Meta, key) {
            Found::Miss(ticket) => ticket,
            Found::Hit(_) => panic!("{key:?} is known"),
        }
    }

    #[test]
    fn what_was_read_before_a_write_never_replaces_it() {
        let table = RowTable::new(1 << 20);
        let mut list = DirtyList::default();
        let early = ticket(&table, b"k");
        table.publish(&mut list, 0, Cf::Meta, b"k", Some(b"new"));
        let (rows, generation) = table.take_dirty(&mut list);
        table.mark_clean(&rows, generation);
        table.fill(early, 0, Cf::Meta, b"k", b"old");
        assert_eq!(value(table.get(0, Cf::Meta, b"k")), Some(Some(b"new".to_vec())));
        // Also when the row has been removed in between.
        let early = ticket(&table, b"d");
        table.publish(&mut list, 0, Cf::Meta, b"d", None);
        let (rows, generation) = table.take_dirty(&mut list);
        table.mark_clean(&rows, generation);
        table.fill(early, 0, Cf::Meta, b"d", b"old");
        assert_eq!(value(table.get(0, Cf::Meta, b"d")), None);
    }

    #[test]
    fn a_row_published_again_while_it_is_written_stays_dirty() {
        let table = RowTable::new(0);
        let mut list = DirtyList::default();
        table.publish(&mut list, 0, Cf::Data, b"k", Some(b"1"));
        table.publish(&mut list, 0, Cf::Data, b"k", Some(b"22"));
        let (rows, generation) = table.take_dirty(&mut list);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].row.value(), Some(&b"22"[..]));
        table.publish(&mut list, 0, Cf::Data, b"k", Some(b"3"));
        table.mark_clean(&rows, generation);
        assert_eq!(value(table.get(0, Cf::Data, b"k")), Some(Some(b"3".to_vec())));
        let (rows, generation) = table.take_dirty(&mut list);
        assert_eq!(rows.len(), 1);
        table.mark_clean(&rows, generation);
        assert_eq!(table.bytes(), 0, "a table without room keeps dirty rows only");
    }

    #[test]
    fn the_cache_keeps_to_its_size_and_dirty_rows_stay() {
        let table = RowTable::new(64 << 10);
        let mut list = DirtyList::default();
        for n in 0u32..100 {
            table.publish(&mut list, 1, Cf::Meta, &n.to_be_bytes(), Some(&[7; 100]));
        }
        for n in 1000u32..20_000 {
            let key = n.to_be_bytes();
            let t = match table.get(1, Cf::Meta, &key) {
                Found::Miss(t) => t,
                Found::Hit(_) => continue,
            };
            table.fill(t, 1, Cf::Meta, &key, &[7; 100]);
        }
        assert!(table.bytes() < 2 * (64 << 10), "{} bytes", table.bytes());
        for n in 0u32..100 {
            assert!(value(table.get(1, Cf::Meta, &n.to_be_bytes())).is_some());
        }
    }
}
