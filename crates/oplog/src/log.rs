//! The end of the log at which entries are appended, owned by the partition's single writer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_types::Position;

use crate::disk::{Disk, Faults};
use crate::error::OplogError;
use crate::format::{RECORDS_START, SegmentHeader, encode_record, seal_records};
use crate::helper::Helper;
use crate::open::{Opened, open};
use crate::options::{Options, Retention, SyncPolicy};
use crate::reader::Reader;
use crate::segment::{Segment, segment_path};
use crate::shared::Shared;
use crate::spares::Spares;
use crate::syncer::Syncer;

/// A write buffer that grew for a large batch is given back past this size.
const KEEP_BYTES_MAX: usize = 4 << 20;

/// The appending side of the log, owned by the partition's single writer.
///
/// Dropping it syncs nothing: what was written is in the page cache, as after kill -9. [`Oplog::close`] is the
/// orderly end. One process at a time may have a log open; the owner of the data directory sees to that.
pub struct Oplog {
    pub(crate) disk: Arc<Disk>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) syncer: Arc<Syncer>,
    pub(crate) spares: Arc<Spares>,
    pub(crate) helper: Helper,
    pub(crate) options: Options,
    /// The segment being written to.
    pub(crate) active: Arc<Segment>,
    /// Last written.
    pub(crate) written: Position,
    /// Last pushed.
    pub(crate) pushed: Position,
    /// Records pushed and not yet written; their checksums are still missing.
    pub(crate) buffer: Vec<u8>,
    spare_wanted: bool,
}

/// Figures about a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Index of the first entry, or that it will have.
    pub first_index: u64,
    /// Index of the last entry written; `first_index - 1` if there is none.
    pub last_index: u64,
    /// Number of segments, the one being written to included.
    pub segments: usize,
    /// Bytes that the segments and spare files have on the disk, preallocated ones included.
    pub bytes: u64,
    /// Bytes of records written since the log was opened, their headers included.
    pub appended_bytes_total: u64,
    /// Spare files: preallocated or kept for reuse.
    pub spares: usize,
    /// How many files have been reused since the log was opened.
    pub recycled_total: u64,
    /// Of these, what retention would have let go and is kept because somebody needs it, as of the last collection.
    pub pinned_bytes: u64,
    /// Number of live readers.
    pub readers: usize,
    /// Lowest index that a live reader wants next.
    pub reader_min_index: Option<u64>,
}

impl Oplog {
    /// Opens the log in `dir`; makes an empty one if there is none.
    ///
    /// # Errors
    /// `Corrupt` if records or segment headers are damaged (nothing is changed then), `NoSpace` if a new log
    /// has no room, `Io`.
    pub fn open(dir: &Path, mut options: Options) -> Result<(Oplog, Opened), OplogError> {
        options.segment_bytes = options.segment_bytes.max(4096);
        let disk = Arc::new(Disk::open(dir)?);
        let parts = open(&disk, &options)?;
        let last = parts.opened.last;
        let active = parts.active;
        let syncer = Arc::new(Syncer::new(disk.clone(), parts.watermark, parts.mark, last));
        syncer.hold_until_durable(options.sync == SyncPolicy::Always);
        let spares = Arc::new(parts.spares);
        let helper = Helper::start(syncer.clone(), spares.clone())?;
        let log = Oplog {
            disk,
            shared: Arc::new(Shared::new(syncer.clone(), parts.segments)),
            syncer,
            spares,
            helper,
            options,
            active,
            written: last,
            pushed: last,
            buffer: Vec::new(),
            spare_wanted: false,
        };
        Ok((log, parts.opened))
    }

    /// Position of the last entry, pushed ones included. After a failed [`Oplog::write`] it is again what it was
    /// before the batch. [`Syncer::written`] has the last written one.
    pub fn last(&self) -> Position {
        self.pushed
    }

    /// Index of the first entry still in the log, or that the first will have.
    pub fn first_index(&self) -> u64 {
        self.shared.first_index()
    }

    /// Adds an entry to the batch, in memory. Its index is that of [`Oplog::last`] plus one, and its term not
    /// older.
    ///
    /// # Panics
    /// If index or term do not follow, or the payload has more than [`crate::PAYLOAD_BYTES_MAX`] bytes: written,
    /// such an entry would make the log unreadable.
    pub fn push(&mut self, position: Position, timestamp: u64, payload: &[u8]) {
        assert!(
            position.index == self.pushed.index + 1 && position.term >= self.pushed.term,
            "entry {position} cannot follow {} in the log",
            self.pushed
        );
        encode_record(&mut self.buffer, position, timestamp, payload);
        self.pushed = position;
    }

