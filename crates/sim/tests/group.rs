//! Many seeds of [`GroupWorld`]: `HAYPILE_SIM_SEEDS=n` runs that many, `HAYPILE_SIM_SEED=n` repeats one with a trace.

#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use haypile_sim::group::{Faults, GroupWorld, Outcome};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64, faults: &Faults) -> Result<Outcome, String> {
    let world = || GroupWorld::new(seed, faults.clone()).run();
    catch_unwind(AssertUnwindSafe(world)).map_err(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default()
    })
}

fn seeds(faults: &Faults, count: u64) -> Outcome {
    if let Some(seed) = number("HAYPILE_SIM_SEED") {
        return GroupWorld::new(seed, faults.clone()).run();
    }
    let mut sum = Outcome::default();
    for seed in 0..number("HAYPILE_SIM_SEEDS").unwrap_or(count) {
        let outcome = run(seed, faults).unwrap_or_else(|cause| {
            panic!(
                "seed {seed}: {cause}\nagain: HAYPILE_SIM_SEED={seed} cargo test --release -p haypile-sim --test group"
            )
        });
        sum.terms += outcome.terms;
        sum.writes += outcome.writes;
        sum.reads += outcome.reads;
        sum.decided += outcome.decided;
        sum.recovered_us = sum.recovered_us.max(outcome.recovered_us);
        for (sum, count) in sum.faults.iter_mut().zip(outcome.faults) {
            *sum += count;
        }
    }
    println!("{faults:?}: {sum:?}");
    sum
}

#[test]
fn a_group_of_three_keeps_what_it_has_acknowledged() {
    let seeds = seeds(&Faults::default(), 300);
    // What did not occur was not tested.
    assert!(seeds.faults.iter().all(|count| *count > 300) || number("HAYPILE_SIM_SEED").is_some());
    assert!(seeds.writes > 100_000 && seeds.reads > 100_000 || number("HAYPILE_SIM_SEED").is_some());
}

#[test]
fn a_group_of_five_keeps_what_it_has_acknowledged() {
    let faults = Faults {
        replicas: 5,
        ..Faults::default()
    };
    seeds(&faults, 60);
}

#[test]
fn a_group_of_one_needs_nobody() {
    let faults = Faults {
        replicas: 1,
        ..Faults::default()
    };
    seeds(&faults, 30);
}

#[test]
fn a_run_repeats_exactly() {
    for seed in 0..5 {
        let outcome = || GroupWorld::new(seed, Faults::default()).run();
        assert_eq!(outcome(), outcome());
    }
}

/// Tests of the test: what a group must not do is noticed when it does.
fn is_noticed(faults: Faults, what: &str) {
    let failed = (0..400).find_map(|seed| run(seed, &faults).err());
    let failed = failed.unwrap_or_else(|| panic!("nobody noticed {faults:?}"));
    assert!(failed.contains(what), "{failed}");
}

#[test]
fn a_lease_that_outlasts_the_promises_is_noticed() {
    is_noticed(
        Faults {
            believes_too_much: true,
            ..Faults::default()
        },
        "reads at",
    );
}
