//! The keys of the column family `data`: elements of collections, which are found by an id instead of their user key.
//!
//! ```text
//! record   slot u16 BE | id u64 BE              ->  state u8: 1 = being built, 2 = live
//! element  slot u16 BE | id u64 BE | element    ->  what the type needs
//! ```
//!
//! A collection's id and slot stand in its row, so that RENAME moves the row and nothing else, and keys are as short whatever
//! the user key is. Ids are ordered by log index and never used twice.
//!
//! The slot is that of the user key for which the collection was made, its home. RENAME to a key of another slot leaves the
//! elements where they are. Such strangers exist only where one command may name keys of several slots: never in a
//! cluster. Whoever splits the slots of a partition that had none must write them anew.
//!
//! The record says whether a collection exists. It is written in the entry of the collection's first row and deleted with the
//! collection, and without one all elements of the id may go: asking id → row would race with RENAME and eat what is being
//! built.
//!
//! The record has the key of an empty element, so that it comes first in the range of its collection. **An element has at
//! least one byte**: all begin with a number. In front of a hash's field that is its [`spread`], which types with other names
//! have put into them.

use super::spread;
use crate::row::Kind;

/// Bytes before the element: slot and id.
pub const DATA_PREFIX: usize = 10;

/// Bytes of the number that stands in front of a hash's field.
const SPREAD: usize = 2;

/// Where the elements of a collection stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Home {
    /// The slot of the user key for which the collection was made.
    pub slot: u16,
    /// The collection.
    pub id: u64,
}

impl Home {
    /// What all data keys of the collection start with.
    pub fn prefix(self) -> [u8; DATA_PREFIX] {
        let mut prefix = [0; DATA_PREFIX];
        prefix[..2].copy_from_slice(&self.slot.to_be_bytes());
        prefix[2..].copy_from_slice(&self.id.to_be_bytes());
        prefix
    }

    /// Bytes of the data keys of all elements before what their type calls them.
    pub fn bytes_before_name(kind: Kind) -> usize {
        match kind {
            Kind::Hash => DATA_PREFIX + SPREAD,
            _ => DATA_PREFIX,
        }
    }

    /// Gives the parts of the data key of an element that its type calls `name` to `append`, one after the other.
    #[inline]
    pub fn write_key(self, kind: Kind, name: &[u8], mut append: impl FnMut(&[u8])) {
        append(&self.prefix());
        if kind == Kind::Hash {
            append(&spread(name).to_be_bytes());
        }
        append(name);
    }

    /// The key of the collection's record.
    pub fn record(self) -> [u8; DATA_PREFIX] {
        self.prefix()
    }

    /// The data key of an element.
    ///
    /// # Panics
    /// If the element is empty: it would take the place of the record.
    pub fn element(self, element: &[u8]) -> Vec<u8> {
        assert!(!element.is_empty(), "an element without bytes has no data key");
        let mut key = Vec::with_capacity(DATA_PREFIX + element.len());
        key.extend_from_slice(&self.prefix());
        key.extend_from_slice(element);
        key
    }

    /// The smallest key that an element may have: the lower bound of all.
    pub fn first(self) -> [u8; DATA_PREFIX + 1] {
        let mut first = [0; DATA_PREFIX + 1];
        first[..DATA_PREFIX].copy_from_slice(&self.prefix());
        first
    }

    /// The key with which the next collection may begin: the upper bound of all elements.
    pub fn end(self) -> [u8; DATA_PREFIX] {
        let (id, carry) = self.id.overflowing_add(1);
        // Slots end long before their numbers do.
        let slot = self.slot.saturating_add(u16::from(carry));
        Home { slot, id }.prefix()
    }
}

/// What the data keys of a collection start with, of one of them; `None` if it is no data key.
pub fn collection_of(data_key: &[u8]) -> Option<&[u8]> {
    data_key.get(..DATA_PREFIX)
}

/// A data key taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataKey<'a> {
    /// Whose element it is.
    pub home: Home,
    /// The element, as its type writes it; empty for the record.
    pub element: &'a [u8],
}

impl<'a> DataKey<'a> {
    /// Takes a data key apart; `None` if it is not one.
    pub fn parse(key: &'a [u8]) -> Option<Self> {
        let (slot, rest) = key.split_first_chunk()?;
        let (id, element) = rest.split_first_chunk()?;
        let home = Home {
            slot: u16::from_be_bytes(*slot),
            id: u64::from_be_bytes(*id),
        };
        Some(DataKey { home, element })
    }

