//! What happens to a run's nodes, apart from the network's everyday faults.

use std::time::Duration;

use crate::network::Network;
use crate::rng::Rng;
use crate::{Address, Place};

/// One misfortune.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The process dies; it is started again after some time.
    Crash(Place, Duration),
    /// A link is cut, or mended.
    Cut(Place, Place),
    /// Two addresses change places, or change back.
    Swap(Address, Address),
    /// The disk has this much room.
    DiskRoom(Place, u64),
    /// A file of a checkpoint rots at the source.
    Rot(Place),
    /// REPLICAOF NO ONE.
    Promote(Place),
    /// REPLICAOF address.
    Follow(Place, Address),
    /// REPLICAOF NO ONE, some writes, and REPLICAOF back, before anybody has noticed.
    Turnabout(Place),
    /// The network gets better or worse: lost, doubled, late, damaged, per mille.
    Weather([u64; 4]),
    /// The directory is emptied while the process is down.
    Empty(Place),
    /// A node takes no more entries.
    Poison(Place),
}

impl Fault {
    /// The next one.
    pub fn random(rng: &mut Rng, nodes: usize) -> Fault {
        let node = |rng: &mut Rng| rng.between(0, nodes as u64 - 1) as usize;
        let two = |rng: &mut Rng| {
            let a = node(rng);
            (a, (a + 1 + rng.between(0, nodes as u64 - 2) as usize) % nodes)
        };
        match rng.between(0, 22) {
            0..=4 => Fault::Crash(node(rng), rng.millis(10, 3_000)),
            5..=8 => {
                let (a, b) = two(rng);
                Fault::Cut(a, b)
            }
            9 => {
                let (a, b) = two(rng);
                Fault::Swap(a, b)
            }
            10 => Fault::DiskRoom(
                node(rng),
                if rng.chance(500) {
                    rng.between(0, 40_000)
                } else {
                    u64::MAX
                },
            ),
            11 => Fault::Rot(node(rng)),
            12..=13 => Fault::Promote(node(rng)),
            14..=16 => {
                let (a, b) = two(rng);
                Fault::Follow(a, b)
            }
            19..=20 => Fault::Turnabout(node(rng)),
            17 => Fault::Empty(node(rng)),
            18 => Fault::Poison(node(rng)),
            _ => {
                let bad = |rng: &mut Rng, most| if rng.chance(500) { rng.between(0, most) } else { 0 };
                Fault::Weather([bad(rng, 100), bad(rng, 100), bad(rng, 50), bad(rng, 600)])
            }
        }
    }

    /// Applies weather.
    pub fn weather(network: &mut Network, [loss, doubled, late, damaged]: [u64; 4]) {
        (network.loss, network.doubled, network.late, network.damaged) = (loss, doubled, late, damaged);
    }
}
