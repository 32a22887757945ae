//! A connection that writes, and knows what must be there afterwards.

use std::collections::VecDeque;
use std::io::Write;

use super::batch::receive;
use super::choose::{Chooser, Step};
use super::model::State;
use haypile_testkit::Rng;
use haypile_testkit::{Client, encode, now_ms, text};

/// Steps sent at once, at most.
const PIPELINE: u64 = 50;

/// Steps that a failure tells.
const HISTORY: usize = 60;

/// One connection at a time, from round to round.
pub struct Worker {
    pub number: usize,
    chooser: Chooser,
    /// The keys after everything that was acknowledged, and the database that is selected then.
    acknowledged: (State, u16),
    /// The same after everything that was sent.
    sent: (State, u16),
    /// Sent and not answered, in this order.
    open: VecDeque<Step>,
    /// The newest of those that were answered, and the database in which each began.
    history: VecDeque<(u16, Step)>,
    /// Steps answered.
    pub answered: u64,
}

impl Worker {
    pub fn new(number: usize, rng: Rng) -> Worker {
        Worker {
            number,
            chooser: Chooser::new(number, rng),
            acknowledged: Default::default(),
            sent: Default::default(),
            open: VecDeque::new(),
            history: VecDeque::new(),
            answered: 0,
        }
    }

    /// Writes until the server is gone. An error is a reply that is not what it should be.
    pub fn run(&mut self, port: u16) -> Result<(), String> {
        let Ok(mut client) = Client::try_connect(port) else {
            return Ok(());
        };
        (self.acknowledged.1, self.sent.1) = (0, 0);
        loop {
            let count = match self.chooser.rng().one_in(2) {
                true => self.chooser.rng().between(2, PIPELINE),
                false => 1,
            };
            let mut bytes = Vec::new();
            for _ in 0..count {
                let (state, db) = &mut self.sent;
                let step = self.chooser.next(state, db, now_ms());
                step.encode(&mut bytes);
                self.open.push_back(step);
            }
            // Of what is written a part may arrive: all of it is open until it is answered.
            let written = client.stream().write_all(&bytes);
            while let Some(step) = self.open.front() {
                for _ in 0..step.replies_before() {
                    if receive(&mut client).is_err() {
                        return Ok(());
                    }
                }
                let Ok(reply) = receive(&mut client) else { return Ok(()) };
                if !step.expected.admits(&reply) {
                    return Err(format!(
                        "connection {}: {:?} in database {} is answered with {}, and should be with {:?}{}",
                        self.number,
                        step.commands,
                        self.acknowledged.1,
                        text(&reply),
                        step.expected,
                        self.told()
                    ));
                }
                self.settle_first();
                self.answered += 1;
            }
            if written.is_err() {
                return Ok(());
            }
        }
    }

    /// Compares with what the server has after its restart, read between two times: all that was acknowledged, and of
    /// what was open the beginning. From then on, what is there is what must be there.
    pub fn check(&mut self, actual: &State, times: (u64, u64)) -> Result<(), String> {
        let mut differences = Vec::new();
        loop {
            let Some(difference) = self.acknowledged.0.difference(actual, times) else {
                self.open.clear();
                self.acknowledged.0.bury(times.0);
                self.sent = self.acknowledged.clone();
                return Ok(());
            };
            differences.push(difference);
            let Some(step) = self.open.front() else { break };
            differences.push(format!("or, with {:?},", step.commands));
            self.settle_first();
        }
        let differences = differences.join("\n    ");
        Err(format!(
            "the keys of connection {} are wrong:\n    {differences}{}",
            self.number,
            self.told()
        ))
    }

    /// The first step that was open counts.
    fn settle_first(&mut self) {
        let Some(step) = self.open.pop_front() else { return };
        let db = self.acknowledged.1;
        step.apply(&mut self.acknowledged);
        self.history.push_back((db, step));
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// What was done last, for whoever looks into a failure.
    fn told(&self) -> String {
        let lines = self.history.iter().map(|(db, step)| {
            let kind = if step.transaction { "EXEC of" } else { "" };
            format!("\n    {db}: {kind} {:?}", step.commands)
        });
        format!("\n  before that, by database:{}", lines.collect::<String>())
    }
}

impl Step {
    fn encode(&self, bytes: &mut Vec<u8>) {
        if self.transaction {
            encode(bytes, &["MULTI"]);
        }
        self.commands.iter().for_each(|command| encode(bytes, command));
        if self.transaction {
            encode(bytes, &["EXEC"]);
        }
    }

    /// Replies before the one that says that it counts: to MULTI and the commands that it queues.
    fn replies_before(&self) -> usize {
        if self.transaction { 1 + self.commands.len() } else { 0 }
    }

    fn apply(&self, (state, db): &mut (State, u16)) {
        for command in &self.commands {
            state.apply(db, command);
        }
    }
}
