//! Values and answers against those of Redis.

use std::collections::BTreeSet;

use haypile_resp::Request;
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::sketch::Sketch;
use super::{REGISTERS, SPARSE_BYTES_MAX, sketch::count_of};
use crate::testing::Bench;

fn add(bench: &mut Bench, key: &str, elements: std::ops::RangeInclusive<u32>) -> String {
    let elements = elements.map(|n| format!("element-{n}"));
    let args: Vec<String> = ["pfadd".into(), key.into()].into_iter().chain(elements).collect();
    bench.run_args(&args)
}

fn value(bench: &mut Bench, key: &str) -> Vec<u8> {
    let reply = bench.raw(&Request::from_args(["get", key]));
    let start = reply.windows(2).position(|w| w == b"\r\n").unwrap() + 2;
    reply[start..reply.len() - 2].to_vec()
}

/// What Redis 7.0.15 has after the same commands: elements so far, PFCOUNT, length of the value, its XXH3.
const AS_REDIS: &[(u32, u64, usize, u64)] = &[
    (1, 1, 21, 0x33d4_77b6_dc25_72ab),
    (10, 10, 48, 0x0518_421a_cb1c_802e),
    (100, 100, 288, 0xcebd_955a_67f1_4393),
    (500, 492, 1021, 0xe3a8_0a1a_61e1_7f51),
    (1_000, 994, 1870, 0xf0ab_45ce_dbde_89e6),
    (1_500, 1_495, 2685, 0x9700_a84b_d373_c629),
    (2_000, 2_002, 12304, 0x4392_371c_f7f5_76b5),
    (5_000, 4_972, 12304, 0xf028_bf61_f379_51e5),
    (10_000, 10_015, 12304, 0xe06c_2c22_76d9_9851),
    (20_000, 19_905, 12304, 0xf695_16c6_51ab_6828),
    (50_000, 50_063, 12304, 0x800d_8540_8d5a_b1fa),
    (100_000, 100_917, 12304, 0xe844_23c8_2b9e_eac4),
    (300_000, 301_174, 12304, 0xb4ca_c01d_961a_f5ec),
];

#[test]
fn values_and_counts_are_those_of_redis() {
    for apply in [true, false] {
        let mut bench = Bench::new();
        bench.apply = apply;
        let mut added = 0;
        for &(elements, count, len, hash) in AS_REDIS {
            while added < elements {
                let next = elements.min(added + 10_000);
                add(&mut bench, "k", added + 1..=next);
                added = next;
            }
            let bytes = value(&mut bench, "k");
            assert_eq!((bytes.len(), xxh3_64(&bytes)), (len, hash), "{elements}");
            let encoding = if len == 12304 { "dense" } else { "sparse" };
            assert_eq!(bench.run("pfdebug encoding k"), format!("+{encoding}|"));
            assert_eq!(bench.run("pfcount k"), format!(":{count}|"), "{elements}");
            assert_eq!(bench.run("pfcount k"), format!(":{count}|"), "{elements}");
        }
    }
}

#[test]
fn a_sparse_value_is_that_of_redis() {
    let mut bench = Bench::new();
    assert_eq!(add(&mut bench, "k", 1..=10), ":1|");
    let hex: String = value(&mut bench, "k").iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "48594c4c010000000000000000000080468c8440938850908846be8c46b78442ee80456380416184465b8c46b9804401"
    );
    let decoded = "Z:1677 v:2,1 Z:148 v:3,1 Z:4241 v:3,1 Z:1727 v:4,1 Z:1720 v:2,1 Z:751 v:1,1 Z:1380 v:1,1 Z:354 v:2,1 Z:1628 v:4,1 Z:1722 v:1,1 Z:1026";
    assert_eq!(bench.run("pfdebug decode k"), format!("${}|{decoded}|", decoded.len()));
}

#[test]
fn unions_and_merges_are_those_of_redis() {
    let mut bench = Bench::new();
    add(&mut bench, "a", 1..=8_000);
    add(&mut bench, "b", 7_001..=7_300);
    add(&mut bench, "c", 9_001..=9_300);
    assert_eq!(bench.run("pfcount a b c missing"), ":8307|");
    assert_eq!(bench.run("pfcount b c"), ":599|");
    assert_eq!(bench.run("pfmerge d b c"), "+OK|");
    assert_eq!(bench.heard, ["new d", "pfadd d"]);
    assert_eq!(bench.run("pfdebug encoding d"), "+sparse|");
    assert_eq!(bench.run("pfcount d"), ":599|");
    assert_eq!(bench.run("pfmerge d a"), "+OK|");
    assert_eq!(bench.run("pfdebug encoding d"), "+dense|");
    assert_eq!(bench.run("pfcount d"), ":8307|");
    assert_eq!(bench.run("pfmerge e"), "+OK|");
    assert_eq!(bench.run("pfcount e"), ":0|");
}

