//! Hashes: fields with a value, in the order of the fields' bytes.
//!
//! ```text
//! data key    the collection's prefix | field
//! data value  the field's value
//! ```
//!
//! The row's size is the number of fields. Setting a field that exists leaves the row as it is.
//!
//! The order costs nothing and gives range reads ([HRANGEBYLEX](range)) and an HSCAN whose cursor is a place among the
//! fields ([`scan`]).

mod all;
mod cursor;
mod held;
mod incr;
mod random;
mod range;
mod read;
pub(crate) mod scan;
#[cfg(test)]
mod tests;
mod write;

use crate::{Collection, Spec};

/// The family's commands.
pub static COMMANDS: &[Spec] = &[
    write::HSET,
    write::HSETNX,
    write::HMSET,
    write::HDEL,
    read::HGET,
    read::HMGET,
    read::HEXISTS,
    read::HLEN,
    read::HSTRLEN,
    all::HGETALL,
    all::HKEYS,
    all::HVALS,
    incr::HINCRBY,
    incr::HINCRBYFLOAT,
    random::HRANDFIELD,
    range::HRANGEBYLEX,
    scan::HSCAN,
];

/// The data keys of a hash's fields, one at a time in the same memory.
struct FieldKey {
    key: Vec<u8>,
    prefix: usize,
}

impl FieldKey {
    fn new(hash: &Collection) -> Self {
        let mut key = Vec::with_capacity(hash.prefix().len() + 48);
        key.extend_from_slice(hash.prefix());
        FieldKey { prefix: key.len(), key }
    }

    fn of(&mut self, field: &[u8]) -> &[u8] {
        self.key.truncate(self.prefix);
        self.key.extend_from_slice(field);
        &self.key
    }
}
