//! One file of the log: its name, its header, and how it is read and written.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::disk::Disk;
use crate::error::OplogError;
use crate::format::{SEGMENT_HEADER_BYTES, SegmentHeader};

/// Indexes and generations end far below this: one more can always be counted.
const POSITION_MAX: u64 = 1 << 62;
const SUFFIX: &str = ".log";

/// One file of the log, shared by the writer, the syncer and the readers.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) header: SegmentHeader,
    pub(crate) crc_seed: u32,
    /// Bytes preallocated.
    pub(crate) capacity: AtomicU64,
    /// Readers stay below this byte: the end of what has been written. Of a full segment that has not been
    /// scanned it is the file's length, and `last_index` says where its records end.
    pub(crate) end: AtomicU64,
    /// Last index of a full segment; `u64::MAX` while it is being written to.
    pub(crate) last_index: AtomicU64,
    /// Set before the file is given away for reuse: what a reader gets from it after that is not the log.
    pub(crate) collected: AtomicBool,
    /// When it was filled, in milliseconds since the epoch; 0 = not known yet.
    pub(crate) sealed_ms: AtomicU64,
}

impl Segment {
    /// A segment to write to, with records up to byte `end`.
    pub(crate) fn new(path: PathBuf, file: File, header: SegmentHeader, capacity: u64, end: u64) -> Segment {
        Segment {
            path,
            file,
            header,
            crc_seed: header.crc_seed(),
            capacity: AtomicU64::new(capacity),
            end: AtomicU64::new(end),
            last_index: AtomicU64::new(u64::MAX),
            collected: AtomicBool::new(false),
            sealed_ms: AtomicU64::new(0),
        }
    }

    pub(crate) fn first_index(&self) -> u64 {
        self.header.first_index
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.last_index.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    pub(crate) fn is_collected(&self) -> bool {
        self.collected.load(Ordering::SeqCst)
    }

    pub(crate) fn corrupt(&self, offset: u64, index: u64, reason: impl ToString) -> OplogError {
        OplogError::Corrupt {
            segment: self.path.clone(),
            offset,
            index,
            reason: reason.to_string(),
        }
    }
}

/// The path of the segment that starts at an index.
pub(crate) fn segment_path(dir: &Path, first_index: u64) -> PathBuf {
    dir.join(format!("{first_index:020}{SUFFIX}"))
}

/// The index in a segment's file name; `None` if the file is something else.
pub(crate) fn index_of_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Reads the header of the segment at `path`, whose name says `named_index`.
pub(crate) fn load(disk: &Disk, path: &Path, named_index: u64) -> Result<Segment, OplogError> {
    use std::os::unix::fs::FileExt;

    let corrupt = |reason| OplogError::Corrupt {
        segment: path.to_path_buf(),
        offset: 0,
        index: named_index,
        reason,
    };
    let file = disk.open_file(path)?;
    let meta = file
        .metadata()
        .map_err(|e| OplogError::io("read the length of", path, e))?;
    if meta.len() < SEGMENT_HEADER_BYTES as u64 {
        return Err(corrupt(format!(
            "the file has {} bytes, less than a segment header",
            meta.len()
        )));
    }
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    file.read_exact_at(&mut bytes, 0)
        .map_err(|e| OplogError::io("read", path, e))?;
    let header = SegmentHeader::decode(&bytes).map_err(corrupt)?;
    if header.first_index != 0 && header.first_index != named_index {
        return Err(corrupt(format!(
            "the header says that it starts at entry {}",
            header.first_index
        )));
    }
    if header.first_index > POSITION_MAX || header.generation > POSITION_MAX {
        return Err(corrupt("the header has numbers that no log can have".to_owned()));
    }
    let segment = Segment::new(path.to_path_buf(), file, header, meta.len(), meta.len());
    let modified = meta
        .modified()
        .ok()
        .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    segment
        .sealed_ms
        .store(modified.map_or(0, |d| d.as_millis() as u64), Ordering::Relaxed);
    Ok(segment)
}
