//! Settling: what was published is written to RocksDB in large sorted batches. Nobody waits for it, and nothing that somebody reads
//! makes it happen.
//!
//! Readers who have entered before go on reading the state of RocksDB that they found, with what was above that. So a batch has
//! three steps: it is written; a new base, which has it, takes the place of the old one; and when nobody who has entered
//! before reads any more, its rows are clean and its layers go ([`Store::tidy`]).

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use haypile_rows::{Eras, FETCHED_AHEAD, Limbo};
use haypile_types::Position;
use rocksdb::{FlushOptions, WriteBatch, WriteOptions};

use crate::base::Base;
use crate::layers::Layer;
use crate::options::{FIRST_BLOOM_ROWS, MEMTABLE_BLOOM, MEMTABLE_BLOOM_ROWS};
use crate::spaces::Space;
use crate::state::STATE_KEY;
use crate::store::Store;
use crate::{Cf, SpaceId, StoreError};

/// The column family in which the store's own record stands.
const DEFAULT_CF: &str = "default";
/// What a row takes in a batch beyond its bytes, at most: a type, the column family, and two lengths. Besides there are the store's
/// own record and the counters.
const BATCH_BYTES_FOR_ROW: usize = 16;
/// The memory of a batch is kept for the next if it is not larger than so many times what is settled at once: more comes while a batch is
/// written.
const BATCHES_KEPT: (usize, usize) = (5, 4);
/// RocksDB's name for how many rows the memtable has that is being written.
const ACTIVE_MEMTABLE_ROWS: &str = "rocksdb.num-entries-active-mem-table";
/// How long a batch waits for a flush to end, and how often.
const FLUSH_WAIT: Duration = Duration::from_millis(100);
const FLUSH_WAITS_MAX: u32 = 20;
/// RocksDB's names for whether flushes wait or are at work.
const FLUSHES_PENDING: &str = "rocksdb.mem-table-flush-pending";
const FLUSHES_RUNNING: &str = "rocksdb.num-running-flushes";

/// What the settling thread keeps between batches.
pub(crate) struct Settler {
    batch: WriteBatch,
    /// Bytes that it was made for.
    batch_room: usize,
    scratch: Vec<u8>,
    /// What RocksDB has.
    settled: Position,
    /// Its keyspaces.
    pub(crate) spaces: HashMap<SpaceId, Arc<Space>>,
    /// Batches that are written and still needed by readers, the oldest first.
    written: VecDeque<Written>,
    limbo: Limbo,
    /// Column families whose memtables have Bloom filters.
    filtered: HashSet<(SpaceId, Cf)>,
}

/// A batch that is in RocksDB.
struct Written {
    /// Needed by those who have entered before this era.
    tag: u64,
    until: u64,
    layers: Vec<Arc<Layer>>,
}

impl Settler {
    pub(crate) fn new(settled: Position, spaces: HashMap<SpaceId, Arc<Space>>) -> Self {
        Settler {
            batch: WriteBatch::default(),
            batch_room: 0,
            scratch: Vec::new(),
            settled,
            spaces,
            written: VecDeque::new(),
            limbo: Limbo::default(),
            filtered: HashSet::new(),
        }
    }

    /// Has the empty batch take so many bytes without being moved: it would take twice as many while it is, and up to that for good.
    /// What it takes usually, `kept` bytes, is there from the beginning, as far as it has been written to.
    fn make_room(&mut self, bytes: usize, kept: usize) {
        if bytes > self.batch_room {
            self.batch = WriteBatch::default();
            self.batch_room = bytes.max(kept);
            self.batch = WriteBatch::with_capacity_bytes(self.batch_room);
        }
    }

