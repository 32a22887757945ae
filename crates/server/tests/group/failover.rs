//! Members that are killed, stopped, and come back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use haypile_testkit::wait_until;

use super::support::{Finder, Group, Outcome, ask};

/// Counters that clients increment: what each has been told, and what it may not know.
struct Counters {
    done: Vec<AtomicU64>,
    in_doubt: Vec<AtomicU64>,
    stop: AtomicBool,
}

impl Counters {
    fn new(clients: usize) -> Counters {
        Counters {
            done: (0..clients).map(|_| AtomicU64::new(0)).collect(),
            in_doubt: (0..clients).map(|_| AtomicU64::new(0)).collect(),
            stop: AtomicBool::new(false),
        }
    }

    fn total(&self) -> u64 {
        self.done.iter().map(|done| done.load(Ordering::Relaxed)).sum()
    }

    /// One client's life.
    fn increment(&self, client: usize, mut finder: Finder) {
        let (done, in_doubt) = (&self.done[client], &self.in_doubt[client]);
        while !self.stop.load(Ordering::Relaxed) {
            match finder.send(&format!("INCR counter{client}")) {
                Outcome::Done(value) => {
                    let value: u64 = value.parse().unwrap_or_else(|_| panic!("{value}"));
                    let so_far = done.fetch_add(1, Ordering::Relaxed) + 1;
                    let doubts = in_doubt.load(Ordering::Relaxed);
                    assert!(
                        so_far <= value && value <= so_far + doubts,
                        "{so_far} are done and {doubts} in doubt, and the counter is {value}"
                    );
                    // Read what was written, through whoever leads by now.
                    if so_far.is_multiple_of(16) {
                        let Outcome::Done(read) = finder.send(&format!("GET counter{client}")) else {
                            continue;
                        };
                        assert_eq!(read, value.to_string(), "nobody else writes it");
                    }
                }
                Outcome::InDoubt => {
                    in_doubt.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Has clients write while `trouble` happens, and looks whether everything is there afterwards.
fn through(group: &mut Group, patience: Duration, rounds: usize, trouble: impl Fn(&mut Group, usize, &Counters)) {
    const CLIENTS: usize = 4;
    struct Stops<'a>(&'a Counters);
    impl Drop for Stops<'_> {
        fn drop(&mut self) {
            self.0.stop.store(true, Ordering::Relaxed);
        }
    }
    let counters = Counters::new(CLIENTS);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let mut finder = Finder::new(group);
            finder.patience = patience;
            let counters = &counters;
            scope.spawn(move || counters.increment(client, finder));
        }
        // Also if this thread panics: the clients are waited for.
        let _stops = Stops(&counters);
        for round in 0..rounds {
            let before = counters.total();
            wait_until("writes", || counters.total() > before + 20);
            trouble(group, round, &counters);
        }
    });
    group.wait_for_all();
    let mut client = group.client();
    for number in 0..CLIENTS {
        let value = client.say(&format!("GET counter{number}"));
        let value: u64 = value.trim_matches('"').parse().unwrap();
        let done = counters.done[number].load(Ordering::Relaxed);
        let in_doubt = counters.in_doubt[number].load(Ordering::Relaxed);
        assert!(
            done <= value && value <= done + in_doubt,
            "{done} are done and {in_doubt} in doubt, and the counter is {value}"
        );
    }
}

/// The leader is killed; another takes over; it comes back.
fn kill_leader(group: &mut Group, round: usize, counters: &Counters) {
    let leader = group.leader();
    group.servers[leader].kill();
    if round.is_multiple_of(2) {
        let before = counters.total();
        wait_until("writes without it", || counters.total() > before + 20);
    }
    group.servers[leader].start_again();
    group.wait_for_link(leader);
}

impl Group {
    fn terms(&self) -> Vec<u64> {
        let term = |port: &u16| super::support::ask(*port, "group_term")?.parse().ok();
        self.ports.iter().filter_map(term).collect()
    }

    /// Waits until a member hears of a leader.
    fn wait_for_link(&self, at: usize) {
        wait_until("the member to hear of a leader", || {
            super::support::ask(self.ports[at], "group_leader").is_some_and(|leader| leader != "0")
        });
    }
}

#[test]
fn writes_survive_killed_leaders() {
    let mut group = Group::start(&[]);
    through(&mut group, Duration::from_secs(6), 6, kill_leader);
}

#[test]
fn writes_survive_killed_leaders_when_each_is_on_disk() {
    let mut group = Group::start(&["--sync", "always", "--io-threads", "4"]);
    through(&mut group, Duration::from_secs(6), 4, kill_leader);
}

