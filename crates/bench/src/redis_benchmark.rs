//! One run of `redis-benchmark` and what it printed.

use std::fmt;
use std::io;
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::interrupt;
use crate::process::Process;

const PROGRAM: &str = "redis-benchmark";
/// What `redis-benchmark` replaces with twelve random digits.
pub const RANDOM: &str = "__rand_int__";

/// What is sent.
#[derive(Clone, Debug)]
pub enum What {
    /// One of the tool's own tests, by the name that `-t` takes.
    Test(&'static str),
    /// A command, in which [`RANDOM`] stands for twelve random digits.
    Command(Vec<String>),
}

/// A line of `redis-benchmark` without the port.
#[derive(Clone, Debug)]
pub struct Line {
    /// Connections (`-c`).
    pub clients: u32,
    /// Bytes of a value (`-d`).
    pub value_bytes: u32,
    /// Random keys and elements come from 0 up to this (`-r`).
    pub keyspace: u64,
    /// Commands sent before their replies are awaited (`-P`).
    pub pipeline: u32,
    /// Commands in all (`-n`).
    pub requests: u64,
    /// What is sent.
    pub what: What,
}

/// What a run gave.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Commands in a second.
    pub ops_per_s: f64,
    /// Half of the commands took no longer, milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 commands took no longer, milliseconds.
    pub p99_ms: f64,
}

impl Line {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--csv".to_owned()];
        for (flag, value) in [
            ("-c", u64::from(self.clients)),
            ("-d", self.value_bytes.into()),
            ("-r", self.keyspace),
            ("-P", self.pipeline.into()),
            ("-n", self.requests),
        ] {
            arguments.extend([flag.to_owned(), value.to_string()]);
        }
        match &self.what {
            What::Test(name) => arguments.extend(["-t".to_owned(), (*name).to_owned()]),
            What::Command(words) => arguments.extend_from_slice(words),
        }
        arguments
    }

    fn command(&self, port: u16) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(["-h", "127.0.0.1", "-p", &port.to_string()])
            .args(self.arguments());
        command
    }

    /// Starts the line against a server on loopback, to be ended by the caller; what it prints is lost.
    pub fn start(&self, port: u16) -> Result<Process, Error> {
        let mut command = self.command(port);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Process::start(command).map_err(not_started)
    }

    /// Runs the line against a server on loopback.
    pub fn run(&self, port: u16) -> Result<Measured, Error> {
        interrupt::check()?;
        let (status, output, errors) = Process::output(self.command(port)).map_err(not_started)?;
        interrupt::check()?;
        if !status.success() {
            return Err(self.unusable(format!("{status}: {}", errors.trim())));
        }
        parse_csv(&output).ok_or_else(|| self.unusable(format!("unexpected output: {}", output.trim())))
    }

    fn unusable(&self, why: String) -> Error {
        Error::Benchmark {
            line: self.to_string(),
            why,
        }
    }
}

fn not_started(source: io::Error) -> Error {
    Error::Start {
        program: PROGRAM.into(),
        source,
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arguments().join(" "))
    }
}

/// The last row of a table such as
/// `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"`.
fn parse_csv(output: &str) -> Option<Measured> {
    let mut rows = output.lines().filter(|line| line.starts_with('"')).map(fields);
    let header = rows.next()?;
    let row = rows.next_back()?;
    // From the end: the first field is the command, which may contain anything.
    let value = |name: &str| {
        let from_end = header.len() - header.iter().position(|field| field == name)?;
        row.get(row.len().checked_sub(from_end)?)?.parse().ok()
    };
    Some(Measured {
        ops_per_s: value("rps")?,
        p50_ms: value("p50_latency_ms")?,
        p99_ms: value("p99_latency_ms")?,
    })
}

fn fields(line: &str) -> Vec<String> {
    line.trim_matches('"').split("\",\"").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_last_row() {
        let output = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\
                      \"SET\",\"99009.90\",\"0.259\",\"0.072\",\"0.255\",\"0.335\",\"0.463\",\"1.159\"\n";
        let measured = parse_csv(output).unwrap();
        assert_eq!(
            (measured.ops_per_s, measured.p50_ms, measured.p99_ms),
            (99009.90, 0.255, 0.463)
        );
        assert!(parse_csv("").is_none());
        assert!(parse_csv(output.lines().next().unwrap()).is_none());
    }

    #[test]
    fn the_arguments() {
        let line = Line {
            clients: 50,
            value_bytes: 64,
            keyspace: 10,
            pipeline: 16,
            requests: 7,
            what: What::Test("set"),
        };
        assert_eq!(line.to_string(), "--csv -c 50 -d 64 -r 10 -P 16 -n 7 -t set");
    }
}
