//! More data than memory: groups of keys and collections that were not touched for long, so that a read has to go to
//! the disk while they change.

use super::super::data::{Data, Item, Kind, Shape, content, create};
use super::super::reads;
use super::super::scenario::{Scenario, State, Unit, line};
use haypile_testkit::Rng;

/// A step gives the next group the next generation, round and round.
pub struct Cold {
    pub groups: u64,
    /// String for as many keys as the shape has elements, which MSET writes; else a collection, which MULTI makes anew.
    pub kind: Kind,
    pub shape: Shape,
}

impl Cold {
    fn key(&self, group: u64, index: u64) -> String {
        format!("{}:{group}:{index}", self.name())
    }

    /// The step that wrote a group last.
    fn generation(&self, state: State, group: u64) -> u64 {
        let behind = (state % self.groups + self.groups - group) % self.groups;
        state.saturating_sub(behind)
    }

    fn text(&self, generation: u64) -> String {
        format!("{generation}:{}", "x".repeat(self.shape.pad))
    }

    fn write(&self, group: u64, generation: u64) -> Unit {
        if self.kind == Kind::Text {
            let pairs = (0..self.shape.count).flat_map(|index| [self.key(group, index), self.text(generation)]);
            return Unit::single(0, std::iter::once("MSET".to_owned()).chain(pairs).collect());
        }
        let key = self.key(group, 0);
        let create = create(&key, &content(self.kind, self.shape, generation));
        Unit::transaction(0, vec![line(&format!("UNLINK {key}")), create])
    }
}

impl Scenario for Cold {
    fn name(&self) -> String {
        format!("cold-{}", self.kind.name())
    }

    fn cost(&self) -> u64 {
        self.shape.count
    }

    fn begin(&self) -> Vec<Unit> {
        (0..self.groups).map(|group| self.write(group, 0)).collect()
    }

    fn step(&self, step: u64) -> Unit {
        self.write(step % self.groups, step)
    }

    fn item(&self, state: State, _: u16, key: &str) -> Option<Item> {
        let group = key.split(':').nth(1)?.parse().ok()?;
        let generation = self.generation(state, group);
        let data = match self.kind {
            Kind::Text => Data::Text(self.text(generation)),
            kind => content(kind, self.shape, generation),
        };
        Some(data.into())
    }

    fn read(&self, near: State, rng: &mut Rng) -> Unit {
        // The group that is being written or will be soon, or any.
        let (soon, any) = (near + rng.below(16), rng.next());
        let group = *rng.pick(&[near, near + 1, near + 2, soon, any]) % self.groups;
        if self.kind != Kind::Text {
            return Unit::single(0, reads::of_key(self.kind, self.shape, &self.key(group, 0), near, rng));
        }
        let [a, b] = [0, 1].map(|_| self.key(group, rng.below(self.shape.count)));
        let all = || {
            (0..self.shape.count)
                .map(|index| self.key(group, index))
                .collect::<Vec<_>>()
                .join(" ")
        };
        Unit::of(&match rng.below(4) {
            0 => format!("GET {a}"),
            1 => format!("EXISTS {}", all()),
            2 => format!("MGET {}", all()),
            _ => format!("MGET {a} {b}"),
        })
    }
}