    /// Bytes pushed and not yet written, record headers included.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Drops the entries that have been pushed and not written.
    pub fn discard_pushed(&mut self) {
        self.buffer.clear();
        self.pushed = self.written;
    }

    /// Writes the batch with one system call, and returns the last position written. It is in the page cache
    /// then: it survives the process, not the machine.
    ///
    /// # Errors
    /// Nothing of the batch counts, and it is dropped. `NoSpace`: the log is as before, and takes writes when
    /// there is room. `Io`: as before, too. `Poisoned`: an fdatasync failed, or the file could not be cut back
    /// to where it was.
    pub fn write(&mut self) -> Result<Position, OplogError> {
        if self.buffer.is_empty() {
            self.syncer.check_poison()?;
            return Ok(self.written);
        }
        let outcome = self.write_batch();
        match outcome {
            Ok(()) => self.written = self.pushed,
            Err(_) => self.pushed = self.written,
        }
        self.buffer.clear();
        if self.buffer.capacity() > KEEP_BYTES_MAX {
            self.buffer = Vec::new();
        }
        outcome.map(|()| self.written)
    }

    fn write_batch(&mut self) -> Result<(), OplogError> {
        self.syncer.check_poison()?;
        let length = self.buffer.len() as u64;
        let end = self.active.end();
        if end > RECORDS_START && end + length > self.active.capacity() {
            self.roll_over()?;
        }
        seal_records(&mut self.buffer, self.active.crc_seed);
        let segment = &self.active;
        let end = segment.end();
        if let Err(error) = self.disk.write_all_at(&segment.file, &segment.path, &self.buffer, end) {
            self.cut_back(end)?;
            return Err(error);
        }
        segment.end.store(end + length, Ordering::Release);
        segment.capacity.fetch_max(end + length, Ordering::Relaxed);
        self.syncer.publish(segment, self.pushed);
        self.shared.appended_bytes_total.fetch_add(length, Ordering::Relaxed);
        match self.options.sync {
            // The tail moves when this is durable.
            SyncPolicy::Always => {}
            SyncPolicy::EverySec => {
                self.shared.tail_moved();
                self.helper.schedule_sync();
            }
            SyncPolicy::Os => self.shared.tail_moved(),
        }
        if !self.spare_wanted && (end + length) > segment.capacity() / 2 {
            self.spare_wanted = true;
            self.helper.want_spare();
        }
        Ok(())
    }

    /// Removes what a failed write has left. Some of it may be whole records, which would count at the next
    /// start, though the caller was told that they do not.
    fn cut_back(&self, end: u64) -> Result<(), OplogError> {
        let segment = &self.active;
        if let Err(error) = self.disk.truncate(&segment.file, &segment.path, end) {
            self.syncer.poison(&error);
            return self.syncer.check_poison();
        }
        // Without the preallocation the next write asks for its space itself.
        if let Err(error) = self.disk.allocate(&segment.file, &segment.path, segment.capacity()) {
            tracing::debug!(%error, "the log segment in use could not be preallocated again");
        }
        Ok(())
    }

    /// Goes on in a new segment. On error the log stays in the old one, unchanged.
    fn roll_over(&mut self) -> Result<(), OplogError> {
        let next = Arc::new(self.start_segment(self.written, self.active.header.generation, false)?);
        self.active.last_index.store(self.written.index, Ordering::Release);
        self.active.sealed_ms.store(0, Ordering::Relaxed);
        self.shared.segments.lock().push_back(next.clone());
        self.active = next;
        self.spare_wanted = false;
        self.helper.want_sync();
        Ok(())
    }

    /// Gives a spare file a header and a name. The name, and the header unless `header_synced`, are synced
    /// together with the first entries.
    pub(crate) fn start_segment(
        &self,
        previous: Position,
        generation: u64,
        header_synced: bool,
    ) -> Result<Segment, OplogError> {
        let spare = self.spares.take()?;
        let header = SegmentHeader {
            first_index: previous.index + 1,
            previous_term: previous.term,
            generation,
            ..spare.header
        };
        let path = segment_path(self.disk.path(), header.first_index);
        let started = self.disk.write_all_at(&spare.file, &spare.path, &header.encode(), 0);
        let started = started.and_then(|()| match header_synced {
            true => self.disk.sync_data(&spare.file, &spare.path),
            false => Ok(()),
        });
        let started = started.and_then(|()| self.disk.rename(&spare.path, &path));
        started.inspect_err(|_| self.spares.discard(&spare.path))?;
        self.syncer.dir_changed();
        Ok(Segment::new(path, spare.file, header, spare.capacity, RECORDS_START))
    }

