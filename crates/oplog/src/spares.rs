//! Files for segments to come: preallocated, or collected segments that are written over (a file that has been
//! written before takes an fdatasync a quarter faster than one that is only allocated).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::disk::{Disk, random_u64};
use crate::error::OplogError;
use crate::format::SegmentHeader;
use crate::segment::Segment;

const PREFIX: &str = "spare-";
/// No segment is preallocated smaller than this, unless the options want it smaller.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// A new segment takes at most this share of the free space.
const FREE_SHARE: u64 = 8;

/// A file whose header, with first index 0, is on the disk.
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) capacity: u64,
    pub(crate) header: SegmentHeader,
}

pub(crate) struct Spares {
    disk: Arc<Disk>,
    log_id: u64,
    segment_bytes: u64,
    free_bytes_min: u64,
    recycle_max: usize,
    next_name: AtomicU64,
    recycled_total: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: Option<Spare>,
    /// Files of collected segments with their lengths, not yet prepared.
    raw: Vec<(PathBuf, u64)>,
}

impl Spares {
    /// Takes over the spare files in `found`; those beyond `recycle_max` are removed.
    pub(crate) fn new(
        disk: Arc<Disk>,
        log_id: u64,
        options: &crate::Options,
        found: Vec<PathBuf>,
    ) -> Result<Spares, OplogError> {
        let mut raw = Vec::new();
        let mut next_name = 0;
        for path in found {
            let number = path
                .file_name()
                .and_then(|n| n.to_str())
                .and_then(number_of_name)
                .unwrap_or(0);
            next_name = next_name.max(number + 1);
            let length = std::fs::metadata(&path)
                .map_err(|e| OplogError::io("read the length of", &path, e))?
                .len();
            if raw.len() < options.recycle_segments_max && length >= options.segment_bytes {
                raw.push((path, length));
            } else {
                disk.remove(&path)?;
            }
        }
        Ok(Spares {
            disk,
            log_id,
            segment_bytes: options.segment_bytes,
            free_bytes_min: options.free_bytes_min,
            recycle_max: options.recycle_segments_max,
            next_name: AtomicU64::new(next_name),
            recycled_total: AtomicU64::new(0),
            state: Mutex::new(State { ready: None, raw }),
        })
    }

    /// A file ready for use; made on the spot if none has been prepared.
    pub(crate) fn take(&self) -> Result<Spare, OplogError> {
        if let Some(spare) = self.state.lock().ready.take() {
            return Ok(spare);
        }
        self.make()
    }

    /// Sees to it that the next [`Spares::take`] need not wait.
    pub(crate) fn prepare(&self) -> Result<(), OplogError> {
        if self.state.lock().ready.is_some() {
            return Ok(());
        }
        let spare = self.make()?;
        let surplus = {
            let mut state = self.state.lock();
            match &state.ready {
                Some(_) => Some(spare),
                None => {
                    state.ready = Some(spare);
                    None
                }
            }
        };
        surplus.map_or(Ok(()), |spare| self.disk.remove(&spare.path))
    }

    fn make(&self) -> Result<Spare, OplogError> {
        let recycled = self.state.lock().raw.pop();
        match recycled {
            Some((path, length)) => {
                // The new name first: were the content changed first, a power failure could leave the old name
                // with the new content.
                self.disk.sync_dir()?;
                let file = self.disk.open_file(&path)?;
                let made = self.finish(path.clone(), file, length, true);
                made.inspect_err(|_| self.discard(&path))
            }
            None => {
                let length = self.allocation_bytes()?;
                let path = self.new_path();
                let file = self.disk.create_file(&path)?;
                let made = self.disk.allocate(&file, &path, length);
                let made = made.and_then(|()| self.finish(path.clone(), file, length, false));
                // A half-made file would hold the space that is short.
                made.inspect_err(|_| self.discard(&path))
            }
        }
    }

    fn finish(&self, path: PathBuf, file: File, capacity: u64, recycled: bool) -> Result<Spare, OplogError> {
        let salt = random_u64(&path)?;
        let header = SegmentHeader {
            log_id: self.log_id,
            salt,
            first_index: 0,
            previous_term: 0,
            generation: 0,
            recycled,
        };
        self.disk.write_all_at(&file, &path, &header.encode(), 0)?;
        self.disk.sync_data(&file, &path)?;
        if recycled {
            self.recycled_total.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Spare {
            path,
            file,
            capacity,
            header,
        })
    }

