//! Metrics of replication, of both its sides.

use haypile_node::replication::Pin;

use super::families::{Families, counter, gauge};
use crate::state::ServerState;

pub(super) fn replication(server: &ServerState, families: &mut Families) {
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
