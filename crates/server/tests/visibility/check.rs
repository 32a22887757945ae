//! Whether a reply is what some state allows.

use std::collections::VecDeque;
use std::rc::Rc;

use super::data::Item;
use super::expected::{Expected, shortened};
use super::replies;
use super::scenario::{Between, Moment, Scenario, State, Unit};
use haypile_testkit::{Value, text};

/// Keys that are kept in memory as they are in some state: to make them takes long if they are large.
const KEPT_MAX: usize = 64;
/// States before those that are possible which are tried too, to say what is wrong; fewer if they are large.
const LOOK_BACK: u64 = 200;
const LOOK_BACK_LARGE: u64 = 8;
/// From this cost of a step on a scenario is large.
pub const LARGE_COST: u64 = 64;

/// A read of a scenario, and what it must answer in those states that are possible now. It may be asked again and again.
pub struct Question {
    /// The scenario's number.
    pub number: usize,
    pub read: Unit,
    /// What it must answer in this state and those that follow it, as far as it has been worked out.
    first: State,
    expected: VecDeque<Option<Expected>>,
}

impl Question {
    /// A read of the scenario with this number.
    pub fn new(number: usize, read: Unit) -> Question {
        Question {
            number,
            read,
            first: 0,
            expected: VecDeque::new(),
        }
    }

    /// Forgets the states before this one, which are over.
    fn forget_before(&mut self, low: State) {
        let over = low.saturating_sub(self.first).min(self.expected.len() as u64);
        self.expected.drain(..over as usize);
        self.first += over;
        if self.expected.is_empty() {
            self.first = low;
        }
    }

    /// What is known of a state, from the first one on.
    fn known(&mut self, state: State) -> &mut Option<Expected> {
        let index = (state - self.first) as usize;
        if self.expected.len() <= index {
            self.expected.resize(index + 1, None);
        }
        &mut self.expected[index]
    }
}

/// A reply, and what is known of the time in which it was given.
pub struct Answer<'a> {
    pub scenario: &'a dyn Scenario,
    pub reply: &'a Value,
    /// The state that was acknowledged or seen before the read was sent: older ones are over.
    pub low: State,
    /// The last state that was asked for before the read was answered.
    pub high: State,
    pub between: Between,
}

/// How a reply is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// No state is like it: it is a half of something.
    Torn,
    /// It is a state that is over.
    Old,
    /// It is a state of a time that is over or has not come.
    OutOfTime,
}

/// Finds out which states replies are.
#[derive(Default)]
pub struct Checker {
    kept: VecDeque<Kept>,
}

/// An item of a scenario (its number) in a state, by database and name.
type Kept = (usize, State, u16, String, Rc<Option<Item>>);

impl Checker {
    /// The oldest state that explains the answer: whoever has seen it has seen no less.
    ///
    /// # Errors
    /// When none does; then how it is wrong, and what is to be said about it.
    pub fn state(&mut self, question: &mut Question, answer: &Answer<'_>) -> Result<State, (Fault, String)> {
        let mut out_of_time = None;
        question.forget_before(answer.low);
        for state in answer.low..=answer.high {
            if question.known(state).is_none() {
                *question.known(state) = Some(self.expected(question, answer, state));
            }
            let expected = question.known(state).as_ref();
            if expected.is_some_and(|expected| expected.admits(answer.reply)) {
                if answer.scenario.is_possible(state, answer.between) {
                    return Ok(state);
                }
                out_of_time = Some(state);
            }
        }
        let (fault, words) = match out_of_time {
            Some(state) => (
                Fault::OutOfTime,
                format!(
                    "that is state {state}, which time did not allow between {:?}",
                    answer.between
                ),
            ),
            None => self.fault(question, answer),
        };
        Err((fault, format!("{}: {words}", self.told(question, answer))))
    }

    fn fault(&mut self, question: &Question, answer: &Answer<'_>) -> (Fault, String) {
        let look_back = if answer.scenario.cost() < LARGE_COST {
            LOOK_BACK
        } else {
            LOOK_BACK_LARGE
        };
        let first = answer.low.saturating_sub(look_back);
        if let Some(state) = (first..answer.low)
            .rev()
            .find(|state| self.explains(question, answer, *state))
        {
            return (
                Fault::Old,
                format!("that is state {state}, which was over before the read began"),
            );
        }
        (Fault::Torn, format!("no state from {first} on is like it"))
    }

    /// What was read, and what was possible.
    fn told(&mut self, question: &Question, answer: &Answer<'_>) -> String {
        let Answer {
            scenario,
            reply,
            low,
            high,
            ..
        } = answer;
        let read = &question.read;
        let commands: Vec<String> = read.commands.iter().map(|command| command.join(" ")).collect();
        let kind = if read.transaction { "MULTI of " } else { "" };
        let difference = |checker: &mut Checker, state| checker.expected(question, answer, state).difference(reply);
        let mut words = format!(
            "{}: {kind}{} in database {} was answered with {}; with state {low}, which had been acknowledged or seen, it is {}",
            scenario.name(),
            shortened(&commands.join("; ")),
            read.db,
            shortened(&text(reply)),
            difference(self, *low)
        );
        if high > low {
            words += &format!(
                "; with state {high}, the last that was asked for, {}",
                difference(self, *high)
            );
        }
        words
    }

