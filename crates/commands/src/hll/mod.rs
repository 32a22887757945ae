//! HyperLogLogs: strings that estimate how many different elements they have seen.
//!
//! The bytes are those of Redis, so that values may be carried over with GET and SET:
//!
//! ```text
//! "HYLL" | encoding u8: 0 dense, 1 sparse | 0 0 0 | cached count u64 LE, top bit set = out of date | registers
//!
//! dense    16384 registers of 6 bits, the first in the lowest bits of the first byte
//! sparse   runs of equal registers:
//!          00nnnnnn            n + 1 registers are 0
//!          01nnnnnn nnnnnnnn   n + 1 registers are 0
//!          1vvvvvnn            n + 1 registers are v + 1
//! ```
//!
//! An element's MurmurHash64A picks a register by its 14 lowest bits; the register keeps the greatest number seen of
//! zeros (and one) that follow them. A value starts sparse and becomes dense, for good, when a register has to be
//! greater than 32 or the whole grows beyond `hll-sparse-max-bytes`.
//!
//! The format and its limits are described at the head of Redis' `hyperloglog.c`; the estimator is that of Otmar Ertl,
//! "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284.

mod add;
mod count;
mod debug;
mod dense;
mod estimate;
mod merge;
mod selftest;
mod sketch;
mod sparse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::{CommandError, Spec};

/// The family's commands.
pub static COMMANDS: &[Spec] = &[
    add::PFADD,
    count::PFCOUNT,
    merge::PFMERGE,
    debug::PFDEBUG,
    selftest::PFSELFTEST,
];

/// Number of registers: 2 to the number of bits of the hash that pick one.
const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;

/// Greatest value of a register: the bits of the hash that are left, and one.
const REGISTER_MAX: usize = 64 - INDEX_BITS as usize + 1;

/// Beyond this length, header included, a sparse value becomes dense, unless `hll-sparse-max-bytes` says otherwise:
/// Redis' default for that.
pub const SPARSE_BYTES_MAX: usize = 3000;

/// All registers, a byte each.
type Registers = [u8; REGISTERS];

/// How many registers have each value. One place for each of the 6-bit numbers, so that bad bytes are in bounds.
type Histogram = [u32; 64];

/// The registers within the bytes are not whole.
const CORRUPT: CommandError = CommandError::Reply(Cow::Borrowed("INVALIDOBJ Corrupted HLL object detected"));

/// The string is something else.
const NOT_HLL: CommandError =
    CommandError::Reply(Cow::Borrowed("WRONGTYPE Key is not a valid HyperLogLog string value."));
