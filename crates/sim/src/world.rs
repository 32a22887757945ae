//! Nodes that follow each other in a tree, and all that goes wrong for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use haypile_sync::{NodeId, Time};

use crate::Place;
use crate::checks::Checks;
use crate::faults::Fault;
use crate::message::Message;
use crate::network::Network;
use crate::node::{Context, Effect, LocalEvent, Node, Note, Peer};
use crate::rng::Rng;
use crate::settings::Times;

/// How long misfortune lasts.
const FAULTS_FOR: Duration = Duration::from_secs(10);
/// How long it may take after that until all have the same data.
const CONVERGE_WITHIN: Duration = Duration::from_secs(20);

/// What a run is made of, apart from its seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// A writer that may have lost the end of its log begins an epoch. Without that, runs must fail: a test of the test.
    pub epoch_after_crash: bool,
    /// Print what happens.
    pub trace: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            epoch_after_crash: true,
            trace: false,
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Fake time from the end of the faults until all had the same data.
    pub converged_after: Duration,
    /// Times that a machine went into its error state, by the kind of error.
    pub failures: BTreeMap<&'static str, u64>,
    /// Checkpoints installed.
    pub installed: u64,
    /// Times that a source said "continue".
    pub continued: u64,
    /// Times that a source said that the log has been collected.
    pub collected: u64,
    /// Times that a source found the logs diverged.
    pub diverged: u64,
    /// Times that a follower needed a checkpoint because it took no more entries.
    pub poisoned: u64,
    /// Entries that the root has in the end.
    pub entries: u64,
    /// Events handled.
    pub events: u64,
}

#[derive(Clone, Debug)]
enum Event {
    Deliver { from: Peer, to: Peer, message: Message },
    Dial { from: Peer, to: Place, message: Message },
    Local { peer: Peer, event: LocalEvent },
    Wake(Place),
    Fsync(Place),
    Write(Place),
    Collect(Place),
    Misfortune,
    Start(Place),
}

/// All nodes, what is between them, and what is about to happen.
pub struct World {
    options: Options,
    times: Times,
    rng: Rng,
    now: Time,
    nodes: Vec<Node>,
    network: Network,
    events: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    wakes: Vec<Option<Time>>,
    values: u64,
    /// Every write is durable before anybody sees it.
    sync_always: bool,
    faults: bool,
    checks: Checks,
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(seed: u64, options: Options) -> Self {
        let mut rng = Rng::new(seed);
        let count = rng.between(2, 5) as usize;
        let mut nodes = Vec::new();
        for place in 0..count {
            let following = (place > 0).then(|| rng.between(0, place as u64 - 1) as usize);
            nodes.push(Node::new(place, NodeId(rng.id()), following));
        }
        let mut times = Times::default();
        if rng.chance(300) {
            times.copy.bytes_per_second = Some(rng.between(40_000, 200_000));
        }
        if rng.chance(200) {
            times.checkpoints.lease = rng.millis(250, 500); // less than between two heartbeats
        }
        let sync_always = rng.chance(300);
        World {
            options,
            times,
            rng,
            now: Time::default(),
            network: Network::new(count),
            events: BTreeMap::new(),
            sequence: 0,
            wakes: vec![None; count],
            nodes,
            values: 0,
            sync_always,
            faults: true,
            checks: Checks::default(),
        }
    }

    /// Runs it to its end. Panics if something that must hold does not.
    pub fn run(mut self) -> Outcome {
        self.first_data();
        for place in 0..self.nodes.len() {
            self.schedule(Duration::ZERO, Event::Start(place));
            for event in [Event::Write(place), Event::Fsync(place), Event::Collect(place)] {
                self.schedule(Duration::from_millis(1), event);
            }
        }
        self.schedule(Duration::from_millis(500), Event::Misfortune);
        let mut events = 0;
        let faults_end = self.now + FAULTS_FOR;
        while self.now < faults_end {
            self.step();
            events += 1;
        }
        self.end_faults();
        let deadline = self.now + CONVERGE_WITHIN;
        while !self.converged() {
            assert!(
                self.now < deadline,
                "not in sync {CONVERGE_WITHIN:?} after the faults: {}",
                self.describe()
            );
            self.step();
            events += 1;
        }
        Outcome {
            converged_after: self.now.since(faults_end),
            failures: std::mem::take(&mut self.checks.failures),
            installed: self.checks.installed,
            continued: self.checks.continued,
            collected: self.checks.collected,
            diverged: self.checks.diverged,
            poisoned: self.checks.poisoned,
            entries: self.nodes[0].disk.last(),
            events,
        }
    }

