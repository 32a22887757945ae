//! Hashes: fields with a value.
//!
//! ```text
//! element  field
//! value    the field's value
//! ```
//!
//! The row's size is the number of fields. Setting a field that exists leaves the row as it is.
//!
//! A packed hash has its fields in the order of their bytes. Fields with rows of their own stand in the order of a hash: in the
//! data key the low 16 bits of the field's XXH3-64 come first ([`haypile_store::keys::spread`]). That gives HSCAN a cursor which is
//! a place ([`scan`]), and HRANDFIELD somewhere to jump to ([`crate::sample`]). Ranges of fields ([HRANGEBYLEX](range)) are
//! sorted when they are asked for.

mod all;
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
