//! A run: servers, and groups of scenarios that go on beside each other on them.

use std::thread;
use std::time::Instant;

use super::check::LARGE_COST;
use super::node::{self, Node, Options, PRIMARY, REPLICA, Reach};
use super::progress::{Course, Progress};
use super::scenario::Scenario;
use super::scenarios;
use super::{reader, writer};
use haypile_testkit::Rng;

/// Scenarios that go on at a time: fewer of them meet each other more often.
const GROUP: usize = 6;
/// Large scenarios are in groups of their own, so that the others need not wait for them, and are read so many times
/// less often.
const LARGE_READS: u64 = 20;
/// A group goes on until there was a step for so many reads that it is to do.
const STEPS: u64 = 60;
/// Connections that read at each server.
const READERS: usize = 4;
/// Threads that write, on two connections each. Scenarios are dealt out to them.
const WRITERS: usize = 3;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub options: Options,
    /// Reads of each group of scenarios, of all readers together.
    pub reads: u64,
    /// Groups of small scenarios at most, and of large ones.
    pub groups_max: [usize; 2],
    /// Only scenarios in whose names this is.
    pub only: String,
    /// How the run is repeated.
    pub repeat: String,
}

/// Does it.
///
/// # Errors
/// When a reply was wrong, after the whole run: how often it was so in each scenario, and some of them.
pub fn run(plan: &Plan) -> Result<(), String> {
    let Plan { seed, options, .. } = plan;
    println!("visibility: seed {seed}, {options}; to repeat it:\n    {}", plan.repeat);
    let Some(nodes) = node::start(options) else {
        return Ok(());
    };
    let mut rng = Rng::new(*seed, 0);
    let (mut table, mut examples) = (String::new(), String::new());
    for ((mut all, reads), groups_max) in chosen(plan, &mut rng).into_iter().zip(plan.groups_max) {
        // Groups of the same size.
        let groups = all.len().div_ceil(GROUP);
        for left in (1..=groups).rev().take(groups_max) {
            let group = all.split_off(all.len() - all.len() / left);
            let began = Instant::now();
            let courses = run_group(plan, reads, &nodes, group, &mut rng);
            table += &format!("  a group in {} ms:\n", began.elapsed().as_millis());
            courses
                .iter()
                .for_each(|course| add_line(course, &mut table, &mut examples));
        }
    }
    print!("{table}");
    if let Some(log) = nodes.iter().find_map(Node::complaint) {
        return Err(format!("seed {seed}, {options}: a server complains:\n{log}"));
    }
    match examples.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "seed {seed}, {options}: replies were wrong:\n{table}{examples}to repeat it:\n    {}",
            plan.repeat
        )),
    }
}

/// Scenarios in an order that comes from the seed, small and large ones, with the number of reads of a group of them.
fn chosen(plan: &Plan, rng: &mut Rng) -> [(Vec<Box<dyn Scenario>>, u64); 2] {
    let mut all = scenarios::warm();
    for end in (1..all.len()).rev() {
        all.swap(end, rng.below(end as u64 + 1) as usize);
    }
    if plan.options.cold {
        // Those take long to begin, and a few others beside them show the same as all.
        let cold = scenarios::cold();
        all.truncate(GROUP - cold.len());
        all.extend(cold);
    }
    all.retain(|scenario| scenario.name().contains(&plan.only));
    assert!(!all.is_empty(), "no scenario's name contains {:?}", plan.only);
    let (large, small) = all.into_iter().partition(|scenario| scenario.cost() >= LARGE_COST);
    [(small, plan.reads), (large, plan.reads / LARGE_READS)]
}

/// Lets some scenarios go on beside each other, until all has been read that is to be.
fn run_group(plan: &Plan, reads: u64, nodes: &[Node], group: Vec<Box<dyn Scenario>>, rng: &mut Rng) -> Vec<Course> {
    let begin: Vec<_> = group.iter().flat_map(|scenario| scenario.begin()).collect();
    node::begin(nodes, &begin);
    let courses: Vec<_> = group
        .into_iter()
        .map(|scenario| Course::new(scenario, nodes.len()))
        .collect();
    let progress = Progress::new(courses, reads, reads / STEPS, rng.next());
    let count = progress.courses.len();
    let reaches: Vec<Reach> = nodes
        .iter()
        .enumerate()
        .map(|(number, node)| node.reach(number))
        .collect();
    let has_replica = nodes.len() > REPLICA;
    thread::scope(|scope| {
        let progress = &progress;
        let mut threads = Vec::new();
        for number in 0..WRITERS.min(count) {
            let mine: Vec<usize> = (number..count).step_by(WRITERS).collect();
            let (port, rng) = (reaches[PRIMARY].port, Rng::new(rng.next(), 0));
            threads.push(scope.spawn(move || {
                let _end = EndOnPanic(progress);
                writer::run(progress, &mine, port, has_replica, rng);
            }));
        }
        for (reach, place) in reaches.iter().zip(["primary", "replica"]) {
            for number in 0..READERS {
                let (name, rng) = (format!("reader {number} at the {place}"), Rng::new(rng.next(), 0));
                threads.push(scope.spawn(move || {
                    let _end = EndOnPanic(progress);
                    reader::run(progress, reach, &name, rng);
                }));
            }
        }
        let failed = threads.into_iter().filter_map(|thread| thread.join().err()).count();
        let logs = || nodes.iter().filter_map(Node::complaint).collect::<String>();
        assert!(
            failed == 0,
            "connections of seed {} have panicked: {}",
            plan.seed,
            logs()
        );
    });
    progress.courses
}

/// Lets the others end if this thread panics.
struct EndOnPanic<'a>(&'a Progress);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.breaks();
        }
    }
}

/// What became of a scenario: a line of the table, and what is to be told of failures.
fn add_line(course: &Course, table: &mut String, examples: &mut String) {
    let name = course.scenario.name();
    let reads = course.reads.load(std::sync::atomic::Ordering::Relaxed);
    *table += &format!("  {name:24} {:6} steps, {reads:7} reads", course.steps());
    for (fault, (count, some)) in course.faults() {
        *table += &format!(", {count} {fault:?}");
        for example in some {
            *examples += &format!("  {fault:?}: {example}\n");
        }
    }
    *table += "\n";
}
