//! The bytes of a segment: header and records. The layout is drawn in the crate's documentation.

use std::fmt;

use haypile_types::Position;

pub(crate) const MAGIC: &[u8; 8] = b"HAYPOPLG";
/// Version of the segment format that is written.
pub const FORMAT_VERSION: u32 = 1;
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// Where the first record of a segment stands.
pub(crate) const RECORDS_START: u64 = SEGMENT_HEADER_BYTES as u64;
pub(crate) const RECORD_HEADER_BYTES: usize = 32;
/// Largest payload of one entry, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = (1 << 31) - 4096;
pub(crate) const RECORD_BYTES_MAX: u32 = (PAYLOAD_BYTES_MAX + RECORD_HEADER_BYTES) as u32;
const FLAG_RECYCLED: u32 = 1;

/// What precedes an entry's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHeader {
    /// Term and index.
    pub position: Position,
    /// Hybrid logical clock; opaque to the log.
    pub timestamp: u64,
}

/// An entry, borrowed from a reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Position and time.
    pub header: EntryHeader,
    /// What was pushed.
    pub payload: &'a [u8],
}

/// An entry with a payload of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedEntry {
    /// Position and time.
    pub header: EntryHeader,
    /// What was pushed.
    pub payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) log_id: u64,
    /// Part of every record's checksum; new each time the file is put to use, so that records of its earlier
    /// lives fail.
    pub(crate) salt: u64,
    /// 0 while the file is a spare.
    pub(crate) first_index: u64,
    /// Term of the entry before the first.
    pub(crate) previous_term: u64,
    /// Grows with each reset; the segments of the highest one are the log.
    pub(crate) generation: u64,
    /// What follows the end of the log may be records of an earlier life rather than zeros.
    pub(crate) recycled: bool,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        let flags = if self.recycled { FLAG_RECYCLED } else { 0 };
        out[12..16].copy_from_slice(&flags.to_le_bytes());
        let words = [
            self.log_id,
            self.salt,
            self.first_index,
            self.previous_term,
            self.generation,
        ];
        for (at, word) in words.iter().enumerate() {
            out[16 + at * 8..24 + at * 8].copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header; the error is the reason in words.
    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, String> {
        if &bytes[..8] != MAGIC {
            return Err("the segment header does not start with HAYPOPLG".into());
        }
        // The checksum goes first: a flipped bit in the version is damage, not a file of a newer program.
        // Later versions have to keep it at this place.
        if crc32c::crc32c(&bytes[..60]) != u32_at(bytes, 60) {
            return Err("the segment header fails its checksum".into());
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(format!(
                "the segment has format version {version}, and this program knows version {FORMAT_VERSION} only; \
                 the file is intact: start the program that wrote it"
            ));
        }
        Ok(SegmentHeader {
            log_id: u64_at(bytes, 16),
            salt: u64_at(bytes, 24),
            first_index: u64_at(bytes, 32),
            previous_term: u64_at(bytes, 40),
            generation: u64_at(bytes, 48),
            recycled: u32_at(bytes, 12) & FLAG_RECYCLED != 0,
        })
    }

    /// The checksum state with which every record of this segment begins.
    pub(crate) fn crc_seed(&self) -> u32 {
        crc32c::crc32c(&self.salt.to_le_bytes())
    }
}

/// Why the bytes at some place are not the record that should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadRecord {
    /// Length zero, or no room for a record: how an undamaged log ends.
    End,
    /// No record has this length, or it reaches past the end of the segment.
    Length(u32),
    /// Damaged, half written, or of an earlier life of the file.
    Checksum,
    /// Whole, and of this segment, but not the next one.
    Index { found: u64 },
    /// Whole, but its term is older than that of the entry before it.
    Term { found: u64, previous: u64 },
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRecord::End => f.write_str("the record is missing"),
            BadRecord::Length(length) => write!(f, "the record's length of {length} bytes is impossible"),
            BadRecord::Checksum => f.write_str("the record fails its checksum"),
            BadRecord::Index { found } => write!(f, "a gap: the record found there has index {found}"),
            BadRecord::Term { found, previous } => write!(f, "the term goes back from {previous} to {found}"),
        }
    }
}

/// Appends a record whose checksum [`seal_records`] fills in once the segment, and so the salt, is known.
pub(crate) fn encode_record(out: &mut Vec<u8>, position: Position, timestamp: u64, payload: &[u8]) {
    assert!(
        payload.len() <= PAYLOAD_BYTES_MAX,
        "a log entry of {} bytes",
        payload.len()
    );
    let length = (RECORD_HEADER_BYTES + payload.len()) as u32;
    let mut header = [0; RECORD_HEADER_BYTES];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[8..16].copy_from_slice(&position.term.to_le_bytes());
    header[16..24].copy_from_slice(&position.index.to_le_bytes());
    header[24..32].copy_from_slice(&timestamp.to_le_bytes());
    out.reserve(length as usize);
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

/// Fills in the checksums of the records of which `bytes` consists.
pub(crate) fn seal_records(bytes: &mut [u8], seed: u32) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = u32_at(rest, 0) as usize;
        let (record, after) = rest.split_at_mut(length);
        let crc = record_crc(record, seed);
        record[4..8].copy_from_slice(&crc.to_le_bytes());
        rest = after;
    }
}

fn record_crc(record: &[u8], seed: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &record[..4]), &record[8..])
}

/// The length that the record at the start of `bytes` (at least 4) claims, if a record of at most `room` bytes
/// can have it.
pub(crate) fn record_length(bytes: &[u8], room: u64) -> Result<usize, BadRecord> {
    match u32_at(bytes, 0) {
        0 => Err(BadRecord::End),
        length if (length as usize) < RECORD_HEADER_BYTES || length > RECORD_BYTES_MAX || u64::from(length) > room => {
            Err(BadRecord::Length(length))
        }
        length => Ok(length as usize),
    }
}

/// Verifies a whole record (exactly as long as it claims) and reads its header.
pub(crate) fn check_record(record: &[u8], seed: u32) -> Result<EntryHeader, BadRecord> {
    if record_crc(record, seed) != u32_at(record, 4) {
        return Err(BadRecord::Checksum);
    }
    let position = Position::new(u64_at(record, 8), u64_at(record, 16));
    Ok(EntryHeader {
        position,
        timestamp: u64_at(record, 24),
    })
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        log_id: 7,
        salt: 9,
        first_index: 100,
        previous_term: 3,
        generation: 2,
        recycled: true,
    };

    #[test]
    fn a_segment_header_survives_the_round_trip_and_no_flipped_bit() {
        let bytes = HEADER.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(HEADER));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = HEADER.encode();
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        assert!(SegmentHeader::decode(&bytes).unwrap_err().contains("version 2"));
    }

    #[test]
    fn a_record_checks_with_its_own_salt_only() {
        let mut bytes = Vec::new();
        encode_record(&mut bytes, Position::new(1, 5), 77, b"payload");
        seal_records(&mut bytes, HEADER.crc_seed());
        let expected = EntryHeader {
            position: Position::new(1, 5),
            timestamp: 77,
        };
        assert_eq!(check_record(&bytes, HEADER.crc_seed()), Ok(expected));
        let other = SegmentHeader { salt: 10, ..HEADER };
        assert_eq!(check_record(&bytes, other.crc_seed()), Err(BadRecord::Checksum));
    }
}
