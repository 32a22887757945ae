//! Measures appending: `cargo run --release -p haypile-oplog --example append [DIR] [SYNC]`.
//!
//! Prints what a 100-byte entry costs in batches of 16 (push and write apart), what large batches reach, how long
//! a group of writers waits for `sync always`, and how fast a log is opened and read.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use haypile_oplog::{Oplog, Options, SyncPolicy};
use haypile_types::Position;

const ENTRIES: u64 = 8_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "oplog-append".into()));
    let sync: SyncPolicy = args.next().as_deref().unwrap_or("everysec").parse()?;
    let _ = std::fs::remove_dir_all(&dir);
    let options = Options {
        sync,
        retention_bytes_max: 128 << 20,
        ..Options::default()
    };

    for (entries, batch, size) in [
        (ENTRIES, 16, 100),
        (ENTRIES, 1, 100),
        (ENTRIES, 256, 100),
        (400_000, 64, 4096),
    ] {
        let (mut log, _) = Oplog::open(&dir, options.clone())?;
        let payload = vec![7u8; size];
        let (mut pushing, mut slowest) = (Duration::ZERO, Duration::ZERO);
        let started = Instant::now();
        for group in 0..entries / batch {
            let start = Instant::now();
            for _ in 0..batch {
                log.push(Position::new(1, log.last().index + 1), 0, &payload);
            }
            let pushed = Instant::now();
            log.write()?;
            slowest = slowest.max(pushed.elapsed());
            pushing += pushed - start;
            if group % 10_000 == 0 {
                log.collect(log.last().index, 0)?;
            }
        }
        let took = started.elapsed();
        println!(
            "{size} bytes, batches of {batch:3}: {:5.0} ns an entry, {:4.0} of them in push; {:4.0} MB/s; slowest write {slowest:?}; {:?}",
            took.as_nanos() as f64 / entries as f64,
            pushing.as_nanos() as f64 / entries as f64,
            (entries * size as u64) as f64 / took.as_secs_f64() / 1e6,
            log.stats(),
        );
        log.close()?;
    }

    let start = Instant::now();
    let (mut log, opened) = Oplog::open(&dir, options)?;
    println!("opened in {:?}: {} to {}", start.elapsed(), opened.first, opened.last);
    let start = Instant::now();
    let mut reader = log.reader(opened.first.index)?;
    let (mut count, mut bytes) = (0u64, 0u64);
    while let Some(entry) = reader.next_borrowed()? {
        count += 1;
        bytes += entry.payload.len() as u64;
    }
    println!(
        "read {count} entries, {:.0} MB/s",
        bytes as f64 / start.elapsed().as_secs_f64() / 1e6
    );

    let start = Instant::now();
    let syncs = 2000;
    for _ in 0..syncs {
        log.push(Position::new(1, log.last().index + 1), 0, &[7; 100]);
        log.write()?;
        log.syncer().sync()?;
    }
    println!(
        "write and sync: {:.0} us each",
        start.elapsed().as_micros() as f64 / f64::from(syncs)
    );
    drop(log);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
