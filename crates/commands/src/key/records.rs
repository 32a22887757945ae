//! A test of what all commands together leave behind: the record of each collection's id, and nothing without one.

use std::collections::{BTreeMap, BTreeSet};

use haypile_store::keys::{DataKey, Home, IdState};
use haypile_store::row::Header;
use haypile_store::{Cf, Direction};
use proptest::prelude::*;

use crate::testing::Bench;
use crate::{Cx, PackedLimits};

/// Commands on keys, which `a` and `b` stand for, and which are of any type; some fail.
const COMMANDS: &[&str] = &[
    "set a 1",
    "setnx a 1",
    "getset a 2",
    "getdel a",
    "append a x",
    "mset a 1 b 2",
    "bitop or a b b",
    "pfadd a x",
    "del a",
    "unlink a b",
    "hset a f 1 g 2",
    "hset a f 1234567890123456789012345678901234567890123456789012345678901234567890",
    "hset a f 3",
    "hdel a f g",
    "hincrby a n 1",
    "sadd a x y z",
    "srem a x y z",
    "spop a",
    "spop a 10",
    "smove a b x",
    "sunionstore a a b",
    "sinterstore a a b",
    "zadd a 1 x 2 y",
    "zadd a 5 x",
    "zrem a x y",
    "zpopmin a 2",
    "zunionstore a 2 a b",
    "zinterstore a 2 a b",
    "zrangestore a b 0 -1",
    "geoadd a 1 1 p",
    "geosearchstore a b fromlonlat 1 1 byradius 10 km",
    "rpush a 1 2 3",
    "rpush a 1 2 3 4 5 6 7 8 9",
    "lpop a 2",
    "lpop a 100",
    "ltrim a 1 2",
    "ltrim a 5 4",
    "lset a 0 z",
    "lrem a 0 2",
    "lmove a b left right",
    "rename a b",
    "rename a {x}a",
    "rename {x}a b",
    "renamenx a b",
    "copy a b replace",
    "copy a b db 1 replace",
    "move a 1",
    "pexpire a 5",
    "pexpire a -1",
    "persist a",
    "getex a px 3",
    "swapdb 0 1",
    "flushdb",
    "exists a b",
];

/// Where the elements stand of collections that have rows, and of those that have records; and the elements of each.
#[derive(Debug, Default)]
struct Found {
    rows: BTreeMap<Home, Vec<u8>>,
    records: BTreeSet<Home>,
    elements: BTreeSet<Home>,
}

fn look(cx: &mut Cx<'_>, db: u16) -> Found {
    let space = cx.view.space(db);
    let mut found = Found::default();
    let mut scan = cx.view.scan(space, Cf::Meta, &[], None, Direction::Forward).unwrap();
    while let Some((key, row)) = scan.next().unwrap() {
        if let Some(home) = Header::read(row).unwrap().0.home {
            let other = found.rows.insert(home, key.to_vec());
            assert_eq!(other, None, "two rows have the same elements");
        }
    }
    drop(scan);
    let mut scan = cx.view.scan(space, Cf::Data, &[], None, Direction::Forward).unwrap();
    while let Some((key, value)) = scan.next().unwrap() {
        let key = DataKey::parse(key).unwrap();
        if key.is_record() {
            assert_eq!(IdState::decode(value), Some(IdState::Live));
            found.records.insert(key.home);
        } else {
            found.elements.insert(key.home);
        }
    }
    found
}

fn check(bench: &mut Bench) -> Result<(), TestCaseError> {
    for db in 0..2 {
        let found = bench.write(|cx| look(cx, db));
        let rows: BTreeSet<Home> = found.rows.keys().copied().collect();
        prop_assert_eq!(&rows, &found.records);
        prop_assert!(rows.is_subset(&found.elements), "{:?}", found);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_collection_has_a_record_and_nothing_else_has(steps in prop::collection::vec((0..COMMANDS.len(), 0..3u8, 0..3u8), 1..120), apply: bool, packs: bool) {
        let mut bench = Bench::new();
        if !packs {
            bench.limits = PackedLimits::NONE;
        }
        bench.apply = apply;
        for (command, a, b) in steps {
            let words = COMMANDS[command].split(' ').map(|word| match word {
                "a" => format!("key{a}"),
                "b" => format!("key{b}"),
                "{x}a" => format!("{{x}}key{a}"),
                word => word.to_owned(),
            });
            let args: Vec<String> = words.collect();
            bench.run_args(&args);
            bench.now += 1;
            check(&mut bench)?;
        }
        bench.flush();
        bench.compact();
        for db in 0..2 {
            let found = bench.write(|cx| look(cx, db));
            prop_assert_eq!(&found.records, &found.elements, "orphans are collected");
        }
    }
}

#[test]
fn a_reader_who_has_gone_keeps_no_orphans() {
    let mut bench = Bench::new();
    bench.limits = PackedLimits::NONE;
    bench.run("hset a f 1 g 2");
    bench.settle();
    bench.run("hset b f 1 g 2");
    bench.run("del a b");
    bench.compact_beside_a_reader();
    let found = bench.write(|cx| look(cx, 0));
    assert_eq!(found.elements, BTreeSet::new());
}

/// Bytes that a command logs.
fn logged(bench: &mut Bench, line: &str) -> usize {
    bench.apply = false;
    assert_eq!(bench.run(line), "+OK|");
    let bytes = bench.payloads().iter().map(Vec::len).sum();
    bench.apply = true;
    bench.flush();
    bytes
}

#[test]
fn a_million_elements_are_renamed_by_their_row() {
    const ELEMENTS: usize = 1_000_000;
    const AT_ONCE: usize = 10_000;
    let mut bench = Bench::with_memory(64 << 20, 16 << 20);
    for (command, size) in [("hset", "hlen"), ("zadd", "zcard")] {
        for from in (0..ELEMENTS).step_by(AT_ONCE) {
            let mut args = vec![command.to_owned(), "k".to_owned()];
            for n in from..from + AT_ONCE {
                args.extend(match command {
                    "hset" => [format!("field:{n}"), n.to_string()],
                    _ => [n.to_string(), format!("member:{n}")],
                });
            }
            bench.run_args(&args);
            if from.is_multiple_of(20 * AT_ONCE) {
                bench.settle();
            }
        }
        bench.run("pexpire k 1000000");
        for (from, to) in [("k", "other"), ("other", "{x}y")] {
            let bytes = logged(&mut bench, &format!("rename {from} {to}"));
            assert!(bytes < 300, "{bytes} bytes are logged");
            assert_eq!(bench.run(&format!("{size} {to}")), format!(":{ELEMENTS}|"));
        }
        let found = match command {
            "hset" => bench.run("hget {x}y field:999999"),
            _ => bench.run("zscore {x}y member:999999"),
        };
        assert_eq!(found, "$6|999999|");
        assert_eq!(bench.run("pttl {x}y"), ":1000000|");
        // It takes the place of what has the name.
        bench.run("set k 1");
        assert!(logged(&mut bench, "rename {x}y k") < 300);
        assert_eq!(bench.run(&format!("{size} k")), format!(":{ELEMENTS}|"));
        bench.run("del k");
    }
}
