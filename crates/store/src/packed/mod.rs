//! Small collections: all entries of one stand in the value of its meta row. And *patches*: what a change of one, of a
//! string, or of any row's expiry is in the log.
//!
//! Nothing here knows of stores, logs or thresholds: it is about bytes, and everything it is given may be damaged.
//!
//! # Packed bodies
//!
//! The body of a packed row is what follows its [`Header`](crate::row::Header), whose tag says that it is packed:
//!
//! ```text
//! hash  count varint | (field length varint | value length varint | field | value)*   in the order of fields
//! set   count varint | (member length varint | member)*                               in the order of members
//! zset  count varint | (score u64 BE | member length varint | member)*                in the order of score and member
//! list  count varint | head label | (length varint | element)*                        in the order of the list
//! ```
//!
//! Varints are LEB128. Bytes are in their lexicographic order, and nothing stands there twice. A score is a number that
//! has the order of the scores; which one is the business of who writes it. The elements of a list have the labels
//! `head..head + count`, without gaps; a label is written as the zigzag varint of its distance from [`LABEL_MIDDLE`],
//! where lists begin, so that the usual one takes a byte. An empty body is the byte 0, of a list too.
//!
//! A body is canonical: the same content has the same bytes, whatever its history. A collection without entries does not
//! exist, so a writer deletes the row instead of emptying it; an empty body is well-formed all the same.
//!
//! Lengths stand before the bytes because a scan then needs nothing but additions, and a look-up compares lengths before
//! it compares bytes.
//!
//! # Patches
//!
//! A patch says what entries are, not what to do with them, so applying it twice is the same as applying it once:
//!
//! ```text
//! patch   kind u8 | [0x80: expire-at u64 BE] | ...      the kind in the low 4 bits, 0 = whatever the row is
//!                                                       0x80 = an expiry follows | 0x40 = the row has no expiry
//!                                                       0x20 and 0x10 are a list's; without them the bits are 0
//! hash    (field length varint | 0: gone, or value length + 1, varint | field | value)*
//! set     (member length * 2 + 1 if it is gone, varint | member)*
//! zset    (member length * 2 + 1 if it is gone, varint | member | score u64 BE if it is not gone)*
//! list    [0x10: head label] | [0x20: end label] | (label | count varint | (length varint | element)*)*
//! string  (offset varint | length varint | bytes)*
//! ```
//!
//! The entries of the first three are in the order of fields or members, each once. A list's patch first says which labels
//! stay, those from the head label on and those before the end label, and then gives labels an element: in runs
//! of labels that follow each other, in ascending order and not touching. A string's gives bytes to offsets, in the same
//! way in runs: it makes a string longer where it ends after it, with zeros in gaps, and never shorter. APPEND is so
//! logged as bytes at the offset where the string ended. A patch has one form for one meaning,
//! and putting two together ([`combine()`]) or one to a body ([`apply()`]) is one pass over both.
//!
//! What changes nothing but the expiry is about a row of any kind and consists of its first bytes alone.
//!
//! One field set takes 3 bytes more than field and value, one member 2, one push 4, one run of bytes 3 to 11, and an expiry 9.
//!
//! # A patch without its base
//!
//! Patches are defined on every base: a field that is gone may have been missing, and a patch on a missing row gives a row
//! of what it sets. Only a list's may not fit: if elements and labels leave a gap, something has been lost, and that
//! is an error. Gaps that later patches close are none: `combine` does not look for them. And what changes nothing but the
//! expiry of a missing row changes nothing, which [`patch_row`] says as [`PackedError::Missing`].

mod apply;
mod build;
mod bytes;
mod combine;
mod in_place;
mod list;
#[cfg(test)]
mod measure;
pub(crate) mod merge_operator;
mod patch;
mod patch_build;
mod patched_row;
mod read;
mod search;
mod shape;
mod string;
#[cfg(test)]
mod tests;

use crate::StoreError;
use crate::row::Kind;

pub use apply::{apply, apply_into};
pub use build::{write_hash, write_list, write_set, write_zset};
pub use combine::{combine, combine_all, combine_into};
pub(crate) use in_place::{Overwritten, patch_in_place};
pub use list::PackedList;
pub use patch::{Change, Changes, Expiry, Patch};
pub use patch_build::{HashPatch, ListPatch, SetPatch, ZsetPatch, write_expiry_patch};
pub(crate) use patched_row::PatchedRow;
pub use patched_row::patch_row;
pub use read::{Entries, Indexed, Packed, Sizes};
pub use shape::{Element, Hash, Set, Shape, Zset};
pub use string::StringPatch;

/// A packed hash.
pub type PackedHash<'a> = Packed<'a, Hash>;
/// A packed set.
pub type PackedSet<'a> = Packed<'a, Set>;
/// A packed sorted set.
pub type PackedZset<'a> = Packed<'a, Zset>;

/// The label of a new list's first element: there is room for 2^63 pushes on either side.
pub const LABEL_MIDDLE: u64 = 1 << 63;

/// Bytes of a body, or of what stands in one, at most. Whoever packs keeps far below.
pub const BODY_BYTES_MAX: usize = u32::MAX as usize;

/// Bytes that are not what this module writes, or that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackedError {
    /// A body ends too early, or goes on after its last entry, or its entries are out of order.
    #[error("a packed row cannot be read")]
    Body,
    /// The same of a patch.
    #[error("a patch of a packed row cannot be read")]
    Patch,
    /// The row is none that the patch could be about: a collection with elements of its own, or nothing that this version
    /// knows.
    #[error("a patch is about a row that is not packed")]
    NotPacked,
    /// A patch that changes nothing but the expiry is about a row that is not there. Where a log is replayed from an
    /// earlier point than the row is from, this is no damage: the row was there then, and was deleted later.
    #[error("a patch gives an expiry to a row that is not there")]
    Missing,
    /// A patch is about a collection of another type.
    #[error("a patch of a {} cannot change a {}", .patch.name(), .row.name())]
    OtherKind {
        /// What the patch is about.
        patch: Kind,
        /// What is there.
        row: Kind,
    },
    /// A list would have labels without an element.
    #[error("a patch of a list leaves a gap")]
    Gap,
}

impl From<PackedError> for StoreError {
    fn from(error: PackedError) -> Self {
        StoreError::Corrupt(error.to_string())
    }
}

/// Number of entries in the packed body of any type.
///
/// # Errors
/// [`PackedError::Body`]. No entry is read.
pub fn count(body: &[u8]) -> Result<u64, PackedError> {
    match bytes::length(body) {
        Some((count, _)) => Ok(count as u64),
        None => Err(PackedError::Body),
    }
}
