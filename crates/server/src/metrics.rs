//! The metrics that `/metrics` shows, in Prometheus' text format. Their names stand here and beside, with their units.

mod families;
mod replication;
mod storage;

use std::sync::atomic::{AtomicU64, Ordering};

use haypile_node::process;
use prometheus::proto::{Bucket, Histogram, Metric, MetricType};

use self::families::{Families, Label, counter, gauge, labelled};
use crate::info::{REDIS_VERSION, commands};
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
    storage::data(server, &mut families);
    storage::oplog(server, &mut families);
    storage::store(server, &mut families);
    replication::replication(server, &mut families);
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
