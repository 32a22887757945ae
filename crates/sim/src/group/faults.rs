//! What goes wrong in a run of a group, by chance.

use haypile_consensus::Role;
use haypile_types::Random;

use crate::group::node::Node;
use crate::group::world::{Event, GroupWorld};

impl GroupWorld {
    /// Something goes wrong.
    pub(crate) fn fault(&mut self) {
        let at = match self.rng.chance(600) {
            // What happens to leaders is worth more.
            true => self.leader().unwrap_or(0),
            false => self.rng.below(self.nodes.len() as u64) as usize,
        };
        match self.rng.below(6) {
            0 => self.kill(at, false),
            1 => self.kill(at, true),
            2 => {
                self.count[2] += 1;
                let span = self.rng.between(50_000, 1_500_000);
                self.nodes[at].stopped_until_us = self.now_us + span;
                self.after(span, Event::Continues(at));
            }
            3 => self.cut_links(at),
            4 => {
                self.count[4] += 1;
                let to = self.rng.between(1, self.nodes.len() as u64);
                let now_us = self.nodes[at].clock.at(self.now_us);
                if !self.is_stopped(at)
                    && let Some(process) = &mut self.nodes[at].process
                {
                    process.group.transfer(now_us, to);
                    self.drive(at);
                }
            }
            // The store writes down what it has applied.
            _ => {
                for node in &self.nodes {
                    if let Some(process) = &node.process {
                        node.disk.borrow_mut().applied = process.applied;
                    }
                }
            }
        }
    }

    fn leader(&self) -> Option<usize> {
        let leads = |node: &Node| {
            let process = node.process.as_ref()?;
            matches!(process.group.role(), Role::Leader { .. }).then_some(process.group.term())
        };
        (0..self.nodes.len()).max_by_key(|at| leads(&self.nodes[*at]))
    }

    fn kill(&mut self, at: usize, power: bool) {
        let Some(process) = self.nodes[at].process.take() else {
            return;
        };
        self.count[usize::from(power)] += 1;
        self.nodes[at].stopped_until_us = 0;
        {
            let mut disk = self.nodes[at].disk.borrow_mut();
            if let Some(work) = process.work.front() {
                disk.killed_within(work, &mut self.rng);
            }
            if power {
                disk.lose_power();
            }
        }
        let peer = self.nodes[at].replica;
        for other in 0..self.nodes.len() {
            // A machine that loses power resets no connection.
            if other != at && !power {
                let span = self.rng.between(50, 2_000);
                self.after(span, Event::ConnectionLost { at: other, peer });
            }
        }
        // Some are back while what they have promised is still in force.
        let span = match self.rng.chance(500) {
            true => self.rng.between(1_000, 300_000),
            false => self.rng.between(300_000, 2_000_000),
        };
        self.after(span, Event::Starts(at));
    }

    fn cut_links(&mut self, at: usize) {
        self.count[3] += 1;
        self.cuts += 1;
        let (replica, cut) = (self.nodes[at].replica, self.cuts);
        let way = self.rng.below(4);
        for other in 1..=self.nodes.len() as u64 {
            // Now and then one link only, or one direction.
            if other == replica || (way == 3 && self.rng.chance(500)) {
                continue;
            }
            if way != 1 {
                self.cut.push((replica, other, cut));
            }
            if way != 2 {
                self.cut.push((other, replica, cut));
            }
        }
        if self.rng.chance(500) {
            // The systems notice, and say so.
            for other in (0..self.nodes.len()).filter(|other| *other != at) {
                let span = self.rng.between(50, 20_000);
                self.after(
                    span,
                    Event::ConnectionLost {
                        at: other,
                        peer: replica,
                    },
                );
            }
        }
        let span = self.rng.between(20_000, 2_000_000);
        self.after(span, Event::Heals { cut });
    }

    /// All faults end.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        self.cut.clear();
        self.writes_before_calm = self.checks.writes;
        for at in 0..self.nodes.len() {
            self.nodes[at].stopped_until_us = 0;
            if self.nodes[at].process.is_none() {
                self.start(at);
            }
        }
    }
}
