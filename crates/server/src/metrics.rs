//! The metrics that `/metrics` shows, in Prometheus' text format. All names stand here, with their units.

mod families;

use std::sync::atomic::{AtomicU64, Ordering};

use haypile_node::memory::allocator;
use haypile_node::process;
use haypile_node::replication::Pin;
use prometheus::proto::{Bucket, Histogram, Metric, MetricType};

use self::families::{Families, Label, counter, gauge, labelled};
use crate::commands::REDIS_VERSION;
use crate::info::commands;
use crate::pubsub::Sort;
use crate::state::ServerState;
use crate::stats::{BUCKETS, CommandStats, bucket_micros};
use crate::users::Reason;

/// The value of a `Content-Type` header for [`text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All metrics of the server, as text.
pub fn text(server: &ServerState) -> String {
    let mut families = Families::default();
    process(server, &mut families);
    commands_and_errors(server, &mut families);
    clients(server, &mut families);
    data(server, &mut families);
    oplog(server, &mut families);
    store(server, &mut families);
    replication(server, &mut families);
    // A family with a wrong name would be an error; a test encodes all of them.
    prometheus::TextEncoder::new()
        .encode_to_string(&families.0)
        .unwrap_or_default()
}

fn get(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

fn process(server: &ServerState, families: &mut Families) {
    let (cpu, values) = (process::cpu_times(), server.node.config.load());
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("redis_version", REDIS_VERSION)];
    families.gauges(
        "haypile_info",
        "The version of the server; always 1.",
        vec![gauge(&labels, 1.0)],
    );
    families.gauge(
        "haypile_uptime_seconds",
        "Time since the server started.",
        server.started.elapsed().as_secs_f64(),
    );
    families.gauge(
        "process_start_time_seconds",
        "When the server started, since the epoch.",
        server.started_ms as f64 / 1000.0,
    );
    families.counter(
        "process_cpu_seconds_total",
        "Processor time, user and system, all threads.",
        cpu.user + cpu.system,
    );
    families.gauge(
        "process_resident_memory_bytes",
        "Resident memory.",
        process::resident_bytes() as f64,
    );
    families.gauge(
        "haypile_memory_budget_bytes",
        "What the process may have resident, connections' buffers aside.",
        server.node.memory.budget_bytes() as f64,
    );
    if let Some(free) = process::disk_free_bytes(&values.dir) {
        families.gauge(
            "haypile_disk_free_bytes",
            "Bytes that are free on the file system of the data.",
            free as f64,
        );
    }
    families.gauge(
        "haypile_disk_free_min_bytes",
        "Writes are refused below this: disk-free-min-bytes.",
        values.disk_free_min_bytes as f64,
    );
    if let Some(end) = server.node.tls.get().and_then(|contexts| contexts.end) {
        families.gauge(
            "haypile_tls_certificate_end_timestamp_seconds",
            "When the first of the server's certificates ends, since the epoch.",
            end as f64,
        );
    }
    families.gauge(
        "haypile_clients_max",
        "How many clients may be connected.",
        f64::from(values.maxclients),
    );
    let saves = &server.saves;
    families.counter(
        "haypile_checkpoints_total",
        "Checkpoints that SAVE and BGSAVE completed.",
        get(&saves.total),
    );
    families.gauge(
        "haypile_checkpoint_running",
        "1 while a checkpoint is being made.",
        f64::from(saves.is_running()),
    );
    families.gauge(
        "haypile_last_checkpoint_timestamp_seconds",
        "When the last checkpoint was complete, or the server started, since the epoch.",
        get(&saves.last_at),
    );
    families.gauge(
        "haypile_last_checkpoint_success",
        "1 unless the last checkpoint failed.",
        f64::from(saves.last_ok.load(Ordering::Relaxed)),
    );
}

fn commands_and_errors(server: &ServerState, families: &mut Families) {
    let called: Vec<_> = commands(&server.stats)
        .into_iter()
        .filter(|(_, stats)| get(&stats.calls) + get(&stats.rejected) + get(&stats.failed) > 0.0)
        .collect();
    let of = |make: &dyn Fn(&str, &CommandStats) -> Vec<Metric>| -> Vec<Metric> {
        called
            .iter()
            .flat_map(|(known, stats)| make(&known.full_name, stats))
            .collect()
    };
    families.counters(
        "haypile_commands_total",
        "Commands evaluated, by name.",
        of(&|name, stats| vec![counter(&[("command", name)], get(&stats.calls))]),
    );
    families.counters(
        "haypile_command_errors_total",
        "Commands that were refused before they were evaluated, or ended in an error.",
        of(&|name, stats| {
            vec![
                counter(&[("command", name), ("kind", "rejected")], get(&stats.rejected)),
                counter(&[("command", name), ("kind", "failed")], get(&stats.failed)),
            ]
        }),
    );
    families.add(
        MetricType::HISTOGRAM,
        "haypile_command_duration_seconds",
        "How long the evaluation of commands took; not while latency-tracking is off.",
        of(&|name, stats| vec![histogram(&[("command", name)], stats)]),
    );
    let errors = server.stats.errors.lock();
    let by_code = errors
        .iter()
        .map(|(code, count)| counter(&[("code", code)], *count as f64));
    families.counters(
        "haypile_error_replies_total",
        "Error replies by code.",
        by_code.collect(),
    );
}

fn histogram(labels: &[Label<'_>], stats: &CommandStats) -> Metric {
    let counts = stats.histogram();
    let mut below = 0;
    let bucket = |(i, count): (usize, &u64)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_cumulative_count(below);
        bucket.set_upper_bound(bucket_micros(i) as f64 / 1e6);
        bucket
    };
    // The last one has no upper bound; the encoder adds it from the number of all.
    let buckets = counts[..BUCKETS - 1].iter().enumerate().map(bucket).collect();
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(get(&stats.micros) / 1e6);
    let mut metric = labelled(labels);
    metric.set_histogram(histogram);
    metric
}

