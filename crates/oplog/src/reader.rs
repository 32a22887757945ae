//! Readers, which follow the log as it grows.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use crate::cursor::{Cursor, Step};
use crate::error::OplogError;
use crate::format::{Entry, EntryHeader, OwnedEntry, RECORDS_START};
use crate::segment::Segment;
use crate::shared::{Pin, Shared};

/// Reads the entries in order, each verified, and follows the log as it grows. It shows what has been written,
/// durable or not.
///
/// While it lives its place shows in [`crate::Stats`]. Segments that it still needs stay within the retention
/// caps; past them it gets `Collected`. If entries that it has returned are cut off, it gets `Diverged`, always.
pub struct Reader {
    shared: Arc<Shared>,
    pin: Arc<Pin>,
    segment: Arc<Segment>,
    cursor: Cursor,
    /// `Shared::cuts` when the cursor was placed.
    cuts: u64,
    next: u64,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, from_index: u64) -> Result<Reader, OplogError> {
        let cuts = shared.settled_cuts();
        let last = shared.syncer.written_index();
        let segment = shared.segment_of(from_index)?;
        if from_index > last + 1 {
            return Err(OplogError::Diverged {
                wanted: from_index,
                last,
            });
        }
        let pin = shared.add_pin(from_index);
        let cursor = Cursor::at_start(&segment);
        let mut reader = Reader {
            shared,
            pin,
            segment,
            cursor,
            cuts,
            next: from_index,
        };
        reader.seek()?;
        Ok(reader)
    }

    /// Index of the entry that [`Reader::next`] returns next.
    pub fn next_index(&self) -> u64 {
        self.next
    }

    /// Bytes of log between here and its end.
    pub fn unread_bytes(&self) -> u64 {
        if self.next > self.shared.syncer.written_index() {
            return 0;
        }
        let segments = self.shared.segments.lock();
        let after = segments
            .iter()
            .rev()
            .take_while(|segment| segment.first_index() > self.segment.first_index());
        let after: u64 = after.map(|segment| segment.end().saturating_sub(RECORDS_START)).sum();
        after + self.segment.end().saturating_sub(self.cursor.offset)
    }

    /// The next entry; `None` at the end of the log.
    ///
    /// # Errors
    /// `Collected` or `Diverged`: this reader is of no more use. `Corrupt`: the entry is damaged; it is never
    /// skipped, and asking again says the same. `Io`.
    #[allow(clippy::should_implement_trait)] // an iterator could not go on after its end
    pub fn next(&mut self) -> Result<Option<OwnedEntry>, OplogError> {
        let entry = self.next_borrowed()?;
        Ok(entry.map(|entry| OwnedEntry {
            header: entry.header,
            payload: entry.payload.to_vec(),
        }))
    }

    /// As [`Reader::next`], without a copy of the payload.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub fn next_borrowed(&mut self) -> Result<Option<Entry<'_>>, OplogError> {
        let found = self.advance()?;
        Ok(found.map(|(header, payload)| Entry {
            header,
            payload: &self.cursor.bytes()[payload],
        }))
    }

    /// Waits until [`Reader::next`] has something to say that may be passed on ([`crate::Syncer::safe_index`]), an error
    /// included; false if the time is up before.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.wait_or(timeout, || false)
    }

    /// As [`Reader::wait`], or until `other` holds, which is looked at whenever the log grows and when somebody calls
    /// [`crate::Readers::wake`].
    pub fn wait_or(&self, timeout: Duration, other: impl Fn() -> bool) -> bool {
        self.shared.syncer.tail.wait(timeout, || {
            self.shared.syncer.safe_index() >= self.next || self.pin.diverged.load(Ordering::SeqCst) || other()
        })
    }

    fn diverged(&self) -> OplogError {
        OplogError::Diverged {
            wanted: self.next,
            last: self.shared.syncer.written_index(),
        }
    }

    fn advance(&mut self) -> Result<Option<(EntryHeader, Range<usize>)>, OplogError> {
        loop {
            if self.pin.diverged.load(Ordering::SeqCst) {
                return Err(self.diverged());
            }
            if self.cuts != self.shared.cuts() {
                self.seek()?;
            }
            if self.next > self.shared.syncer.written_index() {
                return Ok(None);
            }
            if self.next > self.segment.last_index() {
                self.segment = self.shared.segment_of(self.next)?;
                if self.segment.first_index() != self.next {
                    // The log was cut back into this segment since; or it is a bug, which the seek would find.
                    self.seek()?;
                } else {
                    self.cursor.enter(&self.segment);
                }
                continue;
            }
            let limit = self.segment.end();
            let step = self.cursor.step(&self.segment, limit);
            // Only now it is known whether what was read was still the log.
            if self.segment.is_collected() {
                // Given away by a cut: seek again. Given away by collect: say so.
                self.cursor.forget();
                if self.cuts != self.shared.cuts() {
                    continue;
                }
                return Err(OplogError::Collected {
                    wanted: self.next,
                    first: self.shared.first_index(),
                });
            }
            match step {
                Ok(Step::Entry(header, payload)) => {
                    // The pin moves first, then the cuts are looked at; see `Shared::cut_from`.
                    self.pin.next.store(self.next + 1, Ordering::SeqCst);
                    fence(Ordering::SeqCst);
                    if self.cuts != self.shared.cuts() {
                        self.pin.next.store(self.next, Ordering::SeqCst);
                        continue;
                    }
                    self.next += 1;
                    return Ok(Some((header, payload)));
                }
                _ if self.cuts != self.shared.cuts() => {}
                Ok(Step::Bad(bad)) => return Err(self.segment.corrupt(self.cursor.offset, self.next, bad)),
                Err(e) => return Err(OplogError::io("read", &self.segment.path, e)),
            }
        }
    }

    /// Finds the record `next` from the start of its segment.
    fn seek(&mut self) -> Result<(), OplogError> {
        'again: loop {
            self.cuts = self.shared.settled_cuts();
            // The end first: a segment for what is written by then exists already.
            let last = self.shared.syncer.written_index();
            self.segment = self.shared.segment_of(self.next)?;
            if self.cuts != self.shared.cuts() {
                continue;
            }
            if self.next > last + 1 {
                return Err(self.diverged());
            }
            self.cursor = Cursor::at_start(&self.segment);
            let limit = self.segment.end();
            while self.cursor.index < self.next {
                let step = self.cursor.step(&self.segment, limit);
                if self.cuts != self.shared.cuts() {
                    continue 'again;
                }
                if self.segment.is_collected() {
                    return Err(OplogError::Collected {
                        wanted: self.next,
                        first: self.shared.first_index(),
                    });
                }
                match step {
                    Ok(Step::Entry(..)) => {}
                    Ok(Step::Bad(bad)) => {
                        return Err(self.segment.corrupt(self.cursor.offset, self.cursor.index, bad));
                    }
                    Err(e) => return Err(OplogError::io("read", &self.segment.path, e)),
                }
            }
            return Ok(());
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.remove_pin(&self.pin);
    }
}
