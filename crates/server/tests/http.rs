//! The HTTP port.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use haypile_testkit::{PATIENCE, Server, free_port, wait_until};

/// Status and body of the answer.
fn get(port: u16, path: &str) -> (u16, String) {
    get_with(port, path, "")
}

/// The same with more lines in the header.
fn get_with(port: u16, path: &str, lines: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a header");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.expect("a status"), body.to_owned())
}

#[test]
fn metrics_are_shown() {
    let port = free_port();
    let mut server = Server::start(&["--http-port", &port.to_string()]);
    assert!(
        server.banner().contains(&format!("http port {port}")),
        "{}",
        server.banner()
    );
    let mut client = server.client();
    client.send_lines(&["SET a 1", "GET a", "GET b", "LPUSH a x", "SELECT 3", "SET c 1 EX 1000"]);
    client.hear_all(6);
    let (status, body) = get(port, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "haypile_commands_total{command=\"get\"} 2",
        "haypile_command_errors_total{command=\"lpush\",kind=\"failed\"} 1",
        "haypile_command_duration_seconds_bucket{command=\"get\",le=\"+Inf\"} 2",
        "haypile_command_duration_seconds_count{command=\"get\"} 2",
        "haypile_error_replies_total{code=\"WRONGTYPE\"} 1",
        "haypile_connected_clients 1",
        "haypile_lookups_total{result=\"hit\"} 1",
        "haypile_keys{db=\"0\"} 1",
        "haypile_keys_with_expiry{db=\"3\"} 1",
        "haypile_oplog_last_index 2",
        "haypile_writes_refused 0",
        "# TYPE haypile_oplog_sync_seconds_total counter",
    ] {
        assert!(body.lines().any(|l| l == line), "{line} is not in\n{body}");
    }
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(name.starts_with("haypile_") || name.starts_with("process_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    assert_eq!(get(port, "/nonsense").0, 404);
    assert!(server.stop().success());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn health_follows_the_writes() {
    let port = free_port();
    let server = Server::start(&["--http-port", &port.to_string()]);
    let mut client = server.client();
    assert_eq!(get(port, "/healthz"), (200, "ok\n".into()));
    assert_eq!(client.say("CONFIG SET disk-free-min-bytes 1000000gb"), "OK");
    wait_until("writes to be refused", || get(port, "/healthz").0 == 503);
    assert!(get(port, "/healthz").1.contains("disk-free-min-bytes"));
    assert!(client.say("SET a 1").starts_with("(error) MISCONF"));
    assert_eq!(client.say("CONFIG SET disk-free-min-bytes 0"), "OK");
    wait_until("writes to be accepted", || get(port, "/healthz").0 == 200);
    assert_eq!(client.say("SET a 1"), "OK");
}

/// The header of basic authentication.
fn login(user: &str, password: &str) -> String {
    use base64::Engine;
    let encoded = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {encoded}\r\n")
}

#[test]
fn who_may_not_talk_to_the_server_sees_no_metrics() {
    let port = free_port();
    let server = Server::start(&["--http-port", &port.to_string()]);
    let mut client = server.client();
    assert_eq!(get(port, "/metrics").0, 200);
    client.send_lines(&["CONFIG SET requirepass secret"]);
    client.hear_all(1);
    let (status, body) = get(port, "/metrics");
    assert_eq!(status, 401);
    assert!(body.contains("requirepass") && !body.contains("haypile_info"), "{body}");
    assert_eq!(get_with(port, "/metrics", &login("default", "wrong")).0, 401);
    assert_eq!(get_with(port, "/metrics", &login("other", "secret")).0, 401);
    assert_eq!(get_with(port, "/metrics", "Authorization: Basic \r\n").0, 401);
    assert_eq!(get_with(port, "/metrics", &login("default", "secret")).0, 200);
    assert_eq!(client.say("CONFIG SET http-user watcher http-password other"), "OK");
    assert_eq!(get_with(port, "/metrics", &login("default", "secret")).0, 401);
    assert_eq!(get_with(port, "/metrics", &login("watcher", "other")).0, 200);
}

#[test]
fn everybody_sees_whether_it_is_well_and_nobody_else_why_not() {
    let port = free_port();
    let server = Server::start(&["--http-port", &port.to_string(), "--http-password", "secret"]);
    let mut client = server.client();
    assert_eq!(get(port, "/healthz"), (200, "ok\n".into()));
    assert_eq!(client.say("CONFIG SET disk-free-min-bytes 1000000gb"), "OK");
    wait_until("writes to be refused", || get(port, "/healthz").0 == 503);
    assert!(!get(port, "/healthz").1.contains("disk-free-min-bytes"));
    let (status, body) = get_with(port, "/healthz", &login("haypile", "secret"));
    assert_eq!(status, 503);
    assert!(body.contains("disk-free-min-bytes"), "{body}");
}

#[test]
fn silent_connections_keep_nobody_out() {
    let port = free_port();
    let _server = Server::start(&["--http-port", &port.to_string()]);
    let silent = || TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let connections: Vec<_> = (0..200).map(|_| silent()).collect();
    assert_eq!(get(port, "/healthz").0, 200);
    assert_eq!(get(port, "/metrics").0, 200);
    drop(connections);
}

#[test]
fn health_and_metrics_do_not_wait_for_a_turn() {
    let port = free_port();
    let server = Server::start(&["--http-port", &port.to_string(), "--io-threads", "2"]);
    // The first is served by one thread, which then sleeps in its turn, the second by the other.
    let (mut sleeper, mut client) = (server.client(), server.client());
    sleeper.send_lines(&["DEBUG SLEEP 600"]);
    wait_until("the sleep to begin", || client.say("CLIENT LIST").contains("cmd=debug"));
    assert_eq!(get(port, "/healthz").0, 200);
    assert_eq!(get(port, "/metrics").0, 200);
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, errors) = Server::start_in_vain(&["--http-port", &port]);
    assert_eq!(code, Some(1));
    assert!(
        errors.starts_with(&format!("haypile: cannot listen on 127.0.0.1:{port} (HTTP): ")),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 1, "{errors}");
}
