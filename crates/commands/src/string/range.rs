//! Commands that read a part of a string.

use haypile_resp::Request;

use crate::args::integer;
use crate::spec::READ;
use crate::{Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

pub(super) const GETRANGE: Spec = Spec {
    name: "getrange",
    summary: "Returns the part of a string value between two offsets; negative ones count from its end.",
    since: "2.4.0",
    group: Group::String,
    complexity: "O(N) where N is the length of the returned string.",
    arity: 4,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key start:integer end:integer",
    handler: Handler::Data(getrange),
    ..SPEC
};

pub(super) const SUBSTR: Spec = Spec {
    name: "substr",
    summary: "Returns a part of a string value. Deprecated: GETRANGE does it too.",
    since: "1.0.0",
    ..GETRANGE
};

fn getrange(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let (start, end) = (integer(&request[2])?, integer(&request[3])?);
    let row = cx.string(&request[1])?;
    let value = row.as_ref().map_or(&[][..], |row| row.body());
    cx.reply.bulk(part(value, start, end));
    Ok(())
}

/// The bytes from `start` to `end`, both included. An end before the first byte means the first byte, unless both
/// ends are negative and in the wrong order: such is Redis.
fn part(value: &[u8], start: i64, end: i64) -> &[u8] {
    let len = value.len() as i64;
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let resolve = |n: i64| if n < 0 { n.saturating_add(len).max(0) } else { n };
    let (start, end) = (resolve(start), resolve(end).min(len - 1));
    if start > end {
        return &[];
    }
    // 0 <= start <= end < len.
    &value[start as usize..=end as usize]
}

#[cfg(test)]
mod tests {
    use super::part;
    use crate::testing::Bench;

    #[test]
    fn parts_of_a_string() {
        for (start, end, expected) in [
            (0, 3, "Hell"),
            (0, -1, "Hello World"),
            (-4, -1, "orld"),
            (5, 3, ""),
            (5, 5000, " World"),
            (-5000, 10000, "Hello World"),
            (0, -100, "H"),
            (-1, -100, ""),
            (-100, -100, "H"),
            (11, 20, ""),
            (i64::MIN, i64::MAX, "Hello World"),
            (i64::MAX, i64::MIN, ""),
        ] {
            assert_eq!(part(b"Hello World", start, end), expected.as_bytes(), "{start} {end}");
            assert_eq!(part(b"", start, end), b"");
        }
    }

    #[test]
    fn getrange_and_substr() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("getrange k 0 -1"), "$0||");
        bench.run("set k hello");
        assert_eq!(bench.run("getrange k 1 2"), "$2|el|");
        assert_eq!(bench.run("substr k -3 -2"), "$2|ll|");
        assert_eq!(
            bench.run("getrange k x 2"),
            "-ERR value is not an integer or out of range|"
        );
    }
}
