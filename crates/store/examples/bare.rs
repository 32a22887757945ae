//! RocksDB's own put and get in a loop, without log, server or types: the yardstick that docs/benchmarks.md compares with.
//!
//! `cargo run --release -p haypile-store --example bare [KEYS]`: one thread, keys of 16 bytes in random order, values of 64.

use std::time::Instant;

use rocksdb::{DB, Options, ReadOptions, WriteOptions};

const OPERATIONS: u64 = 2_000_000;
const VALUE: [u8; 64] = [b'v'; 64];

fn key(n: u64) -> String {
    format!("key:{n:012}")
}

/// Numbers without a pattern (SplitMix64).
fn pick(state: &mut u64, bound: u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) % bound
}

fn report(what: &str, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let each_us = seconds * 1e6 / OPERATIONS as f64;
    println!(
        "{what}: {:.0} operations/s, {each_us:.2} us each",
        OPERATIONS as f64 / seconds
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |arg| arg.parse())?;
    let dir = tempfile::tempdir()?;
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_size(1 << 30);
    options.set_allow_concurrent_memtable_write(false);
    let db = DB::open(&options, dir.path())?;
    let mut without_log = WriteOptions::default();
    without_log.disable_wal(true);
    for n in 0..keys {
        db.put_opt(key(n), VALUE, &without_log)?;
    }
    let mut state = 1;
    let start = Instant::now();
    for _ in 0..OPERATIONS {
        db.put_opt(key(pick(&mut state, keys)), VALUE, &without_log)?;
    }
    report("put", start);
    let start = Instant::now();
    for _ in 0..OPERATIONS {
        db.get_pinned_opt(key(pick(&mut state, keys)), &ReadOptions::default())?;
    }
    report("get from the memtable", start);
    db.flush()?;
    db.compact_range(None::<&[u8]>, None::<&[u8]>);
    let mut options = Options::default();
    let mut table = rocksdb::BlockBasedOptions::default();
    table.set_block_cache(&rocksdb::Cache::new_lru_cache(2 << 30));
    table.set_bloom_filter(10.0, false);
    options.set_block_based_table_factory(&table);
    drop(db);
    let db = DB::open(&options, dir.path())?;
    for n in 0..keys {
        db.get_pinned(key(n))?;
    }
    let start = Instant::now();
    for _ in 0..OPERATIONS {
        db.get_pinned_opt(key(pick(&mut state, keys)), &ReadOptions::default())?;
    }
    report("get from the block cache", start);
    Ok(())
}
