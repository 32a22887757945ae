//! kill -9 of either side at each stage of a full sync.

use super::support::{
    PLAIN, SLOW_COPY, assert_in_sync, await_copy, field, fill, fill_chunks, follow, full_syncs, hurry, primary_at,
    stranger, wait_for_link,
};
use haypile_testkit::{Net, Server, wait_until};

/// Where somebody is killed.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The primary makes its checkpoint, or has just made it.
    Asking,
    /// A part has been copied.
    Fetching,
    /// The new data takes the place of the old.
    Installing,
    /// The replica has just gone on from the new data.
    Done,
}

const STAGES: [Stage; 4] = [Stage::Asking, Stage::Fetching, Stage::Installing, Stage::Done];

/// A primary with some data at host 1, and a replica that has begun to copy it and is at this stage.
fn at(net: &Net, stage: Stage) -> (Server, Server) {
    let mut args = PLAIN.to_vec();
    // What is acknowledged must survive the kill of the process, and nothing else is asked.
    args.extend(["--sync", "os"]);
    let primary = primary_at(net.address(1), &args);
    fill_chunks(&primary);
    let replica = match stage {
        Stage::Fetching => stranger(&SLOW_COPY),
        _ => stranger(&[]),
    };
    follow(&replica, primary.address());
    let mut client = replica.client();
    match stage {
        Stage::Asking => wait_until("the begin", || full_syncs(&replica) > 0),
        Stage::Fetching => await_copy(&replica),
        Stage::Installing => {
            let marker = replica.dir().join("partitions/0/installing");
            // Without a pause: it is there for some milliseconds.
            while !marker.exists() && !replica.log().contains("a full sync is installed") {
                std::hint::spin_loop();
            }
        }
        Stage::Done => wait_until("the link", || field(&mut client, "master_link_status") == "up"),
    }
    (primary, replica)
}

#[test]
fn a_primary_that_is_killed_at_any_stage_of_a_full_sync_is_followed_when_it_is_back() {
    for stage in STAGES {
        let net = Net::claim();
        let (mut primary, replica) = at(&net, stage);
        primary.kill();
        let checkpoints = std::fs::read_dir(primary.dir().join("sync-checkpoints"));
        let left: Vec<_> = checkpoints
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        if matches!(stage, Stage::Asking | Stage::Fetching) {
            let mut client = replica.client();
            wait_until("the reason", || {
                !field(&mut client, "sync_instance_last_error").is_empty()
            });
            assert_eq!(client.say("EXISTS other:1"), "1", "{stage:?}: the old data is served");
        }
        primary.start_again();
        // The replica may have asked for a new one by now.
        assert!(
            left.iter().all(|path| !path.exists()),
            "{stage:?}: something is left over of {left:?}"
        );
        hurry(&replica);
        fill(&primary, "later", 100);
        assert_in_sync(&primary, &replica);
    }
}

#[test]
fn a_replica_that_is_killed_at_any_stage_of_a_full_sync_ends_in_sync() {
    for stage in STAGES {
        let net = Net::claim();
        let (primary, mut replica) = at(&net, stage);
        replica.kill();
        fill(&primary, "meanwhile", 100);
        let address = format!("{} {}", primary.address().ip(), primary.address().port());
        replica.set_args(&["--replicaof", &address, "--enable-debug-command", "yes"]);
        replica.start_again();
        fill(&primary, "later", 100);
        assert_in_sync(&primary, &replica);
        if matches!(stage, Stage::Done) {
            assert_eq!(full_syncs(&replica), 0, "it has the new data");
        }
        // And once more, for what the recovery has left.
        replica.kill_and_restart();
        wait_for_link(&replica);
        assert_in_sync(&primary, &replica);
        assert_eq!(full_syncs(&replica), 0, "{stage:?}");
    }
}
