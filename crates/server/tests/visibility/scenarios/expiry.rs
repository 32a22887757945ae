//! Two keys that expire at the same time: whoever has seen them gone does not see them again until they are written
//! again, and nobody sees one without the other, or one of them out of its time.

use std::sync::Mutex;

use super::super::data::{Item, Kind, Shape, content, create};
use super::super::reads;
use super::super::scenario::{Between, Command, Scenario, State, Unit, line};
use haypile_testkit::{Rng, now_ms};

/// A generation lives so long at most, in milliseconds; the shortest is over before it is written.
const LIFE_MS: u64 = 25;
/// How long the first one lives.
const BEGIN_MS: u64 = 3_600_000;

/// Each generation has two states: it is there, and it is gone.
pub struct Expiry {
    kind: Kind,
    shape: Shape,
    /// When each generation expires.
    deadlines: Mutex<Vec<u64>>,
}

impl Expiry {
    pub fn new(kind: Kind, shape: Shape) -> Expiry {
        Expiry {
            kind,
            shape,
            deadlines: Mutex::new(vec![now_ms() + BEGIN_MS]),
        }
    }

    fn key(&self, index: u64) -> String {
        format!("{}:{index}", self.name())
    }

    fn deadline(&self, generation: u64) -> Option<u64> {
        self.deadlines.lock().unwrap().get(generation as usize).copied()
    }

    /// Commands that write both keys.
    fn write(&self, generation: u64) -> Vec<Command> {
        let at = self.deadline(generation).expect("it was set");
        let mut commands = Vec::new();
        for key in [self.key(0), self.key(1)] {
            let mut create = create(&key, &content(self.kind, self.shape, generation));
            if self.kind == Kind::Text && generation.is_multiple_of(2) {
                create.extend(["PXAT".into(), at.to_string()]);
                commands.push(create);
            } else {
                commands.extend([
                    line(&format!("DEL {key}")),
                    create,
                    line(&format!("PEXPIREAT {key} {at}")),
                ]);
            }
        }
        commands
    }
}

impl Scenario for Expiry {
    fn name(&self) -> String {
        format!("expiry-{}-{}", self.kind.name(), self.shape.name())
    }

    fn cost(&self) -> u64 {
        2 * self.shape.count
    }

    fn begin(&self) -> Vec<Unit> {
        vec![Unit::transaction(0, self.write(0))]
    }

    fn step(&self, step: u64) -> Unit {
        let life = Rng::new(step, 0).below(LIFE_MS);
        self.deadlines.lock().unwrap().push(now_ms() + life);
        Unit::transaction(0, self.write(step))
    }

    fn item(&self, state: State, _: u16, key: &str) -> Option<Item> {
        let known = [self.key(0), self.key(1)].iter().any(|one| one == key);
        let expires = Some(self.deadline(state / 2)?);
        let data = || content(self.kind, self.shape, state / 2);
        (known && state.is_multiple_of(2)).then(|| Item { data: data(), expires })
    }

    fn read(&self, near: State, rng: &mut Rng) -> Unit {
        let keys = [self.key(0), self.key(1)];
        let one = |rng: &mut Rng| {
            let key: &String = rng.pick(&keys);
            reads::of_key(self.kind, self.shape, key, near / 2, rng)
        };
        match rng.below(8) {
            0 | 1 => Unit::single(0, reads::of_keys(self.kind, [&keys[0], &keys[1]], rng)),
            2 => Unit::transaction(0, vec![one(rng), one(rng)]),
            _ => Unit::single(0, one(rng)),
        }
    }

    fn phases(&self) -> u64 {
        2
    }

    fn is_possible(&self, state: State, (before, after): Between) -> bool {
        let Some(at) = self.deadline(state / 2) else {
            return false;
        };
        // Redis keeps a key within the millisecond of its deadline, Haypile does not.
        if state.is_multiple_of(2) {
            before <= at
        } else {
            after >= at
        }
    }
}
