//! The commands about one's own connection: PING, ECHO, SELECT, AUTH, HELLO, QUIT, RESET.

use std::io::Read;

use haypile_testkit::{Server, Value, bulk, int, ok, text, wait_until};

/// The value of a field in a reply of alternating fields and values, or in a map.
fn field(reply: &Value, name: &str) -> Value {
    let found = match reply {
        Value::Map(pairs) => pairs.iter().find(|(k, _)| *k == bulk(name)).map(|(_, v)| v.clone()),
        Value::Array(flat) => flat.chunks(2).find(|p| p[0] == bulk(name)).map(|p| p[1].clone()),
        _ => None,
    };
    found.unwrap_or_else(|| panic!("no {name} in {}", text(reply)))
}

#[test]
fn ping_echo_and_their_arity() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(client.say("PING"), "PONG");
    assert_eq!(client.say("ping \"hello there\""), "\"hello there\"");
    assert_eq!(
        client.say("PING a b"),
        "(error) ERR wrong number of arguments for 'ping' command"
    );
    assert_eq!(client.say("ECHO a"), "\"a\"");
    assert_eq!(
        client.say("ECHO"),
        "(error) ERR wrong number of arguments for 'echo' command"
    );
    client.send_raw(b"PING\r\nECHO \"in line\"\r\n");
    assert_eq!(client.hear_all(2), ["PONG", "\"in line\""]);
}

#[test]
fn select_changes_the_database() {
    let server = Server::start(&["--databases", "4"]);
    let mut client = server.client();
    assert_eq!(client.say("SET a 0"), "OK");
    assert_eq!(client.say("SELECT 3"), "OK");
    assert_eq!(client.say("GET a"), "nil");
    assert!(client.say("CLIENT INFO").contains(" db=3 "));
    for (index, error) in [
        ("4", "ERR DB index is out of range"),
        ("-1", "ERR DB index is out of range"),
        ("x", "ERR value is not an integer or out of range"),
    ] {
        assert_eq!(client.say(&format!("SELECT {index}")), format!("(error) {error}"));
    }
    client.send_lines(&["MULTI", "SET a 3", "SELECT 0", "GET a", "EXEC", "GET a"]);
    let replies = client.hear_all(6);
    assert_eq!(replies[4..], ["[OK, OK, \"0\"]", "\"0\""]);
    assert_eq!(server.client().say("GET a"), "\"0\"");
}

#[test]
fn without_a_password_auth_is_an_error_or_needless() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert!(
        client
            .say("AUTH x")
            .starts_with("(error) ERR AUTH <password> called without any password")
    );
    assert_eq!(client.say("AUTH default x"), "OK");
    assert_eq!(
        client.say("AUTH somebody x"),
        "(error) WRONGPASS invalid username-password pair or user is disabled."
    );
    assert_eq!(client.say("AUTH a b c"), "(error) ERR syntax error");
    assert_eq!(client.say("PING"), "PONG");
}

#[test]
fn a_password_is_asked_for() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut client = server.client();
    assert_eq!(client.say("GET a"), "(error) NOAUTH Authentication required.");
    assert_eq!(client.say("PING"), "(error) NOAUTH Authentication required.");
    assert!(client.say("HELLO 3").starts_with("(error) NOAUTH HELLO must be called"));
    for wrong in ["Secret", "secre", "secrets", "\"\""] {
        assert_eq!(
            client.say(&format!("AUTH {wrong}")),
            "(error) WRONGPASS invalid username-password pair or user is disabled."
        );
    }
    assert_eq!(
        client.say("AUTH other secret"),
        "(error) WRONGPASS invalid username-password pair or user is disabled."
    );
    assert_eq!(client.say("AUTH secret"), "OK");
    assert_eq!(client.say("GET a"), "nil");
    assert_eq!(client.say("RESET"), "RESET");
    assert_eq!(client.say("GET a"), "(error) NOAUTH Authentication required.");
    assert_eq!(client.say("AUTH default secret"), "OK");
    assert_eq!(client.say("GET a"), "nil");
    // QUIT needs no password.
    let mut other = server.client();
    assert_eq!(other.say("QUIT"), "OK");
    other.assert_closed();
}

