//! What the tests of the log share.
#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // a failed test is a panic

use std::path::{Path, PathBuf};

use haypile_oplog::{Opened, Oplog, OplogError, Options, OwnedEntry, Retention, SyncPolicy};
use haypile_types::Position;

pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
/// Bytes of a segment header, and of a record's, by the format.
pub const SEGMENT_HEADER: usize = 64;
pub const RECORD_HEADER: usize = 32;

pub fn options() -> Options {
    Options {
        segment_bytes: 4096,
        sync: SyncPolicy::Os,
        retention_bytes_max: 0,
        retention_ms_max: u64::MAX,
        pinned_bytes_max: 0,
        recycle_segments_max: 2,
        free_bytes_min: 0,
    }
}

/// Keeps so much, and nothing for readers.
pub fn retain(bytes_max: u64, ms_max: u64) -> Retention {
    Retention {
        bytes_max,
        ms_max,
        pinned_bytes_max: 0,
    }
}

pub fn open(dir: &Path) -> (Oplog, Opened) {
    Oplog::open(dir, options()).unwrap()
}

pub fn open_error(dir: &Path) -> OplogError {
    match Oplog::open(dir, options()) {
        Ok((_, opened)) => panic!("the log opened: {opened:?}"),
        Err(error) => error,
    }
}

/// The payload that the tests give to the entry with an index.
pub fn payload(index: u64) -> Vec<u8> {
    format!("entry-{index:06}").into_bytes()
}

pub fn append(log: &mut Oplog, count: u64) {
    for _ in 0..count {
        let index = log.last().index + 1;
        log.push(Position::new(1, index), index * 10, &payload(index));
        log.write().unwrap();
    }
}

pub fn read_from(log: &Oplog, index: u64) -> Result<Vec<OwnedEntry>, OplogError> {
    let mut reader = log.reader(index)?;
    let mut out = Vec::new();
    while let Some(entry) = reader.next()? {
        out.push(entry);
    }
    Ok(out)
}

pub fn assert_holds(log: &Oplog, first: u64, last: u64) {
    let entries = read_from(log, first).unwrap();
    assert_eq!(entries.len() as u64, last + 1 - first, "entries {first} to {last}");
    for (entry, index) in entries.iter().zip(first..) {
        assert_eq!(entry.header.position, Position::new(1, index));
        assert_eq!(entry.header.timestamp, index * 10);
        assert_eq!(entry.payload, payload(index));
    }
}

/// Segment files, oldest first.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    files(dir, |name| name.ends_with(".log"))
}

pub fn files(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries
        .filter(|p| wanted(p.file_name().unwrap().to_str().unwrap()))
        .collect();
    paths.sort();
    paths
}

pub fn copy_dir(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for path in files(from, |_| true) {
        std::fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
    to
}

/// Changes a file by its bytes.
pub fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Makes the file `synced` say that the log was durable up to `index` in another boot of the machine.
pub fn pretend_power_failure(dir: &Path, index: u64) {
    edit(&dir.join("synced"), |bytes| {
        bytes[32] ^= 0xff;
        bytes[40..48].copy_from_slice(&index.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    });
}
