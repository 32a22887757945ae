//! What clients of a simulated group do: they write to whoever may lead, and read by lease or by asking a quorum.

use haypile_consensus::Role;
use haypile_types::Random;

use crate::group::options::Mutant;
use crate::group::world::{CLIENT_EVERY_US, Event, GroupWorld};

/// A read under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    /// Which process it is at.
    pub(crate) start: u64,
    /// The term in which that served before the read.
    term: u64,
    /// What had been acknowledged when it began, and what it has seen.
    acknowledged: u64,
    saw: u64,
    /// When it has looked, by the process' clock, and how often it will ask whether that is confirmed.
    looked_us: u64,
    asks: u64,
}

impl GroupWorld {
    /// A client writes, one command or several that go together.
    pub(crate) fn client_writes(&mut self) {
        let span = self.about(CLIENT_EVERY_US);
        self.after(span, Event::Write);
        // It knows who leads, or tries anybody.
        let at = match self.rng.chance(600) {
            true => self.leader().unwrap_or(0),
            false => self.rng.below(self.nodes.len() as u64) as usize,
        };
        if self.is_stopped(at) {
            return;
        }
        let count = match self.rng.chance(800) {
            true => 1,
            false => self.rng.between(2, 8),
        };
        let writes = (self.written + 1..=self.written + count).collect();
        self.written += count;
        self.drive(at);
        let now_us = self.now_us;
        if self.nodes[at].write(now_us, writes, &mut self.rng) {
            self.drive(at);
        }
        self.after_event(at);
    }

    /// Clients ask everybody who leads, or thinks so.
    pub(crate) fn reads_begin(&mut self) {
        let span = self.about(CLIENT_EVERY_US);
        self.after(span, Event::ReadBegins);
        let acknowledged = self.checks.acknowledged();
        for at in 0..self.nodes.len() {
            let Some(process) = &self.nodes[at].process else {
                continue;
            };
            if !matches!(process.group.role(), Role::Leader { .. }) {
                continue;
            }
            let read = Read {
                start: process.start,
                term: process.serving,
                acknowledged,
                saw: 0,
                looked_us: 0,
                asks: 8,
            };
            let span = self.rng.between(0, 1_000);
            if !Mutant::is(self.faults.mutant, Mutant::LeaseBeforeRead) {
                self.after(span, Event::ReadLooks(at, read));
            } else if !self.is_stopped(at) && self.nodes[at].holds(self.now_us, read.term) {
                // Connections are looked at only then, and what they have to say answered without another look at the time.
                self.after(span, Event::ReadLooks(at, read));
            }
        }
    }

    pub(crate) fn read_looks(&mut self, at: usize, read: Read) {
        let Some(process) = &self.nodes[at].process else { return };
        let read = Read {
            term: process.serving,
            saw: process.applied,
            looked_us: self.nodes[at].clock.at(self.now_us),
            ..read
        };
        let (term, saw) = (read.term, read.saw);
        if Mutant::is(self.faults.mutant, Mutant::LeaseBeforeRead) {
            let acknowledged = self.checks.acknowledged();
            self.checks.reads(at as u64 + 1, saw, acknowledged);
        } else if term > 0 || Mutant::is(self.faults.mutant, Mutant::LeaseAlone) {
            let span = self.rng.between(0, 2_000);
            self.after(span, Event::ReadEnds(at, read));
        }
    }

    pub(crate) fn read_ends(&mut self, at: usize, read: Read) {
        let node = &self.nodes[at];
        let Some(process) = &node.process else { return };
        let term = match Mutant::is(self.faults.mutant, Mutant::LeaseAlone) {
            true => process.serving,
            false => read.term,
        };
        if node.holds(self.now_us, term) && (self.rng.chance(900) || term != read.term) {
            self.checks.reads(node.replica, read.saw, read.acknowledged);
        } else if term == read.term {
            self.read_waits(at, read);
        }
    }

    /// Without a lease, what was read is the newest if a quorum answers what was said since.
    fn read_waits(&mut self, at: usize, read: Read) {
        let now_us = self.nodes[at].clock.at(self.now_us);
        let Some(process) = &mut self.nodes[at].process else {
            return;
        };
        process.group.hurry(now_us);
        self.after_event(at);
        let span = self.rng.between(200, 3_000);
        self.after(span, Event::ReadConfirms(at, read));
    }

    pub(crate) fn read_confirms(&mut self, at: usize, read: Read) {
        let node = &self.nodes[at];
        let Some(process) = &node.process else { return };
        let confirmed_us = process.group.confirmed_us(read.term);
        let is_early = Mutant::is(self.faults.mutant, Mutant::ConfirmedBeforeRead) && confirmed_us > 0;
        if confirmed_us >= read.looked_us || is_early {
            self.checks.reads(node.replica, read.saw, read.acknowledged);
            self.counted("reads confirmed");
        } else if read.asks > 0 {
            let asks = read.asks - 1;
            let span = self.rng.between(200, 20_000);
            self.after(span, Event::ReadConfirms(at, Read { asks, ..read }));
        }
    }
}
