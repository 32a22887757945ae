//! A load: commands over random keys, and which program sends them.

use crate::client::Client;
use crate::closed_loop::ClosedLoop;
use crate::error::Error;
use crate::redis_benchmark::{self, Measured, RANDOM, What};

use haypile_resp::client::Value;

/// Commands in the run that finds out how many make a run of the wished length, for each step of pipelining depth.
const TRIAL_REQUESTS: u64 = 2_000;
/// Linux takes no argument of a program that has 128 KiB.
const ARGUMENT_BYTES_MAX: usize = 64 << 10;
/// The least number of commands that a run has.
const REQUESTS_MIN: u64 = 200;

/// Commands that are sent in turn, in which [`RANDOM`] stands for twelve random digits.
#[derive(Clone, Debug)]
pub struct Load {
    /// The commands' words. `redis-benchmark` sends one, unless a word is too long for a command line; this program
    /// sends several.
    pub commands: Vec<Vec<String>>,
    /// Have this program send also one.
    pub own_client: bool,
    /// Connections.
    pub clients: u32,
    /// Commands sent before their replies are awaited.
    pub pipeline: u32,
    /// Random digits come from 0 up to this.
    pub keyspace: u64,
}

impl Load {
    /// Sends so many commands, about.
    pub fn run(&self, port: u16, requests: u64) -> Result<Measured, Error> {
        let requests = self.whole(requests);
        match self.commands.as_slice() {
            [command] if !self.own_client && command.iter().all(|word| word.len() <= ARGUMENT_BYTES_MAX) => {
                redis_benchmark::Line {
                    clients: self.clients,
                    value_bytes: 3,
                    keyspace: self.keyspace,
                    pipeline: self.pipeline,
                    requests,
                    what: What::Command(command.clone()),
                }
                .run(port)
            }
            commands => ClosedLoop {
                commands,
                clients: self.clients,
                keyspace: self.keyspace,
                pipeline: self.pipeline,
                requests,
            }
            .run(port),
        }
    }

    /// How many commands this server does in so many seconds, about, in whole pipelines. The commands are tried once
    /// before: an error or nothing as the reply would make the figures worthless, and `redis-benchmark` is silent
    /// about it.
    pub fn requests_for(&self, port: u16, seconds: f64) -> Result<u64, Error> {
        let mut client = Client::connect(port)?;
        for command in &self.commands {
            let words: Vec<String> = command
                .iter()
                .map(|word| word.replace(RANDOM, "000000000000"))
                .collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let reply = client.ask(&words)?;
            if reply == Value::Null || reply == Value::Array(Vec::new()) {
                return Err(Error::Reply {
                    command: words.join(" "),
                    reply: format!("{reply:?}"),
                });
            }
        }
        let trial = self.run(port, TRIAL_REQUESTS * u64::from(self.pipeline))?;
        Ok(self.whole(((trial.ops_per_s * seconds) as u64).max(REQUESTS_MIN)))
    }

    fn whole(&self, requests: u64) -> u64 {
        requests.next_multiple_of(self.pipeline.into())
    }
}
