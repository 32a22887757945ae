//! How the memory of a process is divided.
//!
//! An operator gives one number, which the resident memory of the process is to stay within. Everything that takes memory in
//! proportion to something is a part of it, so that all of it shrinks with the number. Two parts give way to the others: the
//! block cache and the rows in memory. What the server measures decides how large they may be at a time
//! ([`SharedResources::limit_caches`]); the sizes here are the most.
//!
//! [`SharedResources::limit_caches`]: crate::SharedResources::limit_caches

/// What a process needs that does nothing: code, threads, the allocator's own structures, tables of the cache. A budget cannot be
/// kept that is not well above it.
const PROCESS_BYTES: usize = 24 << 20;
/// What the allocator needs beyond what it is asked for, one part in so many.
const ALLOCATOR_SHARE: usize = 8;

/// Memtables take one part in so many, and less of a small budget, in which the process itself is a large part.
const WRITE_BUFFER_SHARE: usize = 4;
const PROCESS_BYTES_BUSY: usize = 32 << 20;
const WRITE_BUFFER_BYTES_MIN: usize = 8 << 20;
/// They bound the replay after a crash, too.
const WRITE_BUFFER_BYTES_MAX: usize = 256 << 20;

/// One part in so many of the caches' memory is for rows in memory.
const ROW_SHARE: usize = 3;
/// And one in so many for what the writer knows of collections, up to a maximum.
const KNOWLEDGE_SHARE: usize = 32;
const KNOWLEDGE_BYTES_MAX: usize = 64 << 20;

/// Where elements stand in large collections may take one part in so many of that besides.
const ORDER_SHARE: usize = 4;

/// Slow readers may keep one part in so many from being freed, of superseded versions and of settled layers each, but so many bytes
/// in any case.
const KEPT_SHARE: usize = 16;
const KEPT_BYTES_MIN: usize = 4 << 20;

/// Published rows are settled when they take one part in so many of the write buffers, because what is written again meanwhile is
/// settled once and neighbours are close to each other; with small buffers it pays to wait for a larger part, up to one in so many of
/// the whole. Below a few megabytes each batch would cost more than it is worth.
const UNSETTLED_SHARE_OF_BUFFERS: usize = 4;
const UNSETTLED_SHARE: usize = 14;
const UNSETTLED_BYTES_WANTED: usize = 24 << 20;
const UNSETTLED_BYTES_MIN: usize = 2 << 20;
/// There may be so many times as many before who writes has to wait for that.
const UNSETTLED_TIMES_MAX: usize = 2;

/// A turn is closed when it has written one part in so many, and at most so much. Turns that wait to be committed may take one part in so
/// many together. Both stand in memory twice: as effects, and in the log's buffer or as rows.
const TURN_SHARE: usize = 32;
const TURN_BYTES_MAX: usize = 16 << 20;
const UNCOMMITTED_SHARE: usize = 8;
const UNCOMMITTED_BYTES_MAX: usize = 64 << 20;

/// Memtables that are flushed and those that are written to may take so many times the write buffers together; who settles waits for
/// flushes before there are more.
const MEMTABLE_TIMES_MAX: (usize, usize) = (3, 2);

/// The caches are not made smaller than one part in so many of the budget for blocks beside the write buffers, and for rows.
const FLOOR_SHARE: usize = 32;

/// The parts of a memory budget, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// All of it: what may be resident.
    pub total_bytes: usize,
    /// Memtables, before they are flushed. They are charged to the block cache. This also bounds how much of the log a crash makes
    /// the next start replay.
    pub write_buffer_bytes: usize,
    /// Memtables, those included that are being flushed, before who writes has to wait.
    pub memtable_bytes_max: usize,
    /// Cached blocks, with indexes and filters, and write buffers: at most.
    pub block_bytes_max: usize,
    /// The same at least.
    pub block_bytes_min: usize,
    /// Rows in memory, at most. Those that are not settled yet are never evicted.
    pub row_bytes_max: usize,
    /// The same at least.
    pub row_bytes_min: usize,
    /// What the writer knows of collections.
    pub knowledge_bytes: usize,
    /// What readers may keep from being freed, of each kind: what newest states do, and pinned ones. It is used for moments only.
    pub kept_bytes: usize,
    /// Published rows after which they are settled. The batch that is written then takes as much again.
    pub unsettled_bytes: usize,
    /// Published rows after which the writer waits until they are.
    pub unsettled_bytes_max: usize,
    /// What a turn writes before it is closed although more commands wait. One command may write more.
    pub turn_bytes_max: usize,
    /// What is written and waits to be committed, before who writes has to wait.
    pub uncommitted_bytes_max: usize,
}

