//! Users and what they may do: access rules, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "acl/doors.rs"]
mod doors;
#[path = "acl/kept.rs"]
mod kept;
#[path = "acl/log.rs"]
mod log;
#[path = "acl/rights.rs"]
mod rights;

use haypile_testkit::{Client, Server};

/// A user of this name who may log in with any password, with these rules.
#[track_caller]
fn make(admin: &mut Client, name: &str, rules: &str) {
    assert_eq!(admin.say(&format!("ACL SETUSER {name} reset on nopass {rules}")), "OK");
}

/// A connection of that user.
#[track_caller]
fn client_of(server: &Server, name: &str) -> Client {
    let mut client = server.client();
    assert_eq!(client.say(&format!("AUTH {name} any")), "OK");
    client
}

/// The line of CLIENT LIST of the connection with this name; empty if there is none.
fn line_of(admin: &mut Client, name: &str) -> String {
    let list = String::from_utf8_lossy(admin.cmd(&["CLIENT", "LIST"]).as_bytes().unwrap()).into_owned();
    let line = list.lines().find(|line| line.contains(&format!(" name={name} ")));
    line.unwrap_or_default().to_owned()
}
