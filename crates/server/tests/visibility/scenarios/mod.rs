//! The scenarios. Each is data: a writer's steps and what a reader may ask; a new one is a line here.

mod cold;
mod counted;
mod databases;
mod expiry;
mod large_text;
mod moves;
mod replace;
mod together;

use super::data::{FAT, KINDS, Kind, LARGE, SMALL, Shape};
use super::scenario::Scenario;
use cold::Cold;
use counted::{Bank, Window};
use databases::{Carry, Flush, Swap};
pub use expiry::Expiry;
use large_text::LargeText;
use moves::Moves;
use replace::{Replace, Way};
pub use together::Chain;
use together::{Batch, Morph, Mset};

/// All scenarios in which memory is enough.
pub fn warm() -> Vec<Box<dyn Scenario>> {
    let mut all: Vec<Box<dyn Scenario>> = Vec::new();
    let mut replace = |way, kind, shape| all.push(Box::new(Replace::new(way, kind, shape)));
    for kind in KINDS {
        replace(Way::Dirty, kind, SMALL);
        replace(Way::Rename, kind, SMALL);
        replace(Way::Copy, kind, SMALL);
    }
    for kind in [Kind::Hash, Kind::List, Kind::Set, Kind::Zset] {
        replace(Way::Dirty, kind, LARGE);
        replace(Way::Anew, kind, LARGE);
        replace(Way::Rename, kind, LARGE);
    }
    for kind in [Kind::Set, Kind::Zset] {
        replace(Way::Apart, kind, SMALL);
        replace(Way::Apart, kind, LARGE);
        replace(Way::Store, kind, SMALL);
        replace(Way::Store, kind, LARGE);
    }
    replace(Way::Store, Kind::Text, FAT);
    replace(Way::Rename, Kind::Hash, FAT);
    replace(Way::Exchange, Kind::Hash, SMALL);
    replace(Way::Exchange, Kind::Zset, LARGE);
    replace(Way::Exchange, Kind::Set, FAT);
    replace(Way::Copy, Kind::Hash, LARGE);
    for kind in KINDS {
        all.push(Box::new(Expiry::new(kind, SMALL)));
    }
    all.push(Box::new(Expiry::new(Kind::Zset, LARGE)));
    for elements in [12, 1000] {
        all.push(Box::new(Moves {
            kind: Kind::List,
            elements,
        }));
        all.push(Box::new(Moves {
            kind: Kind::Set,
            elements,
        }));
    }
    for kind in [Kind::Hash, Kind::List, Kind::Set, Kind::Zset] {
        all.push(Box::new(Window {
            kind,
            size: 10,
            together: true,
        }));
        all.push(Box::new(Window {
            kind,
            size: 1500,
            together: false,
        }));
    }
    for kind in [Kind::Text, Kind::Hash, Kind::Zset] {
        all.push(Box::new(Bank { kind, accounts: 10 }));
    }
    all.push(Box::new(Bank {
        kind: Kind::Hash,
        accounts: 1000,
    }));
    all.push(Box::new(Mset { keys: 2, pad: 20 }));
    all.push(Box::new(Mset { keys: 12, pad: 3000 }));
    all.push(Box::new(Mset { keys: 600, pad: 20 }));
    all.push(Box::new(Batch { shape: SMALL }));
    all.push(Box::new(Batch { shape: LARGE }));
    for fields in [false, true] {
        all.push(Box::new(Chain { links: 2, fields }));
        all.push(Box::new(Chain { links: 30, fields }));
    }
    all.push(Box::new(Morph));
    all.push(Box::new(Swap {
        dbs: [1, 2],
        shape: SMALL,
    }));
    all.push(Box::new(Swap {
        dbs: [3, 4],
        shape: Shape { count: 500, pad: 0 },
    }));
    all.push(Box::new(Flush { db: 5, shape: SMALL }));
    all.push(Box::new(Flush {
        db: 6,
        shape: Shape { count: 500, pad: 0 },
    }));
    all.push(Box::new(Carry {
        dbs: [0, 7],
        shape: SMALL,
    }));
    all.push(Box::new(Carry {
        dbs: [0, 7],
        shape: LARGE,
    }));
    all.push(Box::new(LargeText { bytes: 200_000 }));
    all
}

/// Scenarios with more data than a small budget of memory holds.
pub fn cold() -> Vec<Box<dyn Scenario>> {
    let texts = Shape { count: 8, pad: 1000 };
    let collections = Shape { count: 12, pad: 400 };
    vec![
        Box::new(Cold {
            groups: 3000,
            kind: Kind::Text,
            shape: texts,
        }),
        Box::new(Cold {
            groups: 1500,
            kind: Kind::Hash,
            shape: collections,
        }),
        Box::new(Cold {
            groups: 1500,
            kind: Kind::Zset,
            shape: collections,
        }),
    ]
}
