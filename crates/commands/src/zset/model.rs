//! Random commands against a sorted set and against the simplest thing that behaves like one.

use std::collections::BTreeMap;

use haypile_resp::format_double;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::testing::Bench;

const MEMBERS: [&str; 12] = [
    "",
    "a",
    "aa",
    "ab",
    "b",
    "ba",
    "c",
    "c\0",
    "d",
    "\u{ff}",
    "longer than the others",
    "z",
];

#[derive(Clone, Debug)]
enum Step {
    Add {
        option: &'static str,
        ch: bool,
        pairs: Vec<(f64, usize)>,
    },
    Increment(f64, usize),
    Remove(Vec<usize>),
    Pop {
        max: bool,
        count: u64,
    },
    RemoveByRank(i64, i64),
    RemoveByScore(Bound, Bound),
    RemoveByLex(usize, bool, usize, bool),
    /// Applies what is pending.
    Flush,
    Look {
        start: i64,
        end: i64,
        low: Bound,
        high: Bound,
        lex: (usize, bool, usize, bool),
        offset: i64,
        limit: i64,
    },
}

type Bound = (f64, bool);

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-3i32..4).prop_map(f64::from),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(0.1),
        1 => Just(-1e300),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let member = || 0..MEMBERS.len();
    let bound = || (score(), any::<bool>());
    let lex = (member(), any::<bool>(), member(), any::<bool>());
    let option = prop_oneof![3 => Just(""), 1 => Just("NX"), 1 => Just("XX"), 1 => Just("GT"), 1 => Just("LT")];
    prop_oneof![
        6 => (option, any::<bool>(), prop::collection::vec((score(), member()), 1..6))
            .prop_map(|(option, ch, pairs)| Step::Add { option, ch, pairs }),
        2 => ((-3i32..4).prop_map(f64::from), member()).prop_map(|(by, member)| Step::Increment(by, member)),
        2 => prop::collection::vec(member(), 1..4).prop_map(Step::Remove),
        2 => (any::<bool>(), 0..4u64).prop_map(|(max, count)| Step::Pop { max, count }),
        1 => (-5..12i64, -12..5i64).prop_map(|(a, b)| Step::RemoveByRank(a, b)),
        1 => (bound(), bound()).prop_map(|(a, b)| Step::RemoveByScore(a, b)),
        1 => lex.clone().prop_map(|(a, b, c, d)| Step::RemoveByLex(a, b, c, d)),
        2 => Just(Step::Flush),
        6 => (-14..14i64, -14..14i64, bound(), bound(), lex, -1..4i64, -1..5i64).prop_map(
            |(start, end, low, high, lex, offset, limit)| Step::Look { start, end, low, high, lex, offset, limit }
        ),
    ]
}

