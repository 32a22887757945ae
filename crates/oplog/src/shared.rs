//! What the writer and the readers share.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use parking_lot::{Mutex, MutexGuard};

use crate::error::OplogError;
use crate::segment::Segment;
use crate::syncer::Syncer;

pub(crate) struct Shared {
    pub(crate) syncer: Arc<Syncer>,
    /// Oldest first, contiguous, never empty; the last is the one being written to.
    pub(crate) segments: Mutex<VecDeque<Arc<Segment>>>,
    /// Grows when entries are cut off: what readers have read ahead may not be the log any more.
    cuts: AtomicU64,
    /// Held while entries are being cut off.
    cutting: Mutex<()>,
    pins: Mutex<Vec<Arc<Pin>>>,
    /// Bytes of records written since the log was opened.
    pub(crate) appended_bytes_total: AtomicU64,
    /// Bytes of segments that the last [`crate::Oplog::collect_but`] kept only because somebody needs them.
    pub(crate) pinned_bytes: AtomicU64,
}

/// A reader's place, visible to the writer.
#[derive(Debug)]
pub(crate) struct Pin {
    /// Index that the reader returns next.
    pub(crate) next: AtomicU64,
    /// Entries that it has returned have been cut off.
    pub(crate) diverged: AtomicBool,
}

/// Entries are being cut off while this lives.
pub(crate) struct CutGuard<'a> {
    shared: &'a Shared,
    _cutting: MutexGuard<'a, ()>,
}

impl Drop for CutGuard<'_> {
    fn drop(&mut self) {
        // Readers at the tail learn that they are off the log.
        self.shared.tail_moved();
    }
}

impl Shared {
    pub(crate) fn new(syncer: Arc<Syncer>, segments: VecDeque<Arc<Segment>>) -> Shared {
        assert!(!segments.is_empty(), "a log has at least one segment");
        Shared {
            syncer,
            segments: Mutex::new(segments),
            cuts: AtomicU64::new(0),
            cutting: Mutex::new(()),
            appended_bytes_total: AtomicU64::new(0),
            pinned_bytes: AtomicU64::new(0),
            pins: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn first_index(&self) -> u64 {
        // Never empty, see `segments`.
        self.segments.lock().front().map_or(1, |segment| segment.first_index())
    }

    /// The segment that holds, or will hold, the entry with this index.
    pub(crate) fn segment_of(&self, index: u64) -> Result<Arc<Segment>, OplogError> {
        let segments = self.segments.lock();
        let after = segments.partition_point(|segment| segment.first_index() <= index);
        match after.checked_sub(1).and_then(|at| segments.get(at)) {
            Some(segment) => Ok(segment.clone()),
            None => Err(OplogError::Collected {
                wanted: index,
                first: segments.front().map_or(1, |segment| segment.first_index()),
            }),
        }
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }

    /// Entries from `index` on are going to be cut off, until the guard is dropped. The order (count first, then
    /// look at the pins) pairs with the reader's, which moves its pin first and then looks at the count.
    pub(crate) fn begin_cut(&self, index: u64) -> CutGuard<'_> {
        let guard = CutGuard {
            shared: self,
            _cutting: self.cutting.lock(),
        };
        self.cuts.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        for pin in self.pins.lock().iter() {
            if pin.next.load(Ordering::SeqCst) > index {
                pin.diverged.store(true, Ordering::SeqCst);
            }
        }
        guard
    }

    /// The count of cuts, once none is under way.
    pub(crate) fn settled_cuts(&self) -> u64 {
        let _cutting = self.cutting.lock();
        self.cuts()
    }

    pub(crate) fn add_pin(&self, next: u64) -> Arc<Pin> {
        let pin = Arc::new(Pin {
            next: AtomicU64::new(next),
            diverged: AtomicBool::new(false),
        });
        self.pins.lock().push(pin.clone());
        pin
    }

    pub(crate) fn remove_pin(&self, pin: &Arc<Pin>) {
        self.pins.lock().retain(|other| !Arc::ptr_eq(other, pin));
    }

    /// How many readers there are that still want an entry before `index`.
    pub(crate) fn pins_before(&self, index: u64) -> usize {
        self.pins
            .lock()
            .iter()
            .filter(|pin| pin.next.load(Ordering::SeqCst) < index)
            .count()
    }

    /// Lowest index that a reader wants next or that is `wanted`, of those that the log still has.
    pub(crate) fn needed_from(&self, wanted: Option<u64>) -> Option<u64> {
        let first = self.first_index();
        let pins = self.pins.lock();
        let next = pins.iter().map(|pin| pin.next.load(Ordering::SeqCst));
        next.chain(wanted).filter(|index| *index >= first).min()
    }

    /// Number of readers, and the lowest index that one of them wants next.
    pub(crate) fn pins(&self) -> (usize, Option<u64>) {
        let pins = self.pins.lock();
        (pins.len(), pins.iter().map(|pin| pin.next.load(Ordering::SeqCst)).min())
    }

    /// Wakes the readers that wait at the tail; costs one load if there is none.
    pub(crate) fn tail_moved(&self) {
        self.syncer.tail.moved();
    }
}
