//! What a scenario is: a writer's steps, each of which makes one state of the last, and what a reader may ask meanwhile.

use std::rc::Rc;

use super::data::Item;
use haypile_testkit::Rng;

/// A command, word by word.
pub type Command = Vec<String>;

/// The words of a command that has no spaces within its arguments.
pub fn line(text: &str) -> Command {
    text.split_whitespace().map(str::to_owned).collect()
}

/// What counts as a whole and makes one state of another, or what reads one state: a command, or a transaction.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The database in which it begins.
    pub db: u16,
    /// One command, unless it is a transaction.
    pub commands: Vec<Command>,
    /// True if they stand between MULTI and EXEC.
    pub transaction: bool,
}

impl Unit {
    /// One command.
    pub fn single(db: u16, command: Command) -> Unit {
        Unit {
            db,
            commands: vec![command],
            transaction: false,
        }
    }

    /// One command in database 0, as text.
    pub fn of(text: &str) -> Unit {
        Unit::single(0, line(text))
    }

    /// Commands between MULTI and EXEC.
    pub fn transaction(db: u16, commands: Vec<Command>) -> Unit {
        Unit {
            db,
            commands,
            transaction: true,
        }
    }
}

/// The number of a state. Without time there is one for each step: state 0 is what the scenario begins with, and step n
/// makes state n of state n - 1.
pub type State = u64;

/// When a read was made, by this machine's clock: before it was sent, and after it was answered. Milliseconds since the epoch.
pub type Between = (u64, u64);

/// A sequence of states that one writer goes through, and reads each of which must be explained by one of them.
pub trait Scenario: Send + Sync {
    /// What it is called in reports; also the beginning of its keys in databases that it shares.
    fn name(&self) -> String;

    /// About how many elements a step writes, from 1: what is large is done less often.
    fn cost(&self) -> u64;

    /// Commands that make state 0, where nothing is.
    fn begin(&self) -> Vec<Unit>;

    /// The step that makes the next state: the first is 1. Called once for each, in order.
    fn step(&self, step: u64) -> Unit;

    /// What a key has in a state.
    fn item(&self, state: State, db: u16, key: &str) -> Option<Item>;

    /// All keys of a database in a state. Only those scenarios know them that have the database for themselves.
    fn keys(&self, _: State, db: u16) -> Vec<String> {
        panic!("{} shares database {db}", self.name())
    }

    /// What a reader may ask while the state is about this one.
    fn read(&self, near: State, rng: &mut Rng) -> Unit;

    /// States for each step: those after the first are what time alone makes of it. Step n makes state n × phases.
    fn phases(&self) -> u64 {
        1
    }

    /// Whether time allows that a read saw this state.
    fn is_possible(&self, _: State, _: Between) -> bool {
        true
    }
}

/// One state of a scenario, for whoever works out replies.
pub trait Moment {
    /// What a key has.
    fn item(&mut self, db: u16, key: &str) -> Rc<Option<Item>>;

    /// All keys of a database.
    fn keys(&mut self, db: u16) -> Vec<String>;
}
