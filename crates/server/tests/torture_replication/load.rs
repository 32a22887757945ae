//! Connections that write to the primary and keep count.
//!
//! Each writer counts 1, 2, 3 and so on. A number is written in one transaction under two keys and to the end of a list.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::node::{ask, connect, send};
use super::noise;
use haypile_testkit::{Client, Rng, Value, encode, text};

/// How often a writer that waits looks whether it is to end.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// After so long without an answer it connects anew.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// What a writer knows.
pub struct Writer {
    pub number: usize,
    rng: Rng,
    /// The last number sent.
    pub sent: u64,
    /// What must be there as long as nobody is promoted.
    pub acked: BTreeSet<u64>,
    /// The highest number that WAIT confirmed from so many replicas; the first place is not used.
    confirmed: Vec<u64>,
}

/// The keys of a writer.
pub fn keys(number: usize) -> [String; 3] {
    ["first", "second", "list"].map(|kind| format!("{kind}:{number}"))
}

impl Writer {
    pub fn new(number: usize, rng: Rng, nodes: usize) -> Writer {
        Writer {
            number,
            rng,
            sent: 0,
            acked: BTreeSet::new(),
            confirmed: vec![0; nodes],
        }
    }

    /// The highest number that more than this many replicas have confirmed.
    pub fn confirmed_by_more_than(&self, replicas: usize) -> u64 {
        self.confirmed.iter().skip(replicas + 1).copied().max().unwrap_or(0)
    }

    /// These numbers are what counts from now on; who else has them is not known.
    pub fn start_from(&mut self, there: BTreeSet<u64>) {
        self.acked = there;
        self.confirmed.fill(0);
    }

    /// All replicas have all that is there.
    pub fn everybody_has_all(&mut self) {
        let last = self.acked.last().copied().unwrap_or(0);
        self.confirmed.fill(last);
    }

    fn run(&mut self, address: SocketAddr, password: &str, stop: &AtomicBool) -> Result<(), String> {
        while !stop.load(Ordering::Relaxed) {
            match connect(address, password, SILENCE_MAX) {
                Ok(mut client) => self.write(&mut client, stop)?,
                Err(_) => thread::sleep(LOOK_AGAIN),
            }
        }
        Ok(())
    }

