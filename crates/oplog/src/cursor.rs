//! Reads records one after another in large pieces and verifies each.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::format::{BadRecord, EntryHeader, RECORD_HEADER_BYTES, RECORDS_START, check_record, record_length};
use crate::segment::Segment;

/// How much is read ahead.
const READ_BYTES: usize = 1 << 20;
/// A buffer that grew for a large record is given back past this size.
const KEEP_BYTES_MAX: usize = 8 << 20;

/// A place in one segment, with a piece of the file around it.
#[derive(Debug)]
pub(crate) struct Cursor {
    buffer: Vec<u8>,
    /// How many bytes of `buffer` are of the file.
    filled: usize,
    /// Where in the file `buffer` starts.
    start: u64,
    /// Where in the file the next record starts.
    pub(crate) offset: u64,
    /// Index that the next record must have.
    pub(crate) index: u64,
    /// Term of the record before.
    pub(crate) term: u64,
}

/// What stands at the cursor.
pub(crate) enum Step {
    /// The next entry; the cursor has passed it. The payload's place is within [`Cursor::bytes`].
    Entry(EntryHeader, Range<usize>),
    /// Not the record that should be here; the cursor has not moved.
    Bad(BadRecord),
}

impl Cursor {
    /// Stands at the first record of a segment.
    pub(crate) fn at_start(segment: &Segment) -> Cursor {
        Cursor {
            buffer: Vec::new(),
            filled: 0,
            start: 0,
            offset: RECORDS_START,
            index: segment.header.first_index,
            term: segment.header.previous_term,
        }
    }

    /// Moves to the first record of the segment that follows, and keeps the buffer's memory.
    pub(crate) fn enter(&mut self, segment: &Segment) {
        self.filled = 0;
        self.offset = RECORDS_START;
        self.index = segment.header.first_index;
    }

    /// Reads and verifies the record here; bytes from `limit` on are not looked at.
    pub(crate) fn step(&mut self, segment: &Segment, limit: u64) -> io::Result<Step> {
        let room = limit.saturating_sub(self.offset);
        if room < RECORD_HEADER_BYTES as u64 {
            return Ok(Step::Bad(BadRecord::End));
        }
        let Some(at) = self.load(&segment.file, RECORD_HEADER_BYTES, limit)? else {
            return Ok(Step::Bad(BadRecord::End));
        };
        let length = match record_length(&self.buffer[at..], room) {
            Ok(length) => length,
            Err(bad) => return Ok(Step::Bad(bad)),
        };
        let Some(at) = self.load(&segment.file, length, limit)? else {
            return Ok(Step::Bad(BadRecord::Length(length as u32)));
        };
        let header = match check_record(&self.buffer[at..at + length], segment.crc_seed) {
            Ok(header) => header,
            Err(bad) => return Ok(Step::Bad(bad)),
        };
        let found = header.position;
        if found.index != self.index {
            return Ok(Step::Bad(BadRecord::Index { found: found.index }));
        }
        if found.term < self.term {
            return Ok(Step::Bad(BadRecord::Term {
                found: found.term,
                previous: self.term,
            }));
        }
        self.offset += length as u64;
        self.index += 1;
        self.term = found.term;
        Ok(Step::Entry(header, at + RECORD_HEADER_BYTES..at + length))
    }

    /// What the ranges of [`Step::Entry`] refer to, until the next step.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Forgets what has been read ahead.
    pub(crate) fn forget(&mut self) {
        self.filled = 0;
    }

    /// Makes sure that `need` bytes from the cursor on are in the buffer, and says where in it they start;
    /// `None` if the file ends before.
    fn load(&mut self, file: &File, need: usize, limit: u64) -> io::Result<Option<usize>> {
        let have = (self.start + self.filled as u64).saturating_sub(self.offset);
        if self.offset >= self.start && have >= need as u64 {
            return Ok(Some((self.offset - self.start) as usize));
        }
        let want = (need.max(READ_BYTES) as u64).min(limit - self.offset) as usize;
        if self.buffer.len() > KEEP_BYTES_MAX && want <= READ_BYTES {
            self.buffer = Vec::new();
        }
        if self.buffer.len() < want {
            self.buffer.resize(want, 0);
        }
        self.start = self.offset;
        self.filled = 0;
        while self.filled < want {
            let at = self.start + self.filled as u64;
            match file.read_at(&mut self.buffer[self.filled..want], at) {
                Ok(0) => break,
                Ok(got) => self.filled += got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok((self.filled >= need).then_some(0))
    }
}
