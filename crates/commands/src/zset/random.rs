//! ZRANDMEMBER: members that are chosen at random.

use haypile_resp::Reply;
use haypile_store::row::Kind;

use super::layout::parse_score;
use crate::sample;
use crate::spec::READ;
use crate::{Group, Handler, Keys, Outcome, SPEC, Spec};

/// Every member has the same chance: see [`crate::sample`].
pub(super) const ZRANDMEMBER: Spec = Spec {
    name: "zrandmember",
    summary: "Returns random members of a sorted set.",
    since: "6.2.0",
    group: Group::SortedSet,
    complexity: "O(N) where N is the number of elements returned",
    arity: -2,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key [count [WITHSCORES]]",
    handler: Handler::Data(|cx, request| COMMAND.run(cx, request)),
    ..SPEC
};

const COMMAND: sample::Command = sample::Command {
    kind: Kind::Zset,
    with: "WITHSCORES",
    alone: member,
    pair: member_and_score,
    nested: |reply, member, score| {
        reply.array(2);
        member_and_score(reply, member, score)
    },
};

fn member(reply: &mut Reply, member: &[u8], _: &[u8]) -> Outcome {
    reply.bulk(member);
    Ok(())
}

fn member_and_score(reply: &mut Reply, member: &[u8], score: &[u8]) -> Outcome {
    reply.bulk(member);
    reply.double(parse_score(score)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use haypile_resp::Version;

    use crate::testing::Bench;

    fn fill(bench: &mut Bench, n: usize) {
        for chunk in (0..n).collect::<Vec<_>>().chunks(1000) {
            let pairs: Vec<String> = chunk.iter().map(|i| format!("{i} m{i}")).collect();
            bench.run(&format!("zadd z {}", pairs.join(" ")));
        }
    }

    /// The bulk strings of a flat array in RESP2.
    fn members(reply: &str) -> Vec<String> {
        reply.split('|').skip(2).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn counts_say_how_many_and_whether_they_repeat() {
        for (n, apply) in [(10, true), (10, false), (500, true), (20_000, true)] {
            let mut bench = Bench::new();
            bench.apply = apply;
            fill(&mut bench, n);
            for count in [0, 1, 5, n / 2, n - 1, n, n + 5] {
                let mut found = members(&bench.run(&format!("zrandmember z {count}")));
                assert_eq!(found.len(), count.min(n));
                found.sort();
                found.dedup();
                assert_eq!(found.len(), count.min(n), "{count} of {n}");
            }
            for count in [1, 5, 700] {
                let reply = bench.run(&format!("zrandmember z -{count} withscores"));
                let found = members(&reply);
                assert_eq!(found.len(), 2 * count);
                assert!(
                    found.chunks(2).all(|pair| pair[0] == format!("m{}", pair[1])),
                    "{reply}"
                );
            }
        }
    }

    #[test]
    fn replies_of_zrandmember() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("zrandmember z"), "$-1|");
        assert_eq!(bench.run("zrandmember z 3"), "*0|");
        bench.run("zadd z 1.5 a");
        assert_eq!(bench.run("zrandmember z"), "$1|a|");
        assert_eq!(bench.run("zrandmember z 0"), "*0|");
        assert_eq!(bench.run("zrandmember z 3 withscores"), "*2|$1|a|$3|1.5|");
        bench.version = Version::Resp3;
        assert_eq!(
            bench.run("zrandmember z -2 withscores"),
            "*2|*2|$1|a|,1.5|*2|$1|a|,1.5|"
        );
        for (line, text) in [
            ("zrandmember z x", "ERR value is not an integer or out of range"),
            ("zrandmember z 1 scores", "ERR syntax error"),
            ("zrandmember z 1 withscores x", "ERR syntax error"),
            (
                "zrandmember z -9223372036854770000 withscores",
                "ERR value is out of range",
            ),
            (
                "zrandmember z -9223372036854775808",
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
            ("zrandmember z -9223372036854775807", "ERR value is out of range"),
        ] {
            assert_eq!(bench.run(line), format!("-{text}|"), "{line}");
        }
    }

    #[test]
    fn members_are_alike_in_their_chances() {
        // With 99 degrees of freedom, 180 is exceeded once in a million runs; the seed is fixed anyway.
        let mut bench = Bench::new();
        fill(&mut bench, 100);
        for count in ["", " 1", " 5", " 50", " -10"] {
            let (mut times, mut total) = (HashMap::new(), 0.0);
            while total < 10_000.0 {
                let reply = bench.run(&format!("zrandmember z{count}"));
                let found = if count.is_empty() { vec![reply] } else { members(&reply) };
                total += found.len() as f64;
                found
                    .into_iter()
                    .for_each(|member| *times.entry(member).or_insert(0.0) += 1.0);
            }
            let expected = total / 100.0;
            let chi: f64 = times.values().map(|n: &f64| (n - expected).powi(2) / expected).sum();
            assert!(
                times.len() == 100 && chi < 180.0,
                "zrandmember{count}: {} {chi}",
                times.len()
            );
        }
    }

    #[test]
    fn jumps_reach_every_member() {
        let mut bench = Bench::new();
        fill(&mut bench, 300);
        let seen: std::collections::HashSet<String> = (0..6000).map(|_| bench.run("zrandmember z")).collect();
        assert!(seen.len() > 290, "{}", seen.len());
    }
}
