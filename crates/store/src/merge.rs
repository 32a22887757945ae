//! What RocksDB has of a range, with what it does not have yet over it.

use std::cmp::Ordering;

use rocksdb::DBRawIteratorWithThreadMode;
use rocksdb::perf::{PerfMetric, PerfStatsLevel, set_perf_stats, with_thread_local};

use crate::dirty::{DirtyItem, DirtyRange};
use crate::{Direction, Item, StoreError};

type RocksIterator<'a> = DBRawIteratorWithThreadMode<'a, rocksdb::DB>;

/// See the module.
pub(crate) struct Merged<'a> {
    rocks: Option<RocksIterator<'a>>,
    pending: DirtyRange<'a>,
    head: Option<DirtyItem<'a>>,
    direction: Direction,
    last: Taken,
    /// This thread's count of skipped entries before, and pending deletions crossed since.
    skipped_before: u64,
    crossed: u64,
}

/// From where the last item came, and so what has to move before the next.
#[derive(Clone, Copy)]
enum Taken {
    Nothing,
    Rocks,
    Pending,
    Both,
}

impl<'a> Merged<'a> {
    /// `rocks` and `pending` are bounded but not positioned yet, which [`Merged::begin`] or [`Merged::seek`] does.
    /// [`Merged::crossed`] is only there if it `counts`.
    pub(crate) fn new(
        rocks: Option<RocksIterator<'a>>,
        pending: DirtyRange<'a>,
        direction: Direction,
        counts: bool,
    ) -> Self {
        // RocksDB's counting takes a few percent of a scan.
        let skipped_before = if counts { skipped() } else { 0 };
        set_perf_stats(match counts {
            true => PerfStatsLevel::EnableCount,
            false => PerfStatsLevel::Disable,
        });
        Merged {
            rocks,
            pending,
            head: None,
            direction,
            last: Taken::Nothing,
            skipped_before,
            crossed: 0,
        }
    }

    /// Goes to the end of the range from which it is read.
    pub(crate) fn begin(&mut self) {
        if let Some(rocks) = &mut self.rocks {
            match self.direction {
                Direction::Forward => rocks.seek_to_first(),
                Direction::Reverse => rocks.seek_to_last(),
            }
        }
        self.head = self.pending.next();
    }

    /// Goes on with the items from `key` up to but not including `until`, whatever came before; what follows from there on means
    /// nothing. Both lie within the bounds, and the direction is [`Direction::Forward`].
    pub(crate) fn seek(&mut self, key: &[u8], until: &[u8]) {
        if let Some(rocks) = &mut self.rocks {
            rocks.seek(key);
        }
        self.pending.seek(key, until);
        self.head = self.pending.next();
        self.last = Taken::Nothing;
    }

    /// The next key and value; `None` at the end of the range.
    pub(crate) fn next(&mut self) -> Result<Option<Item<'_>>, StoreError> {
        self.step(self.last);
        if self.head.is_none() {
            // Nothing to merge with.
            self.last = Taken::Rocks;
            let Some(rocks) = &self.rocks else { return Ok(None) };
            let item = rocks.item();
            if item.is_none() {
                rocks.status().map_err(StoreError::rocks("read"))?;
            }
            return Ok(item);
        }
        self.advance()?;
        let item = match self.last {
            Taken::Nothing => None,
            Taken::Rocks => self.rocks.as_ref().and_then(|rocks| rocks.item()),
            Taken::Pending | Taken::Both => {
                let head = self.head.as_ref();
                head.map(|write| (write.key(), write.value().unwrap_or_default()))
            }
        };
        Ok(item)
    }

    /// Dead entries that were crossed to get here, if this thread reads nothing else.
    pub(crate) fn crossed(&self) -> u64 {
        skipped().wrapping_sub(self.skipped_before) + self.crossed
    }

    /// Moves to the next live item and says in `last` where it is.
    fn advance(&mut self) -> Result<(), StoreError> {
        loop {
            let stored = match &self.rocks {
                Some(rocks) => match rocks.key() {
                    Some(key) => Some(key),
                    None => {
                        rocks.status().map_err(StoreError::rocks("read"))?;
                        None
                    }
                },
                None => None,
            };
            let (taken, deleted) = match (stored, &self.head) {
                (None, None) => (Taken::Nothing, false),
                (Some(_), None) => (Taken::Rocks, false),
                (None, Some(write)) => (Taken::Pending, write.value().is_none()),
                (Some(stored), Some(write)) => {
                    let deleted = write.value().is_none();
                    let order = match self.direction {
                        Direction::Forward => stored.cmp(write.key()),
                        Direction::Reverse => write.key().cmp(stored),
                    };
                    match order {
                        Ordering::Less => (Taken::Rocks, false),
                        Ordering::Equal => (Taken::Both, deleted),
                        Ordering::Greater => (Taken::Pending, deleted),
                    }
                }
            };
            if !deleted {
                self.last = taken;
                return Ok(());
            }
            self.crossed += 1;
            self.step(taken);
        }
    }

    fn step(&mut self, taken: Taken) {
        if matches!(taken, Taken::Rocks | Taken::Both)
            && let Some(rocks) = &mut self.rocks
        {
            match self.direction {
                Direction::Forward => rocks.next(),
                Direction::Reverse => rocks.prev(),
            }
        }
        if matches!(taken, Taken::Pending | Taken::Both) {
            self.head = self.pending.next();
        }
    }
}

/// Dead entries that this thread's iterators have crossed so far.
fn skipped() -> u64 {
    with_thread_local(|context| {
        context.metric(PerfMetric::InternalDeleteSkippedCount) + context.metric(PerfMetric::InternalKeySkippedCount)
    })
}
