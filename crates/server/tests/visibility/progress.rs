//! How far scenarios have come, as all threads of a round see it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::check::Fault;
use super::scenario::{Scenario, State};
use haypile_testkit::Rng;

/// Failures of a scenario that are told.
const EXAMPLES_MAX: usize = 3;

/// A scenario of a round. Each value is set before whatever follows from it can be seen by another thread.
pub struct Course {
    pub scenario: Box<dyn Scenario>,
    /// The last step that was sent.
    sent: AtomicU64,
    /// For each server, the last state that a reader there must see.
    seen: Vec<AtomicU64>,
    pub reads: AtomicU64,
    faults: Mutex<BTreeMap<Fault, (u64, Vec<String>)>>,
}

/// Themes for each scenario of a round, on average.
const THEMES: u64 = 6;

/// What a round has come to.
pub struct Progress {
    pub courses: Vec<Course>,
    /// Reads that all readers together have done, and those that they are to do. Some count more than once.
    reads: AtomicU64,
    reads_goal: u64,
    /// The same for steps.
    steps: AtomicU64,
    steps_goal: u64,
    broken: AtomicBool,
    seed: u64,
}

/// What most connections are about for a while, so that they meet each other.
pub struct Theme {
    /// The number of a scenario.
    pub course: usize,
    /// How many different reads there are.
    pub questions: u64,
    /// What they are is drawn from this.
    pub rng: Rng,
}

impl Course {
    /// A scenario that has begun, with this number of servers.
    pub fn new(scenario: Box<dyn Scenario>, servers: usize) -> Course {
        Course {
            scenario,
            sent: AtomicU64::new(0),
            seen: (0..servers).map(|_| AtomicU64::new(0)).collect(),
            reads: AtomicU64::new(0),
            faults: Mutex::default(),
        }
    }

    /// The last step that was sent.
    pub fn steps(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// A step is about to be sent.
    pub fn sends(&self, step: u64) {
        self.sent.store(step, Ordering::SeqCst);
    }

    /// The state that a step makes.
    pub fn made_by(&self, step: u64) -> State {
        step * self.scenario.phases()
    }

    /// The last state that can be there before the next step.
    pub fn last_of(&self, step: u64) -> State {
        self.made_by(step) + self.scenario.phases() - 1
    }

    /// Whoever reads at this server from now on sees no older state.
    pub fn is_seen(&self, server: usize, state: State) {
        self.seen[server].fetch_max(state, Ordering::SeqCst);
    }

    /// The oldest state that a read at this server may see.
    pub fn oldest(&self, server: usize) -> State {
        self.seen[server].load(Ordering::SeqCst)
    }

    /// Notes that a reply was wrong.
    pub fn failed(&self, fault: Fault, words: String) {
        let mut faults = self.faults.lock().unwrap();
        let (count, examples) = faults.entry(fault).or_default();
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            examples.push(words);
        }
    }

    /// How often replies were wrong, and some of them.
    pub fn faults(&self) -> BTreeMap<Fault, (u64, Vec<String>)> {
        self.faults.lock().unwrap().clone()
    }
}

impl Progress {
    /// A round that ends when so many reads and steps have been done.
    pub fn new(courses: Vec<Course>, reads_goal: u64, steps_goal: u64, seed: u64) -> Progress {
        Progress {
            courses,
            reads: AtomicU64::new(0),
            reads_goal,
            steps: AtomicU64::new(0),
            steps_goal,
            broken: AtomicBool::new(false),
            seed,
        }
    }

    /// The theme of the moment: another one after so many reads.
    pub fn theme(&self) -> Theme {
        let courses = self.courses.len() as u64;
        let number = self.reads.load(Ordering::Relaxed) * courses * THEMES / self.reads_goal;
        let mut rng = Rng::new(self.seed, number);
        Theme {
            course: rng.below(courses) as usize,
            questions: *rng.pick(&[1, 1, 2, 5]),
            rng,
        }
    }

    /// So many reads have been done.
    pub fn has_read(&self, reads: u64) {
        self.reads.fetch_add(reads, Ordering::Relaxed);
    }

    /// So many steps have been done.
    pub fn has_stepped(&self, steps: u64) {
        self.steps.fetch_add(steps, Ordering::Relaxed);
    }

    /// A thread cannot go on, so that nobody need.
    pub fn breaks(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// True when all has been done. Until then readers and writers both go on, lest one works without the others.
    pub fn is_over(&self) -> bool {
        let done = |count: &AtomicU64, goal| count.load(Ordering::Relaxed) >= goal;
        self.broken.load(Ordering::Relaxed) || done(&self.reads, self.reads_goal) && done(&self.steps, self.steps_goal)
    }
}
