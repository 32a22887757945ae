//! Messages of pub/sub reach the subscribers of replicas, in order with the writes.

use super::support::{
    field, primary, replica_and_its_replica, replica_of, stop_and_go, wait_for_link, wait_for_streams,
};
use haypile_testkit::{Client, Server, wait_until};

fn subscriber(server: &Server, command: &str) -> Client {
    let mut client = server.client();
    client.say(command);
    client
}

#[test]
fn messages_reach_replicas_and_their_replicas() {
    let primary = primary(&[]);
    let (replica, second) = replica_and_its_replica(&primary);
    let servers = [&primary, &replica, &second];
    let mut plain = servers.map(|server| subscriber(server, "SUBSCRIBE news"));
    let mut pattern = servers.map(|server| subscriber(server, "PSUBSCRIBE n*"));
    let mut shard = servers.map(|server| subscriber(server, "SSUBSCRIBE news"));
    let mut client = primary.client();
    assert_eq!(client.say("PUBLISH news one"), "2", "only its own subscribers count");
    assert_eq!(client.say("SPUBLISH news two"), "1");
    client.send_lines(&["MULTI", "PUBLISH news three", "SPUBLISH news four", "EXEC"]);
    assert_eq!(client.hear_all(4)[3], "[2, 1]");
    for server in 0..3 {
        assert_eq!(plain[server].hear(), "[\"message\", \"news\", \"one\"]");
        assert_eq!(plain[server].hear(), "[\"message\", \"news\", \"three\"]");
        assert_eq!(pattern[server].hear(), "[\"pmessage\", \"n*\", \"news\", \"one\"]");
        assert_eq!(pattern[server].hear(), "[\"pmessage\", \"n*\", \"news\", \"three\"]");
        assert_eq!(shard[server].hear(), "[\"smessage\", \"news\", \"two\"]");
        assert_eq!(shard[server].hear(), "[\"smessage\", \"news\", \"four\"]");
    }

    // What is published at a replica stays there.
    let mut local = replica.client();
    assert_eq!(local.say("PUBLISH news local"), "2");
    local.send_lines(&["MULTI", "PUBLISH news too", "EXEC"]);
    assert_eq!(local.hear_all(3)[2], "[2]");
    assert_eq!(client.say("PUBLISH news last"), "2");
    assert_eq!(plain[1].hear(), "[\"message\", \"news\", \"local\"]");
    assert_eq!(plain[1].hear(), "[\"message\", \"news\", \"too\"]");
    for client in &mut plain {
        assert_eq!(client.hear(), "[\"message\", \"news\", \"last\"]");
    }
}

#[test]
fn a_message_comes_after_what_was_written_before_it() {
    let primary = primary(&[]);
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    wait_for_streams(&primary, 1);
    let (mut writer, mut publisher) = (primary.client(), primary.client());
    let mut pairs = [&primary, &replica].map(|server| (subscriber(server, "SUBSCRIBE c"), server.client()));
    let mut n = 0;
    for _ in 0..100 {
        // Acknowledged; in the same pipeline; in the same transaction.
        writer.say(&format!("SET k {}", n + 1));
        publisher.say(&format!("PUBLISH c {}", n + 1));
        writer.send_lines(&[&format!("SET k {}", n + 2), &format!("PUBLISH c {}", n + 2)]);
        writer.hear_all(2);
        let (set, publish) = (format!("SET k {}", n + 3), format!("PUBLISH c {}", n + 3));
        writer.send_lines(&["MULTI", &publish, &set, "EXEC"]);
        writer.hear_all(4);
        for (subscriber, reader) in &mut pairs {
            for i in n + 1..=n + 3 {
                assert_eq!(subscriber.hear(), format!("[\"message\", \"c\", \"{i}\"]"));
                let seen = reader.say("GET k");
                let seen: u64 = seen.trim_matches('"').parse().unwrap();
                assert!(seen >= i, "message {i} came before its write: {seen}");
            }
        }
        n += 3;
    }
}

#[test]
fn a_transaction_that_only_publishes_needs_no_entry_to_come() {
    let primary = primary(&[]);
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    wait_for_streams(&primary, 1);
    let mut subscriber = subscriber(&replica, "SUBSCRIBE c");
    let mut client = primary.client();
    client.send_lines(&["MULTI", "PUBLISH c 1", "GET nothing", "EXEC"]);
    assert_eq!(subscriber.hear(), "[\"message\", \"c\", \"1\"]");
}

#[test]
fn a_replica_that_stands_still_loses_messages_and_holds_up_nobody() {
    let primary = primary(&["--repl-pubsub-buffer-bytes", "1mb"]);
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    wait_for_streams(&primary, 1);
    let mut subscriber = subscriber(&replica, "SUBSCRIBE c");
    let mut client = primary.client();
    let payload = "x".repeat(100_000);
    let sent = stop_and_go(&replica, || {
        let mut sent = 0;
        // Until the network's buffers are full, too.
        wait_until("dropped messages", || {
            client.cmd(&["PUBLISH", "c", &payload]);
            sent += 1;
            field(&mut client, "sync_pubsub_messages_dropped") != "0"
        });
        sent
    });
    let dropped = field(&mut client, "sync_pubsub_messages_dropped");
    let dropped: usize = dropped.parse().unwrap();
    assert!(primary.log().contains("too slow for the messages of pub/sub"));
    for _ in 0..sent - dropped {
        assert_eq!(
            subscriber.hear().len(),
            payload.len() + "[\"message\", \"c\", \"\"]".len()
        );
    }
    // Once it has caught up, messages reach it as before.
    client.say("PUBLISH c again");
    assert_eq!(subscriber.hear(), "[\"message\", \"c\", \"again\"]");
}
