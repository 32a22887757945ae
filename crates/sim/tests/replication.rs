//! Thousands of runs, each from its seed. A failing one is named with the command that repeats it.

#![allow(clippy::unwrap_used)]

use std::panic;
use std::time::Duration;

use haypile_sim::{Options, Outcome, World};

const SEEDS: u64 = 4_000;

/// Runs one seed; `None` if it failed.
fn run(seed: u64, options: &Options) -> Option<Outcome> {
    let options = options.clone();
    panic::catch_unwind(move || World::new(seed, options).run()).ok()
}

#[test]
fn all_nodes_find_together_again_whatever_happened() {
    if let Ok(seed) = std::env::var("HAYPILE_SIM_SEED") {
        let options = Options {
            trace: true,
            ..Options::default()
        };
        eprintln!("{:?}", World::new(seed.parse().unwrap(), options).run());
        return;
    }
    let count = std::env::var("HAYPILE_SIM_SEEDS")
        .ok()
        .map(|count| count.parse().unwrap());
    let seeds = count.unwrap_or(SEEDS);
    let mut sum = Outcome::default();
    let mut slowest = (Duration::ZERO, 0);
    for seed in 0..seeds {
        let Some(outcome) = run(seed, &Options::default()) else {
            panic!(
                "seed {seed} failed; repeat it with a trace:\n    \
                 HAYPILE_SIM_SEED={seed} cargo test --release -p haypile-sim --test replication -- --nocapture all_nodes"
            );
        };
        for (kind, count) in outcome.failures {
            *sum.failures.entry(kind).or_default() += count;
        }
        sum.installed += outcome.installed;
        sum.continued += outcome.continued;
        sum.collected += outcome.collected;
        sum.diverged += outcome.diverged;
        sum.poisoned += outcome.poisoned;
        sum.entries += outcome.entries;
        sum.events += outcome.events;
        slowest = slowest.max((outcome.converged_after, seed));
    }
    println!("{} seeds, sums {sum:?}, slowest {slowest:?}", seeds);
    // What did not occur was not tested.
    for (what, count) in [
        ("installed", sum.installed),
        ("continued", sum.continued),
        ("collected", sum.collected),
        ("diverged", sum.diverged),
    ] {
        assert!(count > seeds / 4, "{what} only {count} times");
    }
    assert!(sum.poisoned > seeds / 20, "poisoned only {} times", sum.poisoned);
    for kind in [
        "checkpoint-gone",
        "corrupt",
        "follows-itself",
        "log-collected",
        "no-space",
        "out-of-order",
        "peer-behind",
        "peer-closed",
        "poisoned",
        "session-lost",
        "timeout",
    ] {
        let count = sum.failures.get(kind).copied().unwrap_or(0);
        assert!(count > seeds / 400, "{kind} only {count} times");
    }
}

#[test]
fn a_run_repeats_exactly() {
    for seed in 0..5 {
        let outcome = || format!("{:?}", World::new(seed, Options::default()).run());
        assert_eq!(outcome(), outcome());
    }
}

/// A test of the test: a writer that goes on in the same epoch after it has lost the end of its log is caught.
#[test]
fn without_a_new_epoch_after_a_crash_data_diverges_and_is_caught() {
    let options = Options {
        epoch_after_crash: false,
        ..Options::default()
    };
    let failed = (0..200).filter(|seed| run(*seed, &options).is_none()).count();
    assert!(failed > 0, "no run noticed");
}
