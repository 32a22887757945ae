//! One version of a row, and the key and the hash by which it is found.

use std::ffi::c_void;
use std::hash::{BuildHasher, Hasher};
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Deref;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hashbrown::DefaultHashBuilder;
use triomphe::{Arc, HeaderWithLength, ThinArc, UniqueArc};

/// The hash of a key in a family of a keyspace, the same in everything that is in memory. Seeded by chance when the
/// process starts, so that nobody can send keys that collide.
#[inline]
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
    #[inline]
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
    /// The version that it has superseded in the table, which it does not own: see [`Row::older_ptr`].
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

impl Head {
    #[inline]
    fn new(key: Key<'_>, position: u64, older: *const c_void, deleted: bool, dirty: bool) -> Self {
        Head {
            hash: key.hash,
            position,
            older: Older(older),
            space: key.space,
            key_len: key.key.len() as u32,
            place: AtomicU32::new(0),
            family: key.family,
            deleted,
            dirty: AtomicBool::new(dirty),
            referenced: AtomicBool::new(false),
        }
    }
}

/// Bytes of a row before its key: the count of its owners, the head, and the length of what follows.
const HEAD_BYTES: usize = 2 * size_of::<usize>() + size_of::<Head>();

/// What jemalloc takes for so many bytes: multiples of 16 up to 128, then four sizes for each doubling. Other allocators' sizes are
/// not far from that.
#[inline]
pub(crate) fn size_class(bytes: usize) -> usize {
    const QUANTUM: usize = 16;
    const LINEAR_MAX: usize = 128;
    if bytes <= LINEAR_MAX {
        return bytes.next_multiple_of(QUANTUM);
    }
    let step = 1 << ((bytes - 1).ilog2() - 2);
    bytes.next_multiple_of(step)
}

/// A pointer from [`ThinArc::as_ptr`], or null.
struct Older(*const c_void);

// SAFETY: it is followed only by those who may look at the row it points to, from any thread, and rows are `Sync`.
unsafe impl Send for Older {}
// SAFETY: as above; it never changes.
unsafe impl Sync for Older {}

impl Row {
    /// A version of a key that is visible from `position` on, and has superseded `older`.
    #[inline]
    pub(crate) fn new(key: Key<'_>, value: Option<&[u8]>, position: u64, older: *const c_void, dirty: bool) -> Self {
        let bytes = value.unwrap_or_default();
        let head = Head::new(key, position, older, value.is_none(), dirty);
        Row::build(head, key.key, bytes.len(), |filler| filler.bytes(bytes))
    }

    /// Puts key and value together where they stay.
    fn build(head: Head, key: &[u8], value_len: usize, fill: impl FnOnce(&mut Filler<'_>)) -> Self {
        let len = key.len() + value_len;
        let mut arc = UniqueArc::from_header_and_uninit_slice(HeaderWithLength::new(head, len), len);
        let mut filler = Filler {
            to: &mut arc.slice,
            at: 0,
        };
        filler.bytes(key);
        fill(&mut filler);
        assert!(filler.at == len, "a row is filled to its end");
        // SAFETY: the header was given, and a filler has written each of the bytes up to where it is.
        let arc = unsafe { arc.assume_init_slice_with_header() };
        Row(Arc::into_thin(arc.shareable()))
    }

    #[inline]
    fn head(&self) -> &Head {
        &self.0.header.header
    }

    /// The hash of its key.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.head().hash
    }

    /// The position from which on it is visible.
    #[inline]
    pub fn position(&self) -> u64 {
        self.head().position
    }

    /// The keyspace.
    #[inline]
    pub fn space(&self) -> u32 {
        self.head().space
    }

    /// The family of keys.
    #[inline]
    pub fn family(&self) -> u8 {
        self.head().family
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        &self.0.slice[..self.head().key_len as usize]
    }

    /// The value; `None`: the key is deleted.
    #[inline]
    pub fn value(&self) -> Option<&[u8]> {
        (!self.head().deleted).then(|| &self.0.slice[self.head().key_len as usize..])
    }

    /// Bytes of key and value.
    #[allow(clippy::len_without_is_empty)] // it is a size in bytes
    #[inline]
    pub fn len(&self) -> usize {
        self.0.slice.len()
    }

    /// Bytes that it takes in memory: head, key and value, as the allocator rounds them up.
    #[inline]
    pub fn allocated(&self) -> usize {
        size_class(HEAD_BYTES + self.len())
    }

    /// True if the version is nowhere else yet.
    #[inline]
    pub fn is_dirty(&self) -> bool {
        self.head().dirty.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn clean(&self) {
        self.head().dirty.store(false, Ordering::Release);
    }

    /// Its place in the publisher's list that has it. For the publisher's use, who checks that it is there.
    #[inline]
    pub fn place(&self) -> usize {
        self.head().place.load(Ordering::Relaxed) as usize
    }

    /// Notes its place in the publisher's list.
    #[inline]
    pub fn set_place(&self, place: usize) {
        self.head().place.store(place as u32, Ordering::Relaxed);
    }

    /// True if both are the same version in memory, not only equal.
    #[inline]
    pub fn is_same(&self, other: &Row) -> bool {
        std::ptr::eq(self.as_ptr(), other.as_ptr())
    }

    /// Has the processor fetch it: the lines with its head and the first bytes of its key.
    #[inline]
    pub fn prefetch(&self) {
        const LINE: usize = 64;
        let head: *const u8 = self.as_ptr().cast();
        crate::buckets::prefetch(head);
        crate::buckets::prefetch(head.wrapping_add(LINE));
    }

    /// The key with its hash.
    #[inline]
    pub(crate) fn full_key(&self) -> Key<'_> {
        Key {
            hash: self.hash(),
            space: self.space(),
            family: self.family(),
            key: self.key(),
        }
    }

