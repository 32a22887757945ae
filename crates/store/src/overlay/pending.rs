//! What is pending, as others see it: the turn that is to be published next, and ranges in key order.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

use haypile_rows::Key;

use super::{Overlay, Pending, Place, Turn};
use crate::counts::SlotChange;
use crate::orders::Came;
use crate::{Cf, SpaceId, effects};

/// The turn that is to be published next.
pub(crate) struct PendingTurn<'a>(&'a Turn);

/// A write: key, and what has become of it.
pub(crate) type Write<'a> = (Key<'a>, NewValue<'a>);

/// What a write leaves.
#[derive(Clone, Copy)]
pub(crate) enum NewValue<'a> {
    /// A value, or none.
    Bytes(Option<&'a [u8]>),
    /// The draft with this number.
    Draft(usize),
}

impl<'a> PendingTurn<'a> {
    pub(super) fn new(turn: &'a Turn) -> Self {
        PendingTurn(turn)
    }

    /// The last write to each key.
    pub(crate) fn writes(&self) -> impl Iterator<Item = Write<'a>> + Clone + use<'a> {
        let turn = self.0;
        turn.writes.iter().map(|write| {
            let key = Key {
                hash: write.hash,
                space: write.space,
                family: write.cf as u8,
                key: turn.key(write),
            };
            let value = match write.value {
                Pending::Draft(number) => NewValue::Draft(number as usize),
                _ => NewValue::Bytes(turn.value(write.value)),
            };
            (key, value)
        })
    }

    /// Elements that come (1) or go (-1), where each effect of the turn is one or the other: an element is written only if there is none
    /// of its name, and deleted only if there is.
    pub(crate) fn came(&self) -> impl Iterator<Item = (SpaceId, Came<'a>)> + use<'a> {
        let turn = self.0;
        turn.writes
            .iter()
            .filter(|write| write.cf == Cf::Data)
            .filter_map(|write| {
                let is_there = !matches!(write.value, Pending::Deleted);
                let by = i64::from(is_there) - i64::from(!write.began_with_put);
                (by != 0).then_some((write.space, (turn.key(write), by)))
            })
    }

    /// What the counters change by.
    pub(crate) fn counted(&self) -> &'a [SlotChange] {
        &self.0.counted
    }

    /// Databases that are other keyspaces after the turn, in order.
    pub(crate) fn maps(&self) -> impl Iterator<Item = (u16, SpaceId)> + use<'a> {
        let ops = if self.0.maps { &self.0.ops[..] } else { &[] };
        effects::Effects::new(ops).flatten().filter_map(|effect| match effect {
            effects::Effect::Map { db, space } => Some((db, space)),
            _ => None,
        })
    }
}

/// Pending writes of a range in key order.
pub(crate) struct PendingRange<'a>(Option<Within<'a>>);

struct Within<'a> {
    overlay: &'a Overlay,
    range: Ordered<'a>,
    /// All pending writes in order.
    all: &'a BTreeMap<Box<[u8]>, Place>,
    prefix: [u8; ORDERED_PREFIX],
}

type Ordered<'a> = btree_map::Range<'a, Box<[u8]>, Place>;

/// Bytes that an ordered key has before the key itself: keyspace and column family.
const ORDERED_PREFIX: usize = 5;

impl<'a> PendingRange<'a> {
    /// A range in which nothing is pending.
    pub(crate) fn none() -> Self {
        PendingRange(None)
    }

    /// Those of the overlay, all of which are given in order, between two of its ordered keys.
    pub(super) fn of(overlay: &'a Overlay, all: &'a BTreeMap<Box<[u8]>, Place>, low: &[u8], high: &[u8]) -> Self {
        let Some(prefix) = low.first_chunk() else {
            return PendingRange::none();
        };
        PendingRange(Some(Within {
            overlay,
            range: between(all, low, high),
            all,
            prefix: *prefix,
        }))
    }

    /// Goes on with those from `key` up to but not including `until`, which lie within the range.
    pub(crate) fn seek(&mut self, key: &[u8], until: &[u8]) {
        if let Some(Within { range, all, prefix, .. }) = &mut self.0 {
            let place = |key| [&prefix[..], key].concat();
            *range = between(all, &place(key), &place(until));
        }
    }

    /// The next from the front or from the back: key, and value or `None` for a deletion.
    pub(crate) fn next(&mut self, forward: bool) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let Within { overlay, range, .. } = self.0.as_mut()?;
        let (key, place) = if forward { range.next()? } else { range.next_back()? };
        let (turn, write) = overlay.write(*place);
        let value = turn.value(write.value);
        Some((&key[ORDERED_PREFIX..], value))
    }
}

/// What stands between two keys, of which the first is below the second, or nothing.
fn between<'a>(all: &'a BTreeMap<Box<[u8]>, Place>, low: &[u8], high: &[u8]) -> Ordered<'a> {
    let low = low.min(high);
    all.range::<[u8], _>((Bound::Included(low), Bound::Excluded(high)))
}

/// Where a key stands among those of all keyspaces and column families.
pub(super) fn ordered_key(space: SpaceId, cf: Cf, key: &[u8]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(ORDERED_PREFIX + key.len());
    out.extend_from_slice(&space.to_be_bytes());
    out.push(cf as u8);
    out.extend_from_slice(key);
    out.into_boxed_slice()
}

/// Past all keys of a keyspace's column family.
pub(super) fn ordered_end(space: SpaceId, cf: Cf) -> Box<[u8]> {
    let mut out = Vec::with_capacity(ORDERED_PREFIX);
    out.extend_from_slice(&space.to_be_bytes());
    out.push(cf as u8 + 1);
    out.into_boxed_slice()
}
