//! The sections of INFO that count: stats, commands, errors, latency.

use std::sync::atomic::{AtomicU64, Ordering};

use haypile_commands::table::{self, Known};

use super::{Facts, Lines};
use crate::pubsub::Sort;
use crate::stats::{CommandStats, percentile};
use crate::users::Reason;

pub(super) fn stats(facts: &Facts<'_>, lines: &mut Lines) {
    let (server, partition) = (facts.server, &facts.partition);
    let stats = &server.stats;
    let rates = server.sampler.rates();
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let kilobytes = |bytes: f64| format!("{:.2}", bytes / 1024.0);
    lines.put("total_connections_received", get(&stats.connections_total));
    lines.put("total_commands_processed", stats.calls_total());
    lines.put("instantaneous_ops_per_sec", rates.commands.round() as u64);
    lines.put("total_net_input_bytes", stats.input_bytes.sum());
    lines.put("total_net_output_bytes", stats.output_bytes.sum());
    lines.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    lines.put("instantaneous_input_kbps", kilobytes(rates.input_bytes));
    lines.put("instantaneous_output_kbps", kilobytes(rates.output_bytes));
    lines.put("instantaneous_input_repl_kbps", "0.00");
    lines.put("instantaneous_output_repl_kbps", "0.00");
    lines.put("rejected_connections", get(&stats.connections_rejected));
    let syncs = &server.node.replication.source.syncs;
    lines.put("sync_full", get(&syncs.full));
    lines.put("sync_partial_ok", get(&syncs.continued));
    lines.put("sync_partial_err", get(&syncs.not_continued));
    lines.put("expired_keys", partition.expired);
    lines.put("expired_stale_perc", "0.00");
    lines.zeros(&[
        "expired_time_cap_reached_count",
        "expire_cycle_cpu_milliseconds",
        "evicted_keys",
        "evicted_clients",
        "total_eviction_exceeded_time",
        "current_eviction_exceeded_time",
    ]);
    lines.put("keyspace_hits", partition.hits);
    lines.put("keyspace_misses", partition.misses);
    lines.put("pubsub_channels", server.pubsub.len(Sort::Channel));
    lines.put("pubsub_patterns", server.pubsub.len(Sort::Pattern));
    lines.put("pubsubshard_channels", server.pubsub.len(Sort::Shard));
    lines.zeros(&[
        "latest_fork_usec",
        "total_forks",
        "migrate_cached_sockets",
        "slave_expires_tracked_keys",
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
        "tracking_total_keys",
        "tracking_total_items",
        "tracking_total_prefixes",
        "unexpected_error_replies",
    ]);
    lines.put("total_error_replies", get(&stats.errors_total));
    lines.zeros(&[
        "dump_payload_sanitizations",
        "total_reads_processed",
        "total_writes_processed",
        "io_threaded_reads_processed",
        "io_threaded_writes_processed",
        "reply_buffer_shrinks",
        "reply_buffer_expands",
    ]);
    for (field, reason) in [
        ("acl_access_denied_auth", Reason::Auth),
        ("acl_access_denied_cmd", Reason::Command),
        ("acl_access_denied_key", Reason::Key),
        ("acl_access_denied_channel", Reason::Channel),
    ] {
        lines.put(field, server.users.denials.count(reason));
    }
    lines.put(
        "client_query_buffer_limit_disconnections",
        get(&stats.query_limit_closed),
    );
    lines.put(
        "client_output_buffer_limit_disconnections",
        get(&stats.output_limit_closed),
    );
    lines.put("tls_handshakes_failed", get(&stats.tls_handshakes_failed));
    lines.put("cold_reads", get(&stats.cold_reads));
}

/// Every command and subcommand with its counters, by name.
pub(crate) fn commands(stats: &crate::stats::Stats) -> Vec<(&'static Known, CommandStats)> {
    let known = table::known_with_subcommands();
    let mut all: Vec<_> = known.map(|known| (known, stats.command(known.id))).collect();
    all.sort_by_key(|(known, _)| &known.full_name);
    all
}

pub(super) fn commandstats(facts: &Facts<'_>, lines: &mut Lines) {
    for (known, stats) in commands(&facts.server.stats) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (calls, usec) = (get(&stats.calls), get(&stats.micros));
        let (rejected, failed) = (get(&stats.rejected), get(&stats.failed));
        if calls + rejected + failed == 0 {
            continue;
        }
        let each = if calls == 0 { 0.0 } else { usec as f64 / calls as f64 };
        lines.put(
            &format!("cmdstat_{}", known.full_name),
            format_args!(
                "calls={calls},usec={usec},usec_per_call={each:.2},rejected_calls={rejected},failed_calls={failed}"
            ),
        );
    }
}

pub(super) fn errorstats(facts: &Facts<'_>, lines: &mut Lines) {
    for (code, count) in facts.server.stats.errors.lock().iter() {
        lines.put(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

pub(super) fn latencystats(facts: &Facts<'_>, lines: &mut Lines) {
    if !facts.values.latency_tracking {
        return;
    }
    let percentiles = &facts.values.latency_tracking_info_percentiles;
    let percentiles: Vec<(&str, f64)> = percentiles
        .split_whitespace()
        .filter_map(|word| Some((word, word.parse().ok()?)))
        .collect();
    for (known, stats) in commands(&facts.server.stats) {
        let histogram = stats.histogram();
        let shown: Vec<String> = percentiles
            .iter()
            .filter_map(|(word, percent)| Some(format!("p{word}={:.3}", percentile(&histogram, *percent)?)))
            .collect();
        if !shown.is_empty() {
            lines.put(
                &format!("latency_percentiles_usec_{}", known.full_name),
                shown.join(","),
            );
        }
    }
}
