//! Scenarios: stories of a group, told step by step in files that people can read and edit, after etcd's (`raft/testdata`).
//!
//! A file has blocks: commands, a line with `----`, and what comes of them, up to an empty line. Lines that begin with `#` between blocks
//! are for readers. The commands act on real [`haypile_consensus::Group`]s with a simulated disk each; nothing happens by itself. Time stands
//! still unless it is told to pass, messages wait until they are delivered, and what is to be written until it is written:
//! ```text
//! members 3            begins with three fresh members, all started; `members 3 one-by-one`: with messages of one entry at most
//! time 250ms           lets time pass
//! tick 1               tells a member the time
//! beat 1 3             lets the time of three heartbeats pass, and tells a member of each
//! deliver 1>2          delivers what is on that link; `deliver 1>2 1` the first message only; `drop` and `double` likewise
//! write 1              carries out what is to be written and synced; `write 1 1` the first of it only
//! apply 1              applies what is committed
//! settle 1 2           delivers between these members, writes and applies, until nothing is left to be done
//! propose 1 a b        a turn of two entries
//! transfer 1 2         hands the office over
//! lost 1 2             tells a member that its connection to another is broken
//! join 4               a fresh member 4, not started, that believes to belong to all there are
//! learner 1 4          the leader 1 proposes that 4 is a learner; `promote 1 4`: that it votes; `promote 1 4 3`: and 3 goes; `remove 1 3`; `leave 1`: that the change is over
//! kill 1, power 1      the process ends; the machine loses what was not synced
//! start 1              a process begins with what is on the disk
//! lose 1               takes all data away
//! collect 1 7          the store saves what it has applied, and the log up to entry 7 goes
//! give-way 1           copies a checkpoint of the leader that the member is behind, offers it, and begins anew with it if it is needed
//! lease 1              whether the member could read now
//! hurry 1              says up to when a quorum has confirmed that the member leads, and has it ask again
//! status 1             what the member is and has
//! quiet                what comes of the next commands is not told, up to `loud`
//! ```

mod stage;

use self::stage::Stage;

/// Runs the scenario in `text` and gives it back with what has come of its commands: the same text if all is as expected.
///
/// # Errors
/// A command that cannot be understood, with its line.
pub fn run(text: &str) -> Result<String, String> {
    let mut stage = Stage::default();
    let mut told = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        told.push_str(line);
        told.push('\n');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut line = (at, line);
        let mut outcome = String::new();
        while line.1 != "----" {
            let done = stage.command(line.1);
            let said = done.map_err(|error| format!("line {}: `{}`: {error}", line.0 + 1, line.1))?;
            outcome.push_str(&said);
            line = lines.next().ok_or("a block ends without `----`")?;
            told.push_str(line.1);
            told.push('\n');
        }
        told.push_str(if outcome.is_empty() { "ok\n" } else { &outcome });
        // What was expected is left out, up to the empty line.
        for (_, line) in lines.by_ref() {
            if line.trim().is_empty() {
                told.push('\n');
                break;
            }
        }
    }
    Ok(told)
}
