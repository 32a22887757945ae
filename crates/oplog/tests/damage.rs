//! What recovery makes of a log that a crash or a bad disk has left behind.

#![allow(clippy::unwrap_used)] // a failed test is a panic

mod common;

use common::*;
use haypile_oplog::{Oplog, OplogError, OplogErrorKind, Options};
use haypile_types::Position;

/// Bytes of each record that `append` writes.
const RECORD: usize = RECORD_HEADER + 12;

/// A log with five entries in one segment.
fn five() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).0, 5);
    dir
}

fn record_at(index: usize) -> usize {
    SEGMENT_HEADER + (index - 1) * RECORD
}

#[test]
fn a_torn_tail_is_cut_at_every_byte() {
    let dir = five();
    let segment = segments(dir.path()).remove(0);
    let whole = std::fs::read(&segment).unwrap();
    for kept in 0..RECORD {
        for shortened in [false, true] {
            let mut bytes = whole.clone();
            let at = record_at(5) + kept;
            match shortened {
                true => bytes.truncate(at),
                false => bytes[at..].fill(0),
            }
            std::fs::write(&segment, bytes).unwrap();
            let (mut log, opened) = open(dir.path());
            assert_eq!(opened.last, Position::new(1, 4), "kept {kept}");
            match opened.torn_tail {
                Some(torn) => {
                    assert!(kept > 0);
                    assert_eq!((torn.segment, torn.offset), (segment.clone(), record_at(5) as u64));
                    assert!(torn.bytes_cut > 0);
                }
                // The last byte of the payload is not zero, so nothing else is like a whole record.
                None => assert_eq!(kept, 0),
            }
            assert_holds(&log, 1, 4);
            append(&mut log, 100);
            drop(log);
            let (log, opened) = open(dir.path());
            assert_eq!((opened.last.index, opened.torn_tail), (104, None));
            assert_holds(&log, 1, 104);
            drop(log);
            for path in files(dir.path(), |name| name != "synced") {
                std::fs::remove_file(path).unwrap();
            }
            // So that the next round, which goes back in time, is not taken for a disk that forgets.
            std::fs::remove_file(dir.path().join("synced")).unwrap();
        }
    }
}

#[test]
fn a_flipped_bit_in_the_middle_is_corruption() {
    let dir = five();
    let segment = segments(dir.path()).remove(0);
    for at in record_at(1)..record_at(5) {
        let flip = |bytes: &mut Vec<u8>| bytes[at] ^= 1 << (at % 8);
        edit(&segment, flip);
        let error = open_error(dir.path());
        let damaged = 1 + (at - SEGMENT_HEADER) / RECORD;
        match &error {
            OplogError::Corrupt {
                segment: named,
                offset,
                index,
                ..
            } => {
                assert_eq!(named, &segment);
                assert_eq!((*offset, *index), (record_at(damaged) as u64, damaged as u64));
            }
            other => panic!("{other}"),
        }
        let text = error.to_string();
        assert!(
            text.contains("restore") && text.contains("00000000000000000001.log"),
            "{text}"
        );
        edit(&segment, flip);
    }
    assert_holds(&open(dir.path()).0, 1, 5);
}

#[test]
fn a_flipped_bit_in_the_last_record_is_a_torn_tail() {
    let dir = five();
    for at in record_at(5)..record_at(6) {
        let copy = copy_dir(dir.path());
        edit(&segments(copy.path())[0], |bytes| bytes[at] ^= 1 << (at % 8));
        let (log, opened) = open(copy.path());
        assert_eq!(opened.last, Position::new(1, 4), "byte {at}");
        assert!(opened.torn_tail.is_some(), "byte {at}");
        assert_holds(&log, 1, 4);
    }
}

#[test]
fn a_flipped_bit_in_a_header_is_corruption() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).0, 200);
    for segment in segments(dir.path()) {
        for at in 0..SEGMENT_HEADER {
            let flip = |bytes: &mut Vec<u8>| bytes[at] ^= 1 << (at % 8);
            edit(&segment, flip);
            let error = open_error(dir.path());
            assert_eq!(error.kind(), OplogErrorKind::Corrupt, "{error}");
            edit(&segment, flip);
        }
    }
    assert_holds(&open(dir.path()).0, 1, 200);
}

#[test]
fn damage_in_a_full_segment_is_found_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).0, 300);
    let second = segments(dir.path()).remove(1);
    // Its last record: nothing good follows it in its file.
    let records = (4096 - SEGMENT_HEADER) / RECORD;
    edit(&second, |bytes| bytes[record_at(records) + 40] ^= 1);
    let (log, _) = open(dir.path());
    let damaged = 2 * records as u64;
    let mut reader = log.reader(1).unwrap();
    for _ in 1..damaged {
        reader.next().unwrap().unwrap();
    }
    for _ in 0..2 {
        match reader.next() {
            Err(OplogError::Corrupt { index, segment, .. }) => assert_eq!((index, segment), (damaged, second.clone())),
            other => panic!("{other:?}"),
        }
    }
    assert_holds(&log, damaged + 1, 300);
}

