//! The test harness itself, and the life of the process: start, stop, kill -9, restart.

mod common;

use common::{Server, array, bulk, error, int, ok, text, wait_until, words};

#[test]
fn a_server_starts_serves_and_stops() {
    let mut server = Server::start(&[]);
    assert!(
        server.banner().contains("listening on 127.0.0.1:"),
        "{}",
        server.banner()
    );
    let mut client = server.client();
    assert_eq!(client.cmd(&["PING"]), common::Value::Simple("PONG".into()));
    client.send_lines(&["SET a b", "GET a", "GET \"\"", "NO \"such one\""]);
    assert_eq!(client.recv(), ok());
    assert_eq!(client.hear_all(2), ["\"b\"", "nil"]);
    assert!(
        client
            .recv()
            .as_error()
            .is_some_and(|e| e.starts_with("ERR unknown command 'NO'"))
    );
    assert!(server.is_running());
    assert!(server.stop().success());
    client.assert_closed();
    assert!(!server.is_running());
}

#[test]
fn data_survives_a_restart_and_a_kill() {
    let mut server = Server::start(&["--sync", "always"]);
    assert_eq!(server.client().say("SET a 1"), "OK");
    server.restart();
    assert_eq!(server.client().say("GET a"), "\"1\"");
    assert_eq!(server.client().say("SET a 2"), "OK");
    server.kill_and_restart();
    assert_eq!(server.client().say("GET a"), "\"2\"");
    wait_until("the log says that the data is open", || {
        server.log().contains("the data is open")
    });
}

#[test]
fn two_servers_do_not_share_a_directory() {
    let server = Server::start(&[]);
    let dir = server.dir();
    let (code, errors) = Server::start_in_vain(&["--dir", dir.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("is in use by another process"), "{errors}");
}

#[test]
fn replies_as_text() {
    assert_eq!(words("SET  \"a b\" \"\" c"), [&b"SET"[..], b"a b", b"", b"c"]);
    let reply = array([bulk("a\r\n"), int(-1), error("ERR no"), ok()]);
    assert_eq!(text(&reply), "[\"a\\r\\n\", -1, (error) ERR no, OK]");
}
