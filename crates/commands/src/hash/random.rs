//! HRANDFIELD: fields that are chosen at random.

use haypile_resp::Reply;
use haypile_store::row::Kind;

use crate::sample;
use crate::spec::READ;
use crate::{Group, Handler, Keys, Outcome, SPEC, Spec};

/// Every field has the same chance: see [`crate::sample`].
pub(super) const HRANDFIELD: Spec = Spec {
    name: "hrandfield",
    summary: "Returns random fields of a hash, with their values if asked.",
    since: "6.2.0",
    group: Group::Hash,
    complexity: "O(N) where N is the number of fields returned.",
    arity: -2,
    flags: READ,
    keys: Keys::ONE,
    syntax: "key [count [WITHVALUES]]",
    handler: Handler::Data(|cx, request| COMMAND.run(cx, request)),
    ..SPEC
};

const COMMAND: sample::Command = sample::Command {
    kind: Kind::Hash,
    with: "WITHVALUES",
    alone: field,
    pair,
    nested: |reply, field, value| {
        reply.array(2);
        pair(reply, field, value)
    },
};

fn field(reply: &mut Reply, field: &[u8], _: &[u8]) -> Outcome {
    reply.bulk(field);
    Ok(())
}

fn pair(reply: &mut Reply, field: &[u8], value: &[u8]) -> Outcome {
    reply.bulk(field);
    reply.bulk(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use crate::testing::Bench;
    use haypile_resp::{Request, Version};

    /// The bulk strings of a flat reply.
    fn bulks(reply: &str) -> Vec<&str> {
        reply.split('|').skip(2).step_by(2).collect()
    }

    fn fill(bench: &mut Bench, n: usize) {
        let mut args = vec!["hset".to_owned(), "h".to_owned()];
        for i in 0..n {
            args.extend([format!("field:{i}"), format!("value:field:{i}")]);
        }
        bench.run_args(&args);
    }

    #[test]
    fn one_field() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("hrandfield h"), "$-1|");
        assert_eq!(bench.run("hrandfield h 5"), "*0|");
        bench.run("hset h a 1");
        assert_eq!(bench.run("hrandfield h"), "$1|a|");
        assert_eq!(bench.run("hrandfield h 0"), "*0|");
        assert_eq!(bench.run("hrandfield h 5 withvalues"), "*2|$1|a|$1|1|");
        assert_eq!(bench.run("hrandfield h -2"), "*2|$1|a|$1|a|");
        bench.version = Version::Resp3;
        assert_eq!(bench.run("hrandfield h 5 withvalues"), "*1|*2|$1|a|$1|1|");
        assert_eq!(bench.run("hrandfield h -2 withvalues"), "*2|*2|$1|a|$1|1|*2|$1|a|$1|1|");
        assert_eq!(bench.run("hrandfield none"), "_|");
    }

    #[test]
    fn arguments_that_make_no_sense() {
        let mut bench = Bench::new();
        bench.run("hset h a 1");
        for (args, error) in [
            ("x", "ERR value is not an integer or out of range"),
            ("1 x", "ERR syntax error"),
            ("1 withvalues x", "ERR syntax error"),
            (
                "-9223372036854775808",
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
            ("-9223372036854770000 withvalues", "ERR value is out of range"),
            ("-9223372036854775807", "ERR value is out of range"),
        ] {
            assert_eq!(bench.run(&format!("hrandfield h {args}")), format!("-{error}|"));
        }
    }

    #[test]
    fn counts_of_all_sizes_on_hashes_of_all_sizes() {
        for size in [10, 100, 1500, 5000] {
            let mut bench = Bench::new();
            fill(&mut bench, size);
            for count in [1, 3, size / 100 + 1, size / 2, size - 1, size, size + 5] {
                let reply = bench.run(&format!("hrandfield h {count} withvalues"));
                let got = bulks(&reply);
                assert_eq!(got.len(), 2 * count.min(size), "{count} of {size}");
                let distinct: HashSet<_> = got.chunks(2).map(|pair| pair[0]).collect();
                assert_eq!(distinct.len(), count.min(size));
                assert!(got.chunks(2).all(|pair| pair[1] == format!("value:{}", pair[0])));
                let reply = bench.run(&format!("hrandfield h -{count}"));
                assert_eq!(bulks(&reply).len(), count);
            }
            assert!(bench.run("hrandfield h").contains("field:"));
        }
    }

    #[test]
    fn small_hashes_are_sampled_evenly() {
        let mut bench = Bench::new();
        fill(&mut bench, 10);
        for command in ["hrandfield h", "hrandfield h -10", "hrandfield h 3"] {
            let mut counts = HashMap::<String, f64>::new();
            let mut total = 0.0;
            while total < 3000.0 {
                let reply = bench.run(command);
                let got = if reply.starts_with('*') {
                    bulks(&reply)
                } else {
                    vec![reply.split('|').nth(1).unwrap()]
                };
                for field in got {
                    *counts.entry(field.to_owned()).or_default() += 1.0;
                    total += 1.0;
                }
            }
            let expected = total / 10.0;
            let chi_square: f64 = counts.values().map(|n| (n - expected).powi(2) / expected).sum();
            assert_eq!(counts.len(), 10);
            assert!(chi_square < 40.0, "{command}: {counts:?}");
        }
    }

    #[test]
    fn every_field_of_a_big_hash_can_come() {
        let mut bench = Bench::new();
        fill(&mut bench, 1200);
        let mut seen = HashSet::new();
        for _ in 0..150_000 {
            seen.insert(bench.run("hrandfield h"));
        }
        assert_eq!(seen.len(), 1200);
    }

    #[test]
    fn a_reply_without_bounds_is_refused() {
        let mut bench = Bench::new();
        bench.run("hset h f value");
        let outcome = bench.write(|cx| {
            cx.string_bytes_max = 100_000;
            super::COMMAND.run(cx, &Request::from_args(["hrandfield", "h", "-10000000", "withvalues"]))
        });
        let error = outcome.unwrap_err().to_string();
        assert_eq!(error, "ERR the reply is longer than proto-max-bulk-len");
    }
}