    fn explains(&mut self, question: &Question, answer: &Answer<'_>, state: State) -> bool {
        self.expected(question, answer, state).admits(answer.reply)
    }

    fn expected(&mut self, question: &Question, answer: &Answer<'_>, state: State) -> Expected {
        let mut moment = At {
            checker: self,
            scenario: answer.scenario,
            number: question.number,
            state,
        };
        replies::of_unit(&question.read, &mut moment)
    }
}

/// A scenario in a state.
struct At<'a> {
    checker: &'a mut Checker,
    scenario: &'a dyn Scenario,
    number: usize,
    state: State,
}

impl Moment for At<'_> {
    fn item(&mut self, db: u16, key: &str) -> Rc<Option<Item>> {
        let kept = &mut self.checker.kept;
        let known = kept
            .iter()
            .find(|known| (known.0, known.1, known.2, known.3.as_str()) == (self.number, self.state, db, key));
        if let Some(known) = known {
            return known.4.clone();
        }
        let item = Rc::new(self.scenario.item(self.state, db, key));
        kept.push_front((self.number, self.state, db, key.to_owned(), item.clone()));
        kept.truncate(KEPT_MAX);
        item
    }

    fn keys(&mut self, db: u16) -> Vec<String> {
        self.scenario.keys(self.state, db)
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::{Data, Kind, SMALL};
    use super::super::scenario::line;
    use super::super::scenarios::{Chain, Expiry};
    use super::*;
    use haypile_testkit::{array, bulk, int};

    /// What is found out about a reply, of the states from `low` to `high`.
    fn state(scenario: &dyn Scenario, read: &str, reply: Value, (low, high): (State, State)) -> Result<State, Fault> {
        let mut question = Question::new(0, Unit::of(read));
        let answer = Answer {
            scenario,
            reply: &reply,
            low,
            high,
            between: (0, 1),
        };
        let outcome = Checker::default().state(&mut question, &answer);
        outcome.map_err(|(fault, _)| fault)
    }

    #[test]
    fn a_reply_is_a_state_or_it_is_wrong() {
        let chain = Chain {
            links: 2,
            fields: false,
        };
        let name = chain.name();
        // The states of the two keys are 0 0, 1 0, 1 1, 2 1, 2 2 and so on.
        let get = format!("GET {name}:0");
        assert_eq!(
            state(&chain, &get, bulk("2"), (0, 9)),
            Ok(3),
            "the first of those that are possible"
        );
        assert_eq!(state(&chain, &get, bulk("2"), (4, 9)), Ok(4));
        assert_eq!(state(&chain, &get, bulk("2"), (5, 9)), Err(Fault::Old));
        assert_eq!(
            state(&chain, &get, bulk("2"), (0, 2)),
            Err(Fault::Torn),
            "nobody has made it"
        );
        assert_eq!(state(&chain, &get, Value::Null, (0, 9)), Err(Fault::Torn));
        let both = format!("MGET {name}:0 {name}:1");
        let pair = |a, b| array([bulk(a), bulk(b)]);
        assert_eq!(state(&chain, &both, pair("2", "1"), (0, 9)), Ok(3));
        assert_eq!(
            state(&chain, &both, pair("1", "2"), (0, 9)),
            Err(Fault::Torn),
            "the flag before the data"
        );
        assert_eq!(state(&chain, &both, pair("1", "0"), (2, 9)), Err(Fault::Old));
    }

    #[test]
    fn a_key_that_has_not_expired_is_there() {
        let expiry = Expiry::new(Kind::Text, SMALL);
        let key = format!("{}:0", expiry.name());
        let Some(Data::Text(text)) = expiry.item(0, 0, &key).map(|item| item.data) else {
            panic!("no text")
        };
        let (exists, get) = (format!("EXISTS {key}"), format!("GET {key}"));
        assert_eq!(state(&expiry, &get, bulk(text), (0, 1)), Ok(0));
        assert_eq!(
            state(&expiry, &exists, int(0), (0, 1)),
            Err(Fault::OutOfTime),
            "it lives for long"
        );
    }

    #[test]
    fn elements_come_in_any_order_and_only_once() {
        let expected = Expected::in_any_order(line("a b c"));
        let reply = |text: &str| Value::Array(line(text).into_iter().map(bulk).collect());
        assert!(expected.admits(&reply("c a b")));
        for wrong in ["a b", "a b b", "a b c c", "a b d"] {
            assert!(!expected.admits(&reply(wrong)), "{wrong}");
        }
        assert!(!Expected::in_any_order([]).admits(&Value::Null));
    }
}
