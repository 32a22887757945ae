//! CLIENT LIST and INFO: lines about clients.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_commands::args::is;
use haypile_commands::table;
use haypile_commands::{CommandError, Outcome, error};
use haypile_resp::Request;

use super::Kind;
use crate::client::Client;
use crate::commands::ServerCx;
use crate::state::ServerState;

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
    let mut text = String::new();
    for client in &clients {
        describe(cx.server, client, Some((cx.client.id, request)), &mut text);
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
    describe(cx.server, cx.client, Some((cx.client.id, request)), &mut text);
    cx.reply.verbatim("txt", &text);
    Ok(())
}

/// Redis' line about a client, its fields in Redis' order. Buffers are counted as far as this server has them: `rbs`,
/// `rbp` and `obl` are of a fixed reply buffer, which it has not.
/// `asking` is who asks, and with which request.
pub(crate) fn describe(server: &ServerState, client: &Client, asking: Option<(u64, &Request)>, text: &mut String) {
    let now_ms = server.node.clock.now_ms();
    let seconds_since = |ms: u64| now_ms.saturating_sub(ms) / 1000;
    // The request that asks still counts as unevaluated input.
    let (current, args) = match asking {
        Some((id, request)) if id == client.id => (request.size(), request.iter().map(<[u8]>::len).sum()),
        _ => (0, 0),
    };
    let multi_bytes = client.multi_bytes.load(Ordering::Relaxed);
    let query = client.query_bytes.load(Ordering::Relaxed) + current;
    let output = client.output_bytes.load(Ordering::Relaxed);
    let [sub, psub, ssub] = &client.subscriptions;
    let command = client.last_command.load(Ordering::Relaxed);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "id={id} addr={addr} laddr={laddr} fd={fd} name={name} age={age} idle={idle} flags={flags} db={db} sub={sub} \
         psub={psub} ssub={ssub} multi={multi} qbuf={query} qbuf-free=0 argv-mem={args} multi-mem={multi_bytes} rbs=0 \
         rbp=0 obl=0 oll={oll} omem={output} tot-mem={total} events=r cmd={cmd} user={user} redir=-1 resp={resp} \
         lib-name={lib_name} lib-ver={lib_version}",
        id = client.id,
        addr = client.addr,
        laddr = client.laddr,
        fd = client.fd,
        name = String::from_utf8_lossy(&client.name.lock()),
        age = seconds_since(client.created_ms),
        idle = seconds_since(client.last_active_ms.load(Ordering::Relaxed)),
        flags = flags(client),
        db = client.db.load(Ordering::Relaxed),
        sub = sub.load(Ordering::Relaxed),
        psub = psub.load(Ordering::Relaxed),
        ssub = ssub.load(Ordering::Relaxed),
        multi = client.multi.load(Ordering::Relaxed) as i64 - 1,
        oll = u8::from(output > 0),
        total = query + output + multi_bytes + size_of::<Client>(),
        cmd = command.checked_sub(1).and_then(table::name_of).unwrap_or("NULL"),
        user = String::from_utf8_lossy(client.user.lock().name()),
        resp = client.resp.load(Ordering::Relaxed),
        lib_name = client.lib_name.lock(),
        lib_version = client.lib_version.lock(),
    );
}

/// Redis' letters for a client's state.
fn flags(client: &Client) -> String {
    let set = |flag: &std::sync::atomic::AtomicBool| flag.load(Ordering::Relaxed);
    let letters = [
        ('O', set(&client.monitors)),
        ('P', client.subscription_count() > 0),
        ('x', client.multi.load(Ordering::Relaxed) > 0),
        ('b', client.is_waiting()),
        ('A', set(&client.killed)),
        ('e', set(&client.no_evict)),
        ('T', set(&client.no_touch)),
    ];
    let shown: String = letters.iter().filter(|(_, on)| *on).map(|(letter, _)| letter).collect();
    if shown.is_empty() { "N".into() } else { shown }
}
