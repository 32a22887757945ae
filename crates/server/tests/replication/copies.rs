//! What happens around a full sync: roles that change, limits that change, several who share a checkpoint.

use std::fs;

use super::support::{
    PLAIN, SLOW_COPY, assert_in_sync, await_copy, field, fill, fill_chunks, follow, full_syncs, hurry, primary,
    stranger, wait_for_link,
};
use haypile_testkit::{Server, wait_until};

fn full_primary(args: &[&str]) -> Server {
    let primary = primary(&[&PLAIN[..], args].concat());
    fill_chunks(&primary);
    primary
}

#[test]
fn a_replica_that_is_promoted_in_the_midst_of_a_copy_keeps_its_own_data() {
    let primary = full_primary(&[]);
    let replica = stranger(&SLOW_COPY);
    follow(&replica, primary.address());
    await_copy(&replica);
    let mut client = replica.client();
    assert_eq!(client.say("REPLICAOF NO ONE"), "OK");
    assert_eq!(client.say("SET mine 1"), "OK");
    assert_eq!(client.say("DBSIZE"), "11");
    assert_eq!(field(&mut client, "role"), "master");
    // It can be followed, and can follow again.
    let other = stranger(&[]);
    follow(&other, replica.address());
    assert_in_sync(&replica, &other);
    hurry(&replica);
    follow(&replica, primary.address());
    assert_in_sync(&primary, &replica);
    assert_in_sync(&replica, &other);
}

#[test]
fn a_replica_that_is_told_to_follow_another_in_the_midst_of_a_copy_does() {
    let (first, second) = (full_primary(&[]), primary(&[]));
    fill(&second, "second", 300);
    let replica = stranger(&SLOW_COPY);
    follow(&replica, first.address());
    await_copy(&replica);
    follow(&replica, second.address());
    assert_in_sync(&second, &replica);
    assert_eq!(replica.client().say("DBSIZE"), "300");
}

#[test]
fn a_copy_follows_its_limit_when_that_changes() {
    let primary = full_primary(&[]);
    // At this pace it would take longer than any test waits.
    let replica = stranger(&["--repl-copy-bytes-per-second", "100kb"]);
    follow(&replica, primary.address());
    await_copy(&replica);
    hurry(&replica);
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 1, "the same copy went on");
}

#[test]
fn replicas_share_a_checkpoint_that_goes_with_the_last_also_when_one_was_killed() {
    let primary = full_primary(&["--repl-timeout", "1"]);
    let replicas: Vec<Server> = (0..3).map(|_| stranger(&SLOW_COPY)).collect();
    for replica in &replicas {
        follow(replica, primary.address());
    }
    replicas.iter().for_each(await_copy);
    let checkpoints = || fs::read_dir(primary.dir().join("sync-checkpoints")).unwrap().count();
    assert_eq!(checkpoints(), 1);
    let [mut killed, first, last]: [Server; 3] = replicas.try_into().ok().expect("three");
    killed.kill();
    hurry(&first);
    assert_in_sync(&primary, &first);
    assert_eq!(checkpoints(), 1, "the others need it");
    hurry(&last);
    assert_in_sync(&primary, &last);
    assert_eq!(primary.log().matches("a checkpoint for replicas is made").count(), 1);
    // A killed one might come back for it, for a while.
    wait_until("the end of the checkpoint", || checkpoints() == 0);
}

#[test]
fn clients_are_refused_during_a_copy_if_stale_data_is_not_served() {
    let primary = full_primary(&[]);
    let replica = stranger(&[&SLOW_COPY[..], &["--replica-serve-stale-data", "no"]].concat());
    let mut client = replica.client();
    follow(&replica, primary.address());
    await_copy(&replica);
    assert!(client.say("GET other:1").starts_with("(error) MASTERDOWN "));
    assert_eq!(field(&mut client, "master_sync_in_progress"), "1");
    hurry(&replica);
    wait_for_link(&replica);
    assert_eq!(client.say("EXISTS chunk:1"), "1");
}

/// Two that follow each other would get nothing, and must not copy each other's data in turn.
#[test]
fn servers_that_follow_each_other_say_so_and_copy_nothing() {
    let servers = [stranger(&[]), stranger(&[])];
    fill(&servers[1], "second", 10);
    follow(&servers[0], servers[1].address());
    assert_in_sync(&servers[1], &servers[0]);
    follow(&servers[1], servers[0].address());
    super::support::await_error(&servers[1], "it follows this server itself");
    let mut client = servers[1].client();
    assert!(client.say("SET a 1").starts_with("(error) READONLY"));
    assert_eq!(full_syncs(&servers[1]), 0);
    // It ends as soon as one of them is told what it is.
    assert_eq!(servers[0].client().say("REPLICAOF NO ONE"), "OK");
    assert_in_sync(&servers[0], &servers[1]);
    assert_eq!((full_syncs(&servers[0]), full_syncs(&servers[1])), (1, 0));
}

/// A circle of three comes to rest.
#[test]
fn a_circle_copies_until_all_are_alike_and_no_longer() {
    let servers: Vec<Server> = (0..3).map(|_| stranger(&[])).collect();
    for (n, server) in servers.iter().enumerate() {
        fill(server, &format!("server{n}"), 10);
    }
    for (server, source) in servers.iter().zip(servers.iter().cycle().skip(1)) {
        follow(server, source.address());
    }
    let digests = || {
        servers
            .iter()
            .map(|server| server.client().say("DEBUG DIGEST"))
            .collect::<Vec<_>>()
    };
    wait_until("the same data", || {
        let digests = digests();
        digests
            .iter()
            .all(|digest| *digest == digests[0] && !digest.starts_with("(error)"))
    });
    assert_eq!(servers[0].client().say("REPLICAOF NO ONE"), "OK");
    assert_in_sync(&servers[0], &servers[2]);
    assert_in_sync(&servers[2], &servers[1]);
    fill(&servers[0], "later", 10);
    assert_in_sync(&servers[0], &servers[2]);
    assert_in_sync(&servers[2], &servers[1]);
}
