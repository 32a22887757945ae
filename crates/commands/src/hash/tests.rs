//! Hashes against a model, and scans of hashes that change.

use std::collections::{BTreeMap, HashSet};

use haypile_resp::client::{Value, decode};
use haypile_resp::{LongDouble, Request};
use proptest::prelude::*;

use crate::testing::Bench;

type Bytes = Vec<u8>;

fn ask(bench: &mut Bench, args: &[&[u8]]) -> Value {
    let reply = bench.raw(&Request::from_args(args));
    let (value, used) = decode(&reply).unwrap().unwrap();
    assert_eq!(used, reply.len());
    value
}

fn bulks(value: &Value) -> Vec<Bytes> {
    let elements = value.as_elements().unwrap();
    elements.iter().map(|e| e.as_bytes().unwrap().to_vec()).collect()
}

/// One call: the next cursor and the fields with their values.
fn scan(bench: &mut Bench, cursor: &[u8], more: &[&[u8]]) -> (Bytes, Vec<(Bytes, Bytes)>) {
    let reply = ask(bench, &[&[&b"hscan"[..], b"h", cursor], more].concat());
    let parts = reply.as_elements().unwrap();
    let fields = bulks(&parts[1])
        .chunks(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect();
    (parts[0].as_bytes().unwrap().to_vec(), fields)
}

fn set(bench: &mut Bench, fields: &[Bytes]) {
    for some in fields.chunks(1000) {
        let mut args: Vec<&[u8]> = vec![b"hset", b"h"];
        for field in some {
            args.extend([field.as_slice(), field.as_slice()]);
        }
        ask(bench, &args);
    }
}

/// A whole scan of a hash that stays as it is: every field exactly once. Gives the number of calls.
fn scan_all(bench: &mut Bench, expected: &[Bytes], count: &str) -> usize {
    let (mut cursor, mut got, mut calls) = (b"0".to_vec(), Vec::new(), 0);
    loop {
        let (next, fields) = scan(bench, &cursor, &[b"count", count.as_bytes()]);
        got.extend(fields.into_iter().map(|(field, value)| {
            assert_eq!(field, value);
            field
        }));
        calls += 1;
        if next == b"0" {
            break;
        }
        assert!(std::str::from_utf8(&next).unwrap().parse::<u64>().unwrap() >= 1 << 16);
        cursor = next;
    }
    got.sort();
    assert_eq!(got, expected);
    calls
}

#[test]
fn small_hashes_come_at_once() {
    let mut bench = Bench::new();
    bench.run("hset h a 1 b 2 c 3 d 4");
    assert_eq!(
        bench.run("hscan h 0 count 1"),
        "*2|$1|0|*8|$1|a|$1|1|$1|b|$1|2|$1|c|$1|3|$1|d|$1|4|"
    );
    assert_eq!(bench.run("hscan h 0 match [bc]"), "*2|$1|0|*4|$1|b|$1|2|$1|c|$1|3|");
    assert_eq!(bench.run("hscan h 0 match b*"), "*2|$1|0|*2|$1|b|$1|2|");
    assert_eq!(bench.run("hscan none 0 count x"), "*2|$1|0|*0|");
    assert_eq!(bench.run("hscan h x"), "-ERR invalid cursor|");
    assert_eq!(bench.run("hscan h 0 count 0"), "-ERR syntax error|");
    assert_eq!(
        bench.run("hscan h 0 count x"),
        "-ERR value is not an integer or out of range|"
    );
    assert_eq!(bench.run("hscan h 0 match"), "-ERR syntax error|");
    assert_eq!(bench.run("hscan h 0 novalues"), "-ERR syntax error|");
}

#[test]
fn big_values_do_not_come_at_once() {
    let mut bench = Bench::new();
    for field in ["a", "b", "c", "d"] {
        bench.run_args(&["hset", "h", field, &"x".repeat(200 << 10)]);
    }
    let (cursor, fields) = scan(&mut bench, b"0", &[b"count", b"1"]);
    assert_eq!(fields.len(), 2);
    let (cursor, fields) = scan(&mut bench, &cursor, &[b"count", b"10"]);
    assert_eq!((cursor.as_slice(), fields.len()), (&b"0"[..], 2));
}

#[test]
fn fields_of_all_shapes_come_once_each() {
    let number = |prefix: &str, n: usize| -> Vec<Bytes> { (0..n).map(|i| format!("{prefix}{i:09}").into()).collect() };
    let long = "x".repeat(300);
    let shapes: [Vec<Bytes>; 6] = [
        number("", 3000),
        number("user:", 3000),
        [number("config:", 3), number("user:", 3000), number("zone:", 20)].concat(),
        [number(&long, 500), vec![b"a".to_vec()]].concat(),
        (0..500).map(|i| vec![0; i]).collect(),
        (0..500).map(|i| vec![0xff; i]).collect(),
    ];
    for (i, mut fields) in shapes.into_iter().enumerate() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            fields.sort();
            set(&mut bench, &fields);
            for count in ["1", "10", "100"] {
                let calls = scan_all(&mut bench, &fields, count);
                let fewest = fields.len() / (2 * count.parse::<usize>().unwrap() + 1);
                assert!(calls >= fewest, "shape {i}: {calls} calls");
            }
        }
    }
}

