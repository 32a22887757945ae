//! System calls that fail.

#![allow(clippy::unwrap_used)] // a failed test is a panic

mod common;

use common::*;
use haypile_oplog::{Oplog, OplogError, OplogErrorKind, Options, SyncPolicy};
use haypile_types::Position;

#[test]
fn nothing_of_a_failed_batch_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 5);
    for (round, errno) in [(1, ENOSPC), (2, EIO)] {
        // Two of three records get to the disk.
        log.faults().fail_writes(Some(errno), 100);
        let last = log.last();
        for index in 1..=3 {
            log.push(Position::new(1, last.index + index), 0, b"never seen!!");
        }
        let error = log.write().unwrap_err();
        let expected = if errno == ENOSPC {
            OplogErrorKind::NoSpace
        } else {
            OplogErrorKind::Io
        };
        assert_eq!(error.kind(), expected, "{error}");
        assert_eq!((log.last(), log.syncer().written()), (last, last));
        log.faults().fail_writes(None, 0);

        // A crash here finds nothing of it, nor does one after a shorter batch.
        let copy = copy_dir(dir.path());
        assert_holds(&open(copy.path()).0, 1, last.index);
        append(&mut log, 1);
        let copy = copy_dir(dir.path());
        let (copied, opened) = open(copy.path());
        assert_eq!((opened.last.index, opened.torn_tail), (5 + round, None));
        assert_holds(&copied, 1, 5 + round);
    }
}

#[test]
fn a_full_disk_refuses_the_next_segment_and_the_log_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    log.faults().fail_allocations(Some(ENOSPC));
    let mut error = None;
    while error.is_none() {
        let index = log.last().index + 1;
        log.push(Position::new(1, index), index * 10, &payload(index));
        error = log.write().err();
    }
    assert_eq!(error.unwrap().kind(), OplogErrorKind::NoSpace);
    let last = log.last().index;
    assert!(last > 80, "the first segment was filled");
    assert_holds(&log, 1, last);
    // The helper's own attempt at one may be under way.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !files(dir.path(), |name| name.starts_with("spare")).is_empty() {
        assert!(std::time::Instant::now() < until, "what could not be made stays");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    log.faults().fail_allocations(None);
    append(&mut log, 300);
    drop(log);
    assert_holds(&open(dir.path()).0, 1, last + 300);
}

#[test]
fn a_failed_fdatasync_poisons_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 5);
    let syncer = log.syncer();
    syncer.sync().unwrap();
    append(&mut log, 1);
    assert_eq!(syncer.poisoned(), None);
    log.faults().fail_syncs(Some(EIO));
    assert_eq!(syncer.sync().unwrap_err().kind(), OplogErrorKind::Poisoned);
    log.faults().fail_syncs(None);
    assert_eq!(syncer.durable().index, 5);
    let cause = syncer.poisoned().unwrap();
    assert!(cause.contains("00000000000000000001.log"), "{cause}");
    for _ in 0..2 {
        match syncer.sync() {
            Err(OplogError::Poisoned { cause: again }) => assert_eq!(again, cause),
            other => panic!("{other:?}"),
        }
        log.push(Position::new(1, 7), 0, b"");
        assert_eq!(log.write().unwrap_err().kind(), OplogErrorKind::Poisoned);
        assert_eq!(log.write().unwrap_err().kind(), OplogErrorKind::Poisoned);
        assert_eq!(log.last().index, 6);
    }
    assert_eq!(log.truncate_after(1).unwrap_err().kind(), OplogErrorKind::Poisoned);
    assert_eq!(
        log.reset_after(Position::ZERO).unwrap_err().kind(),
        OplogErrorKind::Poisoned
    );
    assert_holds(&log, 1, 6);
    assert!(log.close().is_err());
    assert_holds(&open(dir.path()).0, 1, 6);
}

