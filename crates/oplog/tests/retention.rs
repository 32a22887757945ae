//! What of the log is kept, for whom, and what is cut off it.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use haypile_oplog::{OplogErrorKind, Retention, Wanted};
use haypile_types::Position;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn retention_keeps_what_is_not_flushed_and_what_the_caps_allow() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 1000);
    let all = log.stats().segments;
    assert_eq!(log.collect(0, 5000).unwrap().segments, 0, "nothing is flushed");

    // By bytes.
    log.set_retention(retain(u64::MAX, u64::MAX));
    assert_eq!(log.collect(1000, 5000).unwrap().segments, 0, "everything is retained");
    log.set_retention(retain(5 * 4096, u64::MAX));
    log.collect(1000, 5000).unwrap();
    assert_eq!(log.stats().segments, 6, "five full ones and the one in use, of {all}");
    let first = log.first_index();
    assert_holds(&log, first, 1000);
    assert_eq!(log.reader(first - 1).err().unwrap().kind(), OplogErrorKind::Collected);

    // By age: seen full at 5000.
    log.set_retention(retain(u64::MAX, 1000));
    assert_eq!(log.collect(1000, 6000).unwrap().segments, 0);
    let flushed = first + 100;
    assert!(log.collect(flushed, 6001).unwrap().segments > 0);
    assert!(log.first_index() <= flushed + 1, "what is not flushed stays");
    log.collect(1000, 6001).unwrap();
    assert_eq!(log.stats().segments, 1, "the one in use always stays");
    assert_holds(&log, log.first_index(), 1000);
}

#[test]
fn a_reader_past_the_caps_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 1000);
    let mut slow = log.reader(1).unwrap();
    let mut quick = log.reader(1000).unwrap();
    assert_eq!(slow.next().unwrap().unwrap().payload, payload(1));
    assert_eq!((log.stats().readers, log.stats().reader_min_index), (2, Some(2)));
    let collected = log.collect(999, 0).unwrap();
    assert_eq!(collected.readers_left_behind, 1);
    assert_eq!(slow.next().unwrap_err().kind(), OplogErrorKind::Collected);
    assert_eq!(quick.next().unwrap().unwrap().payload, payload(1000));
    drop(slow);
    assert_eq!((log.stats().readers, log.stats().reader_min_index), (1, Some(1001)));
    // Written over the file that the slow reader had open.
    append(&mut log, 1000);
    assert!(log.stats().recycled_total > 0, "{:?}", log.stats());
    assert_holds(&log, log.first_index(), 2000);
}

#[test]
fn what_somebody_needs_is_kept_up_to_a_cap_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    let pins = |segments: u64| Retention {
        pinned_bytes_max: segments * 4096,
        ..retain(0, u64::MAX)
    };
    log.set_retention(pins(u64::MAX / 4096));
    append(&mut log, 1000);
    let mut slow = log.reader(1).unwrap();
    for _ in 0..500 {
        slow.next().unwrap().unwrap();
    }
    // The reader at 501, somebody without a reader at 301.
    let wanted = |from| Wanted {
        from,
        ..Wanted::default()
    };
    log.collect_but(1000, 0, wanted(Some(301))).unwrap();
    assert!(log.first_index() > 1);
    assert_holds(&log, 301, 1000);
    let pinned = log.stats().pinned_bytes;
    assert_eq!(
        pinned,
        4096 * (log.stats().segments as u64 - 1),
        "all but the one in use"
    );
    assert!(log.readers().bytes_from(301) > log.readers().bytes_from(501));
    assert_eq!(log.readers().bytes_from(1001), 0);

    // He is gone: only the reader counts.
    log.collect_but(1000, 0, wanted(None)).unwrap();
    assert!(log.first_index() > 301);
    assert!(log.stats().pinned_bytes < pinned);
    assert_eq!(slow.next().unwrap().unwrap().payload, payload(501));

    // What retention keeps is not kept for anybody.
    log.set_retention(Retention {
        bytes_max: u64::MAX,
        ..pins(u64::MAX / 4096)
    });
    log.collect(1000, 0).unwrap();
    assert_eq!(log.stats().pinned_bytes, 0);

    // The cap.
    log.set_retention(pins(2));
    assert_eq!(log.collect(1000, 0).unwrap().readers_left_behind, 1);
    assert_eq!(log.stats().segments, 3);
    assert_eq!(slow.next().unwrap_err().kind(), OplogErrorKind::Collected);
    log.collect(1000, 0).unwrap();
    assert_eq!(log.stats().segments, 1, "whom nothing can help pins nothing");
    assert_eq!(log.stats().pinned_bytes, 0);
}

#[test]
fn a_disk_that_fills_up_is_not_kept_full_for_those_who_are_away() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    log.set_retention(Retention {
        pinned_bytes_max: u64::MAX,
        ..retain(0, u64::MAX)
    });
    append(&mut log, 1000);
    let full = log.stats().segments;
    let wanted = |free_bytes_min| Wanted {
        from: Some(1),
        free_bytes_min,
    };
    assert_eq!(log.collect_but(1000, 0, wanted(0)).unwrap().segments, 0);
    assert_eq!(log.stats().segments, full);
    log.collect_but(1000, 0, wanted(u64::MAX)).unwrap();
    assert_eq!(log.stats().segments, 1, "there is never as much room");
}