#[derive(Default)]
struct Model(BTreeMap<&'static str, f64>);

impl Model {
    fn sorted(&self) -> Vec<(&'static str, f64)> {
        let mut all: Vec<_> = self.0.iter().map(|(m, s)| (*m, *s)).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.as_bytes().cmp(b.0.as_bytes())));
        all
    }

    fn drop_all(&mut self, found: &[(&'static str, f64)]) -> String {
        self.0
            .retain(|member, _| found.iter().all(|(other, _)| other != member));
        format!(":{}|", found.len())
    }

    fn by_rank(&self, start: i64, end: i64) -> Vec<(&'static str, f64)> {
        let all = self.sorted();
        let len = all.len() as i64;
        let at = |n: i64| if n < 0 { n + len } else { n };
        let wanted = |i: &usize| (at(start)..=at(end)).contains(&(*i as i64));
        (0..all.len()).filter(wanted).map(|i| all[i]).collect()
    }

    fn by_score(&self, low: Bound, high: Bound) -> Vec<(&'static str, f64)> {
        let above = |s: f64| if low.1 { s > low.0 } else { s >= low.0 };
        let below = |s: f64| if high.1 { s < high.0 } else { s <= high.0 };
        self.sorted()
            .into_iter()
            .filter(|(_, s)| above(*s) && below(*s))
            .collect()
    }

    fn by_lex(&self, (low, low_ex, high, high_ex): (usize, bool, usize, bool)) -> Vec<(&'static str, f64)> {
        let (low, high) = (MEMBERS[low].as_bytes(), MEMBERS[high].as_bytes());
        let within =
            |m: &[u8]| (if low_ex { m > low } else { m >= low }) && (if high_ex { m < high } else { m <= high });
        self.sorted()
            .into_iter()
            .filter(|(m, _)| within(m.as_bytes()))
            .collect()
    }

    fn add(&mut self, option: &str, ch: bool, pairs: &[(f64, usize)]) -> String {
        let (mut added, mut changed) = (0, 0);
        for &(score, member) in pairs {
            match (self.0.get(MEMBERS[member]).copied(), option) {
                (None, "XX") | (Some(_), "NX") => continue,
                (Some(old), "GT") if score <= old => continue,
                (Some(old), "LT") if score >= old => continue,
                (None, _) => added += 1,
                (Some(old), _) if old != score => changed += 1,
                _ => {}
            }
            self.0.insert(MEMBERS[member], score);
        }
        format!(":{}|", if ch { added + changed } else { added })
    }
}

fn bulk(text: &str) -> String {
    format!("${}|{text}|", text.len())
}

fn array(found: &[(&str, f64)], with_scores: bool) -> String {
    let mut out = format!("*{}|", found.len() * if with_scores { 2 } else { 1 });
    for (member, score) in found {
        out += &bulk(member);
        if with_scores {
            out += &bulk(&format_double(*score));
        }
    }
    out
}

fn bound(bound: Bound) -> String {
    format!("{}{}", if bound.1 { "(" } else { "" }, format_double(bound.0))
}

fn lex_bound(member: usize, exclusive: bool) -> String {
    format!("{}{}", if exclusive { "(" } else { "[" }, MEMBERS[member])
}

fn reversed<'m>(found: &[(&'m str, f64)]) -> Vec<(&'m str, f64)> {
    found.iter().rev().copied().collect()
}

fn limited<'m>(found: &[(&'m str, f64)], offset: i64, limit: i64) -> Vec<(&'m str, f64)> {
    let Ok(offset) = usize::try_from(offset) else {
        return Vec::new();
    };
    found
        .iter()
        .copied()
        .skip(offset)
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .collect()
}

fn check(bench: &mut Bench, args: &[&str], expected: &str) {
    assert_eq!(bench.run_args(args), expected, "{args:?}");
}

