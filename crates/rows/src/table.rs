//! The table of rows in memory: versions that are read without a lock, clean rows that are evicted, dirty ones that stay.

mod eviction;
mod limbo;

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use haypile_types::Padded;

pub use self::limbo::Limbo;
use crate::buckets::{Bucket, Buckets, prefetch};
use crate::row::{Draft, Key, Row, RowRef};
use crate::sync::{AtomicPtr, AtomicU64, Mutex, MutexGuard, lock};
use crate::{Eras, Guard};

/// Shards at most, a power of two: threads that change the table meet rarely, and no shard takes long to grow.
const SHARDS_MAX: usize = 1024;
/// Bytes of a shard at least, as long as there are several.
const SHARD_BYTES_MIN: usize = 256 << 10;
/// Larger rows are not kept once they are elsewhere too.
const CACHED_BYTES_MAX: usize = 16 << 10;
/// Memory that a row takes beyond its own: its part of the buckets, which are half full on average.
const SLOT_BYTES: usize = 20;
/// Rows that are fetched into the processor's cache together.
pub const FETCHED_AHEAD: usize = 32;
/// Slots that the CLOCK hand passes for each change at most.
const HAND_STEPS: usize = 64;
/// Rows that a shard keeps for readers before it begins an era to be rid of them.
const LIMBO_ROWS: usize = 16;
/// The same in bytes.
const LIMBO_BYTES: usize = 16 << 10;
/// The buckets of a shard become fewer when there is room in them for so many times as many rows.
const TOO_LARGE: usize = 16;
/// Buckets of a shard when it is new: 2 to this power.
const FIRST_LOG2: u32 = 0;
/// Buckets are aligned to cache lines, which leaves room for the logarithm of their number in the pointer.
const LOG2_BITS: usize = 63;

/// The newest version of each key that is only here, and of others as long as there is room: rows that were written or read
/// lately.
///
/// # Versions
/// [`RowTable::publish`] puts a new version in the place of the one before, which it links to. A reader that has entered an
/// era and then asked which position is visible walks back to the version of that position ([`RowTable::at`]). So a set of
/// changes becomes visible at one instant, when the position does, however long it takes to publish them.
/// The rules, for one publisher at a time:
/// 1. All versions of a position are published before the position becomes visible, and what they have superseded goes to a
///    [`Limbo`] with a tag from after that.
/// 2. A version stays *dirty* as long as a reader may need it from here: until it can be read elsewhere by all who have
///    entered. Dirty versions are only ever superseded, never taken out (but see [`RowTable::remove_deletion`]).
/// 3. A reader asks which state it can read elsewhere first, then for its position. What it does not find here it reads there.
///
/// # As a cache
/// A reader that finds nothing of a key may add what it has read elsewhere, with a [`Ticket`]: permission that holds as long
/// as nothing is published to the key's shard, so that a value read before a write never hides it. Versions that are
/// not dirty are evicted by a CLOCK hand when there are too many bytes.
pub struct RowTable {
    eras: &'static Eras,
    /// A shard's buckets, and the logarithm of their number in the low bits. Apart from the shards, which are written often.
    arrays: Box<[AtomicPtr<Bucket>]>,
    shards: Box<[Padded<Shard>]>,
    /// Bytes of a shard; 0: nothing but dirty rows.
    shard_bytes_max: AtomicUsize,
}

struct Shard {
    /// Counts what was published: see [`Ticket`].
    writes: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    len: usize,
    bytes: usize,
    /// Where the CLOCK hand stands: a slot's number.
    hand: usize,
    /// Slots that it has passed since it has last found something to evict: see [`Inner::is_all_dirty`].
    passed_in_vain: usize,
    limbo: Limbo,
}

impl Inner {
    /// True if the hand has been round twice, once for the rows that had been looked up, and found nothing to evict. There will be nothing
    /// until rows are marked clean; looking for it again with each row that comes would cost more than all the rest.
    fn is_all_dirty(&self, buckets: Buckets<'_>) -> bool {
        self.passed_in_vain > 2 * buckets.slots()
    }
}

