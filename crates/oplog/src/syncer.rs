//! Makes what was written durable; many callers share one fdatasync.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use haypile_types::Position;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::disk::Disk;
use crate::error::OplogError;
use crate::segment::Segment;
use crate::tail::Tail;
use crate::watermark::{Watermark, WatermarkFile};

/// How often the watermark file is brought up to date, at most.
const WATERMARK_EVERY: Duration = Duration::from_secs(1);

/// Makes written entries durable, from any thread. Many callers share one fdatasync: those that come while one
/// is running wait for the next, which covers all of them.
///
/// A failed fdatasync poisons the log for as long as the process lives: the kernel may have dropped the pages
/// and a second fdatasync would say yes to data that is gone ("fsyncgate", PostgreSQL, 2018).
#[derive(Debug)]
pub struct Syncer {
    disk: Arc<Disk>,
    watermark: WatermarkFile,
    /// Of `State::written` and `State::durable`, to look at without the lock.
    written_index: AtomicU64,
    durable_index: AtomicU64,
    /// Entries after this one count for others only once they are durable; `u64::MAX` = all count at once.
    held_after: AtomicU64,
    pub(crate) tail: Tail,
    poisoned: AtomicBool,
    state: Mutex<State>,
    finished: Condvar,
    fsyncs: AtomicU64,
    fsync_us_total: AtomicU64,
    fsync_us_last: AtomicU64,
}

#[derive(Debug)]
struct State {
    written: Position,
    durable: Position,
    /// Segments with writes that no finished run covers, oldest first.
    unsynced: Vec<Arc<Segment>>,
    /// A segment has got its name since the directory was last synced.
    dir_unsynced: bool,
    running: bool,
    runs_started: u64,
    runs_finished: u64,
    poison: Option<String>,
    mark: Watermark,
    mark_written: Instant,
}

impl Syncer {
    pub(crate) fn new(disk: Arc<Disk>, watermark: WatermarkFile, mark: Watermark, last: Position) -> Syncer {
        Syncer {
            disk,
            watermark,
            written_index: AtomicU64::new(last.index),
            durable_index: AtomicU64::new(last.index),
            held_after: AtomicU64::new(u64::MAX),
            tail: Tail::default(),
            poisoned: AtomicBool::new(false),
            state: Mutex::new(State {
                written: last,
                durable: last,
                unsynced: Vec::new(),
                dir_unsynced: false,
                running: false,
                runs_started: 0,
                runs_finished: 0,
                poison: None,
                mark,
                mark_written: Instant::now(),
            }),
            finished: Condvar::new(),
            fsyncs: AtomicU64::new(0),
            fsync_us_total: AtomicU64::new(0),
            fsync_us_last: AtomicU64::new(0),
        }
    }

    /// Makes everything durable that is written when it is called, and returns the last durable position, which
    /// may be later.
    ///
    /// # Errors
    /// `Poisoned`, if this or an earlier fdatasync failed.
    pub fn sync(&self) -> Result<Position, OplogError> {
        self.sync_to(self.written_index())
    }

    /// As [`Syncer::sync`], but returns as soon as the entry with this index is durable. If no such entry is
    /// written, what is written is synced, and the position returned is before `index`.
    ///
    /// # Errors
    /// `Poisoned`, if this or an earlier fdatasync failed.
    pub fn sync_to(&self, index: u64) -> Result<Position, OplogError> {
        let mut state = self.state.lock();
        // Only a run that starts after this moment is sure to see what the caller has written.
        let enough = state.runs_started + 1;
        loop {
            if let Some(cause) = &state.poison {
                return Err(OplogError::Poisoned { cause: cause.clone() });
            }
            if state.durable.index >= index || state.runs_finished >= enough {
                return Ok(state.durable);
            }
            if state.running {
                self.finished.wait(&mut state);
            } else {
                state = self.run(state);
            }
        }
    }

    fn run<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.running = true;
        state.runs_started += 1;
        let run = state.runs_started;
        let covered = state.written;
        let segments = std::mem::take(&mut state.unsynced);
        let dir_unsynced = std::mem::take(&mut state.dir_unsynced);
        drop(state);

        let started = Instant::now();
        let outcome = segments
            .iter()
            .try_for_each(|segment| self.disk.sync_data(&segment.file, &segment.path))
            .and_then(|()| if dir_unsynced { self.disk.sync_dir() } else { Ok(()) });
        let ended = Instant::now();
        if !segments.is_empty() {
            let us = (ended - started).as_micros() as u64;
            self.fsyncs.fetch_add(segments.len() as u64, Ordering::Relaxed);
            self.fsync_us_total.fetch_add(us, Ordering::Relaxed);
            self.fsync_us_last.store(us, Ordering::Relaxed);
        }

