//! Clients that wait for keys: who is served, when, and what others see meanwhile. The replies are those of Redis 7.0.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use haypile_testkit::{Client, Server, wait_until};

/// One event loop and several, and both ways to commit.
const SERVERS: [&[&str]; 4] = [
    &["--io-threads", "1"],
    &["--io-threads", "4"],
    &["--io-threads", "1", "--sync", "always"],
    &["--io-threads", "4", "--sync", "always"],
];

/// Waits until so many clients wait for keys.
#[track_caller]
fn await_waiting(asker: &mut Client, clients: usize) {
    let field = format!("blocked_clients:{clients}\\r\\n");
    wait_until("clients wait", || asker.say("INFO clients").contains(&field));
}

/// Clients that wait, and what somebody does then in one pipeline.
struct Case {
    /// What is done before.
    before: &'static [&'static str],
    /// Pipelines of clients that come one after the other; each ends with a command that waits.
    waiting: &'static [&'static [&'static str]],
    /// The pipeline that serves them.
    lines: &'static [&'static str],
    /// The replies to it.
    replies: &'static [&'static str],
    /// The replies to those who wait, if they are served.
    served: &'static [&'static str],
}

/// Nothing is done, and nobody waits.
const CASE: Case = Case {
    before: &[],
    waiting: &[],
    lines: &[],
    replies: &[],
    served: &[],
};

#[track_caller]
fn check(cases: &[Case]) {
    for args in SERVERS {
        let server = Server::start(args);
        let mut client = server.client();
        for case in cases {
            let what = format!("{args:?} {:?}", case.lines);
            client.say("FLUSHALL");
            client.send_lines(case.before);
            client.hear_all(case.before.len());
            await_waiting(&mut client, 0);
            let mut clients = Vec::new();
            for lines in case.waiting {
                let mut waiting = server.client();
                waiting.send_lines(lines);
                waiting.hear_all(lines.len() - 1);
                clients.push(waiting);
                await_waiting(&mut client, clients.len());
            }
            client.send_lines(case.lines);
            assert_eq!(client.hear_all(case.lines.len()), case.replies, "{what}");
            for (waiting, reply) in clients.iter_mut().zip(case.served) {
                assert_eq!(waiting.hear(), *reply, "{what}");
            }
            await_waiting(&mut client, clients.len() - case.served.len());
        }
    }
}

#[test]
fn who_waits_is_served_before_the_next_command() {
    check(&[
        Case {
            waiting: &[&["BLPOP q 0"]],
            lines: &["RPUSH q a", "LPOP q", "LLEN q"],
            replies: &["1", "nil", "0"],
            served: &["[\"q\", \"a\"]"],
            ..CASE
        },
        Case {
            waiting: &[&["BZPOPMIN z 0"]],
            lines: &["ZADD z 1 a", "ZPOPMIN z", "ZCARD z"],
            replies: &["1", "[]", "0"],
            served: &["[\"z\", \"a\", \"1\"]"],
            ..CASE
        },
        Case {
            waiting: &[&["BLMOVE s d LEFT RIGHT 0"]],
            lines: &["RPUSH s 1", "LLEN s", "LLEN d"],
            replies: &["1", "0", "1"],
            served: &["\"1\""],
            ..CASE
        },
        Case {
            waiting: &[&["BLPOP q 0"]],
            lines: &["RPUSH q a b", "LRANGE q 0 -1", "SET q x", "GET q"],
            replies: &["2", "[\"b\"]", "OK", "\"x\""],
            served: &["[\"q\", \"a\"]"],
            ..CASE
        },
    ]);
}

