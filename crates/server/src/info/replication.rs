//! The section of INFO about replication.

use std::time::Duration;

use haypile_node::replication::{FollowerStatus, failover_state};
use haypile_sync::SyncError;
use haypile_sync::follower::{InstanceState, PartitionState};
use haypile_sync::role::Address;

use super::{Facts, Lines};

/// Redis' fields, in its order, and then ours.
pub(super) fn replication(facts: &Facts<'_>, lines: &mut Lines) {
    let (server, values) = (facts.server, &facts.values);
    let replication = &server.node.replication;
    // What can be read: at the same offset two servers hold the same.
    let offset = facts.partition.applied;
    let status = replication.follower_status();
    let role = &facts.role;
    match role.source() {
        Some(source) => {
            let known = if role.is_confirmed() { offset } else { 0 };
            follower(facts, lines, &status, source, (offset, known));
        }
        None if follows_in_group(facts) => lines.put("role", "slave"),
        None => lines.put("role", "master"),
    }
    let replicas = replication.source.replicas(replication.now());
    lines.put("connected_slaves", replicas.len());
    if values.min_replicas_to_write > 0 {
        let max_lag = Duration::from_secs(u64::from(values.min_replicas_max_lag));
        let good = replication.source.good_replicas(replication.now(), max_lag);
        lines.put("min_slaves_good_slaves", good);
    }
    for (n, replica) in replicas.iter().enumerate() {
        let (host, port, state) = (&replica.host, replica.port, replica.state);
        let (applied, lag) = (replica.acks.applied, replica.heard.as_secs());
        lines.put(
            &format!("slave{n}"),
            format_args!("ip={host},port={port},state={state},offset={applied},lag={lag}"),
        );
    }
    lines.put("master_failover_state", failover_state(role.state()));
    lines.put("master_replid", server.node.replication.replication_id());
    lines.put("master_replid2", "0".repeat(40));
    lines.put("master_repl_offset", offset);
    lines.put("second_repl_offset", -1);
    let oplog = &facts.partition.oplog;
    lines.put("repl_backlog_active", 1);
    lines.put("repl_backlog_size", values.oplog_retention_bytes);
    lines.put("repl_backlog_first_byte_offset", oplog.first_index);
    lines.put("repl_backlog_histlen", (offset + 1).saturating_sub(oplog.first_index));
    own(facts, lines, &status);
}

/// True for a member of a replica group that does not lead it.
fn follows_in_group(facts: &Facts<'_>) -> bool {
    let view = facts.server.node.partitions.group_view();
    view.is_some_and(|view| !view.serves)
}

/// `known` is the offset up to which the source is known to have the same: 0 while nothing is known, because Sentinel promotes the
/// replica with the largest.
fn follower(
    facts: &Facts<'_>,
    lines: &mut Lines,
    status: &FollowerStatus,
    source: &Address,
    (offset, known): (u64, u64),
) {
    let (server, values) = (facts.server, &facts.values);
    let replication = &server.node.replication;
    let up = replication.is_link_up();
    let now = replication.now();
    let heard = now.since(haypile_sync::Time::new(status.stream.heard));
    let copy = status
        .machines
        .as_ref()
        .and_then(|(_, partition)| partition.copy.clone());
    let syncing = status
        .machines
        .as_ref()
        .is_some_and(|(_, partition)| partition.state == PartitionState::WaitDBSync);
    lines.put("role", "slave");
    lines.put("master_host", &source.host);
    lines.put("master_port", source.port);
    lines.put("master_link_status", if up { "up" } else { "down" });
    lines.put(
        "master_last_io_seconds_ago",
        if up { heard.as_secs() as i64 } else { -1 },
    );
    lines.put("master_sync_in_progress", u8::from(syncing));
    lines.put("slave_read_repl_offset", offset);
    lines.put("slave_repl_offset", known);
    if let Some(copy) = &copy {
        lines.put("master_sync_total_bytes", copy.bytes_total);
        lines.put("master_sync_read_bytes", copy.bytes_done);
        lines.put(
            "master_sync_left_bytes",
            copy.bytes_total.saturating_sub(copy.bytes_done),
        );
        let percent = copy.bytes_done as f64 * 100.0 / copy.bytes_total.max(1) as f64;
        lines.put("master_sync_perc", format_args!("{percent:.2}"));
        lines.put("master_sync_last_io_seconds_ago", 0);
    }
    if !up {
        // Sentinel takes the replica that was connected last.
        lines.put("master_link_down_since_seconds", heard.as_secs());
    }
    lines.put("slave_priority", values.replica_priority);
    lines.put("slave_read_only", 1);
    lines.put("replica_announced", u8::from(values.replica_announced));
}

