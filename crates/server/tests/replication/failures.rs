use super::support::{assert_in_sync, field, fill, full_syncs, primary, replica_of, wait_for_link};
use crate::common::wait_until;

#[test]
fn a_primary_that_was_killed_comes_back() {
    let mut primary = primary(&["--sync", "always"]);
    let replica = replica_of(primary.port(), &[]);
    fill(&primary, "a", 200);
    assert_in_sync(&primary, &replica);
    for round in 0..3 {
        primary.kill();
        let mut client = replica.client();
        wait_until("the loss of the link", || {
            field(&mut client, "master_link_status") == "down"
        });
        primary.start_again();
        // It has another port: as in a failover, the replica is told.
        client.say(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
        wait_for_link(&replica);
        fill(&primary, &format!("b{round}"), 100);
        assert_in_sync(&primary, &replica);
    }
    assert_eq!(full_syncs(&replica), 0);
}

#[test]
fn a_replica_that_is_killed_under_load_loses_nothing() {
    let primary = primary(&[]);
    let mut replica = replica_of(primary.port(), &["--sync", "always"]);
    wait_for_link(&replica);
    for round in 0..4 {
        fill(&primary, &format!("a{round}"), 2000);
        replica.kill();
        fill(&primary, &format!("b{round}"), 500);
        replica.start_again();
        wait_for_link(&replica);
    }
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 0);
}

#[test]
fn a_primary_with_an_empty_directory_empties_its_replicas() {
    let first = primary(&[]);
    let replica = replica_of(first.port(), &[]);
    fill(&first, "a", 200);
    assert_in_sync(&first, &replica);
    let fresh = primary(&[]);
    fill(&fresh, "b", 20);
    replica.client().say(&format!("REPLICAOF 127.0.0.1 {}", fresh.port()));
    assert_in_sync(&fresh, &replica);
    assert_eq!(replica.client().say("DBSIZE"), "20");
}

#[test]
fn other_databases_are_other_tables() {
    let first = primary(&["--databases", "4"]);
    let replica = replica_of(first.port(), &[]);
    let mut client = replica.client();
    wait_until("the error", || {
        field(&mut client, "sync_instance_last_error").contains("the tables differ")
    });
    assert_eq!(field(&mut client, "sync_instance_state"), "Error");
}