#[test]
fn after_a_transaction_and_not_within_it() {
    check(&[
        Case {
            waiting: &[&["BLPOP q 0"]],
            lines: &["MULTI", "RPUSH q a b", "LPOP q", "LLEN q", "EXEC", "LLEN q"],
            replies: &["OK", "QUEUED", "QUEUED", "QUEUED", "[2, \"a\", 1]", "0"],
            served: &["[\"q\", \"b\"]"],
            ..CASE
        },
        // What comes and goes within it serves nobody.
        Case {
            waiting: &[&["BLPOP q 0"]],
            lines: &["MULTI", "RPUSH q a", "DEL q", "EXEC"],
            replies: &["OK", "QUEUED", "QUEUED", "[1, 1]"],
            ..CASE
        },
        Case {
            waiting: &[&["BLPOP q 0"]],
            lines: &["MULTI", "RPUSH q a", "PEXPIRE q -1", "EXEC", "EXISTS q"],
            replies: &["OK", "QUEUED", "QUEUED", "[1, 1]", "0"],
            ..CASE
        },
        Case {
            waiting: &[&["BLPOP q 0"]],
            lines: &["MULTI", "RPUSH q a", "EXPIREAT q 1000", "EXEC", "EXISTS q"],
            replies: &["OK", "QUEUED", "QUEUED", "[1, 1]", "0"],
            ..CASE
        },
        // Nor does what has expired at its end.
        Case {
            before: &["DEBUG SET-ACTIVE-EXPIRE 0"],
            waiting: &[&["BLPOP q 0"], &["BZPOPMIN z 0"]],
            lines: &[
                "MULTI",
                "RPUSH q a",
                "ZADD z 1 m",
                "PEXPIRE q 1",
                "PEXPIRE z 1",
                "DEBUG SLEEP 0.01",
                "EXEC",
                "DBSIZE",
            ],
            replies: &[
                "OK",
                "QUEUED",
                "QUEUED",
                "QUEUED",
                "QUEUED",
                "QUEUED",
                "[1, 1, 1, 1, OK]",
                "0",
            ],
            ..CASE
        },
    ]);
}

#[test]
fn first_come_first_served() {
    check(&[
        Case {
            waiting: &[
                &["BLPOP q 0"],
                &["BRPOP q 0"],
                &["BLMPOP 0 2 other q LEFT COUNT 2"],
                &["BLPOP q q 0"],
                &["BLPOP q 0"],
            ],
            lines: &["RPUSH q 1 2 3", "EXISTS q", "RPUSH q 4 5", "RPUSH q 6"],
            replies: &["3", "0", "2", "1"],
            served: &[
                "[\"q\", \"1\"]",
                "[\"q\", \"3\"]",
                "[\"q\", [\"2\"]]",
                "[\"q\", \"4\"]",
                "[\"q\", \"5\"]",
            ],
            ..CASE
        },
        Case {
            waiting: &[
                &["BZMPOP 0 2 a b MIN COUNT 2"],
                &["BZMPOP 0 1 b MAX COUNT 10"],
                &["BZPOPMAX b 0"],
            ],
            lines: &["ZADD b 1 a 2 b 3 c 4 d", "EXISTS b", "ZINCRBY b 5 e"],
            replies: &["4", "0", "\"5\""],
            served: &[
                "[\"b\", [[\"a\", \"1\"], [\"b\", \"2\"]]]",
                "[\"b\", [[\"d\", \"4\"], [\"c\", \"3\"]]]",
                "[\"b\", \"e\", \"5\"]",
            ],
            ..CASE
        },
        // From the key that was ready first, whatever the order of the arguments.
        Case {
            waiting: &[&["BLPOP a b c 0"], &["BLPOP a b c 0"]],
            lines: &[
                "MULTI",
                "RPUSH c 3",
                "RPUSH a 1",
                "RPUSH b 2",
                "EXEC",
                "LLEN a",
                "LLEN b",
                "LLEN c",
            ],
            replies: &["OK", "QUEUED", "QUEUED", "QUEUED", "[1, 1, 1]", "0", "1", "0"],
            served: &["[\"c\", \"3\"]", "[\"a\", \"1\"]"],
            ..CASE
        },
    ]);
}

