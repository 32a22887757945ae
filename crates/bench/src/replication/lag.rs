//! How long a write takes to show at the replica, on an idle primary and on one under load.
//!
//! A counter is written every 10 ms. Another connection reads it at the replica again and again, with a short sleep in
//! between, since a busy loop would take a core from the servers; so the figures are too high by up to one such
//! period, which stands beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::Error;
use crate::interrupt;
use crate::peer::{Peer, Server};
use crate::report::{Table, met, percentile, thousands};

use super::Args;
use super::pair::start_replica;

/// 99 of 100 writes are to show at the replica within this after their reply.
const P99_MAX: Duration = Duration::from_millis(5);
const WRITE_EVERY: Duration = Duration::from_millis(10);
/// The reader's sleep. The kernel makes some 50 us more of it.
const READ_SLEEP: Duration = Duration::from_micros(100);
/// What is not seen after this is lost.
const SEEN_MAX: Duration = Duration::from_secs(30);
/// Before the first write, for the load to become steady.
const WARM_UP: Duration = Duration::from_secs(1);

/// A write of the counter.
#[derive(Clone, Copy, Debug)]
struct Write {
    sent: Instant,
    replied: Instant,
}

/// Runs the measurement.
pub fn measure(args: &Args) -> Result<Table, Error> {
    let mut rows = Vec::new();
    for peer in args.peers() {
        let primary = args.start(&peer)?;
        let replica = start_replica(args, &peer, &primary)?;
        rows.push(row(args, &peer, "idle", &primary, &replica)?);
        let mut load = args.load(&primary, 100).start()?;
        load.wait(WARM_UP)?;
        let name = format!("{} SETs a second", thousands(args.rate as f64));
        rows.push(row(args, &peer, &name, &primary, &replica)?);
        let mut latencies = load.stop()?;
        let [p50, p99] = latencies.percentiles([50.0, 99.0]);
        let rate = thousands(latencies.rate());
        println!("{}: {rate} SETs a second, p50 {p50:.3} ms, p99 {p99:.3} ms", peer.name);
    }
    let header = [
        "server, load",
        "reply to seen p50 ms",
        "p99 ms",
        "max ms",
        "sent to seen p50 ms",
        "p99 ms",
        "max ms",
        "read every us",
        "target",
        "met",
    ];
    Ok(Table {
        title: format!(
            "lag: from a SET's reply, or from its sending, until a GET at the replica shows it; {} SETs",
            thousands(args.seconds as f64 / WRITE_EVERY.as_secs_f64())
        ),
        header: header.map(str::to_owned).into(),
        rows,
    })
}

