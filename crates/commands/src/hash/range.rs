//! HRANGEBYLEX: fields in the order of their names.

use haypile_resp::Request;
use haypile_store::row::Kind;
use haypile_store::{Direction, StoreError, Tier};

use crate::args::{integer, is};
use crate::error::SYNTAX;
use crate::spec::READ;
use crate::{Collection, CommandError, Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

/// Not Redis' but Apache Kvrocks', and as it is there: also in RESP3 the reply is a flat array of fields and values.
pub(super) const HRANGEBYLEX: Spec = Spec {
    name: "hrangebylex",
    summary: "Returns the fields of a hash within a range of names, with their values, in order.",
    since: "0.1.0",
    group: Group::Hash,
    complexity: "O(N+M*log(M)) with N being the number of fields in the hash, whatever the range, and M the number of fields skipped by the offset and returned.",
    arity: -4,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key min max [REV] [LIMIT offset count]",
    handler: Handler::Data(hrangebylex),
    ..SPEC
};

struct Range<'r> {
    min: Min<'r>,
    max: Max<'r>,
    reverse: bool,
    offset: u64,
    /// `None`: as many as there are.
    count: Option<u64>,
}

enum Min<'r> {
    From(&'r [u8]),
    After(&'r [u8]),
}

enum Max<'r> {
    UpTo(&'r [u8]),
    Before(&'r [u8]),
    None,
}

impl<'r> Range<'r> {
    fn parse(request: &'r Request) -> Result<Self, CommandError> {
        let (mut reverse, mut offset, mut count) = (false, 0, None);
        let mut i = 4;
        while i < request.len() {
            if is(&request[i], "REV") {
                reverse = true;
                i += 1;
            } else if is(&request[i], "LIMIT") && i + 2 < request.len() {
                // Negative numbers mean no offset and no limit.
                offset = u64::try_from(integer(&request[i + 1])?).unwrap_or(0);
                count = u64::try_from(integer(&request[i + 2])?).ok();
                i += 3;
            } else {
                return Err(SYNTAX);
            }
        }
        let (min, max) = if reverse { (3, 2) } else { (2, 3) };
        let (min, max) = (&request[min], &request[max]);
        if min == b"+" || max == b"-" {
            return Err(CommandError::reply("ERR min > max"));
        }
        let min = match min {
            b"-" => Min::From(b""),
            [b'[', field @ ..] => Min::From(field),
            [b'(', field @ ..] => Min::After(field),
            _ => return Err(CommandError::reply("ERR the min is illegal")),
        };
        let max = match max {
            b"+" => Max::None,
            [b'[', field @ ..] => Max::UpTo(field),
            [b'(', field @ ..] => Max::Before(field),
            _ => return Err(CommandError::reply("ERR the max is illegal")),
        };
        Ok(Range {
            min,
            max,
            reverse,
            offset,
            count,
        })
    }

    /// The bounds as fields: the first one, and the one after the last.
    fn bounds(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        // A field with a zero byte more is the next that there can be.
        let lower = match self.min {
            Min::From(field) => field.to_vec(),
            Min::After(field) => [field, &[0]].concat(),
        };
        let upper = match self.max {
            Max::UpTo(field) => Some([field, &[0]].concat()),
            Max::Before(field) => Some(field.to_vec()),
            Max::None => None,
        };
        (lower, upper)
    }
}

fn hrangebylex(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let range = Range::parse(request)?;
    let Some(hash) = cx.collection(&request[1], Kind::Hash)? else {
        cx.reply.array(0);
        return Ok(());
    };
    let place = cx.reply.deferred_len();
    let written = match (range.count, hash.is_packed()) {
        (Some(0), _) => 0,
        _ if range.offset >= hash.size => 0,
        (_, true) => in_order(cx, &hash, &range)?,
        (_, false) => sorted(cx, &hash, &range)?,
    };
    cx.reply.set_deferred_array(place, 2 * written);
    Ok(())
}

/// Writes the fields of a hash that has them in order; gives their number.
fn in_order(cx: &mut Cx<'_>, hash: &Collection, range: &Range<'_>) -> Result<usize, CommandError> {
    let (lower, upper) = range.bounds();
    let direction = if range.reverse {
        Direction::Reverse
    } else {
        Direction::Forward
    };
    let (mut scan, reply) = cx.scan_and_reply(hash, &lower, upper.as_deref(), direction)?;
    let (mut skip, mut written) = (range.offset, 0);
    while range.count.is_none_or(|count| written < count) {
        let Some((field, value)) = scan.next()? else { break };
        if skip > 0 {
            skip -= 1;
            continue;
        }
        reply.bulk(field);
        reply.bulk(value);
        written += 1;
    }
    Ok(written as usize)
}

/// Fields up to which a hash is looked through on the event loop: a millisecond, about. Larger ones are on the pool.
const FIELDS_AT_ONCE_MAX: u64 = 10_000;

/// The same of a hash that does not: all fields are looked at, and no more are kept than twice those that are wanted.
fn sorted(cx: &mut Cx<'_>, hash: &Collection, range: &Range<'_>) -> Result<usize, CommandError> {
    if hash.size > FIELDS_AT_ONCE_MAX && cx.view.tier() == Tier::Memory && !cx.view.is_writing() {
        return Err(StoreError::Cold.into());
    }
    let (lower, upper) = range.bounds();
    let offset = range.offset as usize;
    let wanted = range.count.map(|count| offset.saturating_add(count as usize));
    let before = |a: &Field, b: &Field| match range.reverse {
        true => b.0.cmp(&a.0),
        false => a.0.cmp(&b.0),
    };
    let mut found: Vec<Field> = Vec::new();
    let (mut scan, reply) = cx.scan_and_reply(hash, &[], None, Direction::Forward)?;
    while let Some((field, value)) = scan.next()? {
        if *field < lower[..] || upper.as_ref().is_some_and(|upper| *field >= upper[..]) {
            continue;
        }
        found.push((field.into(), value.into()));
        if let Some(wanted) = wanted
            && found.len() >= wanted.saturating_mul(2)
        {
            found.select_nth_unstable_by(wanted, before);
            found.truncate(wanted);
        }
    }
    found.sort_unstable_by(before);
    let end = wanted.map_or(found.len(), |wanted| wanted.min(found.len()));
    let written = found.get(offset..end).unwrap_or_default();
    for (field, value) in written {
        reply.bulk(field);
        reply.bulk(value);
    }
    Ok(written.len())
}

/// A field and its value.
type Field = (Box<[u8]>, Box<[u8]>);

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn a_large_hash_is_looked_through_on_the_pool() {
        let mut bench = Bench::new();
        let mut args = vec!["hset".to_owned(), "h".to_owned()];
        for n in 0..=super::FIELDS_AT_ONCE_MAX {
            args.extend([format!("{n:05}"), format!("v{n:05}")]);
        }
        bench.run_args(&args);
        let range = "hrangebylex h [05 + limit 1 2";
        assert_eq!(fields(&mut bench, range), "05001 05002");
        bench.tier = haypile_store::Tier::Memory;
        assert!(bench.run(range).starts_with("-"), "the event loop is not held");
        bench.run("hdel h 00000");
        assert_eq!(fields(&mut bench, range), "05001 05002");
    }

    /// The fields of a reply, without values.
    fn fields(bench: &mut Bench, command: &str) -> String {
        let reply = bench.run(command);
        let parts: Vec<&str> = reply.split('|').collect();
        assert!(parts[0].starts_with('*'), "{command}: {reply}");
        parts[1..]
            .chunks_exact(4)
            .map(|pair| {
                assert_eq!(pair[3], format!("v{}", pair[1]));
                pair[1]
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn ranges_of_fields() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run("hset h a va b vb c vc d vd e ve aa vaa");
            bench.run("hset i x vx");
            for (range, expected) in [
                ("- +", "a aa b c d e"),
                ("[b [d", "b c d"),
                ("(b (d", "c"),
                ("(a [b", "aa b"),
                ("[a (a", ""),
                ("[d [b", ""),
                ("(e +", ""),
                ("- (a", ""),
                ("[ [b", "a aa b"),
                ("+ - rev", "e d c b aa a"),
                ("[d (b rev", "d c"),
                ("(d [b REV", "c b"),
                ("- + limit 1 2", "aa b"),
                ("- + limit 4 10", "d e"),
                ("- + limit 6 10", ""),
                ("- + limit 0 0", ""),
                ("- + limit -1 -1", "a aa b c d e"),
                ("- + limit 2 -1", "b c d e"),
                ("+ - rev limit 1 2", "d c"),
                ("+ - limit 1 2 rev", "d c"),
            ] {
                assert_eq!(
                    fields(&mut bench, &format!("hrangebylex h {range}")),
                    expected,
                    "{range}"
                );
            }
            assert_eq!(bench.run("hrangebylex none - +"), "*0|");
        }
    }

    #[test]
    fn what_is_not_a_range() {
        let mut bench = Bench::new();
        bench.run("hset h a 1");
        for (range, error) in [
            ("+ -", "-ERR min > max|"),
            ("- + rev", "-ERR min > max|"),
            ("a +", "-ERR the min is illegal|"),
            ("- b", "-ERR the max is illegal|"),
            (" +", "-ERR the min is illegal|"),
            ("- + limit 1", "-ERR syntax error|"),
            ("- + foo", "-ERR syntax error|"),
            ("- + limit a b", "-ERR value is not an integer or out of range|"),
        ] {
            assert_eq!(bench.run(&format!("hrangebylex h {range}")), error, "{range}");
        }
    }
}
