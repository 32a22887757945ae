//! LPOS: the positions of an element.

use haypile_resp::{Request, parse_i64};
use haypile_store::Direction;
use haypile_store::row::Kind;

use super::{element, tail};
use crate::error::{NOT_INTEGER, SYNTAX};
use crate::spec::READ;
use crate::{CommandError, Cx, Group, Handler, Keys, Outcome, SPEC, Spec, args};

pub(super) const LPOS: Spec = Spec {
    name: "lpos",
    summary: "Returns the index of matching elements in a list.",
    since: "6.0.6",
    group: Group::List,
    complexity: "O(N) where N is the number of elements in the list, for the average case. When searching for elements \
        near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant \
        time.",
    arity: -3,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
    handler: Handler::Data(lpos),
    ..SPEC
};

struct Options {
    direction: Direction,
    /// The first match that counts, from 1.
    rank: u64,
    /// Matches to reply with, 0 for all; `None` for one that is not in an array.
    count: Option<u64>,
    /// Elements to look at, 0 for all.
    look_at_max: u64,
}

impl Options {
    fn parse(request: &Request) -> Result<Self, CommandError> {
        let mut options = Options {
            direction: Direction::Forward,
            rank: 1,
            count: None,
            look_at_max: 0,
        };
        let number = |arg: &[u8], text: &'static str| {
            parse_i64(arg)
                .and_then(|n| u64::try_from(n).ok())
                .ok_or(CommandError::reply(text))
        };
        let mut at = 3;
        while at < request.len() {
            let (option, value) = (&request[at], request.get(at + 1).ok_or(SYNTAX)?);
            if args::is(option, "RANK") {
                let rank = rank(value)?;
                options.rank = rank.unsigned_abs();
                options.direction = if rank < 0 {
                    Direction::Reverse
                } else {
                    Direction::Forward
                };
            } else if args::is(option, "COUNT") {
                options.count = Some(number(value, "ERR COUNT can't be negative")?);
            } else if args::is(option, "MAXLEN") {
                options.look_at_max = number(value, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(SYNTAX);
            }
            at += 2;
        }
        Ok(options)
    }
}

fn rank(arg: &[u8]) -> Result<i64, CommandError> {
    match parse_i64(arg).ok_or(NOT_INTEGER)? {
        0 => Err(CommandError::reply(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to \
             start from the end of the list",
        )),
        i64::MIN => Err(CommandError::reply(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        rank => Ok(rank),
    }
}

fn lpos(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let options = Options::parse(request)?;
    let Some(list) = cx.collection(&request[1], Kind::List)? else {
        match options.count {
            Some(_) => cx.reply.array(0),
            None => cx.reply.null(),
        }
        return Ok(());
    };
    let looked_at = match options.look_at_max {
        0 => list.size,
        max => max.min(list.size),
    };
    let (head, tail) = (list.head, tail(&list)?);
    let indexes = match options.direction {
        Direction::Forward => head..head + looked_at,
        Direction::Reverse => tail - looked_at..tail,
    };
    let (lower, upper) = element::bounds(&indexes);
    let (mut scan, reply) = cx.scan_and_reply(&list, &lower, Some(&upper), options.direction)?;
    let place = options.count.map(|_| reply.deferred_len());
    let (mut matches, mut found) = (0, 0);
    while let Some((key, value)) = scan.next()? {
        if value != &request[2] {
            continue;
        }
        matches += 1;
        if matches < options.rank {
            continue;
        }
        reply.integer((element::index_of(key)? - head) as i64);
        found += 1;
        if found == options.count.unwrap_or(1) {
            break;
        }
    }
    match place {
        Some(place) => reply.set_deferred_array(place, found as usize),
        None if found == 0 => reply.null(),
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn matches_are_found_from_both_ends() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("rpush k a b c 1 2 3 c c");
            for (args, expected) in [
                ("a", ":0|"),
                ("c", ":2|"),
                ("x", "$-1|"),
                ("c rank 1", ":2|"),
                ("c RANK 2", ":6|"),
                ("c rank 4", "$-1|"),
                ("c rank -1", ":7|"),
                ("c rank -2", ":6|"),
                ("c count 0", "*3|:2|:6|:7|"),
                ("c count 1", "*1|:2|"),
                ("c count 2", "*2|:2|:6|"),
                ("c count 100", "*3|:2|:6|:7|"),
                ("c count 0 rank 2", "*2|:6|:7|"),
                ("c count 2 rank -1", "*2|:7|:6|"),
                ("x count 5", "*0|"),
                ("c count 0 maxlen 0", "*3|:2|:6|:7|"),
                ("c count 0 maxlen 1", "*0|"),
                ("c count 0 maxlen 3", "*1|:2|"),
                ("c count 0 maxlen 3 rank -1", "*2|:7|:6|"),
                ("c count 0 maxlen 7 rank 2", "*1|:6|"),
                ("c maxlen 100", ":2|"),
                ("c count 1 count 2", "*2|:2|:6|"),
            ] {
                assert_eq!(bench.run(&format!("lpos k {args}")), expected, "{args}");
            }
            assert_eq!(bench.run("lpos nothing a"), "$-1|");
            assert_eq!(bench.run("lpos nothing a count 1"), "*0|");
        }
    }

    #[test]
    fn options_are_checked_before_the_key_is() {
        let mut bench = Bench::new();
        let integer = "value is not an integer or out of range";
        for (args, expected) in [
            ("rank", "syntax error"),
            ("x 1", "syntax error"),
            ("count 1 x", "syntax error"),
            ("rank a", integer),
            ("count -1", "COUNT can't be negative"),
            ("count a", "COUNT can't be negative"),
            ("maxlen -1", "MAXLEN can't be negative"),
            (
                "rank 0",
                "RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to \
                 start from the end of the list",
            ),
            (
                "rank -9223372036854775808",
                "value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
        ] {
            assert_eq!(bench.run(&format!("lpos k a {args}")), format!("-ERR {expected}|"));
        }
    }
}
