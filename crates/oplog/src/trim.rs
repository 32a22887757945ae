//! Taking entries out of the log: old ones that nobody needs, and new ones that turned out not to count.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_types::Position;

use crate::error::OplogError;
use crate::format::RECORDS_START;
use crate::log::Oplog;
use crate::scan::find_end;
use crate::segment::Segment;

/// What [`Oplog::collect`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Segments released.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Readers that still wanted an entry of them, and now get `Collected`.
    pub readers_left_behind: usize,
}

/// What [`Oplog::collect_but`] leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Index of the first entry that somebody needs who has no reader at the moment.
    pub from: Option<u64>,
    /// Bytes that are to be free on the file system before anything is kept that could go. With less than
    /// `Options::free_bytes_min`, nothing is kept.
    pub free_bytes_min: u64,
}

impl Oplog {
    /// [`Oplog::collect_but`], with nobody who wants anything but the readers.
    ///
    /// # Errors
    /// As there.
    pub fn collect(&mut self, flushed_index: u64, now_ms: u64) -> Result<Collected, OplogError> {
        self.collect_but(flushed_index, now_ms, Wanted::default())
    }

    /// Releases full segments whose entries are all at or before `flushed_index`, the last one that the store has
    /// on the disk. Of these, the newest are kept:
    /// - for readers that come back, as long as they have no more than `retention_bytes_max` and none was filled more
    ///   than `retention_ms_max` before `now_ms` (milliseconds since the epoch);
    /// - beyond that, for readers that there are and for those who are `wanted` to find them, as long as they have no
    ///   more than `pinned_bytes_max`. Past that they go, and the readers are told.
    ///
    /// When there is less room on the file system than is wanted, the oldest go until there is; with less than
    /// `free_bytes_min`, none is kept, nor are spare files.
    ///
    /// # Errors
    /// `Io`; what was released before stays released.
    pub fn collect_but(&mut self, flushed_index: u64, now_ms: u64, wanted: Wanted) -> Result<Collected, OplogError> {
        let free_bytes = self.disk.free_bytes()?;
        let short_of_space = free_bytes < self.options.free_bytes_min;
        let (released, pinned_bytes) = self.release(flushed_index, now_ms, wanted, free_bytes);
        self.shared.pinned_bytes.store(pinned_bytes, Ordering::Relaxed);
        let mut collected = Collected::default();
        if !released.is_empty() {
            collected.readers_left_behind = self.shared.pins_before(self.first_index());
        }
        let keep_files = !short_of_space && free_bytes >= wanted.free_bytes_min;
        for segment in &released {
            // Before its file is written over, so that no reader takes the new content for the old.
            segment.collected.store(true, Ordering::SeqCst);
            self.spares.give(segment, keep_files)?;
            collected.segments += 1;
            collected.bytes += segment.capacity();
        }
        if short_of_space {
            self.spares.drop_all()?;
        }
        Ok(collected)
    }

    /// Takes the segments that are to go off the list. Gives them, and the bytes of those that only stay because
    /// somebody needs them.
    fn release(&self, flushed_index: u64, now_ms: u64, wanted: Wanted, free_bytes: u64) -> (Vec<Arc<Segment>>, u64) {
        let options = &self.options;
        let needed_from = self.shared.needed_from(wanted.from);
        let mut segments = self.shared.segments.lock();
        for segment in segments.iter().filter(|s| s.last_index() != u64::MAX) {
            if segment.sealed_ms.load(Ordering::Relaxed) == 0 {
                segment.sealed_ms.store(now_ms, Ordering::Relaxed);
            }
        }
        let mut removable = segments.iter().take_while(|s| s.last_index() <= flushed_index).count();
        let mut kept_bytes: u64 = segments.iter().take(removable).map(|s| s.capacity()).sum();
        let mut free_bytes = free_bytes;
        let is_retained = |segment: &Segment, kept_bytes: u64| {
            let age_ms = now_ms.saturating_sub(segment.sealed_ms.load(Ordering::Relaxed));
            kept_bytes <= options.retention_bytes_max && age_ms <= options.retention_ms_max
        };
        let is_pinned = |segment: &Segment, kept_bytes: u64| {
            needed_from.is_some_and(|needed| segment.last_index() >= needed) && kept_bytes <= options.pinned_bytes_max
        };
        let mut released = Vec::new();
        while removable > 0
            && let Some(front) = segments.front()
        {
            let room = free_bytes >= options.free_bytes_min && free_bytes >= wanted.free_bytes_min;
            if room && (is_retained(front, kept_bytes) || is_pinned(front, kept_bytes)) {
                break;
            }
            // Below the log's own minimum all of them go, however much room that makes.
            if free_bytes >= options.free_bytes_min {
                free_bytes += front.capacity();
            }
            kept_bytes -= front.capacity();
            removable -= 1;
            released.extend(segments.pop_front());
        }
        let mut pinned_bytes = 0;
        for segment in segments.iter().take(removable) {
            if is_retained(segment, kept_bytes) {
                break;
            }
            pinned_bytes += segment.capacity();
            kept_bytes -= segment.capacity();
        }
        (released, pinned_bytes)
    }

