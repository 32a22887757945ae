//! Counting bits.

use haypile_resp::Request;

use super::{Unit, bit_range};
use crate::args::integer;
use crate::error::SYNTAX;
use crate::spec::READ;
use crate::{Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

pub(super) const BITCOUNT: Spec = Spec {
    name: "bitcount",
    summary: "Counts the bits that are set in a string value.",
    since: "2.6.0",
    group: Group::Bitmap,
    complexity: "O(N)",
    arity: -2,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key [start:integer end:integer [BYTE|BIT]]",
    handler: Handler::Data(bitcount),
    ..SPEC
};

fn bitcount(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let range = match request.len() {
        2 => None,
        4 | 5 => Some((
            integer(&request[2])?,
            integer(&request[3])?,
            Unit::parse(request.get(4))?,
        )),
        _ => return Err(SYNTAX),
    };
    let row = cx.string(&request[1])?;
    let value = row.as_ref().map_or(&[][..], |row| row.body());
    let count = match range {
        None => ones(value),
        // The first byte would be meant by both ends.
        Some((start, end, _)) if start < 0 && end < 0 && start > end => 0,
        Some((start, end, unit)) => count(value, bit_range(start, end, unit, value.len())),
    };
    cx.reply.integer(count as i64);
    Ok(())
}

/// Ones in a range of bits that lies within the value.
fn count(value: &[u8], range: std::ops::Range<u64>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    let before = value[first] & !(0xff >> (range.start % 8));
    let after = value[last] & (0x7f >> ((range.end - 1) % 8));
    ones(&value[first..=last]) - u64::from(before.count_ones() + after.count_ones())
}

fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let of_words: u64 = words
        .iter()
        .map(|w| u64::from(u64::from_ne_bytes(*w).count_ones()))
        .sum();
    let of_rest: u64 = rest.iter().map(|b| u64::from(b.count_ones())).sum();
    of_words + of_rest
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn bits_are_counted() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("bitcount k"), ":0|");
        assert_eq!(bench.run("bitcount k 0 -1 bit"), ":0|");
        bench.run("set k foobar");
        for (range, expected) in [
            ("", 26),
            (" 0 0", 4),
            (" 1 1", 6),
            (" 0 -5", 10),
            (" 1 -1 byte", 22),
            (" 5 30 BIT", 17),
            (" 43 43 bit", 1),
            (" 44 44 bit", 0),
            (" -2 -3", 0),
            (" 0 -100", 4),
            (" 9 100", 0),
            (" -9223372036854775808 9223372036854775807 bit", 26),
        ] {
            assert_eq!(
                bench.run(&format!("bitcount k{range}")),
                format!(":{expected}|"),
                "{range}"
            );
        }
        for line in ["bitcount k 0", "bitcount k 0 1 nibble", "bitcount k 0 1 bit 3"] {
            assert_eq!(bench.run(line), "-ERR syntax error|");
        }
        assert_eq!(
            bench.run("bitcount missing a b"),
            "-ERR value is not an integer or out of range|"
        );
    }
}
