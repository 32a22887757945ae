//! A load: commands over random keys, and how they are sent.

use crate::error::Error;
use crate::redis_benchmark::{self, Measured, What};

/// Commands in the run that finds out how many make a run of the wished length, for each step of pipelining depth.
const TRIAL_REQUESTS: u64 = 2_000;
/// The least number of commands that a run has.
const REQUESTS_MIN: u64 = 200;

/// Commands, in which `__rand_int__` stands for twelve random digits.
#[derive(Clone, Debug)]
pub struct Load {
    /// The command.
    pub command: Vec<String>,
    /// Connections.
    pub clients: u32,
    /// Commands sent before their replies are awaited.
    pub pipeline: u32,
    /// Random digits come from 0 up to this.
    pub keyspace: u64,
}

impl Load {
    /// Sends so many commands.
    pub fn run(&self, port: u16, requests: u64) -> Result<Measured, Error> {
        redis_benchmark::Line {
            clients: self.clients,
            value_bytes: 3,
            keyspace: self.keyspace,
            pipeline: self.pipeline,
            requests,
            what: What::Command(self.command.clone()),
        }
        .run(port)
    }

    /// How many commands this server does in so many seconds, about.
    pub fn requests_for(&self, port: u16, seconds: f64) -> Result<u64, Error> {
        let trial = self.run(port, TRIAL_REQUESTS * u64::from(self.pipeline))?;
        Ok(((trial.ops_per_s * seconds) as u64).max(REQUESTS_MIN))
    }
}
