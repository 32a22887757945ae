//! A network that loses, doubles and delays messages, and that can be cut.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::rng::Rng;
use crate::{Address, Place};

/// How bad the network is, and who can reach whom.
#[derive(Clone, Debug)]
pub struct Network {
    /// Lost messages, per mille.
    pub loss: u64,
    /// Doubled messages, per mille.
    pub doubled: u64,
    /// Messages that take much longer than others, per mille.
    pub late: u64,
    /// Chunks with a flipped bit, per mille.
    pub damaged: u64,
    cuts: BTreeSet<(Place, Place)>,
    places: Vec<Place>,
}

impl Network {
    /// A network without faults.
    pub fn new(nodes: usize) -> Self {
        Network {
            loss: 0,
            doubled: 0,
            late: 0,
            damaged: 0,
            cuts: BTreeSet::new(),
            places: (0..nodes).collect(),
        }
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        *self = Network::new(self.places.len());
    }

    /// Cuts a link, or mends it.
    pub fn toggle(&mut self, a: Place, b: Place) {
        let link = (a.min(b), a.max(b));
        if !self.cuts.remove(&link) {
            self.cuts.insert(link);
        }
    }

    /// Swaps what two addresses lead to.
    pub fn swap(&mut self, a: Address, b: Address) {
        self.places.swap(a, b);
    }

    /// Where an address leads.
    pub fn place(&self, address: Address) -> Place {
        self.places[address]
    }

    /// Whether the link works.
    pub fn open(&self, a: Place, b: Place) -> bool {
        !self.cuts.contains(&(a.min(b), a.max(b)))
    }

    /// How long each copy of a message takes; none if it is lost.
    pub fn delays(&self, rng: &mut Rng) -> Vec<Duration> {
        let mut copies = usize::from(!rng.chance(self.loss));
        copies += usize::from(copies == 1 && rng.chance(self.doubled));
        let delay = |rng: &mut Rng| {
            if rng.chance(self.late) {
                rng.millis(5, 3_000)
            } else {
                Duration::from_millis(1)
            }
        };
        (0..copies).map(|_| delay(rng)).collect()
    }
}