#[test]
fn missing_segments_are_corruption() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).0, 300);
    let copy = copy_dir(dir.path());
    std::fs::remove_file(&segments(copy.path())[1]).unwrap();
    let (log, _) = open(copy.path());
    assert!(matches!(read_from(&log, 1), Err(OplogError::Corrupt { .. })));

    let copy = copy_dir(dir.path());
    open(copy.path()).0.close().unwrap();
    segments(copy.path())
        .iter()
        .for_each(|path| std::fs::remove_file(path).unwrap());
    let error = open_error(copy.path());
    assert!(error.to_string().contains("no segment file"), "{error}");
}

#[test]
fn a_gap_in_the_indexes_is_corruption() {
    let dir = five();
    edit(&segments(dir.path())[0], |bytes| {
        // Record 5 in the place of record 4.
        let fifth = bytes[record_at(5)..record_at(6)].to_vec();
        bytes[record_at(4)..record_at(5)].copy_from_slice(&fifth);
        bytes[record_at(5)..].fill(0);
    });
    let error = open_error(dir.path());
    assert!(error.to_string().contains("gap"), "{error}");
}

#[test]
fn records_of_an_earlier_life_never_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    for _ in 0..60 {
        append(&mut log, 30);
        log.collect(log.last().index, 0).unwrap();
        let last = log.last();
        let copy = copy_dir(dir.path());
        let (copied, opened) = open(copy.path());
        assert_eq!((opened.last, opened.torn_tail), (last, None));
        assert_holds(&copied, copied.first_index(), last.index);
    }
    assert!(log.stats().recycled_total > 10);
}

#[test]
fn a_torn_tail_in_a_reused_file_is_cut_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    // Until some records stand in a reused file; which file comes next is up to the helper thread.
    let (segment, records) = loop {
        append(&mut log, 10);
        log.collect(log.last().index, 0).unwrap();
        let segment = segments(dir.path()).pop().unwrap();
        let first: u64 = segment.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let records = (log.last().index + 1).saturating_sub(first) as usize;
        if std::fs::read(&segment).unwrap()[12] == 1 && (2..60).contains(&records) {
            break (segment, records);
        }
    };
    let last = log.last().index;
    drop(log);
    let name = segment.file_name().unwrap();
    for kept in 0..RECORD {
        let copy = copy_dir(dir.path());
        edit(&copy.path().join(name), |bytes| {
            // Where the write did not get to, there is what was there before; here, the file's first records.
            let stale = bytes[SEGMENT_HEADER..SEGMENT_HEADER + RECORD]
                .iter()
                .map(|b| b ^ 0x55)
                .collect::<Vec<_>>();
            bytes[record_at(records) + kept..record_at(records + 1)].copy_from_slice(&stale[kept..]);
        });
        let (mut log, opened) = open(copy.path());
        assert_eq!(opened.last.index, last - 1);
        assert!(opened.torn_tail.is_some() || kept < 24, "kept {kept}");
        append(&mut log, 100);
        drop(log);
        let (log, opened) = open(copy.path());
        assert_eq!((opened.last.index, opened.torn_tail), (last + 99, None));
        assert_holds(&log, log.first_index(), last + 99);
    }
}

#[test]
fn after_a_power_failure_the_log_ends_at_a_hole_in_what_was_not_synced() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).0, 300);
    let records = (4096 - SEGMENT_HEADER) / RECORD;
    // A hole in the second segment: entry `hole` and the one after it never reached the disk.
    let hole = records as u64 + 10;
    edit(&segments(dir.path())[1], |bytes| {
        bytes[record_at(10)..record_at(12)].fill(0)
    });

    // The machine has not been restarted: damage.
    let copy = copy_dir(dir.path());
    assert!(read_from(&open(copy.path()).0, 1).is_err());
    // It has, but the entry was durable: damage.
    pretend_power_failure(copy.path(), hole);
    assert_eq!(open_error(copy.path()).kind(), OplogErrorKind::Corrupt);
    // It was not durable: the log ends there.
    for durable in [hole - 1, 1, 0] {
        let copy = copy_dir(dir.path());
        pretend_power_failure(copy.path(), durable);
        let (mut log, opened) = open(copy.path());
        assert_eq!(opened.last.index, hole - 1);
        let torn = opened.torn_tail.unwrap();
        assert_eq!((torn.offset, torn.synced_entries_lost), (record_at(10) as u64, 0));
        assert_holds(&log, 1, hole - 1);
        // What stood after the hole must not follow new entries of the same size.
        append(&mut log, 2);
        drop(log);
        let (log, opened) = open(copy.path());
        assert_eq!((opened.last.index, opened.torn_tail), (hole + 1, None));
        assert_holds(&log, 1, hole + 1);
    }
}

