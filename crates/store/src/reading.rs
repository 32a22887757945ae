//! The states that can be read: the newest, for as long as a guard lasts, and one that is pinned for longer.

use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use haypile_rows::{At, Eras, Guard, Key, Row, RowRef, Ticket};
use rocksdb::{DBPinnableSlice, ReadOptions};

use crate::base::Base;
use crate::dirty::{DirtyRange, Sees};
use crate::layers::{Layer, Layers};
use crate::overlay::PendingRange;
use crate::{Cf, Direction, SpaceId, Store, StoreError, Tier};

/// The newest state when it was made, for reads that are soon over: it counts nothing and locks nothing, but while it is
/// there, no version that is superseded can be freed. For more than that, [`Pinned`].
pub struct Reading<'s> {
    pub(crate) store: &'s Store,
    /// Both live as long as the guard.
    base: NonNull<Base>,
    databases: NonNull<[SpaceId]>,
    pub(crate) position: u64,
    pub(crate) guard: Guard<'static>,
}

/// One state, kept for as long as it is needed however much is written meanwhile: RocksDB's snapshot, and what was
/// visible and not in it.
pub struct Pinned<'s> {
    pub(crate) store: &'s Store,
    base: Arc<Base>,
    databases: Arc<[SpaceId]>,
    layers: [Layers; 3],
    position: u64,
    given_up: Arc<AtomicBool>,
}

/// A state that a view reads.
pub(crate) enum State<'a> {
    Newest(&'a Reading<'a>),
    Pinned(&'a Pinned<'a>),
}

/// What is found of a key above RocksDB.
pub(crate) enum Found<'a> {
    Version(RowRef<'a>),
    Kept(Row),
    /// RocksDB has it, if it is there at all. With the ticket it may go to the rows in memory.
    Below(Option<Ticket>),
}

impl Store {
    /// The newest state.
    pub fn read(&self) -> Reading<'_> {
        let guard = Eras::enter();
        // In this order: what is visible and not in the base is found above it.
        let base = NonNull::from(self.visible.base.get(&guard));
        let position = self.visible.position();
        let databases = NonNull::from(&**self.visible.databases_at(&guard, position));
        Reading {
            store: self,
            base,
            databases,
            position,
            guard,
        }
    }

    /// The newest state, to be read for long.
    pub fn pin(&self) -> Pinned<'_> {
        let guard = Eras::enter();
        let mut front = self.visible.front.lock();
        let until = front.state.applied.index;
        let base = self.visible.base.clone_arc(&guard);
        let layers = Cf::ALL.map(|cf| {
            let family = &mut front.families[cf as usize];
            family.seal(cf, until);
            family.layers.clone()
        });
        let databases = front.state.dbs.clone();
        drop(front);
        let given_up = self.pins.lock().add(&layers);
        Pinned {
            store: self,
            base,
            databases: databases.into(),
            layers,
            position: until,
            given_up,
        }
    }
}

impl Reading<'_> {
    pub(crate) fn base(&self) -> &Base {
        // SAFETY: it was the newest after the guard was made, and is kept for those who have one.
        unsafe { self.base.as_ref() }
    }

    pub(crate) fn databases(&self) -> &[SpaceId] {
        // SAFETY: as above.
        unsafe { self.databases.as_ref() }
    }
}

