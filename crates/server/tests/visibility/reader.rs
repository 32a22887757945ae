//! A reader: asks on one connection, many times at one go or one by one, and checks each reply.

use std::sync::atomic::Ordering;

use super::check::{Answer, Checker, LARGE_COST, Question};
use super::connection::Connection;
use super::node::Reach;
use super::progress::Progress;
use super::reads;
use super::scenario::{State, Unit, line};
use haypile_testkit::{Rng, now_ms};

/// Reads sent at one go, at most; fewer if their replies are long.
const PIPELINE: u64 = 100;
const PIPELINE_LONG: u64 = 3;
/// A read that takes longer counts as so many others.
const SLOW_WEIGHT: u64 = 6;
/// In one case of so many a reader asks something else than what all are about.
const OTHERS: u64 = 4;
/// Different reads it then has.
const QUESTIONS: u64 = 6;
/// How often it sends some of them, at most.
const EXCHANGES: u64 = 8;
/// One of so many also starts a compaction.
const COMPACTS: u64 = 300;

/// Reads at a server until the round is over.
pub fn run(progress: &Progress, reach: &Reach, name: &str, mut rng: Rng) {
    let mut reader = Reader {
        progress,
        reach,
        name,
        connection: Connection::open(reach.port),
        checker: Checker::default(),
        seen: vec![0; progress.courses.len()],
    };
    let courses = progress.courses.len() as u64;
    while !progress.is_over() {
        let mut questions = match rng.one_in(OTHERS) {
            true => (0..rng.between(1, QUESTIONS))
                .map(|_| ask(progress, reach, rng.below(courses) as usize, &mut rng))
                .collect(),
            false => {
                let mut theme = progress.theme();
                let questions = (0..theme.questions).map(|_| ask(progress, reach, theme.course, &mut theme.rng));
                questions.collect::<Vec<_>>()
            }
        };
        let is_long = |question: &Question| {
            progress.courses[question.number].scenario.cost() >= LARGE_COST && !reads::is_short(&question.read)
        };
        let pipeline = match questions.iter().any(is_long) {
            true => PIPELINE_LONG,
            false => PIPELINE,
        };
        for _ in 0..rng.between(1, EXCHANGES) {
            let count = if rng.one_in(3) { 1 } else { rng.between(1, pipeline) };
            let asked: Vec<_> = (0..count).map(|_| rng.below(questions.len() as u64) as usize).collect();
            reader.exchange(&mut questions, &asked);
            if reach.has_compact && rng.one_in(COMPACTS) {
                // It may be refused: one is under way already.
                reader.connection.run(&Unit::single(0, line("COMPACT")));
            }
        }
    }
}

/// A read of a scenario, about as it is now.
fn ask(progress: &Progress, reach: &Reach, number: usize, rng: &mut Rng) -> Question {
    let course = &progress.courses[number];
    Question::new(number, course.scenario.read(course.oldest(reach.server), rng))
}

struct Reader<'a> {
    progress: &'a Progress,
    reach: &'a Reach,
    name: &'a str,
    connection: Connection,
    checker: Checker,
    /// The newest state of each scenario that this connection has seen.
    seen: Vec<State>,
}

impl Reader<'_> {
    /// Asks these of the questions, in this order, at one go.
    fn exchange(&mut self, questions: &mut [Question], asked: &[usize]) {
        for index in asked {
            self.connection.add(&questions[*index].read);
        }
        // Not before all is worked out, and before the first byte leaves.
        let oldest = self
            .progress
            .courses
            .iter()
            .map(|course| course.oldest(self.reach.server));
        let oldest: Vec<_> = oldest.collect();
        let before = now_ms();
        self.connection.send();
        for index in asked {
            let reply = self.connection.reply();
            let question = &mut questions[*index];
            let number = question.number;
            let course = &self.progress.courses[number];
            let answer = Answer {
                scenario: &*course.scenario,
                reply: &reply,
                low: oldest[number].max(self.seen[number]),
                high: course.last_of(course.steps()),
                between: (before, now_ms()),
            };
            match self.checker.state(question, &answer) {
                Ok(state) => {
                    self.seen[number] = state;
                    course.is_seen(self.reach.server, state);
                }
                Err((fault, words)) => course.failed(fault, format!("{}: {words}", self.name)),
            }
            course.reads.fetch_add(1, Ordering::Relaxed);
        }
        let weight = |index: &usize| match reads::is_quick(&questions[*index].read) {
            true => 1,
            false => SLOW_WEIGHT,
        };
        self.progress.has_read(asked.iter().map(weight).sum());
    }
}