#[test]
fn what_is_moved_serves_others_in_turn() {
    check(&[
        Case {
            waiting: &[&["BLMOVE a b LEFT RIGHT 0"], &["BRPOPLPUSH b c 0"], &["BLPOP c 0"]],
            lines: &["RPUSH a 1", "EXISTS a b c"],
            replies: &["1", "0"],
            served: &["\"1\"", "\"1\"", "[\"c\", \"1\"]"],
            ..CASE
        },
        // In a circle nobody is served twice.
        Case {
            waiting: &[&["BLMOVE a b LEFT RIGHT 0"], &["BLMOVE b a LEFT RIGHT 0"]],
            lines: &["RPUSH a 1", "LRANGE a 0 -1", "EXISTS b"],
            replies: &["1", "[\"1\"]", "0"],
            served: &["\"1\"", "\"1\""],
            ..CASE
        },
        Case {
            waiting: &[
                &["BLMOVE a a LEFT RIGHT 0"],
                &["BLMOVE a a LEFT RIGHT 0"],
                &["BLPOP a 0"],
            ],
            lines: &["RPUSH a 1 2", "LRANGE a 0 -1"],
            replies: &["2", "[\"2\"]"],
            served: &["\"1\"", "\"2\"", "[\"a\", \"1\"]"],
            ..CASE
        },
        // One that cannot be served gets its error, and takes nothing from those behind.
        Case {
            before: &["SET d x"],
            waiting: &[&["BLMOVE a d LEFT RIGHT 0"], &["BLMOVE a e LEFT RIGHT 0"]],
            lines: &["RPUSH a 1", "EXISTS a", "LRANGE e 0 -1", "GET d"],
            replies: &["1", "0", "[\"1\"]", "\"x\""],
            served: &[
                "(error) WRONGTYPE Operation against a key holding the wrong kind of value",
                "\"1\"",
            ],
        },
    ]);
}

#[test]
fn a_key_of_another_type_serves_nobody_else() {
    check(&[
        Case {
            waiting: &[&["BZPOPMIN k 0"], &["BLPOP k 0"], &["BZPOPMAX k 0"]],
            lines: &["RPUSH k 1", "EXISTS k", "ZADD k 1 a 2 b", "EXISTS k"],
            replies: &["1", "0", "2", "0"],
            served: &["[\"k\", \"a\", \"1\"]", "[\"k\", \"1\"]", "[\"k\", \"b\", \"2\"]"],
            ..CASE
        },
        Case {
            waiting: &[&["BLPOP k 0"]],
            lines: &["SET k v", "APPEND k w", "ZADD z 1 a", "RENAME z k", "LLEN k"],
            replies: &[
                "OK",
                "2",
                "1",
                "OK",
                "(error) WRONGTYPE Operation against a key holding the wrong kind of value",
            ],
            ..CASE
        },
        // What it is in the end counts.
        Case {
            waiting: &[&["BZPOPMIN k 0"]],
            lines: &["MULTI", "RPUSH k 1", "DEL k", "ZADD k 1 a", "EXEC", "EXISTS k"],
            replies: &["OK", "QUEUED", "QUEUED", "QUEUED", "[1, 1, 1]", "0"],
            served: &["[\"k\", \"a\", \"1\"]"],
            ..CASE
        },
    ]);
}

#[test]
fn whatever_brings_a_key_makes_it_ready() {
    check(&[
        Case {
            before: &["RPUSH o 1 2"],
            waiting: &[&["BLPOP q 0"]],
            lines: &["SET q x", "RENAME o q", "LRANGE q 0 -1"],
            replies: &["OK", "OK", "[\"2\"]"],
            served: &["[\"q\", \"1\"]"],
        },
        Case {
            before: &["ZADD o 1 a 2 b"],
            waiting: &[&["BZPOPMIN q 0"]],
            lines: &["RENAMENX o q", "ZCARD q"],
            replies: &["1", "1"],
            served: &["[\"q\", \"a\", \"1\"]"],
        },
        Case {
            before: &["RPUSH o 1 2"],
            waiting: &[&["SELECT 3", "BLPOP q 0"]],
            lines: &[
                "COPY o q DB 3",
                "SELECT 3",
                "LRANGE q 0 -1",
                "SELECT 0",
                "LRANGE o 0 -1",
            ],
            replies: &["1", "OK", "[\"2\"]", "OK", "[\"1\", \"2\"]"],
            served: &["[\"q\", \"1\"]"],
        },
        Case {
            before: &["RPUSH q 1 2"],
            waiting: &[&["SELECT 2", "BLPOP q 0"]],
            lines: &["MOVE q 2", "EXISTS q", "SELECT 2", "LRANGE q 0 -1", "SELECT 0"],
            replies: &["1", "0", "OK", "[\"2\"]", "OK"],
            served: &["[\"q\", \"1\"]"],
        },
        Case {
            before: &["SELECT 4", "RPUSH q 1", "SELECT 5", "ZADD z 1 a", "SELECT 0"],
            waiting: &[&["SELECT 5", "BLPOP q 0"], &["SELECT 4", "BZPOPMAX z 0"]],
            lines: &["SWAPDB 4 5", "DBSIZE", "SELECT 4", "DBSIZE", "SELECT 0"],
            replies: &["OK", "0", "OK", "0", "OK"],
            served: &["[\"q\", \"1\"]", "[\"z\", \"a\", \"1\"]"],
        },
        Case {
            before: &["ZADD o 3 c 1 a"],
            waiting: &[&["BZPOPMIN q 0"], &["BZPOPMIN q 0"]],
            lines: &["ZUNIONSTORE q 1 o", "EXISTS q", "ZRANGESTORE q o 0 0", "EXISTS q"],
            replies: &["2", "0", "1", "1"],
            served: &["[\"q\", \"a\", \"1\"]", "[\"q\", \"c\", \"3\"]"],
        },
        // Nothing does that is no new key.
        Case {
            waiting: &[&["BLPOP q 0"]],
            lines: &["RPUSHX q 1", "SET a 1", "FLUSHDB", "FLUSHALL", "SWAPDB 0 1", "EXISTS q"],
            replies: &["0", "OK", "OK", "OK", "OK", "0"],
            ..CASE
        },
    ]);
}

