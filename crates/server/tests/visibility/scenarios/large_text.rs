//! A large string that is changed in two places by one transaction, or as a whole.

use super::super::data::{Data, Item};
use super::super::scenario::{Scenario, State, Unit, line};
use haypile_testkit::Rng;

/// Characters of a stamp.
const STAMP: usize = 10;

/// A string with the same stamp at its beginning, in its middle and at its end.
pub struct LargeText {
    pub bytes: usize,
}

impl LargeText {
    fn stamp(state: State) -> String {
        format!("{state:0STAMP$}")
    }

    fn text(&self, state: State) -> String {
        let (stamp, gap) = (LargeText::stamp(state), "x".repeat(self.bytes / 2 - STAMP));
        [&stamp, &gap, &stamp, &gap, &stamp].map(String::as_str).concat()
    }

    fn places(&self) -> [usize; 3] {
        [0, self.bytes / 2, self.bytes / 2 * 2]
    }
}

impl Scenario for LargeText {
    fn name(&self) -> String {
        format!("large-string-{}", self.bytes)
    }

    fn cost(&self) -> u64 {
        self.bytes as u64 / 128
    }

    fn begin(&self) -> Vec<Unit> {
        vec![Unit::of(&format!("SET {} {}", self.name(), self.text(0)))]
    }

    fn step(&self, step: u64) -> Unit {
        let (name, stamp) = (self.name(), LargeText::stamp(step));
        match step % 4 {
            0 => Unit::of(&format!("SET {name} {}", self.text(step))),
            _ => {
                let places = self.places();
                Unit::transaction(
                    0,
                    places.map(|at| line(&format!("SETRANGE {name} {at} {stamp}"))).into(),
                )
            }
        }
    }

    fn item(&self, state: State, _: u16, _: &str) -> Option<Item> {
        Some(Data::Text(self.text(state)).into())
    }

    fn read(&self, _: State, rng: &mut Rng) -> Unit {
        let name = self.name();
        let part = |rng: &mut Rng| {
            let at = *rng.pick(&self.places());
            line(&format!("GETRANGE {name} {at} {}", at + STAMP - 1))
        };
        match rng.below(8) {
            0 => Unit::of(&format!("GET {name}")),
            1 => Unit::of(&format!("GETRANGE {name} 5 {}", self.bytes / 2 + STAMP)),
            2 => Unit::of(&format!("STRLEN {name}")),
            3 => Unit::transaction(0, vec![part(rng), part(rng)]),
            _ => Unit::single(0, part(rng)),
        }
    }
}
