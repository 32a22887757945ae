//! One replica of a simulated group: a driver in small, with a disk and a clock of its own.
//!
//! It does what the partition's driver does (`partition/src/group/driving.rs`): messages are sent at once by whoever has brought them about;
//! work for the disk and what is committed wait for the writer, and work is carried out in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use haypile_consensus::{Group, Members, Role, Settings, Silence, Work};
use haypile_types::{Position, Random};

use crate::group::checkpoint::Copying;
use crate::group::checks::Checks;
use crate::group::clock::NodeClock;
use crate::group::disk::{Disk, Reader};
use crate::group::options::{Counts, Mutant};
use crate::rng::Rng;

/// After how long a client is told that nobody knows what becomes of its write, microseconds.
const IN_DOUBT_US: u64 = 2_000_000;

/// One replica.
pub(crate) struct Node {
    pub(crate) replica: u64,
    pub(crate) disk: Rc<RefCell<Disk>>,
    pub(crate) clock: NodeClock,
    pub(crate) process: Option<Process>,
    /// Stopped (SIGSTOP), or asleep, until then.
    pub(crate) stopped_until_us: u64,
    /// Its disk takes nothing until then, or takes its time.
    pub(crate) full_until_us: u64,
    pub(crate) slow_until_us: u64,
    /// A checkpoint that is about to take the place of its data.
    pub(crate) installing: Option<Position>,
    /// One that was copied before and not needed.
    pub(crate) copied: Option<Position>,
    pub(crate) starts: u64,
    /// Nobody will start it again.
    pub(crate) is_gone: bool,
    pub(crate) mutant: Option<Mutant>,
}

/// What is lost with the process.
pub(crate) struct Process {
    pub(crate) group: Group<Reader>,
    /// To be done, and how much of it is being done now.
    pub(crate) work: VecDeque<Work>,
    pub(crate) working: usize,
    pub(crate) applied: u64,
    /// The term in which it writes and reads; 0 if it does not.
    pub(crate) serving: u64,
    /// The writer will look at what there is.
    pub(crate) writer_is_due: bool,
    /// When the next tick will be, by the world's time.
    pub(crate) tick_at_us: u64,
    pub(crate) copying: Option<Copying>,
    /// What clients wait for.
    pending: VecDeque<Turn>,
    /// The same of turns that another leader's entries have cut off the log.
    cut_off: Vec<Turn>,
    /// Incremented with each start, so that what was meant for an earlier process is not taken for this one.
    pub(crate) start: u64,
}

/// Entries that were proposed together, and the clients' writes that they are.
struct Turn {
    first: Position,
    last: Position,
    writes: Vec<u64>,
    since_us: u64,
}

impl Node {
    pub(crate) fn new(replica: u64, members: Members, clock: NodeClock, mutant: Option<Mutant>) -> Self {
        Node {
            replica,
            disk: Rc::new(RefCell::new(Disk::new(members, mutant))),
            clock,
            process: None,
            stopped_until_us: 0,
            full_until_us: 0,
            slow_until_us: 0,
            installing: None,
            copied: None,
            starts: 0,
            is_gone: false,
            mutant,
        }
    }

    pub(crate) fn start(&mut self, now_us: u64, settings: &Settings, rng: &mut Rng) {
        let start = self.disk.borrow_mut().open();
        let applied = start.applied;
        let settings = Settings {
            replica: self.replica,
            ..settings.clone()
        };
        let random = Box::new(Rng::new(rng.next_u64()));
        let mut now_us = self.clock.at(now_us);
        if Mutant::is(self.mutant, Mutant::NoPromiseAtStart) {
            now_us -= settings.promise_us;
        }
        let group = Group::new(settings, start, Reader(self.disk.clone()), now_us, random);
        self.starts += 1;
        self.process = Some(Process {
            group: group.unwrap_or_else(|error| panic!("replica {}: {error}", self.replica)),
            work: VecDeque::new(),
            working: 0,
            applied,
            serving: 0,
            writer_is_due: false,
            tick_at_us: u64::MAX,
            copying: None,
            pending: VecDeque::new(),
            cut_off: Vec::new(),
            start: self.starts,
        });
    }

    /// The writer looks at what has come of all that has happened.
    pub(crate) fn drive(&mut self, now_us: u64, checks: &mut Checks, counts: &mut Counts) {
        let disk = self.disk.borrow();
        let shown_us = self.clock.at(now_us);
        let Some(process) = &mut self.process else { return };
        process.writer_is_due = false;
        loop {
            let outputs = process.group.outputs();
            let (work, committed) = (
                std::mem::take(&mut outputs.work),
                std::mem::take(&mut outputs.committed),
            );
            if work.is_empty() && committed.is_empty() {
                break;
            }
            process.work.extend(work);
            for entry in &committed {
                checks.applies(self.replica, process.applied, entry);
                assert!(
                    disk.entry(entry.position.index) == Some(entry),
                    "what is applied is on this replica's disk"
                );
                process.applied = entry.position.index;
                process.answer(now_us, entry.position, checks, counts);
            }
            process.group.applied(shown_us, process.applied);
            checks.has_members(self.replica, process.applied, process.group.members());
        }
        process.take_or_leave_office(disk.last());
        assert!(
            process.group.silence() != Some(Silence::Forgetful),
            "replica {} is told of entries that it has acknowledged and does not have",
            self.replica
        );
        if let Role::Leader { first } = process.group.role() {
            checks.leads(process.group.term(), self.replica);
            assert!(first.term == process.group.term(), "a leader leads its own term");
        }
    }

