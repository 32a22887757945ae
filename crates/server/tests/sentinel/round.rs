//! One run: the primary is killed again and again, and everything that was confirmed is looked for.

use std::time::Instant;

use super::group::Group;
use super::process::{self, Sentinel};
use super::writers::Writers;
use crate::support::{assert_in_sync, full_syncs};
use haypile_testkit::Rng;

/// Confirmed writes before a kill: from and to.
const BEFORE_KILL: (u64, u64) = (50, 1500);
/// Confirmed writes at the new primary before the old one comes back: from and to.
const BEFORE_RETURN: (u64, u64) = (1, 500);

/// What a run does.
pub struct Plan {
    pub kills: u64,
    pub seed: u64,
}

/// Runs it.
pub fn run(plan: &Plan) {
    if !process::is_installed() {
        println!("skipped: redis-sentinel is not installed");
        return;
    }
    println!("{} kills; HAYPILE_SENTINEL_SEED={} repeats it", plan.kills, plan.seed);
    let mut rng = Rng::new(plan.seed, 0);
    let mut group = Group::start();
    let mut primary = group.await_primary(None);
    group.await_order(primary);
    let sentinels: Vec<u16> = group.sentinels.iter().map(Sentinel::port).collect();
    let writers = Writers::start(&sentinels);
    for kill in 1..=plan.kills {
        primary = round(&mut group, &writers, primary, kill, &mut rng);
    }
    let writers = writers.stop();
    for (n, replica) in group.servers.iter().enumerate() {
        if n != primary {
            assert_in_sync(&group.servers[primary], replica);
        }
        let missing = writers.missing(&mut replica.client());
        assert!(missing.is_empty(), "server {n} lacks {}: {missing:?}", missing.len());
    }
}

/// Kills the primary; gives the new one, when all follow that.
fn round(group: &mut Group, writers: &Writers, old: usize, kill: u64, rng: &mut Rng) -> usize {
    let grown = |group: &Group, what: &str, by: u64| {
        let wanted = writers.confirmed() + by;
        group.wait_until(what, || writers.confirmed() >= wanted);
    };
    grown(group, "confirmed writes", rng.between(BEFORE_KILL.0, BEFORE_KILL.1));
    let began = Instant::now();
    group.servers[old].kill();
    let primary = group.await_primary(Some(old));
    let promoted = began.elapsed();
    grown(
        group,
        "confirmed writes at the new primary",
        rng.between(BEFORE_RETURN.0, BEFORE_RETURN.1),
    );
    group.servers[old].start_again();
    group.await_order(primary);
    let missing = writers.missing(&mut group.servers[primary].client());
    assert!(
        missing.is_empty(),
        "kill {kill}: {} of {} confirmed writes are lost: {missing:?}",
        missing.len(),
        writers.confirmed()
    );
    println!(
        "kill {kill}: server {old} died, server {primary} was promoted after {} ms, all in order after {} ms, {} writes confirmed; full syncs of the old one: {}",
        promoted.as_millis(),
        began.elapsed().as_millis(),
        writers.confirmed(),
        full_syncs(&group.servers[old]),
    );
    primary
}