    #[inline]
    pub(crate) fn is(&self, key: Key<'_>) -> bool {
        let head = self.head();
        head.hash == key.hash && head.space == key.space && head.family == key.family && self.key() == key.key
    }

    #[inline]
    pub(crate) fn touch(&self) {
        let referenced = &self.head().referenced;
        // Written once for each round of the hand, not at each look-up.
        if !referenced.load(Ordering::Relaxed) {
            referenced.store(true, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn untouch(&self) -> bool {
        let referenced = &self.head().referenced;
        let was = referenced.load(Ordering::Relaxed);
        if was {
            referenced.store(false, Ordering::Relaxed);
        }
        was
    }

    /// True if the table had no version of its key when it was published.
    #[inline]
    pub fn is_first(&self) -> bool {
        self.older_ptr().is_null()
    }

    #[inline]
    pub(crate) fn older_ptr(&self) -> *const c_void {
        self.head().older.0
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *const c_void {
        self.0.as_ptr()
    }

    #[inline]
    pub(crate) fn into_ptr(self) -> *mut c_void {
        self.0.into_raw().cast_mut()
    }

    /// # Safety
    /// `pointer` comes from [`Row::into_ptr`], and its count becomes this row's.
    #[inline]
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
    #[inline]
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

/// Writes a value, from its beginning to its end, where it will stay.
pub struct Filler<'f> {
    to: &'f mut [MaybeUninit<u8>],
    at: usize,
}

impl Filler<'_> {
    /// Bytes follow.
    ///
    /// # Panics
    /// If there is no room for so many.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        let to = &mut self.to[self.at..end];
        // SAFETY: both are as long as `bytes`, and what is borrowed alone overlaps nothing.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_mut_ptr().cast(), bytes.len()) };
        self.at = end;
    }

    /// As many zeros follow.
    ///
    /// # Panics
    /// If there is no room for so many.
    pub fn zeros(&mut self, count: usize) {
        let end = self.at + count;
        self.to[self.at..end].fill(MaybeUninit::new(0));
        self.at = end;
    }
}

/// A version in the making: key and value stand where they stay when it is published, and the value can still be changed.
pub struct Draft(Row);

impl Draft {
    /// A draft of a value of this length.
    ///
    /// # Panics
    /// If `fill` writes fewer bytes or more.
    #[inline]
    pub fn new(key: Key<'_>, value_len: usize, fill: impl FnOnce(&mut Filler<'_>)) -> Self {
        let head = Head::new(key, 0, std::ptr::null(), false, true);
        Draft(Row::build(head, key.key, value_len, fill))
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &[u8] {
        self.0.value().unwrap_or_default()
    }

    /// The same as a row, to be read; until it is gone the value cannot be changed.
    pub fn share(&self) -> Row {
        self.0.clone()
    }

    /// A draft of the same.
    pub fn copy(&self) -> Draft {
        let value = self.value();
        Draft::new(self.0.full_key(), value.len(), |filler| filler.bytes(value))
    }

    /// The value, to be changed; `None` if somebody still reads it.
    pub fn value_mut(&mut self) -> Option<&mut [u8]> {
        let key_len = self.0.head().key_len as usize;
        let bytes = self.0.0.with_arc_mut(|arc| {
            let row = Arc::get_mut(arc);
            row.map(|row| std::ptr::from_mut(row.slice_mut()))
        });
        // SAFETY: they belong to the allocation that nobody else has, and `self` is borrowed as long as they are.
        bytes.map(|bytes| unsafe { &mut (&mut *bytes)[key_len..] })
    }

    /// What it will be, to be found among others.
    pub(crate) fn row(&self) -> &Row {
        &self.0
    }

    /// The version, visible from `position` on, which has superseded `older`.
    pub(crate) fn publish(mut self, position: u64, older: *const c_void) -> Row {
        let set = |draft: &mut Draft| {
            draft.0.0.with_arc_mut(|arc| {
                let row = Arc::get_mut(arc).map(|row| row.header_mut());
                row.map(|head| (head.position, head.older) = (position, Older(older)))
                    .is_some()
            })
        };
        if !set(&mut self) {
            // Somebody still reads it.
            self = self.copy();
            assert!(set(&mut self), "a copy is shared with nobody");
        }
        self.0
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
    #[inline]
    pub(crate) unsafe fn from_ptr(pointer: *const c_void) -> Self {
        RowRef {
            // SAFETY: the count that this seems to own is never given back.
            row: ManuallyDrop::new(unsafe { Row::from_ptr(pointer) }),
            _guard: PhantomData,
        }
    }

    /// The value, for as long as the guard lives; `None`: the key is deleted.
    #[inline]
    pub fn value(&self) -> Option<&'g [u8]> {
        // SAFETY: the row does not move and lives during `'g`.
        self.row
            .value()
            .map(|value| unsafe { std::slice::from_raw_parts(value.as_ptr(), value.len()) })
    }
}

impl Deref for RowRef<'_> {
    type Target = Row;

    #[inline]
    fn deref(&self) -> &Row {
        &self.row
    }
}
