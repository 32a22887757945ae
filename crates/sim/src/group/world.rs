//! A group under faults: its replicas, its network and its clients, over fake time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use haypile_consensus::{Message, Role, Settings};
use haypile_types::Random;

use crate::group::checks::Checks;
use crate::group::disk::Disk;
use crate::group::node::{Node, NodeClock};
use crate::rng::Rng;

/// How long everything goes wrong, and how long the group may take afterwards, microseconds.
const TROUBLE_US: u64 = 20_000_000;
const CALM_US: u64 = 10_000_000;
/// How often something happens, on average.
const FAULT_EVERY_US: u64 = 400_000;
const CLIENT_EVERY_US: u64 = 4_000;

/// What goes wrong in a run, and which of the group's rules are broken on purpose to see that it is noticed.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How many replicas there are.
    pub replicas: u64,
    /// Thousandths of messages that are lost, and that arrive twice.
    pub lost_permille: u64,
    /// See there.
    pub doubled_permille: u64,
    /// Replica 1 believes promises for as long as six times what the others promise.
    pub believes_too_much: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            replicas: 3,
            lost_permille: 10,
            doubled_permille: 10,
            believes_too_much: false,
        }
    }
}

/// What a run has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Terms that had a leader.
    pub terms: usize,
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Reads by lease.
    pub reads: u64,
    /// Entries that were decided.
    pub decided: u64,
    /// How long after the end of the faults a write succeeded, microseconds.
    pub recovered_us: u64,
    /// Kills, losses of power, stops, cuts, transfers.
    pub faults: [u64; 5],
}

pub(crate) enum Event {
    Arrives(Message),
    Tick(usize, u64),
    WorkDone(usize, u64),
    Fault,
    Starts(usize),
    Continues(usize),
    ConnectionLost { at: usize, peer: u64 },
    Write,
    ReadBegins,
    ReadLooks { at: usize, start: u64, acknowledged: u64 },
    ReadEnds(usize, Read),
    Heals { cut: u64 },
    Calm,
}

/// A read under way.
pub(crate) struct Read {
    term: u64,
    start: u64,
    /// What had been acknowledged when it began, and what it has seen.
    acknowledged: u64,
    saw: u64,
}

/// A group and what surrounds it.
pub struct GroupWorld {
    pub(crate) now_us: u64,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    pub(crate) rng: Rng,
    pub(crate) nodes: Vec<Node>,
    settings: Settings,
    faults: Faults,
    pub(crate) checks: Checks,
    /// Links that take nothing, from and to, and which cut it was.
    pub(crate) cut: Vec<(u64, u64, u64)>,
    pub(crate) cuts: u64,
    pub(crate) calm: bool,
    written: u64,
    pub(crate) count: [u64; 5],
    recovered_us: Option<u64>,
    pub(crate) writes_before_calm: u64,
    trace: bool,
}

