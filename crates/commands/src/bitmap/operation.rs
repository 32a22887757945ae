//! Bitwise operations between strings.

use haypile_resp::Request;

use crate::args::is;
use crate::error::SYNTAX;
use crate::spec::WRITE;
use crate::{CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const BITOP: Spec = Spec {
    name: "bitop",
    summary: "Performs a bitwise operation on several string values and stores the result.",
    since: "2.6.0",
    group: Group::Bitmap,
    complexity: "O(N)",
    arity: -4,
    flags: WRITE,
    keys: Keys::Range {
        first: 2,
        last: -1,
        step: 1,
    },
    access: KeyAccess::STORE,
    syntax: "AND|OR|XOR|NOT destkey key [key ...]",
    handler: Handler::Data(bitop),
    ..SPEC
};

#[derive(Clone, Copy)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

fn bitop(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let operation = match &request[1] {
        word if is(word, "AND") => Operation::And,
        word if is(word, "OR") => Operation::Or,
        word if is(word, "XOR") => Operation::Xor,
        word if is(word, "NOT") => Operation::Not,
        _ => return Err(SYNTAX),
    };
    if matches!(operation, Operation::Not) && request.len() != 4 {
        return Err(CommandError::reply(
            "ERR BITOP NOT must be called with a single source key.",
        ));
    }
    let mut result = Vec::new();
    for (at, source) in request.iter().skip(3).enumerate() {
        let row = cx.string(source)?;
        let value = row.as_ref().map_or(&[][..], |row| row.body());
        match at {
            0 => result.extend_from_slice(value),
            _ => combine(&mut result, value, operation),
        }
    }
    if matches!(operation, Operation::Not) {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let destination = &request[2];
    let old = cx.row(destination)?.map(|row| row.header);
    if !result.is_empty() {
        cx.put_string(destination, old, &result, None)?;
        cx.modified(KeyEvent::Set, destination);
    } else if let Some(old) = old {
        cx.delete(destination, old)?;
        cx.modified(KeyEvent::Del, destination);
    }
    cx.reply.integer(result.len() as i64);
    Ok(())
}

/// Works one more value into the result. The shorter of both goes on with zeros.
fn combine(result: &mut Vec<u8>, value: &[u8], operation: Operation) {
    if result.len() < value.len() {
        result.resize(value.len(), 0);
    }
    let (shared, rest) = result.split_at_mut(value.len());
    let pairs = shared.iter_mut().zip(value);
    match operation {
        Operation::And => {
            pairs.for_each(|(a, b)| *a &= b);
            rest.fill(0);
        }
        Operation::Or => pairs.for_each(|(a, b)| *a |= b),
        Operation::Xor => pairs.for_each(|(a, b)| *a ^= b),
        Operation::Not => {}
    }
}

#[cfg(test)]
mod tests {
    use haypile_resp::Request;

    use crate::testing::Bench;

    fn value(bench: &mut Bench, key: &str) -> Vec<u8> {
        let reply = bench.raw(&Request::from_args(["get", key]));
        let start = reply.windows(2).position(|w| w == b"\r\n").unwrap() + 2;
        reply[start..reply.len() - 2].to_vec()
    }

    #[test]
    fn operations_between_strings_of_different_lengths() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run_args(&[&b"mset"[..], b"a", b"\xff\x0f\x01", b"b", b"\xf1\xff"]);
            assert_eq!(bench.run("bitop and d a b missing a"), ":3|");
            assert_eq!(value(&mut bench, "d"), [0, 0, 0]);
            assert_eq!(bench.run("bitop and d a b"), ":3|");
            assert_eq!(bench.heard, ["set d"]);
            assert_eq!(value(&mut bench, "d"), [0xf1, 0x0f, 0]);
            assert_eq!(bench.run("bitop or d b a"), ":3|");
            assert_eq!(value(&mut bench, "d"), [0xff, 0xff, 1]);
            assert_eq!(bench.run("bitop xor d a b"), ":3|");
            assert_eq!(value(&mut bench, "d"), [0x0e, 0xf0, 1]);
            assert_eq!(bench.run("bitop NOT a a"), ":3|");
            assert_eq!(value(&mut bench, "a"), [0, 0xf0, 0xfe]);
            assert_eq!(bench.run("bitop or d missing"), ":0|");
            assert_eq!(bench.heard, ["del d"]);
            assert_eq!(bench.run("bitop or d missing"), ":0|");
            assert!(bench.heard.is_empty());
            assert_eq!(bench.run("get d"), "$-1|");
        }
    }

    #[test]
    fn bitop_checks_its_arguments() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("bitop nand d a b"), "-ERR syntax error|");
        assert_eq!(
            bench.run("bitop not d a b"),
            "-ERR BITOP NOT must be called with a single source key.|"
        );
    }
}