#[test]
fn pfadd_says_whether_something_changed() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("pfcount k"), ":0|");
    assert_eq!(bench.run("pfadd k"), ":1|");
    assert_eq!(bench.heard, ["new k", "pfadd k"]);
    assert_eq!(bench.run("pfadd k"), ":0|");
    assert_eq!(bench.run("pfadd k a b"), ":1|");
    assert_eq!(bench.run("getex k px 10"), bench.run("get k"));
    assert_eq!(bench.run("pfadd k b a"), ":0|");
    assert!(bench.heard.is_empty());
    assert_eq!(bench.run("pfadd k c"), ":1|");
    bench.now += 10;
    assert_eq!(bench.run("pfcount k"), ":0|");
}

#[test]
fn the_count_is_kept_until_a_change() {
    let mut bench = Bench::new();
    let stale = |bench: &mut Bench| value(bench, "k")[15] == 0x80;
    bench.run("pfadd k a b c");
    assert!(stale(&mut bench));
    assert_eq!(bench.run("pfcount k"), ":3|");
    assert!(bench.heard.is_empty());
    assert!(!stale(&mut bench));
    bench.run("pfadd k a b c");
    assert!(!stale(&mut bench));
    bench.run("pfadd k 1 2 3");
    assert!(stale(&mut bench));
    // The kept count is believed.
    bench.run("pfcount k");
    bench.run("setrange k 8 9");
    assert_eq!(bench.run("pfcount k"), ":57|");
}

#[test]
fn other_strings_are_refused() {
    let mut bench = Bench::new();
    let not = "-WRONGTYPE Key is not a valid HyperLogLog string value.|";
    for change in ["0 0123", "4 x", "4 \0"] {
        bench.run("getdel k");
        bench.run("pfadd k a b c");
        bench.run(&format!("setrange k {change}"));
        for command in [
            "pfcount k",
            "pfadd k d",
            "pfmerge d k",
            "pfmerge k",
            "pfcount k d",
            "pfdebug encoding k",
        ] {
            assert_eq!(bench.run(command), not, "{command}");
        }
    }
    bench.run("getdel k");
    bench.run("pfadd k a b c");
    bench.run("append k hello");
    for command in [
        "pfcount k",
        "pfmerge d k",
        "pfcount k d",
        "pfdebug getreg k",
        "pfdebug todense k",
    ] {
        assert_eq!(
            bench.run(command),
            "-INVALIDOBJ Corrupted HLL object detected|",
            "{command}"
        );
    }
    bench.run("set k HYLL");
    assert_eq!(bench.run("pfcount k"), not);
    assert_eq!(bench.run("get d"), "$-1|");
}

#[test]
fn debugging() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("pfselftest"), "+OK|");
    assert_eq!(bench.run("pfdebug getreg k"), "-ERR The specified key does not exist|");
    bench.run("pfadd k a");
    assert_eq!(
        bench.run("pfdebug nothing k"),
        "-ERR Unknown PFDEBUG subcommand 'nothing'|"
    );
    assert_eq!(bench.run("pfdebug TODENSE k"), ":1|");
    assert!(bench.heard.is_empty());
    assert_eq!(bench.run("pfdebug todense k"), ":0|");
    assert_eq!(bench.run("pfdebug decode k"), "-ERR HLL encoding is not sparse|");
    let registers = bench.run("pfdebug getreg k");
    assert!(registers.starts_with("*16384|:0|"));
    assert_eq!(registers.matches(":0|").count(), REGISTERS - 1);
    assert_eq!(bench.run("pfcount k"), ":1|");
}

proptest! {
    /// However elements are spread over values, and whatever the encoding, the union is that of all elements.
    #[test]
    fn merging_is_adding(parts in prop::collection::vec((any::<bool>(), prop::collection::btree_set(any::<u16>(), 0..600)), 1..4)) {
        let all: BTreeSet<u16> = parts.iter().flat_map(|(_, elements)| elements).copied().collect();
        let sketch_of = |dense: bool, elements: &BTreeSet<u16>| {
            let mut sketch = Sketch::empty();
            if dense {
                sketch.make_dense().unwrap();
            }
            for element in elements {
                sketch.add(&element.to_le_bytes(), SPARSE_BYTES_MAX).unwrap();
            }
            sketch
        };
        let whole = sketch_of(false, &all);
        let mut union = [0; REGISTERS];
        for (dense, elements) in &parts {
            sketch_of(*dense, elements).merge_into(&mut union).unwrap();
        }
        prop_assert_eq!(count_of(&union), whole.count().unwrap());
        let mut registers = [0; REGISTERS];
        whole.merge_into(&mut registers).unwrap();
        prop_assert!(registers == union);
    }
}
