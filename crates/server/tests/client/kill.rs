//! CLIENT KILL and UNBLOCK.

use super::*;

#[test]
fn kill_by_address() {
    let server = Server::start(&[]);
    let (mut killer, mut victim) = (server.client(), server.client());
    assert_eq!(killer.say("CLIENT KILL 127.0.0.1:1"), "(error) ERR No such client");
    // A connection is known once it has been accepted, perhaps by another thread: after a reply it certainly is.
    assert_eq!(victim.say("PING"), "PONG");
    assert_eq!(killer.say(&format!("CLIENT KILL {}", victim.addr())), "OK");
    victim.assert_closed();
    // The old form may mean the client itself, which has its reply first.
    let mut own = server.client();
    assert_eq!(own.say(&format!("CLIENT KILL {}", own.addr())), "OK");
    own.assert_closed();
    assert_eq!(killer.say("PING"), "PONG");
}

#[test]
fn kill_by_filters() {
    let server = Server::start(&[]);
    let mut killer = server.client();
    let (mut one, mut two, mut three) = (server.client(), server.client(), server.client());
    assert_eq!(killer.say(&format!("CLIENT KILL ID {}", one.id())), "1");
    one.assert_closed();
    assert_eq!(killer.say(&format!("CLIENT KILL ID {} ADDR 1.2.3.4:5", two.id())), "0");
    assert_eq!(
        killer.say(&format!("CLIENT KILL ADDR {} USER default", two.addr())),
        "1"
    );
    two.assert_closed();
    three.say("SUBSCRIBE a");
    assert_eq!(killer.say("CLIENT KILL TYPE replica"), "0");
    assert_eq!(killer.say("CLIENT KILL TYPE pubsub"), "1");
    three.assert_closed();
    let (mut four, mut five) = (server.client(), server.client());
    assert_eq!((four.say("PING"), five.say("PING")), ("PONG".into(), "PONG".into()));
    assert_eq!(
        killer.say(&format!("CLIENT KILL LADDR 127.0.0.1:{}", server.port())),
        "2"
    );
    four.assert_closed();
    five.assert_closed();
    let mut six = server.client();
    assert_eq!(six.say("PING"), "PONG");
    assert_eq!(killer.say("CLIENT KILL SKIPME no"), "2");
    killer.assert_closed();
    six.assert_closed();
    assert_eq!(server.client().say("PING"), "PONG");
}

#[test]
fn kill_with_illegal_arguments() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (line, error) in [
        ("CLIENT KILL ID 10 wrong", "ERR syntax error"),
        ("CLIENT KILL ID str", "ERR client-id should be greater than 0"),
        ("CLIENT KILL ID -1", "ERR client-id should be greater than 0"),
        ("CLIENT KILL ID 0", "ERR client-id should be greater than 0"),
        ("CLIENT KILL TYPE wrong", "ERR Unknown client type 'wrong'"),
        ("CLIENT KILL USER wrong", "ERR No such user 'wrong'"),
        ("CLIENT KILL SKIPME maybe", "ERR syntax error"),
        ("CLIENT KILL foo bar", "ERR syntax error"),
    ] {
        assert_eq!(client.say(line), format!("(error) {error}"), "{line}");
    }
}

#[test]
fn a_killed_client_takes_nothing_with_it() {
    let server = Server::start(&[]);
    let (mut killer, mut victim) = (server.client(), server.client());
    let id = victim.id();
    victim.send_lines(&["BLPOP list 0"]);
    await_blocked(&mut killer, id);
    killer.send_lines(&[
        &format!("CLIENT KILL ID {id}"),
        "CLIENT LIST",
        "RPUSH list 1",
        "LLEN list",
    ]);
    assert_eq!(killer.hear(), "1");
    assert_eq!(lines(&killer.recv()).len(), 1);
    assert_eq!(killer.hear_all(2), ["1", "1"]);
    victim.assert_closed();
    assert_eq!(killer.say("LPOP list"), "\"1\"");
}

#[test]
fn a_client_that_does_not_read_can_be_killed() {
    let server = Server::start(&[]);
    let (mut killer, mut victim) = (server.client(), server.client());
    let id = victim.id();
    assert_eq!(
        killer.cmd(&[b"SET", &b"big"[..], &vec![b'x'; 8 << 20]]),
        haypile_testkit::ok()
    );
    victim.send_lines(&["GET big", "GET big", "GET big"]);
    wait_until("replies pile up", || {
        info_of(&mut killer, id).is_some_and(|line| line["omem"].parse::<u64>().unwrap() > 0)
    });
    assert_eq!(killer.say(&format!("CLIENT KILL ID {id}")), "1");
    wait_until("the connection is closed", || {
        // Writing to a connection that the other side has reset fails sooner or later.
        std::io::Write::write(&mut victim.stream(), b"PING\r\n").is_err()
    });
}

#[test]
fn unblock_ends_a_wait() {
    let server = Server::start(&[]);
    let (mut asker, mut client) = (server.client(), server.client());
    let id = client.id();
    for (how, reply) in [
        ("", "nil"),
        ("TIMEOUT", "nil"),
        ("error", "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        client.send_lines(&["BLPOP list 0", "ECHO next"]);
        await_blocked(&mut asker, id);
        assert_eq!(asker.say(&format!("CLIENT UNBLOCK {id} {how}")), "1");
        assert_eq!(client.hear_all(2), [reply, "\"next\""]);
    }
    // Within a turn of the writer, where the waiting clients are at hand already.
    client.send_lines(&["BLPOP list 0"]);
    await_blocked(&mut asker, id);
    asker.send_lines(&["SET a 1", &format!("CLIENT UNBLOCK {id}"), "SET a 2"]);
    assert_eq!(asker.hear_all(3), ["OK", "1", "OK"]);
    assert_eq!(client.hear(), "nil");
    client.send_lines(&["BLPOP list 0"]);
    await_blocked(&mut asker, id);
    asker.send_lines(&["MULTI", &format!("CLIENT UNBLOCK {id} ERROR"), "RPUSH list 1", "EXEC"]);
    assert_eq!(asker.hear_all(4)[3], "[1, 1]");
    assert!(client.hear().starts_with("(error) UNBLOCKED"));
    assert_eq!(asker.say("LPOP list"), "\"1\"");
}

#[test]
fn unblock_of_who_does_not_wait() {
    let server = Server::start(&[]);
    let (mut asker, mut client) = (server.client(), server.client());
    let (own, id) = (asker.id(), client.id());
    assert_eq!(asker.say(&format!("CLIENT UNBLOCK {id}")), "0");
    assert_eq!(asker.say(&format!("CLIENT UNBLOCK {own}")), "0");
    assert_eq!(asker.say("CLIENT UNBLOCK 999999"), "0");
    assert_eq!(asker.say("CLIENT UNBLOCK -1"), "0");
    assert_eq!(
        asker.say("CLIENT UNBLOCK x"),
        "(error) ERR value is not an integer or out of range"
    );
    assert_eq!(
        asker.say(&format!("CLIENT UNBLOCK {id} foo")),
        "(error) ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
    );
    // Nor of one that waits for the end of a pause.
    assert_eq!(asker.say("CLIENT PAUSE 100000 WRITE"), "OK");
    client.send_lines(&["SET a 1"]);
    await_blocked(&mut asker, id);
    assert_eq!(asker.say(&format!("CLIENT UNBLOCK {id} ERROR")), "0");
    assert_eq!(asker.say("CLIENT UNPAUSE"), "OK");
    assert_eq!(client.hear(), "OK");
}
