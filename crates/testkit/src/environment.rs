//! What the environment says of a run: numbers, seeds, the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// The value of an environment variable, which must be a number if it is set.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?} and must be a number")),
    )
}

/// The seed of a run: another one each time, unless this environment variable gives it.
pub fn seed(name: &str) -> u64 {
    number(name).unwrap_or(now_ms() % 1_000_000_007)
}

/// Milliseconds since the epoch, as the servers of this machine have them.
#[allow(clippy::disallowed_methods)] // the one place that wants the time itself
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    now.as_millis() as u64
}