/// What a look-up finds.
pub enum At<'g> {
    /// The version that a reader at this position sees.
    Version(RowRef<'g>),
    /// Newer versions only: what the reader sees is elsewhere.
    NewerOnly,
    /// Nothing; what is read elsewhere may be added with this ticket.
    Nothing(Ticket),
}

/// Permission to add what was read elsewhere, valid until the shard is published to.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    writes: u64,
}

/// What publishing gives.
pub struct Published {
    /// The new version.
    pub row: Row,
    /// The version that it has superseded, for a [`Limbo`].
    pub before: Option<Row>,
}

impl RowTable {
    /// A table for so many bytes of rows, dirty ones not counted. 0: nothing but dirty rows.
    #[cfg(not(feature = "loom"))]
    pub fn new(bytes_max: usize) -> Self {
        Self::with_eras(bytes_max, Eras::global())
    }

    /// The same with eras of its own.
    pub fn with_eras(bytes_max: usize, eras: &'static Eras) -> Self {
        let shards = (bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX).next_power_of_two();
        let shard = || Shard {
            writes: AtomicU64::new(0),
            inner: Mutex::new(Inner::default()),
        };
        RowTable {
            eras,
            arrays: (0..shards).map(|_| AtomicPtr::new(allocate(FIRST_LOG2))).collect(),
            shards: (0..shards).map(|_| Padded(shard())).collect(),
            shard_bytes_max: AtomicUsize::new(bytes_max / shards),
        }
    }

    /// Changes how many bytes of rows there may be, and evicts what is too much. More than a few times as many as it was made for
    /// go into shards that are longer to grow.
    pub fn set_bytes_max(&self, bytes_max: usize) {
        self.shard_bytes_max
            .store(bytes_max / self.shards.len(), Ordering::Relaxed);
        self.shrink();
    }

    #[inline]
    fn shard_bytes_max(&self) -> usize {
        self.shard_bytes_max.load(Ordering::Relaxed)
    }

    /// Bytes in use, what waits for readers included.
    pub fn bytes(&self) -> usize {
        let bytes = |shard: &Padded<Shard>| {
            let inner = lock(&shard.0.inner);
            inner.bytes + inner.limbo.bytes()
        };
        self.shards.iter().map(bytes).sum()
    }

    /// Has the processor fetch what looking up these hashes will touch, all at once instead of one after another.
    pub fn prefetch(&self, guard: &Guard<'_>, hashes: impl Iterator<Item = u64> + Clone) {
        for hash in hashes.clone() {
            self.buckets(self.shard_of(hash), guard).prefetch_bucket(hash);
        }
        for hash in hashes {
            self.buckets(self.shard_of(hash), guard).prefetch_row(hash);
        }
    }

    /// The same for who is about to publish them, and so locks their shards.
    pub fn prefetch_to_publish(&self, guard: &Guard<'_>, hashes: impl Iterator<Item = u64> + Clone) {
        for hash in hashes.clone() {
            prefetch(&raw const self.shards[self.shard_of(hash)]);
        }
        self.prefetch(guard, hashes);
    }

