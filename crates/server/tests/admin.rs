//! The server's own commands: CONFIG, INFO, COMMAND, SLOWLOG, LATENCY, MEMORY, saving, DEBUG and the like.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "admin/command.rs"]
mod command;
#[path = "admin/config.rs"]
mod config;
#[path = "admin/debug.rs"]
mod debug;
#[path = "admin/info.rs"]
mod info;
#[path = "admin/monitor.rs"]
mod monitor;
#[path = "admin/saving.rs"]
mod saving;
#[path = "admin/slow.rs"]
mod slow;

use std::collections::BTreeMap;
use std::fs;

use haypile_testkit::{Client, Server, Value, error, int, ok, text, wait_until};

/// The fields of INFO.
fn info(client: &mut Client, sections: &str) -> BTreeMap<String, String> {
    let reply = client.cmd(&[&["INFO"], &sections.split_whitespace().collect::<Vec<_>>()[..]].concat());
    let Value::Bulk(bytes) = reply else {
        panic!("{}", text(&reply))
    };
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.is_empty() || text.ends_with("\r\n"), "{text}");
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(field, value)| (field.to_owned(), value.to_owned()))
        .collect()
}

/// The members of an array.
fn members(value: Value) -> Vec<Value> {
    match value {
        Value::Array(members) | Value::Set(members) => members,
        other => panic!("not an array: {}", text(&other)),
    }
}
