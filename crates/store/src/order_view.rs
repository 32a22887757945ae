//! How a view asks for the n-th element of a collection, and for how many stand before one: see [`crate::orders`].

use haypile_rows::Key;

use crate::orders::{Part, Wanted};
use crate::reading::Found;
use crate::{Cf, Direction, SpaceId, Store, StoreError, Tier, View};

/// Elements from which on an order is kept.
const SIZE_MIN: u64 = 2048;
/// Pending writes of a collection with which an order is still of use: each is looked up.
const PENDING_MAX: usize = 512;
/// Elements that are gone through where nothing is read from the disk.
const AT_ONCE_MAX: u64 = 32 << 10;
/// How often a run is cut for one question: once, unless others cut it meanwhile.
const ATTEMPTS: usize = 4;

/// Elements of one collection: a range of data keys, and how many there are.
#[derive(Clone, Copy)]
pub struct Among<'b> {
    /// The first may have this key.
    pub lower: &'b [u8],
    /// All are below this.
    pub upper: &'b [u8],
    /// How many there are.
    pub size: u64,
}

/// Keys that come (1) or go (-1).
type Changes = Vec<(Vec<u8>, i64)>;

/// A place among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// Where to begin: a lower bound.
    pub from: Vec<u8>,
    /// Elements that are below it.
    pub before: u64,
}

impl View<'_> {
    /// A place that is not far before the element with this index; `None` if that is not known. It `may_begin` to keep what is needed
    /// to know it, which takes as long as going through all elements.
    pub fn near_nth(
        &mut self,
        space: SpaceId,
        elements: Among<'_>,
        n: u64,
        may_begin: bool,
    ) -> Result<Option<Near>, StoreError> {
        self.near(space, elements, Wanted::Nth(n), may_begin)
    }

    /// The same for a key, which need not be there, within the range.
    pub fn near_key(
        &mut self,
        space: SpaceId,
        elements: Among<'_>,
        key: &[u8],
        may_begin: bool,
    ) -> Result<Option<Near>, StoreError> {
        self.near(space, elements, Wanted::Key(key), may_begin)
    }

    fn near(
        &mut self,
        space: SpaceId,
        elements: Among<'_>,
        wanted: Wanted<'_>,
        may_begin: bool,
    ) -> Result<Option<Near>, StoreError> {
        let store = self.state.store();
        if elements.size < SIZE_MIN || (store.orders.are_none() && !may_begin) {
            return Ok(None);
        }
        let Some(pending) = self.pending_changes(space, elements)? else {
            return Ok(None);
        };
        let position = self.state.position();
        for _ in 0..ATTEMPTS {
            let part = store.orders.part(space, elements.lower, position, &pending, wanted);
            let Some(part) = part else {
                let begins = may_begin && pending.is_empty();
                if begins && store.begin_order(space, elements, position) {
                    continue;
                }
                return Ok(None);
            };
            if let (Some(length), true) = (part.cut, pending.is_empty()) {
                if part.count > AT_ONCE_MAX && self.tier == Tier::Memory {
                    // That takes its time, which others must not wait for: it is done where reads of the disk are.
                    return Err(StoreError::Cold);
                }
                let parts = self.go_through(space, &part, length)?;
                store.orders.cut(space, &part.from, &part.until, position, parts);
                continue;
            }
            let Part { from, before, .. } = part;
            return Ok(Some(Near { from, before }));
        }
        Ok(None)
    }

    /// Cuts a part: where each of so many elements begins, and how many it has.
    fn go_through(&mut self, space: SpaceId, part: &Part, length: u64) -> Result<Vec<(Vec<u8>, u64)>, StoreError> {
        let mut parts: Vec<(Vec<u8>, u64)> = vec![(part.from.clone(), 0)];
        let mut scan = self.scan(space, Cf::Data, &part.from, Some(&part.until), Direction::Forward)?;
        while let Some((key, _)) = scan.next()? {
            match parts.last_mut() {
                Some((_, count)) if *count < length => *count += 1,
                _ => parts.push((key.to_vec(), 1)),
            }
        }
        Ok(parts)
    }

    /// What is pending of these elements: keys that come (1) or go (-1), in order. `None` if that is too much to look up.
    fn pending_changes(&self, space: SpaceId, elements: Among<'_>) -> Result<Option<Changes>, StoreError> {
        let Some(overlay) = self.overlay.as_deref() else {
            return Ok(Some(Vec::new()));
        };
        let mut range = overlay.pending_range(space, Cf::Data, elements.lower, Some(elements.upper));
        let mut changes = Vec::new();
        let mut left = PENDING_MAX;
        while let Some((key, value)) = range.next(true) {
            if left == 0 {
                return Ok(None);
            }
            left -= 1;
            let at = Key::new(space, Cf::Data as u8, key);
            let was_there = match self.state.find(at, Cf::Data) {
                Found::Version(row) => row.value().is_some(),
                Found::Kept(row) => row.value().is_some(),
                Found::Below(ticket) => self.state.read_below(at, Cf::Data, self.tier, ticket)?.is_some(),
            };
            let by = i64::from(value.is_some()) - i64::from(was_there);
            if by != 0 {
                changes.push((key.to_vec(), by));
            }
        }
        Ok(Some(changes))
    }
}

impl Store {
    /// Of how many collections it is kept where their elements stand, and how many times that turned out to be wrong, which is a defect.
    pub fn orders(&self) -> (usize, usize) {
        (self.orders.count(), self.orders.mistakes())
    }

    /// Begins an order if `position` is the newest, and nobody is publishing.
    fn begin_order(&self, space: SpaceId, elements: Among<'_>, position: u64) -> bool {
        let Some(_publisher) = self.publisher.try_lock() else {
            return false;
        };
        let is_newest = self.visible.position() == position;
        if is_newest {
            let range = (elements.lower, elements.upper);
            self.orders.begin(space, range, elements.size, position);
        }
        is_newest
    }
}
