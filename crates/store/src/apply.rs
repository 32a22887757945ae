use haypile_types::Position;
use rocksdb::WriteOptions;
use std::sync::Arc;

use crate::effects::{Effect, Effects};
use crate::overlay::PendingTurn;
use crate::spaces::{Space, Spaces};
use crate::state::STATE_KEY;
use crate::store::{Applier, Store};
use crate::{Cf, Overlay, SpaceId, StoreError};

/// The column family in which the store's own record stands.
const DEFAULT_CF: &str = "default";

impl Store {
    /// Applies the oldest pending turn, which is logged up to `position`, and drops it from the overlay.
    ///
    /// The batch, the counters and the position become visible together. After an error nothing of it is, and the
    /// turn is still pending.
    pub fn apply_oldest(&self, overlay: &mut Overlay, position: Position, clock: u64) -> Result<Applied, StoreError> {
        let mut applier = self.applier.lock();
        let applied = match overlay.oldest() {
            Some(turn) => {
                let ops = turn.ops();
                applier.collect(self, ops, Some(&turn))?;
                applier.commit(self, position, clock)?
            }
            None => Applied::default(),
        };
        overlay.retire_oldest();
        Ok(applied)
    }

    /// Applies logged payloads again, in order, as one batch: recovery, and what followers do.
    pub fn replay<'p>(
        &self,
        payloads: impl IntoIterator<Item = &'p [u8]>,
        position: Position,
        clock: u64,
    ) -> Result<Applied, StoreError> {
        let mut applier = self.applier.lock();
        for payload in payloads {
            applier.collect(self, payload, None)?;
        }
        applier.commit(self, position, clock)
    }
}

/// What applying changed beyond keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// A database is another keyspace now. Once the log is safe on disk, [`Store::drop_unmapped`] frees the old one.
    pub remapped: bool,
}

impl Applier {
    fn collect(&mut self, store: &Store, ops: &[u8], turn: Option<&PendingTurn<'_>>) -> Result<(), StoreError> {
        let mut spaces = store.spaces.load_full();
        for effect in Effects::new(ops) {
            match effect? {
                Effect::Put { space, cf, key, value } => {
                    if turn.is_none_or(|t| t.is_last(space, cf, key)) {
                        let open = self.open_space(store, &mut spaces, space)?;
                        self.batch.put_cf(open.cf(cf), key, value);
                    }
                }
                Effect::Delete { space, cf, key } => {
                    // A keyspace that was never written to has nothing to delete.
                    if let Some(open) = spaces.get(space)
                        && turn.is_none_or(|t| t.is_last(space, cf, key))
                    {
                        self.batch.delete_cf(open.cf(cf), key);
                    }
                }
                Effect::Count { space, keys, expires } => {
                    let counts = self.state.counts.entry(space).or_default();
                    counts.keys = counts.keys.saturating_add_signed(keys);
                    counts.expires = counts.expires.saturating_add_signed(expires);
                    self.counted.push(space);
                }
                Effect::Map { db, space } => {
                    if let Some(slot) = self.state.dbs.get_mut(usize::from(db)) {
                        *slot = space;
                    }
                    self.state.next_space = self.state.next_space.max(space + 1);
                    self.remapped = true;
                }
                Effect::Tag { .. } => {}
            }
        }
        Ok(())
    }

    fn open_space(&mut self, store: &Store, spaces: &mut Arc<Spaces>, id: SpaceId) -> Result<Arc<Space>, StoreError> {
        if let Some(open) = spaces.get(id) {
            return Ok(open.clone());
        }
        for cf in [Cf::Meta, Cf::Data, Cf::Expiry] {
            let name = cf.name_in(id);
            if store.db.cf_handle(&name).is_none() {
                store
                    .db
                    .create_cf(&name, &store.cf_options(cf, id))
                    .map_err(StoreError::rocks("extend"))?;
            }
        }
        let counts = self.state.counts.get(&id).copied().unwrap_or_default();
        let open = Space::open(&store.db, id, counts)
            .ok_or_else(|| StoreError::Corrupt(format!("keyspace {id} cannot be opened")))?;
        let mut changed = Spaces::clone(spaces);
        let open = Arc::new(open);
        changed.open.insert(id, open.clone());
        *spaces = Arc::new(changed);
        store.spaces.store(spaces.clone());
        Ok(open)
    }

    fn commit(&mut self, store: &Store, position: Position, clock: u64) -> Result<Applied, StoreError> {
        assert!(
            position >= self.state.applied,
            "an entry at {position} cannot be applied to a store that is at {}",
            self.state.applied
        );
        self.state.applied = position;
        self.state.clock = self.state.clock.max(clock);
        self.scratch.clear();
        if self.remapped {
            self.state.counts.retain(|space, _| self.state.dbs.contains(space));
        }
        self.state.encode(&mut self.scratch);
        let default = store
            .db
            .cf_handle(DEFAULT_CF)
            .ok_or_else(|| StoreError::Corrupt("the default column family is missing".into()))?;
        self.batch.put_cf(&default, STATE_KEY, &self.scratch);
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        let written = store.db.write_opt(&self.batch, &options);
        self.batch.clear();
        written.map_err(StoreError::rocks("write to"))?;

        let applied = Applied {
            remapped: std::mem::take(&mut self.remapped),
        };
        let spaces = store.spaces.load();
        for id in self.counted.drain(..) {
            if let (Some(space), Some(counts)) = (spaces.get(id), self.state.counts.get(&id)) {
                space.set_counts(*counts);
            }
        }
        if applied.remapped {
            let mut changed = Spaces::clone(&spaces);
            changed.dbs.clone_from(&self.state.dbs);
            store.spaces.store(Arc::new(changed));
            store.set_next_space(self.state.next_space);
        }
        Ok(applied)
    }
}