fn row(args: &Args, peer: &Peer, load: &str, primary: &Server, replica: &Server) -> Result<Vec<String>, Error> {
    let time = Duration::from_secs(args.seconds);
    let key = format!("haypile-bench:lag:{load}");
    let over = Arc::new(AtomicBool::new(false));
    let (told, read_key, mut to_replica) = (over.clone(), key.clone(), replica.client()?);
    let reader = thread::Builder::new()
        .name("reader".into())
        .spawn(move || read(&mut to_replica, &read_key, &told))?;
    let writes = write(&mut primary.client()?, &key, time);
    // The reader ends when it has seen the last one, if there is one.
    let last = writes.as_ref().map_or(0, |writes| writes.len() as u64);
    let seen_last = writes.is_ok() && wait_for(replica, &key, last)?;
    over.store(true, Ordering::Relaxed);
    let seen = reader
        .join()
        .map_err(|_| std::io::Error::other("the reader has ended early"))??;
    let writes = writes?;
    if !seen_last {
        return Err(Error::Timeout {
            what: format!("the replica shows write {last}"),
            limit: SEEN_MAX,
            seen: format!("{:?}", seen.values.last()),
        });
    }

    let mut from_reply = delays(&writes, &seen.values, |write| write.replied);
    let mut from_sending = delays(&writes, &seen.values, |write| write.sent);
    from_reply.sort_unstable();
    from_sending.sort_unstable();
    let mut row = vec![format!("{}, {load}", peer.name)];
    for delays in [&from_reply, &from_sending] {
        for percent in [50.0, 99.0, 100.0] {
            row.push(format!("{:.3}", percentile(delays, percent).map_or(f64::NAN, millis)));
        }
    }
    row.push(format!("{:.0}", seen.period.as_secs_f64() * 1e6));
    let p99 = percentile(&from_reply, 99.0).unwrap_or(Duration::MAX);
    row.extend(if peer.name == "haypile" {
        [format!("p99 < {} ms", P99_MAX.as_millis()), met(p99 < P99_MAX)]
    } else {
        [String::new(), String::new()]
    });
    println!("{}", row.join("  "));
    Ok(row)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Writes 1, 2, 3 … at fixed times, or as soon as the one before has its reply.
fn write(primary: &mut Client, key: &str, time: Duration) -> Result<Vec<Write>, Error> {
    let start = Instant::now();
    let mut writes = Vec::new();
    while start.elapsed() < time {
        interrupt::check()?;
        let due = WRITE_EVERY * writes.len() as u32;
        thread::sleep(due.saturating_sub(start.elapsed()));
        let sent = Instant::now();
        primary.ask(&["SET", key, &(writes.len() + 1).to_string()])?;
        let replied = Instant::now();
        writes.push(Write { sent, replied });
    }
    Ok(writes)
}

/// What the reader has seen.
struct Seen {
    /// Each value, and when it was there for the first time.
    values: Vec<(u64, Instant)>,
    /// Between two reads, on average.
    period: Duration,
}

fn read(replica: &mut Client, key: &str, over: &AtomicBool) -> Result<Seen, Error> {
    let start = Instant::now();
    let (mut values, mut reads) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        interrupt::check()?;
        let value = counter(replica, key)?;
        let now = Instant::now();
        reads += 1;
        if value.is_some() && value != values.last().map(|(value, _)| *value) {
            values.extend(value.map(|value| (value, now)));
        }
        thread::sleep(READ_SLEEP);
    }
    Ok(Seen {
        values,
        period: start.elapsed() / reads.max(1),
    })
}

fn counter(replica: &mut Client, key: &str) -> Result<Option<u64>, Error> {
    let reply = replica.ask(&["GET", key])?;
    let text = reply.as_bytes().map(String::from_utf8_lossy);
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Whether the replica shows the last write in time. Waits a little longer, for the reader to see it, too.
fn wait_for(replica: &Server, key: &str, last: u64) -> Result<bool, Error> {
    let (mut client, start) = (replica.client()?, Instant::now());
    while start.elapsed() < SEEN_MAX {
        interrupt::check()?;
        let there = counter(&mut client, key)? == Some(last);
        thread::sleep(WRITE_EVERY);
        if there {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How long after `from` each write was seen. A later value shows all earlier ones.
fn delays(writes: &[Write], seen: &[(u64, Instant)], from: impl Fn(&Write) -> Instant) -> Vec<Duration> {
    let mut seen = seen.iter().peekable();
    let mut delays = Vec::new();
    for (number, write) in (1..).zip(writes) {
        while seen.next_if(|(value, _)| *value < number).is_some() {}
        if let Some((_, at)) = seen.peek() {
            delays.push(at.saturating_duration_since(from(write)));
        }
    }
    delays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_shows_the_earlier_ones() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let writes: Vec<Write> = [10, 20, 30]
            .map(|ms| Write {
                sent: at(ms),
                replied: at(ms + 1),
            })
            .into();
        let seen = [(1, at(12)), (3, at(30))];
        let ms = |delays: Vec<Duration>| delays.iter().map(Duration::as_millis).collect::<Vec<_>>();
        assert_eq!(ms(delays(&writes, &seen, |write| write.sent)), [2, 10, 0]);
        assert_eq!(ms(delays(&writes, &seen, |write| write.replied)), [1, 9, 0]);
    }
}
