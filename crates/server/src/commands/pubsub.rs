//! SUBSCRIBE, PUBLISH, PUBSUB and their kin.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use haypile_commands::{CommandError, Outcome};
use haypile_partition::Role;
use haypile_resp::Request;
use haypile_sync::message::Message;

use super::{Execute, ServerCx};
use crate::pubsub::Sort;

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("subscribe", |cx, request| {
        subscribe(cx, request, Sort::Channel, "subscribe");
        Ok(())
    }),
    ("psubscribe", |cx, request| {
        subscribe(cx, request, Sort::Pattern, "psubscribe");
        Ok(())
    }),
    ("ssubscribe", ssubscribe),
    ("unsubscribe", |cx, request| {
        unsubscribe(cx, request, Sort::Channel, "unsubscribe");
        Ok(())
    }),
    ("punsubscribe", |cx, request| {
        unsubscribe(cx, request, Sort::Pattern, "punsubscribe");
        Ok(())
    }),
    ("sunsubscribe", |cx, request| {
        unsubscribe(cx, request, Sort::Shard, "sunsubscribe");
        Ok(())
    }),
    ("publish", |cx, request| publish(cx, request, Sort::Channel)),
    ("spublish", |cx, request| publish(cx, request, Sort::Shard)),
    ("pubsub|channels", |cx, request| channels(cx, request, Sort::Channel)),
    ("pubsub|shardchannels", |cx, request| channels(cx, request, Sort::Shard)),
    ("pubsub|numsub", |cx, request| numsub(cx, request, Sort::Channel)),
    ("pubsub|shardnumsub", |cx, request| numsub(cx, request, Sort::Shard)),
    ("pubsub|numpat", numpat),
];

/// True for a command that answers with messages, which are sent even to a client that wants no replies.
pub(super) fn replies_with_messages(name: &str) -> bool {
    matches!(
        name,
        "subscribe" | "psubscribe" | "ssubscribe" | "unsubscribe" | "punsubscribe" | "sunsubscribe"
    )
}

/// One message for each channel, which says how many subscriptions the client has now.
fn subscribe(cx: &mut ServerCx<'_, '_>, request: &Request, sort: Sort, kind: &str) {
    for channel in request.iter().skip(1) {
        let mine = &mut cx.session.subscriptions[sort as usize];
        if mine.insert(channel.to_vec()) {
            cx.client.subscriptions[sort as usize].store(mine.len(), Ordering::Relaxed);
            cx.server.pubsub.subscribe(sort, channel, cx.client);
        }
        confirm(cx, sort, kind, Some(channel));
    }
    if !may_listen(cx, request, sort) {
        // The right was taken away just now, and whoever did that may have looked for listeners too early to find this one.
        cx.session.close = true;
    }
}

fn may_listen(cx: &ServerCx<'_, '_>, request: &Request, sort: Sort) -> bool {
    let account = &cx.session.account;
    account.is_unrestricted() || {
        let user = account.user();
        request
            .iter()
            .skip(1)
            .all(|channel| user.may_listen(channel, sort == Sort::Pattern))
    }
}

fn ssubscribe(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    // Only what EXEC evaluates finds its transaction still counted.
    if cx.client.multi.load(Ordering::Relaxed) > 0 {
        return Err(CommandError::reply(
            "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client",
        ));
    }
    subscribe(cx, request, Sort::Shard, "ssubscribe");
    Ok(())
}

/// One message for each channel; without arguments, for each that the client listens to, or one without a channel.
fn unsubscribe(cx: &mut ServerCx<'_, '_>, request: &Request, sort: Sort, kind: &str) {
    for channel in request.iter().skip(1) {
        forget(cx, sort, channel);
        confirm(cx, sort, kind, Some(channel));
    }
    if request.len() > 1 {
        return;
    }
    let all = cx.session.subscriptions[sort as usize].clone();
    for channel in &all {
        forget(cx, sort, channel);
        confirm(cx, sort, kind, Some(channel));
    }
    if all.is_empty() {
        confirm(cx, sort, kind, None);
    }
}

