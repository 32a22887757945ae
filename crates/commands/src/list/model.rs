//! Random commands against lists, and against what lists are: sequences in memory.

use std::collections::{BTreeMap, VecDeque};

use haypile_store::row::Kind;
use proptest::prelude::*;

use crate::testing::Bench;

#[derive(Clone, Debug)]
enum Op {
    Push {
        left: bool,
        key: u8,
        values: Vec<u8>,
    },
    Pop {
        left: bool,
        key: u8,
        count: Option<usize>,
    },
    Set {
        key: u8,
        at: i64,
        value: u8,
    },
    Range {
        key: u8,
        start: i64,
        stop: i64,
    },
    Trim {
        key: u8,
        start: i64,
        stop: i64,
    },
    Remove {
        key: u8,
        count: i64,
        value: u8,
    },
    Insert {
        key: u8,
        after: bool,
        pivot: u8,
        value: u8,
    },
    Move {
        from: u8,
        to: u8,
        left: bool,
        to_left: bool,
    },
    Position {
        key: u8,
        value: u8,
        rank: i64,
        count: usize,
        look_at_max: usize,
    },
}

type Model = BTreeMap<u8, VecDeque<String>>;

/// Elements differ in length, so that some are worth moving and some are not.
fn element(n: u8) -> String {
    format!("{n}{}", "-".repeat(usize::from(n) * 9))
}

fn op() -> impl Strategy<Value = Op> {
    let (key, value, at) = (0..2u8, 0..5u8, -12..12i64);
    prop_oneof![
        6 => (any::<bool>(), key.clone(), prop::collection::vec(value.clone(), 1..12))
            .prop_map(|(left, key, values)| Op::Push { left, key, values }),
        2 => (any::<bool>(), key.clone(), prop::option::of(0..9usize))
            .prop_map(|(left, key, count)| Op::Pop { left, key, count }),
        1 => (key.clone(), at.clone(), value.clone()).prop_map(|(key, at, value)| Op::Set { key, at, value }),
        2 => (key.clone(), at.clone(), at.clone()).prop_map(|(key, start, stop)| Op::Range { key, start, stop }),
        1 => (key.clone(), -30..30i64, -30..30i64).prop_map(|(key, start, stop)| Op::Trim { key, start, stop }),
        3 => (key.clone(), -4..5i64, value.clone()).prop_map(|(key, count, value)| Op::Remove { key, count, value }),
        3 => (key.clone(), any::<bool>(), value.clone(), value.clone())
            .prop_map(|(key, after, pivot, value)| Op::Insert { key, after, pivot, value }),
        2 => (key.clone(), key.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(from, to, left, to_left)| Op::Move { from, to, left, to_left }),
        2 => (key, value, prop_oneof![1..4i64, -3..0i64], 0..4usize, 0..15usize)
            .prop_map(|(key, value, rank, count, look_at_max)| Op::Position { key, value, rank, count, look_at_max }),
    ]
}

fn bulk(text: &str) -> String {
    format!("${}|{text}|", text.len())
}

fn array<'a>(items: impl Iterator<Item = &'a String>) -> String {
    let items: Vec<_> = items.map(|item| bulk(item)).collect();
    format!("*{}|{}", items.len(), items.concat())
}

fn end(left: bool) -> &'static str {
    if left { "left" } else { "right" }
}

