//! A member that is behind its leader's log copies a checkpoint of the leader's store, and begins anew with it.

use haypile_consensus::Behind;
use haypile_types::Position;

use crate::group::options::Mutant;
use crate::group::world::{Event, GroupWorld};

/// A checkpoint on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copying {
    behind: Behind,
    /// What it has, and which process of the leader has made it; `None` while the leader is asked for it.
    from: Option<(Position, u64)>,
}

impl GroupWorld {
    /// Asks for a checkpoint if one is needed.
    pub(crate) fn see_to_copy(&mut self, at: usize) {
        let Some(process) = &mut self.nodes[at].process else {
            return;
        };
        let Some(behind) = process.group.behind().filter(|_| process.copying.is_none()) else {
            return;
        };
        process.copying = Some(Copying { behind, from: None });
        let start = process.start;
        let span = self.rng.between(100, 5_000);
        self.after(span, Event::CopyBegins(at, start));
    }

    /// The leader makes a checkpoint.
    pub(crate) fn copy_begins(&mut self, at: usize) {
        let Some(copying) = self.copying(at) else { return };
        self.counted("copies begun");
        let source = copying.behind.leader as usize - 1;
        let kept = self.nodes[at].copied.take().filter(|_| self.rng.chance(300));
        let reached = self.is_reached(at, source);
        let from = match &self.nodes[source].process {
            Some(process) if reached => {
                let position = self.checks.decided_at(process.applied);
                // What was copied before may do.
                Some((kept.unwrap_or(position), process.start))
            }
            _ => None,
        };
        let span = match self.rng.chance(400) || self.calm {
            true => self.rng.between(200, 5_000),
            false => self.rng.between(5_000, 1_500_000),
        };
        if let Some(process) = &mut self.nodes[at].process {
            process.copying = Some(Copying { from, ..copying });
            let start = process.start;
            self.after(span, Event::CopyEnds(at, start));
        }
    }

    /// It has arrived, or it has not.
    pub(crate) fn copy_ends(&mut self, at: usize) {
        let Some(copying) = self.copying(at) else { return };
        let source = copying.behind.leader as usize - 1;
        let arrives = self.is_reached(at, source) && (self.calm || !self.rng.chance(100));
        let Some(process) = &mut self.nodes[at].process else {
            return;
        };
        process.copying = None;
        let source_start = self.nodes[source].process.as_ref().map(|process| process.start);
        match copying
            .from
            .filter(|(_, start)| arrives && source_start == Some(*start))
        {
            None => self.counted("copies broken"),
            Some((position, _)) => self.give_way(at, copying.behind, position),
        }
        self.after_event(at);
    }

    fn give_way(&mut self, at: usize, behind: Behind, position: Position) {
        let gives_way_unasked = Mutant::is(self.faults.mutant, Mutant::GivesWayUnasked);
        let node = &mut self.nodes[at];
        let now_us = node.clock.at(self.now_us);
        let Some(process) = &mut node.process else { return };
        let group = &mut process.group;
        let is_behind = group.behind() == Some(behind) && position.index > group.commit();
        let why = match group.behind() {
            Some(now) if now == behind && is_behind => "copies of what the log has",
            Some(now) if now == behind => "copies of what is committed",
            _ => "copies not needed any more",
        };
        if !(group.give_way(now_us, behind, position) || gives_way_unasked) {
            node.copied = Some(position);
            self.counted(why);
            return;
        }
        node.installing = Some(position);
        self.counted("replaced");
        if !self.calm && self.rng.chance(200) {
            let power = self.rng.chance(500);
            return self.kill(at, power);
        }
        self.close(at, false);
        let span = self.rng.between(100, 50_000);
        let starts = self.nodes[at].starts;
        self.after(span, Event::Installed(at, starts));
    }

    /// The checkpoint has taken the place of the data.
    pub(crate) fn installed(&mut self, at: usize) {
        if let Some(position) = self.nodes[at].installing.take() {
            self.install(at, position);
            self.start(at);
        }
    }

    pub(crate) fn install(&mut self, at: usize, position: Position) {
        let node = &self.nodes[at];
        let members = self.checks.members_at(position.index).clone();
        node.disk.borrow_mut().install(position, members);
        let ballot = node.disk.borrow().ballot();
        self.checks.votes(node.replica, ballot.term, ballot.vote);
        self.is_kept();
    }

    fn copying(&self, at: usize) -> Option<Copying> {
        self.nodes[at].process.as_ref()?.copying
    }

    /// True if a connection from one machine to another works.
    fn is_reached(&self, at: usize, source: usize) -> bool {
        let (to, from) = (self.nodes[at].replica, self.nodes[source].replica);
        !self.is_cut(from, to) && !self.is_cut(to, from) && !self.is_stopped(source)
    }
}
