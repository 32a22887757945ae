//! SRANDMEMBER: members that are chosen at random and stay.

use haypile_resp::{Reply, Request};
use haypile_store::row::Kind;

use crate::error::SYNTAX;
use crate::sample;
use crate::spec::READ;
use crate::{Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

/// Every member has the same chance: see [`crate::sample`].
pub(super) const SRANDMEMBER: Spec = Spec {
    name: "srandmember",
    summary: "Returns random members of a set.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
    arity: -2,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key [count]",
    handler: Handler::Data(srandmember),
    ..SPEC
};

fn srandmember(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    if request.len() == 2 {
        return match cx.find(&request[1], Kind::Set)? {
            Some(set) => sample::one(cx, &set, member),
            None => {
                cx.reply.null();
                Ok(())
            }
        };
    }
    if request.len() > 3 {
        return Err(SYNTAX);
    }
    let count = sample::parse_count(&request[2])?;
    let set = match cx.find(&request[1], Kind::Set)? {
        Some(set) if count != 0 => set,
        _ => {
            cx.reply.array(0);
            return Ok(());
        }
    };
    sample::some(cx, &set, count, 1, member)
}

fn member(reply: &mut Reply, member: &[u8], _: &[u8]) -> Outcome {
    reply.bulk(member);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use crate::testing::Bench;
    use haypile_resp::Version;

    fn bulks(reply: &str) -> Vec<&str> {
        reply.split('|').skip(2).step_by(2).collect()
    }

    #[test]
    fn one_member() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("srandmember s"), "$-1|");
        assert_eq!(bench.run("srandmember s 3"), "*0|");
        bench.run("sadd s a");
        assert_eq!(bench.run("srandmember s"), "$1|a|");
        assert_eq!(bench.run("srandmember s 0"), "*0|");
        assert_eq!(bench.run("srandmember s 3"), "*1|$1|a|");
        assert_eq!(bench.run("srandmember s -3"), "*3|$1|a|$1|a|$1|a|");
        assert_eq!(bench.run("srandmember s 1 2"), "-ERR syntax error|");
        assert_eq!(
            bench.run("srandmember s x"),
            "-ERR value is not an integer or out of range|"
        );
        assert!(
            bench
                .run("srandmember s -9223372036854775808")
                .contains("value is out of range")
        );
        bench.run("sadd s a");
        assert_eq!(
            bench.run("srandmember s -9223372036854775807"),
            "-ERR value is out of range|"
        );
        bench.version = Version::Resp3;
        assert_eq!(bench.run("srandmember none"), "_|");
        assert_eq!(bench.run("srandmember s 3"), "*1|$1|a|");
    }

    #[test]
    fn counts_of_all_sizes_on_sets_of_all_sizes() {
        for (size, apply) in [(10, true), (100, false), (1500, true), (5000, false)] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.fill_set("s", size);
            for count in [1, 3, size / 100 + 1, size / 2, size - 1, size, size + 5] {
                let reply = bench.run(&format!("srandmember s {count}"));
                let got = bulks(&reply);
                assert_eq!(got.len(), count.min(size));
                assert_eq!(got.iter().collect::<HashSet<_>>().len(), got.len());
                assert!(got.iter().all(|n| n.parse::<usize>().unwrap() < size));
                let reply = bench.run(&format!("srandmember s -{count}"));
                assert_eq!(bulks(&reply).len(), count);
            }
        }
    }

    /// For the sets that Redis' own tests use.
    #[test]
    fn small_sets_are_sampled_evenly() {
        for (size, command, bound) in [
            (10, "srandmember s -1000", 40.0),
            (10, "srandmember s 8", 40.0),
            (10, "srandmember s 2", 40.0),
            (10, "srandmember s", 40.0),
            (30, "srandmember s 10", 73.0),
        ] {
            let mut bench = Bench::new();
            bench.fill_set("s", size);
            let mut counts = HashMap::<String, f64>::new();
            let mut total = 0.0;
            while total < 3000.0 {
                let reply = bench.run(command);
                let skip = if reply.starts_with('*') { 2 } else { 1 };
                for got in reply.split('|').skip(skip).step_by(2).filter(|got| !got.is_empty()) {
                    *counts.entry(got.to_owned()).or_default() += 1.0;
                    total += 1.0;
                }
            }
            let expected = total / size as f64;
            let chi_square: f64 = counts.values().map(|n| (n - expected).powi(2) / expected).sum();
            assert_eq!(counts.len(), size);
            assert!(chi_square < bound, "{command}: {counts:?}");
        }
    }

    /// Each member of a big set comes, and none comes far more often than the others.
    #[test]
    fn big_sets_are_sampled_nearly_evenly() {
        let mut bench = Bench::new();
        bench.fill_set("s", 2000);
        let mut counts = HashMap::<String, u32>::new();
        for _ in 0..40_000 {
            *counts.entry(bench.run("srandmember s")).or_default() += 1;
        }
        assert_eq!(counts.len(), 2000);
        assert!(counts.values().all(|&n| n < 80));
    }
}
