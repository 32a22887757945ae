//! Elements go from one collection to another: each is in one of them at any time, and none is missing or doubled.

use super::super::data::{Data, Item, Kind};
use super::super::reads;
use super::super::scenario::{Scenario, State, Unit, line};
use haypile_testkit::Rng;

/// Elements that move from `left` to `right` one by one, all of them, and then back.
pub struct Moves {
    /// List (LMOVE, RPOPLPUSH or MULTI) or set (SMOVE or MULTI).
    pub kind: Kind,
    pub elements: u64,
}

impl Moves {
    fn key(&self, right: bool) -> String {
        format!("{}:{}", self.name(), if right { "right" } else { "left" })
    }

    /// The elements of a key: from one to another, both as numbers, the second excluded.
    fn range(&self, state: State, right: bool) -> std::ops::Range<u64> {
        let all = self.elements;
        let at = state % (2 * all);
        // First those from 0 on go to the right, in order, then they come back.
        let (moved, back) = if at <= all { (at, false) } else { (at - all, true) };
        if right == back { moved..all } else { 0..moved }
    }

    fn element(number: u64) -> String {
        format!("e{number}")
    }
}

impl Scenario for Moves {
    fn name(&self) -> String {
        format!("moves-{}-{}", self.kind.name(), self.elements)
    }

    fn cost(&self) -> u64 {
        1 + self.elements / 4
    }

    fn begin(&self) -> Vec<Unit> {
        let all: Vec<String> = (0..self.elements).map(Moves::element).collect();
        let name = if self.kind == Kind::List { "RPUSH" } else { "SADD" };
        vec![Unit::of(&format!("{name} {} {}", self.key(false), all.join(" ")))]
    }

    fn step(&self, step: u64) -> Unit {
        // The one that is moved is the first of where it is, and becomes the last of where it goes.
        let from_right = (step - 1) / self.elements % 2 == 1;
        let (from, to) = (self.key(from_right), self.key(!from_right));
        let element = Moves::element((step - 1) % self.elements);
        match (self.kind, step % 3) {
            (Kind::List, 0) => Unit::transaction(
                0,
                vec![line(&format!("LPOP {from}")), line(&format!("RPUSH {to} {element}"))],
            ),
            (Kind::List, _) => Unit::of(&format!("LMOVE {from} {to} LEFT RIGHT")),
            (_, 0) => {
                let remove = line(&format!("SREM {from} {element}"));
                Unit::transaction(0, vec![remove, line(&format!("SADD {to} {element}"))])
            }
            _ => Unit::of(&format!("SMOVE {from} {to} {element}")),
        }
    }

    fn item(&self, state: State, _: u16, key: &str) -> Option<Item> {
        let right = key == self.key(true);
        if !right && key != self.key(false) {
            return None;
        }
        let elements = self.range(state, right).map(Moves::element);
        let data = match self.kind {
            Kind::List => Data::List(elements.collect()),
            _ => Data::Set(elements.collect()),
        };
        let empty = self.range(state, right).is_empty();
        (!empty).then(|| data.into())
    }

    fn read(&self, _: State, rng: &mut Rng) -> Unit {
        let keys = [self.key(false), self.key(true)];
        let key = rng.pick(&keys).clone();
        let (index, element) = (rng.below(self.elements), Moves::element(rng.below(self.elements)));
        let choices: &[&str] = match self.kind {
            Kind::List => &[
                "LRANGE {k} 0 -1",
                "LLEN {k}",
                "LLEN {k}",
                "LINDEX {k} 0",
                "LINDEX {k} -1",
                "LINDEX {k} {i}",
                "LPOS {k} {e}",
            ],
            _ => &[
                "SMEMBERS {k}",
                "SCARD {k}",
                "SISMEMBER {k} {e}",
                "SMISMEMBER {k} {e} e0",
            ],
        };
        let one = |rng: &mut Rng, key: &str| {
            let text = rng.pick(choices).replace("{k}", key).replace("{e}", &element);
            line(&text.replace("{i}", &index.to_string()))
        };
        match rng.below(8) {
            0 => Unit::transaction(0, keys.iter().map(|key| one(rng, key)).collect()),
            1..4 => Unit::single(0, reads::of_keys(self.kind, [&keys[0], &keys[1]], rng)),
            _ => Unit::single(0, one(rng, &key)),
        }
    }
}
