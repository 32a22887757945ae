//! Times a scenario's commands at one size against one server, over one connection.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::Error;
use crate::interrupt;
use crate::report::median;

use super::scenarios::{Before, Scenario};
use super::template::Numbers;

/// Rounds double until one takes so long: a round trip is then a small part of it.
const ROUND_MIN: Duration = Duration::from_millis(10);
/// A first round that took less is repeated: what a server does at the first command of its kind is not what one takes.
const FIRST_MAX: Duration = Duration::from_millis(500);
/// Commands sent before their replies are read; their replies fit into what a server keeps for a client.
const PIPELINE_COMMANDS: u64 = 256;
/// Commands that need another one before each of them are timed so often, and not again after so long.
const EACH_TIMES: usize = 5;
const EACH_MAX: Duration = Duration::from_secs(1);
/// The field of Haypile's INFO that counts what is written to the log.
const LOG_FIELD: &str = "oplog_appended_bytes";

/// What a command took.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Microseconds.
    pub us: f64,
    /// Bytes that it added to the log; `None` if the server does not say.
    pub log_bytes: Option<f64>,
}

/// Times the scenario with at most `count_max` commands.
pub fn time(client: &mut Client, scenario: &Scenario, numbers: &mut Numbers, count_max: u64) -> Result<Timing, Error> {
    interrupt::check()?;
    match scenario.before {
        Before::Nothing => rounds(client, scenario, numbers, count_max),
        Before::Once(commands) => {
            for command in commands {
                send(client, command, numbers)?;
            }
            rounds(client, scenario, numbers, count_max)
        }
        Before::Each(command) => one_by_one(client, scenario, command, numbers),
    }
}

/// The time of a command in the last of rounds that double.
fn rounds(client: &mut Client, scenario: &Scenario, numbers: &mut Numbers, count_max: u64) -> Result<Timing, Error> {
    let before = client.info_if_there(LOG_FIELD)?;
    // Whole turns, so that what the last command of a turn undoes is undone.
    let (mut round, mut sent, mut first) = (scenario.timed.len() as u64, 0, true);
    let took = loop {
        let (mut took, mut left) = (Duration::ZERO, round);
        while left > 0 {
            let count = left.min(PIPELINE_COMMANDS);
            let mut out = Vec::new();
            for _ in 0..count {
                numbers.encode(turn(scenario, sent), &mut out);
                sent += 1;
            }
            took += client.time(&out, count)?;
            left -= count;
        }
        if std::mem::take(&mut first) && took >= ROUND_MIN && took < FIRST_MAX {
            continue;
        }
        if took >= ROUND_MIN || sent + 2 * round > count_max {
            break took;
        }
        round *= 2;
    };
    let log_bytes = logged_since(client, before)?;
    Ok(Timing {
        us: took.as_secs_f64() * 1e6 / round as f64,
        log_bytes: log_bytes.map(|bytes| bytes / sent as f64),
    })
}

/// The median time of single commands, each after one that makes what it acts on.
fn one_by_one(client: &mut Client, scenario: &Scenario, each: &str, numbers: &mut Numbers) -> Result<Timing, Error> {
    let (mut times, mut logged) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while times.len() < EACH_TIMES && (times.is_empty() || start.elapsed() < EACH_MAX) {
        send(client, each, numbers)?;
        let before = client.info_if_there(LOG_FIELD)?;
        let mut out = Vec::new();
        numbers.encode(turn(scenario, times.len() as u64), &mut out);
        times.push(client.time(&out, 1)?.as_secs_f64() * 1e6);
        logged.extend(logged_since(client, before)?);
    }
    Ok(Timing {
        us: median(times).unwrap_or(f64::NAN),
        log_bytes: median(logged),
    })
}

fn turn(scenario: &Scenario, sent: u64) -> &'static str {
    scenario.timed[sent as usize % scenario.timed.len()]
}

fn send(client: &mut Client, command: &str, numbers: &mut Numbers) -> Result<(), Error> {
    let mut out = Vec::new();
    numbers.encode(command, &mut out);
    client.time(&out, 1).map(drop)
}

fn logged_since(client: &mut Client, before: Option<u64>) -> Result<Option<f64>, Error> {
    let after = client.info_if_there(LOG_FIELD)?;
    Ok(before
        .zip(after)
        .map(|(before, after)| after.saturating_sub(before) as f64))
}
