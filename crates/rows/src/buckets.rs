//! A hash table of rows in which looking one up touches two cache lines: the bucket, and the row itself; readers need no lock.
//!
//! A bucket is one cache line: seven rows, a byte of each one's hash, and a count of the rows that found no room in it
//! and went on to the next bucket (as in Facebook's F14 tables). With more keys than the processor's cache holds, a
//! miss costs more than all the rest of a point read, so lines are what counts; and the bucket's address needs
//! nothing but the hash, so that it can be fetched ahead for many keys at once.
//!
//! One thread at a time changes a table. A row stays in its slot as long as it is in the table, and is replaced there, so that a
//! reader that runs beside the changes finds each row that is there from its beginning to its end. A reader may miss a row
//! that is taken out or put in meanwhile, and may see slots whose tag and row do not belong together: it compares keys.

use std::ffi::c_void;
use std::sync::atomic::Ordering;

use crate::row::{Row, RowRef};
use crate::sync::{AtomicPtr, AtomicU64};

/// Rows of a bucket.
pub(crate) const WIDTH: usize = 7;
/// Rows that a bucket has on average before the table grows.
const FULL: usize = 5;
/// A count that has reached this is not known exactly any more, and stays.
const OVERFLOW_MAX: u64 = 0xff;
const OVERFLOW_SHIFT: u32 = 56;

const LOW_BITS: u64 = 0x0001_0101_0101_0101;
const HIGH_BITS: u64 = 0x0080_8080_8080_8080;
const TAGS: u64 = 0x00ff_ffff_ffff_ffff;

#[repr(align(64))]
pub(crate) struct Bucket {
    /// A tag in each of the lower seven bytes, and in the highest the number of rows whose search begins here or earlier and
    /// goes on behind this bucket.
    meta: AtomicU64,
    rows: [AtomicPtr<c_void>; WIDTH],
}

impl Default for Bucket {
    fn default() -> Self {
        Bucket {
            meta: AtomicU64::new(0),
            rows: std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())),
        }
    }
}

/// Where a row stands, until the table is changed.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    bucket: usize,
    slot: usize,
}

#[cfg(all(test, not(feature = "loom")))]
impl Place {
    pub(crate) fn number(self) -> usize {
        self.bucket * WIDTH + self.slot
    }
}

/// See the module. A power of two of buckets.
#[derive(Clone, Copy)]
pub(crate) struct Buckets<'t>(pub(crate) &'t [Bucket]);

impl<'t> Buckets<'t> {
    /// How many rows fit before the table has to grow.
    #[inline]
    pub(crate) fn room(self) -> usize {
        self.0.len() * FULL
    }

    /// The same if there were one bucket.
    pub(crate) fn room_of_one() -> usize {
        FULL
    }

    #[inline]
    pub(crate) fn slots(self) -> usize {
        self.0.len() * WIDTH
    }

    /// Has the processor fetch the bucket of a hash.
    #[inline]
    pub(crate) fn prefetch_bucket(self, hash: u64) {
        prefetch(&raw const self.0[self.home(hash)]);
    }

    /// Has it fetch the row that is probably the one with this hash. The bucket should have arrived.
    #[inline]
    pub(crate) fn prefetch_row(self, hash: u64) {
        let bucket = &self.0[self.home(hash)];
        let meta = bucket.meta.load(Ordering::Acquire);
        if let Some(slot) = Matches::of(meta, tag(hash)).next() {
            prefetch(bucket.rows[slot].load(Ordering::Relaxed));
        }
    }

