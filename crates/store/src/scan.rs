use std::cell::RefCell;
use std::cmp::Ordering;

use rocksdb::DBRawIteratorWithThreadMode;
use rocksdb::perf::{PerfMetric, PerfStatsLevel, set_perf_stats, with_thread_local};

use crate::gaps::{Gaps, WORTH_LEARNING, collection_of};
use crate::overlay::PendingRange;
use crate::{SpaceId, StoreError};

/// Which way a range is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the lower bound up.
    Forward,
    /// From the upper bound down.
    Reverse,
}

type RocksIterator<'a> = DBRawIteratorWithThreadMode<'a, rocksdb::DB>;

/// The live keys and values of a range in order: the store's, with pending writes over them.
pub struct Scan<'a> {
    rocks: Option<RocksIterator<'a>>,
    pending: PendingRange<'a>,
    head: Option<(&'a [u8], Option<&'a [u8]>)>,
    direction: Direction,
    last: Taken,
}

/// From where the last item came, and so what has to move before the next.
#[derive(Clone, Copy)]
enum Taken {
    Nothing,
    Rocks,
    Pending,
    Both,
}

/// The bounds of a scan, and the gaps that may shorten its way.
pub(crate) struct Bounds<'a> {
    pub(crate) space: SpaceId,
    pub(crate) lower: &'a [u8],
    pub(crate) upper: Option<&'a [u8]>,
    pub(crate) gaps: Option<&'a RefCell<Gaps>>,
}

impl<'a> Scan<'a> {
    /// `rocks` is bounded but not positioned yet.
    pub(crate) fn new(
        mut rocks: Option<RocksIterator<'a>>,
        mut pending: PendingRange<'a>,
        direction: Direction,
        bounds: &Bounds<'_>,
    ) -> Self {
        if let Some(rocks) = &mut rocks {
            bounds.seek(rocks, direction);
        }
        let head = pending.next(direction == Direction::Forward);
        Scan { rocks, pending, head, direction, last: Taken::Nothing }
    }

    /// The next key and value; `None` at the end of the range.
    #[allow(clippy::should_implement_trait)] // lends from itself, which Iterator cannot express
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>, StoreError> {
        self.step(self.last);
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
            let (taken, deleted) = match (stored, self.head) {
                (None, None) => {
                    self.last = Taken::Nothing;
                    return Ok(None);
                }
                (Some(_), None) => (Taken::Rocks, false),
                (None, Some((_, value))) => (Taken::Pending, value.is_none()),
                (Some(stored), Some((pending, value))) => {
                    let order = match self.direction {
                        Direction::Forward => stored.cmp(pending),
                        Direction::Reverse => pending.cmp(stored),
                    };
                    match order {
                        Ordering::Less => (Taken::Rocks, false),
                        Ordering::Equal => (Taken::Both, value.is_none()),
                        Ordering::Greater => (Taken::Pending, value.is_none()),
                    }
                }
            };
            if deleted {
                self.step(taken);
                continue;
            }
            self.last = taken;
            break;
        }
        Ok(match self.last {
            Taken::Rocks => self.rocks.as_ref().and_then(|rocks| rocks.item()),
            _ => self.head.map(|(key, value)| (key, value.unwrap_or_default())),
        })
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
            self.head = self.pending.next(self.direction == Direction::Forward);
        }
    }
}

impl Bounds<'_> {
    /// Moves the iterator to the first key of the range, around what is known to be empty, and remembers what turns out
    /// to be.
    fn seek(&self, rocks: &mut RocksIterator<'_>, direction: Direction) {
        let known = self.gaps.and_then(|gaps| Some((gaps, collection_of(self.lower)?)));
        let Some((gaps, collection)) = known else {
            match direction {
                Direction::Forward => rocks.seek_to_first(),
                Direction::Reverse => rocks.seek_to_last(),
            }
            return;
        };
        let before = skipped();
        match direction {
            Direction::Forward => match gaps.borrow().skip_up(self.space, collection, self.lower) {
                Some(start) => rocks.seek(start),
                None => rocks.seek_to_first(),
            },
            Direction::Reverse => {
                let start = self.upper.and_then(|upper| gaps.borrow().skip_down(self.space, collection, upper));
                match start {
                    // What starts the gap is in it, so nothing is missed by starting there.
                    Some(start) => rocks.seek_for_prev(start),
                    None => rocks.seek_to_last(),
                }
            }
        }
        if skipped().wrapping_sub(before) < WORTH_LEARNING || rocks.status().is_err() {
            return;
        }
        match (direction, rocks.key(), self.upper) {
            (Direction::Forward, Some(found), _) => gaps.borrow_mut().learn(self.space, collection, self.lower, found),
            (Direction::Forward, None, Some(upper)) => {
                gaps.borrow_mut().learn(self.space, collection, self.lower, upper);
            }
            (Direction::Reverse, Some(found), Some(upper)) => {
                let mut from = found.to_vec();
                from.push(0);
                gaps.borrow_mut().learn(self.space, collection, &from, upper);
            }
            (Direction::Reverse, None, Some(upper)) => {
                gaps.borrow_mut().learn(self.space, collection, self.lower, upper);
            }
            (_, _, None) => {}
        }
    }
}

/// Dead entries that this thread's iterators have crossed so far.
fn skipped() -> u64 {
    thread_local! {
        static COUNTING: () = set_perf_stats(PerfStatsLevel::EnableCount);
    }
    COUNTING.with(|()| ());
    with_thread_local(|context| {
        context.metric(PerfMetric::InternalDeleteSkippedCount) + context.metric(PerfMetric::InternalKeySkippedCount)
    })
}
