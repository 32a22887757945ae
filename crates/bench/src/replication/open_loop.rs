//! A load with a fixed rate: each command has a time at which it is due, and is sent then whether earlier ones have been
//! answered or not. Its latency counts from when it was due, so a stall of the server, or of this program, is seen by
//! all commands that fell into it (no coordinated omission).
//!
//! One thread serves all connections and sleeps until a reply comes or a command is due; the servers need the cores.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use haypile_resp::client::Decoder;

use crate::client::encode;
use crate::error::Error;
use crate::interrupt;
use crate::report::percentile;
use crate::workload::{Noise, Pick};

/// After the last command, replies are waited for this long.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// More commands without a reply than this: the server cannot take the rate.
const UNANSWERED_MAX: usize = 1_000_000;
/// The longest sleep, so that a stop is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(20);
const READ_BYTES: usize = 64 << 10;
/// Values are cut from as much noise.
const NOISE_BYTES: u32 = 64 << 10;

/// A load, before it is started.
#[derive(Clone, Debug)]
pub struct Load {
    /// On loopback.
    pub port: u16,
    /// Commands in a second.
    pub rate: u64,
    /// Connections, which take turns.
    pub connections: usize,
    /// How many of a hundred commands are SETs; the others are GETs.
    pub sets_percent: u64,
    /// Random keys `key:000000000000` and so on come from 0 up to this.
    pub keyspace: u64,
    /// Bytes of a value, up to 64 KiB.
    pub value_bytes: u32,
}

/// A load that runs in a thread of its own.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Latencies, Error>>>,
}

/// How long each command took.
#[derive(Debug, Default)]
pub struct Latencies {
    micros: Vec<u32>,
    over: Duration,
}

impl Load {
    /// Starts it.
    pub fn start(self) -> Result<Running, Error> {
        if self.rate == 0 || self.connections == 0 || self.keyspace == 0 || self.value_bytes > NOISE_BYTES {
            return Err(Error::Usage(format!(
                "a load needs a rate, connections and keys, and values up to {NOISE_BYTES} bytes: {self:?}"
            )));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let mut connections = (0..self.connections)
            .map(|_| Connection::open(self.port))
            .collect::<Result<Vec<_>, _>>()?;
        let thread = thread::Builder::new()
            .name("load".into())
            .spawn(move || self.drive(&mut connections, &told))?;
        Ok(Running {
            stop,
            thread: Some(thread),
        })
    }

    /// Runs it for so long.
    pub fn run_for(self, time: Duration) -> Result<Latencies, Error> {
        let mut running = self.start()?;
        running.wait(time)?;
        running.stop()
    }

    fn drive(&self, connections: &mut [Connection], stop: &AtomicBool) -> Result<Latencies, Error> {
        let (mut pick, noise) = (Pick::new(self.rate), Noise::new().letters(NOISE_BYTES));
        let mut latencies = Latencies::default();
        let start = Instant::now();
        let due = |i: u64| Duration::from_nanos((u128::from(i) * 1_000_000_000 / u128::from(self.rate)) as u64);
        let mut next = 0;
        let mut chunk = vec![0; READ_BYTES];
        let mut stopped: Option<Duration> = None;
        loop {
            let now = start.elapsed();
            if stopped.is_none() && (stop.load(Ordering::Relaxed) || interrupt::check().is_err()) {
                stopped = Some(now);
            }
            while stopped.is_none() && due(next) <= now {
                let connection = &mut connections[next as usize % self.connections];
                let key = format!("key:{:012}", pick.below(self.keyspace));
                if pick.below(100) < self.sets_percent {
                    let from = pick.below(u64::from(NOISE_BYTES - self.value_bytes) + 1) as usize;
                    let value = &noise[from..from + self.value_bytes as usize];
                    encode(&mut connection.unsent, &[b"SET", key.as_bytes(), value]);
                } else {
                    encode(&mut connection.unsent, &["GET", &key]);
                }
                connection.due.push_back(due(next));
                next += 1;
            }
            let mut unanswered = 0;
            for connection in connections.iter_mut() {
                connection.send()?;
                unanswered += connection.due.len();
            }
            if unanswered > UNANSWERED_MAX {
                return Err(too_slow(self, unanswered));
            }
            match stopped {
                Some(_) if unanswered == 0 => break,
                Some(since) if now.saturating_sub(since) > DRAIN_MAX => return Err(too_slow(self, unanswered)),
                _ => {}
            }
            let sleep = match stopped {
                Some(_) => SLEEP_MAX,
                None => due(next).saturating_sub(start.elapsed()).min(SLEEP_MAX),
            };
            for i in ready(connections, sleep)? {
                connections[i].receive(&mut chunk, start, &mut latencies.micros)?;
            }
        }
        latencies.over = stopped.unwrap_or_default();
        Ok(latencies)
    }
}

fn too_slow(load: &Load, unanswered: usize) -> Error {
    Error::Reply {
        command: format!("{} commands in a second", load.rate),
        reply: format!("the server does not keep up: {unanswered} wait for a reply"),
    }
}

impl Running {
    /// Waits while it runs; an error as soon as it has one.
    pub fn wait(&mut self, time: Duration) -> Result<(), Error> {
        let start = Instant::now();
        while start.elapsed() < time {
            interrupt::check()?;
            if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
                return self.join().map(drop);
            }
            thread::sleep(SLEEP_MAX.min(time.saturating_sub(start.elapsed())));
        }
        Ok(())
    }

