//! Random commands against a model in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::key::active_expire::expire_due;
use crate::key::digest;
use crate::testing::Bench;

/// A key's value and when it expires, in each of two databases.
type Keys = BTreeMap<(u16, u8), (u32, Option<u64>)>;

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u32),
    Del(u8, u8),
    Expire(u8, i64, Option<&'static str>),
    Persist(u8),
    Rename(u8, u8, bool),
    Copy(u8, u8, u16, bool),
    Move(u8, u16),
    Select(u16),
    Swap,
    Flush(bool),
    Wait(u64),
    ExpireDue(usize),
    Random,
    Apply,
}

const KEYS: u8 = 6;

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS;
    prop_oneof![
        6 => (key(), any::<u32>()).prop_map(|(k, v)| Step::Set(k, v)),
        2 => (key(), key()).prop_map(|(a, b)| Step::Del(a, b)),
        6 => (key(), -5..60i64, prop::sample::select(vec![None, Some("nx"), Some("xx"), Some("gt"), Some("lt")]))
            .prop_map(|(k, ms, option)| Step::Expire(k, ms, option)),
        2 => key().prop_map(Step::Persist),
        3 => (key(), key(), any::<bool>()).prop_map(|(a, b, nx)| Step::Rename(a, b, nx)),
        3 => (key(), key(), 0..2u16, any::<bool>()).prop_map(|(a, b, db, replace)| Step::Copy(a, b, db, replace)),
        2 => (key(), 0..2u16).prop_map(|(k, db)| Step::Move(k, db)),
        1 => (0..2u16).prop_map(Step::Select),
        1 => Just(Step::Swap),
        1 => any::<bool>().prop_map(Step::Flush),
        4 => (1..20u64).prop_map(Step::Wait),
        2 => (0..4usize).prop_map(Step::ExpireDue),
        1 => Just(Step::Random),
        1 => Just(Step::Apply),
    ]
}

/// The model, and the bench that has to say the same.
struct Pair {
    bench: Bench,
    keys: Keys,
}

fn name(key: u8) -> String {
    format!("key:{key}")
}

impl Pair {
    fn at(&self, key: u8) -> (u16, u8) {
        (self.bench.db, key)
    }

    fn live(&self, at: (u16, u8)) -> Option<(u32, Option<u64>)> {
        let now = self.bench.now;
        self.keys
            .get(&at)
            .copied()
            .filter(|(_, expire)| expire.is_none_or(|t| t > now))
    }

    /// Looks a key up as a writing command does: what has expired goes.
    fn look_up(&mut self, at: (u16, u8)) -> Option<(u32, Option<u64>)> {
        let live = self.live(at);
        if live.is_none() {
            self.keys.remove(&at);
        }
        live
    }

