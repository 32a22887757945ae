//! Whether what was read is the newest state: nobody else may have led meanwhile.
//!
//! As a rule the leader's lease says so, and a read costs a look at the time. Without it, because the leader was stopped for a while, or has asked
//! somebody to take over who then did not, a read waits until a quorum has answered to something that was said after it: Raft's ReadIndex
//! (Ongaro, "Consensus: Bridging Theory and Practice", 2014, 6.4), in which the index is that of the state that was read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use haypile_consensus::Group;
use parking_lot::{Condvar, Mutex};

use super::reader::DiskReader;
use crate::CommitError;
use crate::group::Replica;
use crate::partition::{Partition, Shared, Writer};
use crate::task::Task;
use crate::writing::Finished;

/// How long a read waits to be confirmed. A leader without a quorum leads no more before that is over.
const CONFIRMED_WITHIN_US: u64 = 2_000_000;

/// Those who wait to be confirmed.
#[derive(Default)]
pub(crate) struct Waiting {
    /// How many they are: threads, and turns.
    count: AtomicUsize,
    lock: Mutex<()>,
    told: Condvar,
}

/// Turns that have only read.
pub(crate) type Unconfirmed = VecDeque<ReadingTurn>;

/// One of them.
pub(crate) struct ReadingTurn {
    /// In which term it has read, and when it had.
    term: u64,
    read_us: u64,
    pub(super) tasks: Vec<Box<dyn Task>>,
}

impl Replica {
    /// Makes known for how long nobody else can lead, and since when nobody else has led. A reader looks at the term, at these, and at the term
    /// again. True if a turn may have been waiting for it.
    pub(super) fn tell_lease(&self, core: &Group<DiskReader>) -> bool {
        let term = core.serves().unwrap_or(0);
        if self.lease_term.load(Ordering::Relaxed) != term {
            self.lease_term.store(0, Ordering::Release);
            self.lease_until_us.store(0, Ordering::Release);
            self.confirmed_us.store(0, Ordering::Release);
            self.lease_term.store(term, Ordering::Release);
        }
        if term > 0 {
            self.lease_until_us.store(core.lease_until_us(term), Ordering::Release);
            self.confirmed_us.store(core.confirmed_us(term), Ordering::Release);
        }
        let some_wait = self.waiting.count.load(Ordering::SeqCst) > 0;
        if some_wait {
            drop(self.waiting.lock.lock());
            self.waiting.told.notify_all();
        }
        some_wait
    }

    /// True if nobody else can have led since this replica began to serve in this term. To be asked after what was read.
    pub(crate) fn holds(&self, term: u64) -> bool {
        if term == 0 || self.lease_term.load(Ordering::Acquire) != term {
            return false;
        }
        let until_us = self.lease_until_us.load(Ordering::Acquire);
        self.lease_term.load(Ordering::Acquire) == term && self.post.now_us() < until_us
    }

    /// True if nobody else had led before `read_us`, when something was read that was begun in this term.
    fn confirms(&self, term: u64, read_us: u64) -> bool {
        if term == 0 || self.lease_term.load(Ordering::Acquire) != term {
            return false;
        }
        let confirmed_us = self.confirmed_us.load(Ordering::Acquire);
        self.lease_term.load(Ordering::Acquire) == term && confirmed_us >= read_us
    }

    /// Waits until it is known whether what has just been read was the newest state.
    fn await_confirmation(&self, term: u64) -> bool {
        let read_us = self.post.now_us();
        self.waiting.count.fetch_add(1, Ordering::SeqCst);
        self.with(|group, now_us| group.hurry(now_us));
        let mut lock = self.waiting.lock.lock();
        let confirmed = loop {
            if self.holds(term) || self.confirms(term, read_us) {
                break true;
            }
            let waited_us = self.post.now_us() - read_us;
            if self.serving() != term || waited_us >= CONFIRMED_WITHIN_US {
                break false;
            }
            let rest = Duration::from_micros(CONFIRMED_WITHIN_US - waited_us);
            self.waiting.told.wait_for(&mut lock, rest);
        };
        drop(lock);
        self.waiting.count.fetch_sub(1, Ordering::SeqCst);
        confirmed
    }
}

impl Partition {
    /// True if what was read since [`Partition::serving_term`] gave this term is the newest state. To be asked *after* the read.
    pub fn still_serves(&self, term: u64) -> bool {
        self.shared.replica.as_ref().is_none_or(|replica| replica.holds(term))
    }

    /// As [`Partition::still_serves`]; waits for a round of messages if that is needed to know.
    pub(crate) fn still_serves_or_waits(&self, term: u64) -> bool {
        self.still_serves(term)
            || self
                .shared
                .replica
                .as_ref()
                .is_none_or(|replica| replica.await_confirmation(term))
    }
}

impl Shared {
    /// A turn that has only read, and of which the lease does not say that it has read the newest state: it is finished when that is known.
    pub(super) fn confirm_later(&self, replica: &Replica, writer: &mut Writer, tasks: Vec<Box<dyn Task>>) {
        let turn = ReadingTurn {
            term: replica.serving(),
            read_us: replica.post.now_us(),
            tasks,
        };
        writer.desk_mut().unconfirmed.push_back(turn);
        replica.waiting.count.fetch_add(1, Ordering::SeqCst);
        replica.with(|group, now_us| group.hurry(now_us));
    }

    /// Finishes the turns that have waited to be confirmed, as far as it is known what becomes of them.
    pub(super) fn finish_confirmed(&self, replica: &Replica, writer: &mut Writer, finished: &mut Finished) {
        if writer.desk_mut().unconfirmed.is_empty() {
            return;
        }
        let (serving, now_us) = (replica.serving(), replica.post.now_us());
        while let Some(turn) = writer.desk_mut().unconfirmed.pop_front() {
            let confirmed = replica.holds(turn.term) || replica.confirms(turn.term, turn.read_us);
            if !confirmed && serving == turn.term && now_us < turn.read_us + CONFIRMED_WITHIN_US {
                writer.desk_mut().unconfirmed.push_front(turn);
                return;
            }
            replica.waiting.count.fetch_sub(1, Ordering::SeqCst);
            match confirmed {
                true => finished.tasks.extend(turn.tasks),
                false => finished.also(turn.tasks, CommitError::NotLeader),
            }
        }
    }
}
