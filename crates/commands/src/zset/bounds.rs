//! Ranges of a sorted set, by score and by member, and the data keys between which they lie.

use haypile_resp::parse_f64;
use haypile_store::Direction;

use super::layout::{INDEX, ordered};
use super::pop::edge;
use crate::collection::ElementName;
use crate::{Collection, CommandError, Cx};

/// Which members a command means.
#[derive(Clone, Debug)]
pub(super) enum Select {
    /// By index as the client gives it, negative from the end.
    Rank(i64, i64),
    Score(ScoreRange),
    Lex(LexRange),
}

/// Scores as [`ordered`] numbers: from `low` up to but not including `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScoreRange {
    low: u64,
    high: u64,
}

impl ScoreRange {
    /// Scores from `low` up to but not including `high`.
    pub(crate) fn half_open(low: f64, high: f64) -> Self {
        ScoreRange {
            low: ordered(low),
            high: ordered(high),
        }
    }

    pub(super) fn parse(min: &[u8], max: &[u8]) -> Result<Self, CommandError> {
        let (min, above) = score_bound(min)?;
        let (max, below) = score_bound(max)?;
        Ok(ScoreRange {
            low: ordered(min) + u64::from(above),
            high: ordered(max) + u64::from(!below),
        })
    }

    /// True if every score is within.
    pub(super) fn is_all(&self) -> bool {
        self.low <= ordered(f64::NEG_INFINITY) && self.high > ordered(f64::INFINITY)
    }
}

/// A score, and whether it is itself left out.
fn score_bound(arg: &[u8]) -> Result<(f64, bool), CommandError> {
    let (text, exclusive) = match arg {
        [b'(', text @ ..] => (text, true),
        text => (text, false),
    };
    // Redis reads bounds with strtod alone, which is laxer than for scores: nothing is 0, and too much is infinite.
    let text = text.trim_ascii_start();
    let lax = || {
        std::str::from_utf8(text)
            .ok()?
            .parse::<f64>()
            .ok()
            .filter(|score| !score.is_nan())
    };
    let score = if text.is_empty() {
        Some(0.0)
    } else {
        parse_f64(text).or_else(lax)
    };
    match score {
        Some(score) => Ok((score, exclusive)),
        None => Err(CommandError::reply("ERR min or max is not a float")),
    }
}

/// Members in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LexRange {
    /// The first member: included, or the smallest that comes after it.
    low: LexBound,
    /// The end.
    high: LexBound,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LexBound {
    /// Before all members.
    Before,
    At(Vec<u8>),
    /// Right after this member.
    After(Vec<u8>),
    /// Behind all members.
    Behind,
}

impl LexRange {
    pub(super) fn parse(min: &[u8], max: &[u8]) -> Result<Self, CommandError> {
        let (low, low_exclusive) = lex_bound(min)?;
        let (high, high_exclusive) = lex_bound(max)?;
        let low = match low {
            LexBound::At(member) if low_exclusive => LexBound::After(member),
            low => low,
        };
        let high = match high {
            LexBound::At(member) if !high_exclusive => LexBound::After(member),
            high => high,
        };
        Ok(LexRange { low, high })
    }

    /// True if the member is within.
    pub(super) fn has(&self, member: &[u8]) -> bool {
        self.low.is_before(member) && !self.high.is_before(member)
    }

    pub(super) fn is_all(&self) -> bool {
        self.low == LexBound::Before && self.high == LexBound::Behind
    }
}

impl LexBound {
    /// True if the member stands behind this bound.
    fn is_before(&self, member: &[u8]) -> bool {
        match self {
            LexBound::Before => true,
            LexBound::At(bound) => member >= &bound[..],
            LexBound::After(bound) => member > &bound[..],
            LexBound::Behind => false,
        }
    }

    /// The data key at this bound, within the members of one score.
    fn data_key(&self, score: u64) -> ElementName {
        let mut key = score_start(score);
        match self {
            LexBound::Before => {}
            LexBound::At(member) => key.extend_from_slice(member),
            LexBound::After(member) => {
                key.extend_from_slice(member);
                key.push(0);
            }
            LexBound::Behind => return score_start(score + 1),
        }
        key
    }
}

