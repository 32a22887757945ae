//! Reads beside a strong stream of writes to other keys: how long one connection waits for each, at a fixed pace.
//!
//! GET is the yardstick: what it waits is what the machine and the stream make of any command. No figure is set for the
//! others.

use std::slice;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::Error;
use crate::interrupt;
use crate::peer::Server;
use crate::redis_benchmark::{Line, What};
use crate::report::{Table, percentile, thousands};
use crate::sample::wait_for_rest;
use crate::workload::Pick;

use super::Args;
use super::collections::{Collections, Kind};

/// Fields of the large hash, which no server keeps in one piece.
const LARGE_FIELDS: u64 = 100_000;
/// A probe takes so many times `--seconds`, since a 99th percentile needs many commands.
const PROBE_TIMES: f64 = 10.0;
/// From one probe to the next: what a writer has left in between is what a reader meets.
/// Much longer than a round of the server over the stream's connections, or the probes would wait for each other.
const PACE: Duration = Duration::from_millis(5);
/// The stream has begun when it has sent so many commands.
const BEGUN_COMMANDS: u64 = 50_000;
const BEGUN_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);
/// More than can be sent during a probe; `redis-benchmark` takes no more.
const FOREVER: u64 = i32::MAX as u64;
/// Keys that the stream sets.
const KEYSPACE: u64 = 1_000_000;
/// The field of INFO that counts the stream.
const PROCESSED: &str = "total_commands_processed";

/// What is measured, each with a command that is sent before it and does not count. `{field}` is a random one.
#[rustfmt::skip]
const PROBES: [(&str, Option<&str>, &str); 7] = [
    ("GET", None, "GET string:1:000000000000"),
    ("HGETALL of 2", None, "HGETALL hash:2:000000000000"),
    ("HGETALL of 2 after HSET", Some("HSET hash:2:000000000000 field:1 {field}"), "HGETALL hash:2:000000000000"),
    ("ZRANGE of 10 after ZADD", Some("ZADD zset:10:000000000000 1 known-element"), "ZRANGE zset:10:000000000000 0 -1"),
    ("HGET of a large hash", None, "HGET hash:100000:000000000000 field:{field}"),
    ("HRANDFIELD of a large hash", None, "HRANDFIELD hash:100000:000000000000"),
    ("HRANDFIELD of it after HSET", Some("HSET hash:100000:000000000000 field:{field} another"), "HRANDFIELD hash:100000:000000000000"),
];

/// The collections that the probes name, one of each.
const DATA: [(Kind, u64); 4] = [
    (Kind::String, 1),
    (Kind::Hash, 2),
    (Kind::Zset, 10),
    (Kind::Hash, LARGE_FIELDS),
];

/// What one probe of one server gave.
struct Probed {
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    sets_per_s: f64,
}

/// Runs the probes against both servers.
pub fn run(args: &Args) -> Result<Vec<Table>, Error> {
    let wants = |name: &str| args.wants("stream", name, true);
    if !PROBES.iter().any(|(name, ..)| wants(name)) {
        return Ok(Vec::new());
    }
    let probes = PROBES.iter().filter(|(name, ..)| *name == "GET" || wants(name));
    let mut servers = args.start()?;
    for server in &servers {
        let mut client = server.client()?;
        for (kind, elements) in DATA {
            Collections {
                kind,
                keys: 1,
                elements,
                element_bytes: args.element_bytes,
            }
            .load(&mut client)?;
        }
    }
    let mut rows = Vec::new();
    let mut yardstick = f64::NAN;
    for (name, before, command) in probes {
        let mut results = Vec::new();
        for server in &mut servers {
            results.push(probe(args, *before, command, server)?);
        }
        let [redis, haypile] = results.as_slice() else { continue };
        if *name == "GET" {
            yardstick = haypile.p99_ms;
        }
        let ms = |value: f64| format!("{value:.3}");
        let row = vec![
            (*name).to_owned(),
            ms(redis.p50_ms),
            ms(haypile.p50_ms),
            ms(redis.p99_ms),
            ms(haypile.p99_ms),
            ms(redis.max_ms),
            ms(haypile.max_ms),
            format!("{:.1}", haypile.p99_ms / yardstick),
            thousands(redis.sets_per_s),
            thousands(haypile.sets_per_s),
        ];
        println!("{}", row.join("  "));
        rows.push(row);
    }
    Ok(vec![Table {
        title: format!(
            "stream: one connection's reads beside SET -P 16 of {} connections; a large hash has {} fields",
            args.clients,
            thousands(LARGE_FIELDS as f64)
        ),
        header: [
            "line",
            "redis p50 ms",
            "haypile p50 ms",
            "redis p99 ms",
            "haypile p99 ms",
            "redis max ms",
            "haypile max ms",
            "haypile p99 / its GET",
            "redis SET/s",
            "haypile SET/s",
        ]
        .map(str::to_owned)
        .into(),
        rows,
    }])
}

fn probe(args: &Args, before: Option<&str>, command: &str, server: &mut Server) -> Result<Probed, Error> {
    wait_for_rest(slice::from_mut(server))?;
    let mut client = server.client()?;
    let stream = Line {
        clients: args.clients,
        value_bytes: 64,
        keyspace: KEYSPACE,
        pipeline: 16,
        requests: FOREVER,
        what: What::Test("set"),
    };
    let mut stream = stream.start(server.port)?;
    wait_for_begin(&mut client)?;
    let (start, first) = (Instant::now(), client.info(PROCESSED)?);
    let (mut pick, mut times) = (Pick::new(1), Vec::new());
    let mut send = |client: &mut Client, command: &str| {
        let command = command.replace("{field}", &pick.below(LARGE_FIELDS).to_string());
        let words: Vec<&str> = command.split(' ').collect();
        client.ask(&words).map(drop)
    };
    let probes = (args.seconds * PROBE_TIMES / PACE.as_secs_f64()) as u32;
    for i in 0..probes {
        interrupt::check()?;
        let due = PACE * i;
        // A probe that the one before kept from being sent in time has waited since then.
        let late = start.elapsed().saturating_sub(due);
        thread::sleep(due.saturating_sub(start.elapsed()));
        if let Some(before) = before {
            send(&mut client, before)?;
        }
        let sent = Instant::now();
        send(&mut client, command)?;
        times.push((late + sent.elapsed()).as_secs_f64() * 1e3);
    }
    let sets_per_s = (client.info(PROCESSED)? - first) as f64 / start.elapsed().as_secs_f64();
    if let Some(status) = stream.ended()? {
        return Err(Error::Benchmark {
            line: "-t set".into(),
            why: format!("ended too early: {status}"),
        });
    }
    stream.terminate()?;
    times.sort_by(f64::total_cmp);
    let ms = |percent| percentile(&times, percent).unwrap_or(f64::NAN);
    Ok(Probed {
        p50_ms: ms(50.0),
        p99_ms: ms(99.0),
        max_ms: ms(100.0),
        sets_per_s,
    })
}

fn wait_for_begin(client: &mut Client) -> Result<(), Error> {
    let (start, first) = (Instant::now(), client.info(PROCESSED)?);
    while client.info(PROCESSED)? < first + BEGUN_COMMANDS {
        interrupt::check()?;
        if start.elapsed() > BEGUN_MAX {
            return Err(Error::Timeout {
                what: "the stream of SETs".into(),
                limit: BEGUN_MAX,
                seen: format!("fewer than {BEGUN_COMMANDS} commands"),
            });
        }
        thread::sleep(POLL);
    }
    Ok(())
}
