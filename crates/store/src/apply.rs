//! From committed entries to RocksDB, in two steps: *publish* makes them visible to point reads, and *settle* writes
//! what was published to RocksDB.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_types::Position;
use rocksdb::{WriteBatch, WriteOptions};

use crate::effects::{Effect, Effects};
use crate::overlay::{Pending, Write};
use crate::rows::{self, Dirty, DirtyList, FETCHED_AHEAD, Found, Key};
use crate::spaces::{Space, Spaces};
use crate::state::STATE_KEY;
use crate::store::Store;
use crate::{Cf, Overlay, SpaceId, StoreError, StoreState, packed};

/// The column family in which the store's own record stands.
const DEFAULT_CF: &str = "default";

/// What has been published: the state after it, and the rows that RocksDB does not have yet.
pub(crate) struct Published {
    pub(crate) state: StoreState,
    pub(crate) dirty: DirtyList,
}

/// What the settling thread keeps between batches.
pub(crate) struct Settler {
    batch: WriteBatch,
    scratch: Vec<u8>,
    /// What RocksDB has.
    settled: Position,
    /// Taken, but RocksDB refused it: written first the next time.
    pub(crate) retry: Vec<Vec<Dirty>>,
}

impl Settler {
    pub(crate) fn new(settled: Position) -> Self {
        Settler {
            batch: WriteBatch::default(),
            scratch: Vec::new(),
            settled,
            retry: Vec::new(),
        }
    }
}

/// What publishing changed beyond keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// A database is another keyspace now. Once the log is safe on disk, [`Store::drop_unmapped`] frees the old one.
    pub remapped: bool,
    /// Rows that are published and not settled.
    pub dirty_rows: usize,
    /// Their bytes.
    pub dirty_bytes: usize,
}

impl Store {
    /// Publishes the oldest pending turn, whose last entry is at `position`, and drops it from the overlay.
    ///
    /// # Errors
    /// The turn is published all the same; only what it changes about databases may not be.
    pub fn apply_oldest(&self, overlay: &mut Overlay, position: Position, clock: u64) -> Result<Applied, StoreError> {
        let mut published = self.published.lock();
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let mut changes = Changes {
            store: self,
            published: &mut published,
            remapped: false,
        };
        if let Some(turn) = overlay.oldest() {
            match turn.pending() {
                Pending::Latest(writes) => {
                    changes.rows(writes);
                    for effect in turn.counts_and_maps() {
                        changes.effect(effect)?;
                    }
                }
                Pending::All(ops) => {
                    for effect in Effects::new(ops) {
                        changes.effect(effect?)?;
                    }
                }
            }
        }
        let remapped = changes.remapped;
        overlay.retire_oldest();
        let applied = self.end_publish(&mut published, position, clock, remapped);
        Ok(applied)
    }

    /// Publishes logged payloads again, in order: recovery, and what followers do.
    pub fn replay(&self, payloads: &[u8], position: Position, clock: u64) -> Result<Applied, StoreError> {
        let mut published = self.published.lock();
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let mut changes = Changes {
            store: self,
            published: &mut published,
            remapped: false,
        };
        for effect in Effects::new(payloads) {
            changes.effect(effect?)?;
        }
        let remapped = changes.remapped;
        let applied = self.end_publish(&mut published, position, clock, remapped);
        Ok(applied)
    }

    fn end_publish(&self, published: &mut Published, position: Position, clock: u64, remapped: bool) -> Applied {
        let state = &mut published.state;
        assert!(
            position >= state.applied,
            "an entry at {position} cannot be applied to a store that is at {}",
            state.applied
        );
        state.applied = position;
        state.clock = state.clock.max(clock);
        if remapped {
            state.counts.retain(|space, _| state.dbs.contains(space));
            // Keyspaces may be freed meanwhile, by another thread.
            self.spaces.rcu(|spaces| {
                let mut spaces = Spaces::clone(spaces);
                spaces.dbs.clone_from(&state.dbs);
                spaces
            });
            self.set_next_space(state.next_space);
        }
        self.epoch.fetch_add(1, Ordering::SeqCst);
        Applied {
            remapped,
            dirty_rows: published.dirty.rows.len(),
            dirty_bytes: published.dirty.bytes,
        }
    }

