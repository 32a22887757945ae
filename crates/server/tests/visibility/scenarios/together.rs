//! Several keys change in one command or transaction, or one after another: what is read of them fits together.

use super::super::data::{Data, Item, KINDS, Kind, SMALL, Shape, content, create};
use super::super::reads;
use super::super::scenario::{Command, Scenario, State, Unit, line};
use haypile_testkit::Rng;

/// Two of these keys or fields.
fn two(of: u64, rng: &mut Rng) -> [u64; 2] {
    [rng.below(of), rng.below(of)]
}

/// MSET of many keys with one number.
pub struct Mset {
    pub keys: u64,
    /// Bytes of each value besides the number.
    pub pad: usize,
}

impl Mset {
    fn key(&self, index: u64) -> String {
        format!("{}:{index}", self.name())
    }

    fn value(&self, step: u64) -> String {
        format!("{step}:{}", "x".repeat(self.pad))
    }

    fn write(&self, step: u64) -> Unit {
        let pairs = (0..self.keys).flat_map(|index| [self.key(index), self.value(step)]);
        Unit::single(0, std::iter::once("MSET".to_owned()).chain(pairs).collect())
    }
}

impl Scenario for Mset {
    fn name(&self) -> String {
        format!("mset-{}-of-{}", self.keys, self.pad)
    }

    fn cost(&self) -> u64 {
        self.keys * (1 + self.pad as u64 / 64)
    }

    fn begin(&self) -> Vec<Unit> {
        vec![self.write(0)]
    }

    fn step(&self, step: u64) -> Unit {
        self.write(step)
    }

    fn item(&self, state: State, _: u16, _: &str) -> Option<Item> {
        Some(Data::Text(self.value(state)).into())
    }

    fn read(&self, _: State, rng: &mut Rng) -> Unit {
        let [a, b] = two(self.keys, rng).map(|index| self.key(index));
        match rng.below(8) {
            0 => Unit::of(&format!("MGET {a} {b}")),
            1 => Unit::single(
                0,
                std::iter::once("MGET".to_owned())
                    .chain((0..self.keys).map(|i| self.key(i)))
                    .collect(),
            ),
            2 => Unit::of(&format!("EXISTS {a} {b}")),
            3 => Unit::of(&format!("GETRANGE {a} 0 9")),
            4 => Unit::of(&format!("STRLEN {a}")),
            5 => Unit::transaction(0, [a, b].map(|key| line(&format!("GET {key}"))).into()),
            _ => Unit::of(&format!("GET {a}")),
        }
    }
}

/// MULTI that gives a key of each type, or many keys of one, the same generation.
pub struct Batch {
    pub shape: Shape,
}

impl Batch {
    fn key(&self, kind: Kind) -> String {
        format!("{}:{}", self.name(), kind.name())
    }

    fn create(&self, kind: Kind, generation: u64) -> Command {
        create(&self.key(kind), &content(kind, self.shape, generation))
    }
}

impl Scenario for Batch {
    fn name(&self) -> String {
        format!("batch-{}", self.shape.name())
    }

    fn cost(&self) -> u64 {
        self.shape.count * 5
    }

    fn begin(&self) -> Vec<Unit> {
        KINDS.map(|kind| Unit::single(0, self.create(kind, 0))).into()
    }

    fn step(&self, step: u64) -> Unit {
        let replace = |kind: Kind| [line(&format!("DEL {}", self.key(kind))), self.create(kind, step)];
        Unit::transaction(0, KINDS.into_iter().flat_map(replace).collect())
    }

    fn item(&self, state: State, _: u16, key: &str) -> Option<Item> {
        let kind = KINDS.into_iter().find(|kind| self.key(*kind) == key)?;
        Some(content(kind, self.shape, state).into())
    }

    fn read(&self, near: State, rng: &mut Rng) -> Unit {
        let one = |kind: Kind, rng: &mut Rng| reads::of_key(kind, self.shape, &self.key(kind), near, rng);
        match rng.below(8) {
            0 => Unit::transaction(0, KINDS.map(|kind| one(kind, rng)).into()),
            1 => Unit::of(&format!("EXISTS {}", KINDS.map(|kind| self.key(kind)).join(" "))),
            _ => Unit::single(0, one(*rng.pick(&KINDS), rng)),
        }
    }
}