    /// Removes a file that could not be put to use; the cause is being reported by the caller.
    pub(crate) fn discard(&self, path: &Path) {
        if let Err(error) = self.disk.remove(path) {
            tracing::warn!(%error, "a useless log file stays until the next start");
        }
    }

    /// How large the next segment is to be.
    pub(crate) fn allocation_bytes(&self) -> Result<u64, OplogError> {
        allocation_bytes(&self.disk, self.segment_bytes, self.free_bytes_min)
    }

    fn new_path(&self) -> PathBuf {
        let number = self.next_name.fetch_add(1, Ordering::Relaxed);
        self.disk.path().join(format!("{PREFIX}{number:08}"))
    }

    /// Takes a segment out of the log: its file becomes a spare, or is removed if there are enough or if
    /// `keep` is false. Readers have been told by [`Segment::collected`].
    pub(crate) fn give(&self, segment: &Segment, keep: bool) -> Result<(), OplogError> {
        assert!(segment.is_collected(), "a segment in use is not recycled");
        let size = segment.capacity();
        let fits = size >= self.segment_bytes && size <= self.segment_bytes.saturating_mul(2);
        let room = {
            let state = self.state.lock();
            state.raw.len() + usize::from(state.ready.is_some()) < self.recycle_max
        };
        if !(keep && fits && room) {
            return self.disk.remove(&segment.path);
        }
        let path = self.new_path();
        self.disk.rename(&segment.path, &path)?;
        self.state.lock().raw.push((path, size));
        Ok(())
    }

    /// Removes the spares, for want of space.
    pub(crate) fn drop_all(&self) -> Result<(), OplogError> {
        let (ready, raw) = {
            let mut state = self.state.lock();
            (state.ready.take(), std::mem::take(&mut state.raw))
        };
        for path in ready
            .map(|spare| spare.path)
            .into_iter()
            .chain(raw.into_iter().map(|(path, _)| path))
        {
            self.disk.remove(&path)?;
        }
        Ok(())
    }

    /// Number and bytes of the spare files.
    pub(crate) fn held(&self) -> (usize, u64) {
        let state = self.state.lock();
        let ready = state.ready.as_ref().map(|spare| spare.capacity);
        let sizes = state.raw.iter().map(|(_, length)| *length).chain(ready);
        sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size))
    }

    /// How many files have been prepared for reuse.
    pub(crate) fn recycled_total(&self) -> u64 {
        self.recycled_total.load(Ordering::Relaxed)
    }
}

/// The size for a new segment: as wanted, or what a nearly full file system allows; never into the reserve.
fn allocation_bytes(disk: &Disk, segment_bytes: u64, free_bytes_min: u64) -> Result<u64, OplogError> {
    let free = disk.free_bytes()?;
    let smallest = SEGMENT_BYTES_MIN.min(segment_bytes);
    let wanted = segment_bytes.min(free / FREE_SHARE).max(smallest);
    let usable = free.saturating_sub(free_bytes_min);
    if usable < smallest {
        let text = format!("{free} bytes are free, and free_bytes_min reserves {free_bytes_min}");
        return Err(OplogError::NoSpace {
            verb: "allocate a segment in",
            path: disk.path().to_path_buf(),
            source: std::io::Error::new(std::io::ErrorKind::StorageFull, text),
        });
    }
    Ok(wanted.min(usable))
}

fn number_of_name(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Whether a file is a spare segment.
pub(crate) fn is_spare(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .and_then(number_of_name)
        .is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_shrink_on_a_small_disk_and_leave_the_reserve() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        assert_eq!(allocation_bytes(&disk, 4096, 0).unwrap(), 4096);
        let free = disk.free_bytes().unwrap();
        assert!(allocation_bytes(&disk, u64::MAX, 0).unwrap() <= free / 4);
        let error = allocation_bytes(&disk, 4096, u64::MAX).unwrap_err();
        assert_eq!(error.kind(), crate::OplogErrorKind::NoSpace);
        assert!(error.to_string().contains("free_bytes_min"), "{error}");
    }
}
