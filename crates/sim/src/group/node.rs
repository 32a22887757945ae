//! One replica of a simulated group: a driver in small, with a clock of its own.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use haypile_consensus::{Group, Message, Role, Settings, Work};
use haypile_types::Position;

use crate::group::checks::Checks;
use crate::group::disk::{Disk, Reader};
use crate::rng::Rng;

/// A machine's own time: it began at another moment, and goes at another speed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeClock {
    pub(crate) offset_us: u64,
    pub(crate) drift_ppm: i64,
}

impl NodeClock {
    /// What it shows at the moment `now_us`.
    pub(crate) fn at(&self, now_us: u64) -> u64 {
        self.offset_us + (i128::from(now_us) * i128::from(1_000_000 + self.drift_ppm) / 1_000_000) as u64
    }

    /// The moment at which it shows this, or a little later.
    pub(crate) fn when(&self, shown_us: u64) -> u64 {
        let passed = i128::from(shown_us.saturating_sub(self.offset_us));
        (passed * 1_000_000 / i128::from(1_000_000 + self.drift_ppm)) as u64 + 1
    }
}

/// One replica: a driver in small.
pub(crate) struct Node {
    pub(crate) replica: u64,
    pub(crate) disk: Rc<RefCell<Disk>>,
    pub(crate) clock: NodeClock,
    pub(crate) process: Option<Process>,
    /// Stopped (SIGSTOP) until then.
    pub(crate) stopped_until_us: u64,
    pub(crate) starts: u64,
}

/// What is lost with the process.
pub(crate) struct Process {
    pub(crate) group: Group<Reader>,
    /// To be done, the first of it now.
    pub(crate) work: VecDeque<Work>,
    pub(crate) applied: u64,
    /// Writes that clients wait for.
    pub(crate) pending: VecDeque<Position>,
    /// Incremented with each start, so that what was meant for an earlier process is not taken for this one.
    pub(crate) start: u64,
}

impl Node {
    pub(crate) fn start(&mut self, now_us: u64, settings: &Settings, rng: &mut Rng) {
        let start = self.disk.borrow().start();
        let applied = start.applied;
        let settings = Settings {
            replica: self.replica,
            ..settings.clone()
        };
        let random = Box::new(Rng::new(haypile_types::Random::next_u64(rng)));
        let group = Group::new(
            settings,
            start,
            Reader(self.disk.clone()),
            self.clock.at(now_us),
            random,
        );
        self.starts += 1;
        self.process = Some(Process {
            group: group.unwrap_or_else(|error| panic!("replica {}: {error}", self.replica)),
            work: VecDeque::new(),
            applied,
            pending: VecDeque::new(),
            start: self.starts,
        });
    }

    /// Takes what has come of the last event; gives what is to be sent.
    pub(crate) fn drive(&mut self, checks: &mut Checks) -> Vec<Message> {
        let Some(process) = &mut self.process else {
            return Vec::new();
        };
        let mut messages = Vec::new();
        loop {
            let outputs = process.group.take();
            if outputs.messages.is_empty() && outputs.work.is_empty() && outputs.committed.is_empty() {
                break;
            }
            messages.extend(outputs.messages);
            process.work.extend(outputs.work);
            for entry in &outputs.committed {
                checks.applies(self.replica, process.applied, entry);
                let on_disk = self.disk.borrow().log.get(process.applied as usize).cloned();
                assert!(
                    on_disk.as_ref() == Some(entry),
                    "what is applied is on this replica's disk"
                );
                process.applied = entry.position.index;
                while process
                    .pending
                    .front()
                    .is_some_and(|write| write.index <= entry.position.index)
                {
                    let write = process.pending.pop_front();
                    if write == Some(entry.position) {
                        checks.acknowledges(entry.position);
                    }
                }
            }
            process.group.applied(process.applied);
        }
        if let Role::Leader { first } = process.group.role() {
            checks.leads(process.group.term(), self.replica);
            assert!(first.term == process.group.term(), "a leader leads its own term");
        }
        messages
    }

    /// Takes a client's write, if it leads and its first entry is applied.
    pub(crate) fn write(&mut self, now_us: u64, payload: Vec<u8>) -> bool {
        let now_us = self.clock.at(now_us);
        let Some(process) = &mut self.process else { return false };
        if process.group.serves().is_none() {
            return false;
        }
        match process.group.propose(now_us, now_us, [payload.into()]) {
            Ok(position) => {
                process.pending.push_back(position);
                true
            }
            Err(_) => false,
        }
    }

    /// True if nobody else can have led since it began to serve in this term.
    pub(crate) fn holds(&self, now_us: u64, term: u64) -> bool {
        let until_us = self
            .process
            .as_ref()
            .map_or(0, |process| process.group.lease_until_us(term));
        self.clock.at(now_us) < until_us
    }
}
