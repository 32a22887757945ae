//! The places of scans that do not fit into a cursor, held for a while: see [`super::cursor`].

use std::collections::{BTreeMap, VecDeque};
#[cfg(not(test))]
use std::sync::{Mutex, PoisonError};

/// Places that are held at most.
const PLACES_MAX: usize = if cfg!(test) { 64 } else { 4096 };
/// Bytes of places that are held at most, unless one alone is longer.
const BYTES_MAX: usize = 16 << 20;

struct Held {
    places: BTreeMap<u64, Box<[u8]>>,
    /// The numbers of the places, the oldest first.
    order: VecDeque<u64>,
    bytes: usize,
}

impl Held {
    const fn new() -> Self {
        Held {
            places: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }
}

/// What is held is a cache, whole after every step: one that panicked while it held the lock has left it usable.
#[cfg(not(test))]
fn with<R>(work: impl FnOnce(&mut Held) -> R) -> R {
    static HELD: Mutex<Held> = Mutex::new(Held::new());
    work(&mut HELD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Tests that run in one process would take each other's places away.
#[cfg(test)]
fn with<R>(work: impl FnOnce(&mut Held) -> R) -> R {
    thread_local! {
        static HELD: std::cell::RefCell<Held> = const { std::cell::RefCell::new(Held::new()) };
    }
    HELD.with_borrow_mut(work)
}

/// Holds a place under a number; the oldest ones go when there are too many.
pub(super) fn hold(id: u64, place: &[u8]) {
    with(|held| {
        if let Some(old) = held.places.insert(id, place.into()) {
            held.bytes -= old.len();
        } else {
            held.order.push_back(id);
        }
        held.bytes += place.len();
        while held.order.len() > 1 && (held.order.len() > PLACES_MAX || held.bytes > BYTES_MAX) {
            let Some(oldest) = held.order.pop_front() else { break };
            if let Some(place) = held.places.remove(&oldest) {
                held.bytes -= place.len();
            }
        }
    });
}

/// The place that is held under a number.
pub(super) fn find(id: u64) -> Option<Box<[u8]>> {
    with(|held| held.places.get(&id).cloned())
}

/// Forgets all, as a restart does.
#[cfg(test)]
pub(super) fn forget() {
    with(|held| *held = Held::new());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_places_are_held() {
        let first = 100;
        for id in first..first + 2 * PLACES_MAX as u64 {
            hold(id, b"place");
            hold(id, &id.to_be_bytes());
            assert_eq!(find(id).as_deref(), Some(&id.to_be_bytes()[..]));
        }
        assert_eq!(find(first), None);
        with(|held| assert!(held.order.len() <= PLACES_MAX));
    }
}