    /// Writes everything that was published before the call to RocksDB, as one batch with the state after it.
    ///
    /// # Errors
    /// Nothing of it is in RocksDB; it stays published and goes with the next attempt.
    pub fn settle(&self) -> Result<(), StoreError> {
        let mut settler = self.settler.lock();
        let mut published = self.published.lock();
        if published.state.applied == settler.settled && settler.retry.is_empty() {
            return Ok(());
        }
        let state = published.state.clone();
        let mut taken = self.rows.take_dirty(&mut published.dirty);
        drop(published);
        rows::sort(&mut taken);
        settler.retry.push(taken);
        let Settler {
            batch, scratch, retry, ..
        } = &mut *settler;
        batch.clear();
        let mut open: Option<(SpaceId, Arc<Space>)> = None;
        let mut ahead = retry.iter().flatten().skip(FETCHED_AHEAD);
        for Dirty { row, .. } in retry.iter().flatten() {
            if let Some(dirty) = ahead.next() {
                dirty.row.prefetch();
            }
            if open.as_ref().is_none_or(|(id, _)| *id != row.space()) {
                open = Some((row.space(), self.open_space(row.space())?));
            }
            let Some((_, space)) = &open else { continue };
            match row.value() {
                Some(value) => batch.put_cf(space.cf(row.cf()), row.key(), value),
                None => batch.delete_cf(space.cf(row.cf()), row.key()),
            }
        }
        scratch.clear();
        state.encode(scratch);
        let default = self.db.cf_handle(DEFAULT_CF);
        let default = default.ok_or_else(|| StoreError::Corrupt("the default column family is missing".into()))?;
        batch.put_cf(&default, STATE_KEY, &scratch);
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db
            .write_opt(batch, &options)
            .map_err(StoreError::rocks("write to"))?;
        batch.clear();
        for rows in retry.drain(..) {
            self.rows.mark_clean(&rows);
        }
        settler.settled = state.applied;
        self.settled_index.store(state.applied.index, Ordering::Release);
        Ok(())
    }

    /// The column families of a keyspace, made if it has none yet.
    fn open_space(&self, id: SpaceId) -> Result<Arc<Space>, StoreError> {
        if let Some(open) = self.spaces.load().get(id) {
            return Ok(open.clone());
        }
        for cf in Cf::ALL {
            let name = cf.name_in(id);
            if self.db.cf_handle(&name).is_none() {
                self.db
                    .create_cf(&name, &self.cf_options(cf, id))
                    .map_err(StoreError::rocks("extend"))?;
            }
        }
        let open =
            Space::open(&self.db, id).ok_or_else(|| StoreError::Corrupt(format!("keyspace {id} cannot be opened")))?;
        let open = Arc::new(open);
        self.spaces.rcu(|spaces| {
            let mut changed = Spaces::clone(spaces);
            changed.open.insert(id, open.clone());
            changed
        });
        Ok(open)
    }
}

/// Publishes effects one after another.
struct Changes<'a> {
    store: &'a Store,
    published: &'a mut Published,
    remapped: bool,
}

impl Changes<'_> {
    fn rows<'w>(&mut self, mut writes: impl Iterator<Item = Write<'w>> + Clone) {
        let rows = &self.store.rows;
        while let chunk = writes.clone().take(FETCHED_AHEAD)
            && let Some((key, value)) = writes.next()
        {
            rows.prefetch(chunk.map(|(key, _)| key.hash));
            self.row(key, value);
            for (key, value) in writes.by_ref().take(FETCHED_AHEAD - 1) {
                self.row(key, value);
            }
        }
    }

    fn row(&mut self, key: Key<'_>, value: Option<&[u8]>) {
        self.store.rows.publish(&mut self.published.dirty, key, value);
    }

    fn patch(&mut self, space: SpaceId, key: &[u8], patch: &[u8]) -> Result<(), StoreError> {
        let key = Key::new(space, Cf::Meta, key);
        let mut row = Vec::new();
        match self.store.rows.get(key) {
            Found::Hit(old) => packed::patch_row(&mut row, old.value(), patch)?,
            Found::Miss(_) => {
                let old = self.store.get_from_rocksdb(space, Cf::Meta, key.key, <[u8]>::to_vec)?;
                packed::patch_row(&mut row, old.as_deref(), patch)?;
            }
        }
        self.row(key, Some(&row));
        Ok(())
    }

    fn effect(&mut self, effect: Effect<'_>) -> Result<(), StoreError> {
        let state = &mut self.published.state;
        match effect {
            Effect::Put { space, cf, key, value } => self.row(Key::new(space, cf, key), Some(value)),
            Effect::Delete { space, cf, key } => self.row(Key::new(space, cf, key), None),
            Effect::Count { space, keys, expires } => {
                let counts = state.counts.entry(space).or_default();
                counts.keys = counts.keys.saturating_add_signed(keys);
                counts.expires = counts.expires.saturating_add_signed(expires);
                self.store.set_counts(space, *counts);
            }
            Effect::Map { db, space } => {
                if let Some(slot) = state.dbs.get_mut(usize::from(db)) {
                    *slot = space;
                }
                state.next_space = state.next_space.max(space + 1);
                self.remapped = true;
            }
            Effect::Patch { space, key, patch } => self.patch(space, key, patch)?,
            Effect::Tag { .. } | Effect::EventOfRow { .. } | Effect::Event { .. } => {}
        }
        Ok(())
    }
}