    /// The handle with which other threads make entries durable.
    pub fn syncer(&self) -> Arc<Syncer> {
        self.syncer.clone()
    }

    /// Changes when entries become durable. `Always` is carried out by those who acknowledge; entries written
    /// before under another policy become durable with the next sync.
    pub fn set_sync(&mut self, policy: SyncPolicy) {
        if self.options.sync != policy {
            self.syncer.hold_until_durable(policy == SyncPolicy::Always);
        }
        self.options.sync = policy;
        if policy != SyncPolicy::Os && self.syncer.durable_index() < self.syncer.written_index() {
            self.helper.schedule_sync();
        }
    }

    /// When entries become durable.
    pub fn sync_policy(&self) -> SyncPolicy {
        self.options.sync
    }

    /// Changes how much is retained; takes effect with the next [`Oplog::collect_but`].
    pub fn set_retention(&mut self, retention: Retention) {
        self.options.retention_bytes_max = retention.bytes_max;
        self.options.retention_ms_max = retention.ms_max;
        self.options.pinned_bytes_max = retention.pinned_bytes_max;
    }

    /// A reader whose first entry is `from_index`, which may be the one after the last.
    ///
    /// # Errors
    /// `Collected` if the log starts later, `Diverged` if it ends before, `Corrupt`, `Io`.
    pub fn reader(&self, from_index: u64) -> Result<Reader, OplogError> {
        Reader::new(self.shared.clone(), from_index)
    }

    /// A handle with which other threads make readers; it does not keep the log open.
    pub fn readers(&self) -> Readers {
        Readers {
            shared: self.shared.clone(),
            spares: self.spares.clone(),
        }
    }

    /// Figures about the log.
    pub fn stats(&self) -> Stats {
        self.readers().stats()
    }

    /// Lets system calls fail, for tests.
    pub fn faults(&self) -> &Faults {
        &self.disk.faults
    }

    /// Writes what was pushed, syncs, and closes the log.
    ///
    /// # Errors
    /// As [`Oplog::write`] and [`Syncer::sync`]; the log is closed all the same.
    pub fn close(mut self) -> Result<Position, OplogError> {
        self.write()?;
        let durable = self.syncer.sync()?;
        self.syncer.write_watermark_durably()?;
        Ok(durable)
    }
}

/// Makes readers of a log; cheap to clone, for any thread.
#[derive(Clone)]
pub struct Readers {
    shared: Arc<Shared>,
    spares: Arc<Spares>,
}

impl Readers {
    /// Figures about the log, as of now: the writer is not waited for.
    pub fn stats(&self) -> Stats {
        let (segments, bytes, first_index) = {
            let segments = self.shared.segments.lock();
            let bytes: u64 = segments.iter().map(|segment| segment.capacity()).sum();
            (
                segments.len(),
                bytes,
                segments.front().map_or(1, |segment| segment.first_index()),
            )
        };
        let (spares, spare_bytes) = self.spares.held();
        let (readers, reader_min_index) = self.shared.pins();
        Stats {
            first_index,
            last_index: self.shared.syncer.written_index(),
            segments,
            bytes: bytes + spare_bytes,
            appended_bytes_total: self.shared.appended_bytes_total.load(Ordering::Relaxed),
            spares,
            recycled_total: self.spares.recycled_total(),
            pinned_bytes: self.shared.pinned_bytes.load(Ordering::Relaxed),
            readers,
            reader_min_index,
        }
    }

    /// Index of the first entry still in the log, or that the first will have.
    pub fn first_index(&self) -> u64 {
        self.shared.first_index()
    }

    /// Bytes written from the entry `index` on, rounded to whole segments: what is kept for one who needs it.
    pub fn bytes_from(&self, index: u64) -> u64 {
        if index > self.shared.syncer.written_index() {
            return 0;
        }
        let segments = self.shared.segments.lock();
        let needed = segments
            .iter()
            .rev()
            .take_while(|segment| segment.last_index() >= index);
        needed.map(|segment| segment.end()).sum()
    }

    /// As [`Oplog::reader`].
    ///
    /// # Errors
    /// As [`Oplog::reader`].
    pub fn reader(&self, from_index: u64) -> Result<Reader, OplogError> {
        Reader::new(self.shared.clone(), from_index)
    }

    /// Has those look again who wait in [`Reader::wait_or`]; costs one load if nobody does.
    pub fn wake(&self) {
        self.shared.tail_moved();
    }
}
