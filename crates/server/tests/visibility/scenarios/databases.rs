//! Whole databases change: they change places, are emptied and filled again, and keys go from one to the other.

use std::collections::BTreeMap;

use super::super::data::{Data, Item, Kind, Shape, content, create};
use super::super::reads;
use super::super::scenario::{Command, Scenario, State, Unit, line};
use haypile_testkit::Rng;

/// What is asked about a database that is somebody's own; `{k}` is one of its keys.
const READS: [&str; 8] = [
    "DBSIZE",
    "KEYS *",
    "RANDOMKEY",
    "GET k{i}",
    "GET k{i}",
    "MGET k0 k{i} k1",
    "EXISTS k0 k{i} hash set",
    "STRLEN k{i}",
];

fn plain_read(shape: Shape, near: u64, rng: &mut Rng) -> Command {
    match rng.below(12) {
        0 | 1 => reads::of_key(Kind::Hash, shape, "hash", near, rng),
        2 | 3 => reads::of_key(Kind::Set, shape, "set", near, rng),
        _ => line(&rng.pick(&READS).replace("{i}", &rng.below(shape.count + 4).to_string())),
    }
}

/// What a database of a generation has; `name` tells it from another one.
fn database(shape: Shape, name: &str, generation: u64) -> BTreeMap<String, Data> {
    let text = |index| (format!("k{index}"), Data::Text(format!("{name}:{generation}")));
    let mut all: BTreeMap<_, _> = (0..shape.count(generation)).map(text).collect();
    for kind in [Kind::Hash, Kind::Set] {
        all.insert(kind.name().into(), content(kind, shape, generation));
    }
    all.insert(format!("only:{name}"), Data::Text(generation.to_string()));
    all
}

fn fill(database: &BTreeMap<String, Data>) -> Vec<Command> {
    let mut texts = vec!["MSET".to_owned()];
    let mut others = Vec::new();
    for (key, data) in database {
        match data {
            Data::Text(text) => texts.extend([key.clone(), text.clone()]),
            other => others.extend([line(&format!("DEL {key}")), create(key, other)]),
        }
    }
    others.insert(0, texts);
    others
}

/// SWAPDB of two databases with different contents; both get the next generation between two of them.
pub struct Swap {
    pub dbs: [u16; 2],
    pub shape: Shape,
}

impl Swap {
    /// Which of the two contents a database has, and its generation.
    fn content(&self, state: State, db: u16) -> BTreeMap<String, Data> {
        let swapped = state / 2 % 2 == 1;
        let first = (db == self.dbs[0]) != swapped;
        // The second is larger, so that DBSIZE tells them apart.
        let shape = Shape {
            count: self.shape.count + if first { 0 } else { 10 },
            ..self.shape
        };
        database(shape, if first { "A" } else { "B" }, 3 * state.div_ceil(2))
    }

    fn select(db: u16) -> Command {
        line(&format!("SELECT {db}"))
    }
}

impl Scenario for Swap {
    fn name(&self) -> String {
        format!("swapdb-{}", self.shape.name())
    }

    fn cost(&self) -> u64 {
        self.shape.count * 4
    }

    fn begin(&self) -> Vec<Unit> {
        self.dbs
            .map(|db| Unit::transaction(db, fill(&self.content(0, db))))
            .into()
    }

    fn step(&self, step: u64) -> Unit {
        let [a, b] = self.dbs;
        if step.is_multiple_of(2) {
            return Unit::of(&format!("SWAPDB {a} {b}"));
        }
        let mut commands = fill(&self.content(step, a));
        commands.push(Swap::select(b));
        commands.extend(fill(&self.content(step, b)));
        Unit::transaction(a, commands)
    }

    fn item(&self, state: State, db: u16, key: &str) -> Option<Item> {
        self.content(state, db).remove(key).map(Item::from)
    }

    fn keys(&self, state: State, db: u16) -> Vec<String> {
        self.content(state, db).into_keys().collect()
    }

    fn read(&self, near: State, rng: &mut Rng) -> Unit {
        let one = |rng: &mut Rng| match rng.below(8) {
            0 => line("EXISTS only:A only:B"),
            1 => line("MGET only:A only:B k0"),
            _ => plain_read(self.shape, 3 * near.div_ceil(2), rng),
        };
        let [a, b] = self.dbs;
        match rng.below(8) {
            0 => Unit::transaction(a, vec![one(rng), Swap::select(b), one(rng)]),
            1..4 => Unit::single(b, one(rng)),
            _ => Unit::single(a, one(rng)),
        }
    }
}

/// MULTI of FLUSHDB and what the database has next.
pub struct Flush {
    pub db: u16,
    pub shape: Shape,
}

impl Scenario for Flush {
    fn name(&self) -> String {
        format!("flushdb-{}", self.shape.name())
    }

    fn cost(&self) -> u64 {
        // A new keyspace costs more than many keys.
        self.shape.count * 3 + 1000
    }

    fn begin(&self) -> Vec<Unit> {
        vec![Unit::transaction(self.db, fill(&database(self.shape, "A", 0)))]
    }

    fn step(&self, step: u64) -> Unit {
        let mut commands = fill(&database(self.shape, "A", step));
        commands.insert(
            0,
            line(if step.is_multiple_of(2) {
                "FLUSHDB"
            } else {
                "FLUSHDB ASYNC"
            }),
        );
        Unit::transaction(self.db, commands)
    }

    fn item(&self, state: State, _: u16, key: &str) -> Option<Item> {
        database(self.shape, "A", state).remove(key).map(Item::from)
    }

    fn keys(&self, state: State, _: u16) -> Vec<String> {
        database(self.shape, "A", state).into_keys().collect()
    }

    fn read(&self, near: State, rng: &mut Rng) -> Unit {
        match rng.one_in(8) {
            true => Unit::transaction(self.db, vec![line("DBSIZE"), plain_read(self.shape, near, rng)]),
            false => Unit::single(self.db, plain_read(self.shape, near, rng)),
        }
    }
}

/// MOVE of a collection to another database and back: it is in one of them at a time.
pub struct Carry {
    /// The first is shared with others.
    pub dbs: [u16; 2],
    pub shape: Shape,
}

impl Carry {
    fn key(&self) -> String {
        format!("{}:key", self.name())
    }
}

impl Scenario for Carry {
    fn name(&self) -> String {
        format!("move-{}", self.shape.name())
    }

    fn cost(&self) -> u64 {
        self.shape.count
    }

    fn begin(&self) -> Vec<Unit> {
        vec![Unit::single(
            self.dbs[0],
            create(&self.key(), &content(Kind::Hash, self.shape, 0)),
        )]
    }

    fn step(&self, step: u64) -> Unit {
        let [home, away] = self.dbs;
        let (from, to) = if step % 2 == 1 { (home, away) } else { (away, home) };
        Unit::single(from, line(&format!("MOVE {} {to}", self.key())))
    }

    fn item(&self, state: State, db: u16, key: &str) -> Option<Item> {
        let there = db == self.dbs[(state % 2) as usize];
        (there && key == self.key()).then(|| content(Kind::Hash, self.shape, 0).into())
    }

    fn read(&self, _: State, rng: &mut Rng) -> Unit {
        let [home, away] = self.dbs;
        let key = self.key();
        match rng.below(4) {
            0 => {
                let exists = line(&format!("EXISTS {key}"));
                Unit::transaction(home, vec![exists.clone(), Swap::select(away), exists])
            }
            _ => Unit::single(
                *rng.pick(&self.dbs),
                reads::of_key(Kind::Hash, self.shape, &key, 0, rng),
            ),
        }
    }
}
