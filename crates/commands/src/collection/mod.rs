//! A key with elements: a list, set, sorted set or hash, whether its elements stand in its row or have rows of their own.

mod elements;
mod limits;
mod ordered;
mod packing;
#[cfg(test)]
mod tests;

use std::ops::Range;

use haypile_store::StoreError;
use haypile_store::keys::{DATA_PREFIX, Home};
use haypile_store::packed::{self, PackedList};
use haypile_store::row::{Header, Kind, SPREAD_BYTES_MAX, Spread};
use haypile_types::slot_of;

pub use self::elements::Elements;
pub(crate) use self::elements::Jumping;
pub use self::limits::PackedLimits;
pub(crate) use self::limits::is_intset;
pub(crate) use self::packing::{Packing, field_or_member, for_each_element};
use smallvec::SmallVec;

use crate::CommandError;
use crate::cx::Row;

/// A key with elements: a list, set, sorted set or hash.
///
/// A small collection is *packed*: its elements are the body of its row (see [`haypile_store::packed`]). Any other is
/// *spread*: its row has its size (see [`haypile_store::row::Spread`]), and each element has a row of its own in the column
/// family `data`.
///
/// What an element is called depends on its type alone, so that commands need not know which it is: see
/// [`Cx::element`](crate::Cx::element) and its kin, and the layouts that the types' modules tell. What is changed by a
/// command becomes effective with [`Cx::put_collection`](crate::Cx::put_collection), which also decides what the collection
/// is from then on.
#[derive(Clone, Debug)]
pub struct Collection {
    /// The type.
    pub kind: Kind,
    /// Number of elements.
    pub size: u64,
    /// Lists: index of the first element, in the middle of the numbers for a new list.
    pub head: u64,
    /// When the key expires.
    pub expire_at: Option<u64>,
    /// The header of the row that it replaces when it is stored.
    pub old: Option<Header>,
    slot: u16,
    form: Form,
    /// What the row says that is stored: size and head; `None` if it is not this collection's, or must be written anyway.
    stored: Option<(u64, u64)>,
    /// The number of elements before the command.
    size_before: u64,
}

/// Where the elements are.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    Packed(Packing),
    Spread(OwnRows),
}

/// Elements with rows of their own.
#[derive(Clone, Debug)]
pub(crate) struct OwnRows {
    home: Home,
    kind: Kind,
    prefix: [u8; DATA_PREFIX],
}

/// Index of a new list's first element: room for 2^63 pushes on either side.
pub const LIST_MIDDLE: u64 = packed::LABEL_MIDDLE;

impl Collection {
    /// A new one without elements, packed for now.
    pub(crate) fn new(key: &[u8], kind: Kind, old: Option<Header>) -> Self {
        Collection {
            kind,
            size: 0,
            head: LIST_MIDDLE,
            expire_at: None,
            old,
            slot: slot_of(key),
            form: Form::Packed(Packing::new(kind)),
            stored: None,
            size_before: 0,
        }
    }

    /// The collection that a row is of.
    pub(crate) fn read(row: Row<'_>) -> Result<Self, CommandError> {
        if !row.header.packed {
            return Self::read_spread(&row);
        }
        let (header, slot, body) = (row.header, row.slot, row.body());
        let head = match header.kind {
            Kind::List => PackedList::read(body).map_err(StoreError::from)?.labels().start,
            _ => 0,
        };
        let size = packed::count(body).map_err(StoreError::from)?;
        let (value, start) = row.into_value();
        let packing = Packing::of(header.kind, value, start);
        Ok(Self::found(header, slot, (size, head), Form::Packed(packing)))
    }

    /// The collection that the row of a spread one is of.
    pub(crate) fn read_spread(row: &Row<'_>) -> Result<Self, CommandError> {
        let header = row.header;
        let cut_short = || StoreError::Corrupt("a collection's row is cut short".into());
        let Spread { size, head } = Spread::read(header.kind, row.body()).ok_or_else(cut_short)?;
        let home = header.home.ok_or_else(cut_short)?;
        let form = Form::Spread(OwnRows::new(home, header.kind));
        Ok(Self::found(header, row.slot, (size, head), form))
    }

    fn found(header: Header, slot: u16, (size, head): (u64, u64), form: Form) -> Self {
        Collection {
            kind: header.kind,
            size,
            head,
            expire_at: header.expire_at,
            old: Some(header),
            slot,
            form,
            stored: Some((size, head)),
            size_before: size,
        }
    }

    /// The body of the row of a spread one.
    pub(crate) fn body(&self) -> SmallVec<[u8; SPREAD_BYTES_MAX]> {
        let (size, head) = (self.size, self.head);
        Spread { size, head }.bytes(self.kind)
    }

    /// The slot of its key.
    pub(crate) fn slot(&self) -> u16 {
        self.slot
    }

    pub(crate) fn form(&self) -> &Form {
        &self.form
    }

    pub(crate) fn form_mut(&mut self) -> &mut Form {
        &mut self.form
    }

    /// True if it has more elements than before.
    pub(crate) fn has_grown(&self) -> bool {
        self.size > self.size_before
    }

    /// True if it is the one that is stored, and has fewer elements than that has.
    pub(crate) fn has_shrunk(&self) -> bool {
        self.stored.is_some_and(|(size, _)| self.size < size)
    }

    /// Makes it what another one is from now on, whose elements it has or will have: of its size nothing new is told.
    pub(crate) fn succeed(&mut self, other: &Collection) {
        self.expire_at = other.expire_at;
        self.size_before = other.size;
    }

