//! The options that SET and GETEX share.

use haypile_resp::Request;

use crate::args::{integer, is};
use crate::error::SYNTAX;
use crate::{CommandError, Cx};

/// Whose options are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Set,
    GetEx,
}

/// Whether a key has to exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// NX: it must not.
    Missing,
    /// XX: it must.
    Present,
}

/// What becomes of the time to live.
#[derive(Clone, Copy)]
pub(super) enum Ttl<'r> {
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
    /// EX, PX, EXAT, PXAT.
    Expire(Expire<'r>),
}

/// A point in time as it is written in a request.
#[derive(Clone, Copy)]
pub(super) struct Expire<'r> {
    /// The number.
    pub(super) text: &'r [u8],
    /// In seconds rather than milliseconds.
    pub(super) seconds: bool,
    /// From the epoch rather than from now.
    pub(super) absolute: bool,
}

impl Expire<'_> {
    /// Milliseconds since the epoch. `command` is named in the error.
    pub(super) fn at(self, cx: &Cx<'_>, command: &str) -> Result<u64, CommandError> {
        let number = integer(self.text)?;
        let ms = match self.seconds {
            true => number.checked_mul(1000),
            false => Some(number),
        };
        let base = if self.absolute { 0 } else { cx.now };
        ms.filter(|&ms| ms > 0)
            .and_then(|ms| ms.checked_add_unsigned(base))
            .map(|ms| ms as u64)
            .ok_or_else(|| CommandError::reply(format!("ERR invalid expire time in '{command}' command")))
    }
}

/// What follows the key of GETEX, or the value of SET.
#[derive(Clone, Copy, Default)]
pub(super) struct Options<'r> {
    pub(super) condition: Option<Condition>,
    /// SET replies with the old value.
    pub(super) get: bool,
    pub(super) ttl: Option<Ttl<'r>>,
}

impl<'r> Options<'r> {
    /// Reads the arguments from `at` on. Contradictions are syntax errors; a word may be said twice.
    pub(super) fn parse(request: &'r Request, mut at: usize, of: Of) -> Result<Self, CommandError> {
        let mut options = Options::default();
        let mut ttl_word: Option<&[u8]> = None;
        while let Some(word) = request.get(at) {
            let condition = match () {
                _ if is(word, "NX") => Some(Condition::Missing),
                _ if is(word, "XX") => Some(Condition::Present),
                _ => None,
            };
            if of == Of::Set && is(word, "GET") {
                options.get = true;
            } else if of == Of::Set && condition.is_some() {
                if options.condition.is_some() && options.condition != condition {
                    return Err(SYNTAX);
                }
                options.condition = condition;
            } else {
                if ttl_word.is_some_and(|other| !other.eq_ignore_ascii_case(word)) {
                    return Err(SYNTAX);
                }
                ttl_word = Some(word);
                let ttl = ttl(word, request.get(at + 1), of).ok_or(SYNTAX)?;
                if matches!(ttl, Ttl::Expire(_)) {
                    at += 1;
                }
                options.ttl = Some(ttl);
            }
            at += 1;
        }
        Ok(options)
    }
}

fn ttl<'r>(word: &[u8], next: Option<&'r [u8]>, of: Of) -> Option<Ttl<'r>> {
    if is(word, "KEEPTTL") {
        return (of == Of::Set).then_some(Ttl::Keep);
    }
    if is(word, "PERSIST") {
        return (of == Of::GetEx).then_some(Ttl::Persist);
    }
    let (seconds, absolute) = match () {
        _ if is(word, "EX") => (true, false),
        _ if is(word, "PX") => (false, false),
        _ if is(word, "EXAT") => (true, true),
        _ if is(word, "PXAT") => (false, true),
        _ => return None,
    };
    next.map(|text| {
        Ttl::Expire(Expire {
            text,
            seconds,
            absolute,
        })
    })
}
