//! What a reply must be, and in what another one differs.

use std::fmt;

use haypile_testkit::{Value, bulk, text};

/// Characters of a reply that a failure tells.
const TOLD_MAX: usize = 240;
/// Elements of a difference that a failure tells.
const ELEMENTS_MAX: usize = 6;

/// What a reply must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    Is(Value),
    /// An array of these, in any order: sorted here. Each is one element of the reply, or two.
    Unordered {
        elements: Vec<Vec<u8>>,
        pairs: bool,
    },
    /// One of these, or nil if there are none.
    OneOf(Vec<Value>),
    /// An error that starts so.
    Error(&'static str),
    /// The replies of a transaction.
    All(Vec<Expected>),
}

impl Expected {
    /// These elements.
    pub fn in_any_order(elements: impl IntoIterator<Item = String>) -> Expected {
        let mut elements: Vec<_> = elements.into_iter().map(String::into_bytes).collect();
        elements.sort_unstable();
        Expected::Unordered { elements, pairs: false }
    }

    /// These pairs, each a field and its value.
    pub fn pairs_in_any_order<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> Expected {
        let mut elements: Vec<_> = pairs.map(|(a, b)| pair(a.as_bytes(), b.as_bytes())).collect();
        elements.sort_unstable();
        Expected::Unordered { elements, pairs: true }
    }

    /// One of these, or nil if there are none.
    pub fn one_of(elements: impl IntoIterator<Item = String>) -> Expected {
        Expected::OneOf(elements.into_iter().map(bulk).collect())
    }

    /// Whether the reply is as it must be.
    pub fn admits(&self, reply: &Value) -> bool {
        match self {
            Expected::Is(value) => value == reply,
            Expected::Unordered { elements, pairs } => {
                let count = if *pairs { 2 * elements.len() } else { elements.len() };
                reply.as_elements().is_some_and(|given| given.len() == count)
                    && sorted(reply, *pairs).is_some_and(|given| given == *elements)
            }
            Expected::OneOf(values) if values.is_empty() => *reply == Value::Null,
            Expected::OneOf(values) => values.contains(reply),
            Expected::Error(start) => reply.as_error().is_some_and(|error| error.starts_with(start)),
            Expected::All(all) => reply.as_elements().is_some_and(|replies| {
                replies.len() == all.len() && all.iter().zip(replies).all(|(one, reply)| one.admits(reply))
            }),
        }
    }

    /// What is wrong with a reply that this does not admit.
    pub fn difference(&self, reply: &Value) -> String {
        match (self, reply) {
            (Expected::Unordered { elements, pairs }, Value::Array(_)) => {
                let Some(given) = sorted(reply, *pairs) else {
                    return format!("{}, which are no elements", shortened(&text(reply)));
                };
                let missing = elements.iter().filter(|e| given.binary_search(e).is_err());
                let foreign = given.iter().filter(|e| elements.binary_search(e).is_err());
                format!(
                    "{} of {} elements, without {}, but with {}",
                    given.len(),
                    elements.len(),
                    some(missing),
                    some(foreign)
                )
            }
            (Expected::Is(Value::Array(elements)), Value::Array(given)) => {
                let at = elements.iter().zip(given).position(|(one, other)| one != other);
                let at = at.unwrap_or(elements.len().min(given.len()));
                let told = |all: &[Value]| all.get(at).map_or("missing".into(), |one| shortened(&text(one)));
                format!(
                    "{} of {} elements, and number {at} is {} instead of {}",
                    given.len(),
                    elements.len(),
                    told(given),
                    told(elements)
                )
            }
            (Expected::All(all), Value::Array(replies)) if all.len() == replies.len() => {
                let wrong = all
                    .iter()
                    .zip(replies)
                    .enumerate()
                    .filter(|(_, (one, reply))| !one.admits(reply));
                let told = wrong.map(|(n, (one, reply))| format!("reply {n}: {}", one.difference(reply)));
                told.collect::<Vec<_>>().join("; ")
            }
            _ => format!("{} instead of {self}", shortened(&text(reply))),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = match self {
            Expected::Is(value) => text(value),
            Expected::Unordered { elements, .. } => format!("{} elements: {}", elements.len(), some(elements.iter())),
            Expected::OneOf(values) => format!("one of {}", text(&Value::Array(values.clone()))),
            Expected::Error(start) => format!("(error) {start}..."),
            Expected::All(all) => all.iter().map(Expected::to_string).collect::<Vec<_>>().join(", "),
        };
        f.write_str(&shortened(&whole))
    }
}

/// The beginning of a long text.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(TOLD_MAX) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

fn some<'a>(elements: impl Iterator<Item = &'a Vec<u8>>) -> String {
    let all: Vec<String> = elements.map(|e| e.escape_ascii().to_string()).collect();
    match all.len() {
        0 => "none".into(),
        count if count > ELEMENTS_MAX => format!(
            "[{}, and {} more]",
            all[..ELEMENTS_MAX].join(", "),
            count - ELEMENTS_MAX
        ),
        _ => format!("[{}]", all.join(", ")),
    }
}

/// Elements of a reply, sorted; `None` if it is none of strings, or of pairs.
fn sorted(reply: &Value, pairs: bool) -> Option<Vec<Vec<u8>>> {
    let bytes: Option<Vec<&[u8]>> = reply.as_elements()?.iter().map(Value::as_bytes).collect();
    let bytes = bytes?;
    let mut elements: Vec<Vec<u8>> = match pairs {
        true if !bytes.len().is_multiple_of(2) => return None,
        true => bytes.chunks(2).map(|two| pair(two[0], two[1])).collect(),
        false => bytes.into_iter().map(<[u8]>::to_vec).collect(),
    };
    elements.sort_unstable();
    Some(elements)
}

fn pair(a: &[u8], b: &[u8]) -> Vec<u8> {
    [a, b"=", b].concat()
}
