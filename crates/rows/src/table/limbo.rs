//! What is out of reach and waits until nobody looks at it any more.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Eras;
use crate::buckets::Bucket;
use crate::row::Row;

/// Room for so many things that wait is kept for later ones.
const WAITING_KEPT: usize = 4096;

/// What is out of reach and waits for readers that may still look at it, in the order of its tags. When it is dropped, all goes:
/// it lives as long as what readers look at.
#[derive(Default)]
pub struct Limbo {
    waiting: VecDeque<(u64, Waits)>,
    bytes: usize,
}

pub(super) enum Waits {
    Row(Row),
    Buckets(Box<[Bucket]>),
    #[allow(dead_code)] // it is there to be dropped
    Value(Arc<dyn Send + Sync>),
}

impl Waits {
    fn bytes(&self) -> usize {
        match self {
            Waits::Row(row) => row.allocated(),
            Waits::Buckets(buckets) => size_of_val(&**buckets),
            Waits::Value(_) => 0,
        }
    }
}

impl Limbo {
    /// Bytes of rows that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many things wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True if nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a row that was taken out or superseded, with a tag that is not smaller than the last one's.
    pub fn add_row(&mut self, tag: u64, row: Row) {
        self.add(tag, Waits::Row(row));
    }

    /// Adds a value that was replaced.
    pub fn add_value(&mut self, tag: u64, value: Arc<dyn Send + Sync>) {
        self.add(tag, Waits::Value(value));
    }

    pub(super) fn add(&mut self, tag: u64, waits: Waits) {
        self.bytes += waits.bytes();
        self.waiting.push_back((tag, waits));
    }

    /// Has the processor fetch the next `count` things that are to be freed: freeing looks at them, and they are out of its
    /// cache if they have waited for long.
    pub fn prefetch(&self, count: usize) {
        for (_, waits) in self.waiting.iter().take(count) {
            if let Waits::Row(row) = waits {
                row.prefetch();
            }
        }
    }

    /// Frees what nobody can look at any more.
    pub fn free(&mut self, eras: &Eras) {
        if self.waiting.is_empty() {
            return;
        }
        let oldest = eras.oldest();
        while self.free_one(oldest) {}
        if self.waiting.is_empty() && self.waiting.capacity() > WAITING_KEPT {
            self.waiting = VecDeque::new();
        }
    }

    /// Frees the next thing if its tag is not above `freeable`; whether it was. For who has found out that such tags can be freed,
    /// and allocates as much: memory that is freed bit by bit is used again while it is in the cache.
    ///
    /// `freeable` is what [`Eras::oldest`] said at some time, or the newest tag of that time if that is smaller.
    pub fn free_one(&mut self, freeable: u64) -> bool {
        if self.waiting.front().is_none_or(|(tag, _)| *tag > freeable) {
            return false;
        }
        if let Some((_, freed)) = self.waiting.pop_front() {
            self.bytes -= freed.bytes();
        }
        true
    }
}
