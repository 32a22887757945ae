//! How RocksDB is set up.

use std::sync::{Arc, OnceLock, Weak};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, DB, DBCompressionType, DataBlockIndexType, InfoLogger, LogLevel, Options,
};

use crate::filter::{Bases, OrphanFilterFactory};
use crate::shared::SharedResources;
use crate::{Cf, SpaceId, packed};

/// How RocksDB compresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Fast.
    #[default]
    Lz4,
    /// Smaller: LZ4 in the upper levels, Zstandard in the last.
    Zstd,
    /// None.
    None,
}

/// What a store may use.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Number of databases; a store that has more keeps them.
    pub databases: u16,
    /// Compression of blocks.
    pub compression: Compression,
    /// Threads for flushes and compactions.
    pub background_jobs: u32,
    /// Size of a data block, bytes.
    pub block_bytes: usize,
    /// Tables that may be open at once, about; `None`: all, which is quicker.
    pub open_files_max: Option<u32>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            databases: 16,
            compression: Compression::Lz4,
            background_jobs: 2,
            block_bytes: 4096,
            open_files_max: None,
        }
    }
}

/// Level-0 files at which writers are slowed down, and stopped: well above the compaction trigger, because the turn
/// that waits here holds up everybody.
const LEVEL0_SLOWDOWN_FILES: i32 = 32;
const LEVEL0_STOP_FILES: i32 = 64;

/// Deletions in a row after which a file is compacted out of turn: what is left where a queue's head was.
const DELETION_WINDOW: usize = 256;
const DELETION_TRIGGER: usize = 64;

/// `PrepopulateBlockCache::kFlushOnly` and `kFlushAndCompaction` of RocksDB's `table.h`.
const PREPOPULATE_ON_FLUSH: i32 = 1;
const PREPOPULATE: i32 = 2;
/// Bytes of the block cache from which on it takes what was compacted: in a small one that would only take the place of others.
const PREPOPULATE_BYTES_MIN: usize = 256 << 20;

/// Dead entries that one seek may cross in a memtable before the memtable is flushed.
const SCAN_FLUSH_TRIGGER: u32 = 4096;

pub(crate) fn db_options(options: &StoreOptions, shared: &SharedResources) -> Options {
    let mut o = Options::default();
    o.create_if_missing(true);
    o.set_atomic_flush(true);
    o.set_write_buffer_manager(&shared.write_buffers);
    o.set_max_background_jobs(options.background_jobs.max(2) as i32);
    o.set_max_open_files(
        options
            .open_files_max
            .map_or(-1, |files| files.min(i32::MAX as u32) as i32),
    );
    o.set_max_file_opening_threads(4);
    o.set_bytes_per_sync(1 << 20);
    o.set_compaction_readahead_size(2 << 20);
    // One thread writes to a store: no locks in the memtable, no pipeline.
    o.set_allow_concurrent_memtable_write(false);
    o.set_enable_pipelined_write(false);
    o.set_use_adaptive_mutex(true);
    o.set_info_logger(logger());
    o.set_stats_dump_period_sec(0);
    o.set_stats_persist_period_sec(0);
    o.set_max_manifest_file_size(64 << 20);
    o.set_skip_stats_update_on_db_open(true);
    // A write that stalls is slowed to this, not to a standstill.
    o.set_delayed_write_rate(64 << 20);
    o
}

/// RocksDB's own log goes to ours. In a file that is rolled, RocksDB repeats the options of every column family that
/// there ever was since the start, so that after a few hundred FLUSHDBs each line would write a whole file.
fn logger() -> InfoLogger {
    let level = match tracing::enabled!(tracing::Level::DEBUG) {
        true => LogLevel::Info,
        false => LogLevel::Warn,
    };
    InfoLogger::new_callback_logger(level, |level, text| match level {
        // The options; they are in a file of their own.
        LogLevel::Header => {}
        LogLevel::Debug | LogLevel::Info => tracing::debug!(target: "rocksdb", "{}", text.trim_end()),
        LogLevel::Warn => tracing::warn!(target: "rocksdb", "{}", text.trim_end()),
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "rocksdb", "{}", text.trim_end()),
    })
}

/// Bytes by which a memtable grows. A database in use has up to three of them, most of which stay nearly empty.
const ARENA_BYTES: usize = 32 << 10;
/// Has a memtable look for the place of a row from that of the row before: batches are sorted, so the next place is near. (The option
/// wants to know which rows belong together, and they all do.) There is no function that sets it.
const INSERT_FROM_LAST: &str = "memtable_insert_with_hint_prefix_extractor=capped:0";
/// Part of the write buffer that a memtable's Bloom filter takes, all of it when the memtable is made: only where many
/// rows are written, see [`MEMTABLE_BLOOM_ROWS`].
pub(crate) const MEMTABLE_BLOOM: (&str, &str) = ("memtable_prefix_bloom_size_ratio", "0.02");
/// The same as a number.
pub(crate) const MEMTABLE_BLOOM_RATIO: f64 = 0.02;
/// Rows in the memtable of a column family from which on its memtables have Bloom filters.
pub(crate) const MEMTABLE_BLOOM_ROWS: u64 = 32 << 10;
/// Rows with which a column family is made that has them from the beginning: much will be written into it.
pub(crate) const FIRST_BLOOM_ROWS: usize = 4 << 10;
/// Memtables of one column family that may wait to be flushed before writers wait for that.
const MEMTABLES_MAX: i32 = 6;

