//! CONFIG: reads and changes the configuration, and brings what depends on it up to date.

use haypile_commands::glob;
use haypile_commands::{CommandError, Outcome};
use haypile_config::{NoUsers, UsersToWrite, Values};
use haypile_node::Node;
use haypile_node::options::{notify_classes, packed_limits, retention};
use haypile_node::tls;
use haypile_partition::{Hold, Partition};
use haypile_resp::Request;

use super::{Execute, ServerCx};
use crate::open_files;
use crate::state::ServerState;
use crate::users::{self, UsersInFile};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("config|get", get),
    ("config|set", set),
    ("config|rewrite", rewrite),
    ("config|resetstat", resetstat),
];

fn get(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let patterns: Vec<&[u8]> = request.iter().skip(2).collect();
    let found = cx.node.config.get_matching(&patterns, glob::matches);
    cx.reply.map(found.len());
    for (name, mut value) in found {
        if name == "dir" {
            // Whoever asks is somewhere else: as Redis, say it from the root.
            let path = std::path::absolute(&value).ok();
            value = path.map_or(value, |path| path.display().to_string());
        }
        cx.reply.bulk_str(&name);
        cx.reply.bulk_str(&value);
    }
    Ok(())
}

fn set(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let words: Vec<&[u8]> = request.iter().skip(2).collect();
    let (pairs, rest) = words.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(CommandError::reply(
            "ERR wrong number of arguments for 'config|set' command",
        ));
    }
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|[name, value]| (*name, *value)).collect();
    let changed = cx
        .node
        .config
        .set_if(&pairs, cx.client.is_local(), |values, changed| {
            refuse(cx.server, values, changed)
        })
        .map_err(|error| CommandError::reply(error.to_string()))?;
    let values = cx.node.config.get();
    for name in &changed {
        apply(cx, &values, name);
    }
    if !changed.is_empty() {
        tracing::info!(keys = changed.join(" "), "the configuration was changed");
    }
    cx.reply.ok();
    Ok(())
}

/// What the system does not allow, and files that cannot be used.
fn refuse(server: &ServerState, values: &Values, changed: &[&'static str]) -> Result<(), (&'static str, String)> {
    if changed.contains(&"maxclients") {
        let clients = open_files::share(values).clients;
        if clients < values.maxclients {
            let reason = format!(
                "The operating system is not able to handle the specified number of clients, try with {clients}"
            );
            return Err(("maxclients", reason));
        }
    }
    if changed.iter().any(|key| tls::depends_on(key)) {
        // The last thing that can fail: the new contexts are in force with the new values.
        let loaded = server.node.tls.load(values);
        loaded.map_err(|error| (error.key(), format!("Unable to update TLS configuration. {error}")))?;
    }
    Ok(())
}

/// Tells those who do not look at the configuration themselves.
fn apply(cx: &mut ServerCx<'_, '_>, values: &Values, name: &str) {
    let server = cx.server;
    match name {
        "loglevel" => server.log.set(values.loglevel),
        "sync" => with_writers(cx, |writer| writer.set_sync(values.sync)),
        "oplog-retention-bytes" | "oplog-retention-hours" | "oplog-pinned-max-bytes" => {
            let retention = retention(values);
            with_writers(cx, |writer| writer.set_retention(retention));
        }
        "disk-free-min-bytes" => with_data(cx.node, |data| data.set_disk_free_min(values.disk_free_min_bytes)),
        "notify-keyspace-events" => with_data(cx.node, |data| {
            data.set_notify(notify_classes(values.notify_keyspace_events))
        }),
        "proto-max-bulk-len" => with_data(cx.node, |data| {
            data.set_string_bytes_max(values.proto_max_bulk_len as usize)
        }),
        "hll-sparse-max-bytes" => with_data(cx.node, |data| {
            data.set_hll_sparse_bytes_max(values.hll_sparse_max_bytes as usize)
        }),
        "hash-max-listpack-entries"
        | "hash-max-listpack-value"
        | "list-max-listpack-size"
        | "set-max-intset-entries"
        | "set-max-listpack-entries"
        | "set-max-listpack-value"
        | "zset-max-listpack-entries"
        | "zset-max-listpack-value" => {
            let limits = packed_limits(values);
            with_writers(cx, |writer| writer.set_packed_limits(limits));
        }
        "masterauth" | "masteruser" => server.node.replication.retry(),
        key if tls::depends_on(key) => server.node.replication.retry(),
        "requirepass" => server.users.set_default_password(&values.requirepass),
        "slowlog-max-len" => server.slowlog.truncate(values.slowlog_max_len as usize),
        _ => {}
    }
}

/// What a partition that is opened later takes from the configuration itself.
fn with_data(node: &Node, apply: impl Fn(&Partition)) {
    node.partitions.all_open().iter().for_each(|data| apply(data));
}

/// The same of its writer, which the command may have already: EXEC.
fn with_writers(cx: &mut ServerCx<'_, '_>, apply: impl Fn(&mut Hold<'_>)) {
    match cx.turn.as_deref_mut() {
        Some(turn) => apply(&mut turn.hold()),
        None => with_data(cx.node, |data| apply(&mut data.hold())),
    }
}

fn rewrite(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.node
        .config
        .rewrite(&*users_to_write(cx.server))
        .map_err(|error| CommandError::reply(error.to_string()))?;
    tracing::info!("the configuration file was rewritten");
    cx.reply.ok();
    Ok(())
}

/// What belongs into the configuration file of the users.
pub(super) fn users_to_write(server: &ServerState) -> Box<dyn UsersToWrite> {
    if server.users.are_kept() {
        return Box::new(NoUsers);
    }
    let values = server.node.config.load();
    Box::new(UsersInFile {
        users: server.users.all(),
        implied: Some(users::implied_default(&values.requirepass)),
        defaults: users::defaults(&values),
    })
}

fn resetstat(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.server.stats.reset();
    with_data(cx.node, Partition::reset_counters);
    cx.reply.ok();
    Ok(())
}
