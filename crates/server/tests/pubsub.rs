//! Pub/sub: subscriptions, delivery and its order, and what a subscribed connection may do.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use haypile_testkit::{Client, Server, Value, wait_until};

/// Subscribes with any of the commands and gives the confirmations.
fn confirmed(client: &mut Client, line: &str, n: usize) -> Vec<String> {
    client.send_lines(&[line]);
    client.hear_all(n)
}

#[test]
fn messages_reach_those_who_listen() {
    let server = Server::start(&[]);
    let (mut one, mut two, mut sender) = (server.client(), server.client3(), server.client());
    assert_eq!(
        confirmed(&mut one, "SUBSCRIBE a b a", 3),
        [
            "[\"subscribe\", \"a\", 1]",
            "[\"subscribe\", \"b\", 2]",
            "[\"subscribe\", \"a\", 2]"
        ]
    );
    assert_eq!(
        confirmed(&mut two, "PSUBSCRIBE a* ?", 2),
        [">[\"psubscribe\", \"a*\", 1]", ">[\"psubscribe\", \"?\", 2]"]
    );
    assert_eq!(two.say("SUBSCRIBE a"), ">[\"subscribe\", \"a\", 3]");
    assert_eq!(sender.say("PUBLISH a hello"), "4");
    assert_eq!(one.hear(), "[\"message\", \"a\", \"hello\"]");
    assert_eq!(two.hear(), ">[\"message\", \"a\", \"hello\"]");
    let mut by_pattern = two.hear_all(2);
    by_pattern.sort();
    assert_eq!(
        by_pattern,
        [
            ">[\"pmessage\", \"?\", \"a\", \"hello\"]",
            ">[\"pmessage\", \"a*\", \"a\", \"hello\"]"
        ]
    );
    assert_eq!(sender.say("PUBLISH abc x"), "1");
    assert_eq!(two.hear(), ">[\"pmessage\", \"a*\", \"abc\", \"x\"]");
    assert_eq!(sender.say("PUBLISH nobody x"), "0");
    one.assert_silent();
    two.assert_silent();
}

#[test]
fn unsubscribing_confirms_each_channel_or_none() {
    let server = Server::start(&[]);
    let (mut client, mut sender) = (server.client(), server.client());
    confirmed(&mut client, "SUBSCRIBE a b c", 3);
    confirmed(&mut client, "PSUBSCRIBE p*", 1);
    assert_eq!(
        confirmed(&mut client, "UNSUBSCRIBE b unknown", 2),
        ["[\"unsubscribe\", \"b\", 3]", "[\"unsubscribe\", \"unknown\", 3]"]
    );
    assert_eq!(
        confirmed(&mut client, "UNSUBSCRIBE", 2),
        ["[\"unsubscribe\", \"a\", 2]", "[\"unsubscribe\", \"c\", 1]"]
    );
    assert_eq!(client.say("UNSUBSCRIBE"), "[\"unsubscribe\", nil, 1]");
    assert_eq!(sender.say("PUBLISH a x"), "0");
    assert_eq!(client.say("PUNSUBSCRIBE"), "[\"punsubscribe\", \"p*\", 0]");
    assert_eq!(client.say("PUNSUBSCRIBE"), "[\"punsubscribe\", nil, 0]");
    assert_eq!(client.say("PUNSUBSCRIBE x"), "[\"punsubscribe\", \"x\", 0]");
    assert_eq!(client.say("SUNSUBSCRIBE"), "[\"sunsubscribe\", nil, 0]");
    // No longer subscribed: everything is allowed again.
    assert_eq!(client.say("GET a"), "nil");
}