    /// The row for which `is_it` holds, among those with this hash: its place, and the pointer that was found there.
    ///
    /// # Safety
    /// Rows that are or were in the table during the call are alive.
    #[inline]
    pub(crate) unsafe fn find(self, hash: u64, is_it: impl Fn(&Row) -> bool) -> Option<(Place, *mut c_void)> {
        let mut at = self.home(hash);
        for _ in 0..self.0.len() {
            let bucket = &self.0[at];
            let meta = bucket.meta.load(Ordering::Acquire);
            for slot in Matches::of(meta, tag(hash)) {
                let row = bucket.rows[slot].load(Ordering::Acquire);
                // SAFETY: the caller's.
                if !row.is_null() && is_it(&*unsafe { RowRef::from_ptr(row) }) {
                    return Some((Place { bucket: at, slot }, row));
                }
            }
            if meta >> OVERFLOW_SHIFT == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// Adds a row that is not there. There must be room.
    #[inline]
    pub(crate) fn insert(self, hash: u64, row: *mut c_void) {
        let mut at = self.home(hash);
        loop {
            let bucket = &self.0[at];
            let free = bucket.rows.iter().position(|row| row.load(Ordering::Relaxed).is_null());
            let meta = bucket.meta.load(Ordering::Relaxed);
            if let Some(slot) = free {
                bucket.rows[slot].store(row, Ordering::Release);
                let shift = 8 * slot as u32;
                let meta = meta & !(0xff << shift) | tag(hash) << shift;
                bucket.meta.store(meta, Ordering::Release);
                return;
            }
            if meta >> OVERFLOW_SHIFT != OVERFLOW_MAX {
                bucket.meta.store(meta + (1 << OVERFLOW_SHIFT), Ordering::Release);
            }
            at = self.after(at);
        }
    }

    /// Puts a row in the place of another one with the same hash.
    #[inline]
    pub(crate) fn replace(self, place: Place, row: *mut c_void) -> *mut c_void {
        self.0[place.bucket].rows[place.slot].swap(row, Ordering::AcqRel)
    }

    /// Takes a row out.
    #[inline]
    pub(crate) fn remove(self, place: Place, hash: u64) -> *mut c_void {
        let row = self.replace(place, std::ptr::null_mut());
        let mut at = self.home(hash);
        while at != place.bucket {
            let meta = &self.0[at].meta;
            let now = meta.load(Ordering::Relaxed);
            if now >> OVERFLOW_SHIFT != OVERFLOW_MAX {
                meta.store(now - (1 << OVERFLOW_SHIFT), Ordering::Release);
            }
            at = self.after(at);
        }
        row
    }

    /// What stands in the slot with this number over all buckets.
    #[inline]
    pub(crate) fn nth(self, number: usize) -> (Place, *mut c_void) {
        let (bucket, slot) = (number / WIDTH, number % WIDTH);
        (
            Place { bucket, slot },
            self.0[bucket].rows[slot].load(Ordering::Acquire),
        )
    }

    /// The same in another order, in which buckets that are neighbours come at very different times. What goes round and takes
    /// rows out has to take this one: behind it buckets are empty, before it they have filled for a whole round, and if these
    /// were all in one place, searches there would pass hundreds of full ones.
    pub(crate) fn scattered(self, number: usize) -> (Place, *mut c_void) {
        let bits = self.0.len().trailing_zeros();
        let reversed = (number / WIDTH).reverse_bits();
        let bucket = reversed.checked_shr(usize::BITS - bits).unwrap_or(0);
        self.nth(bucket * WIDTH + number % WIDTH)
    }

    #[inline]
    fn home(self, hash: u64) -> usize {
        hash as usize & (self.0.len() - 1)
    }

    /// The most rows that have gone past one bucket.
    #[cfg(all(test, not(feature = "loom")))]
    pub(crate) fn overflow_max(self) -> u64 {
        let overflows = self
            .0
            .iter()
            .map(|bucket| bucket.meta.load(Ordering::Relaxed) >> OVERFLOW_SHIFT);
        overflows.max().unwrap_or(0)
    }

    #[inline]
    fn after(self, at: usize) -> usize {
        (at + 1) & (self.0.len() - 1)
    }
}

#[inline]
fn tag(hash: u64) -> u64 {
    hash >> 56
}

/// The slots whose tag is the wanted one, and now and then one above such a slot whose tag is not.
struct Matches(u64);

impl Matches {
    #[inline]
    fn of(meta: u64, tag: u64) -> Self {
        let differing = (meta & TAGS) ^ (tag.wrapping_mul(LOW_BITS));
        // A byte's highest bit is set where the byte was zero ("Bit Twiddling Hacks", S. E. Anderson).
        Matches(differing.wrapping_sub(LOW_BITS) & !differing & HIGH_BITS)
    }
}

impl Iterator for Matches {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize / 8;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

/// Has the processor fetch the line at an address, if it can be told to.
#[inline]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint that reads nothing; any address is allowed, and SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
