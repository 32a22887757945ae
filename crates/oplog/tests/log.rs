//! What a log does on a healthy disk.

#![allow(clippy::unwrap_used)] // a failed test is a panic
#![allow(clippy::disallowed_methods)] // threads of a test need no names

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::*;
use haypile_oplog::{Oplog, OplogErrorKind, Options, SyncPolicy};
use haypile_types::Position;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn what_is_written_is_read_and_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/oplog");
    let (mut log, opened) = Oplog::open(&path, options()).unwrap();
    assert_eq!((opened.first, opened.last), (Position::new(0, 1), Position::ZERO));
    append(&mut log, 10);
    assert_holds(&log, 1, 10);
    assert_holds(&log, 7, 10);
    drop(log);
    let (mut log, opened) = Oplog::open(&path, options()).unwrap();
    assert_eq!((opened.first, opened.last), (Position::new(1, 1), Position::new(1, 10)));
    assert_eq!(opened.torn_tail, None);
    append(&mut log, 300);
    assert!(log.stats().segments > 3, "{:?}", log.stats());
    assert_eq!(log.close().unwrap(), Position::new(1, 310));
    let (log, opened) = Oplog::open(&path, options()).unwrap();
    assert_eq!((opened.last, opened.torn_tail), (Position::new(1, 310), None));
    assert_holds(&log, 1, 310);
    assert_eq!(log.stats().last_index, 310);
}

#[test]
fn entries_of_all_sizes_fit() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    let sizes = [0, 1, 4096 - 96, 4096, 5, 3 << 20, 0, 100];
    for (index, size) in (1..).zip(sizes) {
        let before = log.stats().appended_bytes_total;
        log.push(Position::new(index, index), 0, &vec![index as u8; size]);
        let pending = log.pending_bytes() as u64;
        log.write().unwrap();
        assert!(pending > size as u64);
        assert_eq!(log.stats().appended_bytes_total, before + pending);
    }
    drop(log);
    let (log, _) = open(dir.path());
    let entries = read_from(&log, 1).unwrap();
    assert_eq!(entries.iter().map(|e| e.payload.len()).collect::<Vec<_>>(), sizes);
    assert!(
        entries
            .iter()
            .all(|e| e.payload.iter().all(|&b| u64::from(b) == e.header.position.index))
    );
}

#[test]
fn a_batch_larger_than_a_segment_is_one_write() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 3);
    for index in 4..=500 {
        log.push(Position::new(1, index), index * 10, &payload(index));
    }
    assert_eq!(log.last().index, 500);
    assert_eq!(log.syncer().written().index, 3);
    assert_eq!(log.write().unwrap(), Position::new(1, 500));
    append(&mut log, 1);
    assert_holds(&log, 1, 501);
    drop(log);
    assert_holds(&open(dir.path()).0, 1, 501);
}

#[test]
#[should_panic(expected = "cannot follow")]
fn a_gap_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    log.push(Position::new(1, 2), 0, b"");
}

#[test]
fn a_reader_follows_the_writer_through_many_segments() {
    const ENTRIES: u64 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let mut reader = log.reader(1).unwrap();
            std::thread::spawn(move || {
                let mut expected = 1;
                while expected <= ENTRIES {
                    assert!(reader.wait(LONG), "entry {expected} did not come");
                    while let Some(entry) = reader.next().unwrap() {
                        assert_eq!(entry.header.position.index, expected);
                        assert_eq!(entry.payload, payload(expected));
                        expected += 1;
                    }
                }
            })
        })
        .collect();
    for index in 1..=ENTRIES {
        log.push(Position::new(1, index), 0, &payload(index));
        if index % 7 == 0 {
            log.write().unwrap();
        }
    }
    log.write().unwrap();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert!(log.stats().segments > 100);
}

#[test]
fn waiting_at_the_tail_ends_when_the_time_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 1);
    let mut reader = log.reader(2).unwrap();
    assert!(!reader.wait(Duration::from_millis(1)));
    assert_eq!(reader.next().unwrap(), None);
    append(&mut log, 1);
    assert!(reader.wait(LONG));
    assert_eq!(reader.next().unwrap().unwrap().payload, payload(2));
}

#[test]
fn a_reader_knows_how_much_is_unread() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    let mut reader = log.reader(1).unwrap();
    assert_eq!(reader.unread_bytes(), 0);
    append(&mut log, 300);
    assert!(log.stats().segments > 3, "{:?}", log.stats());
    let mut unread = reader.unread_bytes();
    while let Some(entry) = reader.next().unwrap() {
        let rest = reader.unread_bytes();
        assert!(rest + entry.payload.len() as u64 <= unread, "{rest} of {unread}");
        unread = rest;
    }
    assert_eq!(reader.unread_bytes(), 0);
}