#[test]
fn hello_speaks_both_versions() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let id = client.id();
    let reply = client.cmd(&["HELLO"]);
    assert!(matches!(reply, Value::Array(_)));
    assert_eq!(field(&reply, "server"), bulk("redis"));
    assert_eq!(field(&reply, "proto"), int(2));
    assert_eq!(field(&reply, "id"), int(id));
    assert_eq!(field(&reply, "mode"), bulk("standalone"));
    assert_eq!(field(&reply, "role"), bulk("master"));
    assert_eq!(field(&reply, "modules"), Value::Array(vec![]));
    let reply = client.cmd(&["HELLO", "3", "SETNAME", "me"]);
    assert!(matches!(reply, Value::Map(_)));
    assert_eq!(field(&reply, "proto"), int(3));
    assert!(
        field(&reply, "version")
            .as_bytes()
            .is_some_and(|v| v.starts_with(b"7."))
    );
    assert_eq!(client.cmd(&["GET", "none"]), Value::Null);
    assert_eq!(client.say("CLIENT GETNAME"), "\"me\"");
    assert!(client.say("CLIENT INFO").contains(" resp=3 "));
    assert!(matches!(client.cmd(&["HELLO"]), Value::Map(_)));
    assert!(matches!(client.cmd(&["HELLO", "2"]), Value::Array(_)));
    assert!(client.say("CLIENT INFO").contains(" resp=2 "));
}

#[test]
fn hello_refuses_what_it_does_not_know_and_changes_nothing_then() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut client = server.client();
    for (line, error) in [
        ("HELLO 4", "NOPROTO unsupported protocol version"),
        ("HELLO 1", "NOPROTO unsupported protocol version"),
        ("HELLO x", "ERR Protocol version is not an integer or out of range"),
        ("HELLO 3 FOO", "ERR Syntax error in HELLO option 'FOO'"),
        ("HELLO 3 AUTH default", "ERR Syntax error in HELLO option 'AUTH'"),
        ("HELLO 3 SETNAME", "ERR Syntax error in HELLO option 'SETNAME'"),
        (
            "HELLO 3 AUTH default wrong SETNAME a",
            "WRONGPASS invalid username-password pair or user is disabled.",
        ),
        (
            "HELLO 3 SETNAME \"a b\" AUTH default secret",
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ),
    ] {
        assert_eq!(client.say(line), format!("(error) {error}"), "{line}");
    }
    assert_eq!(client.say("GET a"), "(error) NOAUTH Authentication required.");
    let reply = client.cmd(&["HELLO", "3", "AUTH", "default", "secret", "SETNAME", "a"]);
    assert_eq!(field(&reply, "proto"), int(3));
    assert_eq!(client.say("CLIENT GETNAME"), "\"a\"");
}

#[test]
fn quit_answers_and_closes() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send_lines(&["SET a 1", "QUIT", "SET a 2"]);
    assert_eq!(client.hear_all(2), ["OK", "OK"]);
    client.assert_closed();
    assert_eq!(server.client().say("GET a"), "\"1\"");
    let mut client = server.client();
    client.send_lines(&["MULTI", "SET a 3", "QUIT"]);
    assert_eq!(client.hear_all(3), ["OK", "QUEUED", "OK"]);
    client.assert_closed();
    assert_eq!(server.client().say("GET a"), "\"1\"");
}

#[test]
fn reset_forgets_the_connections_state() {
    let server = Server::start(&[]);
    let mut client = server.client3();
    assert_eq!(client.say("CLIENT SETNAME me"), "OK");
    assert_eq!(client.say("CLIENT SETINFO LIB-NAME lib"), "OK");
    assert_eq!(client.say("CLIENT NO-EVICT on"), "OK");
    assert_eq!(client.say("CLIENT NO-TOUCH on"), "OK");
    assert_eq!(client.say("SELECT 2"), "OK");
    assert_eq!(client.say("SUBSCRIBE a"), ">[\"subscribe\", \"a\", 1]");
    assert_eq!(client.say("PSUBSCRIBE b"), ">[\"psubscribe\", \"b\", 2]");
    assert_eq!(client.say("SSUBSCRIBE c"), ">[\"ssubscribe\", \"c\", 1]");
    assert_eq!(client.say("WATCH key"), "OK");
    assert_eq!(client.say("MULTI"), "OK");
    assert_eq!(client.say("GET a"), "QUEUED");
    assert_eq!(client.say("RESET"), "RESET");
    let info = client.say("CLIENT INFO");
    for part in [
        " name= ",
        " flags=N ",
        " db=0 ",
        " sub=0 psub=0 ssub=0 multi=-1 ",
        " multi-mem=0 ",
        " resp=2 ",
        " lib-name=lib ",
    ] {
        assert!(info.contains(part), "{part} in {info}");
    }
    assert_eq!(client.say("EXEC"), "(error) ERR EXEC without MULTI");
    let mut other = server.client();
    assert_eq!(other.say("PUBLISH a x"), "0");
    assert_eq!(other.say("PUBLISH b x"), "0");
    assert_eq!(other.say("SPUBLISH c x"), "0");
    client.assert_silent();
    // RESET is heard even where replies were off.
    client.send_lines(&["CLIENT REPLY OFF", "PING", "RESET", "PING again"]);
    assert_eq!(client.hear_all(2), ["RESET", "\"again\""]);
}

