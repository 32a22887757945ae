//! Disks that are full or damaged in the midst of a full sync. The full ones need root ([`SmallDisk`]); elsewhere these tests
//! say so and do nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::support::{
    PLAIN, QUICK, SLOW_COPY, assert_in_sync, await_copy, await_error, field, fill, fill_chunks, fill_with, follow,
    full_syncs, hurry, primary, primary_at, stranger,
};
use haypile_testkit::{Net, Server, SmallDisk, wait_until};

/// Arguments of a server that has its data on this disk and does not need much of it.
fn on(disk: &SmallDisk) -> Vec<String> {
    let dir = disk.path().join("data");
    let args = [
        "--dir",
        dir.to_str().unwrap(),
        "--oplog-segment-bytes",
        "1mb",
        "--oplog-retention-bytes",
        "16mb",
        "--rocksdb-write-buffer-size",
        "2mb",
        "--disk-free-min-bytes",
        "0",
    ];
    args.map(str::to_owned).to_vec()
}

fn with<'a>(args: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    args.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[test]
fn a_replica_whose_disk_is_full_in_the_midst_of_a_copy_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(96) else { return };
    let primary = primary(&PLAIN);
    fill_chunks(&primary);
    let replica = stranger(&with(&on(&disk), &SLOW_COPY));
    follow(&replica, primary.address());
    await_copy(&replica);
    disk.fill();
    await_error(&replica, "no space left");
    assert_eq!(replica.client().say("EXISTS other:1"), "1", "the old data is served");
    hurry(&replica);
    disk.make_room();
    assert_in_sync(&primary, &replica);
    assert!(!replica.log().contains("panicked"), "{}", replica.log());
}

#[test]
fn a_copy_that_has_no_room_does_not_begin() {
    let Some(disk) = SmallDisk::mount(96) else { return };
    let primary = primary(&PLAIN);
    fill_chunks(&primary);
    let replica = stranger(&with(&on(&disk), &["--disk-free-min-bytes", "24mb"]));
    disk.ballast(60 << 20);
    follow(&replica, primary.address());
    await_error(&replica, "bytes are needed");
    assert_eq!(replica.client().say("EXISTS other:1"), "1", "the old data is served");
    disk.make_room();
    assert_in_sync(&primary, &replica);
}

#[test]
fn a_primary_whose_disk_is_too_full_for_a_checkpoint_is_copied_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(96) else { return };
    let primary = primary(&with(&on(&disk), &QUICK));
    fill(&primary, "k", 5000);
    // What is only in memory yet has to be written for a checkpoint.
    fill_with(&primary, "big", 5, 100_000);
    disk.fill();
    let replica = stranger(&[]);
    follow(&replica, primary.address());
    await_error(&replica, "at the source");
    disk.make_room();
    wait_until("writes are accepted again", || {
        primary.client().say("SET again 1") == "OK"
    });
    assert_in_sync(&primary, &replica);
    assert!(!primary.log().contains("panicked"), "{}", primary.log());
}

/// The checkpoint's last table: it has not been copied yet if the copy has just begun.
fn last_table(primary: &Server) -> PathBuf {
    let files =
        |dir: &Path| -> Vec<PathBuf> { fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect() };
    let checkpoints = files(&primary.dir().join("sync-checkpoints"));
    assert_eq!(checkpoints.len(), 1);
    let mut tables = files(&checkpoints[0].join("store"));
    tables.retain(|path| path.extension().is_some_and(|extension| extension == "sst"));
    tables.sort();
    tables.pop().expect("a table")
}

/// Damages a file of a checkpoint, and not the primary's own, which it is a link to.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    let fresh = path.with_extension("damaged");
    fs::write(&fresh, bytes).unwrap();
    fs::rename(&fresh, path).unwrap();
}

#[test]
fn a_checkpoint_that_is_damaged_on_the_primarys_disk_is_condemned_and_another_one_made() {
    let primary = primary(&[&PLAIN[..], &QUICK].concat());
    fill_chunks(&primary);
    let replica = stranger(&[&SLOW_COPY[..], &["--repl-copy-attempts", "3"]].concat());
    follow(&replica, primary.address());
    await_copy(&replica);
    damage(&last_table(&primary));
    hurry(&replica);
    let mut client = replica.client();
    wait_until("the error", || {
        field(&mut client, "sync_partition0_last_error").contains("is corrupt")
    });
    // Every attempt is named.
    let error = field(&mut client, "sync_partition0_last_error");
    for attempt in 1..=3 {
        assert!(error.contains(&format!("attempt {attempt}: ")), "{error}");
    }
    assert!(
        !error.contains("attempt 4") && error.contains("on the source's disk"),
        "{error}"
    );
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 2);
    let log = primary.log();
    assert!(log.contains("a checkpoint for replicas is damaged"), "{log}");
    assert_eq!(log.matches("a checkpoint for replicas is made").count(), 2, "{log}");
    let dir = primary.dir().join("sync-checkpoints");
    wait_until("the end of both", || fs::read_dir(&dir).unwrap().count() == 0);
}

#[test]
fn a_primary_that_comes_back_with_an_empty_directory_empties_its_replicas() {
    let net = Net::claim();
    let mut primary = primary_at(net.address(1), &[]);
    fill(&primary, "a", 200);
    let replica = stranger(&[]);
    follow(&replica, primary.address());
    assert_in_sync(&primary, &replica);
    primary.kill();
    primary.remove_data();
    primary.start_again();
    assert_in_sync(&primary, &replica);
    assert_eq!(replica.client().say("DBSIZE"), "0");
    fill(&primary, "b", 20);
    assert_in_sync(&primary, &replica);
    assert_eq!(replica.client().say("DBSIZE"), "20");
}
