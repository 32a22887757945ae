//! The moment in which a turn becomes visible, and what is kept of what was there before.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_rows::{Eras, Row};
use haypile_types::Position;

use super::{Applied, DatabasesVersion, New, Publisher};
use crate::layers::Layer;
use crate::store::Store;
use crate::visible::Databases;
use crate::{Cf, SpaceId, StoreError};

/// Rows of one column family with which a turn gets a layer of its own, instead of a place in the list of the newest, into which
/// they go one by one under a lock. Below that the list is better: it has each key once, and RocksDB gets it in one order.
const LAYER_ROWS: usize = 32 << 10;
/// Room for so many rows is kept for the next turn.
const KEPT_ROWS: usize = 4096;
/// Superseded versions that nobody looks at may wait for the next turns, up to so many bytes.
const FREED_LATER_BYTES: usize = 256 << 10;

/// True if a deletion of an entry of the expiry index leaves nothing to be settled: RocksDB has never had the entry, which is made
/// only where there is none. A key whose expiry is renewed again and again so costs RocksDB nothing. Who looks for keys that are due,
/// and nobody else reads the index, looks again in a turn before it does anything, so it need not find what was there before.
fn leaves_nothing(before: &Row, deletion: &Row) -> bool {
    deletion.value().is_none() && before.value().is_some() && before.is_first()
}

impl Publisher {
    /// Adds what the turn has published to what is visible.
    ///
    /// # Errors
    /// The counters of keys do not fit. Nothing has become visible; the store is of no use any more.
    pub(super) fn install(&mut self, store: &Store, position: Position, clock: u64) -> Result<Applied, StoreError> {
        // Until the position is visible: who settles gets the counters of the state that it settles.
        let mut slots = store.slot_counts.lock();
        let counts = slots.change(&self.counted, position.index)?;
        let remapped = !self.maps.is_empty();
        let dbs = remapped.then(|| self.remap(store, position.index));
        self.counted.clear();
        if let Some(dbs) = &dbs {
            slots.keep(dbs, position.index);
        }
        let mut front = store.visible.front.lock();
        let front = &mut *front;
        let settled = store.settled_index();
        let mut applied = Applied {
            remapped,
            ..Applied::default()
        };
        for cf in Cf::ALL {
            let (rows, family) = (&mut self.rows[cf as usize], &mut front.families[cf as usize]);
            let bytes = std::mem::take(&mut self.bytes[cf as usize]);
            if rows.len() >= LAYER_ROWS {
                family.seal(cf, front.state.applied.index);
                let rows = rows.drain(..).map(|new| new.row).collect();
                family.push(Arc::new(Layer::new(cf, rows, position.index, bytes)));
            } else {
                family.list_bytes += bytes;
                for New { row, before } in rows.drain(..) {
                    let listed = before.and_then(|at| {
                        let before = self.superseded.get(at)?;
                        let listed = family.list.get_mut(before.place());
                        listed.filter(|listed| listed.is_same(before))
                    });
                    match listed {
                        Some(listed) if cf == Cf::Expiry && leaves_nothing(listed, &row) => {
                            let place = listed.place();
                            family.list_bytes -= listed.len() + row.len();
                            family.list.swap_remove(place);
                            if let Some(moved) = family.list.get(place) {
                                moved.set_place(place);
                            }
                            self.gone.push(row);
                        }
                        Some(listed) => {
                            row.set_place(listed.place());
                            family.list_bytes -= listed.len();
                            *listed = row;
                        }
                        None => {
                            row.set_place(family.list.len());
                            family.list.push(row);
                        }
                    }
                }
            }
            let (rows, bytes) = family.unsettled(settled);
            applied.dirty_rows += rows;
            applied.dirty_bytes += bytes;
        }
        let state = &mut front.state;
        assert!(
            position >= state.applied,
            "an entry at {position} cannot be applied to a store that is at {}",
            state.applied
        );
        state.applied = position;
        state.clock = state.clock.max(clock);
        if let Some(members) = self.members.take() {
            state.members = Some(members);
        }
        for (space, keys, expires) in counts {
            let sum = front.counts.entry(space).or_default();
            // They are the sums of what has just been found to fit.
            *sum = sum.change_loosely(keys, expires);
        }
        if let Some(dbs) = dbs {
            for (_, space) in &self.maps {
                state.next_space = state.next_space.max(space + 1);
            }
            let before = std::mem::replace(&mut state.dbs, dbs.to_vec());
            let gone = before.into_iter().filter(|space| !dbs.contains(space));
            front.unmapped.extend(gone.map(|space| (space, position.index)));
            front.counts.retain(|space, _| dbs.contains(space));
            store.orders.retain(|space| dbs.contains(&space));
        }
        if !self.came.is_empty() {
            store.orders.publish(position.index, self.came.drain(..));
        }
        store.visible.advance(position.index);
        for row in self.gone.drain(..) {
            store.rows.remove_deletion(&row);
        }
        // Not before: who takes the mark must be able to see what it stands for.
        if let Some(first) = self.first_expiry.take() {
            store.first_expiry.fetch_min(first, Ordering::AcqRel);
        }
        Ok(applied)
    }

    /// Makes known which keyspaces the databases are from `position` on.
    fn remap(&mut self, store: &Store, position: u64) -> Arc<[SpaceId]> {
        let oldest = Eras::global().oldest();
        self.databases
            .retain(|version| version.kept == u64::MAX || version.kept > oldest);
        let mut dbs = self.dbs().to_vec();
        for (db, space) in &self.maps {
            // Whoever has put it there has looked whether there is such a database.
            dbs[usize::from(*db)] = *space;
        }
        let dbs: Arc<[SpaceId]> = dbs.into();
        let version = DatabasesVersion {
            from: position,
            dbs: dbs.clone(),
            kept: u64::MAX,
        };
        self.databases.insert(0, version);
        let versions = self.databases.iter().map(|version| (version.from, version.dbs.clone()));
        let before = store.visible.databases.replace(Arc::new(Databases(versions.collect())));
        self.limbo.add_value(Eras::global().tag(), before);
        dbs
    }

    /// What the turn has superseded waits for readers.
    pub(super) fn retire(&mut self, retained_bytes_max: usize) {
        let eras = Eras::global();
        let tag = eras.tag();
        for version in self
            .databases
            .iter_mut()
            .skip(1)
            .filter(|version| version.kept == u64::MAX)
        {
            version.kept = tag;
        }
        for row in self.superseded.drain(..) {
            self.limbo.add_row(tag, row);
        }
        eras.advance();
        // What is tagged later is not free because nobody reads now.
        self.freeable = eras.oldest().min(tag);
        if self.limbo.bytes() > FREED_LATER_BYTES {
            while self.limbo.free_one(self.freeable) {}
        }
        let bytes = self.limbo.bytes();
        if bytes < retained_bytes_max {
            self.recalled_at = 0;
        } else if bytes >= self.recalled_at + retained_bytes_max {
            self.recalled_at = bytes;
            eras.recall();
        }
        if self.counted.capacity() > KEPT_ROWS {
            self.counted = Vec::new();
        }
        if self.maps.capacity() > KEPT_ROWS {
            self.maps = Vec::new();
        }
        self.maps.clear();
        if self.superseded.capacity() > KEPT_ROWS {
            self.superseded = Vec::new();
        }
        for rows in &mut self.rows {
            if rows.capacity() > KEPT_ROWS {
                *rows = Vec::new();
            }
        }
    }
}