#[test]
fn a_key_that_expired_before_it_came_serves_nobody() {
    for args in SERVERS {
        let server = Server::start(args);
        let (mut client, mut waiting) = (server.client(), server.client());
        client.send_lines(&["DEBUG SET-ACTIVE-EXPIRE 0", "SELECT 1", "RPUSH k a", "PEXPIRE k 1"]);
        client.hear_all(4);
        wait_until("the key expires", || client.say("EXISTS k") == "0");
        waiting.send_lines(&["SELECT 9", "BLPOP k 0"]);
        assert_eq!(waiting.hear(), "OK");
        await_waiting(&mut client, 1);
        client.send_lines(&["SWAPDB 1 9", "SELECT 9", "DBSIZE"]);
        assert_eq!(client.hear_all(3), ["OK", "OK", "0"], "it was removed");
        await_waiting(&mut client, 1);
        client.say("RPUSH k b");
        assert_eq!(waiting.hear(), "[\"k\", \"b\"]");
    }
}

#[test]
fn the_pipeline_behind_a_wait_goes_on_after_who_ended_it() {
    for args in SERVERS {
        let server = Server::start(args);
        let (mut client, mut waiting) = (server.client(), server.client());
        waiting.send_lines(&["BLPOP q 0", "SET seen 1", "GET last", "BLPOP q 0", "GET last"]);
        await_waiting(&mut client, 1);
        client.send_lines(&["RPUSH q a", "GET seen", "SET last 1", "GET seen"]);
        assert_eq!(client.hear_all(4), ["1", "nil", "OK", "nil"], "{args:?}");
        assert_eq!(waiting.hear_all(3), ["[\"q\", \"a\"]", "OK", "\"1\""], "{args:?}");
        await_waiting(&mut client, 1);
        client.send_lines(&["RPUSH q b", "EXISTS q", "SET last 2"]);
        assert_eq!(client.hear_all(3), ["1", "0", "OK"]);
        assert_eq!(waiting.hear_all(2), ["[\"q\", \"b\"]", "\"2\""], "{args:?}");
    }
}

/// Who has the reply to what stood before a BLPOP may rely on its wait.
#[test]
fn a_wait_has_begun_when_the_replies_before_it_arrive() {
    for args in SERVERS {
        let server = Server::start(args);
        let (mut client, mut first) = (server.client(), server.client());
        for round in 0..50 {
            first.send_lines(&["SET x 1", "BLPOP q 0", "GET x"]);
            assert_eq!(first.hear(), "OK");
            client.send_lines(&["RPUSH q a", "LPOP q"]);
            assert_eq!(client.hear_all(2), ["1", "nil"], "{args:?} {round}");
            assert_eq!(first.hear_all(2), ["[\"q\", \"a\"]", "\"1\""]);
        }
        // It serves another before it waits itself.
        let mut second = server.client();
        first.send_lines(&["BLPOP q 0"]);
        await_waiting(&mut client, 1);
        second.send_lines(&["RPUSH q 1", "BLPOP q 0"]);
        assert_eq!((second.hear(), first.hear()), ("1".into(), "[\"q\", \"1\"]".into()));
        client.send_lines(&["RPUSH q 2", "EXISTS q"]);
        assert_eq!(client.hear_all(2), ["1", "0"]);
        assert_eq!(second.hear(), "[\"q\", \"2\"]");
    }
}

