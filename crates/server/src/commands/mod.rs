//! The commands that concern connections, transactions, pub/sub or the process. Their specs stand in the table of
//! `haypile-commands`; their functions are found by full name.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use haypile_commands::table::{self, Known};
use haypile_commands::{CommandError, Outcome};
use haypile_partition::Turn;
use haypile_resp::{Reply, Request};
use haypile_store::Tier;

use crate::client::Client;
use crate::node::Node;
use crate::session::Session;

mod client;
mod connection;
mod help;
mod pubsub;
mod transaction;

pub use connection::REDIS_VERSION;

/// What a command of the server's own may see and do.
pub struct ServerCx<'a, 't> {
    /// The server.
    pub node: &'a Arc<Node>,
    /// The client.
    pub client: &'a Arc<Client>,
    /// The connection's state.
    pub session: &'a mut Session,
    /// The reply.
    pub reply: &'a mut Reply,
    /// The right to write, if the command was evaluated in a turn: always for those of [`needs_turn`].
    pub turn: Option<&'a mut Turn<'t>>,
    /// How far reads may go.
    pub tier: Tier,
}

/// A command's function.
pub type Execute = fn(&mut ServerCx<'_, '_>, &Request) -> Outcome;

/// Functions by full name.
const FAMILIES: &[&[(&str, Execute)]] = &[client::FUNCTIONS, connection::FUNCTIONS, pubsub::FUNCTIONS, transaction::FUNCTIONS];

static BY_ID: LazyLock<Vec<Option<Execute>>> = LazyLock::new(|| {
    let by_name: HashMap<&str, Execute> = FAMILIES.iter().flat_map(|f| f.iter().copied()).collect();
    let mut by_id = vec![None; table::count()];
    for known in table::known().flat_map(|k| std::iter::once(k).chain(&k.subcommands)) {
        let own = by_name.get(known.full_name.as_str()).copied();
        // Every container of the server's own has a HELP, and all of them the same.
        let help = (known.spec.name == "help").then_some(help::help as Execute);
        by_id[known.id] = own.or(help);
    }
    by_id
});

/// Evaluates a command of the server's own.
pub fn execute(known: &'static Known, cx: &mut ServerCx<'_, '_>, request: &Request) -> Outcome {
    match BY_ID[known.id] {
        Some(function) => function(cx, request),
        None => Err(CommandError::reply(format!(
            "ERR '{}' is not implemented",
            known.full_name
        ))),
    }
}

/// True for a command that is evaluated only in a turn.
pub fn needs_turn(known: &Known, session: &Session) -> bool {
    match known.spec.name {
        "exec" | "watch" => true,
        "discard" | "unwatch" | "reset" => session.watch.is_some(),
        _ => false,
    }
}

/// True for a command that is carried out within MULTI instead of being queued.
pub fn runs_in_multi(known: &Known) -> bool {
    matches!(
        known.full_name.as_str(),
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    )
}

/// True for a command that a subscribed RESP2 client may send.
pub fn runs_while_subscribed(known: &Known) -> bool {
    matches!(
        known.full_name.as_str(),
        "subscribe"
            | "unsubscribe"
            | "psubscribe"
            | "punsubscribe"
            | "ssubscribe"
            | "sunsubscribe"
            | "ping"
            | "quit"
            | "reset"
    )
}

/// True for a command that answers with messages, which CLIENT REPLY does not silence.
pub fn replies_with_messages(known: &Known) -> bool {
    pubsub::replies_with_messages(known.spec.name)
}

/// True for a command that runs while clients are paused.
pub fn runs_while_paused(known: &Known) -> bool {
    known.full_name.starts_with("client|")
        || matches!(known.spec.name, "hello" | "auth" | "quit" | "reset" | "shutdown")
}

/// True for a command without the write flag that a pause of writes holds up all the same, as in Redis.
pub fn counts_as_write(known: &Known) -> bool {
    matches!(known.spec.name, "publish" | "spublish" | "pfcount")
}
