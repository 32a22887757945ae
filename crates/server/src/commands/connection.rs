//! PING, ECHO, SELECT, HELLO, AUTH, RESET and QUIT: the connection itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_acl::DEFAULT_USER;
use haypile_commands::args::{int32, integer, is};
use haypile_commands::{CommandError, Outcome, error};
use haypile_resp::{Request, Version};

use super::{Execute, ServerCx, client, pubsub, transaction};
use crate::info::REDIS_VERSION;
use crate::session::Replies;
use crate::users::{Account, Context, Reason};

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("auth", auth),
    ("echo", echo),
    ("hello", hello),
    ("ping", ping),
    ("quit", quit),
    ("reset", reset),
    ("select", select),
];

fn ping(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    if request.len() > 2 {
        return Err(CommandError::reply("ERR wrong number of arguments for 'ping' command"));
    }
    let subscribed = cx.client.subscription_count() > 0 && cx.reply.version() == Version::Resp2;
    match request.get(1) {
        argument if subscribed => {
            cx.reply.array(2);
            cx.reply.bulk(b"pong");
            cx.reply.bulk(argument.unwrap_or_default());
        }
        Some(argument) => cx.reply.bulk(argument),
        None => cx.reply.simple("PONG"),
    }
    Ok(())
}

fn echo(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    cx.reply.bulk(&request[1]);
    Ok(())
}

fn select(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let databases = cx.node.config.load().databases;
    let db = u16::try_from(int32(&request[1])?).ok().filter(|db| *db < databases);
    let db = db.ok_or_else(|| CommandError::reply("ERR DB index is out of range"))?;
    set_db(cx, db);
    cx.reply.ok();
    Ok(())
}

fn set_db(cx: &mut ServerCx<'_, '_>, db: u16) {
    cx.session.db = db;
    cx.client.db.store(db, Ordering::Relaxed);
}

fn set_version(cx: &mut ServerCx<'_, '_>, version: Version) {
    cx.reply.set_version(version);
    let number = if version == Version::Resp3 { 3 } else { 2 };
    cx.client.resp.store(number, Ordering::Relaxed);
}

fn auth(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    match request.len() {
        2 if cx.server.users.everybody().user().takes_any_password() => Err(CommandError::reply(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        )),
        2 => authenticate(cx, request, DEFAULT_USER.as_bytes(), &request[1]),
        3 => authenticate(cx, request, &request[1], &request[2]),
        _ => Err(error::SYNTAX),
    }?;
    cx.reply.ok();
    Ok(())
}

fn authenticate(cx: &mut ServerCx<'_, '_>, request: &Request, user: &[u8], password: &[u8]) -> Outcome {
    let account = cx.server.users.log_in(user, password);
    if let Some(account) = &account {
        become_user(cx, account);
    }
    // Who deletes a user looks for its clients after that: this one, or here.
    if account.is_some_and(|account| !account.is_gone()) {
        cx.session.authenticated = true;
        return Ok(());
    }
    let context = match cx.client.multi.load(Ordering::Relaxed) {
        0 => Context::TopLevel,
        _ => Context::Multi,
    };
    cx.server
        .deny(cx.client, request, Reason::Auth, context, &request[0], user);
    Err(CommandError::reply(
        "WRONGPASS invalid username-password pair or user is disabled.",
    ))
}

fn become_user(cx: &mut ServerCx<'_, '_>, account: &Arc<Account>) {
    cx.session.account = account.clone();
    *cx.client.user.lock() = account.clone();
}

fn hello(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let version = match request.get(1).map(integer) {
        None => None,
        Some(Ok(2)) => Some(Version::Resp2),
        Some(Ok(3)) => Some(Version::Resp3),
        Some(Ok(_)) => return Err(CommandError::reply("NOPROTO unsupported protocol version")),
        Some(Err(_)) => {
            return Err(CommandError::reply(
                "ERR Protocol version is not an integer or out of range",
            ));
        }
    };
    let (mut credentials, mut name) = (None, None);
    let mut i = 2;
    while let Some(option) = request.get(i) {
        match (request.get(i + 1), request.get(i + 2)) {
            (Some(user), Some(password)) if is(option, "AUTH") => {
                credentials = Some((user, password));
                i += 3;
            }
            (Some(new), _) if is(option, "SETNAME") => {
                name = Some(client::valid_name(new)?);
                i += 2;
            }
            _ => {
                let option = String::from_utf8_lossy(option).into_owned();
                return Err(CommandError::reply(format!(
                    "ERR Syntax error in HELLO option '{option}'"
                )));
            }
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(cx, request, user, password)?;
    }
    if !cx.session.authenticated && !cx.server.users.everybody().user().is_open() {
        return Err(CommandError::reply(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        *cx.client.name.lock() = name.to_vec();
    }
    if let Some(version) = version {
        set_version(cx, version);
    }
    introduce(cx);
    Ok(())
}

/// The reply of HELLO.
fn introduce(cx: &mut ServerCx<'_, '_>) {
    let reply = &mut *cx.reply;
    reply.map(7);
    reply.bulk_str("server");
    reply.bulk_str("redis");
    reply.bulk_str("version");
    reply.bulk_str(REDIS_VERSION);
    reply.bulk_str("proto");
    reply.integer(if reply.version() == Version::Resp3 { 3 } else { 2 });
    reply.bulk_str("id");
    reply.integer(cx.client.id as i64);
    reply.bulk_str("mode");
    reply.bulk_str("standalone");
    reply.bulk_str("role");
    reply.bulk_str(match cx.node.replication.roles.load().source() {
        None => "master",
        Some(_) => "replica",
    });
    reply.bulk_str("modules");
    reply.array(0);
}

fn quit(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.ok();
    cx.session.close = true;
    Ok(())
}

/// What SETINFO has said stays: it is about the library, not about the connection's use.
fn reset(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    transaction::end_multi(cx);
    transaction::unwatch_all(cx);
    pubsub::unsubscribe_all(cx);
    cx.server.monitors.remove(cx.client);
    set_db(cx, 0);
    set_version(cx, Version::Resp2);
    let everybody = cx.server.users.everybody().clone();
    cx.session.authenticated = everybody.user().is_open();
    become_user(cx, &everybody);
    cx.session.replies = Replies::On;
    cx.client.name.lock().clear();
    cx.client.no_evict.store(false, Ordering::Relaxed);
    cx.client.no_touch.store(false, Ordering::Relaxed);
    cx.reply.simple("RESET");
    Ok(())
}
