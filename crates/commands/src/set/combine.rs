//! SINTER, SUNION, SDIFF, their STORE forms and SINTERCARD.

use std::ops::ControlFlow;

use haypile_resp::{Request, parse_i64};
use haypile_store::row::Kind;

use super::algebra::{Visit, intersect, subtract, unite};
use super::member;
use crate::args::is;
use crate::error::SYNTAX;
use crate::spec::{READ, WRITE};
use crate::{
    Access, Collection, CommandError, Cx, Flags, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec,
};

pub(super) const SINTER: Spec = Spec {
    name: "sinter",
    summary: "Returns the members that are in all of several sets.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
    arity: -2,
    flags: READ,
    keys: Keys::ALL,
    syntax: "key [key ...]",
    handler: Handler::Data(|cx, request| reply(cx, request, Operation::Intersect)),
    ..SPEC
};

pub(super) const SINTERSTORE: Spec = Spec {
    name: "sinterstore",
    summary: "Stores the members that are in all of several sets in a key.",
    arity: -3,
    flags: WRITE,
    access: KeyAccess::FirstAndOthers(Access::UPDATE, Access::READ),
    syntax: "destination key [key ...]",
    handler: Handler::Data(|cx, request| store(cx, request, Operation::Intersect, KeyEvent::SInterStore)),
    ..SINTER
};

pub(super) const SINTERCARD: Spec = Spec {
    name: "sintercard",
    summary: "Returns the number of members that are in all of several sets.",
    since: "7.0.0",
    arity: -3,
    flags: READ.or(Flags::MOVABLEKEYS),
    keys: Keys::Counted {
        count_at: 1,
        also: None,
    },
    syntax: "numkeys key [key ...] [LIMIT limit]",
    handler: Handler::Data(sintercard),
    ..SINTER
};

pub(super) const SUNION: Spec = Spec {
    name: "sunion",
    summary: "Returns the members that are in any of several sets.",
    complexity: "O(N) where N is the total number of elements in all given sets.",
    handler: Handler::Data(|cx, request| reply(cx, request, Operation::Unite)),
    ..SINTER
};

pub(super) const SUNIONSTORE: Spec = Spec {
    name: "sunionstore",
    summary: "Stores the members that are in any of several sets in a key.",
    complexity: SUNION.complexity,
    access: KeyAccess::STORE,
    handler: Handler::Data(|cx, request| store(cx, request, Operation::Unite, KeyEvent::SUnionStore)),
    ..SINTERSTORE
};

pub(super) const SDIFF: Spec = Spec {
    name: "sdiff",
    summary: "Returns the members of the first set that are in none of the others.",
    complexity: SUNION.complexity,
    handler: Handler::Data(|cx, request| reply(cx, request, Operation::Subtract)),
    ..SINTER
};

pub(super) const SDIFFSTORE: Spec = Spec {
    name: "sdiffstore",
    summary: "Stores the members of the first set that are in none of the others in a key.",
    complexity: SUNION.complexity,
    access: KeyAccess::STORE,
    handler: Handler::Data(|cx, request| store(cx, request, Operation::Subtract, KeyEvent::SDiffStore)),
    ..SINTERSTORE
};

/// What is made of several sets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Intersect,
    Unite,
    Subtract,
}

/// Passes on the result's members. All keys are looked at first: one of another type is an error in any case.
fn combine<'r>(
    cx: &mut Cx<'_>,
    keys: impl Iterator<Item = &'r [u8]>,
    operation: Operation,
    visit: Visit<'_>,
) -> Result<(), CommandError> {
    let mut sets = Vec::new();
    for key in keys {
        sets.push(cx.collection(key, Kind::Set)?);
    }
    let there: Vec<Collection> = match operation {
        Operation::Intersect if sets.iter().any(Option::is_none) => return Ok(()),
        Operation::Subtract if sets.first().is_none_or(Option::is_none) => return Ok(()),
        _ => sets.into_iter().flatten().collect(),
    };
    if super::small::combine(cx, &there, operation, visit)? {
        return Ok(());
    }
    match operation {
        Operation::Unite => unite(cx, there, visit),
        Operation::Intersect => intersect(cx, there, visit),
        Operation::Subtract => {
            let mut sets = there.into_iter();
            match sets.next() {
                Some(first) => subtract(cx, &first, sets.collect(), visit),
                None => Ok(()),
            }
        }
    }
}

