//! REPLICAOF, ROLE, WAIT and what belongs to them.

use std::time::Duration;

use haypile_commands::args::{integer, is};
use haypile_commands::error::{NOT_INTEGER, SYNTAX};
use haypile_commands::{Block, CommandError, OnTimeout, Outcome};
use haypile_node::partitions::LOADING;
use haypile_node::replication::{RoleError, Wait, failover};
use haypile_partition::Role;
use haypile_resp::Request;
use haypile_sync::NodeId;
use haypile_sync::follower::{InstanceState, PartitionState};
use haypile_sync::role::{Address, RoleEvent, RoleRefusal};
use haypile_types::is_host;

use super::{Execute, ServerCx};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("role", role),
    ("replicaof", replicaof),
    ("slaveof", replicaof),
    ("replconf", replconf),
    ("psync", no_psync),
    ("sync", no_psync),
    ("failover", failover),
    ("wait", wait),
    ("waitaof", waitaof),
];

fn role(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let offset = cx.node.partitions.stats().applied as i64;
    let replication = &cx.node.replication;
    if let Some(source) = replication.roles.load().source() {
        let state = match replication.follower_status().machines {
            None => "connect",
            Some((instance, partition)) => match (instance.state, partition.state) {
                (InstanceState::Connected, PartitionState::Connected) => "connected",
                (InstanceState::Connected, _) => "sync",
                (InstanceState::Connecting, _) => "connecting",
                _ => "connect",
            },
        };
        cx.reply.array(5);
        cx.reply.bulk_str("slave");
        cx.reply.bulk_str(&source.host);
        cx.reply.integer(i64::from(source.port));
        cx.reply.bulk_str(state);
        cx.reply.integer(offset);
        return Ok(());
    }
    let view = cx.node.partitions.group_view();
    if let Some(view) = view.filter(|view| !view.serves) {
        let leader = view.leader.and_then(|leader| replication.member_address(leader));
        let (host, port) = leader
            .as_deref()
            .and_then(|address| address.rsplit_once(':'))
            .unwrap_or(("", "0"));
        cx.reply.array(5);
        cx.reply.bulk_str("slave");
        cx.reply.bulk_str(host);
        cx.reply.integer(port.parse().unwrap_or(0));
        cx.reply
            .bulk_str(if leader.is_some() { "connected" } else { "connect" });
        cx.reply.integer(offset);
        return Ok(());
    }
    let replicas = replication.source.replicas(replication.now());
    let online: Vec<_> = replicas.iter().filter(|replica| replica.state == "online").collect();
    cx.reply.array(3);
    cx.reply.bulk_str("master");
    cx.reply.integer(offset);
    cx.reply.array(online.len());
    for replica in online {
        cx.reply.array(3);
        cx.reply.bulk_str(&replica.host);
        cx.reply.bulk_str(&replica.port.to_string());
        cx.reply.bulk_str(&replica.acks.applied.to_string());
    }
    Ok(())
}

/// What a group decides by itself.
const IN_GROUP: CommandError = CommandError::Reply(std::borrow::Cow::Borrowed(
    "ERR this server is a member of a replica group, which decides by itself who leads it",
));

fn replicaof(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    if cx.node.replication.is_in_group() {
        return Err(IN_GROUP);
    }
    if is(&request[1], "NO") && is(&request[2], "ONE") {
        return change_role(cx, RoleEvent::Unfollow);
    }
    let port = integer(&request[2]).ok().and_then(|port| u16::try_from(port).ok());
    let port = port
        .filter(|port| *port > 0)
        .ok_or(CommandError::reply("ERR Invalid master port"))?;
    let host = str::from_utf8(&request[1]).map_err(|_| SYNTAX)?;
    if !is_host(host) {
        return Err(CommandError::reply("ERR Invalid master host"));
    }
    let host = host.to_owned();
    change_role(cx, RoleEvent::Follow(Address { host, port }))
}

fn change_role(cx: &mut ServerCx<'_, '_>, event: RoleEvent) -> Outcome {
    tracing::info!(client = %cx.client.addr, ?event, "REPLICAOF");
    let roles = &cx.node.replication.roles;
    roles
        .change(&cx.node.replication, cx.turn.as_deref_mut(), event)
        .map_err(|error| refused(error, "REPLICAOF not allowed while failing over."))?;
    cx.reply.ok();
    Ok(())
}

