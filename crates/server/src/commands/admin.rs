//! The process and its data as a whole: saving, compaction, stopping, the time.

use std::sync::atomic::Ordering;

use haypile_commands::args::is;
use haypile_commands::error::SYNTAX;
use haypile_commands::{CommandError, Outcome};
use haypile_resp::Request;

use super::{Execute, ServerCx};
use crate::info::REDIS_VERSION;
use crate::{checkpoint, compaction};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("save", save),
    ("bgsave", bgsave),
    ("bgrewriteaof", bgrewriteaof),
    ("lastsave", lastsave),
    ("compact", compact),
    ("shutdown", shutdown),
    ("time", time),
    ("lolwut", lolwut),
    ("monitor", monitor),
];

fn save(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    checkpoint::save(&cx.server.saves, cx.node).map_err(|error| CommandError::reply(error.to_string()))?;
    cx.reply.ok();
    Ok(())
}

fn bgsave(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    // SCHEDULE waits for a rewrite of the append-only file in Redis; there is none here.
    if request.len() > 2 || request.get(1).is_some_and(|arg| !is(arg, "SCHEDULE")) {
        return Err(SYNTAX);
    }
    checkpoint::save_in_background(&cx.server.saves, cx.node)
        .map_err(|error| CommandError::reply(error.to_string()))?;
    cx.reply.simple("Background saving started");
    Ok(())
}

fn bgrewriteaof(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply
        .simple("Nothing to rewrite: the log is trimmed by itself as the store saves what it says");
    Ok(())
}

fn lastsave(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let at = cx.server.saves.last_at.load(Ordering::Relaxed);
    cx.reply.integer(at as i64);
    Ok(())
}

fn compact(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    match compaction::start(&cx.server.compaction, &cx.node.partitions) {
        Ok(true) => cx.reply.simple("Background compaction started"),
        Ok(false) => return Err(CommandError::reply("ERR Background compaction already in progress")),
        Err(error) => return Err(CommandError::reply(format!("ERR cannot start a compaction: {error}"))),
    }
    Ok(())
}

/// All options are accepted; whatever they say, nothing is lost and the server does not wait for clients.
fn shutdown(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let (mut save, mut nosave, mut abort) = (false, false, false);
    for option in request.iter().skip(1) {
        match () {
            () if is(option, "SAVE") => save = true,
            () if is(option, "NOSAVE") => nosave = true,
            () if is(option, "NOW") || is(option, "FORCE") => {}
            () if is(option, "ABORT") => abort = true,
            () => return Err(SYNTAX),
        }
    }
    if (save && nosave) || (abort && request.len() > 2) {
        return Err(SYNTAX);
    }
    if abort {
        return Err(CommandError::reply("ERR No shutdown in progress."));
    }
    tracing::info!(client = %cx.client.addr, "stopping: a client has asked for it");
    cx.session.close = true;
    cx.node.ask_to_stop();
    Ok(())
}

fn time(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let now = cx.node.clock.now_us();
    cx.reply.array(2);
    cx.reply.bulk_int((now / 1_000_000) as i64);
    cx.reply.bulk_int((now % 1_000_000) as i64);
    Ok(())
}

fn lolwut(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    // Programs look for Redis' words.
    let text = format!("Haypile ver. {version}, as Redis ver. {REDIS_VERSION}\n");
    cx.reply.verbatim("txt", &text);
    Ok(())
}

fn monitor(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    if !cx.may_block {
        return Err(CommandError::reply(
            "ERR MONITOR isn't allowed for DENY BLOCKING client",
        ));
    }
    cx.reply.ok();
    cx.server.monitors.add(cx.client);
    Ok(())
}
