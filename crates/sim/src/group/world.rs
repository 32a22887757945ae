//! A group under faults: its replicas and its network, over fake time.

use std::collections::BTreeMap;

use haypile_consensus::{Members, Message, Role, Settings};
use haypile_types::Random;

use crate::group::checks::Checks;
use crate::group::clients::Read;
use crate::group::clock::NodeClock;
use crate::group::node::Node;
use crate::group::options::{Counts, Faults, Mutant, Outcome};
use crate::rng::Rng;

/// When a run begins, how long everything goes wrong, and how long the group may take afterwards, microseconds.
const BEGIN_US: u64 = 1_000_000;
const TROUBLE_US: u64 = 20_000_000;
const CALM_US: u64 = 10_000_000;
pub(crate) const CLIENT_EVERY_US: u64 = 4_000;

/// Something that is going to happen. What concerns a process names it by its node and the number of its start.
pub(crate) enum Event {
    Arrives(Message),
    Tick(usize, u64),
    Writer(usize, u64),
    WorkDone(usize, u64),
    CopyBegins(usize, u64),
    CopyEnds(usize, u64),
    Installed(usize, u64),
    Fault,
    Collects,
    Changes,
    Starts(usize),
    Continues(usize),
    ConnectionLost { at: usize, peer: u64 },
    Write,
    ReadBegins,
    ReadLooks(usize, Read),
    ReadEnds(usize, Read),
    ReadConfirms(usize, Read),
    Heals { cut: u64 },
    Flaps { from: u64, to: u64, left: u64 },
    Ambush { leader: usize, others: Vec<usize> },
    Calm,
}

/// A group and what surrounds it.
pub struct GroupWorld {
    pub(crate) now_us: u64,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    pub(crate) rng: Rng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) checks: Checks,
    /// Links that take nothing, from and to, and which cut it was.
    pub(crate) cut: Vec<(u64, u64, u64)>,
    pub(crate) cuts: u64,
    pub(crate) calm: bool,
    pub(crate) calm_us: u64,
    pub(crate) ended: bool,
    pub(crate) written: u64,
    pub(crate) counts: Counts,
    recovered_us: Option<u64>,
    pub(crate) writes_before_calm: u64,
    trace: bool,
}