/// Seconds for which a file is left alone that could be smaller now that a snapshot is gone; most are compacted before that. There
/// always is a snapshot, the base's, so that what is flushed keeps a second version of some keys, and all sequence numbers. When
/// the base is renewed a moment later, RocksDB would rewrite the whole file to be rid of them.
const BOTTOMMOST_DELAY_S: u32 = 3600;

/// The options of the column family that has the store's own record. It is flushed together with the others, so it must
/// not make writers wait before they do.
pub(crate) fn default_options(shared: &SharedResources) -> Options {
    let mut o = Options::default();
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&shared.cache);
    o.set_block_based_table_factory(&table);
    o.set_write_buffer_size(shared.budget.write_buffer_bytes.max(1 << 20));
    o.set_arena_block_size(ARENA_BYTES);
    o.set_max_write_buffer_number(MEMTABLES_MAX);
    o.set_bottommost_file_compaction_delay(BOTTOMMOST_DELAY_S);
    o.set_level_zero_slowdown_writes_trigger(LEVEL0_SLOWDOWN_FILES);
    o.set_level_zero_stop_writes_trigger(LEVEL0_STOP_FILES);
    o
}

pub(crate) fn cf_options(
    cf: Cf,
    space: SpaceId,
    options: &StoreOptions,
    shared: &SharedResources,
    (db, bases): (&Arc<OnceLock<Weak<DB>>>, &Bases),
) -> Options {
    let mut o = Options::default()
        .get_options_from_string(INSERT_FROM_LAST)
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "RocksDB does not know an option, and writes more slowly");
            Options::default()
        });
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&shared.cache);
    // What is flushed was written a moment ago, and is often read soon: its blocks go to the cache at once. So do those of what is
    // compacted, as long as nothing has to give way to them: what was in memory would have to be read from the disk again otherwise.
    table.set_prepopulate_block_cache(match shared.budget.block_bytes_max {
        PREPOPULATE_BYTES_MIN.. => PREPOPULATE,
        _ => PREPOPULATE_ON_FLUSH,
    });
    table.set_block_size(options.block_bytes);
    table.set_format_version(6);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // Indexes and filters in pieces: with data far larger than the cache, only the pieces in use stay.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_optimize_filters_for_memory(true);
    if cf != Cf::Expiry {
        table.set_bloom_filter(10.0, false);
        table.set_whole_key_filtering(true);
        table.set_partition_filters(true);
        o.set_memtable_whole_key_filtering(true);
    }
    if cf == Cf::Meta {
        table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        packed::merge_operator::register(&mut o);
    }
    o.set_block_based_table_factory(&table);
    // The write buffer manager decides when to flush; this only keeps one family from taking all of it.
    o.set_write_buffer_size(shared.budget.write_buffer_bytes.max(1 << 20));
    o.set_arena_block_size(ARENA_BYTES);
    o.set_max_write_buffer_number(MEMTABLES_MAX);
    o.set_level_compaction_dynamic_level_bytes(true);
    o.set_level_zero_file_num_compaction_trigger(4);
    o.set_level_zero_slowdown_writes_trigger(LEVEL0_SLOWDOWN_FILES);
    o.set_level_zero_stop_writes_trigger(LEVEL0_STOP_FILES);
    o.set_bottommost_file_compaction_delay(BOTTOMMOST_DELAY_S);
    o.set_target_file_size_base(64 << 20);
    o.set_max_bytes_for_level_base(512 << 20);
    o.add_compact_on_deletion_collector_factory(DELETION_WINDOW, DELETION_TRIGGER, 0.5);
    if cf != Cf::Expiry {
        // Who removes expired keys goes on where the last round ended, and crosses no dead entries.
        o.set_memtable_op_scan_flush_trigger(SCAN_FLUSH_TRIGGER);
    }
    match options.compression {
        Compression::None => o.set_compression_type(DBCompressionType::None),
        Compression::Lz4 => o.set_compression_type(DBCompressionType::Lz4),
        Compression::Zstd => {
            o.set_compression_type(DBCompressionType::Lz4);
            o.set_bottommost_compression_type(DBCompressionType::Zstd);
        }
    }
    if cf == Cf::Data {
        o.set_compaction_filter_factory(OrphanFilterFactory {
            space,
            db: db.clone(),
            bases: bases.clone(),
        });
    }
    o
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_without_a_function_is_known() {
        assert!(Options::default().get_options_from_string(INSERT_FROM_LAST).is_ok());
        assert!(Options::default().get_options_from_string("no_such_option=1").is_err());
    }
}
