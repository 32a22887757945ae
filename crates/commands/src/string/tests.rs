//! Strings against a map in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::testing::Bench;

#[derive(Clone, Debug)]
enum Step {
    Set(u8, String, Option<u64>),
    SetNx(u8, String),
    Get(u8),
    GetDel(u8),
    Append(u8, String),
    IncrBy(u8, i64),
    SetRange(u8, usize, String),
    MSet(Vec<(u8, String)>),
    MGet(Vec<u8>),
    Persist(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..4u8;
    let value = "[a-c]{0,6}|[1-9][0-9]{0,3}";
    prop_oneof![
        (key.clone(), value, prop::option::of(1..10u64)).prop_map(|(k, v, t)| Step::Set(k, v, t)),
        (key.clone(), value).prop_map(|(k, v)| Step::SetNx(k, v)),
        key.clone().prop_map(Step::Get),
        key.clone().prop_map(Step::GetDel),
        (key.clone(), value).prop_map(|(k, v)| Step::Append(k, v)),
        (key.clone(), -9..9i64).prop_map(|(k, n)| Step::IncrBy(k, n)),
        (key.clone(), 0..9usize, value).prop_map(|(k, at, v)| Step::SetRange(k, at, v)),
        prop::collection::vec((key.clone(), value), 1..4).prop_map(Step::MSet),
        prop::collection::vec(key.clone(), 1..4).prop_map(Step::MGet),
        key.prop_map(Step::Persist),
        (1..6u64).prop_map(Step::Wait),
    ]
}

/// Values and when they expire.
#[derive(Default)]
struct Model(BTreeMap<u8, (Vec<u8>, Option<u64>)>);

fn bulk(value: Option<&[u8]>) -> String {
    match value {
        Some(value) => format!("${}|{}|", value.len(), String::from_utf8_lossy(value)),
        None => "$-1|".into(),
    }
}

impl Model {
    fn get(&self, key: u8) -> Option<&[u8]> {
        self.0.get(&key).map(|(value, _)| value.as_slice())
    }

    fn entry(&mut self, key: u8) -> &mut Vec<u8> {
        &mut self.0.entry(key).or_default().0
    }

    /// The command that a step is, and what is expected of it.
    fn step(&mut self, step: &Step, now: u64) -> (Vec<String>, String) {
        let line = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        match step {
            Step::Set(k, v, ttl) => {
                self.0.insert(*k, (v.clone().into(), ttl.map(|ttl| now + ttl)));
                let ttl = ttl.map(|ttl| format!(" px {ttl}")).unwrap_or_default();
                (line(format!("set {k} {v}{ttl}")), "+OK|".into())
            }
            Step::SetNx(k, v) => {
                let new = self.get(*k).is_none();
                if new {
                    self.0.insert(*k, (v.clone().into(), None));
                }
                (line(format!("setnx {k} {v}")), format!(":{}|", u8::from(new)))
            }
            Step::Get(k) => (line(format!("get {k}")), bulk(self.get(*k))),
            Step::GetDel(k) => {
                let expected = bulk(self.get(*k));
                self.0.remove(k);
                (line(format!("getdel {k}")), expected)
            }
            Step::Append(k, v) => {
                let value = self.entry(*k);
                value.extend_from_slice(v.as_bytes());
                (line(format!("append {k} {v}")), format!(":{}|", value.len()))
            }
            Step::IncrBy(k, n) => {
                let text = self.get(*k).unwrap_or(b"0");
                let expected = match haypile_resp::parse_i64(text) {
                    Some(old) => {
                        *self.entry(*k) = (old + n).to_string().into();
                        format!(":{}|", old + n)
                    }
                    None => "-ERR value is not an integer or out of range|".into(),
                };
                (line(format!("incrby {k} {n}")), expected)
            }
            Step::SetRange(k, at, v) => {
                if !v.is_empty() {
                    let value = self.entry(*k);
                    value.resize(value.len().max(at + v.len()), 0);
                    value[*at..at + v.len()].copy_from_slice(v.as_bytes());
                }
                let len = self.get(*k).map_or(0, <[u8]>::len);
                (line(format!("setrange {k} {at} {v}")), format!(":{len}|"))
            }
            Step::MSet(pairs) => {
                let mut args = vec!["mset".to_owned()];
                for (k, v) in pairs {
                    self.0.insert(*k, (v.clone().into(), None));
                    args.extend([k.to_string(), v.clone()]);
                }
                (args, "+OK|".into())
            }
            Step::MGet(keys) => {
                let args = std::iter::once("mget".to_owned()).chain(keys.iter().map(u8::to_string));
                let values: String = keys.iter().map(|k| bulk(self.get(*k))).collect();
                (args.collect(), format!("*{}|{values}", keys.len()))
            }
            Step::Persist(k) => {
                if let Some((_, expire_at)) = self.0.get_mut(k) {
                    *expire_at = None;
                }
                (line(format!("getex {k} persist")), bulk(self.get(*k)))
            }
            Step::Wait(_) => (line("strlen nothing".into()), ":0|".into()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn strings_are_a_map(steps in prop::collection::vec(step(), 1..80), apply: bool) {
        let mut bench = Bench::new();
        bench.apply = apply;
        let mut model = Model::default();
        for step in &steps {
            if let Step::Wait(ms) = step {
                bench.now += ms;
                let now = bench.now;
                model.0.retain(|_, (_, expire_at)| expire_at.is_none_or(|at| at > now));
            }
            let (args, expected) = model.step(step, bench.now);
            prop_assert_eq!(bench.run_args(&args), expected, "{:?}", args);
        }
    }
}

#[test]
fn other_types_are_refused_or_replaced() {
    let mut bench = Bench::new();
    bench.run("lpush k a");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value|";
    for line in [
        "get k",
        "strlen k",
        "getdel k",
        "getex k persist",
        "set k v get",
        "getset k v",
        "append k v",
        "setrange k 1 v",
        "getrange k 0 1",
        "incr k",
        "incrbyfloat k 1",
    ] {
        assert_eq!(bench.run(line), wrong, "{line}");
    }
    assert_eq!(
        bench.run("lcs k k"),
        "-ERR The specified keys must contain string values|"
    );
    assert_eq!(bench.run("mget k"), "*1|$-1|");
    assert_eq!(bench.run("setnx k v"), ":0|");
    assert_eq!(bench.run("llen k"), ":1|");
    assert_eq!(bench.run("set k v"), "+OK|");
    assert_eq!(bench.heard, ["set k"]);
    assert_eq!(bench.run("get k"), "$1|v|");
}