    /// Ends it when all replies have come.
    pub fn stop(mut self) -> Result<Latencies, Error> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    fn join(&mut self) -> Result<Latencies, Error> {
        let thread = self.thread.take().and_then(|thread| thread.join().ok());
        thread.unwrap_or_else(|| Err(io::Error::other("the load's thread has ended early").into()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The servers may be gone: the thread then ends with an error that nobody needs.
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Latencies {
    /// Sorted, in milliseconds at the given percentages.
    pub fn percentiles<const N: usize>(&mut self, percents: [f64; N]) -> [f64; N] {
        self.micros.sort_unstable();
        percents.map(|percent| percentile(&self.micros, percent).map_or(f64::NAN, |micros| f64::from(micros) / 1000.0))
    }

    /// Commands in a second.
    pub fn rate(&self) -> f64 {
        self.micros.len() as f64 / self.over.as_secs_f64()
    }
}

struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
    decoder: Decoder,
    unread: BytesMut,
    /// When the commands that have no reply yet were due.
    due: VecDeque<Duration>,
}

impl Connection {
    fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            unsent: Vec::new(),
            decoder: Decoder::new(),
            unread: BytesMut::new(),
            due: VecDeque::new(),
        })
    }

    fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, chunk: &mut [u8], start: Instant, micros: &mut Vec<u32>) -> Result<(), Error> {
        let read = match self.stream.read(chunk) {
            Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(n) => n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let now = start.elapsed();
        self.unread.extend_from_slice(&chunk[..read]);
        while let Some(value) = self.decoder.decode(&mut self.unread)? {
            if let Some(text) = value.as_error() {
                return Err(Error::Reply {
                    command: "a command of the load".into(),
                    reply: text.into(),
                });
            }
            let due = self.due.pop_front().ok_or_else(|| Error::Reply {
                command: "no command".into(),
                reply: format!("{value:?}"),
            })?;
            micros.push(now.saturating_sub(due).as_micros().try_into().unwrap_or(u32::MAX));
        }
        Ok(())
    }
}

/// Sleeps until a connection can be read, or written if it has something unsent, but no longer than `sleep`. Gives
/// those that can be read.
fn ready(connections: &[Connection], sleep: Duration) -> io::Result<Vec<usize>> {
    let mut fds: Vec<libc::pollfd> = connections
        .iter()
        .map(|connection| libc::pollfd {
            fd: connection.stream.as_raw_fd(),
            events: if connection.unsent.is_empty() {
                libc::POLLIN
            } else {
                libc::POLLIN | libc::POLLOUT
            },
            revents: 0,
        })
        .collect();
    let timeout = libc::timespec {
        // Less than a second.
        tv_sec: 0,
        tv_nsec: sleep.min(SLEEP_MAX).subsec_nanos().into(),
    };
    // SAFETY: the array and the timeout live through the call, which is told the array's length; no signal mask.
    let found = unsafe {
        libc::ppoll(
            fds.as_mut_ptr(),
            fds.len() as libc::nfds_t,
            &raw const timeout,
            ptr::null(),
        )
    };
    if found < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            ErrorKind::Interrupted => Ok(Vec::new()),
            _ => Err(error),
        };
    }
    // What is not POLLOUT alone has something to read, if only an error.
    let readable = |fd: &libc::pollfd| fd.revents & !libc::POLLOUT != 0;
    Ok((0..fds.len()).filter(|i| readable(&fds[*i])).collect())
}
