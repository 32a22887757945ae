//! A live key gets another value as a whole, in each of the ways that there are. Whoever reads sees one generation of
//! it, complete.

use super::super::data::{DIRTY, Item, Kind, Shape, content, create};
use super::super::reads;
use super::super::scenario::{Command, Scenario, State, Unit, line};
use haypile_testkit::Rng;

/// How the value comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// MULTI: another value, DEL, and the one that stays.
    Dirty,
    /// MULTI: DEL and the new value.
    Anew,
    /// DEL, and then the new value: there is none between.
    Apart,
    /// RENAME of a new key onto the live one.
    Rename,
    /// MULTI: three RENAMEs, so that two live keys change places.
    Exchange,
    /// COPY ... REPLACE.
    Copy,
    /// A command that stores its result, which is what another key has.
    Store,
}

/// Key `live`, and `other`, from which it comes or with which it changes places.
pub struct Replace {
    way: Way,
    kind: Kind,
    shape: Shape,
    live: String,
    other: String,
}

impl Replace {
    pub fn new(way: Way, kind: Kind, shape: Shape) -> Replace {
        let name = format!("{way:?}-{}-{}", kind.name(), shape.name()).to_lowercase();
        Replace {
            way,
            kind,
            shape,
            live: format!("{name}:live"),
            other: format!("{name}:other"),
        }
    }

    fn create(&self, key: &str, generation: u64) -> Command {
        create(key, &content(self.kind, self.shape, generation))
    }

    /// The generations of the live key and the other one; `None` where there is none.
    fn generations(&self, state: State) -> (Option<u64>, Option<u64>) {
        let (whole, half) = (state / 2, state % 2 == 1);
        match self.way {
            Way::Dirty | Way::Anew => (Some(state), None),
            Way::Apart => ((!half).then_some(whole), None),
            Way::Rename => (Some(whole), half.then_some(whole + 1)),
            Way::Exchange => (Some(state % 2), Some(1 - state % 2)),
            Way::Copy | Way::Store => (Some(whole), Some(state.div_ceil(2))),
        }
    }

    /// The command that stores what the other key has.
    fn store(&self, step: u64) -> Command {
        let choices: &[&str] = match self.kind {
            Kind::Set => &[
                "SUNIONSTORE {l} {o}",
                "SINTERSTORE {l} {o} {o}",
                "SDIFFSTORE {l} {o} nothing",
            ],
            Kind::Zset => &[
                "ZUNIONSTORE {l} 1 {o}",
                "ZRANGESTORE {l} {o} 0 -1",
                "ZINTERSTORE {l} 2 {o} {o} WEIGHTS 1 0",
                "ZDIFFSTORE {l} 2 {o} nothing",
            ],
            _ => &["BITOP OR {l} {o}", "BITOP AND {l} {o} {o}"],
        };
        let text = choices[(step / 2) as usize % choices.len()];
        line(&text.replace("{l}", &self.live).replace("{o}", &self.other))
    }

    fn delete(&self, key: &str) -> Command {
        line(&format!("DEL {key}"))
    }

    /// The first half of a step of two: the other key gets the next generation.
    fn prepare(&self, generation: u64) -> Unit {
        match self.way {
            Way::Rename => Unit::single(0, self.create(&self.other, generation)),
            _ => Unit::transaction(0, vec![self.delete(&self.other), self.create(&self.other, generation)]),
        }
    }
}

impl Scenario for Replace {
    fn name(&self) -> String {
        self.live.trim_end_matches(":live").to_owned()
    }

    fn cost(&self) -> u64 {
        self.shape.count + (self.shape.pad as u64 * self.shape.count) / 64
    }

    fn begin(&self) -> Vec<Unit> {
        let (live, other) = self.generations(0);
        let keys = [(&self.live, live), (&self.other, other)];
        let there = keys
            .into_iter()
            .filter_map(|(key, generation)| Some((key, generation?)));
        there
            .map(|(key, generation)| Unit::single(0, self.create(key, generation)))
            .collect()
    }

    fn step(&self, step: u64) -> Unit {
        let (live, other) = (&self.live, &self.other);
        match (self.way, step % 2) {
            (Way::Dirty, _) => {
                let (dirty, clean) = (self.create(live, DIRTY), self.create(live, step));
                Unit::transaction(0, vec![dirty, self.delete(live), clean])
            }
            (Way::Anew, _) => Unit::transaction(0, vec![self.delete(live), self.create(live, step)]),
            (Way::Apart, 1) => Unit::single(0, self.delete(live)),
            (Way::Apart, _) => Unit::single(0, self.create(live, step / 2)),
            (Way::Exchange, _) => {
                let renames = [(live.as_str(), "{x}"), (other, live), ("{x}", other)];
                let between = format!("{}:between", self.name());
                let renames = renames.map(|(from, to)| line(&format!("RENAME {from} {to}").replace("{x}", &between)));
                Unit::transaction(0, renames.into())
            }
            (_, 1) => self.prepare(step / 2 + 1),
            (Way::Rename, _) => Unit::of(&format!("RENAME {other} {live}")),
            (Way::Copy, _) => Unit::of(&format!("COPY {other} {live} REPLACE")),
            (Way::Store, _) => Unit::single(0, self.store(step)),
        }
    }

    fn item(&self, state: State, _: u16, key: &str) -> Option<Item> {
        let (live, other) = self.generations(state);
        let generation = match key {
            key if key == self.live => live?,
            key if key == self.other => other?,
            _ => return None,
        };
        Some(content(self.kind, self.shape, generation).into())
    }

    fn read(&self, near: State, rng: &mut Rng) -> Unit {
        let generation = self.generations(near).0.unwrap_or(near / 2);
        let one = |rng: &mut Rng| reads::of_key(self.kind, self.shape, &self.live, generation, rng);
        let two = |rng: &mut Rng| reads::of_keys(self.kind, [&self.live, &self.other], rng);
        match rng.below(16) {
            0 => Unit::transaction(0, vec![one(rng), one(rng), two(rng)]),
            1 => Unit::single(0, two(rng)),
            2 => Unit::single(0, reads::of_key(self.kind, self.shape, &self.other, generation, rng)),
            _ => Unit::single(0, one(rng)),
        }
    }
}
