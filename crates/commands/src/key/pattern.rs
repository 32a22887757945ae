//! Which part of the keyspace a glob pattern can match in.

use haypile_store::keys::meta_key;
use haypile_types::{SLOTS, Slot, slot_of};

use crate::glob;

/// A glob pattern over user keys, and where its matches stand.
pub(super) struct Pattern<'p> {
    /// `None` matches everything.
    glob: Option<&'p [u8]>,
    place: Place,
}

enum Place {
    Anywhere,
    /// All matches have the same hash tag.
    Slot(Slot),
    /// The pattern has no wildcards: only the key that it spells matches.
    Key,
}

impl<'p> Pattern<'p> {
    /// What matches every key.
    pub(super) const ALL: Pattern<'static> = Pattern {
        glob: None,
        place: Place::Anywhere,
    };

    pub(super) fn new(pattern: &'p [u8]) -> Self {
        if pattern == b"*" {
            return Pattern::ALL;
        }
        let prefix = glob::literal_prefix(pattern);
        let place = if prefix.len() == pattern.len() {
            Place::Key
        } else {
            tag_slot(prefix).map_or(Place::Anywhere, Place::Slot)
        };
        Pattern {
            glob: Some(pattern),
            place,
        }
    }

    pub(super) fn matches(&self, key: &[u8]) -> bool {
        match (self.glob, &self.place) {
            (None, _) => true,
            (Some(spelled), Place::Key) => key == spelled,
            (Some(pattern), _) => glob::matches(pattern, key),
        }
    }

    /// The range of meta keys outside of which nothing matches.
    pub(super) fn bounds(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        match (&self.place, self.glob) {
            (Place::Slot(slot), _) => {
                let end = (slot + 1 < SLOTS).then(|| (slot + 1).to_be_bytes().to_vec());
                (slot.to_be_bytes().to_vec(), end)
            }
            (Place::Key, Some(key)) => {
                let only = meta_key(key);
                let end = [&only[..], &[0]].concat();
                (only, Some(end))
            }
            _ => (Vec::new(), None),
        }
    }
}

/// The slot of all keys that start with `prefix`, if it has a complete hash tag: what is between its first `{` and the
/// first `}` after it, unless that is nothing.
fn tag_slot(prefix: &[u8]) -> Option<Slot> {
    let open = prefix.iter().position(|&b| b == b'{')?;
    let close = prefix[open..].iter().position(|&b| b == b'}')?;
    (close > 1).then(|| slot_of(prefix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slot(pattern: &str) -> Option<Slot> {
        match Pattern::new(pattern.as_bytes()).place {
            Place::Slot(slot) => Some(slot),
            _ => None,
        }
    }

    #[test]
    fn a_complete_tag_before_the_first_wildcard_says_the_slot() {
        assert_eq!(slot("{a}*"), Some(slot_of(b"a")));
        assert_eq!(slot("user:{42}:*"), Some(slot_of(b"42")));
        assert_eq!(slot("x{{a}?"), Some(slot_of(b"{a")));
        for pattern in ["{a*}", "{}*", "{}{a}*", "a*{b}", "{a}", "[{]a}*", "\\{a}*", "*", "}{a*"] {
            assert_eq!(slot(pattern), None, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn whatever_matches_stands_within_the_bounds(pattern in "[a{}*?]{0,8}", key in "[a{}]{0,8}") {
            let pattern = Pattern::new(pattern.as_bytes());
            let (lower, upper) = pattern.bounds();
            if pattern.matches(key.as_bytes()) {
                let meta = meta_key(key.as_bytes());
                prop_assert!(meta >= lower);
                prop_assert!(upper.is_none_or(|upper| meta < upper));
            }
        }
    }
}
