use std::cmp::Ordering;

use rocksdb::DBRawIteratorWithThreadMode;

use crate::StoreError;
use crate::overlay::PendingRange;

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

impl<'a> Scan<'a> {
    /// `rocks` is bounded but not positioned yet.
    pub(crate) fn new(
        mut rocks: Option<RocksIterator<'a>>,
        mut pending: PendingRange<'a>,
        direction: Direction,
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
        }
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
