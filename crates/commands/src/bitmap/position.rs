//! Finding the first bit that is set or clear.

use std::ops::Range;

use haypile_resp::Request;

use super::{Unit, bit_range};
use crate::args::integer;
use crate::error::SYNTAX;
use crate::spec::READ;
use crate::{CommandError, Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

pub(super) const BITPOS: Spec = Spec {
    name: "bitpos",
    summary: "Finds the first bit that is set or clear in a string value.",
    since: "2.8.7",
    group: Group::Bitmap,
    complexity: "O(N)",
    arity: -3,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key bit [start:integer [end:integer [BYTE|BIT]]]",
    handler: Handler::Data(bitpos),
    ..SPEC
};

fn bitpos(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let bit = match integer(&request[2])? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::reply("ERR The bit argument must be 1 or 0.")),
    };
    if request.len() > 6 {
        return Err(SYNTAX);
    }
    let start = request.get(3).map_or(Ok(0), integer)?;
    let unit = Unit::parse(request.get(5))?;
    let end = request.get(4).map(integer).transpose()?;
    let Some(row) = cx.string(&request[1])? else {
        cx.reply.integer(if bit { -1 } else { 0 });
        return Ok(());
    };
    let value = row.body();
    let range = bit_range(start, end.unwrap_or(-1), unit, value.len());
    let position = match find(value, range.clone(), bit) {
        Some(position) => position as i64,
        // Without an end, zeros follow the value.
        None if !bit && end.is_none() && !range.is_empty() => range.end as i64,
        None => -1,
    };
    cx.reply.integer(position);
    Ok(())
}

/// The first bit of this kind in a range that lies within the value.
fn find(value: &[u8], range: Range<u64>, bit: bool) -> Option<u64> {
    if range.is_empty() {
        return None;
    }
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    // So that a set bit is looked for in any case.
    let flip = if bit { 0 } else { 0xff };
    let in_first = (value[first] ^ flip) & (0xff >> (range.start % 8));
    let byte = match in_first {
        0 => first + 1 + first_other(&value[first + 1..=last], flip)?,
        _ => first,
    };
    let found = if byte == first { in_first } else { value[byte] ^ flip };
    let position = byte as u64 * 8 + u64::from(found.leading_zeros());
    (position < range.end).then_some(position)
}

/// The first byte that is not `byte`.
fn first_other(bytes: &[u8], byte: u8) -> Option<usize> {
    let (words, _) = bytes.as_chunks::<8>();
    let same = words.iter().take_while(|word| **word == [byte; 8]).count() * 8;
    bytes[same..].iter().position(|b| *b != byte).map(|at| same + at)
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    fn set(bench: &mut Bench, bytes: &[u8]) {
        bench.run_args(&[&b"set"[..], b"k", bytes]);
    }

    #[test]
    fn bits_are_found() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("bitpos k 0"), ":0|");
        assert_eq!(bench.run("bitpos k 1"), ":-1|");
        set(&mut bench, b"");
        assert_eq!(bench.run("bitpos k 0"), ":-1|");
        set(&mut bench, b"\xff\xf0\x00");
        for (args, expected) in [
            ("0", 12),
            ("1", 0),
            ("1 2", -1),
            ("1 -2", 8),
            ("0 0 0", -1),
            ("0 2", 16),
            ("0 7 15 bit", 12),
            ("1 12 15 bit", -1),
            ("0 8 11 bit", -1),
            ("1 9 11 bit", 9),
            ("0 100", -1),
        ] {
            assert_eq!(
                bench.run(&format!("bitpos k {args}")),
                format!(":{expected}|"),
                "{args}"
            );
        }
        set(&mut bench, b"\xff\xff\xff");
        assert_eq!(bench.run("bitpos k 0"), ":24|");
        assert_eq!(bench.run("bitpos k 0 1"), ":24|");
        assert_eq!(bench.run("bitpos k 0 0 -1"), ":-1|");
        assert_eq!(bench.run("bitpos k 0 3"), ":-1|");
    }

    #[test]
    fn bitpos_checks_its_arguments() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("bitpos k 2"), "-ERR The bit argument must be 1 or 0.|");
        assert_eq!(bench.run("bitpos k 0 1 2 hello"), "-ERR syntax error|");
        assert_eq!(bench.run("bitpos k 0 1 2 bit 5"), "-ERR syntax error|");
        assert_eq!(
            bench.run("bitpos k 0 x"),
            "-ERR value is not an integer or out of range|"
        );
    }
}
