//! CLIENT LIST and INFO: lines about clients.

use std::sync::Arc;

use haypile_commands::args::is;
use haypile_commands::{CommandError, Outcome, error};
use haypile_resp::Request;

use super::Kind;
use crate::client::Client;
use crate::commands::ServerCx;

pub(super) fn list(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let clients = match (request.get(2), request.get(3)) {
        (None, _) => cx.server.clients.all(),
        (Some(option), Some(kind)) if is(option, "TYPE") && request.len() == 4 => {
            let kind = Kind::parse(kind)?;
            let mut clients = cx.server.clients.all();
            clients.retain(|client| Kind::of(client) == kind);
            clients
        }
        (Some(option), Some(_)) if is(option, "ID") => with_ids(cx, request)?,
        _ => return Err(error::SYNTAX),
    };
    let now_ms = cx.server.node.clock.now_ms();
    let mut text = String::new();
    for client in &clients {
        client.describe(now_ms, Some((cx.client.id, request)), &mut text);
    }
    cx.reply.verbatim("txt", &text);
    Ok(())
}

fn with_ids(cx: &ServerCx<'_, '_>, request: &Request) -> Result<Vec<Arc<Client>>, CommandError> {
    let mut clients = Vec::new();
    for arg in request.iter().skip(3) {
        let id = haypile_resp::parse_i64(arg).ok_or_else(|| CommandError::reply("ERR Invalid client ID"))?;
        clients.extend(u64::try_from(id).ok().and_then(|id| cx.server.clients.get(id)));
    }
    Ok(clients)
}

pub(super) fn info(cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    let mut text = String::new();
    let now_ms = cx.server.node.clock.now_ms();
    cx.client.describe(now_ms, Some((cx.client.id, request)), &mut text);
    cx.reply.verbatim("txt", &text);
    Ok(())
}