#[test]
fn shard_channels_are_a_world_of_their_own() {
    let server = Server::start(&[]);
    let (mut client, mut sender) = (server.client(), server.client());
    assert_eq!(client.say("SSUBSCRIBE a"), "[\"ssubscribe\", \"a\", 1]");
    assert_eq!(client.say("SUBSCRIBE a"), "[\"subscribe\", \"a\", 1]");
    assert_eq!(client.say("PSUBSCRIBE *"), "[\"psubscribe\", \"*\", 2]");
    assert_eq!(sender.say("SPUBLISH a x"), "1");
    assert_eq!(client.hear(), "[\"smessage\", \"a\", \"x\"]");
    assert_eq!(sender.say("PUBLISH a y"), "2");
    assert_eq!(client.hear(), "[\"message\", \"a\", \"y\"]");
    assert_eq!(client.hear(), "[\"pmessage\", \"*\", \"a\", \"y\"]");
    assert_eq!(sender.say("PUBSUB SHARDCHANNELS"), "[\"a\"]");
    assert_eq!(sender.say("PUBSUB SHARDCHANNELS b*"), "[]");
    assert_eq!(sender.say("PUBSUB SHARDNUMSUB a b"), "[\"a\", 1, \"b\", 0]");
    assert_eq!(client.say("SUNSUBSCRIBE"), "[\"sunsubscribe\", \"a\", 0]");
    assert_eq!(sender.say("SPUBLISH a x"), "0");
    client.assert_silent();
}

#[test]
fn pubsub_tells_who_listens() {
    let server = Server::start(&[]);
    let (mut one, mut two, mut asker) = (server.client(), server.client(), server.client());
    assert_eq!(asker.say("PUBSUB CHANNELS"), "[]");
    assert_eq!(asker.say("PUBSUB NUMSUB"), "[]");
    confirmed(&mut one, "SUBSCRIBE news weather", 2);
    confirmed(&mut two, "SUBSCRIBE news", 1);
    confirmed(&mut one, "PSUBSCRIBE n* w*", 2);
    confirmed(&mut two, "PSUBSCRIBE n*", 1);
    let Value::Array(mut channels) = asker.cmd(&["PUBSUB", "CHANNELS"]) else {
        panic!("no array");
    };
    channels.sort_by_key(|c| c.as_bytes().map(<[u8]>::to_vec));
    assert_eq!(
        haypile_testkit::text(&Value::Array(channels)),
        "[\"news\", \"weather\"]"
    );
    assert_eq!(asker.say("PUBSUB CHANNELS new*"), "[\"news\"]");
    assert_eq!(
        asker.say("PUBSUB NUMSUB news weather none"),
        "[\"news\", 2, \"weather\", 1, \"none\", 0]"
    );
    assert_eq!(asker.say("PUBSUB NUMPAT"), "2");
    assert!(asker.say("PUBSUB HELP").starts_with("[PUBSUB <subcommand>"));
    assert_eq!(
        asker.say("PUBSUB CHANNELS a b"),
        "(error) ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP."
    );
    assert_eq!(
        asker.say("PUBSUB foo"),
        "(error) ERR unknown subcommand 'foo'. Try PUBSUB HELP."
    );
    drop(one);
    drop(two);
    wait_until("the server notices that both are gone", || {
        asker.say("PUBSUB CHANNELS") == "[]" && asker.say("PUBSUB NUMPAT") == "0"
    });
}

#[test]
fn a_subscribed_resp2_connection_is_restricted() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(client.say("SUBSCRIBE a"), "[\"subscribe\", \"a\", 1]");
    for line in ["GET x", "PUBLISH a x", "HELLO 3", "MULTI", "SELECT 1"] {
        let name = line.split(' ').next().unwrap().to_lowercase();
        assert_eq!(
            client.say(line),
            format!(
                "(error) ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                 allowed in this context"
            )
        );
    }
    assert!(client.say("CLIENT ID").contains("'client|id'"));
    assert_eq!(client.say("PING"), "[\"pong\", \"\"]");
    assert_eq!(client.say("PING x"), "[\"pong\", \"x\"]");
    assert!(server.client().say("CLIENT LIST TYPE pubsub").contains(" flags=P "));
    assert_eq!(client.say("RESET"), "RESET");
    assert_eq!(client.say("PING"), "PONG");
    assert_eq!(client.say("GET x"), "nil");
}

#[test]
fn a_subscribed_resp3_connection_is_not() {
    let server = Server::start(&[]);
    let mut client = server.client3();
    assert_eq!(client.say("SUBSCRIBE a"), ">[\"subscribe\", \"a\", 1]");
    assert_eq!(client.say("SET x 1"), "OK");
    assert_eq!(client.say("GET x"), "\"1\"");
    assert_eq!(client.say("PING"), "PONG");
    assert_eq!(client.say("PING x"), "\"x\"");
}

