//! Three partitions of one process as a replica group: real logs and stores, messages by queues, links that are cut.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{Counting, Lines, Replied, options, try_read};
use haypile_consensus::{Members, Message, Settings};
use haypile_oplog::SyncPolicy;
use haypile_partition::{CommitError, GroupOptions, Partition, Post, Role};

const PATIENCE: Duration = Duration::from_secs(30);

enum Event {
    Message(Message),
    Lost(u64),
    Wake,
    Stop,
}

/// What carries messages.
struct Network {
    begun: Instant,
    inboxes: Mutex<Vec<Option<Sender<Event>>>>,
    cut: Mutex<HashSet<(u64, u64)>>,
}

struct Mail {
    number: u64,
    network: Arc<Network>,
}

impl Post for Mail {
    fn send(&self, messages: Vec<Message>) {
        let cut = self.network.cut.lock().unwrap();
        let inboxes = self.network.inboxes.lock().unwrap();
        for message in messages {
            let to = message.to();
            if !cut.contains(&(self.number, to))
                && let Some(inbox) = &inboxes[to as usize - 1]
            {
                let _ = inbox.send(Event::Message(message));
            }
        }
    }

    fn now_us(&self) -> u64 {
        self.network.begun.elapsed().as_micros() as u64 + 1_000_000
    }

    fn wake(&self) {
        if let Some(inbox) = &self.network.inboxes.lock().unwrap()[self.number as usize - 1] {
            let _ = inbox.send(Event::Wake);
        }
    }
}