#[test]
fn after_a_power_failure_a_hole_in_the_last_segment_is_judged_alike() {
    let dir = five();
    edit(&segments(dir.path())[0], |bytes| {
        bytes[record_at(3)..record_at(4)].fill(0)
    });
    assert_eq!(open_error(dir.path()).kind(), OplogErrorKind::Corrupt);
    for (durable, good) in [(3, false), (2, true)] {
        let copy = copy_dir(dir.path());
        pretend_power_failure(copy.path(), durable);
        if good {
            let (log, opened) = open(copy.path());
            assert_eq!((opened.last.index, opened.torn_tail.is_some()), (2, true));
            assert_holds(&log, 1, 2);
        } else {
            assert_eq!(open_error(copy.path()).kind(), OplogErrorKind::Corrupt);
        }
    }
}

#[test]
fn after_a_power_failure_the_log_ends_at_a_segment_that_has_only_its_name() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).0, 300);
    let third = segments(dir.path()).remove(2);
    edit(&third, |bytes| {
        bytes[32..56].fill(0);
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    });
    assert_eq!(open_error(dir.path()).kind(), OplogErrorKind::Corrupt);
    let end = 2 * ((4096 - SEGMENT_HEADER) / RECORD) as u64;
    pretend_power_failure(dir.path(), end + 1);
    assert_eq!(open_error(dir.path()).kind(), OplogErrorKind::Corrupt);
    edit(&dir.path().join("synced"), |bytes| {
        bytes[40..48].copy_from_slice(&(end - 1).to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    });
    let (log, opened) = open(dir.path());
    assert_eq!(opened.last.index, end);
    assert_eq!(log.stats().segments, 2);
    assert_holds(&log, 1, end);
}

#[test]
fn a_segment_whose_header_never_reached_the_disk_is_not_part_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).0, 300);
    let newest = segments(dir.path()).pop().unwrap();
    edit(&newest, |bytes| {
        bytes[32..56].fill(0);
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    });
    let first: u64 = newest.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let (mut log, opened) = open(dir.path());
    assert_eq!(opened.last.index, first - 1);
    append(&mut log, 100);
    drop(log);
    assert_holds(&open(dir.path()).0, 1, first + 99);
}

#[test]
fn a_disk_that_forgets_what_it_had_synced_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 5);
    log.close().unwrap();
    edit(&segments(dir.path())[0], |bytes| bytes[record_at(4)..].fill(0));
    let (log, opened) = open(dir.path());
    assert_eq!(opened.last.index, 3);
    assert_eq!(opened.torn_tail.unwrap().synced_entries_lost, 2);
    assert_holds(&log, 1, 3);
    drop(log);
    assert_eq!(open(dir.path()).1.torn_tail, None, "said once");
}

#[test]
fn strange_files_are_left_alone() {
    let dir = five();
    for name in ["README", "1.log", "x.log", "spare-x", "00000000000000000009.log.bak"] {
        std::fs::write(dir.path().join(name), b"?").unwrap();
    }
    assert_holds(&open(dir.path()).0, 1, 5);
    assert!(dir.path().join("README").exists());
    // A segment's name on something else is not strange, it is damage.
    std::fs::write(dir.path().join("00000000000000000009.log"), b"?").unwrap();
    assert_eq!(open_error(dir.path()).kind(), OplogErrorKind::Corrupt);
}

#[test]
fn format_version_1_is_read() {
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let copy = copy_dir(&fixture);
    let (log, opened) = Oplog::open(
        copy.path(),
        Options {
            segment_bytes: 4096,
            ..options()
        },
    )
    .unwrap();
    assert_eq!(opened.first, Position::new(1, 1));
    assert_eq!(opened.last, Position::new(3, 6));
    assert_eq!(opened.torn_tail, None);
    let entries = read_from(&log, 1).unwrap();
    for (entry, index) in entries.iter().zip(1..) {
        assert_eq!(entry.header.position, Position::new(1 + index / 3, index));
        assert_eq!(entry.header.timestamp, 0x1122_3344_5566_7700 + index);
        assert_eq!(entry.payload, vec![index as u8; 1200 * (index as usize % 3)]);
    }
    assert_eq!(entries.len(), 6);
    assert_eq!(log.stats().segments, 2);
}

/// Wrote the fixture; kept to show how. A new format version gets a new directory, the old one stays.
#[test]
#[ignore = "writes tests/fixtures/v1, which is frozen"]
fn write_the_fixture() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    for index in 1..=6 {
        let payload = vec![index as u8; 1200 * (index as usize % 3)];
        log.push(
            Position::new(1 + index / 3, index),
            0x1122_3344_5566_7700 + index,
            &payload,
        );
        log.write().unwrap();
    }
    log.close().unwrap();
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    std::fs::create_dir_all(&fixture).unwrap();
    for path in files(dir.path(), |name| !name.starts_with("spare-")) {
        std::fs::copy(&path, fixture.join(path.file_name().unwrap())).unwrap();
    }
}
