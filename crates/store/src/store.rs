//! One partition's RocksDB and the rows in memory over it.

mod opening;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use haypile_rows::{Eras, RowTable, hash_of};
use haypile_types::Position;
use parking_lot::Mutex;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, FlushOptions, Options, ReadOptions, ReadTier};

use crate::base::Base;
use crate::counts::SlotCounts;
use crate::keys;
use crate::listener::Health;
use crate::options::{MEMTABLE_BLOOM_RATIO, cf_options};
use crate::orders::Orders;
use crate::publish::Publisher;
use crate::reading::Pins;
use crate::settle::Settler;
use crate::spaces::Space;
use crate::state::STATE_KEY;
use crate::visible::Visible;
use crate::{Cf, Counts, SharedResources, SpaceId, StoreError, StoreOptions, StoreState, Tier};

/// How long a compaction waits for readers of older states, and how often it looks whether they have gone.
const READERS_WAIT_MAX: Duration = Duration::from_secs(2);
const READERS_WAIT_STEP: Duration = Duration::from_millis(1);
/// What writing down memtables takes beyond their bytes: indexes, the manifest.
const RESUME_BYTES_MORE: u64 = 1 << 20;

/// One partition's RocksDB. Reading is free for all threads; applying is for one at a time.
pub struct Store {
    // Handles of column families and snapshots must go before the database: fields drop in this order.
    pub(crate) visible: Visible,
    pub(crate) publisher: Mutex<Publisher>,
    /// Locked for moments only, and nothing else under it.
    pub(crate) orders: Orders,
    pub(crate) settler: Mutex<Settler>,
    /// Held while keyspaces are freed, and while a checkpoint is made: that has one state of the rows and, a moment later, the
    /// column families there are, which must be those of that state. Taken before the settler's lock.
    families: Mutex<()>,
    /// Taken before the lock of what is visible, and after that of who publishes or settles.
    pub(crate) slot_counts: Mutex<SlotCounts>,
    /// Log index of the last entry that RocksDB has, its memtables included.
    pub(crate) settled_index: AtomicU64,
    /// See [`Store::take_first_expiry`].
    pub(crate) first_expiry: AtomicU64,
    pub(crate) pins: Mutex<Pins>,
    /// The states of RocksDB that somebody may still read, the oldest first; the dead are cleared away now and then.
    pub(crate) bases: Arc<Mutex<Vec<Weak<Base>>>>,
    pub(crate) rows: Arc<RowTable>,
    /// As the state has it: nothing raises it yet.
    id_floor: u64,
    options: StoreOptions,
    pub(crate) shared: SharedResources,
    weak_db: Arc<OnceLock<Weak<DB>>>,
    health: Arc<Health>,
    compaction_cancelled: AtomicBool,
    path: PathBuf,
    pub(crate) db: Arc<DB>,
}

/// RocksDB's figures that are worth watching.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // the names say it
pub struct StoreStats {
    pub sst_bytes: u64,
    pub memtable_bytes: u64,
    pub pending_compaction_bytes: u64,
    pub running_compactions: u64,
    pub running_flushes: u64,
    pub level0_files: u64,
    pub estimated_keys: u64,
    pub block_cache_bytes: u64,
    pub write_buffer_bytes: u64,
    pub row_bytes: u64,
    /// Of published rows that are not settled, about.
    pub unsettled_bytes: u64,
    /// Of superseded versions that readers keep from being freed.
    pub retained_bytes: u64,
}