    /// Drops the entries after `index`, durably, and those pushed and not written. An `index` at or past the end
    /// changes nothing. Readers that have returned a dropped entry get `Diverged`.
    ///
    /// # Errors
    /// `Collected` if the log starts after `index + 1`, `Corrupt` if the entries up to `index` cannot be read,
    /// `Poisoned` if the cut failed half-way.
    pub fn truncate_after(&mut self, index: u64) -> Result<(), OplogError> {
        self.discard_pushed();
        self.syncer.check_poison()?;
        if index >= self.written.index {
            return Ok(());
        }
        let segment = self.shared.segment_of(index + 1)?;
        let end = find_end(&segment, index)?;
        if end.last.index != index {
            return Err(segment.corrupt(end.offset, end.last.index + 1, end.bad));
        }
        self.cut(index + 1, |log| {
            log.syncer.lower_watermark(index)?;
            let outcome = log.cut_files(&segment, end.offset);
            outcome.inspect_err(|error| log.syncer.poison(error))?;
            Ok((segment.clone(), end.last))
        })
    }

    /// Removes the segments after `segment` and everything in it from `offset` on.
    fn cut_files(&self, segment: &Arc<Segment>, offset: u64) -> Result<(), OplogError> {
        let mut segments = self.shared.segments.lock();
        while segments.back().is_some_and(|last| !Arc::ptr_eq(last, segment)) {
            let Some(last) = segments.pop_back() else { break };
            last.collected.store(true, Ordering::SeqCst);
            // Newest first, so that what is left is a log without gaps wherever this stops.
            // Not for reuse: in a reused file, what looks like the beginning of the next record tells a torn
            // tail, and that works only as long as its earlier records have lower indexes.
            self.spares.give(&last, false)?;
        }
        self.disk.sync_dir()?;
        // The bytes must be gone, not only behind the end: with this segment's salt, they would count again if
        // new records happened to end where one of them begins.
        self.disk.truncate(&segment.file, &segment.path, offset)?;
        self.disk.sync_data(&segment.file, &segment.path)?;
        if let Err(error) = self.disk.allocate(&segment.file, &segment.path, segment.capacity()) {
            tracing::debug!(%error, "the log segment in use could not be preallocated again");
        }
        segment.end.store(offset, Ordering::Release);
        segment.last_index.store(u64::MAX, Ordering::Release);
        Ok(())
    }

    /// Starts an empty log after `last`, at once and durably: a crash leaves the old log or the empty one. The
    /// next entry has index `last.index + 1`; `last.index` may be before or after what the log has. Entries
    /// pushed and not written are dropped. Readers get `Diverged`.
    ///
    /// # Errors
    /// `NoSpace`, `Io`: the log is as before. `Poisoned` if an error came too late to go back.
    pub fn reset_after(&mut self, last: Position) -> Result<(), OplogError> {
        self.discard_pushed();
        self.syncer.check_poison()?;
        let generation = self.active.header.generation + 1;
        self.cut(0, |log| {
            // See `cut_files`.
            log.spares.drop_all()?;
            // Its header is on the disk before it gets its name: the name, which may be that of an old segment,
            // is what makes the old log void.
            let segment = Arc::new(log.start_segment(last, generation, true)?);
            let old = std::mem::replace(&mut *log.shared.segments.lock(), VecDeque::from([segment.clone()]));
            let outcome = log.disk.sync_dir().and_then(|()| log.remove_all(&old, &segment));
            outcome.inspect_err(|error| log.syncer.poison(error))?;
            Ok((segment, last))
        })
    }

    fn remove_all(&self, old: &VecDeque<Arc<Segment>>, new: &Segment) -> Result<(), OplogError> {
        for segment in old {
            segment.collected.store(true, Ordering::SeqCst);
            // The new segment has taken the place of an old one of the same name.
            if segment.path != new.path {
                self.spares.give(segment, false)?;
            }
        }
        Ok(())
    }

    /// Changes the end of the log by `change`, which returns the segment to go on in and the last position,
    /// while nothing is being synced and readers that had passed `from` are told.
    fn cut(
        &mut self,
        from: u64,
        change: impl FnOnce(&Oplog) -> Result<(Arc<Segment>, Position), OplogError>,
    ) -> Result<(), OplogError> {
        let shared = self.shared.clone();
        let _cutting = shared.begin_cut(from);
        let mut active = None;
        self.syncer.exclusively(|| {
            let (segment, last) = change(self)?;
            let generation = segment.header.generation;
            active = Some((segment, last));
            Ok((last, generation))
        })?;
        if let Some((segment, last)) = active {
            self.active = segment;
            self.written = last;
            self.pushed = last;
        }
        assert!(
            self.active.end() >= RECORDS_START,
            "records stand after the segment's header"
        );
        Ok(())
    }
}
