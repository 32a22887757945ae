//! What a replica answers to writes, and what ROLE, WAIT and REPLCONF say.

use super::support::{assert_in_sync, field, fill, primary, replica_of, wait_for_link};
use haypile_testkit::{Server, wait_until};

const READ_ONLY: &str = "(error) READONLY You can't write against a read only replica.";

#[test]
fn a_replica_takes_no_writes() {
    let primary = primary(&[]);
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    let mut client = replica.client();
    assert_eq!(client.say("SET a 1"), READ_ONLY);
    assert_eq!(client.say("BLPOP a 0"), READ_ONLY);
    client.say("MULTI");
    assert_eq!(client.say("SET a 1"), READ_ONLY);
    assert!(client.say("EXEC").starts_with("(error) EXECABORT"));
    client.say("MULTI");
    client.say("GET a");
    assert_eq!(client.say("EXEC"), "[nil]");
    assert_eq!(client.say("PFCOUNT nothing"), "0");
}

#[test]
fn roles_are_told() {
    let primary = primary(&[]);
    let replica = replica_of(primary.port(), &["--replica-priority", "7"]);
    assert_in_sync(&primary, &replica);
    let (mut left, mut right) = (primary.client(), replica.client());
    let (offset, port) = (field(&mut left, "master_repl_offset"), primary.port());
    assert_eq!(
        right.say("ROLE"),
        format!("[\"slave\", \"127.0.0.1\", {port}, \"connected\", {offset}]")
    );
    let port = replica.port();
    wait_until("the acknowledgement", || {
        left.say("ROLE") == format!("[\"master\", {offset}, [[\"127.0.0.1\", \"{port}\", \"{offset}\"]]]")
    });
    assert_eq!(
        field(&mut left, "slave0"),
        format!("ip=127.0.0.1,port={port},state=online,offset={offset},lag=0")
    );
    assert_eq!(field(&mut right, "slave_priority"), "7");
    assert_eq!(field(&mut right, "master_host"), "127.0.0.1");
    assert_eq!(
        field(&mut left, "master_replid"),
        field(&mut right, "master_replid"),
        "one history"
    );
    // Client libraries choose their server by it.
    assert!(left.say("HELLO").contains("\"role\", \"master\""));
    assert!(right.say("HELLO").contains("\"role\", \"replica\""));
}

#[test]
fn wait_counts_the_replicas_that_have_it() {
    let primary = primary(&[]);
    let mut client = primary.client();
    client.say("SET a 1");
    assert_eq!(client.say("WAIT 1 10"), "0");
    let replicas: Vec<Server> = (0..2).map(|_| replica_of(primary.port(), &[])).collect();
    replicas.iter().for_each(wait_for_link);
    for n in 0..50 {
        client.say(&format!("SET k {n}"));
        assert_eq!(client.say("WAIT 2 0"), "2");
        for replica in &replicas {
            assert_eq!(replica.client().say("GET k"), format!("\"{n}\""));
        }
    }
    assert_eq!(client.say("WAIT 3 20"), "2");
    client.say("SET k durable");
    assert_eq!(client.say("WAITAOF 1 2 0"), "[1, 2]");
    client.send_lines(&["SET k pipelined", "WAIT 2 0", "GET k"]);
    assert_eq!(client.hear_all(3), ["OK", "2", "\"pipelined\""]);
    let mut replica = replicas[0].client();
    assert!(
        replica
            .say("WAIT 1 0")
            .starts_with("(error) ERR WAIT cannot be used with replica")
    );
}

#[test]
fn writes_need_as_many_replicas_as_configured() {
    let primary = primary(&["--min-replicas-to-write", "1", "--min-replicas-max-lag", "5"]);
    let mut client = primary.client();
    assert_eq!(
        client.say("SET a 1"),
        "(error) NOREPLICAS Not enough good replicas to write."
    );
    let mut replica = replica_of(primary.port(), &[]);
    wait_until("a good replica", || client.say("SET a 1") == "OK");
    replica.stop();
    wait_until("none", || client.say("SET a 1").starts_with("(error) NOREPLICAS"));
}

#[test]
fn stale_data_is_not_served_if_so_configured() {
    let mut primary = primary(&[]);
    let replica = replica_of(primary.port(), &["--replica-serve-stale-data", "no"]);
    wait_for_link(&replica);
    let mut client = replica.client();
    assert_eq!(client.say("GET a"), "nil");
    primary.kill();
    wait_until("the refusal", || client.say("GET a").starts_with("(error) MASTERDOWN"));
    assert_eq!(
        client.say("PING"),
        "(error) MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
    );
    assert_eq!(field(&mut client, "master_link_status"), "down");
    client.say("CONFIG SET replica-serve-stale-data yes");
    assert_eq!(client.say("GET a"), "nil");
}

#[test]
fn a_wrong_password_is_told_and_a_right_one_ends_it() {
    let primary = primary(&["--requirepass", "secret"]);
    // By itself it would try again after a minute.
    let address = format!("127.0.0.1 {}", primary.port());
    let pause = ["--repl-retry-max-ms", "3600000"];
    let replica = Server::start(&[&["--replicaof", &address, "--masterauth", "wrong"], &pause[..]].concat());
    let mut client = replica.client();
    wait_until("the error", || {
        field(&mut client, "sync_instance_last_error").contains("authentication failed")
    });
    let pause: u64 = field(&mut client, "sync_instance_retry_in_ms").parse().unwrap();
    assert!(pause > 30_000, "{pause}");
    client.say("CONFIG SET masterauth secret");
    wait_for_link(&replica);
    assert!(
        replica.log().contains("from=Error to=NoConnect reason=\"retry\""),
        "{}",
        replica.log()
    );
}

#[test]
fn config_rewrite_keeps_whom_it_follows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.conf");
    std::fs::write(&file, "# mine\n").unwrap();
    let primary = primary(&[]);
    fill(&primary, "k", 100);
    let mut replica = Server::start(&["--config", file.to_str().unwrap(), "--enable-debug-command", "yes"]);
    let mut client = replica.client();
    assert_eq!(client.say(&format!("REPLICAOF 127.0.0.1 {}", primary.port())), "OK");
    wait_for_link(&replica);
    assert_eq!(client.say("CONFIG REWRITE"), "OK");
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .contains(&format!("replicaof 127.0.0.1 {}", primary.port()))
    );
    replica.restart();
    assert_in_sync(&primary, &replica);
    assert_eq!(replica.client().say("REPLICAOF NO ONE"), "OK");
    assert_eq!(replica.client().say("CONFIG GET replicaof"), "[\"replicaof\", \"\"]");
}
