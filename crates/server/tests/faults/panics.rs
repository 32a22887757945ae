//! Panics: a defect of the server does no more harm than it must. DEBUG panics at will.

use haypile_testkit::{Client, Server, wait_until};

const SERVERS: [&[&str]; 4] = [
    &["--io-threads", "1"],
    &["--io-threads", "4"],
    &["--io-threads", "1", "--sync", "always"],
    &["--io-threads", "4", "--sync", "always"],
];

/// What is said of a panic in a turn, and to all who write after it.
#[track_caller]
fn assert_refused(reply: &str) {
    assert!(reply.starts_with("(error) MISCONF a defect in the server"), "{reply}");
    assert!(
        reply.contains("refused until a restart; see the server's log"),
        "{reply}"
    );
}

/// What was committed can be read, within a turn too, and nothing of what was not; nobody can write.
#[track_caller]
fn assert_poisoned(client: &mut Client) {
    client.send_lines(&[
        "GET a",
        "SET a 2",
        "MULTI",
        "GET a",
        "EXISTS half panic",
        "EXEC",
        "WATCH a",
        "DBSIZE",
        "KEYS *",
    ]);
    let replies = client.hear_all(9);
    assert_eq!(replies[0], "\"1\"");
    assert_refused(&replies[1]);
    assert_eq!(
        replies[2..],
        ["OK", "QUEUED", "QUEUED", "[\"1\", 0]", "OK", "1", "[\"a\"]"]
    );
}

#[track_caller]
fn assert_mended(server: &mut Server) {
    assert!(
        server.log().contains("panicked: a defect in the server"),
        "{}",
        server.log()
    );
    assert!(
        server.log().contains("writes are refused until a restart"),
        "{}",
        server.log()
    );
    server.restart();
    let mut client = server.client();
    client.send_lines(&["DBSIZE", "GET a", "SET a 2", "SET half whole", "GET half"]);
    assert_eq!(client.hear_all(5), ["1", "\"1\"", "OK", "OK", "\"whole\""]);
}

#[test]
fn a_panic_in_a_transaction_leaves_nothing_of_it() {
    for args in SERVERS {
        let mut server = Server::start(args);
        let (mut client, mut other) = (server.client(), server.client());
        assert_eq!(client.say("SET a 1"), "OK");
        client.send_lines(&[
            "MULTI",
            "SET half 1",
            "FLUSHALL",
            "DEBUG PANIC-IN-TURN half",
            "EXEC",
            "PING",
        ]);
        assert_eq!(client.hear_all(4), ["OK", "QUEUED", "QUEUED", "QUEUED"]);
        assert_refused(&client.hear());
        // What the transaction did to its connection is unknown.
        client.assert_closed();
        assert_poisoned(&mut other);
        assert_poisoned(&mut server.client());
        assert_mended(&mut server);
    }
}

#[test]
fn a_panic_in_the_servers_own_turn_leaves_nothing_of_it() {
    for args in SERVERS {
        let mut server = Server::start(args);
        let (mut client, mut other) = (server.client(), server.client());
        client.send_lines(&["SET a 1", "DEBUG PANIC-IN-TURN half", "PING"]);
        assert_eq!(client.hear(), "OK");
        assert_refused(&client.hear());
        assert_eq!(client.hear(), "PONG");
        assert_poisoned(&mut client);
        assert_poisoned(&mut other);
        assert_mended(&mut server);
    }
}

#[test]
fn all_of_the_same_turn_are_told_and_who_waits_goes_on_waiting() {
    for args in SERVERS {
        let mut server = Server::start(args);
        let (mut client, mut other) = (server.client(), server.client());
        let (mut served, mut waiting) = (server.client(), server.client());
        assert_eq!(client.say("SET a 1"), "OK");
        served.send_lines(&["BLPOP half 0", "PING"]);
        let id = waiting.id();
        waiting.send_lines(&["BLPOP elsewhere 0"]);
        await_waiting(&mut other, 2);
        // A pipeline is one turn: what it had done before goes with it, and what it had given to somebody else.
        client.send_lines(&["SET panic 1", "RPUSH half 1", "MULTI", "DEBUG PANIC-IN-TURN", "EXEC"]);
        client.hear_all(5).iter().for_each(|reply| assert_refused(reply));
        client.assert_closed();
        assert_refused(&served.hear());
        assert_eq!(served.hear(), "PONG");
        await_waiting(&mut other, 1);
        assert_poisoned(&mut other);
        assert_eq!(other.say(&format!("CLIENT UNBLOCK {id}")), "1");
        assert_eq!(waiting.hear(), "nil");
        assert_mended(&mut server);
    }
}

#[track_caller]
fn await_waiting(asker: &mut Client, clients: usize) {
    let field = format!("blocked_clients:{clients}\\r\\n");
    wait_until("clients wait", || asker.say("INFO clients").contains(&field));
}

#[test]
fn a_panic_outside_of_a_turn_closes_its_connection_and_no_other() {
    for args in SERVERS {
        let server = Server::start(args);
        // So many that each thread has one.
        let mut others: Vec<_> = (0..8).map(|_| server.client()).collect();
        for _ in 0..8 {
            let mut client = server.client();
            client.send_lines(&["ECHO before", "DEBUG PANIC-IN-READ", "ECHO after"]);
            assert_eq!(client.hear(), "\"before\"");
            let reply = client.hear();
            assert!(
                reply.starts_with("(error) ERR a defect in the server has stopped"),
                "{reply}"
            );
            client.assert_closed();
        }
        for (n, other) in others.iter_mut().enumerate() {
            assert_eq!(other.say(&format!("SET k{n} 1")), "OK", "{args:?}");
        }
        assert_eq!(server.client().say("DBSIZE"), "8");
    }
}