/// The command's arguments, and what the model replies to it.
fn step(model: &mut Model, op: &Op) -> (Vec<String>, String) {
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let clamp = |list: &VecDeque<String>, start: i64, stop: i64| {
        let len = list.len() as i64;
        let from_end = |n: i64| if n < 0 { n + len } else { n };
        let (start, stop) = (from_end(start).max(0), (from_end(stop) + 1).clamp(0, len));
        start.min(stop) as usize..stop as usize
    };
    let done = match *op {
        Op::Push { left, key, ref values } => {
            let list = model.entry(key).or_default();
            let values: Vec<_> = values.iter().map(|&v| element(v)).collect();
            for value in &values {
                if left {
                    list.push_front(value.clone())
                } else {
                    list.push_back(value.clone())
                }
            }
            let name = if left { "lpush" } else { "rpush" };
            (
                words(format!("{name} {key} {}", values.join(" "))),
                format!(":{}|", list.len()),
            )
        }
        Op::Pop { left, key, count } => {
            let name = if left { "lpop" } else { "rpop" };
            let pop = |list: &mut VecDeque<String>| if left { list.pop_front() } else { list.pop_back() };
            match (model.get_mut(&key), count) {
                (None, None) => (words(format!("{name} {key}")), "$-1|".to_owned()),
                (None, Some(count)) => (words(format!("{name} {key} {count}")), "*-1|".to_owned()),
                (Some(list), None) => (words(format!("{name} {key}")), bulk(&pop(list).unwrap())),
                (Some(list), Some(count)) => {
                    let taken: Vec<_> = (0..count).map_while(|_| pop(list)).collect();
                    (words(format!("{name} {key} {count}")), array(taken.iter()))
                }
            }
        }
        Op::Set { key, at, value } => {
            let command = words(format!("lset {key} {at} {}", element(value)));
            let reply = match model.get_mut(&key) {
                None => "-ERR no such key|",
                Some(list) => {
                    let at = if at < 0 { at + list.len() as i64 } else { at };
                    match usize::try_from(at).ok().and_then(|at| list.get_mut(at)) {
                        Some(slot) => {
                            *slot = element(value);
                            "+OK|"
                        }
                        None => "-ERR index out of range|",
                    }
                }
            };
            (command, reply.to_owned())
        }
        Op::Range { key, start, stop } => {
            let list = model.get(&key).cloned().unwrap_or_default();
            (
                words(format!("lrange {key} {start} {stop}")),
                array(list.range(clamp(&list, start, stop))),
            )
        }
        Op::Trim { key, start, stop } => {
            if let Some(list) = model.get_mut(&key) {
                *list = list.range(clamp(list, start, stop)).cloned().collect();
            }
            (words(format!("ltrim {key} {start} {stop}")), "+OK|".to_owned())
        }
        Op::Remove { key, count, value } => {
            let mut list = model.get(&key).cloned().unwrap_or_default();
            let len = list.len();
            let mut left = if count == 0 { len } else { count.unsigned_abs() as usize };
            let mut keep = |item: &String| {
                let removed = left > 0 && *item == element(value);
                left -= usize::from(removed);
                !removed
            };
            if count < 0 {
                list = list.into_iter().rev().filter(|item| keep(item)).collect();
                list.make_contiguous().reverse();
            } else {
                list.retain(|item| keep(item));
            }
            let reply = format!(":{}|", len - list.len());
            model.insert(key, list);
            (words(format!("lrem {key} {count} {}", element(value))), reply)
        }
        Op::Insert {
            key,
            after,
            pivot,
            value,
        } => {
            let place = if after { "after" } else { "before" };
            let reply = match model.get_mut(&key) {
                None => ":0|".to_owned(),
                Some(list) => match list.iter().position(|item| *item == element(pivot)) {
                    None => ":-1|".to_owned(),
                    Some(at) => {
                        list.insert(at + usize::from(after), element(value));
                        format!(":{}|", list.len())
                    }
                },
            };
            (
                words(format!("linsert {key} {place} {} {}", element(pivot), element(value))),
                reply,
            )
        }
        Op::Move {
            from,
            to,
            left,
            to_left,
        } => {
            let moved = model
                .get_mut(&from)
                .map(|list| if left { list.pop_front() } else { list.pop_back() }.unwrap());
            if let Some(moved) = moved.clone() {
                let list = model.entry(to).or_default();
                if to_left {
                    list.push_front(moved)
                } else {
                    list.push_back(moved)
                }
            }
            let reply = moved.map_or("$-1|".to_owned(), |moved| bulk(&moved));
            (
                words(format!("lmove {from} {to} {} {}", end(left), end(to_left))),
                reply,
            )
        }
        Op::Position {
            key,
            value,
            rank,
            count,
            look_at_max,
        } => {
            let list = model.get(&key).cloned().unwrap_or_default();
            let mut positions: Vec<_> = list.iter().enumerate().collect();
            if rank < 0 {
                positions.reverse();
            }
            if look_at_max > 0 {
                positions.truncate(look_at_max);
            }
            let found = positions.into_iter().filter(|(_, item)| **item == element(value));
            let found = found
                .skip(rank.unsigned_abs() as usize - 1)
                .map(|(at, _)| format!(":{at}|"));
            let found: Vec<_> = if count == 0 {
                found.collect()
            } else {
                found.take(count).collect()
            };
            let reply = format!("*{}|{}", found.len(), found.concat());
            let value = element(value);
            (
                words(format!(
                    "lpos {key} {value} rank {rank} count {count} maxlen {look_at_max}"
                )),
                reply,
            )
        }
    };
    model.retain(|_, list| !list.is_empty());
    done
}