struct Member {
    partition: Arc<Partition>,
    /// Set when it is killed: its clients' connections break.
    dead: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

struct Trio {
    network: Arc<Network>,
    dirs: Vec<tempfile::TempDir>,
    members: Vec<Option<Member>>,
    sync: SyncPolicy,
    seed: u64,
}

fn serve(partition: &Partition, network: &Network, inbox: &Receiver<Event>) {
    loop {
        let now_us = network.begun.elapsed().as_micros() as u64 + 1_000_000;
        let wait = partition.group_next_tick_us().saturating_sub(now_us).min(100_000);
        match inbox.recv_timeout(Duration::from_micros(wait)) {
            Ok(Event::Message(message)) => {
                let more = std::iter::from_fn(|| inbox.try_recv().ok());
                let mut messages = vec![message];
                let mut lost = Vec::new();
                for event in more {
                    match event {
                        Event::Message(message) => messages.push(message),
                        Event::Lost(peer) => lost.push(peer),
                        Event::Wake => {}
                        Event::Stop => return,
                    }
                }
                partition.group_step(messages);
                lost.into_iter().for_each(|peer| partition.group_lost(peer));
            }
            Ok(Event::Lost(peer)) => partition.group_lost(peer),
            Ok(Event::Wake) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
        partition.group_tick();
    }
}

impl Trio {
    fn new(sync: SyncPolicy) -> Trio {
        let mut trio = Trio {
            network: Arc::new(Network {
                begun: Instant::now(),
                inboxes: Mutex::new(vec![None, None, None]),
                cut: Mutex::default(),
            }),
            dirs: (0..3).map(|_| tempfile::tempdir().unwrap()).collect(),
            members: vec![None, None, None],
            sync,
            seed: 1,
        };
        (0..3).for_each(|at| trio.start(at));
        trio
    }

    fn start(&mut self, at: usize) {
        let number = at as u64 + 1;
        self.seed += 1;
        let (sender, inbox) = channel();
        self.network.inboxes.lock().unwrap()[at] = Some(sender);
        let mut options = options(self.dirs[at].path(), Role::Follower, self.sync, self.seed);
        options.group = Some(GroupOptions {
            settings: Settings {
                promise_us: 100_000,
                heartbeat_us: 25_000,
                election_us: 200_000,
                retry_us: 50_000,
                ..Settings::new(number)
            },
            founders: Members::founding((1..=3).map(|number| (number, format!("host:{number}")))),
            random: Box::new(Counting(self.seed * 7919)),
            post: Arc::new(Mail {
                number,
                network: self.network.clone(),
            }),
            in_doubt_after_us: 2_000_000,
        });
        let (partition, _) = Partition::open(options).unwrap();
        let partition = Arc::new(partition);
        let thread = {
            let (partition, network) = (partition.clone(), self.network.clone());
            std::thread::Builder::new()
                .name(format!("replica-{number}"))
                .spawn(move || serve(&partition, &network, &inbox))
                .unwrap()
        };
        let dead = Arc::default();
        self.members[at] = Some(Member {
            partition,
            dead,
            thread,
        });
    }

    /// Ends a replica as it stands: nothing is saved.
    fn kill(&mut self, at: usize) {
        let Some(member) = self.members[at].take() else { return };
        let inbox = self.network.inboxes.lock().unwrap()[at].take();
        member.dead.store(true, Ordering::Relaxed);
        let _ = inbox.unwrap().send(Event::Stop);
        member.thread.join().unwrap();
        for other in self.network.inboxes.lock().unwrap().iter().flatten() {
            let _ = other.send(Event::Lost(at as u64 + 1));
        }
        let mut partition = member.partition;
        let until = Instant::now() + PATIENCE;
        while let Err(used) = Arc::try_unwrap(partition) {
            assert!(Instant::now() < until, "nobody uses it any more");
            partition = used;
            std::thread::yield_now();
        }
    }

    fn cut_off(&self, at: usize) {
        let number = at as u64 + 1;
        let mut cut = self.network.cut.lock().unwrap();
        for other in (1..=3).filter(|other| *other != number) {
            cut.extend([(number, other), (other, number)]);
        }
    }

    fn heal(&self) {
        self.network.cut.lock().unwrap().clear();
    }

    fn partition(&self, at: usize) -> Option<Arc<Partition>> {
        self.members[at].as_ref().map(|member| member.partition.clone())
    }

    fn connect(&self, at: usize) -> Option<(Arc<Partition>, Arc<AtomicBool>)> {
        let member = self.members[at].as_ref()?;
        Some((member.partition.clone(), member.dead.clone()))
    }

    /// Waits for a leader that serves, other than `but`.
    fn leader(&self, but: Option<usize>) -> usize {
        wait_for("a leader", || {
            (0..3).filter(|at| Some(*at) != but).find(|at| {
                let partition = self.partition(*at);
                partition.is_some_and(|p| p.serving_term().is_some_and(|term| p.still_serves(term)))
            })
        })
    }

    /// Waits until all three have applied the same, and gives what `line` reads of the leader.
    fn agree(&self) {
        wait_for("all to have the same", || {
            let applied: Vec<_> = (0..3)
                .filter_map(|at| self.partition(at))
                .map(|partition| (partition.log_ends().applied, partition.stats().position))
                .collect();
            applied
                .iter()
                .all(|(index, position)| *index == position.index && (*index, *position) == applied[0])
                .then_some(())
        });
        let logs: Vec<_> = (0..3)
            .filter_map(|at| self.partition(at))
            .map(|partition| common::entries(&partition, 1))
            .collect();
        assert!(logs.iter().all(|log| *log == logs[0]), "three logs are one");
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        (0..3).for_each(|at| self.kill(at));
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn run(partition: &Partition, line: &str) -> Replied {
    run_until(partition, line, &AtomicBool::new(false))
}

/// The same as a client whose connection breaks when `dead` is set: it does not know what has become of its request.
fn run_until(partition: &Partition, line: &str, dead: &AtomicBool) -> Replied {
    let (task, done) = Lines::boxed(&[line], false);
    partition.submit(&mut vec![task]);
    let until = Instant::now() + PATIENCE;
    let replied = loop {
        match done.recv_timeout(Duration::from_millis(5)) {
            Ok(replied) => break replied,
            Err(_) if dead.load(Ordering::Relaxed) => return Err(CommitError::InDoubt),
            Err(_) => assert!(Instant::now() < until, "an answer to {line}"),
        }
    };
    match replied {
        Ok(text) if text.starts_with("-TRYAGAIN") => Err(CommitError::NotLeader),
        other => other,
    }
}

#[test]
fn what_one_writes_all_have() {
    for sync in [SyncPolicy::EverySec, SyncPolicy::Always] {
        let trio = Trio::new(sync);
        let leader = trio.leader(None);
        let partition = trio.partition(leader).unwrap();
        assert_eq!(run(&partition, "SET k v"), Ok("+OK|".into()));
        assert_eq!(try_read(&partition, "GET k").unwrap(), "$1|v|");
        assert_eq!(run(&partition, "RPUSH l a b c"), Ok(":3|".into()));
        trio.agree();
        for at in (0..3).filter(|at| *at != leader) {
            let follower = trio.partition(at).unwrap();
            let refused = try_read(&follower, "GET k").unwrap_err().to_string();
            assert!(refused.starts_with("TRYAGAIN"), "{refused}");
            assert_eq!(run(&follower, "SET k w"), Err(CommitError::NotLeader));
        }
    }
}

#[test]
fn a_write_without_a_quorum_is_in_doubt_and_decided_later() {
    let mut trio = Trio::new(SyncPolicy::EverySec);
    let leader = trio.leader(None);
    let partition = trio.partition(leader).unwrap();
    run(&partition, "SET k 1").unwrap();
    trio.cut_off(leader);
    // Nobody else has it: when another leads, it will never be.
    assert_eq!(run(&partition, "SET k 2"), Err(CommitError::InDoubt));
    let other = trio.leader(Some(leader));
    let other = trio.partition(other).unwrap();
    assert_eq!(run(&other, "INCR k"), Ok(":2|".into()));
    trio.heal();
    trio.agree();
    wait_for("the one that was cut off to follow", || {
        partition.serving_term().is_none().then_some(())
    });
    drop((partition, other));
    // A majority that is gone, and comes back with what it had.
    let leader = trio.leader(None);
    let partition = trio.partition(leader).unwrap();
    let others: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    others.iter().for_each(|at| trio.kill(*at));
    let in_doubt = run(&partition, "SET k 7");
    assert!(
        matches!(in_doubt, Err(CommitError::InDoubt | CommitError::NotLeader)),
        "{in_doubt:?}"
    );
    others.iter().for_each(|at| trio.start(*at));
    let leader = trio.leader(None);
    let value = try_read(&trio.partition(leader).unwrap(), "GET k").unwrap();
    assert!(["$1|2|", "$1|7|"].contains(&value.as_str()), "{value}");
    drop(partition);
    trio.agree();
}

struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_clean_stop_applies_nothing_that_is_not_committed() {
    for sync in [SyncPolicy::EverySec, SyncPolicy::Always] {
        let mut trio = Trio::new(sync);
        let leader = trio.leader(None);
        let partition = trio.partition(leader).unwrap();
        run(&partition, "SET k 1").unwrap();
        trio.cut_off(leader);
        let (task, done) = Lines::boxed(&["SET k 2"], false);
        partition.submit(&mut vec![task]);
        let before = partition.log_ends().applied;
        partition.close().unwrap();
        assert_eq!(
            done.recv_timeout(PATIENCE).expect("an answer"),
            Err(CommitError::InDoubt)
        );
        assert_eq!(partition.log_ends().applied, before);
        assert_eq!(partition.stats().position.index, before + 1, "it stays in the log");
        drop(partition);
        let other = trio.leader(Some(leader));
        let partition = trio.partition(other).unwrap();
        assert_eq!(run(&partition, "INCR k"), Ok(":2|".into()));
        drop(partition);
        trio.kill(leader);
        trio.heal();
        trio.start(leader);
        trio.agree();
    }
}

/// Counters that several threads increment while leaders are killed, cut off, and started again.
fn counters_survive(sync: SyncPolicy, rounds: usize) {
    const CLIENTS: usize = 4;
    let mut trio = Trio::new(sync);
    let stop = AtomicBool::new(false);
    let confirmed: Vec<AtomicU64> = (0..CLIENTS).map(|_| AtomicU64::new(0)).collect();
    let doubtful: Vec<AtomicU64> = (0..CLIENTS).map(|_| AtomicU64::new(0)).collect();
    let members = Mutex::new((0..3).map(|at| trio.connect(at)).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (stop, confirmed, doubtful, members) = (&stop, &confirmed[client], &doubtful[client], &members);
            scope.spawn(move || {
                let mut at = client % 3;
                while !stop.load(Ordering::Relaxed) {
                    let member = members.lock().unwrap()[at].clone();
                    let Some((partition, dead)) = member else {
                        at = (at + 1) % 3;
                        continue;
                    };
                    match run_until(&partition, &format!("INCR c{client}"), &dead) {
                        Ok(reply) => {
                            let value: u64 = reply.trim_matches([':', '|']).parse().expect("a number");
                            let so_far = confirmed.fetch_add(1, Ordering::Relaxed) + 1;
                            let doubts = doubtful.load(Ordering::Relaxed);
                            assert!(
                                so_far <= value && value <= so_far + doubts,
                                "{so_far} confirmed and {doubts} in doubt, and the counter is {value}"
                            );
                        }
                        Err(CommitError::InDoubt) => {
                            doubtful.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_) => at = (at + 1) % 3,
                    }
                }
            });
        }
        // Also if this thread panics: the others are waited for.
        let _stops = Stops(&stop);
        for round in 0..rounds {
            let before: u64 = confirmed.iter().map(|count| count.load(Ordering::Relaxed)).sum();
            wait_for("writes", || {
                let now: u64 = confirmed.iter().map(|count| count.load(Ordering::Relaxed)).sum();
                (now > before + 20).then_some(())
            });
            let leader = trio.leader(None);
            match round % 3 {
                2 => {
                    trio.cut_off(leader);
                    trio.leader(Some(leader));
                    trio.heal();
                }
                _ => {
                    members.lock().unwrap()[leader] = None;
                    trio.kill(leader);
                    if round % 3 == 1 {
                        trio.leader(Some(leader));
                    }
                    trio.start(leader);
                    members.lock().unwrap()[leader] = trio.connect(leader);
                }
            }
        }
    });
    members.lock().unwrap().clear();
    trio.agree();
    let leader = trio.leader(None);
    let leader = trio.partition(leader).unwrap();
    for client in 0..CLIENTS {
        let value = try_read(&leader, &format!("GET c{client}")).unwrap();
        let value: u64 = value.split('|').nth(1).unwrap().parse().unwrap();
        let (confirmed, doubtful) = (
            confirmed[client].load(Ordering::Relaxed),
            doubtful[client].load(Ordering::Relaxed),
        );
        assert!(
            confirmed <= value && value <= confirmed + doubtful,
            "{confirmed} confirmed, {doubtful} in doubt, and the counter is {value}"
        );
    }
}

#[test]
fn counters_survive_leaders_that_are_killed_and_cut_off() {
    counters_survive(SyncPolicy::EverySec, 12);
}

#[test]
fn counters_survive_with_every_write_on_disk() {
    counters_survive(SyncPolicy::Always, 9);
}
