//! Metrics of the partitions: keys, the log, the store.

use haypile_node::memory::allocator;
use prometheus::proto::Metric;

use super::families::{Families, counter, gauge};
use super::get;
use crate::state::ServerState;

pub(super) fn data(server: &ServerState, families: &mut Families) {
    let counts = server.node.partitions.counts();
    let used: Vec<_> = counts
        .iter()
        .enumerate()
        .filter(|(db, c)| *db == 0 || c.keys > 0)
        .collect();
    let by_db = |of: fn(&haypile_store::Counts) -> u64| -> Vec<Metric> {
        let metric = |(db, counts): &(usize, &_)| gauge(&[("db", &db.to_string())], of(counts) as f64);
        used.iter().map(metric).collect()
    };
    families.gauges("haypile_keys", "Keys by database.", by_db(|counts| counts.keys));
    families.gauges(
        "haypile_keys_with_expiry",
        "Keys that expire, by database.",
        by_db(|counts| counts.expires),
    );
    families.counter(
        "haypile_cold_reads_total",
        "Commands that had to wait for the disk.",
        get(&server.stats.cold_reads),
    );
    families.gauge(
        "haypile_writes_refused",
        "1 while writes are refused: the disk is full, or a write to it has failed.",
        f64::from(server.node.partitions.refusal().is_some()),
    );
}

pub(super) fn oplog(server: &ServerState, families: &mut Families) {
    let stats = server.node.partitions.stats();
    let log = &stats.oplog;
    families.gauge(
        "haypile_blocked_clients",
        "Clients that wait for a key.",
        stats.blocked_clients as f64,
    );
    families.counter(
        "haypile_expired_keys_total",
        "Keys removed because their time was over.",
        stats.expired as f64,
    );
    families.counters(
        "haypile_lookups_total",
        "Keys that were looked up, by whether they were there.",
        vec![
            counter(&[("result", "hit")], stats.hits as f64),
            counter(&[("result", "miss")], stats.misses as f64),
        ],
    );
    families.gauge("haypile_oplog_bytes", "Bytes of the log's files.", log.bytes as f64);
    families.gauge(
        "haypile_oplog_pinned_bytes",
        "Bytes of the log that are kept beyond its retention because somebody needs them.",
        log.pinned_bytes as f64,
    );
    families.counter(
        "haypile_oplog_appended_bytes_total",
        "Bytes of entries written to the log since the start.",
        log.appended_bytes_total as f64,
    );
    families.gauge("haypile_oplog_segments", "Segments of the log.", log.segments as f64);
    families.gauge(
        "haypile_oplog_spare_files",
        "Files kept for segments to come.",
        log.spares as f64,
    );
    families.gauge(
        "haypile_oplog_first_index",
        "Index of the oldest entry in the log.",
        log.first_index as f64,
    );
    families.gauge(
        "haypile_oplog_last_index",
        "Index of the newest entry in the log.",
        log.last_index as f64,
    );
    families.gauge(
        "haypile_oplog_durable_index",
        "Index up to which the log is on disk.",
        stats.durable.index as f64,
    );
    families.gauge(
        "haypile_oplog_term",
        "Term of the newest entry in the log.",
        stats.position.term as f64,
    );
    families.counter(
        "haypile_oplog_syncs_total",
        "Times that the log was synced to disk.",
        stats.fsyncs as f64,
    );
    families.counter(
        "haypile_oplog_sync_seconds_total",
        "Time spent in syncing the log.",
        stats.fsync_us_total as f64 / 1e6,
    );
    families.gauge(
        "haypile_oplog_sync_last_seconds",
        "Time that the last sync of the log took.",
        stats.fsync_us_last as f64 / 1e6,
    );
}

pub(super) fn store(server: &ServerState, families: &mut Families) {
    let stats = server.node.partitions.store_stats();
    families.gauge(
        "haypile_memory_budget_used_bytes",
        "Cached blocks, write buffers and rows in memory.",
        (stats.block_cache_bytes + stats.row_bytes) as f64,
    );
    let limits = server.node.memory.shared.cache_limits();
    for (name, help, value) in [
        ("row_cache_bytes", "Rows in memory.", stats.row_bytes),
        (
            "row_cache_bytes_max",
            "What rows in memory may take now.",
            limits.row_bytes as u64,
        ),
        (
            "block_cache_bytes_max",
            "What cached blocks and write buffers may take now.",
            limits.block_bytes as u64,
        ),
        (
            "unsettled_bytes",
            "Rows that are visible and not written to RocksDB yet.",
            stats.unsettled_bytes,
        ),
        (
            "retained_bytes",
            "Superseded rows that readers keep from being freed.",
            stats.retained_bytes,
        ),
        (
            "allocator_unused_bytes",
            "Resident memory that the allocator keeps for reuse.",
            allocator::usage().unwrap_or_default().unused,
        ),
    ] {
        families.gauge(&format!("haypile_{name}"), help, value as f64);
    }
    families.counter(
        "haypile_allocator_purges_total",
        "Times that the allocator was told to give back what it keeps, because the budget was near.",
        server.node.memory.purges() as f64,
    );
    for (name, help, value) in [
        ("sst_bytes", "Bytes of tables on disk.", stats.sst_bytes),
        ("memtable_bytes", "Bytes in memtables.", stats.memtable_bytes),
        (
            "pending_compaction_bytes",
            "Bytes that wait for compaction.",
            stats.pending_compaction_bytes,
        ),
        ("running_compactions", "Compactions at work.", stats.running_compactions),
        ("running_flushes", "Flushes at work.", stats.running_flushes),
        ("level0_files", "Files in level 0.", stats.level0_files),
        (
            "estimated_keys",
            "Rows, elements and expiry entries, estimated.",
            stats.estimated_keys,
        ),
        (
            "block_cache_bytes",
            "Cached blocks and write buffers.",
            stats.block_cache_bytes,
        ),
        ("write_buffer_bytes", "Write buffers.", stats.write_buffer_bytes),
    ] {
        families.gauge(&format!("haypile_rocksdb_{name}"), help, value as f64);
    }
}