/// The reply to PUBLISH comes first, then the message, even where the connection's requests have been evaluated by
/// another thread in between.
#[test]
fn what_a_client_publishes_to_itself_follows_the_reply() {
    let server = Server::start(&[]);
    let mut client = server.client3();
    assert_eq!(client.say("SUBSCRIBE a"), ">[\"subscribe\", \"a\", 1]");
    for _ in 0..200 {
        client.send_lines(&["PUBLISH a x"]);
        assert_eq!(client.hear_all(2), ["1", ">[\"message\", \"a\", \"x\"]"]);
        client.send_lines(&["PUBLISH a x", "SET key value"]);
        assert_eq!(client.hear_all(3), ["1", "OK", ">[\"message\", \"a\", \"x\"]"]);
        client.send_lines(&["SET key value", "PUBLISH a y"]);
        assert_eq!(client.hear_all(3), ["OK", "1", ">[\"message\", \"a\", \"y\"]"]);
        client.send_lines(&["MULTI", "SET key value", "PUBLISH a z", "EXEC"]);
        assert_eq!(
            client.hear_all(5),
            ["OK", "QUEUED", "QUEUED", "[OK, 1]", ">[\"message\", \"a\", \"z\"]"]
        );
    }
}

/// Nothing is heard of a channel before the confirmation of its subscription, wherever that is evaluated.
#[test]
fn confirmations_come_before_messages() {
    let server = Server::start(&["--sync", "always"]);
    let mut sender = server.client();
    let port = server.port();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let publisher = std::thread::Builder::new().spawn({
        let stop = stop.clone();
        move || {
            let mut client = Client::connect(port);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                client.cmd(&["PUBLISH", "a", "x"]);
            }
        }
    });
    for _ in 0..100 {
        let mut client = server.client3();
        client.send_lines(&[
            "SET key value",
            "SUBSCRIBE a",
            "SET key value",
            "UNSUBSCRIBE a",
            "ECHO end",
        ]);
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last| last != "\"end\"") {
            heard.push(client.hear());
        }
        assert_eq!(heard[..2], ["OK", ">[\"subscribe\", \"a\", 1]"], "{heard:?}");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    publisher.unwrap().join().unwrap();
    assert_eq!(sender.say("PUBLISH a x"), "0");
}

/// Who has the reply to PUBLISH may tell the subscriber, who then has the message before any later reply.
#[test]
fn a_message_stands_before_replies_to_what_is_sent_after_it() {
    let server = Server::start(&[]);
    let (mut listener, mut sender) = (server.client3(), server.client());
    assert_eq!(listener.say("SUBSCRIBE a"), ">[\"subscribe\", \"a\", 1]");
    for i in 0..1000 {
        assert_eq!(sender.say(&format!("PUBLISH a {i}")), "1");
        let line = if i % 2 == 0 { "PING" } else { "SET key value" };
        listener.send_lines(&[line]);
        assert_eq!(listener.hear(), format!(">[\"message\", \"a\", \"{i}\"]"));
        listener.recv();
    }
}

#[test]
fn a_client_that_waits_for_a_key_hears_messages_all_the_same() {
    let server = Server::start(&[]);
    let (mut listener, mut other) = (server.client3(), server.client());
    listener.send_lines(&["SUBSCRIBE a", "BLPOP list 0"]);
    assert_eq!(listener.hear(), ">[\"subscribe\", \"a\", 1]");
    wait_until("the client waits", || other.say("CLIENT LIST").contains(" flags=Pb "));
    assert_eq!(other.say("PUBLISH a x"), "1");
    assert_eq!(listener.hear(), ">[\"message\", \"a\", \"x\"]");
    assert_eq!(other.say("RPUSH list 1"), "1");
    assert_eq!(listener.hear(), "[\"list\", \"1\"]");
}

