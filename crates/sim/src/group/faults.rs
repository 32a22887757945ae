//! What goes wrong in a run of a group, by chance.

use haypile_types::Random;

use crate::group::world::{Event, GroupWorld};

/// How long the group is watched after the faults have ended, if all goes well, microseconds.
const WATCHED_US: u64 = 2_000_000;

impl GroupWorld {
    /// Something goes wrong.
    pub(crate) fn fault(&mut self) {
        let at = match self.rng.chance(600) {
            // What happens to leaders is worth more.
            true => self.leader().unwrap_or(0),
            false => self.anybody(),
        };
        match self.rng.below(17) {
            0 | 1 => self.kill(at, false),
            2 | 3 => self.kill(at, true),
            4 | 5 => self.stop(at),
            6 | 7 => self.cut_links(at),
            8 | 9 => self.transfer(at),
            10 => self.isolate(),
            11 => {
                self.counted("flapping links");
                let to = self.anybody() as u64 + 1;
                let (from, left) = (self.nodes[at].replica, self.rng.between(4, 16));
                self.flaps(from, to, left);
            }
            12 => {
                self.counted("full disks");
                let span = self.rng.between(50_000, 3_000_000);
                self.nodes[at].full_until_us = self.now_us + span;
            }
            13 => {
                self.counted("slow disks");
                let span = self.rng.between(200_000, 5_000_000);
                self.nodes[at].slow_until_us = self.now_us + span;
            }
            14 => self.prepare_ambush(),
            15 if self.rng.chance(500) => self.take_away(),
            15 => {
                self.counted("clocks change their speed");
                for at in 0..self.nodes.len() {
                    let (now_us, drift) = (self.now_us, self.drift());
                    self.nodes[at].clock.drifts(now_us, drift);
                }
            }
            _ => {
                self.counted("all restart");
                let power = self.rng.chance(500);
                (0..self.nodes.len()).for_each(|at| self.kill(at, power));
            }
        }
    }

    fn anybody(&mut self) -> usize {
        self.rng.below(self.nodes.len() as u64) as usize
    }

    fn stop(&mut self, at: usize) {
        self.counted("stops");
        let span = self.rng.between(50_000, 1_500_000);
        self.nodes[at].stopped_until_us = self.now_us + span;
        self.after(span, Event::Continues(at));
    }

    fn transfer(&mut self, at: usize) {
        let to = self.anybody() as u64 + 1;
        let now_us = self.nodes[at].clock.at(self.now_us);
        let (stopped, chosen) = (self.is_stopped(at), self.rng.chance(500));
        let Some(process) = self.nodes[at].process.as_mut().filter(|_| !stopped) else {
            return;
        };
        let to = process.group.successor().filter(|_| chosen).unwrap_or(to);
        process.group.transfer(now_us, to);
        self.counted("transfers");
        self.after_event(at);
    }

    /// Somebody's store writes down what it has applied, and the log before goes, whoever needs it.
    pub(crate) fn collects(&mut self) {
        let span = self.about(self.faults.collect_every_us);
        self.after(span, Event::Collects);
        if self.calm && self.now_us > self.calm_us + WATCHED_US && self.all_have_recovered() {
            self.ended = true;
        }
        let at = match self.rng.chance(500) {
            true => self.leader().unwrap_or(0),
            false => self.anybody(),
        };
        if self.is_stopped(at) {
            return;
        }
        let disk = self.nodes[at].disk.clone();
        let Some(process) = &mut self.nodes[at].process else {
            return;
        };
        let mut disk = disk.borrow_mut();
        disk.settle(process.applied, process.group.members());
        let (base, applied) = (disk.base().index, disk.applied());
        let before = match self.rng.below(4) {
            0 => base,
            1 => applied,
            _ => self.rng.between(base, applied),
        };
        if before > base {
            disk.collect(before);
            drop(disk);
            process.group.collected(before);
            self.counted("collections");
        }
    }

    /// The process ends, or the machine loses its power.
    pub(crate) fn kill(&mut self, at: usize, power: bool) {
        if self.nodes[at].process.is_none() && self.nodes[at].installing.is_none() {
            return;
        }
        self.counted(if power { "losses of power" } else { "kills" });
        self.close(at, power);
        if let Some(position) = self.nodes[at].installing.take() {
            // It has taken the place of the data, or it has not.
            match self.rng.chance(500) {
                true => self.install(at, position),
                false => self.counted("old data after all"),
            }
        }
        self.nodes[at].copied = self.nodes[at].copied.filter(|_| !power);
        // Some are back while what they have promised is still in force.
        let span = match self.rng.chance(500) {
            true => self.rng.between(1_000, 300_000),
            false => self.rng.between(300_000, 2_000_000),
        };
        self.after(span, Event::Starts(at));
    }

