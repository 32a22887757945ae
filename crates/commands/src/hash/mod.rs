//! Hashes: fields with a value, in the order of the fields' bytes.
//!
//! ```text
//! element  field
//! value    the field's value
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

use crate::Spec;

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