/// The error for a change of the role that is refused, which has its own text for a failover that is under way.
fn refused(error: RoleError, failing_over: &str) -> CommandError {
    match error {
        RoleError::Refused(RoleRefusal::FailingOver) => CommandError::reply(format!("ERR {failing_over}")),
        RoleError::Refused(RoleRefusal::NotPrimary) => {
            CommandError::reply("ERR FAILOVER is not valid when server is a replica.")
        }
        RoleError::Refused(RoleRefusal::NoFailover) => CommandError::reply("ERR No failover in progress."),
        RoleError::Refused(RoleRefusal::Loading) => LOADING,
        error => CommandError::reply(format!("ERR {error}")),
    }
}

/// What servers of this program ask each other; replicas of Redis are told that this is none.
fn replconf(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let replication = &cx.node.replication;
    let number = |at: usize| integer(&request[at]).ok().and_then(|number| u64::try_from(number).ok());
    let id = |at: usize| {
        let digits = str::from_utf8(&request[at]).ok()?;
        u128::from_str_radix(digits, 16).ok().map(NodeId)
    };
    match request.len() {
        2 if is(&request[1], "sync-port") => {
            cx.reply.integer(i64::from(replication.sync_port()));
            return Ok(());
        }
        6 if is(&request[1], "take-over") => {
            if let (Some(asked), Some(primary), Some(failover), Some(end)) = (id(2), id(3), number(4), number(5)) {
                tracing::info!(client = %cx.client.addr, %primary, end, "the primary tells this replica to take over");
                check_node(cx, asked)?;
                let turn = cx.turn.as_deref_mut();
                let answer = replication.roles.take_over(replication, turn, primary, failover, end);
                let answer = answer.map_err(|reason| CommandError::reply(format!("ERR {reason}")))?;
                cx.reply.simple(answer.name());
                return Ok(());
            }
        }
        5 if is(&request[1], "never-mind") => {
            if let (Some(asked), Some(primary), Some(failover)) = (id(2), id(3), number(4)) {
                check_node(cx, asked)?;
                let answer = replication.roles.never_mind(failover);
                tracing::info!(client = %cx.client.addr, %primary, ?answer, "the primary takes back what it has told this replica");
                cx.reply.simple(answer.name());
                return Ok(());
            }
        }
        _ => {}
    }
    no_psync(cx, request)
}

/// What is meant for a server must not be answered by another that has its address by now.
fn check_node(cx: &ServerCx<'_, '_>, asked: NodeId) -> Outcome {
    match cx.node.replication.node_id() == asked {
        true => Ok(()),
        false => Err(CommandError::reply(
            "ERR this is another server than the one that is asked",
        )),
    }
}

fn no_psync(_: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    Err(CommandError::reply(
        "ERR this server replicates by Haypile's own protocol, not by Redis'",
    ))
}

fn failover(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let replication = &cx.node.replication;
    if replication.is_in_group() {
        return Err(IN_GROUP);
    }
    let error = |text: &'static str| Err(CommandError::reply(text));
    let mut wanted = failover::Request::default();
    let (mut words, mut abort) = (request.iter().skip(1), false);
    while let Some(word) = words.next() {
        match word {
            word if is(word, "ABORT") && request.len() == 2 => abort = true,
            word if is(word, "TO") && wanted.to.is_none() => {
                let (Some(host), Some(port)) = (words.next(), words.next()) else {
                    return Err(SYNTAX);
                };
                let port = u16::try_from(integer(port)?).map_err(|_| NOT_INTEGER)?;
                let host = String::from_utf8_lossy(host).into_owned();
                wanted.to = Some(Address { host, port });
            }
            word if is(word, "FORCE") && wanted.to.is_some() => wanted.force = true,
            word if is(word, "TIMEOUT") && wanted.timeout.is_none() => {
                let ms = integer(words.next().ok_or(SYNTAX)?)?;
                match u64::try_from(ms) {
                    Ok(ms) if ms > 0 => wanted.timeout = Some(Duration::from_millis(ms)),
                    _ => return error("ERR FAILOVER timeout must be greater than 0"),
                }
            }
            _ => return Err(SYNTAX),
        }
    }
    if abort {
        let aborted = replication
            .roles
            .change(&cx.node.replication, cx.turn.as_deref_mut(), RoleEvent::Abort);
        aborted.map_err(|error| refused(error, "FAILOVER already in progress."))?;
        cx.reply.ok();
        return Ok(());
    }
    let role = replication.roles.load().clone();
    if role.failover().is_some() {
        return error("ERR FAILOVER already in progress.");
    }
    if role.source().is_some() {
        return error("ERR FAILOVER is not valid when server is a replica.");
    }
    let replicas = replication.source.replicas(replication.now());
    if replicas.is_empty() {
        return error("ERR FAILOVER requires connected replicas.");
    }
    if wanted.force && wanted.timeout.is_none() {
        return error("ERR FAILOVER with force option requires both a timeout and target HOST and IP to be set.");
    }
    let is_target = |to: &Address| replicas.iter().any(|r| r.host == to.host && r.port == to.port);
    if wanted.to.as_ref().is_some_and(|to| !is_target(to)) {
        return error("ERR FAILOVER target HOST and PORT is not a replica.");
    }
    failover::start(replication, cx.turn.as_deref_mut(), wanted)
        .map_err(|error| refused(error, "FAILOVER already in progress."))?;
    cx.reply.ok();
    Ok(())
}