impl<'a> State<'a> {
    pub(crate) fn store(&self) -> &'a Store {
        match self {
            State::Newest(reading) => reading.store,
            State::Pinned(pinned) => pinned.store,
        }
    }

    /// The position that is read.
    pub(crate) fn position(&self) -> u64 {
        match self {
            State::Newest(reading) => reading.position,
            State::Pinned(pinned) => pinned.position,
        }
    }

    pub(crate) fn base(&self) -> &'a Base {
        match self {
            State::Newest(reading) => reading.base(),
            State::Pinned(pinned) => &pinned.base,
        }
    }

    pub(crate) fn databases(&self) -> &'a [SpaceId] {
        match self {
            State::Newest(reading) => reading.databases(),
            State::Pinned(pinned) => &pinned.databases,
        }
    }

    /// An error if the state is not to be read any more, because it keeps too much in memory.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let is_given_up = match self {
            State::Newest(reading) => reading.guard.is_recalled(),
            State::Pinned(pinned) => pinned.given_up.load(Ordering::Relaxed),
        };
        if is_given_up { Err(StoreError::GivenUp) } else { Ok(()) }
    }

    /// Has the processor fetch what looking up these hashes will touch.
    pub(crate) fn prefetch(&self, hashes: impl Iterator<Item = u64> + Clone) {
        if let State::Newest(reading) = self {
            reading.store.rows.prefetch(&reading.guard, hashes);
        }
    }

    /// Looks for a key above RocksDB.
    pub(crate) fn find(&self, key: Key<'_>, cf: Cf) -> Found<'a> {
        match self {
            State::Newest(reading) => match reading.store.rows.at(&reading.guard, key, reading.position) {
                At::Version(row) => Found::Version(row),
                At::NewerOnly => Found::Below(None),
                At::Nothing(ticket) => Found::Below(Some(ticket)),
            },
            State::Pinned(pinned) => pinned.find(key, cf),
        }
    }

    /// Reads a key from RocksDB, and keeps it in memory if it may.
    pub(crate) fn read_below(
        &self,
        key: Key<'_>,
        cf: Cf,
        tier: Tier,
        ticket: Option<Ticket>,
    ) -> Result<Option<DBPinnableSlice<'a>>, StoreError> {
        let base = self.base();
        let got = base.get(key.space, cf, key.key, tier)?;
        if let (Some(value), Some(ticket)) = (&got, ticket) {
            self.store().rows.fill(ticket, key, value, base.settled);
        }
        Ok(got)
    }

    /// What is above RocksDB in a range.
    pub(crate) fn dirty<'p>(
        &self,
        space: SpaceId,
        cf: Cf,
        (lower, upper): (&[u8], Option<&[u8]>),
        direction: Direction,
        pending: PendingRange<'p>,
    ) -> DirtyRange<'p> {
        let range = (lower, upper);
        match self {
            State::Newest(reading) => {
                let wanted = |row: &Row| {
                    row.space() == space && row.key() >= lower && upper.is_none_or(|upper| row.key() < upper)
                };
                let visible = &reading.store.visible;
                let (layers, loose) = visible.unsettled(cf, reading.base().settled, wanted);
                let sees = Sees::Until(reading.position);
                DirtyRange::new((&layers, loose), pending, space, range, direction, sees)
            }
            State::Pinned(pinned) => {
                let layers = &pinned.layers[cf as usize];
                DirtyRange::new((layers, Vec::new()), pending, space, range, direction, Sees::All)
            }
        }
    }
}

impl Pinned<'_> {
    fn find<'a>(&self, key: Key<'_>, cf: Cf) -> Found<'a> {
        let rows = &self.store.rows;
        let guard = Eras::enter();
        let is_newest_base = std::ptr::eq(self.store.visible.base.get(&guard), &*self.base);
        // Only the newest version of all may be looked at: this guard is from after the position, so that what the newest one
        // has superseded may be gone.
        let ticket = match rows.at(&guard, key, u64::MAX) {
            At::Version(row) if row.position() <= self.position => return Found::Kept(row.clone()),
            At::Nothing(ticket) if is_newest_base => return Found::Below(Some(ticket)),
            At::Version(_) | At::Nothing(_) | At::NewerOnly => None,
        };
        drop(guard);
        let layers = self.layers[cf as usize].iter().rev();
        match layers
            .filter(|layer| layer.until > self.base.settled)
            .find_map(|layer| layer.get(key.space, key.key))
        {
            Some(row) => Found::Kept(row.clone()),
            None => Found::Below(ticket),
        }
    }
}

/// The states that are pinned, the oldest first.
#[derive(Default)]
pub(crate) struct Pins(Vec<Pin>);

struct Pin {
    layers: Vec<Weak<Layer>>,
    given_up: Arc<AtomicBool>,
}

impl Pins {
    fn add(&mut self, layers: &[Layers; 3]) -> Arc<AtomicBool> {
        // Here as well: where nothing is written, nothing is settled.
        self.forget_gone();
        let given_up = Arc::new(AtomicBool::new(false));
        self.0.push(Pin {
            layers: layers
                .iter()
                .flat_map(|layers| layers.iter())
                .map(Arc::downgrade)
                .collect(),
            given_up: given_up.clone(),
        });
        given_up
    }

    /// Forgets the states that are gone: they have dropped their mark.
    fn forget_gone(&mut self) {
        self.0.retain(|pin| Arc::strong_count(&pin.given_up) > 1);
    }

    /// Gives up the oldest states if what only they keep in memory is too much. Everything until `settled` is in RocksDB.
    pub(crate) fn keep_within_bounds(&mut self, settled: u64, bytes_max: usize) {
        self.forget_gone();
        let mut seen = HashSet::new();
        let mut bytes = 0;
        // The newest may keep what they need.
        for pin in self.0.iter().rev() {
            for layer in pin.layers.iter().filter_map(Weak::upgrade) {
                if layer.until <= settled && seen.insert(Arc::as_ptr(&layer)) {
                    bytes += layer.bytes;
                }
            }
            if bytes > bytes_max {
                pin.given_up.store(true, Ordering::Relaxed);
            }
        }
    }
}

pub(crate) fn point_options(tier: Tier) -> ReadOptions {
    let mut options = ReadOptions::default();
    if tier == Tier::Memory {
        options.set_read_tier(rocksdb::ReadTier::BlockCache);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_are_gone_are_forgotten_where_nothing_is_settled() {
        let mut pins = Pins::default();
        let kept = pins.add(&Default::default());
        for _ in 0..100 {
            drop(pins.add(&Default::default()));
        }
        assert_eq!(pins.0.len(), 2, "the one that is kept, and the last");
        drop(kept);
    }
}