    /// What is left when the process is gone.
    pub(crate) fn close(&mut self, at: usize, power: bool) {
        self.nodes[at].stopped_until_us = 0;
        if let Some(process) = self.nodes[at].process.take() {
            let mut disk = self.nodes[at].disk.borrow_mut();
            if let Some(work) = process.work.front() {
                disk.carry_out_in_part(work, &mut self.rng);
            }
        }
        if power {
            self.nodes[at].disk.borrow_mut().lose_power();
            self.nodes[at].clock = self.boot();
        }
        self.is_kept();
        let peer = self.nodes[at].replica;
        for other in 0..self.nodes.len() {
            // A machine that loses power resets no connection.
            if other != at && !power {
                let span = self.rng.between(50, 2_000);
                self.after(span, Event::ConnectionLost { at: other, peer });
            }
        }
    }

    fn cut_links(&mut self, at: usize) {
        self.counted("cuts");
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

    /// The leader is not heard by all, and then hears nobody, while those who have heard of it last restart: they could vote for another one,
    /// and it would go on reading.
    fn prepare_ambush(&mut self) {
        let Some(leader) = self.leader() else { return };
        self.counted("ambushes");
        let mut others: Vec<usize> = (0..self.nodes.len()).filter(|at| *at != leader).collect();
        while others.len() > self.nodes.len() / 2 {
            let at = self.rng.below(others.len() as u64) as usize;
            let away = others.swap_remove(at);
            self.cut_link(leader, away, 900_000);
        }
        let span = self.rng.between(250_000, 500_000);
        self.after(span, Event::Ambush { leader, others });
    }

    pub(crate) fn ambush(&mut self, leader: usize, others: &[usize]) {
        if self.calm {
            return;
        }
        for at in 0..self.nodes.len() {
            self.cut_link(at, leader, 400_000);
        }
        for at in others {
            let power = self.rng.chance(500);
            if !self.nodes[*at].is_gone {
                self.kill(*at, power);
                self.start(*at);
            }
        }
    }

    /// One link takes nothing in one direction.
    fn cut_link(&mut self, from: usize, to: usize, span_us: u64) {
        self.cuts += 1;
        let cut = self.cuts;
        self.cut.push((self.nodes[from].replica, self.nodes[to].replica, cut));
        self.after(span_us, Event::Heals { cut });
    }

    /// Those of one part hear nothing of those of another, in one direction or in both.
    fn isolate(&mut self) {
        self.counted("divisions");
        self.cuts += 1;
        let cut = self.cuts;
        let side: Vec<bool> = self.nodes.iter().map(|_| self.rng.chance(500)).collect();
        let one_way = self.rng.chance(300);
        for (from, of) in side.iter().enumerate() {
            for (to, other) in side.iter().enumerate() {
                if of != other && (!one_way || *of) {
                    self.cut.push((from as u64 + 1, to as u64 + 1, cut));
                }
            }
        }
        let span = self.rng.between(20_000, 3_000_000);
        self.after(span, Event::Heals { cut });
    }

    /// A link in one direction is there, and is not, and is.
    pub(crate) fn flaps(&mut self, from: u64, to: u64, left: u64) {
        if left == 0 || self.calm {
            return;
        }
        let (span, next) = (self.rng.between(10_000, 150_000), self.rng.between(10_000, 300_000));
        self.cuts += 1;
        let cut = self.cuts;
        self.cut.push((from, to, cut));
        self.after(span, Event::Heals { cut });
        let left = left - 1;
        self.after(next, Event::Flaps { from, to, left });
    }

    /// All faults end.
    pub(crate) fn calm_down(&mut self) {
        (self.calm, self.calm_us) = (true, self.now_us);
        self.cut.clear();
        self.writes_before_calm = self.checks.writes;
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            (node.stopped_until_us, node.full_until_us, node.slow_until_us) = (0, 0, 0);
            if node.process.is_none() && node.installing.is_none() && !node.is_gone {
                self.start(at);
            }
        }
    }
}
