//! Users at the other doors: the sync port and the port for HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;

use super::make;
use haypile_testkit::{Client, PATIENCE, Server, free_port, wait_until};

/// The status of a request for the metrics, as this user if there is one.
fn metrics(port: u16, user: Option<&str>) -> u16 {
    let answer = ask(port, user);
    answer
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("a status")
}

/// The metrics, as this user sees them.
fn body(port: u16, user: &str) -> String {
    ask(port, Some(user))
}

fn ask(port: u16, user: Option<&str>) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let login = user.map(|user| {
        let encoded = base64::prelude::BASE64_STANDARD.encode(user);
        format!("Authorization: Basic {encoded}\r\n")
    });
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n",
        login.unwrap_or_default()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn who_may_run_info_may_see_the_metrics() {
    let port = free_port();
    let server = Server::start(&["--http-port", &port.to_string()]);
    let mut admin = server.client();
    assert_eq!(admin.say("ACL SETUSER watcher on >pw +info"), "OK");
    assert_eq!(admin.say("ACL SETUSER other on >pw +get"), "OK");
    assert_eq!(metrics(port, None), 200);
    assert_eq!(metrics(port, Some("watcher:wrong")), 401);
    admin.say("ACL SETUSER default -info");
    assert_eq!(metrics(port, None), 401);
    admin.say("CONFIG SET requirepass secret");
    assert_eq!(metrics(port, Some("default:secret")), 401);
    admin.say("ACL SETUSER default +info");
    for (user, status) in [
        (None, 401),
        (Some("default:secret"), 200),
        (Some("watcher:pw"), 200),
        (Some("other:pw"), 401),
        (Some("nobody:pw"), 401),
    ] {
        assert_eq!(metrics(port, user), status, "{user:?}");
    }
    assert!(body(port, "watcher:pw").contains("haypile_access_denied_total{reason=\"auth\"} 0"));
    admin.say("ACL SETUSER watcher off");
    assert_eq!(metrics(port, Some("watcher:pw")), 401);
    // The port's own user is the only one if there is one.
    admin.say("CONFIG SET http-password own");
    assert_eq!(metrics(port, Some("default:secret")), 401);
    assert_eq!(metrics(port, Some("haypile:own")), 200);
}

fn link(client: &mut Client) -> String {
    let info = client.cmd(&["INFO", "replication"]);
    let text = String::from_utf8_lossy(info.as_bytes().unwrap()).into_owned();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap_or_default().to_owned()
    };
    format!("{} {}", field("master_link_status"), field("sync_instance_last_error"))
}

#[test]
fn a_replica_logs_in_as_a_user_who_may_replicate() {
    let primary = Server::start(&["--requirepass", "secret", "--enable-debug-command", "yes"]);
    let mut admin = primary.client();
    assert_eq!(admin.say("AUTH secret"), "OK");
    assert_eq!(admin.say("SET a 1"), "OK");
    make(&mut admin, "rep", "resetpass >pw +psync +replconf +ping");
    let address = format!("127.0.0.1 {}", primary.port());
    let replica = Server::start(&[
        "--replicaof",
        &address,
        "--masteruser",
        "rep",
        "--masterauth",
        "pw",
        "--repl-retry-max-ms",
        "200",
    ]);
    let mut client = replica.client();
    wait_until("the link", || link(&mut client).starts_with("up"));
    wait_until("the data", || client.say("GET a") == "\"1\"");

    // Without the right to it, it is refused, at the client port or at the sync port.
    for taken in ["-replconf", "-psync"] {
        admin.say(&format!("ACL SETUSER rep {taken}"));
        client.say("CONFIG SET masterauth wrong");
        client.say("CONFIG SET masterauth pw");
        wait_until("the refusal", || link(&mut client).contains("authentication failed"));
        admin.say("ACL SETUSER rep +replconf +psync");
        wait_until("the link", || {
            client.say("CONFIG SET masterauth other");
            client.say("CONFIG SET masterauth pw");
            link(&mut client).starts_with("up")
        });
    }
    // A user who is deleted is noticed at the next request, which comes by itself.
    admin.say("ACL DELUSER rep");
    wait_until("the refusal", || link(&mut client).contains("authentication failed"));
    make(&mut admin, "rep", "resetpass >new +psync +replconf +ping");
    assert_eq!(admin.say("SET a 2"), "OK");
    client.say("CONFIG SET masterauth new");
    wait_until("the data", || client.say("GET a") == "\"2\"");
}
