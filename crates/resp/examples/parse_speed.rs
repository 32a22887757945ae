//! How many small pipelined commands a second one thread parses, and how many small replies it writes.
//!
//! `cargo run --release -p haypile-resp --example parse_speed`

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Instant;

use bytes::BytesMut;
use haypile_resp::{Limits, LongDouble, Parser, Reply, Version, parse_f64};

/// What a connection reads at a time, in bytes.
const READ_BYTES: usize = 16 << 10;

const COMMANDS: usize = 20_000_000;

fn main() {
    parse(
        "GET, 22-byte key",
        b"*2\r\n$3\r\nGET\r\n$22\r\nkey:__rand_int__:00001\r\n",
    );
    parse(
        "SET, 22-byte key, 64-byte value",
        &[
            &b"*3\r\n$3\r\nSET\r\n$22\r\nkey:__rand_int__:00001\r\n$64\r\n"[..],
            &[b'x'; 64],
            b"\r\n",
        ]
        .concat(),
    );
    parse("PING inline", b"PING\r\n");
    reply("OK", Reply::ok);
    reply("integer", |reply| reply.integer(black_box(123_456)));
    reply("bulk of 3 bytes", |reply| reply.bulk(black_box(b"xxx")));
    reply("bulk of 64 bytes", |reply| reply.bulk(black_box(&[b'x'; 64])));
    reply("double 0.1", |reply| reply.double(black_box(0.1)));
    reply("double 3", |reply| reply.double(black_box(3.0)));
    reply("parsed double 123.456", |reply| {
        reply.raw(&[parse_f64(black_box(b"123.456")).is_some() as u8])
    });
    reply("sum of long doubles", |reply| {
        let (a, b) = (
            LongDouble::parse(black_box(b"10.5")),
            LongDouble::parse(black_box(b"0.1")),
        );
        let sum = a.zip(b).and_then(|(a, b)| a.checked_add(b));
        reply.bulk_str(&sum.map(|sum| sum.to_string()).unwrap_or_default());
    });
}

fn parse(name: &str, command: &[u8]) {
    let wire = command.repeat(READ_BYTES / command.len() + 2);
    let mut parser = Parser::new();
    let mut buf = BytesMut::with_capacity(2 * READ_BYTES);
    let mut out = VecDeque::new();
    let limits = Limits::default();
    let (mut parsed, mut offset) = (0, 0);
    let start = Instant::now();
    while parsed < COMMANDS {
        // Reads end in the middle of commands, as they do on a socket.
        buf.reserve(READ_BYTES);
        buf.extend_from_slice(&wire[offset..offset + READ_BYTES]);
        offset = (offset + READ_BYTES) % command.len();
        let result = parser.parse(&mut buf, &limits, &mut out, usize::MAX);
        assert_eq!(result, Ok(()));
        parsed += out.len();
        for request in out.drain(..) {
            black_box(&request[0]);
        }
    }
    print(&format!("parse {name}"), parsed, start);
}

fn reply(name: &str, write: impl Fn(&mut Reply)) {
    let mut reply = Reply::new(Version::Resp2);
    let start = Instant::now();
    for _ in 0..COMMANDS / 1000 {
        reply.clear();
        for _ in 0..1000 {
            write(&mut reply);
        }
        black_box(reply.buffer());
    }
    print(&format!("write {name}"), COMMANDS, start);
}

fn print(name: &str, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name:40} {:7.1} M/s {:6.1} ns",
        count as f64 / seconds / 1e6,
        seconds / count as f64 * 1e9
    );
}