impl Store {
    /// Has the processor fetch the rows of these user keys, as far as they are in memory, all at once: with more rows
    /// than its cache holds, the commands that follow would wait for them one after another.
    pub fn prefetch<'k>(&self, db: u16, user_keys: impl Iterator<Item = &'k [u8]>) {
        let guard = Eras::enter();
        let dbs = self.visible.databases_at(&guard, self.visible.position());
        let Some(space) = dbs.get(usize::from(db)) else {
            return;
        };
        let mut key = Vec::with_capacity(64);
        let hash = |user_key| {
            key.clear();
            keys::write_meta_key(&mut key, user_key);
            hash_of(*space, Cf::Meta as u8, &key)
        };
        let hashes: Vec<u64> = user_keys.map(hash).collect();
        self.rows.prefetch(&guard, hashes.iter().copied());
    }

    /// Where the store stands: what has been published, durable or not.
    pub fn state(&self) -> StoreState {
        self.visible.front.lock().state.clone()
    }

    /// The last entry that has been published.
    pub fn applied(&self) -> Position {
        self.visible.front.lock().state.applied
    }

    /// The timestamp of the last entry that has been published.
    pub fn applied_clock(&self) -> u64 {
        self.visible.front.lock().state.clock
    }

    /// How many databases there are.
    pub fn databases(&self) -> u16 {
        self.visible.front.lock().state.dbs.len() as u16
    }

    /// The keyspace of each database.
    pub fn mapping(&self) -> Vec<SpaceId> {
        self.visible.front.lock().state.dbs.clone()
    }

    pub(crate) fn settled_index(&self) -> u64 {
        self.settled_index.load(Ordering::Acquire)
    }

    /// Reads a settled value straight from RocksDB, past the rows in memory: for comparison with it.
    ///
    /// # Errors
    /// RocksDB's.
    pub fn get_from_rocksdb<R>(
        &self,
        space: SpaceId,
        cf: Cf,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, StoreError> {
        let guard = Eras::enter();
        let got = self.visible.base.get(&guard).get(space, cf, key, Tier::Disk)?;
        Ok(got.map(|value| read(&value)))
    }

    /// What of it is on disk: the log is not needed up to here.
    pub fn persisted(&self) -> Result<Position, StoreError> {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::Persisted);
        match self
            .db
            .get_pinned_opt(STATE_KEY, &options)
            .map_err(StoreError::rocks("read"))?
        {
            Some(bytes) => Ok(StoreState::decode(&bytes)?.applied),
            None => Ok(Position::ZERO),
        }
    }

    /// Writes all that has been published to disk, and waits for it.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.settle()?;
        loop {
            let spaces = self.open_spaces();
            let mut options = FlushOptions::default();
            options.set_wait(true);
            match self.flush_spaces(&spaces, &options) {
                // A keyspace was freed meanwhile, so that there is one less.
                Err(_) if spaces.keys().any(|id| !self.open_spaces().contains_key(id)) => {}
                outcome => return outcome,
            }
        }
    }

    /// Flushes all column families there are, together.
    pub(crate) fn flush_spaces(
        &self,
        spaces: &HashMap<SpaceId, Arc<Space>>,
        options: &FlushOptions,
    ) -> Result<(), StoreError> {
        let mut handles: Vec<_> = spaces
            .values()
            .flat_map(|space| space.cfs().map(|(_, family)| family.clone()))
            .collect();
        handles.extend(self.db.cf_handle("default"));
        let refs: Vec<_> = handles.iter().collect();
        self.db
            .flush_cfs_opt(&refs, options)
            .map_err(StoreError::rocks("flush"))
    }

    /// Frees keyspaces that no database is any more.
    ///
    /// This takes effect on disk at once, while what the disk has of the rest may be from before. So only those go that were
    /// unmapped by entries up to `durable`, which the log has on disk: after a crash these are applied again, and
    /// whatever is still said of the keyspaces before them is of no account. Of those that come later a crash could make
    /// databases without their keys; they wait for the next call. Waits for a checkpoint that is being made.
    pub fn drop_unmapped(&self, durable: u64) -> Result<(), StoreError> {
        // What RocksDB has must not name a keyspace that is gone.
        self.settle()?;
        let _families = self.families.lock();
        let mut settler = self.settler.lock();
        // Databases may become others meanwhile. What is unmapped stays so.
        let mut front = self.visible.front.lock();
        let dbs = front.state.dbs.clone();
        front.unmapped.retain(|(_, index)| *index > durable);
        let waiting: Vec<SpaceId> = front.unmapped.iter().map(|(id, _)| *id).collect();
        drop(front);
        let ids = settler.spaces.keys();
        let unmapped = ids.filter(|id| !dbs.contains(id) && !waiting.contains(id));
        let unmapped: Vec<SpaceId> = unmapped.copied().collect();
        if unmapped.is_empty() {
            return Ok(());
        }
        settler.spaces.retain(|id, _| !unmapped.contains(id));
        // Who still reads the old base has its column families: RocksDB keeps what is dropped as long as that.
        self.renew_base(&mut settler);
        for id in unmapped {
            let there = |name: &String| self.db.cf_handle(name).is_some();
            for name in Cf::ALL.map(|cf| cf.name_in(id)).into_iter().filter(there) {
                self.db
                    .drop_cf(&name)
                    .map_err(StoreError::rocks("free a keyspace of"))?;
            }
        }
        drop(settler);
        Ok(())
    }

    /// Makes an immutable copy in `path`, which must not exist. Files are linked where the file system can. It is one state,
    /// whatever is written meanwhile: entries that come after it can be applied to the copy.
    pub fn checkpoint(&self, path: &Path) -> Result<(), StoreError> {
        self.settle()?;
        let _families = self.families.lock();
        let checkpoint = Checkpoint::new(&*self.db).map_err(StoreError::rocks("checkpoint"))?;
        checkpoint
            .create_checkpoint(path)
            .map_err(StoreError::rocks("checkpoint"))
    }

    /// The position of a store that nobody has open, such as a checkpoint.
    pub fn position_of(path: &Path) -> Result<Position, StoreError> {
        let families = ["default"];
        let db =
            DB::open_cf_for_read_only(&Options::default(), path, families, false).map_err(StoreError::rocks("open"))?;
        match db.get(STATE_KEY).map_err(StoreError::rocks("read"))? {
            Some(bytes) => Ok(StoreState::decode(&bytes)?.applied),
            None => Ok(Position::ZERO),
        }
    }

    /// Compacts everything: orphans and tombstones go. Takes as long as rewriting the data, unless
    /// [`Store::cancel_compaction`] ends it early; false then.
    pub fn compact(&self) -> Result<bool, StoreError> {
        self.flush()?;
        self.await_readers();
        for space in self.open_spaces().values() {
            for (_, family) in space.cfs() {
                if self.compaction_cancelled.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                self.db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
            }
        }
        Ok(!self.compaction_cancelled.load(Ordering::Relaxed))
    }

    /// Waits until nobody reads a state of RocksDB from before the last settling, for a moment: orphans that are younger than such a
    /// state are kept by a compaction.
    fn await_readers(&self) {
        let begun = Instant::now();
        while begun.elapsed() < READERS_WAIT_MAX && !self.compaction_cancelled.load(Ordering::Relaxed) {
            self.tidy(&mut self.settler.lock());
            if self.bases.lock().iter().filter(|base| base.strong_count() > 0).count() <= 1 {
                return;
            }
            std::thread::sleep(READERS_WAIT_STEP);
        }
    }

    /// Ends a running [`Store::compact`]; later ones do nothing. For a server that stops.
    pub fn cancel_compaction(&self) {
        self.compaction_cancelled.store(true, Ordering::Relaxed);
        self.db.disable_manual_compaction();
    }

    /// Ends RocksDB's flushes, compactions and timers, and waits for those that run. Reads go on; what is written afterwards
    /// stays in memory, and a flush fails. May be called again.
    pub fn end_background_work(&self) {
        self.db.cancel_all_background_work(true);
    }

    /// What RocksDB's background work has met: a full disk, a failed flush.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Bytes of disk that [`Store::resume`] may need: it writes the memtables down. If it fails for want of space, the
    /// store may have to be opened again.
    pub fn resume_bytes(&self) -> u64 {
        let memtables = self.stats().memtable_bytes;
        memtables + memtables / 8 + RESUME_BYTES_MORE
    }

    /// Tells RocksDB to go on after a full disk has room again.
    pub fn resume(&self) -> Result<(), StoreError> {
        self.db.resume().map_err(StoreError::rocks("resume"))?;
        self.health.clear();
        Ok(())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// RocksDB's figures.
    pub fn stats(&self) -> StoreStats {
        let spaces = self.open_spaces();
        let sum = |property: &str| -> u64 {
            let of = |space: &Space| -> u64 {
                let value = |family| self.db.property_int_value_cf(family, property).ok().flatten();
                space.cfs().filter_map(|(_, family)| value(family)).sum()
            };
            spaces.values().map(|space| of(space)).sum()
        };
        let whole = |property: &str| self.db.property_int_value(property).ok().flatten().unwrap_or(0);
        StoreStats {
            sst_bytes: sum("rocksdb.total-sst-files-size"),
            memtable_bytes: sum("rocksdb.cur-size-all-mem-tables"),
            pending_compaction_bytes: sum("rocksdb.estimate-pending-compaction-bytes"),
            running_compactions: whole("rocksdb.num-running-compactions"),
            running_flushes: whole("rocksdb.num-running-flushes"),
            level0_files: sum("rocksdb.num-files-at-level0"),
            estimated_keys: sum("rocksdb.estimate-num-keys"),
            block_cache_bytes: self.shared.usage_bytes() as u64,
            write_buffer_bytes: self.shared.write_buffer_usage_bytes() as u64,
            row_bytes: self.rows.bytes() as u64,
            unsettled_bytes: self.unsettled_bytes() as u64,
            retained_bytes: self.retained_bytes() as u64,
        }
    }

    /// The keyspaces that have anything in RocksDB.
    fn open_spaces(&self) -> HashMap<SpaceId, Arc<Space>> {
        self.visible.base.get(&Eras::enter()).spaces.clone()
    }

    /// A keyspace's exact counters.
    pub fn counts(&self, space: SpaceId) -> Counts {
        let front = self.visible.front.lock();
        front.counts.get(&space).copied().unwrap_or_default()
    }

    /// Those of one of its slots. They may have what is about to become visible.
    pub fn counts_of_slot(&self, space: SpaceId, slot: u16) -> Counts {
        self.slot_counts.lock().of_slot(space, slot)
    }

    /// The exact counters of a database; a database that does not exist has none.
    pub fn counts_of_database(&self, db: u16) -> Counts {
        let front = self.visible.front.lock();
        let space = front.state.dbs.get(usize::from(db));
        space
            .and_then(|space| front.counts.get(space).copied())
            .unwrap_or_default()
    }

    /// The exact counters of each database.
    pub fn counts_of_databases(&self) -> Vec<Counts> {
        let front = self.visible.front.lock();
        let of = |space| front.counts.get(space).copied().unwrap_or_default();
        front.state.dbs.iter().map(of).collect()
    }

    pub(crate) fn id_floor(&self) -> u64 {
        self.id_floor
    }

    pub(crate) fn next_space(&self) -> SpaceId {
        self.visible.front.lock().state.next_space
    }

    /// Options for a column family that is to be made; its memtables have Bloom filters if it is to be `filtered`.
    pub(crate) fn cf_options(&self, cf: Cf, space: SpaceId, filtered: bool) -> Options {
        let mut options = cf_options(cf, space, &self.options, &self.shared, (&self.weak_db, &self.bases));
        if filtered {
            options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO);
        }
        options
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Running compactions ask the database for rows; they end before it goes.
        self.end_background_work();
    }
}
