//! The rounds.

use std::thread;
use std::time::Duration;

use super::batch;
use super::choose::Chooser;
use super::dump;
use super::queue::Queue;
use super::worker::Worker;
use haypile_testkit::Rng;
use haypile_testkit::Server;

/// Connections that write.
const WORKERS: usize = 4;

/// What to do.
pub struct Plan {
    pub rounds: u64,
    pub seed: u64,
    /// The server's `--sync`.
    pub sync: String,
}

/// Does it.
///
/// # Panics
/// When something is not as it must be. The data directory is kept then, and its path said.
pub fn run(plan: &Plan) {
    let Plan { rounds, seed, sync } = plan;
    println!("torture: {rounds} rounds, seed {seed}, sync {sync}; to repeat it:");
    println!("    scripts/torture.sh --rounds {rounds} --seed {seed} --sync {sync}");
    let mut run = Run::new(*seed, sync);
    for round in 1..=*rounds {
        match run.round(round) {
            Ok(line) => println!("round {round}: {line}"),
            Err(problem) => {
                let kept = run.server.keep_dir();
                panic!(
                    "round {round} of seed {seed} (the data stays in {}):\n  {problem}",
                    kept.display()
                );
            }
        }
    }
}

struct Run {
    server: Server,
    rng: Rng,
    seed: u64,
    workers: Vec<Worker>,
    queue: Queue,
}

impl Run {
    fn new(seed: u64, sync: &str) -> Run {
        // Small, so that segments are changed and recycled, and the store flushed, in every round.
        let args = [
            "--sync",
            sync,
            "--memory-budget",
            "64mb",
            "--rocksdb-write-buffer-size",
            "1mb",
        ];
        let small = [
            "--oplog-segment-bytes",
            "1mb",
            "--oplog-retention-bytes",
            "16mb",
            "--disk-free-min-bytes",
            "0",
        ];
        Run {
            server: Server::start(&[&args[..], &small[..]].concat()),
            rng: Rng::new(seed, 0),
            seed,
            workers: (0..WORKERS)
                .map(|n| Worker::new(n, Rng::new(seed, 1 + n as u64)))
                .collect(),
            queue: Queue::default(),
        }
    }

    /// The databases in use: these from 0 on.
    fn dbs() -> u16 {
        1 + Chooser::dbs(WORKERS - 1)[2]
    }

    fn round(&mut self, round: u64) -> Result<String, String> {
        let load = Duration::from_millis(self.rng.between(100, 1500));
        let orderly = self.rng.one_in(8);
        let looks = self.load(round, load, orderly)?;
        let mut ended = if orderly {
            "stopped".to_owned()
        } else {
            "killed".to_owned()
        };
        while self.rng.one_in(3) {
            let after = Duration::from_millis(self.rng.below(400));
            check_log(&self.server.start_and_kill(after))?;
            ended += &format!(", killed {} ms into the start", after.as_millis());
        }
        self.server.start_again();
        self.check()?;
        let answered: u64 = self
            .workers
            .iter_mut()
            .map(|worker| std::mem::take(&mut worker.answered))
            .sum();
        Ok(format!(
            "{answered} commands and transactions in {} ms, {looks} looks; {ended}",
            load.as_millis()
        ))
    }

    /// Lets all connections work until the server ends after this time.
    fn load(&mut self, round: u64, time: Duration, orderly: bool) -> Result<u64, String> {
        let port = self.server.port();
        let stream = |n| Rng::new(self.seed, round << 16 | 0x100 | n);
        let (produce, consume, observe) = (stream(1), stream(2), stream(3));
        let before = self.queue.last();
        let (server, workers) = (&mut self.server, &mut self.workers);
        thread::scope(|scope| {
            let workers: Vec<_> = workers
                .iter_mut()
                .map(|worker| scope.spawn(move || worker.run(port)))
                .collect();
            let producer = scope.spawn(move || Queue::produce(before, port, produce));
            let consumer = scope.spawn(move || Queue::consume(port, consume));
            let observer = scope.spawn(move || batch::observe(port, WORKERS, observe));
            thread::sleep(time);
            let running = server.is_running();
            let log = server.log();
            let status = match orderly {
                true => Some(server.stop()),
                false => {
                    server.kill();
                    None
                }
            };
            for worker in workers {
                joined(worker)?;
            }
            self.queue.ran(joined(producer)?, joined(consumer)?);
            let looks = joined(observer)?;
            check_log(&log)?;
            match status.filter(|status| !status.success()) {
                _ if !running => Err(format!("the server had ended by itself: {log}")),
                Some(status) => Err(format!("the server stopped with {status}: {log}")),
                None => Ok(looks),
            }
        })
    }

    /// Compares what is there with what must be.
    fn check(&mut self) -> Result<(), String> {
        let mut client = self.server.client();
        self.queue.check(&mut client)?;
        let dump = dump::read(&mut client, Self::dbs(), WORKERS)?;
        for worker in &mut self.workers {
            worker.check(&dump.states[worker.number], dump.times)?;
        }
        if !dump.others.is_empty() {
            return Err(format!("these keys belong to nobody: {:?}", dump.others));
        }
        dump::check_sizes(&mut client, Self::dbs());
        check_log(&self.server.log())
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread
        .join()
        .unwrap_or_else(|_| Err("a connection of the test has panicked".into()))
}

/// A server that is killed has nothing to complain about.
fn check_log(log: &str) -> Result<(), String> {
    match log.contains("panicked") || log.contains("ERROR") || log.contains("haypile: ") {
        true => Err(format!("the server says: {log}")),
        false => Ok(()),
    }
}
