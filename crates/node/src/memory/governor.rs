//! How large the caches may be, given what is resident.
//!
//! What is resident is made of what the caches have, of everything else in use, and of what the allocator keeps for reuse. The caches
//! may have what the others leave of the budget, less a reserve for what comes between two looks. They become smaller at once and
//! grow slowly. What the allocator keeps is good for the next allocations, and costs page faults when it is given back;
//! so that happens only when the budget would be passed otherwise.

use std::time::{Duration, Instant};

use haypile_store::Budget;

/// Time between two looks, far from the budget and near it.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_NEAR: Duration = Duration::from_millis(20);

/// Parts of the budget, one in so many:
/// the reserve, within which what is in use stays,
const RESERVE_SHARE: u64 = 12;
/// what must be left of the budget, or else the allocator gives back what it keeps,
const PURGE_SHARE: u64 = 32;
/// if that is worth it,
const PURGED_SHARE: u64 = 64;
/// and what is left when it is time to look more often.
const NEAR_SHARE: u64 = 6;
/// Caches grow by one part in so many of what they may, at each look, but not for less than one part in so many of the budget.
const GROWTH_SHARE: u64 = 8;
const GROWTH_MIN_SHARE: u64 = 128;

/// Caches are small when they are within one part in so many of what lies between their bounds. When they have been for a while, rows are
/// cleared, because a few rows that are left of many may be what takes the memory: pages that they are spread over. If that was of
/// no use, less than one part in so many of the budget, it is tried again later and later.
const SMALL_SHARE: u64 = 4;
const CLEARED_SHARE: u64 = 32;
const CLEAR_AFTER: Duration = Duration::from_secs(1);
const CLEAR_AFTER_MAX: Duration = Duration::from_secs(256);

/// For how long the budget has to be passed, with the caches as small as may be, before somebody is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// What there is, bytes.
pub(super) struct Seen {
    pub(super) now: Instant,
    /// What the process has resident.
    pub(super) resident: u64,
    /// What of it the allocator keeps for reuse.
    pub(super) unused: u64,
    /// What the caches take.
    pub(super) cached: u64,
    /// What may be there beyond the budget.
    pub(super) on_top: u64,
}

/// What to do.
pub(super) struct Todo {
    /// Both caches may take so many bytes together.
    pub(super) cache_bytes: u64,
    /// The allocator is to give back what it keeps.
    pub(super) purges: bool,
    /// Rows that may be evicted are to be.
    pub(super) clears_rows: bool,
    /// When to look again.
    pub(super) pause: Duration,
    /// The budget cannot be kept: what is resident instead. Said once.
    pub(super) complaint: Option<u64>,
}

/// See the module.
pub(super) struct Governor {
    budget: u64,
    cache_bytes_min: u64,
    cache_bytes_max: u64,
    cache_bytes: u64,
    /// Since when the budget is passed and nothing can be done about it.
    passed_since: Option<Instant>,
    complained: bool,
    /// Since when the caches have been small, or rows were cleared last.
    small_since: Option<Instant>,
    clear_after: Duration,
    /// What all but the caches took when rows were cleared.
    others_cleared: Option<u64>,
}

impl Governor {
    pub(super) fn new(budget: &Budget) -> Self {
        let cache_bytes_max = budget.cache_bytes_max() as u64;
        Governor {
            budget: budget.total_bytes as u64,
            cache_bytes_min: budget.cache_bytes_min() as u64,
            cache_bytes_max,
            cache_bytes: cache_bytes_max,
            passed_since: None,
            complained: false,
            small_since: None,
            clear_after: CLEAR_AFTER,
            others_cleared: None,
        }
    }

    pub(super) fn step(&mut self, seen: &Seen) -> Todo {
        let budget = self.budget + seen.on_top;
        let used = seen.resident.saturating_sub(seen.unused);
        let others = used.saturating_sub(seen.cached);
        let may = (budget - self.budget / RESERVE_SHARE).saturating_sub(others);
        let may = may.clamp(self.cache_bytes_min, self.cache_bytes_max);
        if may <= self.cache_bytes {
            self.cache_bytes = may;
        } else {
            let missing = may - self.cache_bytes;
            if may == self.cache_bytes_max || missing >= self.budget / GROWTH_MIN_SHARE {
                self.cache_bytes += missing.div_ceil(GROWTH_SHARE);
            }
        }
        let left = budget.saturating_sub(seen.resident);
        Todo {
            cache_bytes: self.cache_bytes,
            purges: left < self.budget / PURGE_SHARE && seen.unused >= self.budget / PURGED_SHARE,
            pause: match left < self.budget / NEAR_SHARE {
                true => PAUSE_NEAR,
                false => PAUSE,
            },
            complaint: self.complaint(seen, used > budget),
            clears_rows: self.clears_rows(seen.now, others),
        }
    }

    fn clears_rows(&mut self, now: Instant, others: u64) -> bool {
        let small = self.cache_bytes_min + (self.cache_bytes_max - self.cache_bytes_min) / SMALL_SHARE;
        if self.cache_bytes > small {
            self.small_since = None;
            return false;
        }
        let since = *self.small_since.get_or_insert(now);
        if now.saturating_duration_since(since) < self.clear_after {
            return false;
        }
        let was_of_use = self
            .others_cleared
            .is_none_or(|before| before >= others + self.budget / CLEARED_SHARE);
        self.clear_after = match was_of_use {
            true => CLEAR_AFTER,
            false => (2 * self.clear_after).min(CLEAR_AFTER_MAX),
        };
        self.small_since = Some(now);
        self.others_cleared = Some(others);
        true
    }

    fn complaint(&mut self, seen: &Seen, is_passed: bool) -> Option<u64> {
        if !is_passed || self.cache_bytes > self.cache_bytes_min {
            self.passed_since = None;
            return None;
        }
        let since = *self.passed_since.get_or_insert(seen.now);
        let is_time = !self.complained && seen.now.saturating_duration_since(since) >= PATIENCE;
        self.complained |= is_time;
        is_time.then_some(seen.resident)
    }
}

#[cfg(test)]
mod tests;
