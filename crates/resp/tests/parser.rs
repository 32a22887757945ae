//! What the parser makes of bytes, and that it makes the same of them however they are cut.
// What fails here fails a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::VecDeque;

use bytes::BytesMut;
use haypile_resp::{Limits, Parser, ProtocolError, Reply, Request, Version};
use proptest::prelude::*;

type Parsed = (Vec<Request>, Result<(), ProtocolError>);

/// Parses until a call adds nothing, as a connection does after each read.
fn drain(
    parser: &mut Parser,
    buf: &mut BytesMut,
    limits: &Limits,
    max: usize,
    into: &mut Vec<Request>,
) -> Result<(), ProtocolError> {
    loop {
        let mut out = VecDeque::new();
        let result = parser.parse(buf, limits, &mut out, max);
        let added = out.len();
        assert!(added <= max);
        into.extend(out);
        result?;
        if added == 0 {
            return Ok(());
        }
    }
}

fn parse_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits, max: usize) -> Parsed {
    let mut parser = Parser::new();
    let mut buf = BytesMut::new();
    let mut requests = Vec::new();
    for piece in pieces {
        buf.extend_from_slice(piece);
        let result = drain(&mut parser, &mut buf, limits, max, &mut requests);
        assert_eq!(
            parser.idle(),
            buf.is_empty() && result.is_ok() || result.is_err() && parser.idle()
        );
        if result.is_err() {
            return (requests, result);
        }
        buf.reserve(parser.wants());
    }
    (requests, Ok(()))
}

fn parse(bytes: &[u8]) -> Parsed {
    parse_pieces([bytes], &Limits::default(), usize::MAX)
}

fn error(bytes: &[u8]) -> String {
    // In one piece and in single bytes it must be the same.
    let (requests, result) = parse(bytes);
    let limits = Limits::default();
    assert_eq!(parse_pieces(bytes.chunks(1), &limits, 1), (requests, result.clone()));
    result.expect_err("an error").to_string()
}

fn requests(commands: &[&[&str]]) -> Vec<Request> {
    commands.iter().map(|args| Request::from_args(*args)).collect()
}

#[test]
fn arrays_lines_and_nothing_at_all() {
    let bytes =
        b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*0\r\n*-1\r\n\r\n\nPING\r\n*-10\r\n   \r\nset a 'b c'\n*1\r\n$0\r\n\r\n";
    let expected = requests(&[&["GET", "k"], &["PING"], &["set", "a", "b c"], &[""]]);
    assert_eq!(parse(bytes), (expected.clone(), Ok(())));
    assert_eq!(parse_pieces(bytes.chunks(1), &Limits::default(), 1), (expected, Ok(())));
}

#[test]
fn arguments_share_the_buffer() {
    let mut buf = BytesMut::from("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n*1\r\n$");
    let range = buf.as_ptr_range();
    let mut out = VecDeque::new();
    let mut parser = Parser::new();
    parser.parse(&mut buf, &Limits::default(), &mut out, 10).unwrap();
    assert_eq!(buf, "*1\r\n$");
    assert!(!parser.idle());
    assert_eq!(out.len(), 2);
    assert!(range.contains(&out[0][1].as_ptr()) && range.contains(&out[1][0].as_ptr()));
    assert_eq!(out[0].size(), 20);
    assert_eq!(out[1].size(), 14);
}

#[test]
fn stops_after_as_many_as_were_asked_for() {
    let mut buf = BytesMut::from("A\r\nB\r\nC\r\n");
    let mut parser = Parser::new();
    let mut out = VecDeque::from([Request::from_args(["before"])]);
    parser.parse(&mut buf, &Limits::default(), &mut out, 2).unwrap();
    assert_eq!(Vec::from(out), requests(&[&["before"], &["A"], &["B"]]));
    assert_eq!(buf, "C\r\n");
    assert!(parser.idle());
    let mut out = VecDeque::new();
    parser.parse(&mut buf, &Limits::default(), &mut out, 0).unwrap();
    assert!(out.is_empty());
}

