//! The rounds.

use std::time::Instant;

use super::cluster::Cluster;
use super::watcher::Watcher;

/// What to do.
pub struct Plan {
    pub rounds: u64,
    pub seed: u64,
    /// After so many rounds there are other servers, of the next seed.
    pub rounds_of_a_cluster: u64,
}

/// Does it.
///
/// # Panics
/// When something is not as it must be. Data and logs are kept then, and their paths said.
pub fn run(plan: &Plan) {
    println!(
        "torture-replication: {} rounds, seed {}; to repeat it:",
        plan.rounds, plan.seed
    );
    println!(
        "    scripts/torture-replication.sh --rounds {} --seed {}",
        plan.rounds, plan.seed
    );
    let mut seed = plan.seed;
    let mut left = plan.rounds;
    while left > 0 {
        let rounds = left.min(plan.rounds_of_a_cluster);
        run_cluster(seed, rounds);
        left -= rounds;
        seed += 1;
    }
}

fn run_cluster(seed: u64, rounds: u64) {
    let mut cluster = match Cluster::new(seed) {
        Ok(cluster) => cluster,
        Err(problem) => panic!("seed {seed}: {problem}"),
    };
    println!("seed {seed}: {}", cluster.story.join("; "));
    for round in 1..=rounds {
        match one_round(&mut cluster) {
            Ok(line) => println!("round {round}: {line}"),
            Err(problem) => {
                for node in &mut cluster.nodes {
                    let kept = node.keep();
                    println!("server {}: data and log stay in {kept}", node.number);
                }
                panic!(
                    "seed {seed}, round {round}; to repeat it:\n    scripts/torture-replication.sh --rounds {round} --seed {seed}\n\
                     what happened: {}\n{problem}",
                    cluster.story.join("; ")
                );
            }
        }
    }
}

fn one_round(cluster: &mut Cluster) -> Result<String, String> {
    let began = Instant::now();
    cluster.story.clear();
    cluster.unsure.clear();
    cluster.may_diverge = false;
    let watcher = Watcher::start(cluster.board.clone());
    cluster.start_load();
    cluster.pause(50, 400);
    cluster.events = 0;
    for _ in 0..cluster.rng.between(1, 4) {
        cluster.happen()?;
        cluster.pause(0, 600);
    }
    if cluster.rng.one_in(2) {
        cluster.stop_load()?;
    }
    cluster.heal()?;
    cluster.pause(0, 300);
    cluster.stop_load()?;
    let healed = cluster.await_sync()?;
    cluster.check_writes()?;
    let counts = cluster.writers().iter().map(|writer| writer.sent).sum::<u64>();
    cluster
        .writers()
        .iter_mut()
        .for_each(|writer| writer.everybody_has_all());
    let looks = watcher.stop()?;
    let mut full_syncs = 0;
    for node in &mut cluster.nodes {
        let log = node.log();
        full_syncs += node
            .logs
            .check(node.number, &log, cluster.events, cluster.may_diverge)?
            .full_syncs;
    }
    Ok(format!(
        "in sync after {} ms, {full_syncs} full syncs, {counts} transactions so far, {looks} looks, {} ms in all: {}",
        healed.as_millis(),
        began.elapsed().as_millis(),
        cluster.story.join("; ")
    ))
}
