//! The entries that are on disk, for followers that are far behind.

use std::fmt;

use bytes::Bytes;
use haypile_consensus::{Entry, LogError, LogReader};
use haypile_oplog::{OplogError, OplogErrorKind, Reader, Readers};
use parking_lot::Mutex;

/// Reads from the partition's log.
pub(crate) struct DiskReader {
    readers: Readers,
    /// Where the last reading has ended: whoever is behind asks for what follows.
    last: Mutex<Option<Reader>>,
}

impl fmt::Debug for DiskReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskReader").finish_non_exhaustive()
    }
}

impl DiskReader {
    pub(crate) fn new(readers: Readers) -> Self {
        DiskReader {
            readers,
            last: Mutex::new(None),
        }
    }

    fn read_from(&self, from: u64, to: u64, bytes_max: u64) -> Result<Vec<Entry>, OplogError> {
        let mut last = self.last.lock();
        let mut reader = match last.take() {
            Some(reader) if reader.next_index() == from => reader,
            _ => self.readers.reader(from)?,
        };
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while reader.next_index() < to && (entries.is_empty() || bytes < bytes_max) {
            let Some(entry) = reader.next_borrowed()? else { break };
            bytes += entry.payload.len() as u64;
            entries.push(Entry {
                position: entry.header.position,
                timestamp: entry.header.timestamp,
                payload: Bytes::copy_from_slice(entry.payload),
            });
        }
        // A reader that stays keeps the log: only one that is likely to go on does.
        *last = (reader.next_index() < to).then_some(reader);
        Ok(entries)
    }
}

impl LogReader for DiskReader {
    fn read(&self, from: u64, to: u64, bytes_max: u64) -> Result<Vec<Entry>, LogError> {
        let read = self
            .read_from(from, to, bytes_max)
            .map_err(|error| match error.kind() {
                OplogErrorKind::Collected => LogError::Collected(from),
                _ => LogError::Unreadable(error.to_string()),
            })?;
        match read.first() {
            Some(first) if first.position.index == from => Ok(read),
            _ => Err(LogError::Unreadable(format!("entry {from} is not written yet"))),
        }
    }
}
