//! Finds the end of a segment's records and judges what stands there.

use std::io;
use std::os::unix::fs::FileExt;

use haypile_types::Position;

use crate::cursor::{Cursor, Step};
use crate::error::OplogError;
use crate::format::{BadRecord, RECORD_HEADER_BYTES, check_record, record_length, u64_at};
use crate::segment::Segment;

/// Where the records of a segment end, and why.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) offset: u64,
    /// Position of the last record, or what precedes the segment.
    pub(crate) last: Position,
    pub(crate) bad: BadRecord,
}

/// Reads all records of a segment, and stops after `last_index` (then `bad` is `End`) or at the first that is bad.
pub(crate) fn find_end(segment: &Segment, last_index: u64) -> Result<End, OplogError> {
    let mut cursor = Cursor::at_start(segment);
    let limit = segment.end();
    let bad = loop {
        if cursor.index > last_index {
            break BadRecord::End;
        }
        match cursor.step(segment, limit) {
            Ok(Step::Entry(..)) => {}
            Ok(Step::Bad(bad)) => break bad,
            Err(e) => return Err(OplogError::io("read", &segment.path, e)),
        }
    };
    Ok(End {
        offset: cursor.offset,
        last: Position::new(cursor.term, cursor.index - 1),
        bad,
    })
}

/// Searches everything after `from` for a record of this segment that checks and whose index is `index` or
/// later; returns that index. It need not stand where the lengths lead: a length may be what is damaged.
pub(crate) fn find_later_record(segment: &Segment, from: u64, index: u64) -> Result<Option<u64>, OplogError> {
    const PIECE_BYTES: usize = 4 << 20;
    let error = |e| OplogError::io("read", &segment.path, e);
    let limit = segment.end();
    let indexes = index..=index.saturating_add(limit.saturating_sub(from) / RECORD_HEADER_BYTES as u64);
    let mut piece = vec![0; PIECE_BYTES.min(limit.saturating_sub(from) as usize)];
    let mut start = from;
    // Pieces overlap by a record header, so that each place has its header within one of them.
    while start + RECORD_HEADER_BYTES as u64 <= limit {
        let got = read_up_to(segment, &mut piece, start, limit).map_err(error)?;
        if got < RECORD_HEADER_BYTES {
            break;
        }
        for at in 0..=got - RECORD_HEADER_BYTES {
            // The index first: it rules out nearly every place, and all records of the file's earlier lives.
            if !indexes.contains(&u64_at(&piece, at + 16)) {
                continue;
            }
            let offset = start + at as u64;
            let Ok(length) = record_length(&piece[at..], limit - offset) else {
                continue;
            };
            let mut record = vec![0; length];
            if read_up_to(segment, &mut record, offset, limit).map_err(error)? < length {
                continue;
            }
            if let Ok(header) = check_record(&record, segment.crc_seed) {
                return Ok(Some(header.position.index));
            }
        }
        start += (got - RECORD_HEADER_BYTES + 1) as u64;
    }
    Ok(None)
}

/// How many bytes at the end of the log look like the beginning of a record that was not finished; 0 if they
/// look like what any log ends with. In a file that has had an earlier life, a stump of fewer than 24 bytes
/// cannot be told from what was there before.
pub(crate) fn torn_bytes(segment: &Segment, end: &End) -> Result<u64, OplogError> {
    let limit = segment.end();
    let mut head = [0; RECORD_HEADER_BYTES];
    let error = |e| OplogError::io("read", &segment.path, e);
    let got = read_up_to(segment, &mut head, end.offset, limit).map_err(error)?;
    let stump = if segment.header.recycled {
        got >= 24 && u64_at(&head, 16) == end.last.index + 1 && end.bad != BadRecord::End
    } else {
        head[..got].iter().any(|&b| b != 0)
    };
    if !stump {
        return Ok(0);
    }
    let room = limit - end.offset;
    Ok(match record_length(&head, room) {
        Ok(length) => length as u64,
        Err(BadRecord::Length(length)) => u64::from(length).min(room),
        Err(_) => got as u64,
    })
}

/// Reads until `out` is full or the file (or `limit`) ends; returns how much.
fn read_up_to(segment: &Segment, out: &mut [u8], at: u64, limit: u64) -> io::Result<usize> {
    let want = (limit.saturating_sub(at)).min(out.len() as u64) as usize;
    let mut got = 0;
    while got < want {
        match segment.file.read_at(&mut out[got..want], at + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}