fn reply(cx: &mut Cx<'_>, request: &Request, operation: Operation) -> Outcome {
    let header = cx.reply.deferred_len();
    let mut count = 0;
    combine(cx, request.iter().skip(1), operation, &mut |cx, element| {
        cx.reply.bulk(member(element));
        count += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    cx.reply.set_deferred_set(header, count);
    Ok(())
}

fn store(cx: &mut Cx<'_>, request: &Request, operation: Operation, event: KeyEvent) -> Outcome {
    let key = &request[1];
    // The result is written while the sources are read: it is another incarnation, even where it replaces one of them.
    let mut result = cx.new_collection(key, Kind::Set, None);
    combine(cx, request.iter().skip(2), operation, &mut |cx, element| {
        cx.put_element(&mut result, element, &[])?;
        result.size += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    let size = result.size;
    result.old = cx.row(key)?.map(|row| row.header);
    let existed = result.old.is_some();
    cx.put_collection(key, &mut result)?;
    cx.reply.integer(size as i64);
    if size > 0 {
        cx.modified(event, key);
    } else if existed {
        cx.modified(KeyEvent::Del, key);
    }
    Ok(())
}

fn sintercard(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let keys = parse_i64(&request[1])
        .filter(|&n| n > 0)
        .ok_or_else(|| CommandError::reply("ERR numkeys should be greater than 0"))?;
    let keys = usize::try_from(keys)
        .ok()
        .filter(|&n| n <= request.len() - 2)
        .ok_or_else(|| CommandError::reply("ERR Number of keys can't be greater than number of args"))?;
    let (mut limit, mut i) = (0, 2 + keys);
    while i < request.len() {
        if !is(&request[i], "LIMIT") || i + 1 == request.len() {
            return Err(SYNTAX);
        }
        limit = parse_i64(&request[i + 1])
            .filter(|&n| n >= 0)
            .ok_or_else(|| CommandError::reply("ERR LIMIT can't be negative"))?;
        i += 2;
    }
    let mut count = 0;
    combine(
        cx,
        request.iter().skip(2).take(keys),
        Operation::Intersect,
        &mut |_, _| {
            count += 1;
            Ok(if count == limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        },
    )?;
    cx.reply.integer(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;
    use haypile_resp::Version;

    /// The members of a reply, in order.
    fn members(reply: &str) -> String {
        let mut members: Vec<&str> = reply.split('|').skip(2).step_by(2).collect();
        assert_eq!(reply[1..].split('|').next(), Some(members.len().to_string().as_str()));
        members.sort_unstable();
        members.join(" ")
    }

    fn sets(apply: bool) -> Bench {
        let mut bench = Bench::new();
        bench.apply = apply;
        bench.run("sadd a 1 2 3 4");
        bench.run("sadd b 3 4 5");
        bench.run("sadd c 4 5 6");
        bench
    }

    #[test]
    fn results_are_returned() {
        for apply in [true, false] {
            let mut bench = sets(apply);
            for (command, expected) in [
                ("sinter a", "1 2 3 4"),
                ("sinter a b", "3 4"),
                ("sinter a b c", "4"),
                ("sinter a a", "1 2 3 4"),
                ("sinter a none", ""),
                ("sunion a b c", "1 2 3 4 5 6"),
                ("sunion none a none a", "1 2 3 4"),
                ("sunion none", ""),
                ("sdiff a", "1 2 3 4"),
                ("sdiff a b", "1 2"),
                ("sdiff a c b", "1 2"),
                ("sdiff a none", "1 2 3 4"),
                ("sdiff none a", ""),
                ("sdiff a b a", ""),
            ] {
                assert_eq!(members(&bench.run(command)), expected, "{command}");
            }
            bench.version = Version::Resp3;
            assert_eq!(bench.run("sinter a c"), "~1|$1|4|");
            assert_eq!(bench.run("sunion none"), "~0|");
            assert!(bench.run("sdiff a b").starts_with("~2|"));
        }
    }

    #[test]
    fn results_are_stored() {
        for apply in [true, false] {
            let mut bench = sets(apply);
            for (command, reply, key, expected) in [
                ("sinterstore d a b", ":2|", "d", "3 4"),
                ("sunionstore d a b c", ":6|", "d", "1 2 3 4 5 6"),
                ("sdiffstore d a b", ":2|", "d", "1 2"),
                ("sdiffstore a a b", ":2|", "a", "1 2"),
                ("sunionstore a a a b", ":5|", "a", "1 2 3 4 5"),
                ("sinterstore c b c", ":2|", "c", "4 5"),
            ] {
                assert_eq!(bench.run(command), reply, "{command}");
                assert_eq!(members(&bench.run(&format!("smembers {key}"))), expected, "{command}");
            }
            assert_eq!(bench.run("sinterstore e a b"), ":3|");
            assert_eq!(bench.heard, ["new e", "sinterstore e"]);
            bench.run("sunionstore e a");
            assert_eq!(bench.heard, ["sunionstore e"]);
            assert_eq!(bench.run("sdiffstore e none a"), ":0|");
            assert_eq!(bench.heard, ["del e"]);
            assert_eq!(bench.run("sinterstore e none a"), ":0|");
            assert!(bench.heard.is_empty());
            bench.run("hset h f v");
            assert_eq!(bench.run("sunionstore h b"), ":3|");
            assert_eq!(members(&bench.run("smembers h")), "3 4 5");
            let counts = bench.write(|cx| cx.counts());
            assert_eq!((counts.keys, counts.expires), (5, 0));
        }
    }

    #[test]
    fn a_stored_result_does_not_expire() {
        let mut bench = sets(true);
        expire(&mut bench, b"a");
        bench.run("sunionstore a a b");
        let counts = bench.write(|cx| cx.counts());
        assert_eq!((counts.keys, counts.expires), (3, 0));
        expire(&mut bench, b"b");
        bench.now = 3_000_000;
        assert_eq!(members(&bench.run("sinter a b")), "");
        assert_eq!(bench.run("sinterstore b a a"), ":5|");
        assert_eq!(bench.heard, ["expired b", "new b", "sinterstore b"]);
        let counts = bench.write(|cx| cx.counts());
        assert_eq!((counts.keys, counts.expires), (3, 0));
    }

    fn expire(bench: &mut Bench, key: &[u8]) {
        bench.write(|cx| {
            let row = cx.row(key).unwrap().unwrap();
            cx.set_expiry(key, &row, Some(2_000_000)).unwrap();
        });
    }

    #[test]
    fn intersections_are_counted() {
        let mut bench = sets(true);
        for (args, reply) in [
            ("2 a b", ":2|"),
            ("2 a b limit 0", ":2|"),
            ("2 a b LIMIT 1", ":1|"),
            ("2 a b limit 10", ":2|"),
            ("2 a b limit 10 limit 1", ":1|"),
            ("2 a none", ":0|"),
            ("0 a", "-ERR numkeys should be greater than 0|"),
            ("a b", "-ERR numkeys should be greater than 0|"),
            ("2 a", "-ERR Number of keys can't be greater than number of args|"),
            ("1 a b", "-ERR syntax error|"),
            ("1 a limit", "-ERR syntax error|"),
            ("1 a limit -1", "-ERR LIMIT can't be negative|"),
            ("1 a limit x", "-ERR LIMIT can't be negative|"),
            ("1", "-ERR wrong number of arguments for 'sintercard' command|"),
        ] {
            assert_eq!(bench.run(&format!("sintercard {args}")), reply, "{args}");
        }
    }
}
