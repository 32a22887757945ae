//! What a server has logged.

/// The error that a server logs which has to give up data: an old primary that comes back, or a replica of one that has
/// lost its data.
const DIVERGED: &str = "writes that nobody else has are lost here";

/// Full syncs that a server may begin in a round, besides one for each event.
const FULL_SYNCS_MAX: u64 = 2;
/// Transitions of the two machines for each event, and as many besides.
const TRANSITIONS_MAX: u64 = 300;

/// The logs of all processes of a server.
#[derive(Default)]
pub struct Logs {
    /// Of those that have ended.
    ended: Vec<String>,
    /// Lines that have been looked at.
    lines: usize,
    /// What was counted up to the last round.
    counted: Counts,
}

/// What is counted.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub full_syncs: u64,
    pub transitions: u64,
}

impl Logs {
    /// A process has ended.
    pub fn ended(&mut self, log: String) {
        self.ended.push(log);
    }

    /// All of them.
    pub fn all(&self, running: &str) -> String {
        let mut all = String::new();
        for log in &self.ended {
            all += log;
            all += "---- the end of a process\n";
        }
        all + running
    }

    /// Looks at what has been logged since the last time, and counts. No error is expected, except one of writes
    /// that are lost, if that can have happened.
    pub fn check(&mut self, number: usize, running: &str, events: u64, may_diverge: bool) -> Result<Counts, String> {
        let all = self.all(running);
        let seen = std::mem::replace(&mut self.lines, all.lines().count());
        for line in all.lines().skip(seen) {
            let expected = may_diverge && line.contains(DIVERGED);
            if line.contains("panicked") || (line.contains(" ERROR ") && !expected) {
                return Err(format!("server {number} has logged: {line}"));
            }
        }
        let counts = Counts {
            full_syncs: all.matches("a full sync begins").count() as u64,
            transitions: all.matches(": replication machine=").count() as u64,
        };
        let new = Counts {
            full_syncs: counts.full_syncs - self.counted.full_syncs,
            transitions: counts.transitions - self.counted.transitions,
        };
        self.counted = counts;
        if new.full_syncs > FULL_SYNCS_MAX + events || new.transitions > TRANSITIONS_MAX * (1 + events) {
            return Err(format!(
                "server {number} finds no end: {} full syncs and {} transitions in a round of {events} events",
                new.full_syncs, new.transitions
            ));
        }
        Ok(new)
    }
}