    /// Empties the batch. What a large one took is given back.
    fn empty_batch(&mut self, kept: usize) {
        if self.batch_room > kept {
            self.batch = WriteBatch::default();
            self.batch_room = 0;
        } else {
            self.batch.clear();
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
        // First: what is counted is then that of the state.
        let slots = self.slot_counts.lock();
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
        let counted = slots.changed(settler.settled.index);
        drop(slots);
        let settled = settler.settled.index;
        let unsettled = layers.iter().flat_map(|layers| layers.iter());
        let unsettled = unsettled.filter(|layer| layer.until > settled);
        let bytes = unsettled
            .map(|layer| layer.bytes + layer.len() * BATCH_BYTES_FOR_ROW)
            .sum();
        let kept = self.shared.budget.unsettled_bytes / BATCHES_KEPT.1 * BATCHES_KEPT.0;
        settler.make_room(bytes, kept);
        // What no database is any more in the state that is written is not written: it would be made to be dropped.
        let lives = |space: SpaceId| state.dbs.contains(&space);
        for cf in Cf::ALL {
            let unsettled = layers[cf as usize].iter().filter(|layer| layer.until > settled);
            let spaces = unsettled.clone().flat_map(|layer| layer.spaces());
            let spaces = spaces.filter(|(space, _)| lives(*space));
            self.open_families(settler, cf, spaces)?;
            // The keyspace that the rows are of, and whether some database is it.
            let mut at: Option<(SpaceId, bool, Option<Arc<Space>>)> = None;
            // The oldest first: of several writes to a key RocksDB has the last.
            let rows = unsettled.flat_map(|layer| layer.rows());
            let mut ahead = rows.clone().skip(FETCHED_AHEAD);
            for row in rows {
                if let Some(row) = ahead.next() {
                    row.prefetch();
                }
                let id = row.space();
                if at.as_ref().is_none_or(|(at, ..)| *at != id) {
                    at = Some((id, lives(id), settler.spaces.get(&id).cloned()));
                }
                let Some((_, true, space)) = &at else { continue };
                let family = space.as_ref().and_then(|space| space.cf(cf));
                let family = family.ok_or_else(|| missing(&cf.name_in(id)))?;
                match row.value() {
                    Some(value) => settler.batch.put_cf(family, row.key(), value),
                    None => settler.batch.delete_cf(family, row.key()),
                }
            }
        }
        settler.scratch.clear();
        state.encode(&mut settler.scratch);
        let default = self.db.cf_handle(DEFAULT_CF);
        let default = default.ok_or_else(|| missing(DEFAULT_CF))?;
        settler.batch.put_cf(&default, STATE_KEY, &settler.scratch);
        for record in &counted {
            match record.value() {
                Some(value) => settler.batch.put_cf(&default, record.key(), value),
                None => settler.batch.delete_cf(&default, record.key()),
            }
        }
        drop(counted);
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.wait_for_flushes(bytes)?;
        let written = self.db.write_opt(&settler.batch, &options);
        settler.empty_batch(kept);
        written.map_err(StoreError::rocks("write to"))?;
        settler.settled = state.applied;
        self.slot_counts.lock().removed(state.applied.index);
        self.settled_index.store(state.applied.index, Ordering::Release);
        let tag = self.renew_base(settler);
        let own = layers.iter().flat_map(|layers| layers.iter());
        settler.written.push_back(Written {
            tag,
            until: state.applied.index,
            layers: own.filter(|layer| layer.until > settled).cloned().collect(),
        });
        drop(layers);
        self.tidy(settler);
        self.pins
            .lock()
            .keep_within_bounds(state.applied.index, self.shared.budget.kept_bytes);
        if let Err(error) = self.flush_excess(settler) {
            tracing::warn!(%error, "memtables that are too large are not flushed");
        }
        if let Err(error) = self.filter_memtables(settler) {
            // What was to be written is written; it is only that look-ups take longer.
            tracing::warn!(%error, "a memtable gets no Bloom filter");
        }
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
    pub(crate) fn tidy(&self, settler: &mut Settler) {
        let eras = Eras::global();
        settler.limbo.free(eras);
        let oldest = eras.oldest();
        let needed = settler.written.partition_point(|written| written.tag <= oldest);
        let Some(until) = settler.written.get(needed.wrapping_sub(1)).map(|written| written.until) else {
            return;
        };
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
        let (mut rows, mut shared) = (Vec::new(), Vec::new());
        for layer in settler.written.drain(..needed).flat_map(|written| written.layers) {
            match Arc::try_unwrap(layer) {
                Ok(layer) => rows.push(layer.into_rows()),
                // Somebody reads it still.
                Err(layer) => shared.push(layer),
            }
        }
        self.rows.mark_clean(shared.iter().flat_map(|layer| layer.rows()));
        self.rows.mark_clean_and_drop(rows);
    }

    /// Makes a column family of these keyspaces, each with how many rows it gets, where it is missing.
    fn open_families(
        &self,
        settler: &mut Settler,
        cf: Cf,
        wanted: impl Iterator<Item = (SpaceId, usize)>,
    ) -> Result<(), StoreError> {
        let Settler { spaces, filtered, .. } = settler;
        let mut missing: BTreeMap<SpaceId, usize> = BTreeMap::new();
        for (id, rows) in wanted {
            if spaces.get(&id).is_none_or(|space| space.cf(cf).is_none()) {
                *missing.entry(id).or_default() += rows;
            }
        }
        let (large, small): (Vec<_>, Vec<_>) = missing.into_iter().partition(|(_, rows)| *rows >= FIRST_BLOOM_ROWS);
        for (ids, is_filtered) in [(large, cf != Cf::Expiry), (small, false)] {
            // With each call RocksDB writes a file with the options of all column families that there are. Those of elements
            // have options of their own: each filter looks into its own keyspace.
            let at_once = if cf == Cf::Data { 1 } else { usize::MAX };
            for ids in ids.chunks(at_once.min(ids.len().max(1))) {
                // An attempt that failed may have made some of them.
                let absent = ids
                    .iter()
                    .filter(|(id, _)| self.db.cf_handle(&cf.name_in(*id)).is_none());
                let names: Vec<String> = absent.map(|(id, _)| cf.name_in(*id)).collect();
                if let (Some((id, _)), false) = (ids.first(), names.is_empty()) {
                    let made = self.db.create_cfs(names, &self.cf_options(cf, *id, is_filtered));
                    made.map_err(StoreError::rocks("extend"))?;
                }
                for (id, _) in ids {
                    spaces.insert(*id, Arc::new(Space::open(&self.db, *id)));
                    if is_filtered {
                        filtered.insert((*id, cf));
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits until memtables may grow by so many bytes, as long as flushes are at work: they would outgrow their part of the memory if
    /// they grow more quickly than the disk takes them.
    fn wait_for_flushes(&self, bytes: usize) -> Result<(), StoreError> {
        for _ in 0..FLUSH_WAITS_MAX {
            let seen = self.health().flushes();
            let memtables = self.shared.write_buffer_usage_bytes();
            let fits = memtables + bytes <= self.shared.budget.memtable_bytes_max;
            if fits || self.health().failure().is_some() || !self.is_flushing()? {
                break;
            }
            self.health().wait_flush(seen, FLUSH_WAIT);
        }
        Ok(())
    }

    fn is_flushing(&self) -> Result<bool, StoreError> {
        for at_work in [FLUSHES_PENDING, FLUSHES_RUNNING] {
            let flushes = self.db.property_int_value(at_work).map_err(StoreError::rocks("ask"))?;
            if flushes.unwrap_or(0) > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Flushes memtables that have become too large with the batch. RocksDB looks at their size before it writes, so that those of
    /// one large batch would stay until the next one comes, whenever that is.
    fn flush_excess(&self, settler: &Settler) -> Result<(), StoreError> {
        if self.shared.write_buffer_usage_bytes() <= self.shared.budget.write_buffer_bytes {
            return Ok(());
        }
        if self.is_flushing()? {
            return Ok(());
        }
        let mut options = FlushOptions::default();
        options.set_wait(false);
        self.flush_spaces(&settler.spaces, &options)
    }

    /// Gives Bloom filters to the memtables of column families into which much is written. They are worth their memory, a part
    /// of the whole write buffer, only there.
    fn filter_memtables(&self, settler: &mut Settler) -> Result<(), StoreError> {
        let Settler { spaces, filtered, .. } = settler;
        filtered.retain(|(id, _)| spaces.contains_key(id));
        let before = filtered.len();
        for (id, space) in &*spaces {
            for (cf, family) in space.cfs().filter(|(cf, _)| *cf != Cf::Expiry) {
                if filtered.contains(&(*id, cf)) {
                    continue;
                }
                let rows = self.db.property_int_value_cf(family, ACTIVE_MEMTABLE_ROWS);
                let rows = rows.map_err(StoreError::rocks("ask"))?.unwrap_or(0);
                if rows < MEMTABLE_BLOOM_ROWS {
                    continue;
                }
                self.db
                    .set_options_cf(family, &[MEMTABLE_BLOOM])
                    .map_err(StoreError::rocks("change the options of"))?;
                filtered.insert((*id, cf));
            }
        }
        if filtered.len() == before {
            return Ok(());
        }
        // Only the next memtable has one, and until there is one each look-up of a key that is not there would search this one. All are
        // flushed: one alone would be ahead of the others on disk, and elements there without their row would be taken for
        // orphans.
        let mut options = FlushOptions::default();
        options.set_wait(false);
        self.flush_spaces(spaces, &options)
    }
}

fn missing(family: &str) -> StoreError {
    StoreError::Corrupt(format!("the column family {family} is missing"))
}
