//! Bytes as a log's directory: segments whose headers and records carry right checksums whatever they say, with some damage. Such a
//! log opens and can be read, written to and opened again, or is refused and left as it is.

use std::collections::BTreeMap;
use std::path::Path;

use haypile_oplog::{Oplog, OplogErrorKind, Options, SyncPolicy};
use haypile_types::Position;

use super::input::Input;

const HEADER_BYTES: usize = 64;

fn options() -> Options {
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

/// The first index, the term and the id, and whether the file was used before, are mostly those of a log, so that the rest is looked at.
pub fn run(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let mut input = Input::new(bytes);
    let mut next = if input.flag() { 1 } else { input.number() };
    // A segment is taken at its word for the term before it, under its checksum.
    let mut term = 0;
    for _ in 0..=input.choose(3) {
        let name = if input.choose(16) == 0 { input.number() } else { next };
        let segment = segment(&mut input, &mut next, &mut term);
        std::fs::write(dir.path().join(format!("{name:020}.log")), segment).unwrap();
    }
    if input.choose(4) == 0 {
        std::fs::write(dir.path().join("synced"), watermark(&mut input)).unwrap();
    }
    if input.choose(4) == 0 {
        let zeros = vec![0; usize::from(input.byte())];
        std::fs::write(dir.path().join("spare-00000000"), zeros).unwrap();
    }
    open(dir.path(), &mut input);
}

/// A header and records, as the format has them.
fn segment(input: &mut Input<'_>, next: &mut u64, before: &mut u64) -> Vec<u8> {
    let often = |input: &mut Input<'_>, usual: u64| match input.choose(16) {
        0 => input.number(),
        _ => usual,
    };
    let salt = often(input, 9);
    let flags = u64::from(input.choose(2)) | often(input, 0) << 1;
    let words = [often(input, 7), salt, often(input, *next), *before, often(input, 1)];
    let mut bytes = b"HAYPOPLG".to_vec();
    bytes.extend_from_slice(&(often(input, 1) as u32).to_le_bytes());
    bytes.extend_from_slice(&(flags as u32).to_le_bytes());
    words
        .iter()
        .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes.resize(HEADER_BYTES, 0);
    seal_header(&mut bytes);
    let seed = crc32c::crc32c(&salt.to_le_bytes());
    for _ in 0..input.choose(12) {
        let index = often(input, *next);
        let term = often(input, (*before).max(1));
        let payload = input.piece();
        let mut record = ((32 + payload.len()) as u32).to_le_bytes().to_vec();
        record.extend_from_slice(&[0; 4]);
        [term, index, index.wrapping_mul(10)]
            .iter()
            .for_each(|word| record.extend_from_slice(&word.to_le_bytes()));
        record.extend_from_slice(payload);
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, &record[..4]), &record[8..]);
        record[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&record);
        (*next, *before) = (next.wrapping_add(1), term);
    }
    match input.choose(6) {
        0 => bytes.extend_from_slice(input.piece()),
        1 => bytes.resize(bytes.len() + usize::from(input.byte()) * 16, 0),
        2 => bytes.truncate(bytes.len().saturating_sub(input.byte().into())),
        3 => {
            let at = input.number() as usize % bytes.len();
            bytes[at] ^= input.byte();
        }
        _ => {}
    }
    bytes
}

fn seal_header(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
}

fn watermark(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = b"HAYPSYNC".to_vec();
    bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    let words = [7, 1, input.number(), input.number()];
    words
        .iter()
        .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes.resize(HEADER_BYTES, 0);
    seal_header(&mut bytes);
    bytes
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let logs = entries.filter(|path| path.extension().is_some_and(|suffix| suffix == "log"));
    logs.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect()
}

fn open(dir: &Path, input: &mut Input<'_>) {
    let before = files(dir);
    let (mut log, opened) = match Oplog::open(dir, options()) {
        Ok(opened) => opened,
        Err(error) => {
            if error.kind() == OplogErrorKind::Corrupt {
                // It may have removed what is no part of the log, and a torn tail at its end.
                for (name, bytes) in files(dir) {
                    let kept = before.get(&name).is_some_and(|before| before.starts_with(&bytes));
                    assert!(kept, "{name} is another");
                }
            }
            return;
        }
    };
    let first = opened.first.index;
    let whole = read(&log, first, opened.last);
    let Some(next) = opened.last.index.checked_add(1) else {
        return;
    };
    for n in 0..u64::from(input.choose(4)) {
        let Some(index) = next.checked_add(n) else { break };
        log.push(Position::new(opened.last.term.max(1), index), 0, b"more");
        if log.write().is_err() {
            return;
        }
    }
    let last = log.last();
    drop(log);
    let Some(whole) = whole else { return };
    let (log, again) = match Oplog::open(dir, options()) {
        Ok(opened) => opened,
        Err(error) => panic!("what could be opened cannot be opened again: {error}"),
    };
    assert_eq!(
        (again.last, again.torn_tail),
        (last, None),
        "what was found and written is there"
    );
    assert_eq!(
        read(&log, first, last).map(|entries| entries[..whole.len()].to_vec()),
        Some(whole)
    );
}

/// All entries; `None` if one that stands before the last segment is damaged, which is found only now.
fn read(log: &Oplog, first: u64, last: Position) -> Option<Vec<(Position, Vec<u8>)>> {
    let mut reader = log.reader(first).ok()?;
    let mut entries: Vec<(Position, Vec<u8>)> = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(entry)) => {
                let position = entry.header.position;
                let expected = entries.last().map_or(first, |(before, _)| before.index + 1);
                assert_eq!(position.index, expected);
                assert!(entries.last().is_none_or(|(before, _)| before.term <= position.term));
                entries.push((position, entry.payload));
            }
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error.kind(), OplogErrorKind::Corrupt, "{error}");
                return None;
            }
        }
    }
    if let Some((position, _)) = entries.last() {
        assert_eq!(*position, last);
    }
    Some(entries)
}
