//! What commands cost without connections and log. Measures only, so not part of a test run:
//! `cargo nextest run --release -p haypile-commands --run-ignored only --no-capture list::measure`.

use std::time::Instant;

use haypile_resp::Request;

use crate::testing::Bench;

/// Commands that are evaluated before their effects are applied as one batch.
const TURN: u32 = 32;
const TURNS: usize = 2000;
const ELEMENTS: usize = 200_000;

/// Prints the nanoseconds for one command on a list of [`ELEMENTS`], in the memtable and in cached blocks: the median
/// and the first percentile of the turns, as other work on the machine disturbs.
fn measure(args: &[&str]) {
    let request = Request::from_args(args);
    for compacted in [false, true] {
        let mut bench = list(compacted);
        bench.apply = false;
        let (mut evaluate, mut apply) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let start = Instant::now();
            for _ in 0..TURN {
                bench.raw(&request);
            }
            evaluate.push(start.elapsed() / TURN);
            let start = Instant::now();
            bench.flush();
            apply.push(start.elapsed() / TURN);
        }
        evaluate.sort_unstable();
        apply.sort_unstable();
        println!(
            "{:12} {:8}  evaluate {:6} (best {:6})  apply {:6} (best {:6})",
            args[0],
            if compacted { "blocks" } else { "memtable" },
            evaluate[TURNS / 2].as_nanos(),
            evaluate[TURNS / 100].as_nanos(),
            apply[TURNS / 2].as_nanos(),
            apply[TURNS / 100].as_nanos(),
        );
    }
}

fn list(compacted: bool) -> Bench {
    let mut bench = Bench::with_memory(256 << 20, 64 << 20);
    let value = "x".repeat(64);
    let fill: Vec<&str> = ["rpush", "list"]
        .into_iter()
        .chain((0..1000).map(|_| &value[..]))
        .collect();
    for _ in 0..ELEMENTS / 1000 {
        bench.run_args(&fill);
    }
    if compacted {
        bench.compact();
    }
    bench
}

#[test]
#[ignore = "measures, asserts nothing"]
fn lpush() {
    measure(&["lpush", "list", &"x".repeat(64)]);
}

#[test]
#[ignore = "measures, asserts nothing"]
fn rpop() {
    measure(&["rpop", "list"]);
}

#[test]
#[ignore = "measures, asserts nothing"]
fn lindex() {
    measure(&["lindex", "list", "1000"]);
}

#[test]
#[ignore = "measures, asserts nothing"]
fn lrange_1() {
    measure(&["lrange", "list", "0", "0"]);
}

#[test]
#[ignore = "measures, asserts nothing"]
fn lrange_8() {
    measure(&["lrange", "list", "0", "7"]);
}

#[test]
#[ignore = "measures, asserts nothing"]
fn lrange_100() {
    measure(&["lrange", "list", "0", "99"]);
}