fn clients(server: &ServerState, families: &mut Families) {
    let stats = &server.stats;
    families.gauge(
        "haypile_connected_clients",
        "Clients that are connected.",
        server.clients.len() as f64,
    );
    families.counter(
        "haypile_connections_accepted_total",
        "Connections accepted.",
        get(&stats.connections_total),
    );
    families.counter(
        "haypile_connections_refused_total",
        "Connections refused because of maxclients.",
        get(&stats.connections_rejected),
    );
    families.counter(
        "haypile_tls_handshakes_failed_total",
        "Connections on which no TLS came about.",
        get(&stats.tls_handshakes_failed),
    );
    let denials = &server.users.denials;
    families.counters(
        "haypile_access_denied_total",
        "Log-ins, commands, keys and channels that were refused.",
        Reason::ALL
            .iter()
            .map(|reason| counter(&[("reason", reason.name())], denials.count(*reason) as f64))
            .collect(),
    );
    families.counters(
        "haypile_clients_closed_total",
        "Clients closed because a buffer of theirs was over its limit.",
        vec![
            counter(&[("buffer", "output")], get(&stats.output_limit_closed)),
            counter(&[("buffer", "query")], get(&stats.query_limit_closed)),
        ],
    );
    families.counter(
        "haypile_network_received_bytes_total",
        "Bytes received.",
        stats.input_bytes.sum() as f64,
    );
    families.counter(
        "haypile_network_sent_bytes_total",
        "Bytes sent.",
        stats.output_bytes.sum() as f64,
    );
    let sorts = [
        ("channel", Sort::Channel),
        ("pattern", Sort::Pattern),
        ("shard", Sort::Shard),
    ];
    families.gauges(
        "haypile_pubsub_channels",
        "Channels, patterns and sharded channels that somebody listens to.",
        sorts
            .map(|(name, sort)| gauge(&[("kind", name)], server.pubsub.len(sort) as f64))
            .into(),
    );
    families.gauge(
        "haypile_slowlog_entries",
        "Entries in the slow log.",
        server.slowlog.len() as f64,
    );
}

fn data(server: &ServerState, families: &mut Families) {
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

fn replication(server: &ServerState, families: &mut Families) {
    let replication = &server.node.replication;
    let replicas = replication.source.replicas(replication.now());
    families.gauge(
        "haypile_replicas",
        "Replicas that are connected.",
        replicas.len() as f64,
    );
    families.counter(
        "haypile_replication_pubsub_messages_dropped_total",
        "Messages of PUBLISH and SPUBLISH that replicas were too slow for, once for each replica.",
        replication.source.published.dropped() as f64,
    );
    let readers = server.node.partitions.the_one().as_ref().map(|data| data.readers());
    let pins = readers
        .map(|readers| replication.source.pins(&readers))
        .unwrap_or_default();
    let metric = |pin: &Pin| gauge(&[("kind", pin.who.kind()), ("id", &pin.who.id())], pin.bytes as f64);
    families.gauges(
        "haypile_replication_needed_log_bytes",
        "Bytes of the log from the first entry that somebody needs.",
        pins.iter().map(metric).collect(),
    );
    families.counter(
        "haypile_replication_left_behind_total",
        "How often the log was collected that a replica or a checkpoint's copy still needed.",
        replication.source.left_behind() as f64,
    );
    let following = replication.roles.load().source().is_some();
    families.gauge(
        "haypile_replication_is_replica",
        "1 while this server follows another.",
        f64::from(following),
    );
    let status = replication.follower_status();
    if following {
        families.gauge(
            "haypile_replication_link_up",
            "1 while entries come from the server that is followed.",
            f64::from(replication.is_link_up()),
        );
        families.gauge(
            "haypile_replication_gave_up",
            "1 while replication waits for a person: repl-max-attempts is used up. REPLICAOF starts anew.",
            f64::from(status.gave_up()),
        );
        let lag = &status.stream.lag;
        families.gauge(
            "haypile_replication_lag_entries",
            "Entries of the log that the followed server has and this one does not show.",
            lag.entries as f64,
        );
        families.gauge(
            "haypile_replication_lag_seconds",
            "Age of the newest entry shown here, while there are newer ones.",
            lag.time.as_secs_f64(),
        );
    }
    if let Some(copy) = status
        .machines
        .as_ref()
        .and_then(|(_, partition)| partition.copy.as_ref())
    {
        families.gauge(
            "haypile_replication_copy_bytes",
            "Bytes of the checkpoint that are here and checked.",
            copy.bytes_done as f64,
        );
        families.gauge(
            "haypile_replication_copy_total_bytes",
            "Bytes of the checkpoint.",
            copy.bytes_total as f64,
        );
    }
    let counts = replication.transitions();
    let metric = |((machine, to), count): (&(&'static str, String), &u64)| {
        counter(&[("machine", *machine), ("to", to)], *count as f64)
    };
    families.counters(
        "haypile_replication_transitions_total",
        "Changes of state of the machines that follow, by the state entered.",
        counts.states.iter().map(metric).collect(),
    );
    let metric = |((machine, kind), count): (&(&'static str, String), &u64)| {
        counter(&[("machine", *machine), ("kind", kind)], *count as f64)
    };
    families.counters(
        "haypile_replication_failures_total",
        "Failures of the machines that follow, by kind.",
        counts.failures.iter().map(metric).collect(),
    );
}

fn oplog(server: &ServerState, families: &mut Families) {
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

fn store(server: &ServerState, families: &mut Families) {
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