/// A bound, and whether its member is itself left out.
fn lex_bound(arg: &[u8]) -> Result<(LexBound, bool), CommandError> {
    match arg {
        b"-" => Ok((LexBound::Before, true)),
        b"+" => Ok((LexBound::Behind, true)),
        [b'(', member @ ..] => Ok((LexBound::At(member.to_vec()), true)),
        [b'[', member @ ..] => Ok((LexBound::At(member.to_vec()), false)),
        _ => Err(CommandError::reply("ERR min or max not valid string range item")),
    }
}

/// Where the members of a score start in the score index.
fn score_start(score: u64) -> ElementName {
    let mut start = ElementName::from_slice(&[INDEX]);
    start.extend_from_slice(&score.to_be_bytes());
    start
}

/// A part of the score index: data keys from `lower` up to but not including `upper`, and what has to be left out.
pub(crate) struct Span {
    pub(super) lower: ElementName,
    pub(super) upper: ElementName,
    /// Members that are not in this range are skipped.
    pub(super) filter: Option<LexRange>,
}

impl Span {
    /// The whole score index.
    pub(super) fn all() -> Span {
        Span {
            lower: ElementName::from_slice(&[INDEX]),
            upper: ElementName::from_slice(&[INDEX + 1]),
            filter: None,
        }
    }

    pub(crate) fn of_scores(range: ScoreRange) -> Span {
        Span {
            lower: score_start(range.low),
            upper: score_start(range.high),
            filter: None,
        }
    }

    /// A lexicographical range means something only when all scores are the same; then its bounds are bounds in the
    /// index. Of other sets it selects whatever members lie within.
    pub(super) fn of_lex(cx: &mut Cx<'_>, zset: &Collection, range: &LexRange) -> Result<Span, CommandError> {
        let all = Span::all();
        if range.is_all() {
            return Ok(all);
        }
        let first = edge(cx, zset, Direction::Forward, 1)?;
        let last = edge(cx, zset, Direction::Reverse, 1)?;
        let score = |found: &[(Vec<u8>, f64)]| found.first().map(|(_, score)| ordered(*score));
        match (score(&first), score(&last)) {
            (Some(first), Some(last)) if first == last => Ok(Span {
                lower: range.low.data_key(first),
                upper: range.high.data_key(first),
                filter: None,
            }),
            _ => Ok(Span {
                filter: Some(range.clone()),
                ..all
            }),
        }
    }

    /// True if no key lies between the bounds.
    pub(super) fn is_empty(&self) -> bool {
        self.lower >= self.upper
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn score_bounds_are_read_as_by_strtod() {
        for (text, expected) in [
            ("1", (1.0, false)),
            ("(1", (1.0, true)),
            ("-inf", (f64::NEG_INFINITY, false)),
            ("(+inf", (f64::INFINITY, true)),
            ("", (0.0, false)),
            ("( 2", (2.0, true)),
            ("1e999", (f64::INFINITY, false)),
            ("0x10", (16.0, false)),
        ] {
            assert_eq!(score_bound(text.as_bytes()).unwrap(), expected, "{text}");
        }
        for text in ["x", "(", "1x", "nan", "((1", "1 "] {
            if text != "(" {
                assert!(score_bound(text.as_bytes()).is_err(), "{text}");
            }
        }
        let all = ScoreRange::parse(b"-inf", b"+inf").unwrap();
        assert!(all.is_all());
        assert!(!ScoreRange::parse(b"(-inf", b"+inf").unwrap().is_all());
        assert!(!ScoreRange::parse(b"-inf", b"(+inf").unwrap().is_all());
    }

    #[test]
    fn lex_bounds_need_their_sign() {
        for text in ["", "a", "++", "-a", "+a"] {
            assert!(LexRange::parse(text.as_bytes(), b"+").is_err(), "{text}");
        }
        let range = |min: &str, max: &str| LexRange::parse(min.as_bytes(), max.as_bytes()).unwrap();
        for (min, max, members) in [
            ("-", "+", "abc"),
            ("[a", "[b", "ab"),
            ("(a", "(c", "b"),
            ("+", "-", ""),
            ("-", "-", ""),
            ("+", "+", ""),
            ("[c", "[a", ""),
            ("(b", "(b", ""),
            ("[b", "[b", "b"),
        ] {
            let found: String = ["a", "b", "c"]
                .into_iter()
                .filter(|m| range(min, max).has(m.as_bytes()))
                .collect();
            assert_eq!(found, members, "{min} {max}");
        }
    }
}
