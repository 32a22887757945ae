//! MULTI, EXEC, DISCARD, WATCH and UNWATCH.

use std::sync::atomic::Ordering;
use std::time::Instant;

use haypile_acl::Denial;
use haypile_commands::table::{self, Known};
use haypile_commands::{CommandError, Handler, Outcome};
use haypile_partition::{Call, Turn};
use haypile_resp::Request;
use haypile_store::{StoreError, Tier};

use super::{Execute, ServerCx, execute};
use crate::client::Client;
use crate::session::{Multi, Session, Watch};
use crate::users::Context;

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("multi", multi),
    ("exec", exec),
    ("discard", discard),
    ("watch", watch),
    ("unwatch", unwatch),
];

fn multi(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    if cx.session.multi.is_some() {
        return Err(CommandError::reply("ERR MULTI calls can not be nested"));
    }
    cx.session.multi = Some(Multi::default());
    cx.client.multi.store(1, Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

fn discard(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    if cx.session.multi.is_none() {
        return Err(CommandError::reply("ERR DISCARD without MULTI"));
    }
    end_multi(cx);
    unwatch_all(cx);
    cx.reply.ok();
    Ok(())
}

fn watch(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    if cx.session.multi.is_some() {
        return Err(CommandError::reply("ERR WATCH inside MULTI is not allowed"));
    }
    let Some(turn) = cx.turn.as_deref_mut() else {
        return Err(outside_of_turn());
    };
    let db = cx.session.db;
    let watch = cx.session.watch.get_or_insert_with(Watch::default);
    for key in request.iter().skip(1) {
        if watch.keys.iter().any(|(d, k, _)| *d == db && k == key) {
            continue;
        }
        let lives = turn.watch(db, key, &watch.flag)?;
        watch.keys.push((db, key.to_vec(), lives));
    }
    cx.client.watching.store(watch.keys.len(), Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

fn unwatch(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    unwatch_all(cx);
    cx.reply.ok();
    Ok(())
}

/// Ends the open transaction without evaluating it.
pub(super) fn end_multi(cx: &mut ServerCx<'_, '_>) {
    forget_multi(cx.session, cx.client);
}

fn forget_multi(session: &mut Session, client: &Client) {
    session.multi = None;
    client.multi.store(0, Ordering::Relaxed);
    client.multi_bytes.store(0, Ordering::Relaxed);
}

/// Forgets the watched keys. Evaluated in a turn if there are any.
pub(super) fn unwatch_all(cx: &mut ServerCx<'_, '_>) {
    forget_watch(cx.session, cx.client, cx.turn.as_deref_mut());
}

fn forget_watch(session: &mut Session, client: &Client, turn: Option<&mut Turn<'_>>) {
    if let (Some(watch), Some(turn)) = (session.watch.take(), turn) {
        for (db, key, _) in &watch.keys {
            turn.unwatch(*db, key, &watch.flag);
        }
    }
    client.watching.store(0, Ordering::Relaxed);
}

/// What an EXEC that is not even looked at leaves behind: neither a transaction nor watched keys. With watched keys,
/// in a turn.
pub fn discard_refused(session: &mut Session, client: &Client, turn: Option<&mut Turn<'_>>) {
    forget_multi(session, client);
    forget_watch(session, client, turn);
}

fn outside_of_turn() -> CommandError {
    CommandError::reply("ERR the command was not evaluated by the writer")
}

fn exec(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let Some(multi) = cx.session.multi.take() else {
        return Err(CommandError::reply("ERR EXEC without MULTI"));
    };
    if multi.aborted {
        end_multi(cx);
        unwatch_all(cx);
        return Err(CommandError::reply(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    if cx.tier == Tier::Memory && must_not_be_repeated(&multi) {
        cx.session.multi = Some(multi);
        return Err(CommandError::Store(StoreError::Cold));
    }
    if is_dirty(cx)? {
        end_multi(cx);
        unwatch_all(cx);
        cx.reply.null_array();
        return Ok(());
    }
    let Some(turn) = cx.turn.take() else {
        return Err(outside_of_turn());
    };
    let reply_start = cx.reply.len();
    let db = cx.session.db;
    let mut ran = Vec::with_capacity(multi.queue.len());
    let mut denied = Vec::new();
    let mut too_long = false;
    let reply_bytes_max = match cx.node.config.load().client_output_buffer_limit.normal.hard_bytes {
        0 => usize::MAX,
        bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
    };
    cx.reply.array(multi.queue.len());
    let outcome = turn.transaction(|turn| {
        for request in &multi.queue {
            let (start, begun) = (cx.reply.len(), Instant::now());
            let allowed = may_run(cx, request);
            if let Err(denial) = allowed {
                denied.push((request, denial, cx.session.account.clone()));
            }
            let error = match allowed.map_err(no_longer).and_then(|()| run_queued(cx, turn, request)) {
                Ok(()) => None,
                Err(cold @ CommandError::Store(StoreError::Cold)) => return Err(cold),
                Err(CommandError::Reply(text)) => Some(text.to_string()),
                Err(other) => Some(format!("ERR {other}")),
            };
            if let Some(text) = &error {
                cx.reply.truncate(start);
                cx.reply.error(text);
            }
            ran.push((begun.elapsed().as_micros() as u64, error));
            if cx.reply.len() - reply_start > reply_bytes_max {
                // The client will be closed: it is evaluated to its end, and not told.
                cx.reply.truncate(reply_start);
                too_long = true;
            }
        }
        Ok(())
    });
    cx.turn = Some(turn);
    if let Err(cold) = outcome {
        // Nothing has happened: the same EXEC comes again when the blocks are cached.
        cx.reply.truncate(reply_start);
        cx.session.db = db;
        cx.session.multi = Some(multi);
        return Err(cold);
    }
    if too_long {
        cx.server.stats.output_limit_closed.fetch_add(1, Ordering::Relaxed);
        if let Some(unsaid) = cx.server.stats.complaints.output_limit.tell() {
            tracing::warn!(client = %cx.client.addr, unsaid, "closing a client whose transaction replies more than client-output-buffer-limit");
        }
        cx.reply.truncate(reply_start);
        cx.session.close = true;
    }
    for (request, denial, account) in denied {
        if let Ok(known) = table::resolve(request) {
            let server = cx.server;
            server.deny_command(cx.client, &account, known, request, denial, Context::Multi);
        }
    }
    end_multi(cx);
    unwatch_all(cx);
    count(cx, &multi, ran);
    Ok(())
}

/// Whether the user still may run a command of the transaction: rights may have changed since it was queued, and an AUTH in
/// the transaction may have made another user of it.
fn may_run(cx: &ServerCx<'_, '_>, request: &Request) -> Result<(), Denial> {
    let account = &cx.session.account;
    match table::resolve(request) {
        Ok(known) if !account.is_unrestricted() => account.user().check(known, request),
        _ => Ok(()),
    }
}

/// Redis' text for it.
fn no_longer(denial: Denial) -> CommandError {
    let reason = match denial {
        Denial::Command => "no permission to execute the command or subcommand",
        Denial::Key(_) => "no permission to touch the specified keys",
        Denial::Channel(_) => "no permission to access one of the channels used as arguments",
    };
    CommandError::reply(format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no \
         longer allowed for the following reason: {reason}"
    ))
}

/// Counts what a transaction has evaluated: the time that each command took, and its error.
fn count(cx: &mut ServerCx<'_, '_>, multi: &Multi, ran: Vec<(u64, Option<String>)>) {
    for (request, (micros, error)) in multi.queue.iter().zip(ran) {
        let Ok(known) = table::resolve(request) else { continue };
        if let Some(text) = error {
            cx.server.stats.error(&text);
            cx.server.stats.failed(known.id);
        }
        cx.server.called(known, request, micros, cx.client);
    }
}

/// True if the transaction does what cannot be taken back, a PUBLISH say, and reads keys as well: what these need is
/// then fetched beforehand, so that it is evaluated but once.
fn must_not_be_repeated(multi: &Multi) -> bool {
    let (mut reads, mut acts) = (false, false);
    for known in multi.queue.iter().filter_map(|request| table::resolve(request).ok()) {
        match known.spec.handler {
            Handler::Data(_) => reads = true,
            _ => acts |= !matches!(known.spec.name, "select" | "ping" | "echo"),
        }
    }
    reads && acts
}

/// True if a watched key has changed, or its time is over since.
fn is_dirty(cx: &mut ServerCx<'_, '_>) -> Result<bool, CommandError> {
    let (Some(watch), Some(turn)) = (&cx.session.watch, cx.turn.as_deref_mut()) else {
        return Ok(false);
    };
    if watch.flag.is_dirty() {
        return Ok(true);
    }
    for (db, key, lived) in &watch.keys {
        if *lived && !turn.lives(*db, key)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn run_queued(cx: &mut ServerCx<'_, '_>, turn: &mut Turn<'_>, request: &Request) -> Outcome {
    let known: &'static Known = table::resolve(request)?;
    match known.spec.handler {
        Handler::Data(_) => turn.execute(Call {
            random: None,
            command: known,
            request,
            reply: cx.reply,
            db: cx.session.db,
            tier: cx.tier,
            may_block: false,
            ready_key: None,
        }),
        _ => {
            let mut inner = ServerCx {
                node: cx.node,
                server: cx.server,
                client: cx.client,
                session: cx.session,
                reply: cx.reply,
                turn: Some(turn),
                tier: cx.tier,
                may_block: false,
            };
            execute(known, &mut inner, request)
        }
    }
}
