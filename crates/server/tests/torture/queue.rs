//! A queue: one connection appends numbers, another takes them with commands that wait.

use super::batch::receive;
use haypile_testkit::Rng;
use haypile_testkit::{Client, Value, text};

const JOBS: &str = "queue:jobs";
const DONE: &str = "queue:done";

/// What was sent to the queue and taken from it in one round.
#[derive(Default)]
pub struct Queue {
    /// Numbers up to this are in the queue or have been.
    before: u64,
    acknowledged: u64,
    sent: u64,
    /// Taken by BLPOP.
    taken: Vec<u64>,
    /// A BLPOP has not been answered.
    open: bool,
}

impl Queue {
    /// Appends until the server is gone; gives the last number acknowledged, and the last sent.
    pub fn produce(before: u64, port: u16, mut rng: Rng) -> Result<(u64, u64), String> {
        let (mut acknowledged, mut sent) = (before, before);
        let Ok(mut client) = Client::try_connect(port) else {
            return Ok((acknowledged, sent));
        };
        loop {
            let count = rng.between(1, 3);
            let numbers: Vec<String> = (1..=count).map(|n| (sent + n).to_string()).collect();
            let push = format!("RPUSH {JOBS} {}", numbers.join(" "));
            sent += count;
            let lines: &[&str] = if rng.one_in(4) {
                &["MULTI", &push, "EXEC"]
            } else {
                &[&push]
            };
            if client.try_send_lines(lines).is_err() {
                return Ok((acknowledged, sent));
            }
            for _ in lines {
                match receive(&mut client) {
                    Ok(Value::Error(error)) => return Err(format!("{lines:?} is answered with {error}")),
                    Ok(_) => {}
                    Err(_) => return Ok((acknowledged, sent)),
                }
            }
            acknowledged = sent;
            if rng.one_in(8) {
                // The consumer gets to wait.
                std::thread::sleep(std::time::Duration::from_millis(rng.below(5)));
            }
        }
    }

    /// Takes until the server is gone; gives what BLPOP has taken, and whether one was not answered.
    pub fn consume(port: u16, mut rng: Rng) -> Result<(Vec<u64>, bool), String> {
        let mut taken = Vec::new();
        let Ok(mut client) = Client::try_connect(port) else {
            return Ok((taken, false));
        };
        loop {
            let pops = rng.one_in(2);
            let line = match pops {
                true => format!("BLPOP {JOBS} 0.02"),
                false => format!("BLMOVE {JOBS} {DONE} LEFT RIGHT 0.02"),
            };
            if client.try_send_lines(&[&line]).is_err() {
                return Ok((taken, pops));
            }
            match receive(&mut client) {
                Ok(Value::Array(pair)) if pops && pair.len() == 2 => taken.push(number(&pair[1])?),
                Ok(Value::Bulk(_)) if !pops => {}
                Ok(Value::Null) => {}
                Ok(other) => return Err(format!("{line} is answered with {}", text(&other))),
                Err(_) => return Ok((taken, pops)),
            }
        }
    }

    /// Notes what a round has done.
    pub fn ran(&mut self, (acknowledged, sent): (u64, u64), (taken, open): (Vec<u64>, bool)) {
        (self.acknowledged, self.sent, self.taken, self.open) = (acknowledged, sent, taken, open);
    }

    /// The last number that may be in the queue or have been.
    pub fn last(&self) -> u64 {
        self.before
    }

    /// Checks that each number is in one place, and empties the queue for the next round.
    pub fn check(&mut self, client: &mut Client) -> Result<(), String> {
        let jobs = numbers(&client.cmd(&["LRANGE", JOBS, "0", "-1"]))?;
        let done = numbers(&client.cmd(&["LRANGE", DONE, "0", "-1"]))?;
        let mut all: Vec<u64> = jobs.iter().chain(&done).chain(&self.taken).copied().collect();
        all.sort_unstable();
        let last = all.last().copied().unwrap_or(self.before);
        let expected = self.before + 1..=last.max(self.acknowledged);
        let missing: Vec<u64> = expected.filter(|n| all.binary_search(n).is_err()).collect();
        let problem = if !jobs.is_sorted() || !done.is_sorted() || !self.taken.is_sorted() {
            "the order has changed"
        } else if all.windows(2).any(|pair| pair[0] == pair[1]) {
            "a number is there twice"
        } else if all.first().is_some_and(|first| *first <= self.before) {
            "a number has come back"
        } else if last > self.sent {
            "a number is there that was never sent"
        } else if missing.len() > usize::from(self.open) {
            "a number is lost"
        } else if missing
            .first()
            .is_some_and(|lost| jobs.first().is_some_and(|first| lost > first))
        {
            "a number is lost that was not the first"
        } else {
            client.cmd(&["DEL", JOBS, DONE]);
            *self = Queue {
                before: last.max(self.sent),
                ..Queue::default()
            };
            return Ok(());
        };
        Err(format!(
            "the queue is wrong: {problem}. In it {jobs:?}, moved {done:?}, taken {:?}, missing {missing:?}; numbers \
             from {} to {} were acknowledged, up to {} sent; a BLPOP was open: {}",
            self.taken,
            self.before + 1,
            self.acknowledged,
            self.sent,
            self.open
        ))
    }
}

fn numbers(list: &Value) -> Result<Vec<u64>, String> {
    let elements = list
        .as_elements()
        .ok_or_else(|| format!("a list was asked for: {}", text(list)))?;
    elements.iter().map(number).collect()
}

fn number(value: &Value) -> Result<u64, String> {
    let text_of = value
        .as_bytes()
        .and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok());
    text_of.ok_or_else(|| format!("a number was asked for: {}", text(value)))
}
