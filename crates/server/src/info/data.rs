//! The sections of INFO about persistence, the cluster and the keyspaces.

use std::sync::atomic::Ordering;

use super::{Facts, Lines};

pub(super) fn persistence(facts: &Facts<'_>, lines: &mut Lines) {
    let saves = &facts.server.saves;
    let position = facts.partition.position;
    let now = facts.server.node.clock.now_ms() / 1000;
    let status = |ok: bool| if ok { "ok" } else { "err" };
    let current = match saves.begun_at.load(Ordering::Relaxed) {
        0 => -1,
        begun_at => now.saturating_sub(begun_at) as i64,
    };
    lines.zeros(&[
        "loading",
        "async_loading",
        "current_cow_peak",
        "current_cow_size",
        "current_cow_size_age",
    ]);
    lines.put("current_fork_perc", "0.00");
    lines.zeros(&["current_save_keys_processed", "current_save_keys_total"]);
    let saved = saves.last_index.load(Ordering::Relaxed);
    lines.put("rdb_changes_since_last_save", position.index.saturating_sub(saved));
    lines.put("rdb_bgsave_in_progress", u8::from(saves.is_running()));
    lines.put("rdb_last_save_time", saves.last_at.load(Ordering::Relaxed));
    lines.put("rdb_last_bgsave_status", status(saves.last_ok.load(Ordering::Relaxed)));
    lines.put("rdb_last_bgsave_time_sec", saves.last_seconds.load(Ordering::Relaxed));
    lines.put("rdb_current_bgsave_time_sec", current);
    lines.put("rdb_saves", saves.total.load(Ordering::Relaxed));
    lines.zeros(&[
        "rdb_last_cow_size",
        "rdb_last_load_keys_expired",
        "rdb_last_load_keys_loaded",
    ]);
    // The log is what Redis' append-only file is.
    lines.put("aof_enabled", 1);
    lines.zeros(&["aof_rewrite_in_progress", "aof_rewrite_scheduled"]);
    lines.put("aof_last_rewrite_time_sec", -1);
    lines.put("aof_current_rewrite_time_sec", -1);
    lines.put("aof_last_bgrewrite_status", "ok");
    lines.zeros(&["aof_rewrites", "aof_rewrites_consecutive_failures"]);
    lines.put(
        "aof_last_write_status",
        status(facts.server.node.partitions.refusal().is_none()),
    );
    lines.put("aof_last_cow_size", 0);
    lines.zeros(&["module_fork_in_progress", "module_fork_last_cow_size"]);
    let oplog = &facts.partition.oplog;
    lines.put("aof_current_size", oplog.bytes);
    lines.put("aof_base_size", 0);
    lines.zeros(&[
        "aof_pending_rewrite",
        "aof_buffer_length",
        "aof_pending_bio_fsync",
        "aof_delayed_fsync",
    ]);
    lines.put("oplog_bytes", oplog.bytes);
    lines.put("oplog_position", position);
    lines.put("oplog_durable_position", facts.partition.durable);
}

pub(super) fn cluster(_: &Facts<'_>, lines: &mut Lines) {
    lines.put("cluster_enabled", 0);
}

pub(super) fn keyspace(facts: &Facts<'_>, lines: &mut Lines) {
    for (db, counts) in facts.server.node.partitions.counts().into_iter().enumerate() {
        if counts.keys > 0 {
            let (keys, expires) = (counts.keys, counts.expires);
            lines.put(
                &format!("db{db}"),
                format_args!("keys={keys},expires={expires},avg_ttl=0"),
            );
        }
    }
}
