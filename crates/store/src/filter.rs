//! The compaction filter, which drops the elements of collections that are gone.

use std::ffi::CStr;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};
use rocksdb::{CompactionDecision, DB, ReadOptions, ReadTier};

use crate::base::Base;
use crate::keys::{DataKey, Home};
use crate::overlay::IDS_PER_ENTRY_BITS;
use crate::state::STATE_KEY;
use crate::{Cf, SpaceId, StoreState};

/// Collects orphans: elements of collections that were deleted, replaced or expired.
///
/// An element lives as long as there is a record of its collection's id. The record is read as it is *on disk*
/// (`ReadTier::Persisted`): what the memtables say may be lost in a crash together with the end of the log, and an
/// element dropped on its word would be missing from the collection that comes back. Records go as they were deleted.
///
/// RocksDB lets a filter drop what snapshots still see, so the filter respects readers itself: the record is read in the
/// oldest state that anybody may still read when the compaction begins, and what is newer than that state is kept. So is
/// what is newer than the state that the disk says it has: it cannot be that it is there, and if it were, its record might
/// not be.
pub(crate) struct OrphanFilterFactory {
    pub(crate) space: SpaceId,
    pub(crate) db: Arc<OnceLock<Weak<DB>>>,
    pub(crate) bases: Bases,
}

/// The states of RocksDB that somebody may still read, the oldest first.
pub(crate) type Bases = Arc<Mutex<Vec<Weak<Base>>>>;

impl CompactionFilterFactory for OrphanFilterFactory {
    type Filter = OrphanFilter;

    fn create(&mut self, _: CompactionFilterContext) -> OrphanFilter {
        let mut bases = self.bases.lock();
        bases.retain(|base| base.strong_count() > 0);
        let oldest = bases.first().and_then(Weak::upgrade);
        drop(bases);
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::Persisted);
        options.fill_cache(false);
        if let Some(oldest) = &oldest {
            oldest.use_snapshot(&mut options);
        }
        let made_until = oldest.as_ref().and_then(|oldest| {
            let saved = saved_state(&self.db)?;
            Some(MadeUntil {
                index: saved.applied.index.min(oldest.settled),
                id_floor: saved.id_floor,
            })
        });
        OrphanFilter {
            space: self.space,
            db: self.db.clone(),
            options,
            made_until,
            _oldest: oldest,
            asked: None,
            keep: true,
        }
    }

    fn name(&self) -> &CStr {
        c"haypile.orphans"
    }
}

pub(crate) struct OrphanFilter {
    space: SpaceId,
    db: Arc<OnceLock<Weak<DB>>>,
    options: ReadOptions,
    /// Which collections there may be records of; `None` while the database is being opened.
    made_until: Option<MadeUntil>,
    /// What `options` reads.
    _oldest: Option<Arc<Base>>,
    /// The last collection that was looked up, and the verdict: elements come in order.
    asked: Option<Home>,
    keep: bool,
}

/// Collections that were made up to a log index.
struct MadeUntil {
    index: u64,
    id_floor: u64,
}

impl MadeUntil {
    fn has(&self, id: u64) -> bool {
        // Ids below the floor are older than it.
        id.saturating_sub(self.id_floor) >> IDS_PER_ENTRY_BITS <= self.index
    }
}

/// What the disk says of itself; `None` if it cannot be asked.
fn saved_state(db: &OnceLock<Weak<DB>>) -> Option<StoreState> {
    let db = db.get()?.upgrade()?;
    let mut options = ReadOptions::default();
    options.set_read_tier(ReadTier::Persisted);
    let saved = db.get_pinned_opt(STATE_KEY, &options).ok()??;
    StoreState::decode(&saved).ok()
}

impl OrphanFilter {
    fn lives(&self, home: Home) -> bool {
        let Some(made_until) = &self.made_until else {
            return true;
        };
        if !made_until.has(home.id) {
            return true;
        }
        // Without a database to ask (it is being opened or closed), or when it cannot answer, all is kept.
        let Some(db) = self.db.get().and_then(Weak::upgrade) else {
            return true;
        };
        let Some(family) = db.cf_handle(&Cf::Data.name_in(self.space)) else {
            return true;
        };
        match db.get_pinned_cf_opt(&family, home.record(), &self.options) {
            Ok(record) => record.is_some(),
            Err(_) => true,
        }
    }
}

impl CompactionFilter for OrphanFilter {
    fn filter(&mut self, _level: u32, key: &[u8], _value: &[u8]) -> CompactionDecision {
        let Some(parsed) = DataKey::parse(key).filter(|parsed| !parsed.is_record()) else {
            return CompactionDecision::Keep;
        };
        if self.asked != Some(parsed.home) {
            self.keep = self.lives(parsed.home);
            self.asked = Some(parsed.home);
        }
        if self.keep {
            CompactionDecision::Keep
        } else {
            CompactionDecision::Remove
        }
    }

    fn name(&self) -> &CStr {
        c"haypile.orphans"
    }
}
