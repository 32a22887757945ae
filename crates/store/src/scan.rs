use std::cell::RefCell;
use std::cmp::Ordering;

use rocksdb::DBRawIteratorWithThreadMode;
use rocksdb::perf::{PerfMetric, PerfStatsLevel, set_perf_stats, with_thread_local};

use crate::gaps::{Gaps, WORTH_LEARNING, collection_of};
use crate::overlay::{PendingItem, PendingRange};
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
    head: Option<PendingItem<'a>>,
    direction: Direction,
    last: Taken,
    /// Until the first item is found, what that may teach.
    lesson: Option<Lesson<'a>>,
}

/// A key and its value.
pub type Item<'s> = (&'s [u8], &'s [u8]);

/// From where the last item came, and so what has to move before the next.
#[derive(Clone, Copy)]
enum Taken {
    Nothing,
    Rocks,
    Pending,
    Both,
}

/// A scan in the writer's view: where it really starts, and what is to be learned from where its first item is.
pub(crate) struct Lesson<'a> {
    gaps: &'a RefCell<Gaps>,
    space: SpaceId,
    collection: Box<[u8]>,
    lower: Box<[u8]>,
    upper: Box<[u8]>,
    /// This thread's count of skipped entries before the scan, and pending deletions crossed by it.
    skipped_before: u64,
    crossed: u64,
}

impl<'a> Lesson<'a> {
    /// `None` for a range that is not within a collection.
    pub(crate) fn new(gaps: &'a RefCell<Gaps>, space: SpaceId, lower: &[u8], upper: Option<&[u8]>) -> Option<Self> {
        let collection = collection_of(lower)?;
        Some(Lesson {
            gaps,
            space,
            collection: collection.into(),
            lower: lower.into(),
            upper: upper?.into(),
            skipped_before: skipped(),
            crossed: 0,
        })
    }

    /// The bound at which the scan may start: the range's own, or the far end of the gap in which that lies.
    pub(crate) fn start(&self, direction: Direction) -> Option<Vec<u8>> {
        let gaps = self.gaps.borrow();
        match direction {
            Direction::Forward => gaps.skip_up(self.space, &self.collection, &self.lower),
            Direction::Reverse => gaps.skip_down(self.space, &self.collection, &self.upper),
        }
    }

    /// The first item is this, or there is none.
    fn learn(self, direction: Direction, first: Option<&[u8]>) {
        if skipped().wrapping_sub(self.skipped_before) + self.crossed < WORTH_LEARNING {
            return;
        }
        let mut gaps = self.gaps.borrow_mut();
        match (direction, first) {
            (_, None) => gaps.learn(self.space, &self.collection, &self.lower, &self.upper),
            (Direction::Forward, Some(first)) => gaps.learn(self.space, &self.collection, &self.lower, first),
            (Direction::Reverse, Some(first)) => {
                gaps.learn(self.space, &self.collection, &[first, &[0]].concat(), &self.upper);
            }
        }
    }
}

impl<'a> Scan<'a> {
    /// `rocks` and `pending` are bounded but not positioned yet.
    pub(crate) fn new(
        mut rocks: Option<RocksIterator<'a>>,
        mut pending: PendingRange<'a>,
        direction: Direction,
        lesson: Option<Lesson<'a>>,
    ) -> Self {
        if let Some(rocks) = &mut rocks {
            match direction {
                Direction::Forward => rocks.seek_to_first(),
                Direction::Reverse => rocks.seek_to_last(),
            }
        }
        let head = pending.next(direction == Direction::Forward);
        Scan {
            rocks,
            pending,
            head,
            direction,
            last: Taken::Nothing,
            lesson,
        }
    }

    /// The next key and value; `None` at the end of the range.
    #[allow(clippy::should_implement_trait)] // lends from itself, which Iterator cannot express
    pub fn next(&mut self) -> Result<Option<Item<'_>>, StoreError> {
        self.advance()?;
        let item = match self.last {
            Taken::Nothing => None,
            Taken::Rocks => self.rocks.as_ref().and_then(|rocks| rocks.item()),
            Taken::Pending | Taken::Both => self.head.map(|(key, value)| (key, value.unwrap_or_default())),
        };
        if let Some(lesson) = self.lesson.take() {
            lesson.learn(self.direction, item.map(|(key, _)| key));
        }
        Ok(item)
    }

    /// Moves to the next live item and says in `last` where it is.
    fn advance(&mut self) -> Result<(), StoreError> {
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
                (None, None) => (Taken::Nothing, false),
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
            if !deleted {
                self.last = taken;
                return Ok(());
            }
            if let Some(lesson) = &mut self.lesson {
                lesson.crossed += 1;
            }
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
            self.head = self.pending.next(self.direction == Direction::Forward);
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