#[test]
fn a_log_that_is_collected_all_along_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    for _ in 0..200 {
        append(&mut log, 50);
        log.collect(log.last().index, 0).unwrap();
    }
    assert!(log.stats().bytes <= 6 * 4096, "{:?}", log.stats());
    let first = log.first_index();
    drop(log);
    assert!(files(dir.path(), |_| true).len() <= 7);
    let (log, opened) = open(dir.path());
    assert_eq!(
        (opened.first.index, opened.last.index, opened.torn_tail),
        (first, 10_000, None)
    );
    assert_holds(&log, first, 10_000);
}

#[test]
fn truncation_drops_the_end_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 400);
    let mut ahead = log.reader(400).unwrap();
    let mut behind = log.reader(10).unwrap();
    log.truncate_after(500).unwrap();
    assert_eq!(log.last().index, 400);
    log.truncate_after(150).unwrap();
    assert_eq!(
        (log.last(), log.syncer().written()),
        (Position::new(1, 150), Position::new(1, 150))
    );
    assert!(log.syncer().durable_index() <= 150);
    assert!(ahead.wait(LONG));
    assert!(ahead.next().is_err(), "entry 400 is gone");
    assert_eq!(behind.next().unwrap().unwrap().payload, payload(10));
    assert_holds(&log, 1, 150);
    // New entries of the same size: old ones must not follow them after a crash.
    append(&mut log, 1);
    drop(log);
    let (mut log, opened) = open(dir.path());
    assert_eq!((opened.last.index, opened.torn_tail), (151, None));
    append(&mut log, 1);
    assert_eq!(log.syncer().sync().unwrap().index, 152);
    for index in (0..=151).rev() {
        log.truncate_after(index).unwrap();
        let term = u64::from(index > 0);
        assert_eq!(log.last(), Position::new(term, index));
    }
    append(&mut log, 3);
    drop(log);
    assert_holds(&open(dir.path()).0, 1, 3);
}

#[test]
fn a_reader_that_had_passed_the_cut_is_told_even_if_the_log_has_grown_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 10);
    let mut passed = log.reader(8).unwrap();
    let mut at_cut = log.reader(6).unwrap();
    passed.next().unwrap();
    log.truncate_after(5).unwrap();
    append(&mut log, 20);
    assert_eq!(passed.next().unwrap_err().kind(), OplogErrorKind::Collected);
    assert_eq!(at_cut.next().unwrap().unwrap().payload, payload(6));
}

#[test]
fn a_reset_starts_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 300);
    let mut reader = log.reader(100).unwrap();
    // Ahead, back to the index of an old segment, and back to the beginning.
    let old = common::segments(dir.path());
    let name = old[1].file_stem().unwrap().to_str().unwrap();
    let second: u64 = name.parse().unwrap();
    for last in [Position::new(7, 5000), Position::new(7, second - 1), Position::ZERO] {
        log.reset_after(last).unwrap();
        assert_eq!((log.last(), log.first_index()), (last, last.index + 1));
        assert_eq!(log.syncer().durable(), last);
        assert!(reader.next().is_err());
        drop(log);
        let opened;
        (log, opened) = open(dir.path());
        assert_eq!(
            (opened.first, opened.last),
            (Position::new(last.term, last.index + 1), last)
        );
        assert_eq!(opened.torn_tail, None);
        for index in last.index + 1..last.index + 200 {
            log.push(Position::new(7, index), 0, b"new");
            log.write().unwrap();
        }
        assert_eq!(read_from(&log, last.index + 1).unwrap().len(), 199);
        reader = log.reader(last.index + 50).unwrap();
    }
}

#[test]
fn after_a_reset_a_reused_file_is_not_taken_for_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 300);
    log.collect(300, 0).unwrap();
    drop(log);
    // Leave one spare file, which begins with the old record 1.
    let spares = files(dir.path(), |name| name.starts_with("spare-"));
    let (keep, remove): (Vec<_>, Vec<_>) = spares
        .into_iter()
        .partition(|path| std::fs::read(path).unwrap()[SEGMENT_HEADER + 16] == 1);
    assert_eq!(keep.len(), 1);
    remove.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let (mut log, _) = open(dir.path());
    log.reset_after(Position::ZERO).unwrap();
    drop(log);
    let (mut log, opened) = open(dir.path());
    assert_eq!((opened.last, opened.torn_tail), (Position::ZERO, None));
    append(&mut log, 200);
    drop(log);
    assert_holds(&open(dir.path()).0, 1, 200);
}

#[test]
fn a_crash_within_a_reset_leaves_the_empty_log_once_it_has_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 300);
    let before = copy_dir(dir.path());
    log.reset_after(Position::new(3, 40)).unwrap();
    drop(log);
    // The old segments are still there, but for the one whose name was taken.
    for path in segments(before.path()) {
        let there = dir.path().join(path.file_name().unwrap());
        if !there.exists() {
            std::fs::copy(&path, there).unwrap();
        }
    }
    let (log, opened) = open(dir.path());
    assert_eq!(
        (opened.first, opened.last),
        (Position::new(3, 41), Position::new(3, 40))
    );
    assert_eq!(log.stats().segments, 1);
}
