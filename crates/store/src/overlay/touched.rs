//! Of which collections elements are pending, or have been since something was pending first.

use hashbrown::HashSet;

use crate::SpaceId;
use crate::keys::{DATA_PREFIX, collection_of};

/// A keyspace and what the data keys of one of its collections start with.
type Id = (SpaceId, [u8; DATA_PREFIX]);

/// See the module. It may have more than there are, never fewer.
#[derive(Default)]
pub(super) struct Touched {
    all: HashSet<Id>,
    /// The one that was added last: most writes are to the same again.
    last: Option<Id>,
}

impl Touched {
    /// An element is written.
    pub(super) fn add(&mut self, space: SpaceId, data_key: &[u8]) {
        let id = id_of(space, data_key);
        if id.is_some() && id != self.last {
            self.all.extend(id);
            self.last = id;
        }
    }

    /// True if something may be pending between two data keys.
    pub(super) fn may_have(&self, space: SpaceId, lower: &[u8], upper: Option<&[u8]>) -> bool {
        let (Some(lower), Some(upper)) = (id_of(space, lower), upper) else {
            return !self.all.is_empty();
        };
        // The end of a collection is the first key that the next one may have.
        let is_within = upper.starts_with(&lower.1) || next(lower.1).is_some_and(|next| next == *upper);
        match is_within {
            true => self.all.contains(&lower),
            false => !self.all.is_empty(),
        }
    }

    /// Nothing is pending any more.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.last = None;
    }
}

fn id_of(space: SpaceId, data_key: &[u8]) -> Option<Id> {
    Some((space, collection_of(data_key)?.try_into().ok()?))
}

/// The prefix behind one, of the same length; `None` for the last one.
fn next(mut prefix: [u8; DATA_PREFIX]) -> Option<[u8; DATA_PREFIX]> {
    for byte in prefix.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(prefix);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Home;

    #[test]
    fn of_other_collections_nothing_is_pending() {
        let home = |id| Home { slot: 7, id };
        let mut touched = Touched::default();
        let has = |touched: &Touched, home: Home| {
            let all = touched.may_have(3, &home.first(), Some(&home.end()));
            let part = touched.may_have(3, &home.element(b"a"), Some(&home.element(b"b")));
            assert_eq!(all, part);
            all
        };
        assert!(!has(&touched, home(1)));
        touched.add(3, &home(1).element(b"x"));
        touched.add(3, &home(1).element(b"y"));
        touched.add(3, &home(0xff).record());
        assert!(has(&touched, home(1)) && has(&touched, home(0xff)));
        assert!(!has(&touched, home(2)) && !has(&touched, home(0x100)) && !has(&touched, home(0)));
        assert!(
            !touched.may_have(4, &home(1).first(), Some(&home(1).end())),
            "in another keyspace"
        );
        assert!(
            touched.may_have(3, &home(2).first(), Some(&home(9).end())),
            "over several collections"
        );
        assert!(touched.may_have(3, &home(2).first(), None) && touched.may_have(3, &[], None));
        touched.clear();
        assert!(!has(&touched, home(1)) && !touched.may_have(3, &[], None));
    }
}