        let mut state = self.state.lock();
        match outcome {
            Ok(()) => {
                state.durable = covered;
                self.durable_index.store(covered.index, Ordering::SeqCst);
                if self.held_after.load(Ordering::SeqCst) != u64::MAX {
                    self.tail.moved();
                }
                state.mark.index = covered.index;
                if ended - state.mark_written >= WATERMARK_EVERY {
                    state.mark_written = ended;
                    self.write_watermark(&state);
                }
            }
            Err(error) => self.poison_locked(&mut state, &error),
        }
        state.running = false;
        state.runs_finished = run;
        self.finished.notify_all();
        state
    }

    fn write_watermark(&self, state: &State) {
        if let Err(error) = self.watermark.write(&state.mark) {
            // It is a lower bound: without this update recovery only knows less.
            tracing::warn!(%error, "the log's watermark could not be written");
        }
    }

    /// The last position written to the file.
    pub fn written(&self) -> Position {
        self.state.lock().written
    }

    /// Index of [`Syncer::written`], without a lock.
    pub fn written_index(&self) -> u64 {
        self.written_index.load(Ordering::SeqCst)
    }

    /// The last position known to be on the disk.
    pub fn durable(&self) -> Position {
        self.state.lock().durable
    }

    /// Index of [`Syncer::durable`], without a lock.
    pub fn durable_index(&self) -> u64 {
        self.durable_index.load(Ordering::SeqCst)
    }

    /// Index of the last entry that may be passed on to others, without a lock: with `sync always` the last that is
    /// durable, so that nobody has what a crash takes from here; else the last that is written.
    pub fn safe_index(&self) -> u64 {
        let written = self.written_index();
        match self.held_after.load(Ordering::SeqCst) {
            u64::MAX => written,
            held_after => self.durable_index().max(held_after).min(written),
        }
    }

    /// Whether entries have to be durable before they are passed on. What has been written by now stays what it was.
    pub(crate) fn hold_until_durable(&self, hold: bool) {
        let held_after = match hold {
            true => self.safe_index(),
            false => u64::MAX,
        };
        self.held_after.store(held_after, Ordering::SeqCst);
        self.tail.moved();
    }

    /// Why nothing is accepted any more; `None` while all is well.
    pub fn poisoned(&self) -> Option<String> {
        if !self.poisoned.load(Ordering::Acquire) {
            return None;
        }
        self.state.lock().poison.clone()
    }

    /// How many files have been fdatasynced.
    pub fn fsyncs(&self) -> u64 {
        self.fsyncs.load(Ordering::Relaxed)
    }

    /// Time spent in fdatasync, in microseconds.
    pub fn fsync_us_total(&self) -> u64 {
        self.fsync_us_total.load(Ordering::Relaxed)
    }

    /// Duration of the last fdatasync, in microseconds.
    pub fn fsync_us_last(&self) -> u64 {
        self.fsync_us_last.load(Ordering::Relaxed)
    }

    pub(crate) fn check_poison(&self) -> Result<(), OplogError> {
        match self.poisoned() {
            Some(cause) => Err(OplogError::Poisoned { cause }),
            None => Ok(()),
        }
    }

    /// After `error` it is unknown what the disk holds. The first cause stays.
    pub(crate) fn poison(&self, error: &OplogError) {
        self.poison_locked(&mut self.state.lock(), error);
    }

    fn poison_locked(&self, state: &mut State, error: &OplogError) {
        if state.poison.is_none() {
            let cause = error.to_string();
            tracing::error!(cause, "the log is poisoned: it accepts nothing until a restart");
            state.poison = Some(cause);
            self.poisoned.store(true, Ordering::Release);
        }
    }

    /// The writer has written to `segment`, up to `last`.
    pub(crate) fn publish(&self, segment: &Arc<Segment>, last: Position) {
        let mut state = self.state.lock();
        if !state.unsynced.last().is_some_and(|s| Arc::ptr_eq(s, segment)) {
            state.unsynced.push(segment.clone());
        }
        state.written = last;
        self.written_index.store(last.index, Ordering::SeqCst);
    }

    /// A segment has got its name.
    pub(crate) fn dir_changed(&self) {
        self.state.lock().dir_unsynced = true;
    }

    /// Lowers the watermark on the disk before entries after `index` are cut off: it must never promise more
    /// than the log has.
    pub(crate) fn lower_watermark(&self, index: u64) -> Result<(), OplogError> {
        let mut state = self.state.lock();
        let mark = Watermark {
            index: state.mark.index.min(index),
            ..state.mark
        };
        self.watermark.write_durably(&self.disk, &mark)?;
        state.mark = mark;
        Ok(())
    }

    /// Brings the watermark on the disk up to date, for an orderly end.
    pub(crate) fn write_watermark_durably(&self) -> Result<(), OplogError> {
        self.watermark.write_durably(&self.disk, &self.state.lock().mark)
    }

    /// Runs `change`, which cuts the log, while no fdatasync is running, and makes what it returns the end of
    /// the log. An error of `change` leaves the positions.
    pub(crate) fn exclusively(
        &self,
        change: impl FnOnce() -> Result<(Position, u64), OplogError>,
    ) -> Result<(), OplogError> {
        let mut state = self.state.lock();
        while state.running {
            self.finished.wait(&mut state);
        }
        state.running = true;
        drop(state);
        let outcome = change();
        let mut state = self.state.lock();
        state.running = false;
        let outcome = outcome.map(|(last, generation)| {
            state.written = last;
            if state.durable.index > last.index || state.mark.generation != generation {
                state.durable = last;
            }
            state.mark.generation = generation;
            state.mark.index = state.durable.index;
            state.unsynced.retain(|segment| !segment.is_collected());
            self.written_index.store(last.index, Ordering::SeqCst);
            self.durable_index.store(state.durable.index, Ordering::SeqCst);
            self.write_watermark(&state);
        });
        self.finished.notify_all();
        outcome
    }
}