#[test]
fn what_a_pattern_admits_comes() {
    let mut bench = Bench::new();
    let fields: Vec<Bytes> = (0..5000).map(|i| format!("field:{i:04}").into()).collect();
    set(&mut bench, &fields);
    let (mut cursor, mut found) = (b"0".to_vec(), HashSet::new());
    loop {
        let (next, fields) = scan(&mut bench, &cursor, &[b"match", b"*77", b"count", b"100"]);
        found.extend(fields);
        if next == b"0" {
            break;
        }
        cursor = next;
    }
    assert_eq!(found.len(), 50);
}

#[test]
fn any_number_is_a_cursor() {
    let mut bench = Bench::new();
    let fields: Vec<Bytes> = (0..50).map(|i| format!("field:{i:04}").into()).collect();
    set(&mut bench, &fields);
    for kind in 0..8u64 {
        for low in [0u64, 1, 0xff00_ff00_ff00, (1 << 61) - 1] {
            let cursor = (kind << 61 | low).to_string();
            let mut cursor = cursor.into_bytes();
            for call in 0.. {
                assert!(call < 100);
                cursor = scan(&mut bench, &cursor, &[]).0;
                if cursor == b"0" {
                    break;
                }
            }
        }
    }
}

/// Few different bytes, so that fields share prefixes; zeros and 0xff for the edges.
fn field() -> impl Strategy<Value = Bytes> {
    let byte = prop_oneof![3 => Just(b'a'), 2 => Just(b'b'), 1 => Just(0u8), 1 => Just(0xffu8)];
    let shared = prop::sample::select(vec![&b""[..], b"user:", b"aaaaaaaaaa", b"\0\0\0\0\0\0\0\0"]);
    (shared, prop::collection::vec(byte, 0..14)).prop_map(|(shared, rest)| [shared, &rest].concat())
}