#[test]
fn waits_that_end_otherwise_take_nothing() {
    for args in SERVERS {
        let server = Server::start(args);
        let mut client = server.client();
        let mut waiting: Vec<_> = (0..4).map(|_| server.client()).collect();
        let ids: Vec<_> = waiting.iter_mut().map(Client::id).collect();
        for (n, waiting) in waiting.iter_mut().enumerate() {
            waiting.send_lines(&["BLPOP a b 0", "PING"]);
            await_waiting(&mut client, n + 1);
        }
        // Within one pipeline, so that its connection is closed after the push only.
        client.send_lines(&[
            &format!("CLIENT KILL ID {}", ids[0]),
            &format!("CLIENT UNBLOCK {} ERROR", ids[1]),
            "RPUSH b 1",
            "EXISTS b",
        ]);
        assert_eq!(client.hear_all(4), ["1", "1", "1", "0"]);
        waiting[0].assert_closed();
        assert_eq!(
            waiting[1].hear_all(2),
            ["(error) UNBLOCKED client unblocked via CLIENT UNBLOCK", "PONG"]
        );
        assert_eq!(waiting[2].hear_all(2), ["[\"b\", \"1\"]", "PONG"]);
        drop(waiting);
        await_waiting(&mut client, 0);
        client.send_lines(&["RPUSH a 1", "LPOP a"]);
        assert_eq!(client.hear_all(2), ["1", "\"1\""]);
    }
}

#[test]
fn a_served_command_is_an_entry_of_its_own_right_behind() {
    for args in SERVERS {
        let server = Server::start(args);
        let (mut client, mut waiting, mut events) = (server.client(), server.client(), server.client());
        client.say("CONFIG SET notify-keyspace-events EAl");
        events.say("PSUBSCRIBE __keyevent@0__:*");
        waiting.send_lines(&["BLMOVE q d LEFT RIGHT 0"]);
        await_waiting(&mut client, 1);
        client.send_lines(&["RPUSH q a", "SET x 1"]);
        client.hear_all(2);
        let heard: Vec<String> = (0..5)
            .map(|_| {
                let message = events.hear();
                let (_, event) = message.rsplit_once("__:").expect("an event");
                event.trim_end_matches(']').replace("\", \"", " ").replace('"', "")
            })
            .collect();
        assert_eq!(heard, ["rpush q", "rpush d", "lpop q", "del q", "set x"], "{args:?}");
        // It is counted once.
        assert!(client.say("INFO commandstats").contains("cmdstat_blmove:calls=1,"));
        drop(waiting);
    }
}

#[test]
fn thousands_may_wait_for_one_key() {
    let server = Server::start(&["--io-threads", "2"]);
    let (mut client, mut others) = (server.client(), Vec::new());
    let count = 400;
    for _ in 0..count {
        let mut waiting = server.client();
        waiting.send_lines(&["PING", "BLPOP q other 0"]);
        assert_eq!(waiting.hear(), "PONG");
        others.push(waiting);
    }
    await_waiting(&mut client, count);
    // Every other one leaves from the middle of the line.
    let mut at = 0;
    others.retain(|_| {
        at += 1;
        at % 2 == 0
    });
    await_waiting(&mut client, count / 2);
    for (n, waiting) in others.iter_mut().enumerate() {
        client.send_lines(&[&format!("RPUSH q {n}"), "EXISTS q"]);
        assert_eq!(client.hear_all(2), ["1", "0"]);
        assert_eq!(waiting.hear(), format!("[\"q\", \"{n}\"]"));
    }
    await_waiting(&mut client, 0);
}
