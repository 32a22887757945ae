//! Sets against a model.

use std::collections::{BTreeMap, BTreeSet};

use haypile_resp::Request;
use haypile_resp::client::{Value, decode};
use proptest::prelude::*;

use crate::testing::Bench;

type Model = BTreeMap<&'static str, BTreeSet<u16>>;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

fn ask(bench: &mut Bench, line: &str) -> Value {
    let reply = bench.raw(&Request::from_args(line.split(' ')));
    let (value, used) = decode(&reply).unwrap().unwrap();
    assert_eq!(used, reply.len());
    value
}

/// A reply's members; each comes once.
fn members(value: &Value) -> BTreeSet<u16> {
    let elements = value.as_elements().unwrap();
    let set: BTreeSet<u16> = elements.iter().map(number).collect();
    assert_eq!(set.len(), elements.len());
    set
}

fn number(value: &Value) -> u16 {
    std::str::from_utf8(value.as_bytes().unwrap()).unwrap().parse().unwrap()
}

#[derive(Clone, Debug)]
enum Command {
    Add(&'static str, Vec<u16>),
    AddRange(&'static str, u16, u16),
    Remove(&'static str, Vec<u16>),
    Move(&'static str, &'static str, u16),
    Pop(&'static str),
    PopMany(&'static str, usize),
    Random(&'static str, i64),
    Combine(&'static str, Option<&'static str>, Vec<&'static str>),
    CountShared(Vec<&'static str>, usize),
    Read(&'static str, u16),
    Scan(&'static str),
    Flush,
}

fn command() -> impl Strategy<Value = Command> {
    let key = || prop::sample::select(&KEYS[..]);
    let keys = || prop::collection::vec(key(), 1..4);
    let numbers = || prop::collection::vec(0u16..400, 1..5);
    prop_oneof![
        3 => (key(), numbers()).prop_map(|(k, n)| Command::Add(k, n)),
        3 => (key(), 0u16..400, 1u16..300).prop_map(|(k, from, n)| Command::AddRange(k, from, n)),
        3 => (key(), numbers()).prop_map(|(k, n)| Command::Remove(k, n)),
        2 => (key(), key(), 0u16..400).prop_map(|(a, b, n)| Command::Move(a, b, n)),
        2 => key().prop_map(Command::Pop),
        2 => (key(), 0usize..300).prop_map(|(k, n)| Command::PopMany(k, n)),
        2 => (key(), -50i64..300).prop_map(|(k, n)| Command::Random(k, n)),
        6 => (prop::sample::select(vec!["sinter", "sunion", "sdiff"]), prop::option::of(key()), keys())
            .prop_map(|(c, to, k)| Command::Combine(c, to, k)),
        1 => (keys(), 0usize..50).prop_map(|(k, n)| Command::CountShared(k, n)),
        2 => (key(), 0u16..400).prop_map(|(k, n)| Command::Read(k, n)),
        1 => key().prop_map(Command::Scan),
        1 => Just(Command::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn sets_are_as_the_model(commands in prop::collection::vec(command(), 1..40), apply: bool) {
        let mut bench = Bench::new();
        bench.apply = apply;
        let mut model = Model::new();
        for command in commands {
            check(&mut bench, &mut model, &command)?;
            model.retain(|_, set| !set.is_empty());
            for key in KEYS {
                let expected = model.get(key).cloned().unwrap_or_default();
                prop_assert_eq!(ask(&mut bench, &format!("scard {key}")), Value::Integer(expected.len() as i64));
                prop_assert_eq!(members(&ask(&mut bench, &format!("smembers {key}"))), expected);
            }
            let keys = bench.write(|cx| cx.counts().keys);
            prop_assert_eq!(keys, model.len() as u64);
        }
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

fn check(bench: &mut Bench, model: &mut Model, command: &Command) -> Result<(), TestCaseError> {
    match command {
        Command::Add(key, numbers) => add(bench, model, key, numbers)?,
        Command::AddRange(key, from, n) => add(bench, model, key, &(*from..from + n).collect::<Vec<_>>())?,
        Command::Remove(key, numbers) => {
            let set = model.entry(key).or_default();
            let removed = numbers.iter().filter(|&n| set.remove(n)).count();
            let reply = ask(bench, &format!("srem {key} {}", list(numbers)));
            prop_assert_eq!(reply, Value::Integer(removed as i64));
        }
        Command::Move(from, to, n) => {
            let moved = model.get(from).is_some_and(|set| set.contains(n));
            prop_assert_eq!(
                ask(bench, &format!("smove {from} {to} {n}")),
                Value::Integer(moved.into())
            );
            if moved {
                model.entry(from).or_default().remove(n);
                model.entry(to).or_default().insert(*n);
            }
        }
        Command::Pop(key) => {
            let set = model.entry(key).or_default();
            match ask(bench, &format!("spop {key}")) {
                Value::Null => prop_assert!(set.is_empty()),
                popped => prop_assert!(set.remove(&number(&popped))),
            }
        }
        Command::PopMany(key, n) => {
            let set = model.entry(key).or_default();
            let popped = members(&ask(bench, &format!("spop {key} {n}")));
            prop_assert_eq!(popped.len(), set.len().min(*n));
            prop_assert!(popped.iter().all(|n| set.remove(n)));
        }
        Command::Random(key, n) => {
            let set = model.get(key).cloned().unwrap_or_default();
            let reply = ask(bench, &format!("srandmember {key} {n}"));
            let got = reply.as_elements().unwrap();
            if *n < 0 {
                let len = if set.is_empty() { 0 } else { n.unsigned_abs() as usize };
                prop_assert_eq!(got.len(), len);
            } else {
                prop_assert_eq!(members(&reply).len(), set.len().min(*n as usize));
            }
            prop_assert!(got.iter().all(|value| set.contains(&number(value))));
        }
        Command::Combine(operation, to, keys) => {
            let expected = combined(model, operation, keys);
            match to {
                None => {
                    let reply = ask(bench, &format!("{operation} {}", list(keys)));
                    prop_assert_eq!(members(&reply), expected);
                }
                Some(to) => {
                    let reply = ask(bench, &format!("{operation}store {to} {}", list(keys)));
                    prop_assert_eq!(reply, Value::Integer(expected.len() as i64));
                    model.insert(to, expected);
                }
            }
        }
        Command::CountShared(keys, limit) => {
            let shared = combined(model, "sinter", keys).len();
            let expected = if *limit == 0 { shared } else { shared.min(*limit) };
            let reply = ask(
                bench,
                &format!("sintercard {} {} limit {limit}", keys.len(), list(keys)),
            );
            prop_assert_eq!(reply, Value::Integer(expected as i64));
        }
        Command::Read(key, n) => {
            let is_member = Value::Integer(model.get(key).is_some_and(|set| set.contains(n)).into());
            prop_assert_eq!(ask(bench, &format!("sismember {key} {n}")), is_member.clone());
            let reply = ask(bench, &format!("smismember {key} {n} x"));
            prop_assert_eq!(reply, Value::Array(vec![is_member, Value::Integer(0)]));
        }
        Command::Scan(key) => {
            let (mut cursor, mut seen) = ("0".to_owned(), Vec::new());
            loop {
                let reply = ask(bench, &format!("sscan {key} {cursor} count 7"));
                let parts = reply.as_elements().unwrap();
                seen.extend(parts[1].as_elements().unwrap().iter().map(number));
                cursor = String::from_utf8(parts[0].as_bytes().unwrap().to_vec()).unwrap();
                if cursor == "0" {
                    break;
                }
            }
            let expected = model.get(key).cloned().unwrap_or_default();
            prop_assert_eq!(seen.len(), expected.len());
            prop_assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
        }
        Command::Flush => bench.flush(),
    }
    Ok(())
}

fn add(bench: &mut Bench, model: &mut Model, key: &'static str, numbers: &[u16]) -> Result<(), TestCaseError> {
    let set = model.entry(key).or_default();
    let added = numbers.iter().filter(|&&n| set.insert(n)).count();
    let reply = ask(bench, &format!("sadd {key} {}", list(numbers)));
    prop_assert_eq!(reply, Value::Integer(added as i64));
    Ok(())
}

fn combined(model: &Model, operation: &str, keys: &[&'static str]) -> BTreeSet<u16> {
    let mut sets = keys.iter().map(|key| model.get(key).cloned().unwrap_or_default());
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |all, set| match operation {
        "sinter" => &all & &set,
        "sunion" => &all | &set,
        _ => &all - &set,
    })
}