    fn expect(&mut self, line: &str, reply: impl std::fmt::Display) {
        let got = self.bench.run(line);
        assert_eq!(got, format!("{reply}|"), "{line}");
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Set(key, value) => {
                self.bench.string(&name(key), &value.to_string());
                self.keys.insert(self.at(key), (value, None));
            }
            Step::Del(a, b) => {
                let mut n = 0;
                for key in [a, b] {
                    let at = self.at(key);
                    n += i64::from(self.look_up(at).is_some());
                    self.keys.remove(&at);
                }
                self.expect(&format!("del {} {}", name(a), name(b)), format!(":{n}"));
            }
            Step::Expire(key, ms, option) => self.expire(key, ms, option),
            Step::Persist(key) => {
                let at = self.at(key);
                let persisted = matches!(self.look_up(at), Some((_, Some(_))));
                if let Some((_, expire)) = self.keys.get_mut(&at) {
                    *expire = None;
                }
                self.expect(&format!("persist {}", name(key)), format!(":{}", i32::from(persisted)));
            }
            Step::Rename(a, b, nx) => self.rename(a, b, nx),
            Step::Copy(a, b, db, replace) => self.copy(a, b, db, replace),
            Step::Move(key, db) => self.move_key(key, db),
            Step::Select(db) => self.bench.db = db,
            Step::Swap => {
                self.expect("swapdb 0 1", "+OK");
                let swapped = std::mem::take(&mut self.keys).into_iter();
                self.keys = swapped.map(|((db, key), value)| ((1 - db, key), value)).collect();
            }
            Step::Flush(all) => {
                self.expect(if all { "flushall" } else { "flushdb" }, "+OK");
                let selected = self.bench.db;
                self.keys.retain(|(db, _), _| !all && *db != selected);
            }
            Step::Wait(ms) => self.bench.now += ms,
            Step::ExpireDue(max) => self.expire_due(max),
            Step::Random => {
                let reply = self.bench.run("randomkey");
                let live: Vec<u8> = (0..KEYS).filter(|&k| self.live(self.at(k)).is_some()).collect();
                match reply.strip_prefix("$5|key:") {
                    Some(key) => assert!(live.contains(&key.trim_end_matches('|').parse().unwrap()), "{reply}"),
                    None => assert_eq!((reply.as_str(), live), ("$-1|", vec![])),
                }
            }
            Step::Apply => self.bench.flush(),
        }
    }

    fn expire(&mut self, key: u8, ms: i64, option: Option<&str>) {
        let at = self.at(key);
        let when = self.bench.now as i64 + ms;
        let mut reply = 0;
        if let Some((value, current)) = self.look_up(at) {
            let current = current.map(|t| t as i64);
            let allowed = match option {
                None => true,
                Some("nx") => current.is_none(),
                Some("xx") => current.is_some(),
                Some("gt") => current.is_some_and(|t| when > t),
                Some(_) => current.is_none_or(|t| when < t),
            };
            if allowed {
                reply = 1;
                if ms <= 0 {
                    self.keys.remove(&at);
                } else {
                    self.keys.insert(at, (value, Some(when as u64)));
                }
            }
        }
        let line = format!("pexpire {} {ms} {}", name(key), option.unwrap_or_default());
        self.expect(line.trim_end(), format!(":{reply}"));
    }

    fn rename(&mut self, a: u8, b: u8, nx: bool) {
        let (from, to) = (self.at(a), self.at(b));
        let line = format!("{} {} {}", if nx { "renamenx" } else { "rename" }, name(a), name(b));
        // An error leaves no effects, so what has expired is still there.
        let Some(value) = self.live(from) else {
            return self.expect(&line, "-ERR no such key");
        };
        let renamed = a != b && (self.look_up(to).is_none() || !nx);
        if renamed {
            self.keys.remove(&from);
            self.keys.insert(to, value);
        }
        let reply = if nx {
            format!(":{}", i32::from(renamed))
        } else {
            "+OK".to_owned()
        };
        self.expect(&line, reply);
    }

    fn copy(&mut self, a: u8, b: u8, db: u16, replace: bool) {
        let (from, to) = (self.at(a), (db, b));
        let option = if replace { " replace" } else { "" };
        let line = format!("copy {} {} db {db}{option}", name(a), name(b));
        if from == to {
            return self.expect(&line, "-ERR source and destination objects are the same");
        }
        let mut copied = false;
        if let Some(value) = self.look_up(from) {
            copied = self.look_up(to).is_none() || replace;
            if copied {
                self.keys.insert(to, value);
            }
        }
        self.expect(&line, format!(":{}", i32::from(copied)));
    }

    fn move_key(&mut self, key: u8, db: u16) {
        let (from, to) = (self.at(key), (db, key));
        let line = format!("move {} {db}", name(key));
        if from == to {
            return self.expect(&line, "-ERR source and destination objects are the same");
        }
        let mut moved = false;
        if let Some(value) = self.look_up(from) {
            moved = self.look_up(to).is_none();
            if moved {
                self.keys.remove(&from);
                self.keys.insert(to, value);
            }
        }
        self.expect(&line, format!(":{}", i32::from(moved)));
    }

    fn expire_due(&mut self, max: usize) {
        let (now, db) = (self.bench.now, self.bench.db);
        let times = || {
            self.keys
                .iter()
                .filter(|((d, _), _)| *d == db)
                .filter_map(|(_, (_, at))| *at)
        };
        let due = times().filter(|at| *at <= now).count();
        let (expired, next_at) = self.bench.write(|cx| expire_due(cx, max));
        assert_eq!(expired, due.min(max));
        let mut left: Vec<u64> = times().collect();
        left.sort_unstable();
        assert_eq!(next_at, left.get(expired).copied());
        // Which ones went among those with the same time is the index's business.
        let there: Vec<u8> = (0..KEYS).filter(|&key| self.has_row(key)).collect();
        self.keys.retain(|(d, key), _| *d != db || there.contains(key));
    }

    fn has_row(&mut self, key: u8) -> bool {
        let meta = haypile_store::keys::meta_key(name(key).as_bytes());
        self.bench.write(|cx| cx.raw_row(&meta).unwrap().is_some())
    }

    /// Everything that can be read says what the model has.
    fn check(&mut self) {
        for db in 0..2 {
            self.bench.db = db;
            let of_db = self.keys.range((db, 0)..(db + 1, 0));
            let counts = of_db.clone().fold((0, 0), |(keys, expires), (_, (_, at))| {
                (keys + 1, expires + u64::from(at.is_some()))
            });
            assert_eq!(self.bench.counts(), counts);
            assert_eq!(self.bench.run("dbsize"), format!(":{}|", counts.0));
            let live: Vec<u8> = (0..KEYS).filter(|&key| self.live((db, key)).is_some()).collect();
            let names: Vec<String> = live.iter().map(|&key| name(key)).collect();
            assert_eq!(self.bench.list("keys *"), names);
            for key in 0..KEYS {
                let (get, pttl) = match self.live((db, key)) {
                    None => ("$-1|".to_owned(), -2),
                    Some((value, at)) => {
                        let value = value.to_string();
                        (
                            format!("${}|{value}|", value.len()),
                            at.map_or(-1, |at| (at - self.bench.now) as i64),
                        )
                    }
                };
                assert_eq!(self.bench.run(&format!("get {}", name(key))), get);
                assert_eq!(self.bench.run(&format!("pttl {}", name(key))), format!(":{pttl}|"));
            }
        }
    }

    /// The digest is that of the same keys made in order.
    fn check_digest(&mut self) {
        let mut fresh = Bench::new();
        for (&(db, key), &(value, at)) in &self.keys {
            fresh.db = db;
            fresh.string(&name(key), &value.to_string());
            if let Some(at) = at {
                fresh.now = 0;
                fresh.run(&format!("pexpireat {} {at}", name(key)));
            }
        }
        let digest = |bench: &mut Bench| bench.write(|cx| digest::everything(&mut cx.view).unwrap());
        assert_eq!(digest(&mut fresh), digest(&mut self.bench));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn commands_do_what_the_model_does(steps in prop::collection::vec(step(), 1..80), apply: bool) {
        let mut pair = Pair { bench: Bench::new(), keys: Keys::new() };
        pair.bench.apply = apply;
        for step in steps {
            pair.run(step);
        }
        // Once with what is pending, once without. A read of a key that has expired would remove it from what is pending.
        pair.check_digest();
        pair.bench.flush();
        pair.check_digest();
        pair.check();
    }
}
