//! Bitmaps against a list of bits.

use proptest::prelude::*;

use crate::testing::Bench;

#[derive(Clone, Debug)]
enum Step {
    Set(usize, bool),
    Count(Option<(i64, i64, bool)>),
    Find(bool, Option<i64>, Option<(i64, bool)>),
    Field(u32, usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let end = -20i64..20;
    prop_oneof![
        (0..150usize, any::<bool>()).prop_map(|(at, on)| Step::Set(at, on)),
        prop::option::of((end.clone(), end.clone(), any::<bool>())).prop_map(Step::Count),
        (
            any::<bool>(),
            end.clone(),
            prop::option::of((end, any::<bool>())),
            any::<bool>()
        )
            .prop_map(|(bit, start, end, whole)| match whole {
                true => Step::Find(bit, None, None),
                false => Step::Find(bit, Some(start), end),
            }),
        (1..20u32, 0..100usize, any::<u64>()).prop_map(|(bits, at, n)| Step::Field(bits, at, n >> (64 - bits))),
    ]
}

/// The bits that a range means.
fn range(len: usize, start: i64, end: i64, bit: bool) -> std::ops::Range<usize> {
    let unit = if bit { 1 } else { 8 };
    let total = (len / unit) as i64;
    let resolve = |n: i64| if n < 0 { (n + total).max(0) } else { n };
    let (start, end) = (resolve(start), resolve(end).min(total - 1));
    if start > end {
        return 0..0;
    }
    start as usize * unit..(end as usize + 1) * unit
}

fn grow(bits: &mut Vec<bool>, to: usize) {
    if bits.len() < to {
        bits.resize(to.next_multiple_of(8), false);
    }
}

fn unit(bit: bool) -> &'static str {
    if bit { "bit" } else { "byte" }
}

fn check(bench: &mut Bench, bits: &mut Vec<bool>, step: &Step) {
    match *step {
        Step::Set(at, on) => {
            grow(bits, at + 1);
            let old = std::mem::replace(&mut bits[at], on);
            let reply = bench.run(&format!("setbit k {at} {}", u8::from(on)));
            assert_eq!(reply, format!(":{}|", u8::from(old)));
        }
        Step::Count(None) => {
            let ones = bits.iter().filter(|b| **b).count();
            assert_eq!(bench.run("bitcount k"), format!(":{ones}|"));
        }
        Step::Count(Some((start, end, bit))) => {
            let empty = start < 0 && end < 0 && start > end;
            let range = if empty {
                0..0
            } else {
                range(bits.len(), start, end, bit)
            };
            let ones = bits[range].iter().filter(|b| **b).count();
            let reply = bench.run(&format!("bitcount k {start} {end} {}", unit(bit)));
            assert_eq!(reply, format!(":{ones}|"), "{step:?}");
        }
        Step::Find(wanted, start, end) => {
            let (last, bit) = end.unwrap_or((-1, false));
            let range = range(bits.len(), start.unwrap_or(0), last, bit);
            let found = range.clone().find(|at| bits[*at] == wanted).map(|at| at as i64);
            let expected = match found {
                Some(at) => at,
                None if bits.is_empty() => -i64::from(wanted),
                None if !wanted && end.is_none() && !range.is_empty() => range.end as i64,
                None => -1,
            };
            let start = start.map(|start| format!(" {start}")).unwrap_or_default();
            let end = end
                .map(|(end, bit)| format!(" {end} {}", unit(bit)))
                .unwrap_or_default();
            let reply = bench.run(&format!("bitpos k {}{start}{end}", u8::from(wanted)));
            assert_eq!(reply, format!(":{expected}|"), "{step:?}");
        }
        Step::Field(width, at, number) => {
            grow(bits, at + width as usize);
            let mut old = 0u64;
            for (i, bit) in bits[at..at + width as usize].iter_mut().enumerate() {
                old = old << 1 | u64::from(*bit);
                *bit = number >> (width as usize - 1 - i) & 1 == 1;
            }
            let reply = bench.run(&format!("bitfield k set u{width} {at} {number} get u{width} {at}"));
            assert_eq!(reply, format!("*2|:{old}|:{number}|"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn bitmaps_are_lists_of_bits(steps in prop::collection::vec(step(), 1..60), apply: bool) {
        let mut bench = Bench::new();
        bench.apply = apply;
        let mut bits = Vec::new();
        for step in &steps {
            check(&mut bench, &mut bits, step);
        }
    }
}

#[test]
fn other_types_are_refused() {
    let mut bench = Bench::new();
    bench.run("lpush k a");
    for line in [
        "setbit k 0 1",
        "getbit k 0",
        "bitcount k",
        "bitcount k 0 1",
        "bitpos k 1",
        "bitop or d k",
        "bitfield k get u8 0",
        "bitfield k set u8 0 1",
        "bitfield_ro k get u8 0",
    ] {
        let expected = "-WRONGTYPE Operation against a key holding the wrong kind of value|";
        assert_eq!(bench.run(line), expected, "{line}");
    }
    assert_eq!(bench.run("bitop or k missing"), ":0|");
    assert_eq!(bench.heard, ["del k"]);
}
