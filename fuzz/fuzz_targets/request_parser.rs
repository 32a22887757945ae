//! The parser makes the same of any bytes however they are cut, holds to its limits and does not panic.
#![no_main]

use std::collections::VecDeque;

use bytes::BytesMut;
use haypile_resp::{Limits, LongDouble, Parser, ProtocolError, Request, format_double, parse_f64, parse_i64};
use libfuzzer_sys::fuzz_target;

fn parse(bytes: &[u8], piece: usize, max: usize, limits: &Limits) -> (Vec<Request>, Result<(), ProtocolError>) {
    let mut parser = Parser::new();
    let mut buf = BytesMut::new();
    let mut requests = Vec::new();
    for piece in bytes.chunks(piece) {
        buf.extend_from_slice(piece);
        loop {
            let mut out = VecDeque::new();
            let result = parser.parse(&mut buf, limits, &mut out, max);
            let added = out.len();
            requests.extend(out);
            if result.is_err() {
                return (requests, result);
            }
            if added == 0 {
                break;
            }
        }
        assert!(parser.wants() <= buf.len().max(64 << 10));
    }
    (requests, Ok(()))
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (settings, piece, bytes) = input;
    let limits = Limits {
        authenticated: settings & 1 == 0,
        inline_bytes_max: if settings & 2 == 0 { 64 << 10 } else { 30 },
        bulk_bytes_max: if settings & 4 == 0 { 512 << 20 } else { 100 },
        array_elements_max: if settings & 8 == 0 { i32::MAX as usize } else { 20 },
    };
    let whole = parse(bytes, bytes.len().max(1), usize::MAX, &limits);
    let pieces = parse(
        bytes,
        usize::from(piece).max(1),
        usize::from(settings >> 4).max(1),
        &limits,
    );
    assert!(whole == pieces);
    for request in &whole.0 {
        assert!(!request.is_empty() && request.len() <= limits.array_elements_max.max(limits.inline_bytes_max));
        for arg in request.iter() {
            assert!(arg.len() <= limits.bulk_bytes_max.max(limits.inline_bytes_max));
            numbers(arg);
        }
    }
});

fn numbers(arg: &[u8]) {
    if let Some(number) = parse_i64(arg) {
        assert_eq!(number.to_string().as_bytes(), arg);
    }
    let long = LongDouble::parse(arg);
    if let Some(number) = parse_f64(arg) {
        let text = format_double(number);
        assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), Some(number.to_bits()));
        assert!(long.is_some() || arg.iter().any(|b| matches!(b, b'x' | b'X')) || arg.len() >= 5 * 1024);
    }
    if let Some(number) = long {
        assert!(LongDouble::parse(number.to_string().as_bytes()).is_some());
    }
}
