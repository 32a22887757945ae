//! The thresholds up to which a collection is kept in one row.

use haypile_resp::parse_i64;
use haypile_store::StoreError;
use haypile_store::packed::{self, PackedSet};
use haypile_store::row::Kind;

use super::packing::{Name, name_of};

/// Up to where collections are packed: Redis' thresholds, which take effect at the next write to a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedLimits {
    /// Fields: `hash-max-listpack-entries`.
    pub hash_entries: u64,
    /// Bytes of a field or value: `hash-max-listpack-value`.
    pub hash_value: u64,
    /// Members of a set of integers: `set-max-intset-entries`.
    pub intset_entries: u64,
    /// Members of any set: `set-max-listpack-entries`.
    pub set_entries: u64,
    /// Bytes of a member that is no integer: `set-max-listpack-value`.
    pub set_value: u64,
    /// Members: `zset-max-listpack-entries`.
    pub zset_entries: u64,
    /// Bytes of a member: `zset-max-listpack-value`.
    pub zset_value: u64,
    /// `list-max-listpack-size`: elements if it is positive; -1 to -5 stand for 4, 8, 16, 32 and 64 KiB.
    pub list_size: i64,
}

/// Bytes of a packed collection at most, whatever the thresholds say: each change writes its row anew in memory, and rows
/// that are much larger are not kept in memory once they are on disk.
pub(crate) const PACKED_BYTES_MAX: usize = 8 << 10;

/// The list size at which no list is packed; no configuration has it.
const NO_LISTS: i64 = i64::MIN;

impl Default for PackedLimits {
    fn default() -> Self {
        PackedLimits {
            hash_entries: 512,
            hash_value: 64,
            intset_entries: 512,
            set_entries: 128,
            set_value: 64,
            zset_entries: 128,
            zset_value: 64,
            list_size: -2,
        }
    }
}

impl PackedLimits {
    /// Nothing is packed.
    #[cfg(test)]
    pub(crate) const NONE: PackedLimits = PackedLimits {
        hash_entries: 0,
        hash_value: 0,
        intset_entries: 0,
        set_entries: 0,
        set_value: 0,
        zset_entries: 0,
        zset_value: 0,
        list_size: NO_LISTS,
    };

    /// Elements at most.
    pub(crate) fn entries(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Hash => self.hash_entries,
            Kind::Set => self.set_entries.max(self.intset_entries),
            Kind::Zset => self.zset_entries,
            Kind::List if self.list_size == NO_LISTS => 0,
            // As Redis has it, a node has one at least.
            Kind::List if self.list_size >= 0 => self.list_size.max(1) as u64,
            Kind::List => u64::MAX,
            Kind::String | Kind::Stream => 0,
        }
    }

    /// True if a collection of this size may have this body.
    pub(crate) fn admit(&self, kind: Kind, size: u64, body: &[u8]) -> Result<bool, StoreError> {
        if size > self.entries(kind) || body.len() > self.bytes(kind) {
            return Ok(false);
        }
        if kind != Kind::Set {
            return Ok(true);
        }
        Ok(size <= self.set_entries || has_integers_only(body)?)
    }

    /// True if an element with this name may be in a packed collection.
    pub(crate) fn admit_item(&self, kind: Kind, element: &[u8], value: &[u8]) -> bool {
        let max = self.item_bytes(kind);
        let fits = |item: &[u8]| item.len() as u64 <= max;
        match (kind, name_of(kind, element)) {
            (Kind::Hash, Some(Name::Of(field))) => fits(field) && fits(value),
            (Kind::Set, Some(Name::Of(member))) => fits(member) || is_integer(member),
            (Kind::Zset, Some(Name::Of(member))) => fits(member),
            // The member has come before.
            (Kind::Zset, Some(Name::Index(_))) => true,
            (Kind::List, _) => fits(value),
            _ => false,
        }
    }

    /// Bytes of all elements at most.
    pub(crate) fn bytes(&self, kind: Kind) -> usize {
        match (kind, self.list_size) {
            (Kind::List, -1) => 4 << 10,
            _ => PACKED_BYTES_MAX,
        }
    }

    /// Bytes of one member, field, value or element at most.
    pub(crate) fn item_bytes(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Hash => self.hash_value,
            Kind::Set => self.set_value,
            Kind::Zset => self.zset_value,
            Kind::List => self.bytes(kind) as u64,
            Kind::String | Kind::Stream => 0,
        }
    }
}

fn is_integer(member: &[u8]) -> bool {
    parse_i64(member).is_some()
}

/// True if Redis would keep a packed set as an intset.
pub(crate) fn is_intset(body: &[u8], limits: &PackedLimits) -> Result<bool, StoreError> {
    Ok(packed::count(body)? <= limits.intset_entries && has_integers_only(body)?)
}

fn has_integers_only(body: &[u8]) -> Result<bool, StoreError> {
    for member in PackedSet::read(body)?.iter() {
        if !is_integer(member?) {
            return Ok(false);
        }
    }
    Ok(true)
}
