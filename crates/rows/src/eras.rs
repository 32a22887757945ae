//! Who reads, and since when: what readers may still look at is freed when they have gone on.
//!
//! Time is divided into *eras*. A reader enters the current one by writing its number into a slot that belongs to its thread
//! alone, and leaves by clearing it. Who takes something out of a shared structure tags it with an era that begins after
//! that, and frees it when no reader of an earlier era is left: a reader of this era or a later one entered after
//! the thing was out of reach. This is epoch-based reclamation (Fraser, "Practical lock-freedom", 2004) with two differences: the
//! writer can begin eras and look at the slots whenever it likes, so that most of what it supersedes is freed at once and used
//! again while it is in the cache; and the era in which a reader entered also says how old the state is that it reads.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;

use haypile_types::Padded;
#[cfg(not(feature = "loom"))]
use haypile_types::thread_index;

use crate::sync::{AtomicU64, AtomicUsize, Mutex, fence, lock};

/// Threads that have a slot of their own. Those beyond share a lock.
#[cfg(not(feature = "loom"))]
const SLOTS: usize = 512;
#[cfg(feature = "loom")]
const SLOTS: usize = 2;

/// What a slot says while its thread does not read.
const IDLE: u64 = 0;

/// See the module. There is one for the process ([`Eras::global`]): what several stores take out waits for the readers of all.
pub struct Eras {
    now: Padded<AtomicU64>,
    /// Readers who entered in an earlier era than this one are asked to leave.
    recalled: Padded<AtomicU64>,
    slots: Box<[Padded<AtomicU64>]>,
    /// Slots from here on have never been used.
    used: AtomicUsize,
    /// Readers without a slot, by era, and whether there are any.
    crowd: Mutex<BTreeMap<u64, usize>>,
    crowded: AtomicUsize,
}

impl Default for Eras {
    fn default() -> Self {
        Eras {
            now: Padded(AtomicU64::new(1)),
            recalled: Padded(AtomicU64::new(0)),
            slots: (0..SLOTS).map(|_| Padded(AtomicU64::new(IDLE))).collect(),
            used: AtomicUsize::new(0),
            crowd: Mutex::new(BTreeMap::new()),
            crowded: AtomicUsize::new(0),
        }
    }
}

/// The right to look at what readers may look at, from its creation to its end. It stays on its thread.
pub struct Guard<'e> {
    eras: &'e Eras,
    /// `None`: it is one of [`ENTERED`]'s, and the last of these leaves.
    slot: Option<Slot>,
    era: u64,
    /// Slots belong to threads.
    _not_send: PhantomData<*const ()>,
}

#[derive(Clone, Copy)]
enum Slot {
    Own(usize),
    Crowd,
}

/// The guards of a thread on the process' eras.
#[derive(Clone, Copy)]
struct Entered {
    slot: Slot,
    era: u64,
    guards: usize,
}

impl Eras {
    /// Enters the current era in slot `index`, which no other thread uses.
    pub fn enter_at(&self, index: usize) -> Guard<'_> {
        let (slot, era) = self.take_slot(index);
        Guard {
            eras: self,
            slot: Some(slot),
            era,
            _not_send: PhantomData,
        }
    }

    fn take_slot(&self, index: usize) -> (Slot, u64) {
        let era = self.now.0.load(Ordering::Relaxed);
        let slot = match self.slots.get(index) {
            Some(slot) => {
                if index >= self.used.load(Ordering::Relaxed) {
                    self.used.fetch_max(index + 1, Ordering::SeqCst);
                }
                slot.0.store(era, Ordering::Relaxed);
                Slot::Own(index)
            }
            None => {
                let mut crowd = lock(&self.crowd);
                *crowd.entry(era).or_insert(0) += 1;
                self.crowded.fetch_add(1, Ordering::Relaxed);
                Slot::Crowd
            }
        };
        // Either a writer that looks at the slots from now on sees this one, or what it took out before that is out of
        // this reader's reach. The counterpart is in `oldest`.
        fence(Ordering::SeqCst);
        (slot, era)
    }

    /// The era with which something is to be tagged that is out of reach for new readers. It may not have begun yet.
    pub fn tag(&self) -> u64 {
        // Who enters in the era after this one has seen that it is out of reach.
        fence(Ordering::SeqCst);
        self.now.0.load(Ordering::Relaxed) + 1
    }

    /// Begins an era.
    pub fn advance(&self) {
        self.now.0.fetch_add(1, Ordering::SeqCst);
    }

    /// The earliest era in which somebody entered who still reads; `u64::MAX` if nobody does. What is tagged with this era
    /// or an earlier one can be freed.
    pub fn oldest(&self) -> u64 {
        fence(Ordering::SeqCst);
        let used = self.used.load(Ordering::SeqCst);
        let mut oldest = u64::MAX;
        for slot in &self.slots[..used] {
            // Acquire: what the reader did before it left happens before it is freed.
            let era = slot.0.load(Ordering::Acquire);
            if era != IDLE {
                oldest = oldest.min(era);
            }
        }
        if self.crowded.load(Ordering::SeqCst) > 0
            && let Some((era, _)) = lock(&self.crowd).first_key_value()
        {
            oldest = oldest.min(*era);
        }
        oldest
    }

    /// Asks all readers to leave who have entered until now ([`Guard::is_recalled`]): they keep too much from being freed.
    pub fn recall(&self) {
        self.recalled
            .0
            .store(self.now.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.advance();
    }

    fn leave(&self, slot: Slot, era: u64) {
        match slot {
            Slot::Own(index) => self.slots[index].0.store(IDLE, Ordering::Release),
            Slot::Crowd => {
                let mut crowd = lock(&self.crowd);
                if let Some(readers) = crowd.get_mut(&era) {
                    *readers -= 1;
                    if *readers == 0 {
                        crowd.remove(&era);
                    }
                }
                self.crowded.fetch_sub(1, Ordering::Release);
            }
        }
    }
}

