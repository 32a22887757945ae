//! Every element has the same chance: chi-square tests on fixed seeds.

use std::collections::HashMap;

use haypile_resp::Request;
use haypile_resp::client::{Value, decode};

use crate::PackedLimits;
use crate::testing::Bench;

/// How elements are called.
#[derive(Clone, Copy, Debug)]
enum Names {
    /// `user:000000001:name`, which differ in the middle.
    Shared,
    /// `1`, `2`, ... as decimal numbers.
    Numbers,
    /// Eight bytes of no pattern.
    Bytes,
    /// Most begin alike, and some with other letters: what a descent over ordered names cannot cope with.
    Skewed,
}

const NAMES: [Names; 4] = [Names::Shared, Names::Numbers, Names::Bytes, Names::Skewed];

impl Names {
    fn nth(self, n: usize) -> Vec<u8> {
        match self {
            Names::Shared => format!("user:{n:09}:name").into_bytes(),
            Names::Numbers => n.to_string().into_bytes(),
            // An odd factor makes another number of each.
            Names::Bytes => (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes().to_vec(),
            Names::Skewed if n.is_multiple_of(50) => {
                format!("{}{n}", (b'A' + (n / 50 % 26) as u8) as char).into_bytes()
            }
            Names::Skewed => format!("session:{n}").into_bytes(),
        }
    }
}

/// The hash `h`, set `s` or sorted set `z` with these elements, of which none is packed.
fn filled(kind: char, names: impl Iterator<Item = Vec<u8>>) -> Bench {
    let mut bench = Bench::with_memory(64 << 20, 16 << 20);
    bench.limits = PackedLimits::NONE;
    add(&mut bench, kind, names);
    bench
}

fn add(bench: &mut Bench, kind: char, names: impl Iterator<Item = Vec<u8>>) {
    let names: Vec<Vec<u8>> = names.collect();
    for some in names.chunks(1000) {
        let key = kind.to_string().into_bytes();
        let mut args = match kind {
            'h' => vec![b"hset".to_vec(), key],
            's' => vec![b"sadd".to_vec(), key],
            _ => vec![b"zadd".to_vec(), key],
        };
        for name in some {
            match kind {
                'h' => args.extend([name.clone(), b"value".to_vec()]),
                's' => args.push(name.clone()),
                _ => args.extend([name.len().to_string().into_bytes(), name.clone()]),
            }
        }
        bench.run_args(&args);
    }
    bench.flush();
}

/// The elements of a reply.
fn ask(bench: &mut Bench, command: &str) -> Vec<Vec<u8>> {
    let reply = bench.raw(&Request::from_args(command.split(' ').collect::<Vec<_>>()));
    match decode(&reply).unwrap().unwrap().0 {
        Value::Bulk(one) => vec![one],
        other => {
            let elements = other.as_elements().unwrap();
            elements.iter().map(|e| e.as_bytes().unwrap().to_vec()).collect()
        }
    }
}

/// How far counts are from being equal, in standard deviations of the chi-square distribution: above 5 once in a million seeds.
fn deviation(counts: impl Iterator<Item = f64>, elements: usize, total: f64) -> f64 {
    let expected = total / elements as f64;
    let (mut seen, mut sum) = (0, 0.0);
    for count in counts {
        seen += 1;
        sum += (count - expected).powi(2) / expected;
    }
    sum += (elements - seen) as f64 * expected;
    let freedom = (elements - 1) as f64;
    (sum - freedom) / (2.0 * freedom).sqrt()
}

const DEVIATION_MAX: f64 = 5.0;

/// Draws until each element should have come `times` times.
fn check(bench: &mut Bench, command: &str, elements: usize, times: usize) {
    let mut counts = HashMap::<Vec<u8>, f64>::new();
    let mut total = 0;
    while total < elements * times {
        let drawn = ask(bench, command);
        total += drawn.len();
        drawn
            .into_iter()
            .for_each(|name| *counts.entry(name).or_default() += 1.0);
    }
    let deviation = deviation(counts.values().copied(), elements, total as f64);
    assert!(
        deviation < DEVIATION_MAX,
        "{command} of {elements}: {deviation}, {} came",
        counts.len()
    );
}

/// Also where half of what there was has been removed.
#[test]
fn every_element_has_the_same_chance() {
    for (kind, command, remove) in [
        ('h', "hrandfield h", "hdel"),
        ('s', "srandmember s", "srem"),
        ('z', "zrandmember z", "zrem"),
    ] {
        for (seed, names) in NAMES.into_iter().enumerate() {
            for size in [100, 600, 3000] {
                let mut bench = filled(kind, (0..size).map(|n| names.nth(n)));
                bench.seed(seed as u64 + 1);
                check(&mut bench, command, size, 12);
                check(&mut bench, &format!("{command} -20"), size, 12);
                check(&mut bench, &format!("{command} {}", size / 100), size, 12);
                check(&mut bench, &format!("{command} {}", size / 3), size, 12);
                for n in (0..size).step_by(2) {
                    bench.run_args(&[remove.as_bytes(), kind.to_string().as_bytes(), &names.nth(n)]);
                }
                bench.settle();
                check(&mut bench, command, size / 2, 12);
            }
        }
    }
}

#[test]
fn so_it_is_in_large_collections() {
    for (kind, command) in [('h', "hrandfield h"), ('s', "srandmember s"), ('z', "zrandmember z")] {
        let (size, names) = (100_000, Names::Skewed);
        let mut bench = filled(kind, (0..size).map(|n| names.nth(n)));
        bench.settle();
        check(&mut bench, &format!("{command} -1000"), size, 2);
        check(&mut bench, &format!("{command} 1000"), size, 2);
    }
}

/// So often that a bucket's elements would be seen to come too often or too seldom because it has more or fewer than others.
#[test]
fn so_it_is_in_full_and_in_nearly_empty_buckets() {
    let (size, names) = (8_000, Names::Numbers);
    let mut bench = filled('s', (0..size).map(|n| names.nth(n)));
    bench.settle();
    for command in [
        "srandmember s 2",
        "srandmember s 40",
        "srandmember s 400",
        "srandmember s -400",
    ] {
        check(&mut bench, command, size, 150);
    }
}

/// Of those that may repeat each is drawn among all, whatever came before it.
#[test]
fn elements_repeat_as_often_as_they_should() {
    let size = 2_000;
    let mut bench = filled('s', (0..size).map(|n| Names::Numbers.nth(n)));
    bench.settle();
    let (count, rounds) = (120, 2_000);
    let mut repeated = 0;
    let mut at_the_ends = HashMap::<Vec<u8>, f64>::new();
    for _ in 0..rounds {
        let drawn = ask(&mut bench, &format!("srandmember s -{count}"));
        assert_eq!(drawn.len(), count);
        let different: std::collections::HashSet<_> = drawn.iter().collect();
        repeated += count - different.len();
        for end in [&drawn[0], &drawn[count - 1]] {
            *at_the_ends.entry(end.clone()).or_default() += 1.0;
        }
    }
    let never_drawn = (1.0 - 1.0 / size as f64).powi(count as i32);
    let expected = rounds as f64 * (count as f64 - size as f64 * (1.0 - never_drawn));
    let distance = (repeated as f64 - expected).abs();
    assert!(distance < DEVIATION_MAX * expected.sqrt(), "{repeated}, not {expected}");
    let deviation = deviation(at_the_ends.values().copied(), size, 2.0 * rounds as f64);
    assert!(deviation < DEVIATION_MAX, "{deviation}");
}

/// Whoever goes through a set and removes what comes leaves the others on a part of the numbers.
#[test]
fn elements_that_stand_on_a_part_of_the_numbers_have_the_same_chance() {
    for kept in [2000, 500, 130] {
        let mut bench = filled('s', (0..4000).map(|n| Names::Numbers.nth(n)));
        let in_order = ask(&mut bench, "smembers s");
        for member in &in_order[..4000 - kept] {
            bench.run_args(&[b"srem", &b"s"[..], member]);
        }
        check(&mut bench, "srandmember s", kept, 20);
    }
}

/// However unevenly elements stand, all can come.
#[test]
fn no_element_is_out_of_reach() {
    let mut bench = filled('s', (0..4000).map(|n| Names::Numbers.nth(n)));
    let in_order = ask(&mut bench, "smembers s");
    for (i, member) in in_order.iter().enumerate() {
        if i % 1000 > 70 {
            bench.run_args(&[b"srem", &b"s"[..], member]);
        }
    }
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20_000 {
        seen.extend(ask(&mut bench, "srandmember s"));
    }
    assert_eq!(seen.len(), 284);
}

/// SPOP until a set is empty: each member is as likely as any other to go in the first, second, ... tenth of all.
#[test]
fn spop_takes_every_member_with_the_same_chance() {
    for (size, rounds, apply) in [(600, 60, true), (2500, 30, true), (2500, 30, false)] {
        let mut counts = HashMap::<(Vec<u8>, usize), f64>::new();
        for round in 0..rounds {
            let mut bench = filled('s', (0..size).map(|n| Names::Shared.nth(n)));
            (bench.apply, bench.version) = (apply, haypile_resp::Version::Resp2);
            bench.seed(round as u64 + 1);
            for place in 0..size {
                let member = ask(&mut bench, "spop s").remove(0);
                *counts.entry((member, place * 10 / size)).or_default() += 1.0;
            }
            assert_eq!(bench.run("exists s"), ":0|");
        }
        let deviation = deviation(counts.values().copied(), size * 10, (size * rounds) as f64);
        assert!(deviation < DEVIATION_MAX, "{size}: {deviation}");
    }
}

/// Members that are taken and put back come as often as those that have not come for long.
#[test]
fn spop_has_no_memory() {
    for size in [600, 3000] {
        let mut bench = filled('s', (0..size).map(|n| Names::Numbers.nth(n)));
        let mut counts = HashMap::<Vec<u8>, f64>::new();
        for _ in 0..size * 15 {
            let member = ask(&mut bench, "spop s").remove(0);
            bench.run_args(&[b"sadd", &b"s"[..], &member]);
            *counts.entry(member).or_default() += 1.0;
        }
        let deviation = deviation(counts.values().copied(), size, (size * 15) as f64);
        assert!(deviation < DEVIATION_MAX, "{size}: {deviation}");
    }
}

/// What SPOP leaves is drawn evenly too.
#[test]
fn what_spop_leaves_has_the_same_chance() {
    let mut bench = filled('s', (0..8000).map(|n| Names::Numbers.nth(n)));
    for left in [4000, 1500] {
        while bench.run("scard s") != format!(":{left}|") {
            bench.run("spop s");
        }
        check(&mut bench, "srandmember s", left, 12);
    }
}