    /// Has its row written even if nothing in it changes.
    pub(crate) fn write_anyway(&mut self) {
        self.stored = None;
    }

    /// True if the row that is stored is this one's, with this size and head.
    pub(crate) fn is_as_stored(&self) -> bool {
        self.stored == Some((self.size, self.head)) && self.old.is_some_and(|old| old.expire_at == self.expire_at)
    }

    /// True if the row that is stored is this one's, whatever it says of sizes.
    pub(crate) fn is_stored(&self) -> bool {
        self.stored.is_some()
    }

    pub(crate) fn has_been_stored(&mut self, header: Header) {
        self.old = Some(header);
        self.stored = Some((self.size, self.head));
        self.size_before = self.size;
    }

    pub(crate) fn header(&self) -> Header {
        let home = match &self.form {
            Form::Packed(_) => None,
            Form::Spread(rows) => Some(rows.home),
        };
        Header {
            kind: self.kind,
            expire_at: self.expire_at,
            packed: home.is_none(),
            home,
        }
    }

    /// Lists: the indexes of the elements.
    pub(crate) fn indexes(&self) -> Range<u64> {
        self.head..self.head.saturating_add(self.size)
    }

    /// Its elements have rows of their own now; its own row is still to be written.
    pub(crate) fn is_spread(&mut self, rows: OwnRows) {
        self.form = Form::Spread(rows);
        self.stored = None;
    }

    /// Bytes of an element's data key that stand before its name; 0 if it is packed.
    pub(crate) fn data_key_bytes(&self) -> usize {
        match &self.form {
            Form::Packed(_) => 0,
            Form::Spread(rows) => rows.bytes_before_name(),
        }
    }

    /// The lower bound of what comes behind an element: see [`Cx::scan`](crate::Cx::scan).
    pub(crate) fn place_behind(&self, element: &[u8]) -> Vec<u8> {
        let mut place = match &self.form {
            Form::Packed(_) => element.to_vec(),
            Form::Spread(rows) => rows.data_key(element)[DATA_PREFIX..].to_vec(),
        };
        place.push(0);
        place
    }

    /// True if its elements stand in its row.
    pub fn is_packed(&self) -> bool {
        matches!(self.form, Form::Packed(_))
    }

    /// The same for two that are one collection, or are packed and have the same elements; for no others.
    pub(crate) fn identity(&self) -> (bool, &[u8]) {
        match &self.form {
            Form::Packed(packing) => (true, packing.body()),
            Form::Spread(rows) => (false, &rows.prefix),
        }
    }
}

impl OwnRows {
    pub(crate) fn new(home: Home, kind: Kind) -> Self {
        OwnRows {
            home,
            kind,
            prefix: home.prefix(),
        }
    }

    pub(crate) fn home(&self) -> Home {
        self.home
    }

    /// Bytes of a data key before the element's name.
    pub(crate) fn bytes_before_name(&self) -> usize {
        Home::bytes_before_name(self.kind)
    }

    /// The data key of an element.
    ///
    /// # Panics
    /// If it would be that of the collection's record.
    pub(crate) fn data_key(&self, element: &[u8]) -> DataKey {
        let len = self.bytes_before_name() + element.len();
        assert!(len > DATA_PREFIX, "an element without bytes has no data key");
        if len > DATA_KEY_INLINE {
            let mut key = DataKey::with_capacity(len);
            self.home
                .write_key(self.kind, element, |part| key.extend_from_slice(part));
            return key;
        }
        let mut bytes = [0; DATA_KEY_INLINE];
        let mut at = 0;
        self.home.write_key(self.kind, element, |part| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        });
        DataKey::from_buf_and_len(bytes, at)
    }

    /// The data key of a list's element with an index, as [`OwnRows::data_key`] makes it.
    pub(crate) fn indexed_key(&self, index: u64) -> IndexedKey {
        let mut key = [0; size_of::<IndexedKey>()];
        let (prefix, name) = key.split_at_mut(DATA_PREFIX);
        prefix.copy_from_slice(&self.prefix);
        name.copy_from_slice(&index.to_be_bytes());
        key
    }

    /// The beginning of the range of data keys of which an element is the lower bound; of a hash, what
    /// data keys have behind the collection: a number, or a number and a field.
    pub(crate) fn lower_bound(&self, lower: &[u8]) -> DataKey {
        let mut key = DataKey::from_slice(&self.prefix);
        key.extend_from_slice(lower);
        if key.len() == DATA_PREFIX {
            // The record of the collection has this key, and is none of its elements.
            key.push(0);
        }
        key
    }

    /// The end of the range of data keys of which an element is the upper bound, in the same way; `None` is past all
    /// elements.
    pub(crate) fn upper_bound(&self, upper: Option<&[u8]>) -> Option<DataKey> {
        match upper {
            Some(upper) => {
                let mut key = DataKey::from_slice(&self.prefix);
                key.extend_from_slice(upper);
                Some(key)
            }
            None => Some(DataKey::from_slice(&self.home.end())),
        }
    }
}

/// The data key of an element whose name is an index.
pub(crate) type IndexedKey = [u8; DATA_PREFIX + 8];

/// A data key. Usual ones take no memory of their own.
pub(crate) type DataKey = SmallVec<[u8; DATA_KEY_INLINE]>;

/// The name of an element. Usual ones take no memory of their own.
pub(crate) type ElementName = SmallVec<[u8; 64]>;

/// Bytes of a data key up to which it takes no memory of its own.
const DATA_KEY_INLINE: usize = 96;