fn take(bench: &mut Bench, model: &mut Model, step: &Step) {
    match step {
        Step::Add { option, ch, pairs } => {
            let mut args = vec!["zadd".to_owned(), "z".to_owned()];
            args.extend((!option.is_empty()).then(|| (*option).to_owned()));
            args.extend(ch.then(|| "CH".to_owned()));
            for (score, member) in pairs {
                args.extend([format_double(*score).to_string(), MEMBERS[*member].to_owned()]);
            }
            assert_eq!(bench.run_args(&args), model.add(option, *ch, pairs), "{args:?}");
        }
        Step::Increment(by, member) => {
            let new = model.0.get(MEMBERS[*member]).unwrap_or(&0.0) + by;
            model.0.insert(MEMBERS[*member], new);
            check(
                bench,
                &["zincrby", "z", &by.to_string(), MEMBERS[*member]],
                &bulk(&format_double(new)),
            );
        }
        Step::Remove(members) => {
            let removed = members
                .iter()
                .filter(|m| model.0.remove(MEMBERS[**m]).is_some())
                .count();
            let mut args = vec!["zrem", "z"];
            args.extend(members.iter().map(|m| MEMBERS[*m]));
            check(bench, &args, &format!(":{removed}|"));
        }
        Step::Pop { max, count } => {
            let all = if *max {
                reversed(&model.sorted())
            } else {
                model.sorted()
            };
            let popped = limited(&all, 0, *count as i64);
            model.drop_all(&popped);
            let name = if *max { "zpopmax" } else { "zpopmin" };
            check(bench, &[name, "z", &count.to_string()], &array(&popped, true));
        }
        Step::RemoveByRank(start, end) => {
            let expected = model.drop_all(&model.by_rank(*start, *end));
            check(
                bench,
                &["zremrangebyrank", "z", &start.to_string(), &end.to_string()],
                &expected,
            );
        }
        Step::RemoveByScore(low, high) => {
            let expected = model.drop_all(&model.by_score(*low, *high));
            check(
                bench,
                &["zremrangebyscore", "z", &bound(*low), &bound(*high)],
                &expected,
            );
        }
        Step::RemoveByLex(low, low_ex, high, high_ex) => {
            let expected = model.drop_all(&model.by_lex((*low, *low_ex, *high, *high_ex)));
            let (low, high) = (lex_bound(*low, *low_ex), lex_bound(*high, *high_ex));
            check(bench, &["zremrangebylex", "z", &low, &high], &expected);
        }
        Step::Flush => bench.flush(),
        Step::Look {
            start,
            end,
            low,
            high,
            lex,
            offset,
            limit,
        } => {
            let found = model.by_rank(*start, *end);
            let (start, end) = (start.to_string(), end.to_string());
            check(
                bench,
                &["zrange", "z", &start, &end, "withscores"],
                &array(&found, true),
            );
            let mirrored = Model(model.sorted().iter().map(|(m, s)| (*m, -s)).collect());
            let all = reversed(&model.sorted());
            let ranks: Vec<_> = mirrored.by_rank(start.parse().unwrap(), end.parse().unwrap());
            let from = mirrored
                .sorted()
                .iter()
                .position(|m| Some(m) == ranks.first())
                .unwrap_or(0);
            check(
                bench,
                &["zrevrange", "z", &start, &end],
                &array(&all[from..from + ranks.len()], false),
            );

            let found = model.by_score(*low, *high);
            let (low, high) = (bound(*low), bound(*high));
            let (skip, most) = (offset.to_string(), limit.to_string());
            check(bench, &["zcount", "z", &low, &high], &format!(":{}|", found.len()));
            let expected = array(&limited(&found, *offset, *limit), true);
            check(
                bench,
                &["zrangebyscore", "z", &low, &high, "withscores", "limit", &skip, &most],
                &expected,
            );
            let expected = array(&limited(&reversed(&found), *offset, *limit), false);
            check(
                bench,
                &["zrange", "z", &high, &low, "byscore", "rev", "limit", &skip, &most],
                &expected,
            );

            let found = model.by_lex(*lex);
            let (low, high) = (lex_bound(lex.0, lex.1), lex_bound(lex.2, lex.3));
            check(bench, &["zlexcount", "z", &low, &high], &format!(":{}|", found.len()));
            let expected = array(&limited(&found, *offset, *limit), false);
            check(
                bench,
                &["zrangebylex", "z", &low, &high, "limit", &skip, &most],
                &expected,
            );
            let expected = array(&limited(&reversed(&found), *offset, *limit), false);
            check(
                bench,
                &["zrevrangebylex", "z", &high, &low, "limit", &skip, &most],
                &expected,
            );

            let all = model.sorted();
            check(bench, &["zcard", "z"], &format!(":{}|", all.len()));
            for (rank, (member, score)) in all.iter().enumerate() {
                check(bench, &["zrank", "z", member], &format!(":{rank}|"));
                check(bench, &["zscore", "z", member], &bulk(&format_double(*score)));
            }
            check(bench, &["zunionstore", "copy", "1", "z"], &format!(":{}|", all.len()));
            check(bench, &["zrange", "copy", "0", "-1", "withscores"], &array(&all, true));
            check(bench, &["zdiff", "2", "z", "copy"], "*0|");
            check(bench, &["zintercard", "2", "z", "copy"], &format!(":{}|", all.len()));
        }
    }
}

#[test]
fn commands_do_what_the_model_does() {
    let bench = std::cell::RefCell::new(Bench::new());
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let cases = (prop::collection::vec(step(), 1..40), any::<bool>());
    let outcome = runner.run(&cases, |(steps, apply)| {
        // A store takes longer to open than a case to run, so all cases share one.
        let mut bench = bench.borrow_mut();
        bench.flush();
        bench.apply = apply;
        bench.run("zremrangebyrank z 0 -1");
        bench.run("zremrangebyrank copy 0 -1");
        let mut model = Model::default();
        steps.iter().for_each(|step| take(&mut bench, &mut model, step));
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
}
