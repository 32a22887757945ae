//! Many seeds of [`GroupWorld`]: `HAYPILE_SIM_SEEDS=n` runs that many, `HAYPILE_SIM_FROM=n` begins with that one, `HAYPILE_SIM_SEED=n`
//! repeats one with a trace.

#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use haypile_sim::group::{Faults, GroupWorld, Mutant, Outcome};

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

fn seeds(test: &str, faults: &Faults, count: u64) -> Option<Outcome> {
    if let Some(seed) = number("HAYPILE_SIM_SEED") {
        println!("{:?}", GroupWorld::new(seed, faults.clone()).run());
        return None;
    }
    let mut sum = Outcome::default();
    let from = number("HAYPILE_SIM_FROM").unwrap_or(0);
    for seed in from..from + number("HAYPILE_SIM_SEEDS").unwrap_or(count) {
        let outcome = run(seed, faults).unwrap_or_else(|cause| {
            panic!(
                "seed {seed}: {cause}\nagain: HAYPILE_SIM_SEED={seed} cargo test --release -p haypile-sim --test group -- \
                 --exact {test} --nocapture"
            )
        });
        sum.terms += outcome.terms;
        sum.writes += outcome.writes;
        sum.reads += outcome.reads;
        sum.decided += outcome.decided;
        sum.recovered_us = sum.recovered_us.max(outcome.recovered_us);
        for (what, count) in outcome.counts {
            *sum.counts.entry(what).or_default() += count;
        }
    }
    println!("{faults:?}: {sum:?}");
    Some(sum)
}

#[test]
fn a_group_of_three_keeps_what_it_has_acknowledged() {
    let Some(sum) = seeds(
        "a_group_of_three_keeps_what_it_has_acknowledged",
        &Faults::default(),
        300,
    ) else {
        return;
    };
    // What did not occur was not tested. Rare are "cut in two" and "copies of what the log has".
    let rare = ["cut in two", "copies of what the log has"];
    let often = sum
        .counts
        .iter()
        .filter(|(what, count)| !rare.contains(what) && **count >= 5);
    assert!(often.count() == 22, "{sum:?}");
    assert!(sum.writes > 100_000 && sum.reads > 100_000, "{sum:?}");
}

#[test]
fn a_group_of_five_keeps_what_it_has_acknowledged() {
    let faults = Faults {
        replicas: 5,
        ..Faults::default()
    };
    seeds("a_group_of_five_keeps_what_it_has_acknowledged", &faults, 60);
}

#[test]
fn a_group_of_one_needs_nobody() {
    let faults = Faults {
        replicas: 1,
        ..Faults::default()
    };
    seeds("a_group_of_one_needs_nobody", &faults, 30);
}

#[test]
fn a_group_whose_members_change_keeps_what_it_has_acknowledged() {
    let faults = Faults {
        change_every_us: 300_000,
        ..Faults::default()
    };
    let sum = seeds(
        "a_group_whose_members_change_keeps_what_it_has_acknowledged",
        &faults,
        100,
    );
    if let Some(sum) = sum {
        for what in ["changes of voters ended", "changes of learners", "machines taken away"] {
            assert!(sum.counts.get(what).is_some_and(|count| *count >= 5), "{what}: {sum:?}");
        }
    }
}

#[test]
fn a_group_with_a_bad_network_keeps_what_it_has_acknowledged() {
    let faults = Faults {
        lost_permille: 100,
        doubled_permille: 200,
        late_permille: 200,
        late_us_max: 1_500_000,
        collect_every_us: 50_000,
        change_every_us: 500_000,
        ..Faults::default()
    };
    seeds("a_group_with_a_bad_network_keeps_what_it_has_acknowledged", &faults, 30);
}

#[test]
fn a_group_that_one_has_founded_keeps_what_it_has_acknowledged() {
    let faults = Faults {
        replicas: 1,
        change_every_us: 300_000,
        ..Faults::default()
    };
    seeds(
        "a_group_that_one_has_founded_keeps_what_it_has_acknowledged",
        &faults,
        50,
    );
}

fn noticed(mutant: Mutant, base: Faults, within: u64, by: &str) {
    // What a driver does wrong is noticed, and by the rule that is for it.
    let faults = Faults {
        mutant: Some(mutant),
        ..base
    };
    let failed = (0..within).find_map(|seed| Some((seed, run(seed, &faults).err()?)));
    let (seed, cause) = failed.unwrap_or_else(|| panic!("nobody noticed {faults:?}"));
    println!("{mutant:?}: seed {seed}: {cause}");
    assert!(cause.contains(by), "{cause}");
}

#[test]
fn a_lease_that_outlasts_the_promises_is_noticed() {
    noticed(Mutant::BelievesTooMuch, Faults::default(), 400, "reads at");
}

#[test]
fn making_way_for_a_checkpoint_that_is_not_needed_is_noticed() {
    noticed(Mutant::GivesWayUnasked, Faults::default(), 400, "does not have");
}

#[test]
fn a_ballot_that_a_checkpoint_replaces_is_noticed() {
    noticed(Mutant::BallotForgotten, Faults::default(), 1000, "votes for");
}

#[test]
fn a_vote_that_is_not_synced_is_noticed() {
    noticed(Mutant::VoteNotSynced, Faults::default(), 1000, "votes for");
}

#[test]
fn applying_all_of_the_log_at_the_start_is_noticed() {
    noticed(Mutant::CommitsAtLogsEnd, Faults::default(), 400, "decided");
}

#[test]
fn a_lease_that_is_asked_before_the_read_is_noticed() {
    noticed(Mutant::LeaseBeforeRead, Faults::default(), 400, "reads at");
}

#[test]
fn a_read_that_was_confirmed_before_it_began_is_noticed() {
    noticed(Mutant::ConfirmedBeforeRead, Faults::default(), 400, "reads at");
}

#[test]
fn a_lease_that_is_asked_alone_is_noticed() {
    noticed(Mutant::LeaseAlone, Faults::default(), 400, "reads at");
}

#[test]
fn a_start_without_a_promise_is_noticed() {
    noticed(Mutant::NoPromiseAtStart, Faults::default(), 1000, "reads at");
}

#[test]
fn an_answer_before_another_entry_is_committed_is_noticed() {
    let five = Faults {
        replicas: 5,
        ..Faults::default()
    };
    noticed(Mutant::RefusesAtCut, five, 1000, "was not done");
}

#[test]
fn forgetting_that_a_change_of_members_was_committed_is_noticed() {
    let changing = Faults {
        change_every_us: 300_000,
        ..Faults::default()
    };
    noticed(Mutant::CommitNotSynced, changing, 1000, "decided");
}

#[test]
fn a_run_repeats_exactly() {
    for seed in 0..5 {
        let outcome = || GroupWorld::new(seed, Faults::default()).run();
        assert_eq!(outcome(), outcome());
    }
}