    /// The root may have data already, and have collected the log of it.
    fn first_data(&mut self) {
        if self.rng.chance(500) {
            let count = self.rng.between(1, 1_500);
            let values = self.values..self.values + count;
            self.values += count;
            self.at(0, |node, cx| node.start(cx, false));
            self.at(0, |node, cx| node.write(cx, values, true));
            self.nodes[0].disk.log_first = count + 1;
        }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + after, self.sequence), event);
    }

    fn step(&mut self) {
        let Some(((at, _), event)) = self.events.pop_first() else {
            panic!("nothing is about to happen")
        };
        self.now = at;
        match event {
            Event::Deliver { from, to, message } => self.deliver(from, to, message),
            Event::Dial { from, to, message } => {
                if let Some(peer) = self.nodes[to].peer().filter(|_| self.network.open(from.place, to)) {
                    self.deliver(from, peer, message);
                }
            }
            Event::Local { peer, event } => {
                if self.nodes[peer.place].peer() == Some(peer) {
                    self.at(peer.place, |node, cx| node.local(cx, event));
                }
            }
            Event::Wake(place) => {
                if self.wakes[place] == Some(at) {
                    self.wakes[place] = None;
                    self.at(place, |node, cx| node.tick(cx));
                }
            }
            Event::Fsync(place) => {
                self.at(place, |node, cx| node.fsync(cx));
                let pause = self.rng.millis(20, 800);
                self.schedule(pause, Event::Fsync(place));
            }
            Event::Write(place) => {
                let pause = self.rng.millis(20, 300);
                self.schedule(pause, Event::Write(place));
                self.write(place);
            }
            Event::Collect(place) => {
                let (keep, cap) = (self.rng.between(20, 200), self.rng.between(100, 400));
                self.at(place, |node, cx| node.collect(cx, keep, cap));
                let pause = self.rng.millis(500, 2_000);
                self.schedule(pause, Event::Collect(place));
            }
            Event::Misfortune => {
                if self.faults {
                    let fault = Fault::random(&mut self.rng, self.nodes.len());
                    self.apply(fault);
                    let pause = self.rng.millis(50, 1_500);
                    self.schedule(pause, Event::Misfortune);
                }
            }
            Event::Start(place) => self.start(place),
        }
    }

    fn deliver(&mut self, from: Peer, to: Peer, message: Message) {
        if !self.network.open(from.place, to.place) {
            return;
        }
        let address = self.nodes[to.place].disk.following;
        if matches!(message, Message::Dialed { .. }) && address.map(|at| self.network.place(at)) != Some(from.place) {
            return; // the address was swapped meanwhile
        }
        if self.nodes[to.place].peer() != Some(to) {
            // The process is gone. Its machine may say so; or it is gone too.
            if self.nodes[to.place].process.is_some() && !matches!(message, Message::Reset) {
                self.send(to, from, Message::Reset);
            }
            return;
        }
        self.at(to.place, |node, cx| node.receive(cx, from, message));
    }

    fn write(&mut self, place: Place) {
        let node = &self.nodes[place];
        if node.disk.following.is_some() || node.process.is_none() || node.disk.poisoned {
            return;
        }
        let count = self.rng.between(1, 12);
        let values = self.values..self.values + count;
        self.values += count;
        let durably = self.sync_always;
        self.at(place, |node, cx| node.write(cx, values, durably));
    }

    fn start(&mut self, place: Place) {
        if self.nodes[place].process.is_some() {
            return;
        }
        let may_have_lost = self.options.epoch_after_crash && !self.sync_always;
        self.at(place, |node, cx| node.start(cx, may_have_lost));
        self.trace(place, "started");
    }

    fn crash(&mut self, place: Place) {
        if self.nodes[place].process.is_none() {
            return;
        }
        self.trace(place, "crashed");
        self.nodes[place].crash(&mut self.rng);
        self.checks.crashed(place, &self.nodes[place].disk);
        self.wakes[place] = None;
    }

    fn apply(&mut self, fault: Fault) {
        if self.options.trace {
            eprintln!(
                "{:>9.3} fault: {fault:?}",
                self.now.since(Time::default()).as_secs_f64()
            );
        }
        match fault {
            Fault::Crash(place, back) => {
                self.crash(place);
                self.schedule(back, Event::Start(place));
            }
            Fault::Cut(a, b) => self.network.toggle(a, b),
            Fault::Swap(a, b) => {
                self.network.swap(a, b);
                self.break_connections();
            }
            Fault::DiskRoom(place, bytes) => self.nodes[place].disk.free_bytes = bytes,
            Fault::Rot(place) => self.rot(place),
            Fault::Promote(place) => self.at(place, |node, cx| node.promote(cx)),
            Fault::Follow(place, address) => self.at(place, |node, cx| node.follow(cx, address)),
            Fault::Turnabout(place) => {
                let Some(address) = self.nodes[place].disk.following else {
                    return;
                };
                self.at(place, |node, cx| node.promote(cx));
                self.write(place);
                self.at(place, |node, cx| node.follow(cx, address));
            }
            Fault::Poison(place) => self.nodes[place].disk.poisoned = true,
            Fault::Weather(weather) => Fault::weather(&mut self.network, weather),
            Fault::Empty(place) => {
                self.crash(place);
                let following = self.nodes[place].disk.following;
                let id = self.nodes[place].id;
                self.nodes[place] = Node::new(place, id, following);
                let back = self.rng.millis(10, 1_000);
                self.schedule(back, Event::Start(place));
            }
        }
    }

    /// Ends the connections to addresses that lead elsewhere now.
    fn break_connections(&mut self) {
        for place in 0..self.nodes.len() {
            let node = &self.nodes[place];
            let source = node.process.as_ref().and_then(|process| process.follower.source());
            let address = node.disk.following;
            if let (Some(source), Some(address)) = (source, address)
                && self.network.place(address) != source.place
            {
                self.at(place, |node, cx| node.receive(cx, source, Message::Reset));
            }
        }
    }

    fn rot(&mut self, place: Place) {
        let Some(process) = &mut self.nodes[place].process else {
            return;
        };
        let files = process
            .source
            .snapshots
            .values_mut()
            .flat_map(|snapshot| &mut snapshot.files);
        if let Some(byte) = files.filter_map(|file| file.first_mut()).next() {
            *byte ^= 1;
        }
    }

    /// All faults end; one node becomes the root, the others follow in a tree.
    fn end_faults(&mut self) {
        self.faults = false;
        self.network.heal();
        self.break_connections();
        let count = self.nodes.len();
        for place in 0..count {
            self.nodes[place].disk.free_bytes = u64::MAX;
            self.start(place);
        }
        let shift = self.rng.between(0, count as u64 - 1) as usize;
        let order: Vec<_> = (0..count).map(|n| (n + shift) % count).collect();
        // Somebody has to see to a primary that takes no writes; replicas see to themselves.
        self.nodes[order[0]].disk.poisoned = false;
        self.at(order[0], |node, cx| node.promote(cx));
        for n in 1..count {
            let source = order[self.rng.between(0, n as u64 - 1) as usize];
            // Whoever follows the right one already is left alone: it has to find back by itself.
            if self.nodes[order[n]].disk.following != Some(source) {
                self.at(order[n], |node, cx| node.follow(cx, source));
            }
        }
    }

    fn converged(&self) -> bool {
        let root = self.nodes.iter().find(|node| node.disk.following.is_none());
        let Some(root) = root else { return false };
        self.nodes.iter().all(|node| {
            let in_sync = node.process.as_ref().is_some_and(|process| process.follower.in_sync());
            let follows = node.disk.following.is_none() || in_sync;
            follows && node.disk.data == root.disk.data && node.disk.history == root.disk.history
        })
    }

    /// Lets something happen at a node, does what it wants, and checks it.
    fn at(&mut self, place: Place, run: impl FnOnce(&mut Node, &mut Context<'_>)) {
        let mut cx = Context {
            now: self.now,
            rng: &mut self.rng,
            effects: Vec::new(),
            times: &self.times,
        };
        run(&mut self.nodes[place], &mut cx);
        let effects = cx.effects;
        for effect in effects {
            self.effect(place, effect);
        }
        let node = &self.nodes[place];
        if let Some(process) = &node.process {
            process
                .follower
                .check(node.disk.following.is_some() && process.follower.works_for(node.disk.tenure));
            process.source.check();
        }
        let deadline = node.deadline().map(|at| at.max(self.now + Duration::from_micros(1)));
        if let Some(at) = deadline
            && self.wakes[place].is_none_or(|wake| at < wake || wake <= self.now)
        {
            self.wakes[place] = Some(at);
            self.schedule(at.since(self.now), Event::Wake(place));
        }
    }

    fn effect(&mut self, place: Place, effect: Effect) {
        let from = self.nodes[place].peer();
        match (effect, from) {
            (Effect::Note(note), _) => {
                if let Note::Trace(text) = &note {
                    self.trace(place, text);
                }
                self.checks.note(place, &note, &self.nodes);
            }
            (Effect::Send(to, message), Some(from)) => self.send(from, to, message),
            (Effect::Dial(address, message), Some(from)) => {
                let to = self.network.place(address);
                for delay in self.network.delays(&mut self.rng) {
                    self.schedule(
                        delay,
                        Event::Dial {
                            from,
                            to,
                            message: message.clone(),
                        },
                    );
                }
            }
            (Effect::After(delay, event), Some(peer)) => self.schedule(delay, Event::Local { peer, event }),
            (_, None) => panic!("a node without a process acts"),
        }
    }

    fn send(&mut self, from: Peer, to: Peer, mut message: Message) {
        if let Message::Chunk { reply: Ok(bytes), .. } = &mut message
            && self.rng.chance(self.network.damaged)
            && let Some(byte) = bytes.last_mut()
        {
            *byte ^= 0x10;
        }
        if !self.network.open(from.place, to.place) {
            return;
        }
        for delay in self.network.delays(&mut self.rng) {
            self.schedule(
                delay,
                Event::Deliver {
                    from,
                    to,
                    message: message.clone(),
                },
            );
        }
    }

    fn trace(&self, place: Place, text: &str) {
        if self.options.trace {
            let disk = &self.nodes[place].disk;
            let now = self.now.since(Time::default()).as_secs_f64();
            eprintln!("{now:>9.3} node {place} [{}..{}]: {text}", disk.log_first, disk.last());
        }
    }

    fn describe(&self) -> String {
        let describe = |node: &Node| {
            let process = node.process.as_ref();
            let state = process.map(|process| {
                let (instance, partition) = (&process.follower.instance, &process.follower.partition);
                let errors = (
                    instance.status(self.now).last_error,
                    partition.status(self.now).last_error,
                );
                format!("{} {} {errors:?}", instance.state(), partition.state())
            });
            let epochs: Vec<_> = node
                .disk
                .history
                .epochs()
                .iter()
                .map(|epoch| format!("{epoch}"))
                .collect();
            format!(
                "\n{} follows {:?}, ends at {}, {epochs:?}: {state:?}",
                node.place,
                node.disk.following,
                node.disk.last()
            )
        };
        self.nodes.iter().map(describe).collect()
    }
}