    /// Takes a turn of clients' writes, if it leads and its first entry is applied, and its disk has room.
    pub(crate) fn write(&mut self, now_us: u64, writes: Vec<u64>, rng: &mut Rng) -> bool {
        let is_full = now_us < self.full_until_us;
        let shown_us = self.clock.at(now_us);
        let Some(process) = self.process.as_mut().filter(|process| process.serving > 0 && !is_full) else {
            return false;
        };
        let mut payload = |write: &u64| -> Bytes {
            // It begins as effects of commands do.
            let mut bytes = vec![1];
            bytes.extend(write.to_le_bytes());
            bytes.resize(9 + rng.between(0, 40) as usize, 0);
            bytes.into()
        };
        let payloads: Vec<_> = writes.iter().map(&mut payload).collect();
        let (serving, before) = (process.serving, process.group.last().index);
        let Ok(last) = process.group.propose(shown_us, shown_us, payloads) else {
            return false;
        };
        assert!(
            last == Position::new(serving, before + writes.len() as u64),
            "a turn of term {serving} after {before} is proposed up to {last}"
        );
        process.pending.push_back(Turn {
            first: Position::new(serving, before + 1),
            last,
            writes,
            since_us: now_us,
        });
        true
    }

    /// What was to be done is done; or there is no room for all of it, and the rest will be tried again, in order.
    pub(crate) fn work_done(&mut self, now_us: u64, checks: &mut Checks, counts: &mut Counts, rng: &mut Rng) {
        let shown_us = self.clock.at(now_us);
        let Some(process) = &mut self.process else { return };
        let mut done = None;
        for _ in 0..std::mem::take(&mut process.working) {
            let Some(work) = process.work.front().cloned() else {
                break;
            };
            if let Some(first) = work.entries.first()
                && first.position.index <= self.disk.borrow().last().index
            {
                let at_once = Mutant::is(self.mutant, Mutant::RefusesAtCut);
                process.cut_off(first.position.index, at_once, checks, counts);
            }
            if now_us < self.full_until_us {
                self.disk.borrow_mut().carry_out_in_part(&work, rng);
                break;
            }
            process.work.pop_front();
            self.disk.borrow_mut().carry_out(&work, rng.chance(300));
            let ballot = self.disk.borrow().ballot();
            checks.votes(self.replica, ballot.term, ballot.vote);
            done = Some(work.number);
        }
        if let Some(number) = done {
            process.group.persisted(shown_us, number);
        }
    }

    /// True if nobody else can have led since it began to serve in this term.
    pub(crate) fn holds(&self, now_us: u64, term: u64) -> bool {
        let until_us = |process: &Process| process.group.lease_until_us(term);
        self.clock.at(now_us) < self.process.as_ref().map_or(0, until_us)
    }

    /// What its store has applied, on the disk or in memory.
    pub(crate) fn applied(&self) -> u64 {
        let on_disk = self.disk.borrow().applied();
        self.process.as_ref().map_or(on_disk, |process| process.applied)
    }
}

impl Process {
    /// An entry is decided: who waits for it, or for another one in its place, is answered.
    fn answer(&mut self, now_us: u64, decided: Position, checks: &mut Checks, counts: &mut Counts) {
        let mut done = |turn: &Turn| match now_us - turn.since_us < IN_DOUBT_US {
            true => checks.acknowledges(turn.last),
            false => *counts.entry("in doubt").or_default() += 1,
        };
        if let Some(turn) = self.pending.front()
            && turn.last.index == decided.index
        {
            assert!(
                turn.last == decided,
                "{decided} is decided where this replica has proposed {}",
                turn.last
            );
            done(turn);
            self.pending.pop_front();
        }
        // It is there after all: another leader has had it from this one.
        self.cut_off.retain(|turn| {
            if turn.last == decided {
                done(turn);
            }
            turn.last != decided
        });
        self.cut_off.retain(|turn| {
            if turn.first.index == decided.index && turn.first != decided {
                turn.writes.iter().for_each(|write| checks.refuses(*write));
                *counts.entry("not done").or_default() += turn.writes.len() as u64;
                return false;
            }
            // Some of it is decided and some is not: nobody knows what to say.
            turn.last.index > decided.index
        });
    }

    /// Entries from `index` on go, because another leader has decided otherwise. What becomes of them is not known before something is
    /// committed in their place.
    fn cut_off(&mut self, index: u64, at_once: bool, checks: &mut Checks, counts: &mut Counts) {
        while let Some(turn) = self.pending.pop_back() {
            if turn.last.index < index {
                self.pending.push_back(turn);
                break;
            }
            if turn.first.index < index {
                *counts.entry("cut in two").or_default() += 1;
            } else if at_once {
                turn.writes.iter().for_each(|write| checks.refuses(*write));
            } else {
                self.cut_off.push(turn);
            }
        }
    }

    /// The right to write begins when all that was decided before is applied, and ends with the office.
    fn take_or_leave_office(&mut self, last: Position) {
        let serves = self.group.serves().unwrap_or(0);
        if serves == self.serving {
            return;
        }
        self.serving = 0;
        if serves > 0 && self.work.is_empty() && last.index == self.applied {
            assert!(
                self.pending.is_empty(),
                "what was written in an earlier term is decided"
            );
            self.serving = serves;
        }
    }
}
