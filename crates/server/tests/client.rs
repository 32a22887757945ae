//! CLIENT and its subcommands.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "client/kill.rs"]
mod kill;
#[path = "client/list.rs"]
mod list;
#[path = "client/pause.rs"]
mod pause;

use std::collections::BTreeMap;

use haypile_testkit::{Client, Server, Value, wait_until};

/// The lines of CLIENT LIST or CLIENT INFO, as fields and values.
fn lines(reply: &Value) -> Vec<BTreeMap<String, String>> {
    let text = String::from_utf8(reply.as_bytes().expect("text").to_vec()).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let fields = |line: &str| {
        let fields = line.split(' ').map(|field| field.split_once('=').expect("a field"));
        fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    text.lines().map(fields).collect()
}

fn info(client: &mut Client) -> BTreeMap<String, String> {
    lines(&client.cmd(&["CLIENT", "INFO"])).remove(0)
}

/// What CLIENT LIST says of another client.
fn info_of(asker: &mut Client, id: i64) -> Option<BTreeMap<String, String>> {
    lines(&asker.cmd(&["CLIENT", "LIST", "ID", &id.to_string()])).pop()
}

/// Waits until the client of this id waits for a key or for the end of a pause.
#[track_caller]
fn await_blocked(asker: &mut Client, id: i64) {
    wait_until("the client waits", || {
        info_of(asker, id).is_some_and(|line| line["flags"].contains('b'))
    });
}
