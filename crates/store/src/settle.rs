//! Settling: what was published is written to RocksDB in large sorted batches. Nobody waits for it, and nothing that somebody reads
//! makes it happen.
//!
//! Readers who have entered before go on reading the state of RocksDB that they found, with what was above that. So a batch has
//! three steps: it is written; a new base, which has it, takes the place of the old one; and when nobody who has entered
//! before reads any more, its rows are clean and its layers go ([`Store::tidy`]).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_rows::{Eras, FETCHED_AHEAD, Limbo};
use haypile_types::Position;
use rocksdb::{WriteBatch, WriteOptions};

use crate::base::Base;
use crate::layers::Layers;
use crate::spaces::Space;
use crate::state::STATE_KEY;
use crate::store::Store;
use crate::{Cf, SpaceId, StoreError};

/// The column family in which the store's own record stands.
const DEFAULT_CF: &str = "default";

/// What the settling thread keeps between batches.
pub(crate) struct Settler {
    batch: WriteBatch,
    scratch: Vec<u8>,
    /// What RocksDB has.
    settled: Position,
    /// Its keyspaces.
    pub(crate) spaces: HashMap<SpaceId, Arc<Space>>,
    /// Batches that are written and still needed by readers, the oldest first.
    written: VecDeque<Written>,
    limbo: Limbo,
}

/// A batch that is in RocksDB.
struct Written {
    /// Needed by those who have entered before this era.
    tag: u64,
    until: u64,
    layers: [Layers; 3],
}

impl Settler {
    pub(crate) fn new(settled: Position, spaces: HashMap<SpaceId, Arc<Space>>) -> Self {
        Settler {
            batch: WriteBatch::default(),
            scratch: Vec::new(),
            settled,
            spaces,
            written: VecDeque::new(),
            limbo: Limbo::default(),
        }
    }
}

impl Store {
    /// Writes everything that was visible before the call to RocksDB, as one batch with the state after it.
    ///
    /// # Errors
    /// Nothing of it is in RocksDB; it stays visible and goes with the next attempt.
    pub fn settle(&self) -> Result<(), StoreError> {
        let mut settler = self.settler.lock();
        let settler = &mut *settler;
        self.tidy(settler);
        let mut front = self.visible.front.lock();
        let state = front.state.clone();
        if state.applied == settler.settled {
            return Ok(());
        }
        let layers = Cf::ALL.map(|cf| {
            let family = &mut front.families[cf as usize];
            family.seal(cf, state.applied.index);
            family.layers.clone()
        });
        drop(front);
        settler.batch.clear();
        for cf in Cf::ALL {
            let unsettled = layers[cf as usize]
                .iter()
                .filter(|layer| layer.until > settler.settled.index);
            let mut open: Option<(SpaceId, Arc<Space>)> = None;
            // The oldest first: of several writes to a key RocksDB has the last.
            let rows = unsettled.flat_map(|layer| layer.rows());
            let mut ahead = rows.clone().skip(FETCHED_AHEAD);
            for row in rows {
                if let Some(row) = ahead.next() {
                    row.prefetch();
                }
                if open.as_ref().is_none_or(|(id, _)| *id != row.space()) {
                    open = Some((row.space(), self.open_space(&mut settler.spaces, row.space())?));
                }
                let Some((_, space)) = &open else { continue };
                match row.value() {
                    Some(value) => settler.batch.put_cf(space.cf(cf), row.key(), value),
                    None => settler.batch.delete_cf(space.cf(cf), row.key()),
                }
            }
        }
        settler.scratch.clear();
        state.encode(&mut settler.scratch);
        let default = self.db.cf_handle(DEFAULT_CF);
        let default = default.ok_or_else(|| StoreError::Corrupt("the default column family is missing".into()))?;
        settler.batch.put_cf(&default, STATE_KEY, &settler.scratch);
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        let written = self.db.write_opt(&settler.batch, &options);
        settler.batch.clear();
        written.map_err(StoreError::rocks("write to"))?;
        settler.settled = state.applied;
        self.settled_index.store(state.applied.index, Ordering::Release);
        let tag = self.renew_base(settler);
        settler.written.push_back(Written {
            tag,
            until: state.applied.index,
            layers,
        });
        self.tidy(settler);
        self.pins
            .lock()
            .keep_within_bounds(state.applied.index, self.shared.kept_bytes);
        Ok(())
    }

    /// Gives readers RocksDB's state of now; the tag of the one before.
    pub(crate) fn renew_base(&self, settler: &mut Settler) -> u64 {
        let base = Base::new(&self.db, settler.settled.index, settler.spaces.clone());
        let base = Arc::new(base);
        let mut bases = self.bases.lock();
        bases.retain(|base| base.strong_count() > 0);
        bases.push(Arc::downgrade(&base));
        drop(bases);
        let before = self.visible.base.replace(base);
        let eras = Eras::global();
        let tag = eras.tag();
        settler.limbo.add_value(tag, before);
        eras.advance();
        settler.limbo.free(eras);
        tag
    }

    /// Lets go of batches that are in RocksDB for everybody.
    fn tidy(&self, settler: &mut Settler) {
        let eras = Eras::global();
        settler.limbo.free(eras);
        let mut until = None;
        while settler
            .written
            .front()
            .is_some_and(|written| written.tag <= eras.oldest())
        {
            let Some(written) = settler.written.pop_front() else {
                break;
            };
            let rows = written.layers.iter().flat_map(|layers| layers.iter());
            let rows = rows.flat_map(|layer| layer.rows());
            self.rows.mark_clean(rows);
            until = Some(written.until);
        }
        let Some(until) = until else { return };
        let mut front = self.visible.front.lock();
        let dropped = Cf::ALL.map(|cf| {
            let family = &mut front.families[cf as usize];
            let kept: Vec<_> = family
                .layers
                .iter()
                .filter(|layer| layer.until > until)
                .cloned()
                .collect();
            std::mem::replace(&mut family.layers, Arc::new(kept))
        });
        drop(front);
        drop(dropped);
    }

    /// Lets go of what is kept for readers who have ended meanwhile.
    pub fn release(&self) {
        if let Some(mut settler) = self.settler.try_lock() {
            self.tidy(&mut settler);
        }
    }

    /// The column families of a keyspace, made if it has none yet.
    fn open_space(&self, spaces: &mut HashMap<SpaceId, Arc<Space>>, id: SpaceId) -> Result<Arc<Space>, StoreError> {
        if let Some(open) = spaces.get(&id) {
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
        spaces.insert(id, open.clone());
        Ok(open)
    }
}