#[test]
fn the_helper_poisons_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = Oplog::open(
        dir.path(),
        Options {
            sync: SyncPolicy::EverySec,
            ..options()
        },
    )
    .unwrap();
    log.faults().fail_syncs(Some(EIO));
    append(&mut log, 1);
    let start = std::time::Instant::now();
    while log.syncer().poisoned().is_none() {
        assert!(start.elapsed().as_secs() < 60);
        std::thread::yield_now();
    }
    assert_eq!(log.write().unwrap_err().kind(), OplogErrorKind::Poisoned);
}

#[test]
fn a_batch_that_cannot_be_cut_back_poisons() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 5);
    log.faults().fail_writes(Some(EIO), 100);
    log.faults().fail_truncations(Some(EIO));
    log.push(Position::new(1, 6), 0, b"");
    assert_eq!(log.write().unwrap_err().kind(), OplogErrorKind::Poisoned);
    log.faults().fail_writes(None, 0);
    log.push(Position::new(1, 6), 0, b"");
    assert_eq!(log.write().unwrap_err().kind(), OplogErrorKind::Poisoned);
}

#[test]
fn a_reset_without_space_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 5);
    log.faults().fail_allocations(Some(ENOSPC));
    assert_eq!(
        log.reset_after(Position::new(9, 9)).unwrap_err().kind(),
        OplogErrorKind::NoSpace
    );
    log.faults().fail_allocations(None);
    assert_holds(&log, 1, 5);
    append(&mut log, 1);
    drop(log);
    assert_holds(&open(dir.path()).0, 1, 6);
}

#[test]
fn below_the_reserve_nothing_is_retained_nor_allocated() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 300);
    drop(log);
    let short = Options {
        free_bytes_min: u64::MAX,
        retention_bytes_max: u64::MAX,
        ..options()
    };
    let (mut log, _) = Oplog::open(dir.path(), short).unwrap();
    log.collect(300, 0).unwrap();
    assert_eq!((log.stats().segments, log.stats().spares), (1, 0));
    let error = loop {
        let index = log.last().index + 1;
        log.push(Position::new(1, index), index * 10, &payload(index));
        if let Err(error) = log.write() {
            break error;
        }
    };
    assert_eq!(error.kind(), OplogErrorKind::NoSpace);
    assert!(error.to_string().contains("free_bytes_min"), "{error}");
}

/// How long a test waits for what must come.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A real file system of 8 MiB. Needs the right to mount; passes without.
#[test]
fn a_small_file_system_fills_up_and_is_emptied_again() {
    struct Mounted(tempfile::TempDir);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(self.0.path()).status();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=8m", "tmpfs"];
    let mounted = std::process::Command::new("mount").args(mount).arg(dir.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no right to mount");
        return;
    }
    let mounted = Mounted(dir);
    let path = mounted.0.path().join("oplog");
    let wanted = Options {
        segment_bytes: 2 << 20,
        recycle_segments_max: 0,
        ..options()
    };
    let (mut log, _) = Oplog::open(&path, wanted.clone()).unwrap();
    let payload = vec![7; 10_000];
    let fill = |log: &mut Oplog| loop {
        log.push(Position::new(1, log.last().index + 1), 0, &payload);
        if let Err(error) = log.write() {
            break error;
        }
    };
    let error = fill(&mut log);
    assert_eq!(error.kind(), OplogErrorKind::NoSpace, "{error}");
    let full = log.last().index;
    assert!(full > 400, "{full}");
    assert_eq!(read_from(&log, 1).unwrap().len() as u64, full);
    assert_eq!(fill(&mut log).kind(), OplogErrorKind::NoSpace);

    log.collect(full, 0).unwrap();
    // Files are removed by a thread of the log's own.
    let start = std::time::Instant::now();
    while log.last().index <= full + 200 {
        assert!(start.elapsed() < PATIENCE, "{full} {:?}", log.last());
        std::thread::sleep(std::time::Duration::from_millis(5));
        fill(&mut log);
    }
    let last = log.last().index;
    let first = log.first_index();
    drop(log);
    let (log, opened) = Oplog::open(&path, wanted).unwrap();
    assert_eq!(
        (opened.first.index, opened.last.index, opened.torn_tail),
        (first, last, None)
    );
    assert_eq!(read_from(&log, first).unwrap().len() as u64, last + 1 - first);
}