impl GroupWorld {
    /// A run.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut rng = Rng::new(seed ^ 0x6772_6f75_7073_0000);
        let settings = Settings {
            message_bytes_max: [64, 512, 1 << 20][rng.below(3) as usize],
            inflight_messages_max: [2, 8, 32][rng.below(3) as usize],
            tail_bytes_max: [0, 2_000, 1 << 20][rng.below(3) as usize],
            ..Settings::new(1)
        };
        let members = Members::founding((1..=faults.replicas).map(|number| (number, format!("{number}:1"))));
        let mut world = GroupWorld {
            now_us: BEGIN_US,
            events: BTreeMap::new(),
            sequence: 0,
            nodes: Vec::new(),
            settings,
            checks: Checks::new(members.clone()),
            cut: Vec::new(),
            cuts: 0,
            calm: false,
            calm_us: 0,
            ended: false,
            written: 0,
            counts: Counts::new(),
            recovered_us: None,
            writes_before_calm: 0,
            trace: std::env::var_os("HAYPILE_SIM_SEED").is_some(),
            rng: Rng::new(rng.next_u64()),
            faults,
        };
        for replica in 1..=world.faults.replicas {
            let clock = world.boot();
            world
                .nodes
                .push(Node::new(replica, members.clone(), clock, world.faults.mutant));
        }
        for at in 0..world.nodes.len() {
            world.start(at);
        }
        world.after(world.faults.fault_every_us, Event::Fault);
        world.after(world.faults.collect_every_us, Event::Collects);
        world.after(CLIENT_EVERY_US, Event::Write);
        world.after(CLIENT_EVERY_US, Event::ReadBegins);
        if world.faults.change_every_us > 0 {
            world.after(world.faults.change_every_us, Event::Changes);
        }
        world.after(TROUBLE_US, Event::Calm);
        world
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Outcome {
        let end = BEGIN_US + TROUBLE_US + CALM_US;
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now_us = at;
            if at > end || self.ended {
                break;
            }
            self.happens(event);
        }
        self.end()
    }

    fn end(self) -> Outcome {
        let recovered_us = self.recovered_us;
        let recovered_us = recovered_us.unwrap_or_else(|| panic!("no write succeeds after the faults have ended"));
        let ends: Vec<u64> = self.nodes.iter().map(Node::applied).collect();
        assert!(
            self.all_have_recovered(),
            "a replica has fallen behind: {ends:?}, of {:?}",
            self.checks.members_at(u64::MAX)
        );
        Outcome {
            terms: self.checks.terms(),
            writes: self.checks.writes,
            reads: self.checks.reads,
            decided: self.checks.decided().index,
            recovered_us,
            counts: self.counts,
        }
    }

    /// A write has succeeded, and nobody is behind.
    pub(crate) fn all_have_recovered(&self) -> bool {
        let decided = self.checks.decided().index;
        let mut members = self.nodes.iter().filter(|node| self.is_member(node.replica));
        self.recovered_us.is_some() && members.all(|node| node.applied() + 100 > decided)
    }

    pub(crate) fn counted(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
        if self.trace {
            println!("{:>9} {what}", self.now_us);
        }
    }

    pub(crate) fn after(&mut self, span_us: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now_us + span_us, self.sequence), event);
    }

    pub(crate) fn about(&mut self, span_us: u64) -> u64 {
        self.rng.between(span_us / 2, span_us * 3 / 2)
    }

    /// The clock of a machine that boots now.
    pub(crate) fn boot(&mut self) -> NodeClock {
        let (shown_us, drift_ppm) = (self.rng.between(1 << 20, 1 << 40), self.drift());
        NodeClock::booted(self.now_us, shown_us, drift_ppm)
    }

    /// A speed. Those of two machines differ by no more than twice what the settings say.
    pub(crate) fn drift(&mut self) -> i64 {
        let most = self.settings.drift_ppm;
        match self.rng.chance(300) {
            true => [most as i64, -(most as i64)][self.rng.below(2) as usize],
            false => self.rng.between(0, 2 * most) as i64 - most as i64,
        }
    }

    pub(crate) fn start(&mut self, at: usize) {
        let mut settings = self.settings.clone();
        if Mutant::is(self.faults.mutant, Mutant::BelievesTooMuch) {
            settings.promise_us = match at {
                0 => settings.election_us,
                _ => settings.heartbeat_us * 2,
            };
        }
        if self.trace {
            let start = self.nodes[at].disk.borrow().start();
            println!("{:>9} replica {} starts: {start:?}", self.now_us, at + 1);
        }
        let now_us = self.now_us;
        self.nodes[at].start(now_us, &settings, &mut self.rng);
        self.after_event(at);
    }

    /// Sends what a node has to say, and sees to what else has come of an event.
    pub(crate) fn after_event(&mut self, at: usize) {
        let Some(process) = &mut self.nodes[at].process else {
            return;
        };
        for message in std::mem::take(&mut process.group.outputs().messages) {
            self.send(message);
        }
        let Some(process) = &mut self.nodes[at].process else {
            return;
        };
        let start = process.start;
        let outputs = process.group.outputs();
        let waits = !outputs.work.is_empty() || !outputs.committed.is_empty();
        let serves = process.group.serves().unwrap_or(0);
        if !process.writer_is_due && (waits || serves != process.serving) {
            process.writer_is_due = true;
            // Somebody may be at work: a turn, or a command that takes long.
            let span = match self.calm || self.rng.chance(990) {
                true => self.rng.between(0, 100),
                false => self.rng.between(100, 200_000),
            };
            self.after(span, Event::Writer(at, start));
        }
        self.see_to_tick(at);
        self.see_to_copy(at);
    }

    fn see_to_tick(&mut self, at: usize) {
        let clock = self.nodes[at].clock;
        let Some(process) = &mut self.nodes[at].process else {
            return;
        };
        let when = clock.when(process.group.next_tick_us());
        if when < process.tick_at_us {
            process.tick_at_us = when;
            let start = process.start;
            self.after(when.saturating_sub(self.now_us), Event::Tick(at, start));
        }
    }

    /// The writer's part. What clients do waits for it as well.
    pub(crate) fn drive(&mut self, at: usize) {
        let (now_us, decided) = (self.now_us, self.checks.decided());
        self.nodes[at].drive(now_us, &mut self.checks, &mut self.counts);
        if self.checks.decided() != decided {
            self.is_kept();
        }
        self.begin_work(at);
        if self.calm && self.recovered_us.is_none() && self.checks.writes > self.writes_before_calm {
            self.recovered_us = Some(self.now_us - self.calm_us);
        }
    }

    /// What was decided is where it must be.
    pub(crate) fn is_kept(&self) {
        self.checks.is_kept(|replica, position| {
            let node = self.nodes.get(replica as usize - 1);
            node.is_some_and(|node| node.disk.borrow().keeps(position))
        });
    }

    fn begin_work(&mut self, at: usize) {
        let is_slow = self.now_us < self.nodes[at].slow_until_us;
        let Some(process) = &mut self.nodes[at].process else {
            return;
        };
        if process.working > 0 || process.work.is_empty() {
            return;
        }
        process.working = process.work.len();
        let start = process.start;
        let span = match self.rng.below(200) {
            _ if is_slow => self.rng.between(10_000, 3_000_000),
            0 if !self.calm => self.rng.between(100_000, 900_000),
            _ => self.rng.between(50, 3_000),
        };
        self.after(span, Event::WorkDone(at, start));
    }

    fn work_done(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let now_us = self.now_us;
        node.work_done(now_us, &mut self.checks, &mut self.counts, &mut self.rng);
        self.begin_work(at);
        self.after_event(at);
    }

    fn send(&mut self, message: Message) {
        if self.trace {
            println!("{:>9} {message}", self.now_us);
        }
        let lost = !self.calm && self.rng.chance(self.faults.lost_permille);
        if lost || self.is_cut(message.from(), message.to()) {
            return;
        }
        let copies = 1 + u64::from(!self.calm && self.rng.chance(self.faults.doubled_permille));
        for _ in 0..copies {
            let late = !self.calm && self.rng.chance(self.faults.late_permille);
            let span = match late {
                true => self.rng.between(1_000, self.faults.late_us_max),
                false => self.rng.between(50, 500),
            };
            self.after(span, Event::Arrives(message.clone()));
        }
    }

    pub(crate) fn is_cut(&self, from: u64, to: u64) -> bool {
        self.cut.iter().any(|link| (link.0, link.1) == (from, to))
    }

    pub(crate) fn is_stopped(&self, at: usize) -> bool {
        self.now_us < self.nodes[at].stopped_until_us
    }

    /// Which node an event happens to, and which of its processes; 0 for whichever there is.
    fn concerns(event: &Event) -> Option<(usize, u64)> {
        Some(match event {
            Event::Arrives(message) => (message.to() as usize - 1, 0),
            Event::Tick(at, start)
            | Event::Writer(at, start)
            | Event::WorkDone(at, start)
            | Event::CopyBegins(at, start)
            | Event::CopyEnds(at, start) => (*at, *start),
            Event::ReadLooks(at, read) | Event::ReadEnds(at, read) | Event::ReadConfirms(at, read) => (*at, read.start),
            Event::ConnectionLost { at, .. } => (*at, 0),
            _ => return None,
        })
    }

    fn happens(&mut self, event: Event) {
        if let Some((at, start)) = Self::concerns(&event) {
            let process = self.nodes[at].process.as_ref();
            if process.is_none_or(|process| start > 0 && process.start != start) {
                return;
            }
            if self.is_stopped(at) {
                // What happens to a stopped process happens when it goes on, in whatever order.
                let span = self.nodes[at].stopped_until_us - self.now_us + self.rng.below(500);
                return self.after(span, event);
            }
        }
        match event {
            Event::Arrives(message) => {
                let at = message.to() as usize - 1;
                let now_us = self.nodes[at].clock.at(self.now_us);
                if let Some(process) = &mut self.nodes[at].process {
                    // Who has been removed is not let in. Who is not known yet is: it may have come since, and lead by now.
                    let (members, from) = (process.group.members(), message.from());
                    if members.get(from).is_none() && from < members.next_number() {
                        return self.counted("turned away");
                    }
                    process.group.step(now_us, message);
                    self.after_event(at);
                }
            }
            Event::Tick(at, _) => self.tick(at),
            Event::Writer(at, _) => {
                self.drive(at);
                self.after_event(at);
            }
            Event::WorkDone(at, _) => self.work_done(at),
            Event::CopyBegins(at, _) => self.copy_begins(at),
            Event::CopyEnds(at, _) => self.copy_ends(at),
            Event::Installed(at, starts) if self.nodes[at].starts == starts => self.installed(at),
            Event::Installed(..) => {}
            Event::Fault if self.calm => {}
            Event::Fault => {
                self.fault();
                let span = self.about(self.faults.fault_every_us);
                self.after(span, Event::Fault);
            }
            Event::Collects => self.collects(),
            Event::Changes => self.changes(),
            Event::Starts(at) => {
                let node = &self.nodes[at];
                if node.process.is_none() && node.installing.is_none() && !node.is_gone {
                    self.start(at);
                }
            }
            Event::Continues(at) => self.after_event(at),
            Event::ConnectionLost { at, peer } => {
                let now_us = self.nodes[at].clock.at(self.now_us);
                if let Some(process) = &mut self.nodes[at].process {
                    process.group.lost(now_us, peer);
                    self.after_event(at);
                }
            }
            Event::Write => self.client_writes(),
            Event::ReadBegins => self.reads_begin(),
            Event::ReadLooks(at, read) => self.read_looks(at, read),
            Event::ReadEnds(at, read) => self.read_ends(at, read),
            Event::ReadConfirms(at, read) => self.read_confirms(at, read),
            Event::Heals { cut } => self.cut.retain(|(_, _, of)| *of != cut),
            Event::Flaps { from, to, left } => self.flaps(from, to, left),
            Event::Ambush { leader, others } => self.ambush(leader, &others),
            Event::Calm => self.calm_down(),
        }
    }

    fn tick(&mut self, at: usize) {
        let now_us = self.nodes[at].clock.at(self.now_us);
        if let Some(process) = &mut self.nodes[at].process {
            process.tick_at_us = u64::MAX;
            process.group.tick(now_us);
            self.after_event(at);
        }
    }

    /// Who leads in the newest term.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |node: &Node| {
            let process = node.process.as_ref()?;
            matches!(process.group.role(), Role::Leader { .. }).then_some(process.group.term())
        };
        let leader = (0..self.nodes.len()).max_by_key(|at| leads(&self.nodes[*at]));
        leader.filter(|at| leads(&self.nodes[*at]).is_some())
    }
}