fn check(bench: &mut Bench, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut model = Model::new();
    for op in ops {
        let (command, expected) = step(&mut model, op);
        prop_assert_eq!(bench.run_args(&command), expected, "{}", command.join(" "));
        for key in 0..2u8 {
            let list = model.get(&key).cloned().unwrap_or_default();
            prop_assert_eq!(
                bench.run(&format!("lrange {key} 0 -1")),
                array(list.iter()),
                "after {:?}",
                op
            );
            prop_assert_eq!(bench.run(&format!("llen {key}")), format!(":{}|", list.len()));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_are_sequences(ops in prop::collection::vec(op(), 1..60), apply: bool) {
        let mut bench = Bench::new();
        bench.apply = apply;
        check(&mut bench, &ops)?;
    }
}

#[test]
fn other_types_are_refused() {
    let mut bench = Bench::new();
    bench.run("rpush list 1 2");
    bench.write(|cx| cx.put_string(b"s", None, b"x", None)).unwrap();
    for command in [
        "lpush s 1",
        "rpush s 1",
        "lpushx s 1",
        "rpushx s 1",
        "lpop s",
        "rpop s 0",
        "lmpop 2 none s left",
        "llen s",
        "lindex s x",
        "lset s x 1",
        "lrange s 0 1",
        "ltrim s 0 1",
        "lrem s 0 1",
        "linsert s before 1 1",
        "lpos s 1",
        "lmove s list left left",
        "lmove list s left left",
        "rpoplpush s s",
        "blpop none s list 0",
        "brpop s 0",
        "blmove s list left left 0",
        "blmove list s left left 0",
        "brpoplpush s list 0",
        "blmpop 0 2 s list left",
    ] {
        let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value|";
        assert_eq!(bench.run(command), wrong_type, "{command}");
    }
    assert_eq!(bench.run("lmove none s left left"), "$-1|");
    assert_eq!(bench.run("blmove none s left left 0"), "+BLOCK None|");
    assert_eq!(bench.run("lrange list 0 -1"), "*2|$1|1|$1|2|");
}

/// Gives the list under `k` an expiry, far away.
fn expire(bench: &mut Bench) {
    bench.write(|cx| {
        let row = cx.row(b"k").unwrap().unwrap();
        cx.set_expiry(b"k", &row, Some(9_000_000)).unwrap();
    });
}

#[test]
fn an_expiry_stays_while_the_list_changes() {
    let mut bench = Bench::new();
    let args: Vec<_> = ["rpush", "k"]
        .into_iter()
        .map(str::to_owned)
        .chain((0..50).map(|n| n.to_string()))
        .collect();
    bench.run_args(&args);
    expire(&mut bench);
    for command in [
        "lpush k a",
        "rpop k",
        "lpop k 2",
        "linsert k before 20 x",
        "lrem k 0 30",
        "lmove k k left right",
        "ltrim k 1 2",
    ] {
        bench.run(command);
        let header = bench.write(|cx| cx.row(b"k").unwrap().unwrap().header);
        assert_eq!(
            (header.kind, header.expire_at),
            (Kind::List, Some(9_000_000)),
            "{command}"
        );
    }
    bench.now = 9_000_000;
    assert_eq!(bench.run("llen k"), ":0|");
    assert_eq!(bench.run("lpush k a"), ":1|");
    assert_eq!(bench.run("lrange k 0 -1"), "*1|$1|a|");
}

#[test]
fn indexes_do_not_wrap() {
    let full = "-ERR the list cannot grow further at this end|";
    let mut bench = Bench::new();
    bench.write(|cx| {
        let mut list = cx.new_collection(b"k", Kind::List, None).unwrap();
        (list.head, list.size) = (u64::MAX - 2, 1);
        cx.put_element(&list.element(&[&(u64::MAX - 2).to_be_bytes()]), b"x")
            .unwrap();
        cx.put_collection(b"k", &mut list).unwrap();
    });
    assert_eq!(bench.run("rpush k y z"), full);
    assert_eq!(bench.run("rpush k y"), ":2|");
    assert_eq!(bench.run("rpush k z"), full);
    assert_eq!(bench.run("lmove k k left right"), full);
    assert_eq!(bench.run("linsert k after x 1"), ":3|");
    assert_eq!(bench.run("lrange k 0 -1"), "*3|$1|x|$1|1|$1|y|");
    bench.write(|cx| {
        let mut list = cx.new_collection(b"l", Kind::List, None).unwrap();
        (list.head, list.size) = (1, 1);
        cx.put_element(&list.element(&[&1u64.to_be_bytes()]), b"x").unwrap();
        cx.put_collection(b"l", &mut list).unwrap();
    });
    assert_eq!(bench.run("lpush l y z"), full);
    assert_eq!(bench.run("lpush l y"), ":2|");
    assert_eq!(bench.run("lpush l z"), full);
    assert_eq!(bench.run("lmove l l right left"), full);
    assert_eq!(bench.run("linsert l after x 1"), ":3|");
    assert_eq!(bench.run("lrem l 1 y"), ":1|");
    assert_eq!(bench.run("lrange l 0 -1"), "*2|$1|x|$1|1|");
}
