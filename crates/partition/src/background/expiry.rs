//! Removes keys whose time is over and that nobody asks for.
//!
//! What is due is found, and its rows are read, on the maintenance thread, beside the turns. A turn only removes what is still as
//! it was found, and it is short, so that clients hardly wait. The expiry index is a queue: behind its head lie the tombstones
//! of what has been removed. So each round goes on where the last one ended, and further back only if a key
//! was given an expiry there meanwhile, which the store notes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use haypile_commands::CommandError;
use haypile_commands::key::{Due, fetch_due, find_due, remove_due};
use haypile_store::{SpaceId, StoreError, Tier, View};
use haypile_types::Clock;

use crate::commit;
use crate::partition::Shared;

/// Keys that are looked for at a time.
const FOUND_KEYS_MAX: usize = 4096;
/// Keys whose rows are read before they are removed, so that the turn finds them in memory.
const FETCHED_KEYS: usize = 256;
/// Keys that one entry of the log removes; between two the turn looks at the time.
const ENTRY_KEYS: usize = 32;
/// How long a turn may remove keys: others wait for that.
const TURN_TIME_MAX: Duration = Duration::from_micros(500);
/// How long keys are removed before maintenance sees to its other work.
const ROUND_TIME_MAX: Duration = Duration::from_millis(60);
/// Published rows that are not settled yet with which keys are not removed before they are: the writer, who would have to
/// wait for that with more of them, never comes to it because of expiry.
const UNSETTLED_ROWS_MAX: usize = 192 << 10;

/// Whether keys may be removed.
pub(crate) struct MayExpire {
    pub(crate) expire: Arc<AtomicBool>,
    pub(crate) held_until_ms: Arc<AtomicU64>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl MayExpire {
    fn now(&self) -> bool {
        self.expire.load(Ordering::Relaxed) && self.clock.now_ms() >= self.held_until_ms.load(Ordering::Relaxed)
    }
}

/// Where in the indexes of the keyspaces the next round begins.
pub(crate) struct Expiry {
    may_expire: MayExpire,
    /// No entry of the index that can be seen comes before this key, unless it was written after the last time the
    /// store's mark was taken.
    cursors: HashMap<SpaceId, Vec<u8>>,
    /// The database with which the next round begins: each has its turn.
    next_db: usize,
}

/// How a keyspace's round has ended.
enum Ended {
    /// Nothing is due that can be removed now.
    Clear,
    /// The time is over.
    Late,
}

impl Expiry {
    pub(crate) fn new(may_expire: MayExpire) -> Self {
        Expiry {
            may_expire,
            cursors: HashMap::new(),
            next_db: 0,
        }
    }

    /// Removes keys whose time is over, for as long as a round may take; true if there are more.
    pub(crate) fn remove_due(&mut self, shared: &Shared) -> bool {
        if shared.refusal().is_some() || !self.may_expire.now() {
            return false;
        }
        let until = Instant::now() + ROUND_TIME_MAX;
        if let Some(first) = shared.store.take_first_expiry() {
            let first = first.to_be_bytes();
            for cursor in self
                .cursors
                .values_mut()
                .filter(|cursor| cursor.as_slice() > &first[..])
            {
                *cursor = first.to_vec();
            }
        }
        let state = shared.store.state();
        self.cursors.retain(|space, _| state.dbs.contains(space));
        let databases = state.dbs.len();
        for n in 0..databases {
            let db = (self.next_db + n) % databases;
            let space = state.dbs[db];
            if shared.store.counts(space).expires == 0 {
                continue;
            }
            match self.remove_of(shared, db as u16, space, until) {
                Ok(Ended::Clear) => {}
                Ok(Ended::Late) => {
                    self.next_db = (db + 1) % databases;
                    return true;
                }
                Err(CommandError::Store(StoreError::GivenUp)) => {}
                Err(error) => tracing::warn!(%error, "expired keys cannot be removed"),
            }
        }
        false
    }

    fn remove_of(&mut self, shared: &Shared, db: u16, space: SpaceId, until: Instant) -> Result<Ended, CommandError> {
        let cursor = self.cursors.entry(space).or_default();
        loop {
            let now = shared.clock.now_ms();
            if cursor.as_slice() > &now.saturating_add(1).to_be_bytes()[..] {
                return Ok(Ended::Clear);
            }
            let Due { entries, next } = {
                let reading = shared.store.read();
                find_due(
                    &mut View::reading(&reading, Tier::Disk),
                    space,
                    cursor,
                    now,
                    FOUND_KEYS_MAX,
                )?
            };
            let mut left = None;
            for entries in entries.chunks(FETCHED_KEYS) {
                fetch_due(&View::reading(&shared.store.read(), Tier::Disk), space, entries)?;
                let mut rest = entries;
                while !rest.is_empty() {
                    if Instant::now() >= until || !self.may_expire.now() {
                        *cursor = left.unwrap_or_else(|| rest[0].clone());
                        return Ok(Ended::Late);
                    }
                    if shared.store.unsettled_rows() > UNSETTLED_ROWS_MAX {
                        commit::settle(shared);
                    }
                    let Some(removed) = remove_in_turn(shared, db, space, rest, &mut left)? else {
                        // The writer refuses.
                        *cursor = left.unwrap_or_else(|| rest[0].clone());
                        return Ok(Ended::Clear);
                    };
                    rest = &rest[removed..];
                }
            }
            if let Some(left) = left {
                *cursor = left;
                return Ok(Ended::Clear);
            }
            *cursor = next.unwrap_or_else(|| u64::MAX.to_be_bytes().to_vec());
        }
    }
}

/// Removes the first of these keys, as many as a turn has time for, and gives their number; `None` if nothing could be
/// committed. The first that has to wait for the next round goes to `left`.
fn remove_in_turn(
    shared: &Shared,
    db: u16,
    space: SpaceId,
    entries: &[Vec<u8>],
    left: &mut Option<Vec<u8>>,
) -> Result<Option<usize>, CommandError> {
    let committed = shared.run_internal(|turn| {
        let until = Instant::now() + TURN_TIME_MAX;
        let mut removed = 0;
        for entries in entries.chunks(ENTRY_KEYS) {
            let cold = turn.internal_reading(Tier::Memory, "expire", db, |cx| remove_due(cx, space, entries))?;
            if left.is_none() {
                *left = cold;
            }
            removed += entries.len();
            if Instant::now() >= until {
                break;
            }
        }
        Ok(removed)
    });
    committed.map_or(Ok(None), |removed| removed.map(Some))
}
