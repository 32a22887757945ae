//! Maintenance removes what has expired: all of it, and without making files of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use haypile_commands::table;
use haypile_oplog::SyncPolicy;
use haypile_partition::{Call, Maintenance, Options, Partition, Role, Turn};
use haypile_resp::{Reply, Request, Version};
use haypile_store::{SharedResources, StoreOptions, Tier};
use haypile_sync::Tenure;
use haypile_types::{Clock, Random};

/// After that a test that waits has failed.
const PATIENCE: Duration = Duration::from_secs(60);

struct Counting(u64);

impl Random for Counting {
    fn next_u64(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// Milliseconds since the epoch, as the test says.
struct TestClock(AtomicU64);

impl TestClock {
    fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_us(&self) -> u64 {
        self.0.load(Ordering::SeqCst) * 1000
    }
}

fn open(dir: &Path, sync: SyncPolicy, clock: &Arc<TestClock>) -> Partition {
    let options = Options {
        dir: dir.to_owned(),
        role: Role::Leader,
        tenure: Tenure(1),
        group: None,
        store: StoreOptions::default(),
        oplog: haypile_oplog::Options {
            sync,
            segment_bytes: 1 << 20,
            ..Default::default()
        },
        shared: SharedResources::new(64 << 20, 32 << 20),
        clock: clock.clone(),
        random: Box::new(Counting(0)),
        uncommitted_bytes_max: 1 << 20,
        unflushed_log_bytes_max: 64 << 20,
        disk_free_bytes_min: 0,
    };
    Partition::open(options).unwrap().0
}

fn execute(turn: &mut Turn<'_>, db: u16, line: &str) {
    let request = Request::from_args(line.split(' '));
    turn.execute(Call {
        command: table::resolve(&request).unwrap(),
        request: &request,
        reply: &mut Reply::new(Version::Resp2),
        db,
        tier: Tier::Disk,
        ready_key: None,
        may_block: false,
        random: None,
    })
    .unwrap();
}

fn run(partition: &Partition, db: u16, lines: impl IntoIterator<Item = String> + Send) {
    let run = |turn: &mut Turn<'_>| lines.into_iter().for_each(|line| execute(turn, db, &line));
    partition.run_internal(run).unwrap();
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn keys(partition: &Partition) -> u64 {
    partition.counts().iter().map(|counts| counts.keys).sum()
}

#[test]
fn storms_of_expiry_write_no_files_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock(AtomicU64::new(1_000_000)));
    let partition = open(dir.path(), SyncPolicy::Os, &clock);
    let maintenance = Maintenance::start(&partition).unwrap();
    let flushes = partition.store().health().flushes();
    // More than a scan may cross of dead entries before the memtable is flushed, where that is so.
    let per_storm = 5000;
    for storm in 1..=2u64 {
        let at = 1_000_000 + storm * 10_000;
        run(
            &partition,
            0,
            (0..per_storm).map(|n| format!("set key:{n} value pxat {}", at + n % 7)),
        );
        // They expire from RocksDB, not from what is yet to be written there.
        partition.store().settle().unwrap();
        assert_eq!(keys(&partition), per_storm);
        clock.set(at + 7);
        wait("the keys are removed", || keys(&partition) == 0);
        assert_eq!(partition.stats().expired, storm * per_storm);
        partition.store().settle().unwrap();
    }
    assert_eq!(partition.store().health().flushes(), flushes);
    maintenance.stop();
}

#[test]
fn keys_that_expire_before_the_place_that_expiry_has_come_to_are_removed() {
    for sync in [SyncPolicy::Os, SyncPolicy::Always] {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicU64::new(1_000_000)));
        let partition = open(dir.path(), sync, &clock);
        let maintenance = Maintenance::start(&partition).unwrap();
        for db in [0, 3] {
            run(
                &partition,
                db,
                ["set far v pxat 90000000".into(), "set near v pxat 1000010".into()],
            );
        }
        clock.set(1_000_010);
        wait("the first are removed", || keys(&partition) == 2);
        // Now the next round begins at the far ones.
        for round in 1..=20u64 {
            let at = 1_000_010 + round * 10;
            for db in [0, 3] {
                run(
                    &partition,
                    db,
                    [
                        format!("set k{round} v pxat {at}"),
                        format!("set e{round} v pxat {}", at - 5),
                    ],
                );
            }
            clock.set(at - 1);
            wait("the earlier ones are removed", || keys(&partition) == 4);
            clock.set(at);
            wait("the later ones are removed", || keys(&partition) == 2);
        }
        run(&partition, 3, ["flushdb".into(), "set k v pxat 2000000".into()]);
        run(&partition, 0, ["swapdb 0 3".into()]);
        clock.set(2_000_000);
        wait("a new keyspace has a place of its own", || keys(&partition) == 1);
        clock.set(90_000_000);
        wait("all are removed", || keys(&partition) == 0);
        assert_eq!(partition.stats().expired, 2 + 20 * 4 + 2);
        maintenance.stop();
    }
}

#[test]
fn nothing_is_removed_while_expiry_is_off_or_held() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock(AtomicU64::new(1_000_000)));
    let partition = open(dir.path(), SyncPolicy::Os, &clock);
    let maintenance = Maintenance::start(&partition).unwrap();
    maintenance.set_active_expire(false);
    run(&partition, 0, (0..100).map(|n| format!("set key:{n} value px 10")));
    maintenance.hold_expiry(1_000_050);
    maintenance.set_active_expire(true);
    let logged = partition.stats().position;
    clock.set(1_000_049);
    run(&partition, 1, ["set marker 1".into()]);
    assert_eq!(
        partition.stats().position.index,
        logged.index + 1,
        "nothing else was written"
    );
    assert_eq!(keys(&partition), 101);
    clock.set(1_000_050);
    wait("they are removed", || keys(&partition) == 1);
    maintenance.stop();
}
