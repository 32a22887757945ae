use std::collections::HashMap;
use std::sync::Arc;

use rocksdb::{DB, DBPinnableSlice, ReadOptions, SnapshotWithThreadMode};

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
        Base {
            settled,
            spaces,
            memory_reads: options(Tier::Memory),
            disk_reads: options(Tier::Disk),
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

    /// Has `options` read this state.
    pub(crate) fn use_snapshot(&self, options: &mut ReadOptions) {
        options.set_snapshot(&self.snapshot);
    }

    pub(crate) fn db(&self) -> &DB {
        &self.db
    }
}
