//! A state of RocksDB as readers see it.

use std::collections::HashMap;
use std::sync::Arc;

use rocksdb::{DB, DBPinnableSlice, ReadOptions, SnapshotWithThreadMode};

use crate::fetch::TOGETHER_BYTES;
use crate::reading::point_options;
use crate::spaces::Space;
use crate::{Cf, SpaceId, StoreError, Tier};

/// A state of RocksDB, and what is needed to read it: what a reader finds below the rows in memory.
pub(crate) struct Base {
    /// Log index of the last entry that is in it.
    pub(crate) settled: u64,
    /// The keyspaces that have anything in RocksDB.
    pub(crate) spaces: HashMap<SpaceId, Arc<Space>>,
    memory_reads: ReadOptions,
    disk_reads: ReadOptions,
    reads_together: ReadOptions,
    /// `'static` stands for "as long as the `DB` beside it": see there.
    snapshot: SnapshotWithThreadMode<'static, DB>,
    /// Goes last: fields drop in this order.
    db: Arc<DB>,
}

impl Base {
    /// The state of RocksDB now, which has everything up to `settled`.
    pub(crate) fn new(db: &Arc<DB>, settled: u64, spaces: HashMap<SpaceId, Arc<Space>>) -> Self {
        let snapshot = db.snapshot();
        // SAFETY: the lifetime is that of the database, which this value keeps alive and drops after the snapshot.
        let snapshot = unsafe {
            std::mem::transmute::<SnapshotWithThreadMode<'_, DB>, SnapshotWithThreadMode<'static, DB>>(snapshot)
        };
        let options = |tier| {
            let mut options = point_options(tier);
            options.set_snapshot(&snapshot);
            options
        };
        let mut reads_together = options(Tier::Disk);
        reads_together.set_value_size_soft_limit(TOGETHER_BYTES);
        Base {
            settled,
            spaces,
            memory_reads: options(Tier::Memory),
            disk_reads: options(Tier::Disk),
            reads_together,
            snapshot,
            db: db.clone(),
        }
    }

    /// The value of a key.
    pub(crate) fn get(
        &self,
        space: SpaceId,
        cf: Cf,
        key: &[u8],
        tier: Tier,
    ) -> Result<Option<DBPinnableSlice<'_>>, StoreError> {
        let Some(family) = self.spaces.get(&space).and_then(|open| open.cf(cf)) else {
            return Ok(None);
        };
        let options = match tier {
            Tier::Memory => &self.memory_reads,
            Tier::Disk => &self.disk_reads,
        };
        let got = self.db.get_pinned_cf_opt(family, key, options);
        got.map_err(StoreError::rocks("read"))
    }

    /// The values of several keys, read from the disk if need be. Those that come when the values have [`TOGETHER_BYTES`] are
    /// not read: they give an error.
    pub(crate) fn get_together<'k>(
        &self,
        space: SpaceId,
        cf: Cf,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
    ) -> Vec<Result<Option<DBPinnableSlice<'_>>, StoreError>> {
        let Some(family) = self.spaces.get(&space).and_then(|open| open.cf(cf)) else {
            return keys.map(|_| Ok(None)).collect();
        };
        if keys.len() == 1 {
            return keys.map(|key| self.get(space, cf, key, Tier::Disk)).collect();
        }
        let got = self
            .db
            .batched_multi_get_cf_opt(family, keys, false, &self.reads_together);
        got.into_iter()
            .map(|got| got.map_err(StoreError::rocks("read")))
            .collect()
    }

    /// Has `options` read this state.
    pub(crate) fn use_snapshot(&self, options: &mut ReadOptions) {
        options.set_snapshot(&self.snapshot);
    }

    pub(crate) fn db(&self) -> &DB {
        &self.db
    }
}
