use std::ffi::CStr;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};
use rocksdb::{CompactionDecision, DB, ReadOptions, ReadTier};

use crate::base::Base;
use crate::keys::{meta_key, parse_data_key};
use crate::overlay::VERSIONS_PER_ENTRY_BITS;
use crate::{Cf, SpaceId, row};

/// Collects orphans: elements of collections that were deleted, replaced or expired.
///
/// An element lives as long as its user key's row has the element's version. The row is read as it is *on disk*
/// (`ReadTier::Persisted`): what the memtables say may be lost in a crash together with the end of the log, and an
/// element dropped on its word would be missing from the collection that comes back.
///
/// RocksDB lets a filter drop what snapshots still see, so the filter respects readers itself: the row is read in the
/// oldest state that anybody may still read when the compaction begins, and what is newer than that state is kept.
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
        OrphanFilter {
            space: self.space,
            db: self.db.clone(),
            options,
            oldest,
            prefix: Vec::new(),
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
    /// What `options` reads; `None` while the database is being opened.
    oldest: Option<Arc<Base>>,
    /// The last collection that was looked up, and the verdict: elements come in order.
    prefix: Vec<u8>,
    keep: bool,
}

impl OrphanFilter {
    fn lives(&self, user_key: &[u8], version: u64) -> bool {
        let Some(oldest) = &self.oldest else { return true };
        // It was made after that state, in which its row cannot be found.
        if version >> VERSIONS_PER_ENTRY_BITS > oldest.settled {
            return true;
        }
        // Without a database to ask (it is being opened or closed), or when it cannot answer, all is kept.
        let Some(db) = self.db.get().and_then(Weak::upgrade) else {
            return true;
        };
        let Some(meta) = db.cf_handle(&Cf::Meta.name_in(self.space)) else {
            return true;
        };
        match db.get_pinned_cf_opt(&meta, meta_key(user_key), &self.options) {
            Ok(None) => false,
            // A newer element than the row on disk belongs to a row that has not been flushed yet.
            Ok(Some(bytes)) => match row::version(&bytes) {
                Some(current) => version >= current,
                None => row::Header::read(&bytes).is_none(),
            },
            Err(_) => true,
        }
    }
}

impl CompactionFilter for OrphanFilter {
    fn filter(&mut self, _level: u32, key: &[u8], _value: &[u8]) -> CompactionDecision {
        let Some(parsed) = parse_data_key(key) else {
            return CompactionDecision::Keep;
        };
        let prefix = &key[..parsed.prefix_len];
        if prefix != self.prefix {
            self.keep = self.lives(parsed.user_key, parsed.version);
            self.prefix.clear();
            self.prefix.extend_from_slice(prefix);
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