/// Ends all subscriptions without a word.
pub(super) fn unsubscribe_all(cx: &mut ServerCx<'_, '_>) {
    for sort in [Sort::Channel, Sort::Pattern, Sort::Shard] {
        for channel in std::mem::take(&mut cx.session.subscriptions[sort as usize]) {
            cx.server.pubsub.unsubscribe(sort, &channel, cx.client.id);
        }
        cx.client.subscriptions[sort as usize].store(0, Ordering::Relaxed);
    }
}

fn forget(cx: &mut ServerCx<'_, '_>, sort: Sort, channel: &[u8]) {
    let mine = &mut cx.session.subscriptions[sort as usize];
    if mine.remove(channel) {
        cx.client.subscriptions[sort as usize].store(mine.len(), Ordering::Relaxed);
        cx.server.pubsub.unsubscribe(sort, channel, cx.client.id);
    }
}

/// Channels and patterns are counted together, shard channels by themselves.
fn confirm(cx: &mut ServerCx<'_, '_>, sort: Sort, kind: &str, channel: Option<&[u8]>) {
    let [channels, patterns, shards] = &cx.session.subscriptions;
    let count = match sort {
        Sort::Channel | Sort::Pattern => channels.len() + patterns.len(),
        Sort::Shard => shards.len(),
    };
    cx.reply.push(3);
    cx.reply.bulk_str(kind);
    match channel {
        Some(channel) => cx.reply.bulk(channel),
        None => cx.reply.null(),
    }
    cx.reply.integer(count as i64);
}

fn publish(cx: &mut ServerCx<'_, '_>, request: &Request, sort: Sort) -> Outcome {
    let (channel, payload) = (&request[1], &request[2]);
    let sharded = sort == Sort::Shard;
    let copied = |part: &[u8]| Bytes::copy_from_slice(part);
    let receivers = match cx.turn.as_deref_mut() {
        // What this turn has written is not visible yet.
        Some(turn) => {
            turn.publish(sharded, copied(channel), copied(payload));
            cx.server.pubsub.receivers(sort, channel)
        }
        None => {
            let receivers = cx.server.pubsub.publish(sort, channel, payload);
            if !cx.node.replication.source.published.is_idle()
                && let Some(data) = &*cx.node.partitions.the_one()
                && data.role() == Role::Leader
            {
                let message = Message {
                    after: 0,
                    sharded,
                    channel: copied(channel),
                    payload: copied(payload),
                    within: None,
                };
                // Whatever was acknowledged before is that far.
                let syncer = data.syncer();
                cx.node.replication.relay(&message, || syncer.safe_index());
            }
            receivers
        }
    };
    cx.reply.integer(receivers as i64);
    Ok(())
}

fn channels(cx: &mut ServerCx<'_, '_>, request: &Request, sort: Sort) -> Outcome {
    if request.len() > 3 {
        let sub = String::from_utf8_lossy(&request[1]).into_owned();
        return Err(CommandError::reply(format!(
            "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try PUBSUB HELP."
        )));
    }
    let channels = cx.server.pubsub.channels(sort, request.get(2));
    cx.reply.array(channels.len());
    channels.iter().for_each(|channel| cx.reply.bulk(channel));
    Ok(())
}

fn numsub(cx: &mut ServerCx<'_, '_>, request: &Request, sort: Sort) -> Outcome {
    cx.reply.array((request.len() - 2) * 2);
    for channel in request.iter().skip(2) {
        cx.reply.bulk(channel);
        cx.reply.integer(cx.server.pubsub.listeners(sort, channel) as i64);
    }
    Ok(())
}

fn numpat(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.integer(cx.server.pubsub.len(Sort::Pattern) as i64);
    Ok(())
}
