use std::ffi::c_void;
use std::hash::{BuildHasher, Hasher};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hashbrown::DefaultHashBuilder;
use triomphe::ThinArc;

/// The hash of a key in a family of a keyspace, the same in everything that is in memory. Seeded by chance when the
/// process starts, so that nobody can send keys that collide.
pub fn hash_of(space: u32, family: u8, key: &[u8]) -> u64 {
    static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);
    let mut hasher = HASHER.build_hasher();
    hasher.write_u64(u64::from(space) << 8 | u64::from(family));
    hasher.write(key);
    hasher.finish()
}

/// A key: what its hash is of, and the hash.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// [`hash_of`] the rest.
    pub hash: u64,
    /// The keyspace.
    pub space: u32,
    /// The family of keys within it.
    pub family: u8,
    /// The key within the family.
    pub key: &'a [u8],
}

impl<'a> Key<'a> {
    /// A key with its hash.
    pub fn new(space: u32, family: u8, key: &'a [u8]) -> Self {
        Key {
            hash: hash_of(space, family, key),
            space,
            family,
            key,
        }
    }
}

/// One version of one key: key and value in one allocation, counted.
#[derive(Clone)]
pub struct Row(ThinArc<Head, u8>);

pub(crate) struct Head {
    hash: u64,
    /// The position that made it visible.
    position: u64,
    /// The version that it has superseded in the table, which it does not own: see [`Row::older`].
    older: Older,
    space: u32,
    key_len: u32,
    /// Where it stands in a list of the publisher's; see [`Row::place`].
    place: AtomicU32,
    family: u8,
    deleted: bool,
    /// Only here: it may not be evicted.
    dirty: AtomicBool,
    /// Looked up since the CLOCK hand came by.
    referenced: AtomicBool,
}

/// A pointer from [`ThinArc::as_ptr`], or null.
struct Older(*const c_void);

// SAFETY: it is followed only by those who may look at the row it points to, from any thread, and rows are `Sync`.
unsafe impl Send for Older {}
// SAFETY: as above; it never changes.
unsafe impl Sync for Older {}