    /// The newest version of a key.
    #[inline]
    pub fn newest<'g>(&self, guard: &'g Guard<'_>, key: Key<'_>) -> Option<RowRef<'g>> {
        let buckets = self.buckets(self.shard_of(key.hash), guard);
        // SAFETY: what is in the table while there is a guard outlives the guard.
        let (_, row) = unsafe { buckets.find(key.hash, |row| row.is(key)) }?;
        // SAFETY: as above.
        let row = unsafe { RowRef::from_ptr(row) };
        row.touch();
        Some(row)
    }

    /// The version of a key that a reader at this position sees. The guard is from before it asked for the position.
    #[inline]
    pub fn at<'g>(&self, guard: &'g Guard<'_>, key: Key<'_>, position: u64) -> At<'g> {
        if let Some(row) = self.newest(guard, key) {
            return self.version(&row, position);
        }
        // The ticket is taken first: what is published after this look-up makes it worthless.
        let writes = self.shards[self.shard_of(key.hash)].0.writes.load(Ordering::Acquire);
        match self.newest(guard, key) {
            Some(row) => self.version(&row, position),
            None => At::Nothing(Ticket { writes }),
        }
    }

    #[inline]
    fn version<'g>(&self, row: &RowRef<'g>, position: u64) -> At<'g> {
        // SAFETY: it was found in the table under the guard that `'g` stands for.
        match unsafe { row.at(position) } {
            Some(version) => At::Version(version),
            None => At::NewerOnly,
        }
    }

    /// Adds what is elsewhere for a key of which nothing was here: true since `position`.
    pub fn fill(&self, ticket: Ticket, key: Key<'_>, value: &[u8], position: u64) {
        if self.shard_bytes_max() == 0 || key.key.len() + value.len() > CACHED_BYTES_MAX {
            return;
        }
        let row = Row::new(key, Some(value), position, std::ptr::null(), false);
        let index = self.shard_of(key.hash);
        let shard = &self.shards[index].0;
        let mut inner = lock(&shard.inner);
        let buckets = self.own_buckets(index, &inner);
        // SAFETY: the shard is locked: what is in it stays.
        let is_known = unsafe { buckets.find(key.hash, |row| row.is(key)) }.is_some();
        // What is clean would stay where nothing is evicted.
        let has_room = inner.bytes <= self.shard_bytes_max() || !inner.is_all_dirty(buckets);
        if shard.writes.load(Ordering::Relaxed) == ticket.writes && !is_known && has_room {
            self.add(index, &mut inner, row);
        }
    }

    /// Publishes a version, which is visible from `position` on. Only one thread publishes at a time, positions in order.
    pub fn publish(&self, key: Key<'_>, value: Option<&[u8]>, position: u64) -> Published {
        self.publish_made(key, position, |older| Row::new(key, value, position, older, true))
    }

    /// The same with a version that has been made before: nothing is copied.
    pub fn publish_draft(&self, draft: Draft, position: u64) -> Published {
        let name = draft.row().key().to_vec();
        let key = Key {
            key: &name,
            ..draft.row().full_key()
        };
        self.publish_made(key, position, |older| draft.publish(position, older))
    }

    /// `make` makes the version, given the one that it supersedes.
    fn publish_made(&self, key: Key<'_>, position: u64, make: impl FnOnce(*const c_void) -> Row) -> Published {
        let index = self.shard_of(key.hash);
        let shard = &self.shards[index].0;
        let mut inner = lock(&shard.inner);
        let buckets = self.own_buckets(index, &inner);
        // SAFETY: the shard is locked: what is in it stays.
        let found = unsafe { buckets.find(key.hash, |row| row.is(key)) };
        let older = found.map_or(std::ptr::null(), |(_, row)| {
            // SAFETY: as above.
            let before = unsafe { RowRef::from_ptr(row) };
            assert!(before.position() <= position, "versions are published in order");
            // Nobody sees the first of two versions of one position.
            if before.position() == position {
                before.older_ptr()
            } else {
                row.cast_const()
            }
        });
        let row = make(older);
        let before = match found {
            Some((place, _)) => {
                inner.bytes += row.allocated();
                let before = buckets.replace(place, row.clone().into_ptr());
                // SAFETY: it was in the table, whose count it is.
                let before = unsafe { Row::from_ptr(before) };
                inner.bytes -= before.allocated();
                self.evict(buckets, &mut inner);
                Some(before)
            }
            None => {
                self.add(index, &mut inner, row.clone());
                None
            }
        };
        // Nobody else writes it: there is one publisher, and the shard is locked.
        let writes = shard.writes.load(Ordering::Relaxed);
        shard.writes.store(writes + 1, Ordering::Release);
        Published { row, before }
    }

    fn add(&self, index: usize, inner: &mut MutexGuard<'_, Inner>, row: Row) {
        inner.len += 1;
        inner.bytes += row.allocated() + SLOT_BYTES;
        let mut buckets = self.own_buckets(index, inner);
        if inner.len > buckets.room() {
            buckets = self.grow(index, buckets, inner);
        }
        buckets.insert(row.hash(), row.into_ptr());
        self.evict(buckets, inner);
    }

    #[inline]
    fn shard_of(&self, hash: u64) -> usize {
        // Buckets go by the low bits and the top ones.
        (hash >> 40) as usize & (self.shards.len() - 1)
    }

    /// Has the processor fetch a bucket: only its address is looked at, so that nobody need keep it from being freed.
    fn prefetch_bucket(&self, hash: u64) {
        let tagged = self.arrays[self.shard_of(hash)].load(Ordering::Relaxed);
        let buckets = tagged.map_addr(|address| address & !LOG2_BITS);
        let home = hash as usize & ((1 << (tagged.addr() & LOG2_BITS)) - 1);
        prefetch(buckets.wrapping_add(home).cast_const());
    }

    /// The buckets of a shard as a reader sees them.
    #[inline]
    fn buckets<'g>(&self, index: usize, _guard: &'g Guard<'_>) -> Buckets<'g> {
        // SAFETY: made by `allocate`; what is replaced while there is a guard outlives it.
        unsafe { buckets_at(self.arrays[index].load(Ordering::Acquire)) }
    }

    /// The buckets of a shard for who has locked it.
    #[inline]
    fn own_buckets<'t>(&'t self, index: usize, _inner: &MutexGuard<'_, Inner>) -> Buckets<'t> {
        // SAFETY: made by `allocate`; they are replaced only under the lock, and freed after that by a tag. A caller who
        // replaces them does not go on with the old ones.
        unsafe { buckets_at(self.arrays[index].load(Ordering::Acquire)) }
    }
}