#[test]
fn silenced_clients_hear_messages() {
    let server = Server::start(&[]);
    let mut sender = server.client();
    for silence in ["CLIENT REPLY OFF", "CLIENT REPLY SKIP"] {
        let mut client = server.client();
        client.send_lines(&[silence, "SUBSCRIBE a"]);
        assert_eq!(client.hear(), "[\"subscribe\", \"a\", 1]");
        assert_eq!(sender.say("PUBLISH a x"), "1");
        assert_eq!(client.hear(), "[\"message\", \"a\", \"x\"]");
        assert_eq!(client.say("UNSUBSCRIBE"), "[\"unsubscribe\", \"a\", 0]");
    }
}

#[test]
fn subscribing_in_a_transaction() {
    let server = Server::start(&[]);
    let mut client = server.client3();
    client.send_lines(&["MULTI", "SUBSCRIBE a", "SSUBSCRIBE b", "PING", "EXEC"]);
    assert_eq!(client.hear_all(4), ["OK", "QUEUED", "QUEUED", "QUEUED"]);
    assert_eq!(
        client.hear(),
        "[>[\"subscribe\", \"a\", 1], (error) ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client, PONG]"
    );
    assert_eq!(server.client().say("PUBLISH a x"), "1");
    assert_eq!(client.hear(), ">[\"message\", \"a\", \"x\"]");
}

#[test]
fn a_killed_listener_does_not_count() {
    let server = Server::start(&[]);
    let (mut listener, mut sender) = (server.client(), server.client());
    assert_eq!(listener.say("SUBSCRIBE a"), "[\"subscribe\", \"a\", 1]");
    sender.send_lines(&["CLIENT KILL TYPE pubsub", "PUBLISH a x", "PUBSUB NUMSUB a"]);
    assert_eq!(sender.hear_all(3), ["1", "0", "[\"a\", 0]"]);
    listener.assert_closed();
}

#[test]
fn a_listener_that_does_not_read_is_closed_at_its_limit() {
    let server = Server::start(&["--client-output-buffer-limit", "pubsub 1mb 0 0"]);
    let (mut listener, mut sender) = (server.client(), server.client());
    assert_eq!(listener.say("SUBSCRIBE a"), "[\"subscribe\", \"a\", 1]");
    let message = vec![b'x'; 1 << 20];
    wait_until("the listener is gone", || {
        sender.cmd(&[b"PUBLISH", &b"a"[..], &message]) == Value::Integer(0)
    });
    assert!(server.log().contains("client-output-buffer-limit"));
    assert_eq!(sender.say("PING"), "PONG");
}

#[test]
fn keyspace_events_are_messages() {
    let server = Server::start(&["--notify-keyspace-events", "KEA"]);
    let (mut listener, mut writer) = (server.client(), server.client3());
    confirmed(&mut listener, "PSUBSCRIBE __key*", 1);
    assert_eq!(writer.say("SET a 1"), "OK");
    assert_eq!(
        listener.hear_all(2),
        [
            "[\"pmessage\", \"__key*\", \"__keyspace@0__:a\", \"set\"]",
            "[\"pmessage\", \"__key*\", \"__keyevent@0__:set\", \"a\"]"
        ]
    );
    // A writer that listens to its own events has them after the reply.
    assert_eq!(
        writer.say("PSUBSCRIBE __keyspace@*"),
        ">[\"psubscribe\", \"__keyspace@*\", 1]"
    );
    writer.send_lines(&["SET b 1"]);
    assert_eq!(
        writer.hear_all(2),
        ["OK", ">[\"pmessage\", \"__keyspace@*\", \"__keyspace@0__:b\", \"set\"]"]
    );
}

#[test]
fn pubsub_tells_of_a_subscription_that_is_not_confirmed_yet() {
    // The two connections are served by different threads.
    let server = Server::start(&["--io-threads", "2"]);
    let (mut one, mut two) = (server.client(), server.client());
    for round in 1..=50 {
        one.send(&["SUBSCRIBE".to_owned(), format!("a{round}")]);
        assert_eq!(
            two.say(&format!("PUBSUB NUMSUB a{round}")),
            format!("[\"a{round}\", 1]")
        );
        one.send(&["PSUBSCRIBE".to_owned(), format!("p{round}")]);
        assert_eq!(two.say("PUBSUB NUMPAT"), round.to_string());
    }
}