#[test]
fn a_reader_starts_within_the_log_only() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 5);
    assert!(log.reader(6).is_ok());
    assert_eq!(log.reader(7).err().unwrap().kind(), OplogErrorKind::Collected);
    assert_eq!(log.reader(0).err().unwrap().kind(), OplogErrorKind::Collected);
}

#[test]
fn many_waiters_share_an_fdatasync() {
    const THREADS: u64 = 8;
    const EACH: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let before = log.syncer().fsyncs();
    let syncer = log.syncer();
    let log = Arc::new(std::sync::Mutex::new(log));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let log = log.clone();
            let syncer = syncer.clone();
            std::thread::spawn(move || {
                for _ in 0..EACH {
                    let mine = {
                        let mut log = log.lock().unwrap();
                        append(&mut log, 1);
                        log.last()
                    };
                    assert!(syncer.sync_to(mine.index).unwrap() >= mine);
                    assert!(syncer.durable_index() >= mine.index);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(syncer.durable(), Position::new(1, THREADS * EACH));
    let fsyncs = syncer.fsyncs() - before;
    // One file per segment that was passed comes on top of one for each group.
    assert!(fsyncs <= THREADS * EACH + 10, "{fsyncs}");
    assert!(syncer.fsync_us_total() >= syncer.fsync_us_last());
    let same = syncer.fsyncs();
    assert_eq!(syncer.sync().unwrap().index, THREADS * EACH);
    assert_eq!(syncer.fsyncs(), same, "nothing was left to sync");
}

#[test]
fn everysec_becomes_durable_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = Oplog::open(
        dir.path(),
        Options {
            sync: SyncPolicy::EverySec,
            ..options()
        },
    )
    .unwrap();
    for round in 1..=2 {
        append(&mut log, 3);
        let start = std::time::Instant::now();
        while log.syncer().durable_index() < round * 3 {
            assert!(start.elapsed() < LONG);
            std::thread::yield_now();
        }
    }
}

#[test]
fn with_always_others_are_told_of_an_entry_when_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let always = Options {
        sync: SyncPolicy::Always,
        ..options()
    };
    let (mut log, _) = Oplog::open(dir.path(), always).unwrap();
    let syncer = log.syncer();
    append(&mut log, 3);
    assert_eq!((syncer.safe_index(), syncer.written_index()), (0, 3));
    let reader = log.reader(1).unwrap();
    assert!(!reader.wait(Duration::from_millis(5)));
    let waiting = std::thread::spawn(move || (reader.wait(LONG), reader));
    syncer.sync().unwrap();
    let (woken, reader) = waiting.join().unwrap();
    assert!(woken);
    assert_eq!(syncer.safe_index(), 3);
    drop(reader);

    // Another policy: at once. And what has been told once stays so.
    append(&mut log, 1);
    let reader = log.reader(4).unwrap();
    let waiting = std::thread::spawn(move || reader.wait(LONG));
    log.set_sync(SyncPolicy::Os);
    assert!(waiting.join().unwrap());
    append(&mut log, 1);
    assert_eq!(syncer.safe_index(), 5);
    log.set_sync(SyncPolicy::Always);
    append(&mut log, 1);
    assert_eq!(syncer.safe_index(), 5);
    log.truncate_after(4).unwrap();
    assert_eq!(syncer.safe_index(), 4);
    syncer.sync().unwrap();
    append(&mut log, 1);
    syncer.sync().unwrap();
    assert_eq!(syncer.safe_index(), 5);
}

#[test]
fn logs_and_readers_may_change_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<haypile_oplog::Oplog>();
    assert_send::<haypile_oplog::Reader>();
    assert_send::<Arc<haypile_oplog::Syncer>>();
}

#[test]
fn readers_survive_cuts_made_while_they_read() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 200);
    let stop = Arc::new(AtomicBool::new(false));
    let readers = log.readers();
    let own = stop.clone();
    let thread = std::thread::spawn(move || {
        let mut read = 0;
        while !own.load(Ordering::Relaxed) {
            let mut reader = match readers.reader(100) {
                Ok(reader) => reader,
                Err(error) => {
                    assert_eq!(error.kind(), OplogErrorKind::Collected, "{error}");
                    continue;
                }
            };
            let mut expected = 100;
            loop {
                match reader.next() {
                    Ok(Some(entry)) => {
                        assert_eq!(entry.header.position.index, expected);
                        assert_eq!(entry.payload, payload(expected));
                        expected += 1;
                        read += 1;
                    }
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(error.kind(), OplogErrorKind::Collected, "{error}");
                        break;
                    }
                }
            }
        }
        read
    });
    for round in 0..100 {
        log.truncate_after(90 + round % 60).unwrap();
        append(&mut log, 150);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(thread.join().unwrap() > 0);
}