    /// Writes until the connection breaks.
    fn write(&mut self, client: &mut Client, stop: &AtomicBool) -> Result<(), String> {
        // A server that stands still reads nothing.
        let _ = client.stream().set_write_timeout(Some(SILENCE_MAX));
        while !stop.load(Ordering::Relaxed) {
            let mut bytes = Vec::new();
            let mut before = 0;
            if self.rng.one_in(2) {
                before = noise::add(&mut self.rng, &mut bytes);
            }
            self.sent += 1;
            let n = self.sent.to_string();
            let [first, second, list] = keys(self.number);
            for command in [
                &["MULTI"][..],
                &["SET", &first, &n],
                &["RPUSH", &list, &n],
                &["SET", &second, &n],
                &["EXEC"],
            ] {
                encode(&mut bytes, command);
            }
            if send(client, &bytes).is_err() {
                return Ok(());
            }
            for _ in 0..before + 4 {
                let Some(reply) = hear(client, stop) else { return Ok(()) };
                check(&reply)?;
            }
            match hear(client, stop) {
                None => return Ok(()),
                Some(Value::Array(_)) => {
                    self.acked.insert(self.sent);
                }
                // A replica, or one that is loading.
                Some(Value::Error(_)) => {
                    thread::sleep(LOOK_AGAIN);
                    continue;
                }
                Some(other) => return Err(format!("EXEC is answered with {}", text(&other))),
            }
            if self.rng.one_in(3) && !self.wait(client, stop)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// WAIT or WAITAOF. False if the connection broke.
    fn wait(&mut self, client: &mut Client, stop: &AtomicBool) -> Result<bool, String> {
        let replicas = self.rng.between(1, self.confirmed.len() as u64 - 1).to_string();
        let ms = self.rng.between(1, 100).to_string();
        let mut bytes = Vec::new();
        match self.rng.one_in(3) {
            false => encode(&mut bytes, &["WAIT", &replicas, &ms]),
            true => {
                let local = self.rng.below(2).to_string();
                encode(&mut bytes, &["WAITAOF", &local, &replicas, &ms]);
            }
        }
        if send(client, &bytes).is_err() {
            return Ok(false);
        }
        let count = match hear(client, stop) {
            None => return Ok(false),
            Some(Value::Integer(count)) => count,
            Some(Value::Array(counts)) if counts.len() == 2 => counts[1].as_i64().unwrap_or(0),
            Some(Value::Error(_)) => 0,
            Some(other) => return Err(format!("WAIT is answered with {}", text(&other))),
        };
        if count as usize >= self.confirmed.len() {
            return Err(format!("WAIT counts {count} replicas"));
        }
        for confirmed in &mut self.confirmed[1..=count as usize] {
            *confirmed = self.sent;
        }
        Ok(true)
    }
}

fn check(reply: &Value) -> Result<(), String> {
    const EXPECTED: &[&str] = &[
        "WRONGTYPE",
        "LOADING",
        "READONLY",
        "NOREPLICAS",
        "MASTERDOWN",
        "UNBLOCKED",
        "EXECABORT",
        "ERR no such key",
    ];
    match reply {
        Value::Error(error) if !EXPECTED.iter().any(|expected| error.starts_with(expected)) => match error.as_str() {
            "ERR index out of range" | "ERR source and destination objects are the same" => Ok(()),
            "ERR value is not an integer or out of range" | "ERR hash value is not an integer" => Ok(()),
            _ => Err(format!("a write is answered with {error}")),
        },
        _ => Ok(()),
    }
}

/// The next reply; `None` if the connection is broken, or the load is to end.
fn hear(client: &mut Client, stop: &AtomicBool) -> Option<Value> {
    let deadline = Instant::now() + SILENCE_MAX;
    loop {
        match client.recv_within(LOOK_AGAIN) {
            Ok(Some(value)) => return Some(value),
            Ok(None) if stop.load(Ordering::Relaxed) || Instant::now() > deadline => return None,
            Ok(None) => {}
            Err(_) => return None,
        }
    }
}

/// What is there of a writer: the numbers.
pub fn there(client: &mut Client, number: usize, patience: Duration) -> Result<BTreeSet<u64>, String> {
    let [first, second, list] = keys(number);
    let numbers = match ask(client, &["LRANGE", &list, "0", "-1"], patience)? {
        Value::Array(elements) => elements,
        other => return Err(text(&other)),
    };
    let parse = |value: &Value| -> Option<u64> { str::from_utf8(value.as_bytes()?).ok()?.parse().ok() };
    let numbers: Option<Vec<u64>> = numbers.iter().map(parse).collect();
    let numbers = numbers.ok_or("a list of other things than numbers")?;
    if !numbers.is_sorted_by(|a, b| a < b) {
        return Err(format!("writer {number}: the numbers are out of order"));
    }
    for key in [first, second] {
        let value = parse(&ask(client, &["GET", &key], patience)?);
        if value != numbers.last().copied() {
            return Err(format!(
                "{key} is {value:?}, and the list ends with {:?}",
                numbers.last()
            ));
        }
    }
    Ok(numbers.into_iter().collect())
}

/// Writers at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(Writer, Result<(), String>)>>,
}

impl Load {
    /// Lets them write to this server.
    pub fn start(writers: Vec<Writer>, address: SocketAddr, password: &str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |mut writer: Writer| {
            let (stop, password) = (stop.clone(), password.to_owned());
            thread::spawn(move || {
                let outcome = writer.run(address, &password, &stop);
                (writer, outcome)
            })
        };
        Load {
            threads: writers.into_iter().map(spawn).collect(),
            stop,
        }
    }

    /// Ends them; what was sent and not answered is left open.
    pub fn stop(self) -> (Vec<Writer>, Result<(), String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut outcome = Ok(());
        let join = |thread: JoinHandle<(Writer, Result<(), String>)>| {
            let (writer, result) = thread.join().expect("no panic");
            if outcome.is_ok() {
                outcome = result.map_err(|error| format!("writer {}: {error}", writer.number));
            }
            writer
        };
        let writers = self.threads.into_iter().map(join).collect();
        (writers, outcome)
    }
}
