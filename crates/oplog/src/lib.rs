//! The log on disk: one per partition, written by one writer, followed by any number of readers.
//!
//! [`Oplog`] appends: entries are pushed into a batch, and a batch is one system call. [`Syncer`] makes what was
//! written durable, from any thread, with one fdatasync for all who wait. [`Reader`] reads from any index and
//! follows the tail. Indexes are contiguous and terms never go back.
//!
//! # Files
//! A directory holds
//! - `00000000000000000001.log` …: segments, named by the index of their first entry. All but the last are full.
//! - `spare-00000000` …: files for segments to come, preallocated, or collected segments to be written over.
//! - `synced`: up to where the log was once known to be durable; a hint, see below.
//!
//! All numbers are little-endian. CRC is CRC-32C (Castagnoli).
//!
//! ## Segment, format version 1
//! The header, 64 bytes:
//! ```text
//!  0  8  magic "HAYPOPLG"
//!  8  4  format version, 1
//! 12  4  flags: bit 0 = the file has had an earlier life, so stale bytes may follow the last record
//! 16  8  log id: random, the same in all segments of a log
//! 24  8  salt: random, new each time the file is put to use
//! 32  8  index of the first entry; 0 in a spare file
//! 40  8  term of the entry before the first; 0 if there is none
//! 48  8  generation: 1, plus one with each reset; only segments of the highest generation are the log
//! 56  4  reserved, zero
//! 60  4  CRC of bytes 0 to 59
//! ```
//! Then records, without gaps or alignment:
//! ```text
//!  0  4  length of the whole record in bytes, this header included: 32 to 2^31 - 4064
//!  4  4  CRC of: the segment's salt (8 bytes), bytes 0 to 3, bytes 8 to the end
//!  8  8  term
//! 16  8  index
//! 24  8  timestamp (opaque to the log)
//! 32  -  payload
//! ```
//! The file is preallocated. What follows the last record is zeros, or records of the file's earlier life, whose
//! CRC has another salt. A record is never split over two segments, nor is a batch.
//!
//! ## `synced`, version 1
//! ```text
//!  0  8  magic "HAYPSYNC"
//!  8  4  version, 1
//! 12  4  reserved, zero
//! 16  8  log id
//! 24  8  generation
//! 32  8  boot: the two halves of the kernel's boot id, xor-ed; 0 = unknown
//! 40  8  index up to which the log was durable
//! 48 12  reserved, zero
//! 60  4  CRC of bytes 0 to 59
//! ```
//! It may be missing or out of date (too low), and is written at most once a second.
//!
//! # How the end is found
//! Opening reads the last segment up to the first record that is not good. If nothing good follows it there, the
//! log ends at it; a half-written record is cut off and reported as [`TornTail`]. If a good record with a later
//! index does follow, the log is damaged: [`OplogError::Corrupt`], and nothing is changed. So is a bad record in
//! any other segment, which is found when it is read. One exception: when the machine was restarted since the log
//! was written (the boot in `synced` says so), pages may be missing that were never synced, in any order; then a
//! bad record past the index in `synced` is where the log ends, whatever follows, and what follows is cut off.
//! In that case everything from that index on is read.
//!
//! # What is synced when
//! A spare's header is on the disk before the spare is used. Starting a segment writes the first index into the
//! header and renames the file, without waiting; the next sync covers the segment before, this one, and the
//! directory, in this order, and only then calls any entry in it durable. A reset syncs the new segment, renames
//! it, and syncs the directory before it removes the old ones.

#![forbid(unsafe_code)]

mod cursor;
mod disk;
mod error;
mod format;
mod helper;
mod log;
mod open;
mod options;
mod reader;
mod scan;
mod segment;
mod shared;
mod spares;
mod syncer;
mod tail;
mod terms;
mod trim;
mod watermark;

pub use disk::Faults;
pub use error::{OplogError, OplogErrorKind};
pub use format::{Entry, EntryHeader, FORMAT_VERSION, OwnedEntry, PAYLOAD_BYTES_MAX};
pub use log::{Oplog, Readers, Stats};
pub use open::{Opened, TornTail};
pub use options::{Options, Retention, SyncPolicy};
pub use reader::Reader;
pub use syncer::Syncer;
pub use trim::{Collected, Wanted};
