//! What is pending, as others see it: the turn that is to be published next, and ranges in key order.

use std::borrow::Cow;
use std::collections::btree_map;
use std::vec;

use super::{Overlay, Place, Slot, Turn};
use crate::known::UnsettledWrite;
use crate::rows::Key;
use crate::{Cf, SpaceId, effects};

/// The turn that is to be published next.
pub(crate) struct PendingTurn<'a> {
    overlay: &'a Overlay,
    turn: &'a Turn,
}

/// A write: key, and value or `None` for a deletion.
pub(crate) type Write<'a> = (Key<'a>, Option<&'a [u8]>);

/// A turn's writes.
pub(crate) enum Pending<'a, I> {
    /// The last write to each key, in no order.
    Latest(I),
    /// All effects in order.
    All(&'a [u8]),
}

impl<'a> PendingTurn<'a> {
    pub(super) fn new(overlay: &'a Overlay, turn: &'a Turn) -> Self {
        PendingTurn { overlay, turn }
    }

    pub(crate) fn pending(&self) -> Pending<'a, impl Iterator<Item = Write<'a>> + Clone> {
        let (overlay, turn) = (self.overlay, self.turn);
        if overlay.turns.len() > 1 {
            // The index knows the last write over all turns only.
            return Pending::All(&turn.ops);
        }
        Pending::Latest(overlay.table.iter().map(|slot| {
            let key = &turn.ops[slot.place.key.clone()];
            let value = slot.place.value.as_ref().map(|value| &turn.ops[value.clone()]);
            let Slot { hash, space, cf, .. } = *slot;
            (Key { hash, space, cf, key }, value)
        }))
    }

    /// What else the turn does: for use with [`Pending::Latest`].
    pub(crate) fn counts_and_maps(&self) -> impl Iterator<Item = effects::Effect<'a>> {
        let turn = self.turn;
        let counts = turn
            .counts
            .iter()
            .map(|&(space, keys, expires)| effects::Effect::Count { space, keys, expires });
        let ops = if turn.maps { &turn.ops[..] } else { &[] };
        let maps = effects::Effects::new(ops)
            .flatten()
            .filter(|e| matches!(e, effects::Effect::Map { .. }));
        counts.chain(maps)
    }
}

/// Pending writes in key order; `None` as a value is a deletion.
pub(crate) struct PendingRange<'a>(Pendings<'a>);

enum Pendings<'a> {
    None,
    Overlay(&'a Overlay, btree_map::Range<'a, Box<[u8]>, Place>),
    /// In the order in which they are scanned.
    Listed(vec::IntoIter<UnsettledWrite>),
}

/// Bytes that an ordered key has before the key itself: keyspace and column family.
const ORDERED_PREFIX: usize = 5;

/// A key, and its value or `None` for a deletion.
pub(crate) type PendingItem<'a> = (Cow<'a, [u8]>, Option<Cow<'a, [u8]>>);

impl<'a> PendingRange<'a> {
    /// A range in which nothing is pending.
    pub(crate) fn none() -> Self {
        PendingRange(Pendings::None)
    }

    /// Those of the overlay between two of its ordered keys.
    pub(super) fn of(overlay: &'a Overlay, range: btree_map::Range<'a, Box<[u8]>, Place>) -> Self {
        PendingRange(Pendings::Overlay(overlay, range))
    }

    /// Exactly these, which are in the order in which they are scanned.
    pub(crate) fn listed(writes: Vec<UnsettledWrite>) -> Self {
        PendingRange(Pendings::Listed(writes.into_iter()))
    }

    /// Copies of all, in ascending order.
    pub(crate) fn into_writes(mut self) -> impl Iterator<Item = UnsettledWrite> {
        std::iter::from_fn(move || {
            let (key, value) = self.next(true)?;
            Some((key.into_owned(), value.map(Cow::into_owned)))
        })
    }

    pub(crate) fn next(&mut self, forward: bool) -> Option<PendingItem<'a>> {
        match &mut self.0 {
            Pendings::None => None,
            Pendings::Overlay(overlay, range) => {
                let (key, place) = if forward { range.next()? } else { range.next_back()? };
                let value = place.value.as_ref().map(|v| overlay.bytes(place.turn, v));
                Some((Cow::Borrowed(&key[ORDERED_PREFIX..]), value.map(Cow::Borrowed)))
            }
            Pendings::Listed(writes) => {
                let (key, value) = writes.next()?;
                Some((Cow::Owned(key), value.map(Cow::Owned)))
            }
        }
    }
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