#[test]
fn a_reset_watch_does_not_fail_the_next_transaction() {
    let server = Server::start(&[]);
    let (mut client, mut other) = (server.client(), server.client());
    assert_eq!(client.say("WATCH key"), "OK");
    assert_eq!(client.say("RESET"), "RESET");
    assert_eq!(other.cmd(&["SET", "key", "1"]), ok());
    client.send_lines(&["MULTI", "GET key", "EXEC"]);
    assert_eq!(client.hear_all(3)[2], "[\"1\"]");
}

#[test]
fn an_exec_that_is_refused_ends_its_transaction() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send_lines(&[
        "WATCH a", "MULTI", "SET a 1", "EXEC now", "EXEC", "SET a 2", "MULTI", "GET a", "EXEC",
    ]);
    assert_eq!(
        client.hear_all(9),
        [
            "OK",
            "OK",
            "QUEUED",
            "(error) EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
            "(error) ERR EXEC without MULTI",
            "OK",
            "OK",
            "QUEUED",
            "[\"2\"]"
        ]
    );
}

#[test]
fn who_speaks_http_is_cut_off() {
    let server = Server::start(&[]);
    for request in [
        &b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nSET a 1\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: localhost\r\nSET a 1\r\n",
    ] {
        let mut client = server.client();
        client.send_raw(request);
        if request.starts_with(b"GET") {
            assert_eq!(client.hear(), "(error) ERR wrong number of arguments for 'get' command");
        }
        client.assert_closed();
    }
    assert_eq!(server.client().say("EXISTS a"), "0");
    wait_until("the log says so", || server.log().contains("speaks HTTP"));
}

#[test]
fn a_move_waits_in_vain_as_in_redis() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send_raw(b"BRPOPLPUSH a b 0.01\r\n");
    let mut raw = [0; 5];
    client.stream().read_exact(&mut raw).expect("a reply");
    assert_eq!(&raw, b"*-1\r\n");
    client.send_raw(b"MULTI\r\nBRPOPLPUSH a b 0.01\r\nEXEC\r\n");
    assert_eq!(client.hear_all(2), ["OK", "QUEUED"]);
    assert_eq!(client.hear(), "[nil]");
}

#[test]
fn a_client_that_ends_with_its_last_request_is_answered_and_closed() {
    let server = Server::start(&[]);
    // More than are evaluated in a round, and with an end that is no request.
    let mut client = server.client();
    client.send_lines(&["INCR n"; 20_000]);
    client.send_raw(b"*1\r\n$4\r\nPI");
    client.shut_down_sending();
    for n in 1..=20_000 {
        assert_eq!(client.recv(), int(n));
    }
    client.assert_closed();
    // One that waits for what will not come does not wait any longer.
    let mut client = server.client();
    client.send_lines(&["PING", "BLPOP none 0"]);
    client.shut_down_sending();
    assert_eq!(client.hear(), "PONG");
    client.assert_closed();
    // Several times: both have to arrive before the server looks.
    for n in 0..20 {
        let mut client = server.client();
        client.send_lines(&["PING", &format!("SET a {n}"), "GET a"]);
        client.shut_down_sending();
        assert_eq!(client.hear_all(3), ["PONG", "OK", &format!("\"{n}\"")]);
        client.assert_closed();
    }
}
