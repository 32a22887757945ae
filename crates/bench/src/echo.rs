//! The yardstick: a server that does nothing but find where a request ends, and replies something fixed.
//!
//! What it reaches under a line of `redis-benchmark` is what sockets, system calls and the tool itself allow. It runs
//! as a process of its own, so that its CPU time is read as that of any other server.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use clap::ValueEnum;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::error::Error;
use crate::interrupt;
use crate::peer::{Peer, Server};
use crate::redis_benchmark::{Line, What};
use crate::report::{self, Table};
use crate::sample::{measure_header, measure_row};

const WAKE: Token = Token(usize::MAX);
const EVENTS: usize = 256;
const READ_BYTES: usize = 16 << 10;

/// What every request is answered with.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Fixed {
    /// `+OK`
    Ok,
    /// A bulk string of 64 bytes
    Bulk,
}

/// Arguments of `echo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pipelining depths
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    pipeline: Vec<u32>,
    /// Commands in a run, for each step of pipelining depth
    #[arg(long, default_value_t = 200_000)]
    requests: u64,
    /// Connections
    #[arg(long, default_value_t = 50)]
    clients: u32,
    /// Threads that serve
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Do nothing but serve on --port, with this reply
    #[arg(long, value_enum, requires = "port")]
    serve: Option<Fixed>,
    /// The port on loopback for --serve
    #[arg(long)]
    port: Option<u16>,
    /// Write the table to this file, too
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// Serves, or measures a server that does.
pub fn run(args: &Args) -> Result<(), Error> {
    if args.threads == 0 || args.pipeline.contains(&0) {
        return Err(Error::Usage("--threads and --pipeline must be above 0".into()));
    }
    if let (Some(reply), Some(port)) = (args.serve, args.port) {
        return serve(port, reply, args.threads);
    }
    interrupt::install()?;
    println!("{}", report::machine());
    let program = std::env::current_exe()?.display().to_string();
    let mut rows = Vec::new();
    for (reply, test) in [("ok", "set"), ("bulk", "get")] {
        let arguments = format!("echo --serve {reply} --port {{port}} --threads {}", args.threads);
        let mut command = vec![program.clone()];
        command.extend(arguments.split(' ').map(str::to_owned));
        let mut server = Server::start(
            &Peer {
                name: "echo".into(),
                command,
            },
            None,
        )?;
        for &pipeline in &args.pipeline {
            let line = Line {
                clients: args.clients,
                value_bytes: 64,
                keyspace: 1_000_000,
                pipeline,
                requests: args.requests * u64::from(pipeline),
                what: What::Test(test),
            };
            rows.push(measure_row(
                &format!("{} -P {pipeline}", test.to_uppercase()),
                &line,
                &mut server,
            )?);
        }
    }
    let title = format!(
        "bare echo loop, {} thread(s), redis-benchmark -c {} -d 64 -r 1000000",
        args.threads, args.clients
    );
    report::publish(
        &[Table {
            title,
            header: measure_header(),
            rows,
        }],
        args.markdown.as_deref(),
    )
}

fn serve(port: u16, reply: Fixed, threads: usize) -> Result<(), Error> {
    let reply: Arc<[u8]> = match reply {
        Fixed::Ok => (*b"+OK\r\n").into(),
        Fixed::Bulk => [&b"$64\r\n"[..], &[b'x'; 64], b"\r\n"].concat().into(),
    };
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    let mut workers = Vec::new();
    for i in 0..threads {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let (sender, receiver) = channel();
        let reply = Arc::clone(&reply);
        thread::Builder::new().name(format!("echo-{i}")).spawn(move || {
            // Its connections and the receiver go with it, so that both sides notice.
            if let Err(error) = work(poll, &receiver, &reply) {
                eprintln!("echo: {error}");
            }
        })?;
        workers.push((sender, waker));
    }
    for (sender, waker) in workers.iter().cycle() {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        sender
            .send(TcpStream::from_std(stream))
            .map_err(|_| io::Error::other("a serving thread has ended"))?;
        waker.wake()?;
    }
    Ok(())
}

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

fn work(mut poll: Poll, arriving: &Receiver<TcpStream>, reply: &[u8]) -> io::Result<()> {
    let mut connections = HashMap::new();
    let mut events = Events::with_capacity(EVENTS);
    let mut next = 0;
    let mut chunk = vec![0; READ_BYTES];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == WAKE {
                for mut stream in arriving.try_iter() {
                    let token = Token(next);
                    next += 1;
                    poll.registry()
                        .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                    connections.insert(
                        token,
                        Connection {
                            stream,
                            unread: Vec::new(),
                            unsent: Vec::new(),
                        },
                    );
                }
            } else if let Some(connection) = connections.get_mut(&event.token())
                && !connection.turn(&mut chunk, reply).unwrap_or(false)
            {
                connections.remove(&event.token());
            }
        }
    }
}

impl Connection {
    /// Reads what there is and answers; false once the other side has closed. Any error ends the connection, too.
    fn turn(&mut self, chunk: &mut [u8], reply: &[u8]) -> io::Result<bool> {
        loop {
            let count = match self.stream.read(chunk) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.send(),
                Err(error) => return Err(error),
            };
            self.unread.extend_from_slice(&chunk[..count]);
            let mut done = 0;
            while let Some(len) = request_len(&self.unread[done..]) {
                done += len;
                self.unsent.extend_from_slice(reply);
            }
            self.unread.drain(..done);
            self.send()?;
            // A read that did not fill the chunk has emptied the socket; the poll tells of more.
            if count < chunk.len() {
                return Ok(true);
            }
        }
    }

    fn send(&mut self) -> io::Result<bool> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The length of the request at the beginning, an array of bulk strings, if it is complete.
fn request_len(buf: &[u8]) -> Option<usize> {
    let (count, mut at) = number(buf, b'*')?;
    for _ in 0..count {
        let (len, header) = number(buf.get(at..)?, b'$')?;
        at += header + len + 2;
    }
    (at <= buf.len()).then_some(at)
}

/// The number in a line such as `*3\r\n`, and the line's length.
fn number(buf: &[u8], prefix: u8) -> Option<(usize, usize)> {
    let (first, rest) = buf.split_first()?;
    let digits = rest.iter().position(|b| *b == b'\r')?;
    if *first != prefix || rest.len() < digits + 2 {
        return None;
    }
    let value = rest[..digits].iter().fold(0_usize, |n, d| {
        n.wrapping_mul(10).wrapping_add(usize::from(d.wrapping_sub(b'0')))
    });
    Some((value, digits + 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_framed() {
        let request = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
        assert_eq!(request_len(request), Some(request.len()));
        for cut in 0..request.len() {
            assert_eq!(request_len(&request[..cut]), None);
        }
        assert_eq!(request_len(&[&request[..], b"*1"].concat()), Some(request.len()));
    }
}