#[test]
fn errors_are_those_of_redis() {
    assert_eq!(error(b"*-x\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(error(b"*\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(error(b"*01\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(error(b"*3000000000\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(error(b"*2147483648\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(parse(b"*2147483647\r\n"), (vec![], Ok(())), "there may be so many");
    assert_eq!(
        error(b"*99999999999999999999\r\n"),
        "Protocol error: invalid multibulk length"
    );
    assert_eq!(
        error(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n"),
        "Protocol error: expected '$', got 'f'"
    );
    assert_eq!(error(b"*1\r\n\r\n"), "Protocol error: expected '$', got ' '");
    assert_eq!(error(b"*1\r\n*1\r\n"), "Protocol error: expected '$', got '*'");
    assert_eq!(error(b"*1\r\n$-1\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(error(b"*1\r\n$536870913\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(
        error(b"*1\r\n$9223372036854775807\r\n"),
        "Protocol error: invalid bulk length"
    );
    assert_eq!(error(b"*1\r\n$blabla\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(error(b"*1\r\n$\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(
        error(b"set \"\"\"test-key\"\"\" v\r\n"),
        "Protocol error: unbalanced quotes in request"
    );
    let long = |first: &[u8], last: &[u8]| [first, &[b'1'; 64 << 10], last].concat();
    for last in [&b""[..], b"\r\n"] {
        assert_eq!(error(&long(b"a", last)), "Protocol error: too big inline request");
        assert_eq!(error(&long(b"*", last)), "Protocol error: too big mbulk count string");
        assert_eq!(
            error(&long(b"*1\r\n$", last)),
            "Protocol error: too big bulk count string"
        );
    }
}

#[test]
fn an_error_is_final_and_what_came_before_is_delivered() {
    let mut buf = BytesMut::from("PING\r\n*x\r\nPING\r\n");
    let mut parser = Parser::new();
    let mut out = VecDeque::new();
    for _ in 0..2 {
        let result = parser.parse(&mut buf, &Limits::default(), &mut out, 10);
        assert_eq!(result, Err(ProtocolError::InvalidMultibulkLength));
        assert_eq!(out.len(), 1);
    }
}

#[test]
fn who_has_not_authenticated_sends_little() {
    let limits = Limits {
        authenticated: false,
        ..Limits::default()
    };
    let result = |bytes: &[u8]| parse_pieces([bytes], &limits, usize::MAX).1;
    assert_eq!(result(b"*10\r\n$16384\r\n"), Ok(()));
    assert_eq!(result(b"*11\r\n"), Err(ProtocolError::UnauthenticatedMultibulkLength));
    assert_eq!(
        result(b"*1\r\n$16385\r\n"),
        Err(ProtocolError::UnauthenticatedBulkLength)
    );
    assert_eq!(result(b"*1\r\n$536870913\r\n"), Err(ProtocolError::InvalidBulkLength));
}

#[test]
fn a_command_after_auth_waits_for_auth_to_be_executed() {
    let mut limits = Limits {
        authenticated: false,
        ..Limits::default()
    };
    let mut parser = Parser::new();
    let mut out = VecDeque::new();
    let big = format!("*1\r\n$20000\r\n{}\r\n", "x".repeat(20000));
    let mut buf = BytesMut::from(format!("AUTH secret\r\n{big}{big}").as_str());
    parser.parse(&mut buf, &limits, &mut out, 10).unwrap();
    assert_eq!(out.len(), 1);
    limits.authenticated = true;
    parser.parse(&mut buf, &limits, &mut out, 10).unwrap();
    assert_eq!(out.len(), 3);
    assert!(parser.idle());
    limits.authenticated = false;
    let mut buf = BytesMut::from(big.as_str());
    let result = parser.parse(&mut buf, &limits, &mut out, 10);
    assert_eq!(result, Err(ProtocolError::UnauthenticatedBulkLength));
}

#[test]
fn memory_is_wanted_for_what_arrives_and_not_for_what_is_promised() {
    let mut parser = Parser::new();
    let mut out = VecDeque::new();
    let mut buf = BytesMut::from("*1\r\n$536870912\r\n");
    parser.parse(&mut buf, &Limits::default(), &mut out, 1).unwrap();
    assert_eq!(parser.wants(), 64 << 10);
    buf.resize(1 << 20, b'x');
    parser.parse(&mut buf, &Limits::default(), &mut out, 1).unwrap();
    assert_eq!(parser.wants(), 1 << 20);
    let mut parser = Parser::new();
    let mut buf = BytesMut::from("*1\r\n$100\r\n");
    parser.parse(&mut buf, &Limits::default(), &mut out, 1).unwrap();
    assert_eq!(parser.wants(), 102);
    buf.extend_from_slice(&[b'x'; 102]);
    parser.parse(&mut buf, &Limits::default(), &mut out, 1).unwrap();
    assert_eq!(parser.wants(), 0);
    assert_eq!(out[0][0].len(), 100);
}

/// With work proportional to all that has arrived at each piece, this would take hours.
#[test]
fn large_commands_in_small_pieces_are_read_once() {
    // More than 1024 * 1024, at which Redis ended once.
    let elements = (1 << 20) + 3;
    let many = [format!("*{elements}\r\n").as_bytes(), &b"$1\r\nx\r\n".repeat(elements)].concat();
    let (requests, result) = parse_pieces(many.chunks(5), &Limits::default(), 1);
    assert_eq!(result, Ok(()));
    assert_eq!(requests[0].len(), elements);
    assert!(requests[0].iter().all(|arg| arg == b"x"));

    let len = 64 << 20;
    let big = [format!("*1\r\n${len}\r\n").as_bytes(), &vec![b'\r'; len], b"\r\n"].concat();
    let (requests, result) = parse_pieces(big.chunks(100), &Limits::default(), 1);
    assert_eq!(result, Ok(()));
    assert_eq!(requests[0][0].len(), len);
}

/// Commands, some as arrays and some as lines, and how they look on the wire.
fn stream() -> impl Strategy<Value = (Vec<Vec<Vec<u8>>>, Vec<u8>)> {
    let arg = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(prop::sample::select(&b"\r\n$*0 '\"\\x1"[..]), 0..8),
        prop::collection::vec(any::<u8>(), 0..1200),
    ];
    let command = (prop::collection::vec(arg, 0..9), any::<bool>());
    prop::collection::vec(command, 0..8).prop_map(|commands| {
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        for (args, inline) in commands {
            if inline {
                write_line(&args, &mut wire)
            } else {
                write_array(&args, &mut wire)
            }
            if !args.is_empty() {
                expected.push(args);
            }
        }
        (expected, wire)
    })
}

fn write_array(args: &[Vec<u8>], wire: &mut Vec<u8>) {
    let mut reply = Reply::new(Version::Resp2);
    reply.array(args.len());
    args.iter().for_each(|arg| reply.bulk(arg));
    wire.extend(reply.take());
}

fn write_line(args: &[Vec<u8>], wire: &mut Vec<u8>) {
    for arg in args {
        wire.extend(b" \"");
        for byte in arg {
            match byte {
                b'\n' => wire.extend(b"\\n"),
                b'"' | b'\\' => wire.extend([b'\\', *byte]),
                b'a'..=b'z' => wire.extend(format!("\\x{byte:02x}").bytes()),
                byte => wire.push(*byte),
            }
        }
        wire.extend(b"\"\t");
    }
    wire.extend(b"\r\n");
}

/// Cuts `bytes` at each of `cuts`, which are parts of the whole.
fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
}

proptest! {
    #[test]
    fn a_stream_parses_the_same_however_it_is_cut(
        (expected, wire) in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        max in 1usize..5,
    ) {
        let expected: Vec<Request> = expected.iter().map(Request::from_args).collect();
        let limits = Limits::default();
        prop_assert_eq!(&parse_pieces([&wire[..]], &limits, usize::MAX), &(expected.clone(), Ok(())));
        prop_assert_eq!(&parse_pieces(cut(&wire, &cuts), &limits, max), &(expected.clone(), Ok(())));
        prop_assert_eq!(&parse_pieces(wire.chunks(1), &limits, 1), &(expected, Ok(())));
    }

    #[test]
    fn nonsense_parses_the_same_however_it_is_cut(
        bytes in prop::collection::vec(prop_oneof![3 => prop::sample::select(&b"*$\r\n012-\" \\"[..]), 1 => any::<u8>()], 0..80),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        authenticated: bool,
    ) {
        let limits = Limits { inline_bytes_max: 20, array_elements_max: 100, bulk_bytes_max: 100, authenticated };
        let whole = parse_pieces([&bytes[..]], &limits, usize::MAX);
        prop_assert_eq!(&parse_pieces(cut(&bytes, &cuts), &limits, 2), &whole);
        prop_assert_eq!(&parse_pieces(bytes.chunks(1), &limits, 1), &whole);
    }
}
