//! The section of INFO that Redis does not have.

use super::{Facts, Lines};

/// What Redis has no field for.
pub(super) fn haypile(facts: &Facts<'_>, lines: &mut Lines) {
    let (partition, store) = (&facts.partition, &facts.store);
    let oplog = &partition.oplog;
    lines.put("version", env!("CARGO_PKG_VERSION"));
    lines.put("position", partition.position);
    lines.put("durable_position", partition.durable);
    lines.put("sync", facts.values.sync);
    let refusal = facts.server.node.partitions.refusal();
    lines.put("writes_refused", u8::from(refusal.is_some()));
    lines.put("write_refusal", refusal.unwrap_or_default());
    lines.put("oplog_bytes", oplog.bytes);
    lines.put("oplog_appended_bytes", oplog.appended_bytes_total);
    lines.put("oplog_segments", oplog.segments);
    lines.put("oplog_spares", oplog.spares);
    lines.put("oplog_recycled", oplog.recycled_total);
    lines.put("oplog_first_index", oplog.first_index);
    lines.put("oplog_last_index", oplog.last_index);
    lines.put("fsyncs", partition.fsyncs);
    lines.put("fsync_usec_total", partition.fsync_us_total);
    lines.put("fsync_usec_last", partition.fsync_us_last);
    lines.put("rocksdb_sst_bytes", store.sst_bytes);
    lines.put("rocksdb_memtable_bytes", store.memtable_bytes);
    lines.put("rocksdb_pending_compaction_bytes", store.pending_compaction_bytes);
    lines.put("rocksdb_running_compactions", store.running_compactions);
    lines.put("rocksdb_running_flushes", store.running_flushes);
    lines.put("rocksdb_level0_files", store.level0_files);
    lines.put("rocksdb_estimated_keys", store.estimated_keys);
    lines.put("rocksdb_block_cache_bytes", store.block_cache_bytes);
    lines.put("rocksdb_write_buffer_bytes", store.write_buffer_bytes);
    lines.put("row_cache_bytes", store.row_bytes);
    lines.put("compact_in_progress", u8::from(facts.server.compaction.is_running()));
}