#[derive(Clone, Debug)]
enum Change {
    Set(Bytes),
    Delete(usize),
    Flush,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => field().prop_map(Change::Set),
        4 => any::<usize>().prop_map(Change::Delete),
        1 => Just(Change::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is set and deleted between the calls: a field that was there all the time comes once.
    #[test]
    fn a_scan_misses_no_field_that_stays(
        stay in prop::collection::btree_set(field(), 0..60),
        go in prop::collection::vec(field(), 0..120),
        changes in prop::collection::vec(prop::collection::vec(change(), 0..8), 0..40),
        counts in prop::collection::vec(1u32..8, 40),
        apply: bool,
    ) {
        let mut bench = Bench::new();
        bench.apply = apply;
        let stay: Vec<Bytes> = stay.into_iter().collect();
        let mut go: Vec<Bytes> = go.into_iter().filter(|field| stay.binary_search(field).is_err()).collect();
        set(&mut bench, &stay);
        set(&mut bench, &go);
        let (mut cursor, mut seen) = (b"0".to_vec(), HashSet::new());
        for call in 0.. {
            // When the changes are over it has to end: each call then goes on by a field at least.
            prop_assert!(call < changes.len() + 2 * (stay.len() + go.len()) + 10, "it does not end");
            let count = counts[call % counts.len()].to_string();
            let (next, fields) = scan(&mut bench, &cursor, &[b"count", count.as_bytes()]);
            for (field, value) in fields {
                prop_assert_eq!(&field, &value);
                seen.insert(field);
            }
            if next == b"0" {
                break;
            }
            cursor = next;
            for change in changes.get(call).into_iter().flatten() {
                match change {
                    Change::Set(field) => {
                        set(&mut bench, std::slice::from_ref(field));
                        if stay.binary_search(field).is_err() {
                            go.push(field.clone());
                        }
                    }
                    Change::Delete(i) if !go.is_empty() => {
                        let field = go.swap_remove(i % go.len());
                        ask(&mut bench, &[b"hdel", b"h", &field]);
                    }
                    Change::Delete(_) => {}
                    Change::Flush => bench.flush(),
                }
            }
        }
        for field in &stay {
            prop_assert!(seen.contains(field), "{:?} was missed", field);
        }
    }
}

#[derive(Clone, Debug)]
enum Command {
    Set(Vec<(Bytes, Bytes)>),
    SetNew(Bytes, Bytes),
    Delete(Vec<Bytes>),
    Get(Bytes),
    GetMany(Vec<Bytes>),
    Add(Bytes, i64),
    AddFloat(Bytes, i8),
    Range(Bytes, Bytes, bool, u64, u64),
    All,
    Flush,
}

fn command() -> impl Strategy<Value = Command> {
    let field =
        || prop::sample::select(vec![&b""[..], b"a", b"b", b"ab", b"a\0", b"\xff", b"z"]).prop_map(<[u8]>::to_vec);
    let value =
        || prop::sample::select(vec![&b""[..], b"1", b"-7", b"x", b"9223372036854775807"]).prop_map(<[u8]>::to_vec);
    prop_oneof![
        3 => prop::collection::vec((field(), value()), 1..4).prop_map(Command::Set),
        2 => (field(), value()).prop_map(|(f, v)| Command::SetNew(f, v)),
        3 => prop::collection::vec(field(), 1..4).prop_map(Command::Delete),
        2 => field().prop_map(Command::Get),
        1 => prop::collection::vec(field(), 1..4).prop_map(Command::GetMany),
        1 => (field(), -3i64..4).prop_map(|(f, n)| Command::Add(f, n)),
        1 => (field(), any::<i8>()).prop_map(|(f, n)| Command::AddFloat(f, n)),
        2 => (field(), field(), any::<bool>(), 0u64..3, 0u64..4).prop_map(|(a, b, r, o, c)| Command::Range(a, b, r, o, c)),
        2 => Just(Command::All),
        1 => Just(Command::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn hashes_are_as_the_model(commands in prop::collection::vec(command(), 1..60), apply: bool) {
        let mut bench = Bench::new();
        bench.apply = apply;
        let mut model = BTreeMap::<Bytes, Bytes>::new();
        for command in commands {
            check(&mut bench, &mut model, command)?;
            prop_assert_eq!(ask(&mut bench, &[b"hlen", b"h"]), Value::Integer(model.len() as i64));
            let keys = bench.write(|cx| cx.counts().keys);
            prop_assert_eq!(keys, u64::from(!model.is_empty()));
        }
    }
}

fn check(bench: &mut Bench, model: &mut BTreeMap<Bytes, Bytes>, command: Command) -> Result<(), TestCaseError> {
    let bulk = |value: Option<&Bytes>| value.map_or(Value::Null, |value| Value::Bulk(value.clone()));
    match command {
        Command::Set(pairs) => {
            let mut args: Vec<&[u8]> = vec![b"hset", b"h"];
            let mut created = 0;
            for (field, value) in &pairs {
                args.extend([field.as_slice(), value.as_slice()]);
                created += i64::from(model.insert(field.clone(), value.clone()).is_none());
            }
            prop_assert_eq!(ask(bench, &args), Value::Integer(created));
        }
        Command::SetNew(field, value) => {
            let new = !model.contains_key(&field);
            prop_assert_eq!(
                ask(bench, &[b"hsetnx", b"h", &field, &value]),
                Value::Integer(new.into())
            );
            model.entry(field).or_insert(value);
        }
        Command::Delete(fields) => {
            let mut args: Vec<&[u8]> = vec![b"hdel", b"h"];
            args.extend(fields.iter().map(Vec::as_slice));
            let deleted: usize = fields
                .iter()
                .map(|field| usize::from(model.remove(field).is_some()))
                .sum();
            prop_assert_eq!(ask(bench, &args), Value::Integer(deleted as i64));
        }
        Command::Get(field) => {
            prop_assert_eq!(ask(bench, &[b"hget", b"h", &field]), bulk(model.get(&field)));
            let len = model.get(&field).map_or(0, Vec::len) as i64;
            prop_assert_eq!(ask(bench, &[b"hstrlen", b"h", &field]), Value::Integer(len));
            let exists = model.contains_key(&field).into();
            prop_assert_eq!(ask(bench, &[b"hexists", b"h", &field]), Value::Integer(exists));
        }
        Command::GetMany(fields) => {
            let mut args: Vec<&[u8]> = vec![b"hmget", b"h"];
            args.extend(fields.iter().map(Vec::as_slice));
            let expected = fields.iter().map(|field| bulk(model.get(field))).collect();
            prop_assert_eq!(ask(bench, &args), Value::Array(expected));
        }
        Command::Add(field, n) => {
            let reply = ask(bench, &[b"hincrby", b"h", &field, n.to_string().as_bytes()]);
            let old = model.get(&field).map_or(Some(0), |old| haypile_resp::parse_i64(old));
            match old.and_then(|old| old.checked_add(n)) {
                Some(sum) => {
                    prop_assert_eq!(reply, Value::Integer(sum));
                    model.insert(field, sum.to_string().into());
                }
                None => prop_assert!(reply.as_error().is_some()),
            }
        }
        Command::AddFloat(field, n) => {
            let n = format!("{}.5", n);
            let reply = ask(bench, &[b"hincrbyfloat", b"h", &field, n.as_bytes()]);
            let old = LongDouble::parse(model.get(&field).map_or(b"0", |old| old));
            match old.and_then(|old| old.checked_add(LongDouble::parse(n.as_bytes()).unwrap())) {
                Some(sum) => {
                    let sum = Bytes::from(sum.to_string());
                    prop_assert_eq!(reply, bulk(Some(&sum)));
                    model.insert(field, sum);
                }
                None => prop_assert!(reply.as_error().is_some()),
            }
        }
        Command::Range(a, b, reverse, offset, count) => {
            let (from, to) = ([b"[", a.as_slice()].concat(), [b"(", b.as_slice()].concat());
            let (offset_arg, count_arg) = (offset.to_string(), count.to_string());
            let limit: [&[u8]; 3] = [b"limit", offset_arg.as_bytes(), count_arg.as_bytes()];
            let (bounds, rev): ([&[u8]; 2], &[&[u8]]) = if reverse {
                ([&to, &from], &[b"rev"])
            } else {
                ([&from, &to], &[])
            };
            let reply = ask(
                bench,
                &[&[&b"hrangebylex"[..], b"h"][..], &bounds, &limit, rev].concat(),
            );
            let mut expected: Vec<_> = model.iter().filter(|(field, _)| **field >= a && **field < b).collect();
            if reverse {
                expected.reverse();
            }
            let expected: Vec<Bytes> = expected
                .into_iter()
                .skip(offset as usize)
                .take(count as usize)
                .flat_map(|(field, value)| [field.clone(), value.clone()])
                .collect();
            prop_assert_eq!(bulks(&reply), expected);
        }
        Command::All => {
            let all: Vec<Bytes> = model.iter().flat_map(|(f, v)| [f.clone(), v.clone()]).collect();
            prop_assert_eq!(bulks(&ask(bench, &[b"hgetall", b"h"])), all);
            let keys: Vec<Bytes> = model.keys().cloned().collect();
            prop_assert_eq!(bulks(&ask(bench, &[b"hkeys", b"h"])), keys);
            let values: Vec<Bytes> = model.values().cloned().collect();
            prop_assert_eq!(bulks(&ask(bench, &[b"hvals", b"h"])), values);
        }
        Command::Flush => bench.flush(),
    }
    Ok(())
}
