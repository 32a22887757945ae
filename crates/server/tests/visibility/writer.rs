//! A writer: goes through the steps of its scenarios, on two connections by turns, many steps at one go or one by one.

use super::check::{Answer, Checker, Question};
use super::connection::{Connection, assert_done};
use super::node::{PRIMARY, REPLICA};
use super::progress::Progress;
use super::scenario::{Unit, line};
use haypile_testkit::{Rng, now_ms};

/// Steps sent at one go, at most.
const PIPELINE: u64 = 128;
/// Bytes after which no more is sent along.
const PIPELINE_BYTES: usize = 64 << 10;
/// After one of so many steps the writer reads itself, among the first of a batch: what is sent while replies wait has
/// bounds.
const READS: u64 = 4;
const READS_UP_TO: u64 = 4;
/// A batch in so many carries ballast: one of these numbers of keys, of so many that there are.
const BALLASTS: u64 = 3;
const BALLAST_KEYS_EACH: [u64; 4] = [50, 300, 800, 4000];
const BALLAST_KEYS: u64 = 20000;
/// A batch in so many waits for the replica to show it.
const WAITS: u64 = 4;
/// How long it waits there, in milliseconds; what the replica does not show by then is not expected of it.
const WAIT_MS: u64 = 10_000;
/// Cost of the steps after which no more is sent along.
const PIPELINE_COST: u64 = 2000;
/// A step of this cost is half as often chosen as one that costs nothing.
const HALF_COST: u64 = 64;

/// What was sent.
enum Sent {
    /// A step of a scenario.
    Step { course: usize, step: u64, unit: Unit },
    /// A read that must see the step before it and none after it, as nobody else writes there.
    Read { course: usize, step: u64, unit: Unit },
    /// Ballast, which nobody reads.
    Ballast { unit: Unit },
}

/// Writes until the round is over. `mine` are the numbers of the scenarios that nobody else writes.
pub fn run(progress: &Progress, mine: &[usize], port: u16, has_replica: bool, mut rng: Rng) {
    let mut connections = [Connection::open(port), Connection::open(port)];
    let mut checker = Checker::default();
    while !progress.is_over() {
        let connection = rng.pick(&[0, 1]);
        let connection = &mut connections[*connection];
        let count = if rng.one_in(3) { 1 } else { rng.between(2, PIPELINE) };
        // Steps of one scenario at one go, that which readers are about if it can be, or of all.
        let theme = progress.theme().course;
        let one = match rng.below(4) {
            0 => None,
            _ if mine.contains(&theme) => Some(theme),
            _ => Some(choose(progress, mine, &mut rng)),
        };
        let mut sent = Vec::new();
        let mut steps = 0;
        let ballast = rng.one_in(BALLASTS).then(|| rng.below(count));
        let mut cost = 0;
        while steps < count && cost < PIPELINE_COST && connection.waiting() < PIPELINE_BYTES {
            if ballast == Some(steps) {
                let unit = ballast_unit(&mut rng);
                connection.add(&unit);
                sent.push(Sent::Ballast { unit });
            }
            let course = one.unwrap_or_else(|| choose(progress, mine, &mut rng));
            let step = add_step(progress, course, connection, &mut sent);
            let scenario = &progress.courses[course].scenario;
            steps += 1;
            cost += scenario.cost();
            if steps <= READS_UP_TO && rng.one_in(READS) {
                let unit = scenario.read(progress.courses[course].made_by(step), &mut rng);
                connection.add(&unit);
                sent.push(Sent::Read { course, step, unit });
            }
        }
        take_replies(progress, connection, &sent, &mut checker);
        progress.has_stepped(steps);
        if has_replica && rng.one_in(WAITS) {
            wait_for_replica(progress, connection, &sent);
        }
    }
}

/// Many keys that nobody asks for. With them a step takes long to become visible, wherever it stands among them.
fn ballast_unit(rng: &mut Rng) -> Unit {
    let mut command = line("MSET");
    let first = rng.below(BALLAST_KEYS);
    for key in first..first + rng.pick(&BALLAST_KEYS_EACH) {
        command.extend([format!("ballast:{}", key % BALLAST_KEYS), key.to_string()]);
    }
    Unit::single(0, command)
}

/// One of the scenarios, rather one that costs little.
fn choose(progress: &Progress, mine: &[usize], rng: &mut Rng) -> usize {
    loop {
        let course = *rng.pick(mine);
        if rng.below(HALF_COST + progress.courses[course].scenario.cost()) < HALF_COST {
            return course;
        }
    }
}

/// Adds the next step of a scenario; gives its number.
fn add_step(progress: &Progress, course: usize, connection: &mut Connection, sent: &mut Vec<Sent>) -> u64 {
    let known = &progress.courses[course];
    let step = known.steps() + 1;
    let unit = known.scenario.step(step);
    known.sends(step);
    connection.add(&unit);
    sent.push(Sent::Step { course, step, unit });
    step
}

fn take_replies(progress: &Progress, connection: &mut Connection, sent: &[Sent], checker: &mut Checker) {
    let before = now_ms();
    connection.send();
    for one in sent {
        let reply = connection.reply();
        match one {
            Sent::Ballast { unit } => assert_done(unit, &reply),
            Sent::Step { course, step, unit } => {
                assert_done(unit, &reply);
                let course = &progress.courses[*course];
                course.is_seen(PRIMARY, course.made_by(*step));
            }
            Sent::Read {
                course: number,
                step,
                unit,
            } => {
                let course = &progress.courses[*number];
                let answer = Answer {
                    scenario: &*course.scenario,
                    reply: &reply,
                    low: course.made_by(*step),
                    high: course.last_of(*step),
                    between: (before, now_ms()),
                };
                if let Err((fault, words)) = checker.state(&mut Question::new(*number, unit.clone()), &answer) {
                    course.failed(fault, format!("the writer itself: {words}"));
                }
            }
        }
    }
}

/// What the replica shows by WAIT's word its readers see from then on.
fn wait_for_replica(progress: &Progress, connection: &mut Connection, sent: &[Sent]) {
    let wait = Unit::single(0, line(&format!("WAIT 1 {WAIT_MS}")));
    if connection.run(&wait).as_i64() != Some(1) {
        return;
    }
    for one in sent {
        if let Sent::Step { course, step, .. } = one {
            let course = &progress.courses[*course];
            course.is_seen(REPLICA, course.made_by(*step));
        }
    }
}
