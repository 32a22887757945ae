//! The memory that the stores of a process share.

use std::sync::{Arc, Weak};

use haypile_rows::RowTable;
use parking_lot::Mutex;
use rocksdb::{Cache, HyperClockCacheOptions, WriteBufferManager};

use crate::budget::Budget;

/// Memory that all stores of a process share, within a [`Budget`].
///
/// The block cache has indexes and filters, too, and the write buffers are charged to it. It and the rows in memory are as large as
/// [`SharedResources::limit_caches`] says.
#[derive(Clone)]
pub struct SharedResources {
    pub(crate) cache: Cache,
    pub(crate) write_buffers: WriteBufferManager,
    pub(crate) budget: Budget,
    caches: Arc<Mutex<Caches>>,
}

/// What both caches may take at the moment.
struct Caches {
    limits: CacheLimits,
    /// The rows of the stores that are open.
    tables: Vec<Weak<RowTable>>,
}

/// How large the caches may be, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheLimits {
    /// The block cache, write buffers included.
    pub block_bytes: usize,
    /// Rows in memory.
    pub row_bytes: usize,
}

impl SharedResources {
    /// Divides a budget of bytes; `write_buffer_bytes` is the part that unflushed writes may take, which also bounds
    /// how much of the log a crash makes the next start replay.
    pub fn new(budget_bytes: usize, write_buffer_bytes: usize) -> Self {
        let budget = Budget::new(budget_bytes, write_buffer_bytes);
        let limits = CacheLimits {
            block_bytes: budget.block_bytes_max,
            row_bytes: budget.row_bytes_max,
        };
        // 0: the cache estimates the charge of its entries by itself.
        let cache = Cache::new_hyper_clock_cache_opts(&HyperClockCacheOptions::new(limits.block_bytes, 0));
        let write_buffers =
            WriteBufferManager::new_write_buffer_manager_with_cache(write_buffer_bytes, false, cache.clone());
        let tables = Vec::new();
        SharedResources {
            cache,
            write_buffers,
            budget,
            caches: Arc::new(Mutex::new(Caches { limits, tables })),
        }
    }

    /// How the memory is divided.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Has both caches together take no more than so many bytes, as far as the budget's bounds allow. Rows are evicted at once, blocks
    /// as others come.
    pub fn limit_caches(&self, bytes: usize) -> CacheLimits {
        let (block_bytes, row_bytes) = self.budget.share_caches(bytes);
        let limits = CacheLimits { block_bytes, row_bytes };
        let mut caches = self.caches.lock();
        if caches.limits == limits {
            return limits;
        }
        caches.limits = limits;
        caches.tables.retain(|table| table.strong_count() > 0);
        let tables: Vec<_> = caches.tables.iter().filter_map(Weak::upgrade).collect();
        // All under one lock: the last limits that are set are those that hold.
        self.cache.clone().set_capacity(block_bytes);
        for table in &tables {
            table.set_bytes_max(row_bytes / tables.len());
        }
        limits
    }

    /// Evicts all rows that may be evicted. What little there is of them when caches are small is spread over pages that could be used
    /// otherwise.
    pub fn clear_rows(&self) {
        let tables: Vec<_> = self.caches.lock().tables.iter().filter_map(Weak::upgrade).collect();
        tables.iter().for_each(|table| table.clear());
    }

    /// What the caches may take at the moment.
    pub fn cache_limits(&self) -> CacheLimits {
        self.caches.lock().limits
    }

    /// What the caches take: blocks, write buffers and rows, those included that are not settled.
    pub fn cached_bytes(&self) -> usize {
        let tables: Vec<_> = self.caches.lock().tables.iter().filter_map(Weak::upgrade).collect();
        self.usage_bytes() + tables.iter().map(|table| table.bytes()).sum::<usize>()
    }

    /// A table of rows within the limits.
    pub(crate) fn row_table(&self) -> Arc<RowTable> {
        // What the limits are does not matter to how it is built.
        let table = Arc::new(RowTable::new(self.budget.row_bytes_max));
        let mut caches = self.caches.lock();
        table.set_bytes_max(caches.limits.row_bytes);
        caches.tables.push(Arc::downgrade(&table));
        table
    }

    /// Bytes in use: cached blocks and write buffers.
    pub fn usage_bytes(&self) -> usize {
        self.cache.get_usage()
    }

    /// Bytes of write buffers in use.
    pub fn write_buffer_usage_bytes(&self) -> usize {
        self.write_buffers.get_usage()
    }
}
