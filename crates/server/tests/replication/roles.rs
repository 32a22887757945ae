//! Promotion, writes that nobody else has, and servers that change places.

use rustix::process::{Pid, Signal, kill_process};

use super::support::{assert_in_sync, field, fill, full_syncs, primary, replica_of, wait_for_link};
use haypile_testkit::wait_until;

#[test]
fn a_promoted_replica_takes_writes_and_others_follow_it_without_a_full_sync() {
    let mut old = primary(&[]);
    let first = replica_of(old.port(), &[]);
    let second = replica_of(old.port(), &[]);
    fill(&old, "a", 500);
    assert_in_sync(&old, &first);
    assert_in_sync(&old, &second);
    old.kill();
    let mut client = first.client();
    assert_eq!(client.say("REPLICAOF NO ONE"), "OK");
    assert_eq!(client.say("SET promoted 1"), "OK");
    assert!(client.say("ROLE").starts_with("[\"master\""));
    assert_eq!(
        second.client().say(&format!("REPLICAOF 127.0.0.1 {}", first.port())),
        "OK"
    );
    assert_in_sync(&first, &second);
    assert_eq!(full_syncs(&second), 0);
    // The old primary has nothing that the new one has not.
    old.set_args(&[
        "--replicaof",
        &format!("127.0.0.1 {}", first.port()),
        "--enable-debug-command",
        "yes",
    ]);
    old.start_again();
    assert_in_sync(&first, &old);
    assert_eq!(full_syncs(&old), 0);
}

#[test]
fn writes_that_nobody_else_has_are_put_aside() {
    let old = primary(&[]);
    let replica = replica_of(old.port(), &[]);
    fill(&old, "a", 100);
    assert_in_sync(&old, &replica);
    let mut client = replica.client();
    assert_eq!(client.say("REPLICAOF NO ONE"), "OK");
    old.client().say("SET lost 1");
    client.say("SET kept 1");
    assert_eq!(
        old.client().say(&format!("REPLICAOF 127.0.0.1 {}", replica.port())),
        "OK"
    );
    assert_in_sync(&replica, &old);
    assert_eq!(full_syncs(&old), 1);
    assert_eq!(old.client().say("GET lost"), "nil");
    assert_eq!(std::fs::read_dir(old.dir().join("diverged")).unwrap().count(), 1);
    assert!(old.log().contains("writes that nobody else has"));
}

#[test]
fn servers_change_places_again_and_again() {
    let servers = [primary(&[]), primary(&[])];
    for round in 0..6 {
        let (leader, follower) = (&servers[round % 2], &servers[(round + 1) % 2]);
        assert_eq!(leader.client().say("REPLICAOF NO ONE"), "OK");
        assert_eq!(
            follower.client().say(&format!("REPLICAOF 127.0.0.1 {}", leader.port())),
            "OK"
        );
        fill(leader, &format!("r{round}"), 50);
        assert_in_sync(leader, follower);
    }
    assert_eq!(full_syncs(&servers[0]) + full_syncs(&servers[1]), 0);
}

#[test]
fn sentinels_transaction_works() {
    let old = primary(&[]);
    let replica = replica_of(old.port(), &[]);
    fill(&old, "a", 100);
    assert_in_sync(&old, &replica);
    let mut client = replica.client();
    client.send_lines(&[
        "MULTI",
        "SLAVEOF NO ONE",
        "CONFIG REWRITE",
        "CLIENT KILL TYPE normal SKIPME yes",
        "EXEC",
    ]);
    client.hear_all(4);
    assert!(client.hear().starts_with("[OK, "));
    assert_eq!(field(&mut client, "role"), "master");
    let mut client = old.client();
    let follow = format!("SLAVEOF 127.0.0.1 {}", replica.port());
    client.send_lines(&["MULTI", &follow, "EXEC"]);
    assert_eq!(client.hear_all(3)[2], "[OK]");
    wait_for_link(&old);
    replica.client().say("SET b 1");
    assert_in_sync(&replica, &old);
    assert_eq!(full_syncs(&old), 0);
}

#[test]
fn a_server_does_not_follow_itself() {
    let server = primary(&[]);
    fill(&server, "a", 10);
    let mut client = server.client();
    client.say(&format!("REPLICAOF 127.0.0.1 {}", server.port()));
    wait_until("the error", || {
        field(&mut client, "sync_instance_last_error").contains("a server cannot follow itself")
    });
    assert_eq!(client.say("REPLICAOF NO ONE"), "OK");
    assert_eq!(client.say("SET a 1"), "OK");
}

#[test]
fn failover_changes_places_under_load_and_loses_nothing() {
    let first = primary(&[]);
    let second = replica_of(first.port(), &[]);
    fill(&first, "a", 500);
    assert_in_sync(&first, &second);
    let mut client = first.client();
    assert_eq!(client.say("FAILOVER ABORT"), "(error) ERR No failover in progress.");
    assert_eq!(
        client.say("FAILOVER TO 127.0.0.1 1"),
        "(error) ERR FAILOVER target HOST and PORT is not a replica."
    );
    let mut writer = first.client();
    let mut confirmed = 0;
    assert_eq!(
        client.say(&format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 20000", second.port())),
        "OK"
    );
    // Writes are held up, and then refused.
    while writer.say(&format!("SET during {}", confirmed + 1)) == "OK" {
        confirmed += 1;
    }
    // What says that it is over says what it has led to.
    let mut over = String::new();
    wait_until("the end of the failover", || {
        over = client.say("INFO replication");
        over.contains("master_failover_state:no-failover")
    });
    assert!(over.contains("role:slave"), "{over}");
    assert_eq!(field(&mut second.client(), "role"), "master");
    assert_in_sync(&second, &first);
    assert_eq!(full_syncs(&first), 0);
    let stored = second.client().say("GET during");
    assert_eq!(
        stored,
        if confirmed == 0 {
            "nil".into()
        } else {
            format!("\"{confirmed}\"")
        }
    );
    assert_eq!(second.client().say("SET after 1"), "OK");
}

#[test]
fn a_pause_by_command_outlasts_a_failover() {
    let first = primary(&[]);
    let second = replica_of(first.port(), &[]);
    fill(&first, "a", 100);
    assert_in_sync(&first, &second);
    // A replica that does not get what comes now.
    let pid = Pid::from_raw(second.pid() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let (mut asker, mut writer) = (first.client(), first.client());
    assert_eq!(asker.say("SET b 1"), "OK");
    assert_eq!(asker.say("CLIENT PAUSE 1000000 WRITE"), "OK");
    assert_eq!(asker.say("FAILOVER TIMEOUT 50"), "OK");
    wait_until("the end of the failover", || {
        field(&mut asker, "master_failover_state") == "no-failover"
    });
    assert!(first.log().contains("the failover has failed"));
    let id = writer.id();
    writer.send_lines(&["SET c 1"]);
    wait_until("the pause", || {
        asker.say(&format!("CLIENT LIST ID {id}")).contains("flags=b")
    });
    assert_eq!(asker.say("CLIENT UNPAUSE"), "OK");
    assert_eq!(writer.hear(), "OK");
    kill_process(pid, Signal::CONT).unwrap();
    assert_in_sync(&first, &second);
}
