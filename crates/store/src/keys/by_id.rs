//! Data keys of collections that are found by an id instead of their user key. Not in use yet.
//!
//! ```text
//! record   slot u16 BE | id u64 BE              ->  state u8: 1 = being built, 2 = live
//! element  slot u16 BE | id u64 BE | element    ->  what the type needs
//! ```
//!
//! A collection's id stands in its row, so that RENAME moves the row and nothing else, and keys are as short whatever the
//! user key is. Ids are ordered by log index and never used twice.
//!
//! The record says whether a collection exists. It is written before the first element and deleted with the collection, and
//! without one all elements of the id may go: asking id → row would race with RENAME and eat what is being built.
//!
//! The record has the key of an empty element, so that it comes first in the range of its collection. **An element has at
//! least one byte**: a type whose elements might be empty, as a hash's field may be, puts a byte in front.

/// Bytes before the element: slot and id.
pub const DATA_PREFIX: usize = 10;

/// What all data keys of one collection start with.
pub fn data_prefix(slot: u16, id: u64) -> [u8; DATA_PREFIX] {
    let mut prefix = [0; DATA_PREFIX];
    prefix[..2].copy_from_slice(&slot.to_be_bytes());
    prefix[2..].copy_from_slice(&id.to_be_bytes());
    prefix
}

/// The data key of an element.
///
/// # Panics
/// If the element is empty: it would take the place of the record.
pub fn data_key(slot: u16, id: u64, element: &[u8]) -> Vec<u8> {
    assert!(!element.is_empty(), "an element without bytes has no data key");
    let mut key = Vec::with_capacity(DATA_PREFIX + element.len());
    key.extend_from_slice(&data_prefix(slot, id));
    key.extend_from_slice(element);
    key
}

/// The key of the record of an id.
pub fn record_key(slot: u16, id: u64) -> [u8; DATA_PREFIX] {
    data_prefix(slot, id)
}

/// A data key taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataKey<'a> {
    /// The slot of the user key.
    pub slot: u16,
    /// The collection.
    pub id: u64,
    /// The element, as its type writes it; empty for the record.
    pub element: &'a [u8],
}

impl<'a> DataKey<'a> {
    /// Takes a data key apart; `None` if it is not one.
    pub fn parse(key: &'a [u8]) -> Option<Self> {
        let (slot, rest) = key.split_first_chunk()?;
        let (id, element) = rest.split_first_chunk()?;
        Some(DataKey {
            slot: u16::from_be_bytes(*slot),
            id: u64::from_be_bytes(*id),
            element,
        })
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

    #[test]
    fn keys_are_written_as_documented() {
        let id = 0x0102_0304_0506_0708;
        let element = data_key(0x3fff, id, b"e");
        assert_eq!(element, [0x3f, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, b'e']);
        assert_eq!(record_key(0x3fff, id), element[..DATA_PREFIX]);
        assert!(DataKey::parse(&record_key(0x3fff, id)).unwrap().is_record());
        assert!(!DataKey::parse(&element).unwrap().is_record());
        assert_eq!(DataKey::parse(&element[..9]), None);
        assert_eq!(DataKey::parse(&[]), None);
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
        fn data_keys_come_apart_as_they_were_put_together(slot: u16, id: u64, element in prop::collection::vec(any::<u8>(), 1..20)) {
            let key = data_key(slot, id, &element);
            prop_assert_eq!(DataKey::parse(&key), Some(DataKey { slot, id, element: &element }));
        }

        #[test]
        fn a_record_comes_before_its_elements_and_after_older_collections(slot: u16, ids: [u64; 2], elements in prop::array::uniform2(prop::collection::vec(any::<u8>(), 1..4))) {
            let [first, second] = &elements;
            let older = data_key(slot, ids[0].min(ids[1]), first);
            let newer = data_key(slot, ids[0].max(ids[1]), second);
            prop_assert!(record_key(slot, ids[0].max(ids[1]))[..] < newer[..]);
            if ids[0] != ids[1] {
                prop_assert!(older[..] < record_key(slot, ids[0].max(ids[1]))[..]);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let _ = DataKey::parse(&bytes);
            let _ = IdState::decode(&bytes);
        }
    }
}