impl Row {
    /// A version of a key that is visible from `position` on, and has superseded `older`. `scratch` is room for putting it
    /// together.
    pub(crate) fn new(
        scratch: &mut Vec<u8>,
        key: Key<'_>,
        value: Option<&[u8]>,
        position: u64,
        older: *const c_void,
        dirty: bool,
    ) -> Self {
        scratch.clear();
        scratch.extend_from_slice(key.key);
        scratch.extend_from_slice(value.unwrap_or_default());
        let head = Head {
            hash: key.hash,
            position,
            older: Older(older),
            space: key.space,
            key_len: key.key.len() as u32,
            place: AtomicU32::new(0),
            family: key.family,
            deleted: value.is_none(),
            dirty: AtomicBool::new(dirty),
            referenced: AtomicBool::new(false),
        };
        Row(ThinArc::from_header_and_slice(head, scratch))
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    /// The hash of its key.
    pub fn hash(&self) -> u64 {
        self.head().hash
    }

    /// The position from which on it is visible.
    pub fn position(&self) -> u64 {
        self.head().position
    }

    /// The keyspace.
    pub fn space(&self) -> u32 {
        self.head().space
    }

    /// The family of keys.
    pub fn family(&self) -> u8 {
        self.head().family
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.0.slice[..self.head().key_len as usize]
    }

    /// The value; `None`: the key is deleted.
    pub fn value(&self) -> Option<&[u8]> {
        (!self.head().deleted).then(|| &self.0.slice[self.head().key_len as usize..])
    }

    /// Bytes of key and value.
    #[allow(clippy::len_without_is_empty)] // it is a size in bytes
    pub fn len(&self) -> usize {
        self.0.slice.len()
    }

    /// True if the version is nowhere else yet.
    pub fn is_dirty(&self) -> bool {
        self.head().dirty.load(Ordering::Acquire)
    }

    pub(crate) fn clean(&self) {
        self.head().dirty.store(false, Ordering::Release);
    }

    /// Its place in the publisher's list that has it. For the publisher's use, who checks that it is there.
    pub fn place(&self) -> usize {
        self.head().place.load(Ordering::Relaxed) as usize
    }

    /// Notes its place in the publisher's list.
    pub fn set_place(&self, place: usize) {
        self.head().place.store(place as u32, Ordering::Relaxed);
    }

    /// True if both are the same version in memory, not only equal.
    pub fn is_same(&self, other: &Row) -> bool {
        std::ptr::eq(self.as_ptr(), other.as_ptr())
    }

    /// Has the processor fetch it: the lines with its head and the first bytes of its key.
    pub fn prefetch(&self) {
        const LINE: usize = 64;
        let head: *const u8 = self.as_ptr().cast();
        crate::buckets::prefetch(head);
        crate::buckets::prefetch(head.wrapping_add(LINE));
    }

    pub(crate) fn is(&self, key: Key<'_>) -> bool {
        let head = self.head();
        head.hash == key.hash && head.space == key.space && head.family == key.family && self.key() == key.key
    }

    pub(crate) fn touch(&self) {
        let referenced = &self.head().referenced;
        // Written once for each round of the hand, not at each look-up.
        if !referenced.load(Ordering::Relaxed) {
            referenced.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn untouch(&self) -> bool {
        let referenced = &self.head().referenced;
        let was = referenced.load(Ordering::Relaxed);
        if was {
            referenced.store(false, Ordering::Relaxed);
        }
        was
    }

    pub(crate) fn older_ptr(&self) -> *const c_void {
        self.head().older.0
    }

    pub(crate) fn as_ptr(&self) -> *const c_void {
        self.0.as_ptr()
    }

    pub(crate) fn into_ptr(self) -> *mut c_void {
        self.0.into_raw().cast_mut()
    }

    /// # Safety
    /// `pointer` comes from [`Row::into_ptr`], and its count becomes this row's.
    pub(crate) unsafe fn from_ptr(pointer: *const c_void) -> Self {
        // SAFETY: the caller's.
        Row(unsafe { ThinArc::from_raw(pointer) })
    }

    /// The newest version of this key that a reader at `position` sees: this one or an older one; `None` if what the table has
    /// known of the key is all newer.
    ///
    /// # Safety
    /// `self` was found under a guard that lasts for `'g`, in the table or in a list of rows that were published, and is not
    /// older than what the reader sees.
    pub unsafe fn at<'g>(&self, position: u64) -> Option<RowRef<'g>> {
        let mut at = self.as_ptr();
        while !at.is_null() {
            // SAFETY: this row is alive as the caller says. An older one was in the table until a newer one superseded it,
            // which this reader does not see yet; so it was superseded after the guard was made, and is kept for it.
            let row = unsafe { RowRef::from_ptr(at) };
            if row.position() <= position {
                return Some(row);
            }
            at = row.older_ptr();
        }
        None
    }
}

/// A row that lives at least as long as a guard: looking at it touches no counter.
pub struct RowRef<'g> {
    row: ManuallyDrop<Row>,
    _guard: PhantomData<&'g ()>,
}

impl<'g> RowRef<'g> {
    /// # Safety
    /// The pointer is a row's, which lives during `'g`.
    pub(crate) unsafe fn from_ptr(pointer: *const c_void) -> Self {
        RowRef {
            // SAFETY: the count that this seems to own is never given back.
            row: ManuallyDrop::new(unsafe { Row::from_ptr(pointer) }),
            _guard: PhantomData,
        }
    }

    /// The value, for as long as the guard lives; `None`: the key is deleted.
    pub fn value(&self) -> Option<&'g [u8]> {
        // SAFETY: the row does not move and lives during `'g`.
        self.row
            .value()
            .map(|value| unsafe { std::slice::from_raw_parts(value.as_ptr(), value.len()) })
    }
}

impl Deref for RowRef<'_> {
    type Target = Row;

    fn deref(&self) -> &Row {
        &self.row
    }
}
