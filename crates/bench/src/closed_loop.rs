//! A closed loop as `redis-benchmark` runs it, for several commands in turn: each connection sends as many as the
//! pipelining depth, waits for all their replies, and goes on.
//!
//! It reads replies at less cost than `redis-benchmark`, which makes an object of each of their elements, so that the
//! client is less often what limits the server.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::client::encode;
use crate::error::Error;
use crate::interrupt;
use crate::redis_benchmark::{Measured, RANDOM};
use crate::replies::Replies;
use crate::report::percentile;
use crate::workload::Pick;

/// Nothing takes longer to be answered.
const REPLY_MAX: Duration = Duration::from_secs(300);
const EVENTS: usize = 256;
const READ_BYTES: usize = 64 << 10;

/// A command on the wire, and where random digits go.
struct Template {
    bytes: Vec<u8>,
    random: Vec<usize>,
}

impl Template {
    fn new(words: &[String]) -> Self {
        let mut bytes = Vec::new();
        encode(&mut bytes, words);
        let random = (0..bytes.len()).filter(|i| bytes[*i..].starts_with(RANDOM.as_bytes()));
        Self {
            random: random.collect(),
            bytes,
        }
    }

    fn append(&self, out: &mut Vec<u8>, pick: &mut Pick, keyspace: u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        for at in &self.random {
            let mut number = pick.below(keyspace);
            for digit in out[start + at..start + at + RANDOM.len()].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
    }
}

/// Commands sent in turn.
#[derive(Debug)]
pub struct ClosedLoop<'a> {
    /// Their words, in which [`RANDOM`] stands for twelve random digits.
    pub commands: &'a [Vec<String>],
    /// Connections.
    pub clients: u32,
    /// Random digits come from 0 up to this.
    pub keyspace: u64,
    /// Commands sent before their replies are awaited.
    pub pipeline: u32,
    /// Commands in all; rounded up to whole pipelines.
    pub requests: u64,
}

impl ClosedLoop<'_> {
    /// Runs it against a server on loopback.
    pub fn run(&self, port: u16) -> Result<Measured, Error> {
        let templates: Vec<Template> = self.commands.iter().map(|words| Template::new(words)).collect();
        if templates.is_empty() || self.clients == 0 || self.keyspace == 0 || self.pipeline == 0 {
            return Err(Error::Usage(format!("a load without commands: {self:?}")));
        }
        let mut poll = Poll::new()?;
        let mut connections = (0..self.clients as usize)
            .map(|i| Connection::open(port, &poll, i))
            .collect::<Result<Vec<_>, _>>()?;
        let mut pick = Pick::new(1);
        let batches = self.requests.div_ceil(self.pipeline.into());
        let (mut begun, mut ended) = (0, 0);
        let mut micros: Vec<u32> = Vec::new();
        let mut chunk = vec![0; READ_BYTES];
        let mut events = Events::with_capacity(EVENTS);
        let start = Instant::now();
        for connection in connections.iter_mut().take(batches.try_into().unwrap_or(usize::MAX)) {
            connection.begin(self, &templates, &mut pick)?;
            begun += 1;
        }
        while ended < batches {
            interrupt::check()?;
            poll.poll(&mut events, Some(REPLY_MAX))
                .or_else(|error| match error.kind() {
                    ErrorKind::Interrupted => Ok(()),
                    _ => Err(error),
                })?;
            for event in &events {
                let connection = &mut connections[event.token().0];
                if event.is_writable() {
                    connection.send()?;
                }
                if connection.receive(&mut chunk)? {
                    micros.push(connection.begun.elapsed().as_micros().try_into().unwrap_or(u32::MAX));
                    ended += 1;
                    if begun < batches {
                        connection.begin(self, &templates, &mut pick)?;
                        begun += 1;
                    }
                }
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        micros.sort_unstable();
        let ms = |percent| percentile(&micros, percent).map_or(f64::NAN, |micros| f64::from(micros) / 1000.0);
        Ok(Measured {
            ops_per_s: (batches * u64::from(self.pipeline)) as f64 / seconds,
            p50_ms: ms(50.0),
            p99_ms: ms(99.0),
        })
    }
}

struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
    sent: usize,
    replies: Replies,
    /// Commands that have no reply yet.
    awaited: u64,
    /// Commands sent so far, and its own number, so that connections do not all send the same command.
    turn: usize,
    begun: Instant,
}

impl Connection {
    fn open(port: u16, poll: &Poll, i: usize) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, Token(i), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            unsent: Vec::new(),
            sent: 0,
            replies: Replies::default(),
            awaited: 0,
            turn: i,
            begun: Instant::now(),
        })
    }

    /// Sends the next commands.
    fn begin(&mut self, load: &ClosedLoop, templates: &[Template], pick: &mut Pick) -> io::Result<()> {
        self.unsent.clear();
        self.sent = 0;
        for _ in 0..load.pipeline {
            templates[self.turn % templates.len()].append(&mut self.unsent, pick, load.keyspace);
            self.turn += 1;
        }
        self.awaited = load.pipeline.into();
        self.begun = Instant::now();
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.unsent.len() {
            match self.stream.write(&self.unsent[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what has come; whether that was the last reply that was awaited.
    fn receive(&mut self, chunk: &mut [u8]) -> Result<bool, Error> {
        let waited = self.awaited > 0;
        loop {
            match self.stream.read(chunk) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(n) => {
                    let replies = self.replies.count(&chunk[..n])?;
                    self.awaited = self.awaited.checked_sub(replies).ok_or_else(|| Error::Reply {
                        command: "no command".into(),
                        reply: "a reply".into(),
                    })?;
                    // Less than there was room for was all there is; the next bytes give an event.
                    if n < chunk.len() {
                        return Ok(self.awaited == 0);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(waited && self.awaited == 0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_digits_fill_their_places() {
        let template = Template::new(&["GET".into(), format!("key:{RANDOM}")]);
        let mut out = b"before".to_vec();
        template.append(&mut out, &mut Pick::new(1), 10);
        let text = String::from_utf8(out).unwrap();
        let digits = text
            .strip_prefix("before*2\r\n$3\r\nGET\r\n$16\r\nkey:")
            .and_then(|rest| rest.strip_suffix("\r\n"))
            .unwrap();
        assert_eq!(digits.len(), 12);
        assert!(digits.parse::<u64>().unwrap() < 10);
    }
}
