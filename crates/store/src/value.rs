use std::fmt;
use std::ops::Deref;

use haypile_rows::Row;
use rocksdb::DBPinnableSlice;

/// A value that was read: bytes, wherever they live.
pub enum Value<'a> {
    /// Pinned in a block of the cache or in the memtable.
    Pinned(DBPinnableSlice<'a>),
    /// A copy of its own.
    Owned(Box<[u8]>),
    /// Of a row in memory, which a guard keeps.
    Row(&'a [u8]),
    /// Shared with the rows in memory.
    Shared(SharedValue),
}

/// The value of a row in memory.
pub struct SharedValue(pub(crate) Row);

impl Value<'_> {
    /// True if it was in memory as a row, so that reading it has cost next to nothing.
    pub fn is_shared(&self) -> bool {
        matches!(self, Value::Row(_) | Value::Shared(_))
    }
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Value::Pinned(v) => v,
            Value::Owned(v) => v,
            Value::Row(v) => v,
            Value::Shared(shared) => shared.0.value().unwrap_or_default(),
        }
    }
}

impl AsRef<[u8]> for Value<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self[..], f)
    }
}