impl Budget {
    /// The part of a budget that memtables may take, unless it is given.
    pub fn write_buffer_share(total_bytes: usize) -> usize {
        let share = (total_bytes / WRITE_BUFFER_SHARE).min(total_bytes.saturating_sub(PROCESS_BYTES_BUSY) / 7 * 2);
        share.clamp(WRITE_BUFFER_BYTES_MIN, WRITE_BUFFER_BYTES_MAX)
    }

    /// Divides `total_bytes`, of which `write_buffer_bytes` are for memtables.
    pub fn new(total_bytes: usize, write_buffer_bytes: usize) -> Self {
        let rest = total_bytes / ALLOCATOR_SHARE + PROCESS_BYTES;
        let divided = total_bytes.saturating_sub(rest).max(total_bytes / 4);
        let row_bytes_max = divided / ROW_SHARE;
        let knowledge_bytes = (divided / KNOWLEDGE_SHARE).min(KNOWLEDGE_BYTES_MAX);
        let block_bytes_max = divided - row_bytes_max - knowledge_bytes;
        let floor = total_bytes / FLOOR_SHARE;
        let unsettled_bytes = (write_buffer_bytes / UNSETTLED_SHARE_OF_BUFFERS)
            .max((total_bytes / UNSETTLED_SHARE).min(UNSETTLED_BYTES_WANTED))
            .max(UNSETTLED_BYTES_MIN);
        Budget {
            total_bytes,
            write_buffer_bytes,
            block_bytes_max,
            memtable_bytes_max: write_buffer_bytes / MEMTABLE_TIMES_MAX.1 * MEMTABLE_TIMES_MAX.0,
            block_bytes_min: (write_buffer_bytes + floor).min(block_bytes_max),
            row_bytes_max,
            row_bytes_min: floor.min(row_bytes_max),
            knowledge_bytes,
            kept_bytes: (divided / KEPT_SHARE).max(KEPT_BYTES_MIN),
            unsettled_bytes,
            unsettled_bytes_max: unsettled_bytes * UNSETTLED_TIMES_MAX,
            turn_bytes_max: (total_bytes / TURN_SHARE).min(TURN_BYTES_MAX),
            uncommitted_bytes_max: (total_bytes / UNCOMMITTED_SHARE).min(UNCOMMITTED_BYTES_MAX),
        }
    }

    /// What is known of where elements stand in large collections may take as much.
    pub fn order_bytes(&self) -> usize {
        self.knowledge_bytes / ORDER_SHARE
    }

    /// Both caches at most.
    pub fn cache_bytes_max(&self) -> usize {
        self.block_bytes_max + self.row_bytes_max
    }

    /// Both caches at least.
    pub fn cache_bytes_min(&self) -> usize {
        self.block_bytes_min + self.row_bytes_min
    }

    /// How large the block cache and the rows in memory may be if both together may take `bytes`: each gives up the same part
    /// of what lies between its bounds.
    pub fn share_caches(&self, bytes: usize) -> (usize, usize) {
        let (min, max) = (self.cache_bytes_min(), self.cache_bytes_max());
        let above = bytes.clamp(min, max) - min;
        let share = |least: usize, most: usize| {
            let part = (most - least) as u128 * above as u128 / (max - min).max(1) as u128;
            least + part as usize
        };
        (
            share(self.block_bytes_min, self.block_bytes_max),
            share(self.row_bytes_min, self.row_bytes_max),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    #[test]
    fn the_parts_are_within_the_whole() {
        for total in [8, 32, 64, 96, 256, 1024, 16 << 10].map(|mb| mb * MB) {
            let budget = Budget::new(total, Budget::write_buffer_share(total).min(total / 4));
            let lasting = budget.cache_bytes_max() + budget.knowledge_bytes + budget.order_bytes();
            assert!(lasting <= total, "{budget:?}");
            assert!(budget.block_bytes_min <= budget.block_bytes_max, "{budget:?}");
            assert!(budget.row_bytes_min <= budget.row_bytes_max, "{budget:?}");
            if total >= 64 * MB {
                let busy = PROCESS_BYTES
                    + budget.cache_bytes_min()
                    + budget.knowledge_bytes
                    + budget.order_bytes()
                    + 2 * budget.unsettled_bytes
                    + budget.kept_bytes;
                assert!(busy <= total, "a busy server has no room: {budget:?}");
            }
        }
    }

    #[test]
    fn caches_are_shared_between_their_bounds() {
        let budget = Budget::new(256 * MB, 64 * MB);
        assert_eq!(
            budget.share_caches(0),
            (budget.block_bytes_min, budget.row_bytes_min),
            "never below the least"
        );
        assert_eq!(
            budget.share_caches(usize::MAX),
            (budget.block_bytes_max, budget.row_bytes_max)
        );
        let half = (budget.cache_bytes_min() + budget.cache_bytes_max()) / 2;
        let (blocks, rows) = budget.share_caches(half);
        assert!(blocks + rows <= half && blocks + rows + 2 >= half);
    }
}
