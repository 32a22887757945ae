//! Values from bytes to megabytes.

use crate::error::Error;
use crate::report::Table;
use crate::sample::wait_for_rest;
use crate::workload::{Noise, load_keys};

use super::Args;
use super::pairs::{self, measure};

/// Bytes of a value, each with its name.
const SIZES: [(u32, &str); 5] = [
    (16, "16 B"),
    (1 << 10, "1 KiB"),
    (16 << 10, "16 KiB"),
    (128 << 10, "128 KiB"),
    (1 << 20, "1 MiB"),
];
/// Larger values are not pipelined: fifty connections' pipelines of them would measure the sockets' buffers.
const PIPELINED_BYTES_MAX: u32 = 1 << 10;
/// What Haypile is to reach at least, as a part of Redis' operations per second: command, bytes, pipelining depth.
const TARGETS: [(&str, u32, u32, f64); 2] = [("SET", 1 << 10, 1, 0.85), ("GET", 1 << 10, 16, 0.85)];
/// There are so many keys, unless their values would be more than [`TOTAL_BYTES_MAX`].
const KEYS_MAX: u64 = 100_000;
const TOTAL_BYTES_MAX: u64 = 256 << 20;

/// Runs SET and GET of each size.
pub fn run(args: &Args) -> Result<Vec<Table>, Error> {
    let mut rows = Vec::new();
    for (bytes, size) in SIZES {
        let keys = KEYS_MAX.min(TOTAL_BYTES_MAX / u64::from(bytes));
        let value = String::from_utf8_lossy(&Noise::new().letters(bytes)).into_owned();
        let key = "key:__rand_int__".to_owned();
        let commands = [vec!["SET".to_owned(), key.clone(), value], vec!["GET".to_owned(), key]];
        let depths = args.pipeline.iter();
        let lines: Vec<(String, u32, &Vec<String>)> = depths
            .filter(|pipeline| **pipeline == 1 || bytes <= PIPELINED_BYTES_MAX)
            .flat_map(|pipeline| commands.iter().map(move |command| (*pipeline, command)))
            .map(|(pipeline, command)| (format!("{} {size} -P {pipeline}", command[0]), pipeline, command))
            .filter(|(name, ..)| args.wants("values", name, bytes == 1 << 10))
            .collect();
        if lines.is_empty() {
            continue;
        }
        let mut servers = args.start()?;
        for server in &servers {
            load_keys(&mut server.client()?, keys, bytes)?;
        }
        wait_for_rest(&mut servers)?;
        for (name, pipeline, command) in lines {
            let target = TARGETS
                .iter()
                .find(|(verb, of, depth, _)| (*verb, *of, *depth) == (command[0].as_str(), bytes, pipeline))
                .map(|(.., target)| *target);
            let load = args.load(vec![command.clone()], pipeline, keys);
            rows.push(measure(args, &name, &load, target, &mut servers)?);
        }
    }
    Ok(vec![Table {
        title: format!(
            "values: {} connections, medians of {} pairs; up to {KEYS_MAX} keys and {} MiB",
            args.clients,
            args.pairs,
            TOTAL_BYTES_MAX >> 20
        ),
        header: pairs::header(),
        rows,
    }])
}