impl Guard<'_> {
    /// True if what this reader keeps from being freed has become too much: it should end, and try again with a newer state.
    #[inline]
    pub fn is_recalled(&self) -> bool {
        self.era < self.eras.recalled.0.load(Ordering::Relaxed)
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            return self.eras.leave(slot, self.era);
        }
        if let Some(mut entered) = ENTERED.take() {
            entered.guards -= 1;
            if entered.guards == 0 {
                self.eras.leave(entered.slot, entered.era);
            } else {
                ENTERED.set(Some(entered));
            }
        }
    }
}

thread_local! {
    /// This thread's guards on the process' eras, if there are any.
    static ENTERED: Cell<Option<Entered>> = const { Cell::new(None) };
}

#[cfg(not(feature = "loom"))]
impl Eras {
    /// Those of the process.
    #[inline]
    pub fn global() -> &'static Eras {
        static GLOBAL: std::sync::LazyLock<Eras> = std::sync::LazyLock::new(Eras::default);
        &GLOBAL
    }

    /// Enters the current era of the process. A thread may enter again before it has left: it is in the era of the first time,
    /// until its last guard goes.
    #[inline]
    pub fn enter() -> Guard<'static> {
        let eras = Self::global();
        let mut entered = ENTERED.get().unwrap_or_else(|| {
            let (slot, era) = eras.take_slot(thread_index());
            Entered { slot, era, guards: 0 }
        });
        entered.guards += 1;
        ENTERED.set(Some(entered));
        Guard {
            eras,
            slot: None,
            era: entered.era,
            _not_send: PhantomData,
        }
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    #[test]
    fn what_is_tagged_waits_for_those_who_entered_before() {
        let eras = Eras::default();
        assert_eq!(eras.oldest(), u64::MAX);
        let early = eras.enter_at(0);
        let tag = eras.tag();
        eras.advance();
        assert!(eras.oldest() < tag);
        let late = eras.enter_at(1);
        drop(early);
        assert!(
            eras.oldest() >= tag,
            "who entered after it was out of reach does not matter"
        );
        drop(late);
        assert_eq!(eras.oldest(), u64::MAX);
    }

    #[test]
    fn readers_without_a_slot_count_as_well() {
        let eras = Eras::default();
        let (first, second) = (eras.enter_at(SLOTS), eras.enter_at(SLOTS + 1));
        let tag = eras.tag();
        eras.advance();
        let third = eras.enter_at(SLOTS);
        drop(first);
        assert!(eras.oldest() < tag);
        drop(second);
        assert!(eras.oldest() >= tag && eras.oldest() < u64::MAX);
        drop(third);
        assert_eq!(eras.oldest(), u64::MAX);
    }

    #[test]
    fn a_recall_is_for_those_who_have_entered() {
        let eras = Eras::default();
        let early = eras.enter_at(0);
        assert!(!early.is_recalled());
        eras.recall();
        assert!(early.is_recalled());
        assert!(!eras.enter_at(1).is_recalled());
    }

    #[test]
    fn a_thread_leaves_with_its_last_guard() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let outer = Eras::enter();
                let tag = Eras::global().tag();
                Eras::global().advance();
                let inner = Eras::enter();
                drop(outer);
                assert!(Eras::global().oldest() < tag);
                drop(inner);
                assert!(ENTERED.get().is_none());
            });
        });
    }
}
