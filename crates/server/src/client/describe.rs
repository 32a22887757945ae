//! The line that CLIENT LIST has about a client.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use haypile_commands::table;
use haypile_resp::Request;

use super::Client;

impl Client {
    /// Redis' line about a client, its fields in Redis' order. Buffers are counted as far as this server has them: `rbs`,
    /// `rbp` and `obl` are of a fixed reply buffer, which it has not.
    /// `asking` is who asks, and with which request.
    pub(crate) fn describe(&self, now_ms: u64, asking: Option<(u64, &Request)>, text: &mut String) {
        let client = self;
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