fn wait(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let replicas = integer(&request[1])?;
    let timeout = parse_timeout(&request[2])?;
    refuse_on_replica(cx, "WAIT")?;
    let wait = Wait {
        index: cx.log_end(),
        replicas: usize::try_from(replicas).unwrap_or(0),
        durable: false,
        local: None,
    };
    wait_for(cx, wait, timeout)
}

fn waitaof(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let local = integer(&request[1])?;
    let replicas = integer(&request[2])?;
    let timeout = parse_timeout(&request[3])?;
    if !(0..=1).contains(&local) {
        return Err(CommandError::reply(
            "ERR value is out of range, must be between 0 and 1",
        ));
    }
    let replicas = usize::try_from(replicas).map_err(|_| NOT_INTEGER)?;
    refuse_on_replica(cx, "WAITAOF")?;
    let index = cx.log_end();
    if let (1, Some(data)) = (local, &*cx.node.partitions.the_one()) {
        let synced = data.syncer().sync_to(index.min(data.syncer().written_index()));
        synced.map_err(|error| CommandError::reply(format!("ERR {error}")))?;
    }
    let wait = Wait {
        index,
        replicas,
        durable: true,
        local: Some(local == 1),
    };
    wait_for(cx, wait, timeout)
}

fn refuse_on_replica(cx: &ServerCx<'_, '_>, name: &str) -> Result<(), CommandError> {
    let role = cx.node.partitions.the_one().as_ref().map(|data| data.role());
    match role {
        Some(Role::Leader) => Ok(()),
        Some(Role::Follower) => Err(CommandError::reply(format!(
            "ERR {name} cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is \
             configured to be writable (which is not the default) writes to replicas are just local and are not \
             propagated."
        ))),
        None => Err(LOADING),
    }
}

fn wait_for(cx: &mut ServerCx<'_, '_>, wait: Wait, timeout: u64) -> Outcome {
    let node = cx.node;
    if !cx.may_block {
        wait.reply(&node.replication.source, cx.reply);
        return Ok(());
    }
    // Registered first: what arrives meanwhile finds it, and is heard once this turn is over.
    node.replication.waits.add(cx.client.id, wait);
    node.replication.source.hurry();
    if wait.is_over(&node.replication.source) {
        node.replication.waits.remove(cx.client.id);
        // It may have been about to wait before its replies were committed.
        cx.session.wait = None;
        wait.reply(&node.replication.source, cx.reply);
        return Ok(());
    }
    cx.session.wait = Some(wait);
    Err(CommandError::Block(Block {
        keys: Vec::new(),
        kind: None,
        timeout_ms: (timeout > 0).then_some(timeout),
        on_timeout: OnTimeout::Zero,
    }))
}

fn parse_timeout(arg: &[u8]) -> Result<u64, CommandError> {
    let timeout = haypile_resp::parse_i64(arg)
        .ok_or_else(|| CommandError::reply("ERR timeout is not an integer or out of range"))?;
    u64::try_from(timeout).map_err(|_| CommandError::reply("ERR timeout is negative"))
}
