//! Reading a packed body: forward without allocating, and by index or backward after one pass.

use std::fmt;
use std::marker::PhantomData;

use smallvec::SmallVec;

use super::bytes::length;
use super::{BODY_BYTES_MAX, PackedError, Shape};

/// Entries whose places are kept without allocating.
const INDEXED_INLINE: usize = 128;

/// A packed body, read as far as its count. Damage shows when it is come to: in what is not read it does not.
pub struct Packed<'a, S> {
    pub(super) len: usize,
    pub(super) entries: &'a [u8],
    shape: PhantomData<S>,
}

/// What thresholds are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Entries.
    pub count: usize,
    /// Bytes of all entries, lengths included.
    pub bytes: usize,
    /// Bytes of the longest field, value, member or element.
    pub longest: usize,
}

impl<'a, S: Shape> Packed<'a, S> {
    /// Reads a body's count; for lists see [`PackedList`](super::PackedList).
    ///
    /// # Errors
    /// [`PackedError::Body`]: there is no count, or there cannot be as many entries.
    #[inline]
    pub fn read(body: &'a [u8]) -> Result<Self, PackedError> {
        let (len, entries) = length(body).ok_or(PackedError::Body)?;
        Self::of(len, entries)
    }

    #[inline]
    pub(super) fn of(len: usize, entries: &'a [u8]) -> Result<Self, PackedError> {
        if len * S::ENTRY_BYTES_MIN > entries.len() || entries.len() > BODY_BYTES_MAX {
            return Err(PackedError::Body);
        }
        Ok(Packed {
            len,
            entries,
            shape: PhantomData,
        })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries in their order.
    #[inline]
    pub fn iter(&self) -> Entries<'a, S> {
        Entries {
            rest: self.entries,
            left: self.len,
            shape: PhantomData,
        }
    }

    /// The entries from this rank on, which counts from 0; none if it is past the end.
    ///
    /// # Errors
    /// [`PackedError::Body`] if those before are damaged.
    #[inline]
    pub fn iter_from(&self, rank: usize) -> Result<Entries<'a, S>, PackedError> {
        let mut entries = self.iter();
        for _ in 0..rank.min(self.len) {
            let (_, rest) = S::entry(entries.rest).ok_or(PackedError::Body)?;
            entries.rest = rest;
            entries.left -= 1;
        }
        Ok(entries)
    }

    /// Finds where each entry is, in one pass: for reading by index, or backward.
    ///
    /// # Errors
    /// [`PackedError::Body`] if any part is damaged.
    pub fn indexed(&self) -> Result<Indexed<'a, S>, PackedError> {
        let mut starts = SmallVec::with_capacity(self.len);
        let mut rest = self.entries;
        for _ in 0..self.len {
            starts.push((self.entries.len() - rest.len()) as u32);
            (_, rest) = S::entry(rest).ok_or(PackedError::Body)?;
        }
        match rest.is_empty() {
            true => Ok(Indexed {
                entries: self.entries,
                starts,
                shape: PhantomData,
            }),
            false => Err(PackedError::Body),
        }
    }

    /// What thresholds are about, in one pass.
    ///
    /// # Errors
    /// [`PackedError::Body`] if any part is damaged.
    pub fn sizes(&self) -> Result<Sizes, PackedError> {
        let mut longest = 0;
        for item in self.iter() {
            longest = longest.max(S::longest(item?));
        }
        Ok(Sizes {
            count: self.len,
            bytes: self.entries.len(),
            longest,
        })
    }

    /// Reads everything, the order of entries too.
    ///
    /// # Errors
    /// [`PackedError::Body`] if any part is damaged.
    pub fn check(&self) -> Result<(), PackedError> {
        let mut last = None;
        for item in self.iter() {
            let item = item?;
            if last.is_some_and(|last| !S::in_order(last, item)) {
                return Err(PackedError::Body);
            }
            last = Some(item);
        }
        Ok(())
    }
}

impl<S> Clone for Packed<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Packed<'_, S> {}

impl<S> fmt::Debug for Packed<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed")
            .field("len", &self.len)
            .field("bytes", &self.entries.len())
            .finish()
    }
}

/// The entries of a packed body. After an error it ends; bytes after the last entry are an error.
pub struct Entries<'a, S> {
    rest: &'a [u8],
    left: usize,
    shape: PhantomData<S>,
}

impl<'a, S: Shape> Iterator for Entries<'a, S> {
    type Item = Result<S::Item<'a>, PackedError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left > 0
            && let Some((item, rest)) = S::entry(self.rest)
        {
            self.left -= 1;
            self.rest = rest;
            return Some(Ok(item));
        }
        let ends_well = self.left == 0 && self.rest.is_empty();
        (self.left, self.rest) = (0, &[]);
        (!ends_well).then_some(Err(PackedError::Body))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Damage may end it early.
        (0, Some(self.left.saturating_add(1)))
    }
}

/// A packed body and the place of each entry, all of which were found whole.
pub struct Indexed<'a, S> {
    entries: &'a [u8],
    starts: SmallVec<[u32; INDEXED_INLINE]>,
    shape: PhantomData<S>,
}

impl<'a, S: Shape> Indexed<'a, S> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The entry of this rank, which counts from 0.
    pub fn get(&self, rank: usize) -> Option<S::Item<'a>> {
        self.at(*self.starts.get(rank)?)
    }

    /// The entries in their order, from either end.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = S::Item<'a>> {
        self.starts.iter().filter_map(|start| self.at(*start))
    }

    #[inline]
    fn at(&self, start: u32) -> Option<S::Item<'a>> {
        let (item, _) = S::entry(self.entries.get(start as usize..)?)?;
        Some(item)
    }
}
