//! The yardstick of cold reads: RocksDB's own get in a loop, on the same files, with the same settings and caches, and no
//! server around it.

use std::path::Path;
use std::thread;
use std::time::Instant;

use haypile_store::keys::{Home, meta_key};
use haypile_store::row::{Header, Kind};
use haypile_store::{Cf, SharedResources, SpaceId, Store, StoreError, StoreOptions};

use crate::error::Error;
use crate::report::thousands;
use crate::workload::Pick;

/// Where a standalone server has its store, below its directory.
const STORE: &str = "partitions/0/store";

/// What is read at random.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// One of so many strings.
    Get(u64),
    /// A field of one of so many hashes with as many fields each.
    Hget(u64),
}

/// Reads `requests` keys on each of `threads` threads, after as many that are not counted; the result is a row that goes
/// with [`crate::sample::measure_header`].
pub fn measure_row(
    name: &str,
    dir: &Path,
    budget: u64,
    threads: usize,
    requests: u64,
    what: What,
) -> Result<Vec<String>, Error> {
    let budget = usize::try_from(budget).unwrap_or(usize::MAX);
    let shared = SharedResources::new(budget, budget / 4);
    let store = Store::open(&dir.join(STORE), StoreOptions::default(), shared)?;
    let space = store.state().dbs.first().copied().unwrap_or_default();
    let homes = match what {
        What::Get(_) => Vec::new(),
        What::Hget(side) => (0..side)
            .map(|n| home(&store, space, n))
            .collect::<Result<Vec<_>, StoreError>>()?,
    };
    let read = |seed: u64| -> Result<(), StoreError> {
        let mut pick = Pick::new(seed);
        for _ in 0..requests {
            let (cf, key) = match what {
                What::Get(keys) => (Cf::Meta, meta_key(format!("key:{:012}", pick.below(keys)).as_bytes())),
                What::Hget(side) => {
                    let (hash, field) = (pick.below(side), pick.below(side));
                    let (mut key, field) = (Vec::new(), format!("element:{field:012}"));
                    homes[hash as usize].write_key(Kind::Hash, field.as_bytes(), |part| key.extend_from_slice(part));
                    (Cf::Data, key)
                }
            };
            if store.get_from_rocksdb(space, cf, &key, <[u8]>::len)?.is_none() {
                return Err(StoreError::Corrupt(format!("{key:?} is missing")));
            }
        }
        Ok(())
    };
    let round = |first: u64| -> Result<f64, Error> {
        let start = Instant::now();
        thread::scope(|scope| {
            let readers: Vec<_> = (0..threads as u64)
                .map(|n| scope.spawn(move || read(first + n)))
                .collect();
            readers.into_iter().try_for_each(|reader| match reader.join() {
                Ok(outcome) => Ok(outcome?),
                Err(_) => Err(Error::Usage("a reading thread has panicked".into())),
            })
        })?;
        Ok(start.elapsed().as_secs_f64())
    };
    round(1)?;
    let seconds = round(1000)?;
    let count = (requests * threads as u64) as f64;
    let each_us = seconds * 1e6 * threads as f64 / count;
    Ok([
        name.to_owned(),
        thousands(count / seconds),
        String::new(),
        String::new(),
        format!("{each_us:.2}"),
    ]
    .into())
}

fn hash_name(n: u64) -> String {
    format!("hash:{n:012}")
}

/// Where the fields of a hash stand.
fn home(store: &Store, space: SpaceId, n: u64) -> Result<Home, StoreError> {
    let missing = || StoreError::Corrupt(format!("{} is missing, or not large enough", hash_name(n)));
    let parse = |row: &[u8]| Header::read(row)?.0.home;
    let key = meta_key(hash_name(n).as_bytes());
    let found = store.get_from_rocksdb(space, Cf::Meta, &key, parse)?;
    found.flatten().ok_or_else(missing)
}