fn own(facts: &Facts<'_>, lines: &mut Lines, status: &FollowerStatus) {
    let replication = &facts.server.node.replication;
    if let Some(view) = facts.server.node.partitions.group_view() {
        let leader = view.leader.and_then(|leader| replication.member_address(leader));
        lines.put("group_member", view.replica);
        lines.put("group_leader", view.leader.unwrap_or(0));
        lines.put("group_leader_address", leader.unwrap_or_default());
        lines.put("group_term", view.term);
        lines.put("group_commit", view.commit);
        lines.put("group_serves", u8::from(view.serves));
    }
    let now = replication.now();
    lines.put("sync_port", replication.sync_port());
    lines.put("node_id", replication.node_id());
    lines.put("sync_pubsub_messages_dropped", replication.source.published.dropped());
    lines.put("sync_poisoned_copies", status.poisoned_copies);
    pins(facts, lines);
    let follows = facts.role.source().is_some();
    let Some((instance, partition)) = &status.machines else {
        // The server starts.
        if follows {
            lines.put("sync_instance_state", InstanceState::NoConnect);
            lines.put("sync_partition0", format_args!("state={}", PartitionState::NoConnect));
        }
        return;
    };
    let since = |at| now.since(at).as_millis();
    let retry = |at: Option<haypile_sync::Time>| at.map_or(-1, |at| at.since(now).as_millis() as i64);
    let error = |error: &Option<SyncError>| error.as_ref().map_or(String::new(), SyncError::to_string);
    if !follows && instance.address.is_none() && instance.state == InstanceState::NoConnect {
        return;
    }
    lines.put("sync_instance_state", instance.state);
    lines.put("sync_instance_since_ms", since(instance.since));
    lines.put("sync_instance_attempts", instance.attempts);
    lines.put("sync_instance_retry_in_ms", retry(instance.retry_at));
    lines.put("sync_instance_last_error", error(&instance.last_error));
    let lag = &status.stream.lag;
    let asked = partition.asked_with.as_ref().map(|asked| asked.end).unwrap_or_default();
    lines.put(
        "sync_partition0",
        format_args!(
            "state={},since_ms={},position={},asked_with={asked},lag_entries={},lag_bytes={},lag_ms={},attempts={},retry_in_ms={}",
            partition.state,
            since(partition.since),
            facts.partition.position,
            lag.entries,
            lag.bytes,
            lag.time.as_millis(),
            partition.attempts,
            retry(partition.retry_at),
        ),
    );
    lines.put("sync_partition0_last_error", error(&partition.last_error));
    if let Some(copy) = &partition.copy {
        lines.put(
            "sync_partition0_copy",
            format_args!(
                "stage={},bytes_done={},bytes_total={},files={},bytes_per_second={},remaining_s={},failures={}",
                copy.stage,
                copy.bytes_done,
                copy.bytes_total,
                copy.files_total,
                copy.bytes_per_second,
                copy.remaining().map_or(-1, |left| left.as_secs() as i64),
                copy.failures,
            ),
        );
    }
}

/// For whom the log is kept.
fn pins(facts: &Facts<'_>, lines: &mut Lines) {
    let source = &facts.server.node.replication.source;
    lines.put("oplog_pinned_bytes", facts.partition.oplog.pinned_bytes);
    lines.put("oplog_pins_left_behind", source.left_behind());
    let Some(readers) = facts
        .server
        .node
        .partitions
        .the_one()
        .as_ref()
        .map(|data| data.readers())
    else {
        return;
    };
    for (n, pin) in source.pins(&readers).iter().enumerate() {
        let (kind, id, needs, bytes) = (pin.who.kind(), pin.who.id(), pin.needs, pin.bytes);
        lines.put(
            &format!("oplog_pin{n}"),
            format_args!("kind={kind},id={id},needs={needs},bytes={bytes}"),
        );
    }
}