#[test]
fn writes_survive_leaders_that_are_stopped_and_go_on() {
    let mut group = Group::start(&["--io-threads", "4"]);
    through(&mut group, Duration::from_millis(500), 4, |group, _, counters| {
        let leader = group.leader();
        group.while_stopped(leader, || {
            let before = counters.total();
            wait_until("writes without it", || counters.total() > before + 20);
        });
    });
}

#[test]
fn all_are_killed_and_nothing_is_lost() {
    let mut group = Group::start(&[]);
    let mut client = group.client();
    for number in 0..500 {
        assert_eq!(client.say(&format!("RPUSH list {number}")), (number + 1).to_string());
    }
    for round in 0..2 {
        group.servers.iter_mut().for_each(|server| server.kill());
        group.servers.iter_mut().for_each(|server| server.start_again());
        let mut client = group.client();
        assert_eq!(client.say("LLEN list"), (500 + round).to_string());
        assert_eq!(client.say("LINDEX list 499"), "\"499\"");
        client.say("RPUSH list more");
    }
    group.wait_for_all();
}

#[test]
fn a_member_that_was_away_catches_up() {
    let mut group = Group::start(&[]);
    let away = (group.leader() + 1) % 3;
    group.servers[away].kill();
    let mut client = group.client();
    for number in 0..200 {
        client.say(&format!("SET key{number} {}", "x".repeat(10_000)));
    }
    assert_eq!(client.say("FLUSHALL"), "OK");
    assert_eq!(client.say("SET last 1"), "OK");
    group.servers[away].start_again();
    group.wait_for_all();
    // It can lead.
    let leader = group.leader();
    let other = 3 - leader - away;
    group.servers[leader].kill();
    group.servers[leader].start_again();
    group.wait_for_all();
    group.servers[other].kill();
    assert_eq!(group.client().say("GET last"), "\"1\"");
    assert_eq!(group.client().say("DBSIZE"), "1");
}

#[test]
fn without_a_majority_nothing_is_acknowledged() {
    let mut group = Group::start(&["--group-in-doubt-ms", "300"]);
    let leader = group.leader();
    let mut client = group.servers[leader].client();
    client.say("SET key before");
    for other in (0..3).filter(|other| *other != leader) {
        group.servers[other].kill();
    }
    let reply = client.say("SET key after");
    assert!(reply.starts_with("(error) INDOUBT"), "{reply}");
    // It may not know of anything newer.
    wait_until("a refusal", || client.say("GET key").starts_with("(error) "));
    wait_until("the end of its office", || {
        client.say("SET key later").starts_with("(error) CLUSTERDOWN")
    });
    for other in (0..3).filter(|other| *other != leader) {
        group.servers[other].start_again();
    }
    // What is in doubt may have been done.
    let value = group.client().say("GET key");
    assert!(
        ["\"before\"", "\"after\"", "\"later\""].contains(&value.as_str()),
        "{value}"
    );
    group.wait_for_all();
}

/// A leader that is asked to stop hands over first: the others do not wait until its promise is over.
#[test]
fn a_leader_that_stops_hands_over() {
    let mut group = Group::start(&[]);
    for _ in 0..3 {
        let leader = group.leader();
        let terms: Vec<u64> = group.terms();
        assert!(group.servers[leader].stop().success());
        let log = group.servers[leader].log();
        group.servers[leader].start_again();
        let other = group.leader();
        assert_ne!(other, leader);
        assert!(
            log.contains("does not lead its group any more"),
            "it has seen its successor: {log}"
        );
        assert!(group.terms().iter().max() > terms.iter().max());
    }
    group.wait_for_all();
}

/// Whoever is asked to take over needs nobody's promise to end, so the leader relies on its lease no more; what it reads is confirmed by others.
#[test]
fn a_leader_that_has_asked_in_vain_to_be_relieved_still_reads() {
    let group = Group::start(&[]);
    // The one with the highest number is asked first.
    while group.leader() == 2 {
        group.servers[2].client().say("GROUP HANDOVER");
        wait_until("another leader", || {
            ask(group.ports[2], "group_serves").is_some_and(|serves| serves == "0")
        });
    }
    let mut client = group.client();
    assert_eq!(client.say("SET k v"), "OK");
    group.wait_for_all();
    group.while_stopped(2, || {
        assert!(client.say("GROUP HANDOVER").contains("started"));
        for _ in 0..10 {
            assert_eq!(client.say("GET k"), "\"v\"");
            client.say("MULTI");
            client.say("GET k");
            assert_eq!(client.say("EXEC"), "[\"v\"]");
        }
    });
}
