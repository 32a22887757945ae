//! Values that were read, wherever their bytes live.

use std::fmt;
use std::ops::Deref;

use haypile_rows::{Row, RowRef};
use rocksdb::DBPinnableSlice;
use smallvec::SmallVec;

/// Copies up to this length take no memory of their own.
const OWNED_INLINE_BYTES: usize = 32;

/// A value that was read: bytes, wherever they live.
pub enum Value<'a> {
    /// Pinned in a block of the cache or in the memtable.
    Pinned(DBPinnableSlice<'a>),
    /// A copy of its own. A small one, such as the row of a spread collection, takes no memory.
    Owned(SmallVec<[u8; OWNED_INLINE_BYTES]>),
    /// Of a row in memory, which a guard keeps.
    Row(RowValue<'a>),
    /// Somebody else's.
    Borrowed(&'a [u8]),
    /// Shared with the rows in memory.
    Shared(SharedValue),
}

/// The value of a row in memory.
pub struct RowValue<'a>(pub(crate) RowRef<'a>);

/// The same for as long as one likes.
#[derive(Clone)]
pub struct SharedValue(pub(crate) Row);

impl Deref for SharedValue {
    type Target = [u8];

    #[inline]
    #[allow(clippy::expect_used)] // only versions with a value are shared
    fn deref(&self) -> &[u8] {
        self.0.value().expect("a deletion has no value")
    }
}

impl fmt::Debug for SharedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self[..], f)
    }
}

impl Value<'_> {
    /// True if it was in memory as a row, so that reading it has cost next to nothing.
    #[inline]
    pub fn is_shared(&self) -> bool {
        matches!(self, Value::Row(_) | Value::Shared(_))
    }

    /// The same for as long as one likes, without a copy; the value itself where that cannot be.
    pub fn share(self) -> Result<SharedValue, Self> {
        match self {
            Value::Row(row) => Ok(SharedValue((*row.0).clone())),
            Value::Shared(shared) => Ok(shared),
            other => Err(other),
        }
    }
}

impl Deref for Value<'_> {
    type Target = [u8];

    #[inline]
    #[allow(clippy::expect_used)] // only versions with a value become one
    fn deref(&self) -> &[u8] {
        match self {
            Value::Pinned(v) => v,
            Value::Owned(v) => v,
            Value::Row(v) => v.0.value().expect("a deletion has no value"),
            Value::Borrowed(v) => v,
            Value::Shared(v) => v,
        }
    }
}

impl AsRef<[u8]> for Value<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self[..], f)
    }
}