/// Keys, or fields of one hash, that are written one after another, each by a command of its own: the data before the
/// flag that says that it is there.
pub struct Chain {
    pub links: u64,
    /// True for fields of one hash.
    pub fields: bool,
}

impl Chain {
    fn link(&self, index: u64) -> String {
        match self.fields {
            true => format!("{} f{index}", self.name()),
            false => format!("{}:{index}", self.name()),
        }
    }

    /// The round that a link has reached: the first link goes ahead.
    fn round(&self, state: State, index: u64) -> String {
        ((state + self.links - 1 - index) / self.links).to_string()
    }

    fn write(&self, index: u64, round: &str) -> Unit {
        let name = if self.fields { "HSET" } else { "SET" };
        Unit::of(&format!("{name} {} {round}", self.link(index)))
    }
}

impl Scenario for Chain {
    fn name(&self) -> String {
        format!(
            "chain-of-{}-{}",
            self.links,
            if self.fields { "fields" } else { "keys" }
        )
    }

    fn cost(&self) -> u64 {
        1
    }

    fn begin(&self) -> Vec<Unit> {
        (0..self.links).map(|index| self.write(index, "0")).collect()
    }

    fn step(&self, step: u64) -> Unit {
        let index = (step - 1) % self.links;
        self.write(index, &self.round(step, index))
    }

    fn item(&self, state: State, _: u16, key: &str) -> Option<Item> {
        let round = |index| self.round(state, index);
        let data = match self.fields {
            true => Data::Hash(
                (0..self.links)
                    .map(|index| (format!("f{index}"), round(index)))
                    .collect(),
            ),
            false => Data::Text(round(key.rsplit(':').next()?.parse().ok()?)),
        };
        Some(data.into())
    }

    fn read(&self, _: State, rng: &mut Rng) -> Unit {
        let [a, b] = two(self.links, rng);
        let name = self.name();
        match (self.fields, rng.below(6)) {
            (true, 0) => Unit::of(&format!("HGETALL {name}")),
            (true, 1) => Unit::of(&format!("HMGET {name} f{a} f{b}")),
            (true, 2) => Unit::of(&format!("HVALS {name}")),
            (true, _) => Unit::of(&format!("HGET {}", self.link(a))),
            (false, 0 | 1) => Unit::of(&format!("MGET {} {}", self.link(b), self.link(a))),
            (false, 2) => Unit::transaction(0, [b, a].map(|index| line(&format!("GET {}", self.link(index)))).into()),
            (false, _) => Unit::of(&format!("GET {}", self.link(a))),
        }
    }
}

/// A key whose type changes with each generation.
pub struct Morph;

impl Morph {
    const SHAPE: Shape = SMALL;

    fn kind(state: State) -> Kind {
        KINDS[(state % KINDS.len() as u64) as usize]
    }

    fn create(state: State) -> Command {
        create("morph", &content(Morph::kind(state), Morph::SHAPE, state))
    }
}

impl Scenario for Morph {
    fn name(&self) -> String {
        "morph".into()
    }

    fn cost(&self) -> u64 {
        Morph::SHAPE.count
    }

    fn begin(&self) -> Vec<Unit> {
        vec![Unit::single(0, Morph::create(0))]
    }

    fn step(&self, step: u64) -> Unit {
        match Morph::kind(step) {
            // SET takes the place of whatever there is.
            Kind::Text => Unit::single(0, Morph::create(step)),
            _ => Unit::transaction(0, vec![line("DEL morph"), Morph::create(step)]),
        }
    }

    fn item(&self, state: State, _: u16, key: &str) -> Option<Item> {
        (key == "morph").then(|| content(Morph::kind(state), Morph::SHAPE, state).into())
    }

    fn read(&self, near: State, rng: &mut Rng) -> Unit {
        match rng.below(8) {
            0 => Unit::of("TYPE morph"),
            1 => Unit::of("MGET morph morph"),
            2 => Unit::transaction(
                0,
                KINDS
                    .map(|kind| reads::of_key(kind, Morph::SHAPE, "morph", near, rng))
                    .into(),
            ),
            _ => Unit::single(0, reads::of_key(*rng.pick(&KINDS), Morph::SHAPE, "morph", near, rng)),
        }
    }
}
