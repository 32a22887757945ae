//! Counters that many threads add to.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Stripes of a counter.
const STRIPES: usize = 16;

/// A counter to which many threads add all the time: each adds in a place of its own, so that none writes a cache line that another one
/// writes.
#[derive(Default)]
pub struct Counter([Padded<AtomicU64>; STRIPES]);

/// A value with cache lines of its own, two because processors fetch them in pairs: for what one thread writes while others read or
/// write its neighbours.
#[derive(Default)]
#[repr(align(128))]
pub struct Padded<T>(pub T);

impl Counter {
    /// Adds to it.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0[thread_index() % STRIPES].0.fetch_add(n, Ordering::Relaxed);
    }

    /// What has been added since the start or the last [`Counter::reset`].
    pub fn sum(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }

    /// Begins at 0 again.
    pub fn reset(&self) {
        self.0.iter().for_each(|stripe| stripe.0.store(0, Ordering::Relaxed));
    }
}

thread_local! {
    /// This thread's number, `usize::MAX` before it has one.
    static INDEX: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Gives the number back when the thread ends.
    static LEASE: Lease = const { Lease };
}

struct Lease;

impl Drop for Lease {
    fn drop(&mut self) {
        let index = INDEX.replace(usize::MAX);
        if index != usize::MAX {
            numbers(|numbers| numbers.free.insert(index));
        }
    }
}

struct Numbers {
    free: BTreeSet<usize>,
    next: usize,
}

fn numbers<R>(with: impl FnOnce(&mut Numbers) -> R) -> R {
    static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers {
        free: BTreeSet::new(),
        next: 0,
    });
    with(&mut NUMBERS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A small number that belongs to the calling thread as long as it lives: the lowest that was free. For what is kept once for
/// each thread, such as counters and the slots of readers.
#[inline]
pub fn thread_index() -> usize {
    let index = INDEX.get();
    if index != usize::MAX {
        return index;
    }
    let index = numbers(|numbers| {
        numbers.free.pop_first().unwrap_or_else(|| {
            numbers.next += 1;
            numbers.next - 1
        })
    });
    INDEX.set(index);
    LEASE.with(|_| ());
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_numbers_of_their_own() {
        let own = thread_index();
        assert_eq!(thread_index(), own);
        let other = std::thread::scope(|scope| scope.spawn(thread_index).join().expect("a number"));
        assert_ne!(own, other);
    }

    #[test]
    fn what_threads_add_is_summed() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for n in 1..=40 {
                let counter = &counter;
                scope.spawn(move || counter.add(n));
            }
        });
        assert_eq!(counter.sum(), 820);
        counter.reset();
        assert_eq!(counter.sum(), 0);
    }
}