impl GroupWorld {
    /// A run.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut rng = Rng::new(seed ^ 0x6772_6f75_7073_0000);
        let settings = Settings::new(1, (1..=faults.replicas).collect());
        let drift = settings.drift_ppm as i64;
        let nodes = (1..=faults.replicas).map(|replica| Node {
            replica,
            disk: Rc::new(RefCell::new(Disk::default())),
            clock: NodeClock {
                offset_us: rng.below(1 << 40),
                // Two of them differ by twice this.
                drift_ppm: rng.between(0, drift as u64) as i64 * if rng.chance(500) { 1 } else { -1 },
            },
            process: None,
            stopped_until_us: 0,
            starts: 0,
        });
        let nodes: Vec<Node> = nodes.collect();
        let mut world = GroupWorld {
            now_us: 1_000_000,
            events: BTreeMap::new(),
            sequence: 0,
            rng,
            nodes,
            settings,
            faults,
            checks: Checks::default(),
            cut: Vec::new(),
            cuts: 0,
            calm: false,
            written: 0,
            count: [0; 5],
            recovered_us: None,
            writes_before_calm: 0,
            trace: std::env::var_os("HAYPILE_SIM_SEED").is_some(),
        };
        for at in 0..world.nodes.len() {
            world.start(at);
        }
        world.after(FAULT_EVERY_US, Event::Fault);
        world.after(CLIENT_EVERY_US, Event::Write);
        world.after(CLIENT_EVERY_US, Event::ReadBegins);
        world.after(TROUBLE_US, Event::Calm);
        world
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Outcome {
        let end = self.now_us + TROUBLE_US + CALM_US;
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now_us = at;
            if at > end {
                break;
            }
            self.happens(event);
        }
        self.end()
    }

    fn end(self) -> Outcome {
        let recovered_us = self.recovered_us;
        let recovered_us = recovered_us.unwrap_or_else(|| panic!("no write succeeds after the faults have ended"));
        let ends: Vec<u64> = self
            .nodes
            .iter()
            .map(|node| node.process.as_ref().map_or(0, |process| process.applied))
            .collect();
        let newest = ends.iter().max().copied().unwrap_or(0);
        assert!(
            ends.iter().all(|end| end + 1_000 > newest),
            "a replica has fallen behind: {ends:?}"
        );
        Outcome {
            terms: self.checks.terms(),
            writes: self.checks.writes,
            reads: self.checks.reads,
            decided: newest,
            recovered_us,
            faults: self.count,
        }
    }

    pub(crate) fn after(&mut self, span_us: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now_us + span_us, self.sequence), event);
    }

    fn about(&mut self, span_us: u64) -> u64 {
        self.rng.between(span_us / 2, span_us * 3 / 2)
    }

    pub(crate) fn start(&mut self, at: usize) {
        let mut settings = self.settings.clone();
        if self.faults.believes_too_much {
            settings.promise_us = match at {
                0 => settings.election_us,
                _ => settings.heartbeat_us * 2,
            };
        }
        let now_us = self.now_us;
        self.nodes[at].start(now_us, &settings, &mut self.rng);
        self.drive(at);
    }

    /// Carries out what has come of an event at a node, and sees to its next tick.
    pub(crate) fn drive(&mut self, at: usize) {
        let had_work = self.nodes[at].process.as_ref().is_some_and(|p| !p.work.is_empty());
        let messages = self.nodes[at].drive(&mut self.checks);
        for message in messages {
            self.send(message);
        }
        let Some(process) = &self.nodes[at].process else { return };
        let (start, tick) = (process.start, process.group.next_tick_us());
        let has_work = !process.work.is_empty();
        let when = self.nodes[at].clock.when(tick);
        self.after(when.saturating_sub(self.now_us), Event::Tick(at, start));
        if has_work && !had_work {
            self.begin_work(at);
        }
        if self.calm && self.recovered_us.is_none() && self.checks.writes > self.writes_before_calm {
            self.recovered_us = Some(self.now_us - TROUBLE_US - 1_000_000);
        }
    }

    fn begin_work(&mut self, at: usize) {
        let Some(process) = &self.nodes[at].process else { return };
        let start = process.start;
        let slow = !self.calm && self.rng.chance(5);
        let span = if slow {
            self.rng.between(100_000, 900_000)
        } else {
            self.rng.between(50, 3_000)
        };
        self.after(span, Event::WorkDone(at, start));
    }

    fn send(&mut self, message: Message) {
        if self.trace {
            println!("{:>9} {message}", self.now_us);
        }
        let cut = self
            .cut
            .iter()
            .any(|(from, to, _)| (*from, *to) == (message.from(), message.to()));
        if cut || (!self.calm && self.rng.chance(self.faults.lost_permille)) {
            return;
        }
        let copies = 1 + u64::from(!self.calm && self.rng.chance(self.faults.doubled_permille));
        for _ in 0..copies {
            let late = !self.calm && self.rng.chance(10);
            let span = if late {
                self.rng.between(1_000, 600_000)
            } else {
                self.rng.between(50, 500)
            };
            self.after(span, Event::Arrives(message.clone()));
        }
    }

    pub(crate) fn is_stopped(&self, at: usize) -> bool {
        self.now_us < self.nodes[at].stopped_until_us
    }

    /// What happens to a stopped process happens when it goes on.
    fn later(&mut self, at: usize, event: Event) {
        let span = self.nodes[at].stopped_until_us - self.now_us;
        self.after(span, event);
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrives(message) => {
                let at = message.to() as usize - 1;
                if self.is_stopped(at) {
                    return self.later(at, Event::Arrives(message));
                }
                let now_us = self.nodes[at].clock.at(self.now_us);
                if let Some(process) = &mut self.nodes[at].process {
                    process.group.step(now_us, message);
                    self.drive(at);
                }
            }
            Event::Tick(at, start) => {
                if self.is_stopped(at) {
                    return self.later(at, Event::Tick(at, start));
                }
                let now_us = self.nodes[at].clock.at(self.now_us);
                let Some(process) = self.nodes[at].process.as_mut().filter(|process| process.start == start) else {
                    return;
                };
                if now_us >= process.group.next_tick_us() {
                    process.group.tick(now_us);
                    self.drive(at);
                }
            }
            Event::WorkDone(at, start) => {
                if self.is_stopped(at) {
                    return self.later(at, Event::WorkDone(at, start));
                }
                self.work_done(at, start);
            }
            Event::Fault => {
                if !self.calm {
                    self.fault();
                    let span = self.about(FAULT_EVERY_US);
                    self.after(span, Event::Fault);
                }
            }
            Event::Starts(at) => {
                if self.nodes[at].process.is_none() {
                    self.start(at);
                }
            }
            Event::Continues(at) => self.drive(at),
            Event::ConnectionLost { at, peer } => {
                let now_us = self.nodes[at].clock.at(self.now_us);
                if let Some(process) = &mut self.nodes[at].process {
                    process.group.lost(now_us, peer);
                    self.drive(at);
                }
            }
            Event::Write => {
                self.client_writes();
                let span = self.about(CLIENT_EVERY_US);
                self.after(span, Event::Write);
            }
            Event::ReadBegins => {
                self.reads_begin();
                let span = self.about(CLIENT_EVERY_US);
                self.after(span, Event::ReadBegins);
            }
            Event::ReadLooks {
                at,
                start,
                acknowledged,
            } => {
                if self.is_stopped(at) {
                    return self.later(
                        at,
                        Event::ReadLooks {
                            at,
                            start,
                            acknowledged,
                        },
                    );
                }
                let node = &self.nodes[at];
                let Some(process) = node.process.as_ref().filter(|process| process.start == start) else {
                    return;
                };
                let Some(term) = process.group.serves() else { return };
                let read = Read {
                    term,
                    start,
                    acknowledged,
                    saw: process.applied,
                };
                let span = self.rng.between(0, 2_000);
                self.after(span, Event::ReadEnds(at, read));
            }
            Event::ReadEnds(at, read) => {
                if self.is_stopped(at) {
                    return self.later(at, Event::ReadEnds(at, read));
                }
                let node = &self.nodes[at];
                if node.process.as_ref().is_none_or(|process| process.start != read.start) {
                    return;
                }
                if node.holds(self.now_us, read.term) {
                    self.checks.reads(node.replica, read.saw, read.acknowledged);
                }
            }
            Event::Heals { cut } => self.cut.retain(|(_, _, of)| *of != cut),
            Event::Calm => self.calm_down(),
        }
    }

    fn work_done(&mut self, at: usize, start: u64) {
        let now_us = self.nodes[at].clock.at(self.now_us);
        let node = &mut self.nodes[at];
        let Some(process) = node.process.as_mut().filter(|process| process.start == start) else {
            return;
        };
        let Some(work) = process.work.pop_front() else { return };
        node.disk.borrow_mut().carry_out(&work);
        let ballot = node.disk.borrow().ballot();
        self.checks.votes(node.replica, ballot.term, ballot.vote);
        process.group.persisted(now_us, work.number);
        let more = !process.work.is_empty();
        self.drive(at);
        if more {
            self.begin_work(at);
        }
    }

    fn client_writes(&mut self) {
        let at = self.rng.below(self.nodes.len() as u64) as usize;
        self.written += 1;
        let bytes = self.rng.between(1, 40) as usize;
        let mut payload = self.written.to_le_bytes().to_vec();
        payload.resize(8 + bytes, 0);
        if !self.is_stopped(at) && self.nodes[at].write(self.now_us, payload) {
            self.drive(at);
        }
    }

    fn reads_begin(&mut self) {
        let acknowledged = self.checks.acknowledged();
        for at in 0..self.nodes.len() {
            let Some(process) = &self.nodes[at].process else {
                continue;
            };
            // A client believes whoever leads, or has led.
            if matches!(process.group.role(), Role::Leader { .. }) {
                let start = process.start;
                let span = self.rng.between(0, 1_000);
                self.after(
                    span,
                    Event::ReadLooks {
                        at,
                        start,
                        acknowledged,
                    },
                );
            }
        }
    }
}
