//! CLIENT and its subcommands.

mod kill;
pub(crate) mod list;
mod pause;

use std::sync::atomic::{AtomicBool, Ordering};

use haypile_commands::args::is;
use haypile_commands::{CommandError, Outcome, error};
use haypile_resp::Request;

use super::{Execute, ServerCx};
use crate::client::Client;
use crate::session::Replies;

pub(super) const FUNCTIONS: &[(&str, Execute)] = &[
    ("client|caching", caching),
    ("client|getname", getname),
    ("client|getredir", getredir),
    ("client|id", id),
    ("client|info", list::info),
    ("client|kill", kill::kill),
    ("client|list", list::list),
    ("client|no-evict", |cx, request| {
        switch(cx, request, |client| &client.no_evict)
    }),
    ("client|no-touch", |cx, request| {
        switch(cx, request, |client| &client.no_touch)
    }),
    ("client|pause", pause::pause),
    ("client|reply", reply),
    ("client|setinfo", setinfo),
    ("client|setname", setname),
    ("client|tracking", tracking),
    ("client|trackinginfo", trackinginfo),
    ("client|unblock", pause::unblock),
    ("client|unpause", pause::unpause),
];

/// What TYPE selects by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Pubsub,
    /// A link of replication: none of those who come by this port.
    Replication,
}

impl Kind {
    fn parse(arg: &[u8]) -> Result<Kind, CommandError> {
        match arg.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Kind::Normal),
            b"pubsub" => Ok(Kind::Pubsub),
            b"master" | b"slave" | b"replica" => Ok(Kind::Replication),
            _ => Err(CommandError::reply(format!(
                "ERR Unknown client type '{}'",
                String::from_utf8_lossy(arg)
            ))),
        }
    }

    fn of(client: &Client) -> Kind {
        match client.subscription_count() {
            0 => Kind::Normal,
            _ => Kind::Pubsub,
        }
    }
}

/// True if the text can stand in a line of CLIENT LIST.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// A name for a connection, checked.
pub(super) fn valid_name(name: &[u8]) -> Result<&[u8], CommandError> {
    match is_plain(name) {
        true => Ok(name),
        false => Err(CommandError::reply(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        )),
    }
}

fn id(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.integer(cx.client.id as i64);
    Ok(())
}

fn getname(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let name = cx.client.name.lock();
    match name.is_empty() {
        true => cx.reply.null(),
        false => cx.reply.bulk(&name),
    }
    Ok(())
}

fn setname(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    *cx.client.name.lock() = valid_name(&request[2])?.to_vec();
    cx.reply.ok();
    Ok(())
}

fn setinfo(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let (attribute, value) = (&request[2], &request[3]);
    let shown = String::from_utf8_lossy(attribute);
    let field = match attribute {
        name if is(name, "LIB-NAME") => &cx.client.lib_name,
        name if is(name, "LIB-VER") => &cx.client.lib_version,
        _ => return Err(CommandError::reply(format!("ERR Unrecognized option '{shown}'"))),
    };
    if !is_plain(value) {
        return Err(CommandError::reply(format!(
            "ERR {shown} cannot contain spaces, newlines or special characters."
        )));
    }
    *field.lock() = String::from_utf8_lossy(value).into_owned();
    cx.reply.ok();
    Ok(())
}

/// Replies to itself only if replies are wanted from here on.
fn reply(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    match &request[2] {
        arg if is(arg, "ON") => {
            cx.session.replies = Replies::On;
            cx.reply.ok();
        }
        arg if is(arg, "OFF") => cx.session.replies = Replies::Off,
        arg if is(arg, "SKIP") => {
            if cx.session.replies != Replies::Off {
                cx.session.replies = Replies::SkipNext;
            }
        }
        _ => return Err(error::SYNTAX),
    }
    Ok(())
}

fn switch(cx: &mut ServerCx<'_, '_>, request: &Request, flag: fn(&Client) -> &AtomicBool) -> Outcome {
    flag(cx.client).store(on_or_off(&request[2])?, Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

fn on_or_off(arg: &[u8]) -> Result<bool, CommandError> {
    match arg {
        arg if is(arg, "ON") => Ok(true),
        arg if is(arg, "OFF") => Ok(false),
        _ => Err(error::SYNTAX),
    }
}

fn tracking(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    if on_or_off(&request[2])? {
        return Err(CommandError::reply("ERR CLIENT TRACKING is not supported"));
    }
    cx.reply.ok();
    Ok(())
}

fn caching(_: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    Err(CommandError::reply(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    ))
}

/// -1: tracking is off.
fn getredir(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    cx.reply.integer(-1);
    Ok(())
}

fn trackinginfo(cx: &mut ServerCx<'_, '_>, _: &Request) -> Outcome {
    let reply = &mut *cx.reply;
    reply.map(3);
    reply.bulk_str("flags");
    reply.set(1);
    reply.bulk_str("off");
    reply.bulk_str("redirect");
    reply.integer(-1);
    reply.bulk_str("prefixes");
    reply.array(0);
    Ok(())
}