    /// The element as its type calls it; `None` if it is none of such a collection.
    pub fn element_of(&self, kind: Kind) -> Option<&'a [u8]> {
        match kind {
            Kind::Hash => self.element.get(SPREAD..),
            _ => Some(self.element).filter(|element| !element.is_empty()),
        }
    }

    /// True for the record of the id, which is no element.
    pub fn is_record(&self) -> bool {
        self.element.is_empty()
    }
}

/// What the record of an id says. An id that is gone has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IdState {
    /// Elements are being written and no row refers to the id yet. What is abandoned is removed by the writer.
    Building = 1,
    /// A row refers to the id.
    Live = 2,
}

impl IdState {
    /// The record's value.
    pub fn encode(self) -> [u8; 1] {
        [self as u8]
    }

    /// Reads a record's value; `None` if it is not one.
    pub fn decode(value: &[u8]) -> Option<Self> {
        match value {
            [1] => Some(IdState::Building),
            [2] => Some(IdState::Live),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn home() -> impl Strategy<Value = Home> {
        any::<(u16, u64)>().prop_map(|(slot, id)| Home { slot, id })
    }

    #[test]
    fn keys_are_written_as_documented() {
        let home = Home {
            slot: 0x3fff,
            id: 0x0102_0304_0506_0708,
        };
        let element = home.element(b"e");
        assert_eq!(element, [0x3f, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, b'e']);
        assert_eq!(home.record(), element[..DATA_PREFIX]);
        assert_eq!(home.first(), [0x3f, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
        assert_eq!(home.end(), [0x3f, 0xff, 1, 2, 3, 4, 5, 6, 7, 9]);
        let last = Home { slot: 1, id: u64::MAX };
        assert_eq!(last.end(), Home { slot: 2, id: 0 }.prefix());
        assert!(DataKey::parse(&home.record()).unwrap().is_record());
        assert!(!DataKey::parse(&element).unwrap().is_record());
        assert_eq!(DataKey::parse(&element[..9]), None);
        assert_eq!(DataKey::parse(&[]), None);
    }

    #[test]
    fn fields_have_a_number_in_front() {
        let home = Home { slot: 1, id: 2 };
        for (kind, name, element) in [
            (Kind::Hash, &b"member"[..], &b"\x08\x75member"[..]),
            (Kind::Hash, b"", b"\x94\xc2"),
            (Kind::Set, b"\x08\x75member", b"\x08\x75member"),
        ] {
            let mut key = Vec::new();
            home.write_key(kind, name, |part| key.extend_from_slice(part));
            assert_eq!(key, [&home.prefix()[..], element].concat());
            assert_eq!(&key[Home::bytes_before_name(kind)..], name);
            assert_eq!(DataKey::parse(&key).unwrap().element_of(kind), Some(name));
            assert_eq!(DataKey::parse(&home.record()).unwrap().element_of(kind), None);
        }
    }

    #[test]
    fn records_are_written_as_documented() {
        for (state, value) in [(IdState::Building, 1), (IdState::Live, 2)] {
            assert_eq!(state.encode(), [value]);
            assert_eq!(IdState::decode(&[value]), Some(state));
        }
        for value in [&[][..], &[0], &[3], &[1, 0]] {
            assert_eq!(IdState::decode(value), None);
        }
    }

    proptest! {
        #[test]
        fn data_keys_come_apart_as_they_were_put_together(home in home(), element in prop::collection::vec(any::<u8>(), 1..20)) {
            let key = home.element(&element);
            prop_assert_eq!(DataKey::parse(&key), Some(DataKey { home, element: &element }));
            prop_assert_eq!(collection_of(&key), Some(&home.prefix()[..]));
        }

        #[test]
        fn elements_lie_between_their_bounds_behind_their_record(homes in (home(), home()), element in prop::collection::vec(any::<u8>(), 1..4)) {
            let (home, other) = homes;
            let key = home.element(&element);
            prop_assert!(home.record()[..] < home.first()[..]);
            prop_assert!(home.first()[..] <= key[..]);
            prop_assert!(home.slot == u16::MAX || key[..] < home.end()[..]);
            if other != home {
                let within = other.record()[..] >= home.record()[..] && other.record()[..] < home.end()[..];
                prop_assert!(!within);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let _ = DataKey::parse(&bytes);
            let _ = IdState::decode(&bytes);
        }
    }
}