impl Drop for RowTable {
    fn drop(&mut self) {
        for array in &self.arrays {
            // SAFETY: made by `allocate`, and nobody else has access any more.
            let buckets = unsafe { deallocate(array.load(Ordering::Acquire)) };
            for number in 0..Buckets(&buckets).slots() {
                let (_, row) = Buckets(&buckets).nth(number);
                if !row.is_null() {
                    // SAFETY: it is in the table, whose count it is.
                    drop(unsafe { Row::from_ptr(row.cast_const()) });
                }
            }
        }
    }
}

/// New buckets, 2 to the power `log2`: their address, with `log2` in its low bits.
fn allocate(log2: u32) -> *mut Bucket {
    let buckets: Box<[Bucket]> = (0..1usize << log2).map(|_| Bucket::default()).collect();
    let address: *mut Bucket = Box::into_raw(buckets).cast();
    address.map_addr(|address| address | log2 as usize)
}

/// # Safety
/// From [`allocate`], and alive for as long as the result is used.
#[inline]
unsafe fn buckets_at<'t>(tagged: *mut Bucket) -> Buckets<'t> {
    let log2 = tagged.addr() & LOG2_BITS;
    let address = tagged.map_addr(|address| address & !LOG2_BITS);
    // SAFETY: the caller's; there are as many as the tag says.
    Buckets(unsafe { std::slice::from_raw_parts(address, 1 << log2) })
}

/// # Safety
/// From [`allocate`], and not used again.
unsafe fn deallocate(tagged: *mut Bucket) -> Box<[Bucket]> {
    let log2 = tagged.addr() & LOG2_BITS;
    let address = tagged.map_addr(|address| address & !LOG2_BITS);
    // SAFETY: the caller's; there are as many as the tag says.
    unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(address, 1 << log2)) }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
