//! Going through a sorted set in the order of its scores.

use haypile_resp::{Reply, Version};
use haypile_store::Direction;

use super::bounds::{Select, Span};
use super::layout::{Scored, index_key, parse_index};
use super::order::{NEAR, WORTH_BEGINNING, near_rank, rank_of};
use crate::collection::ElementName;
use crate::{Collection, CommandError, Cx, args};

/// How a selection is gone through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) reverse: bool,
    /// Members to leave out first; negative leaves out all.
    pub(super) offset: i64,
    /// Members to give at most; negative means all.
    pub(super) limit: i64,
}

impl Window {
    /// All of it, in the order of scores.
    pub(super) const ALL: Window = Window {
        reverse: false,
        offset: 0,
        limit: -1,
    };

    fn direction(self) -> Direction {
        if self.reverse {
            Direction::Reverse
        } else {
            Direction::Forward
        }
    }
}

/// Calls `each` with up to `take` members of a span after `skip` of them. It answers whether to go on. Gives the number
/// of calls.
pub(crate) fn walk(
    cx: &mut Cx<'_>,
    zset: &Collection,
    span: &Span,
    direction: Direction,
    (mut skip, take): (u64, u64),
    mut each: impl FnMut(&mut Reply, f64, &[u8]) -> bool,
) -> Result<u64, CommandError> {
    if take == 0 || span.is_empty() {
        return Ok(0);
    }
    let (mut scan, reply) = cx.scan_and_reply(zset, &span.lower, Some(&span.upper), direction)?;
    let mut taken = 0;
    while let Some((data_key, _)) = scan.next()? {
        if skip > 0 && span.filter.is_none() {
            skip -= 1;
            continue;
        }
        let (score, member) = parse_index(data_key)?;
        if span.filter.as_ref().is_some_and(|range| !range.has(member)) {
            continue;
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        taken += 1;
        if !each(reply, score, member) || taken == take {
            break;
        }
    }
    Ok(taken)
}

/// Calls `each` with the members that are selected. Gives their number.
pub(super) fn for_each(
    cx: &mut Cx<'_>,
    zset: &Collection,
    select: &Select,
    window: Window,
    mut each: impl FnMut(&mut Reply, f64, &[u8]),
) -> Result<u64, CommandError> {
    let direction = window.direction();
    let span = match select {
        Select::Rank(start, end) => {
            let range = args::range(*start, *end, zset.size);
            return for_each_rank(cx, zset, direction, range, each);
        }
        Select::Score(range) => Span::of_scores(*range),
        Select::Lex(range) => Span::of_lex(cx, zset, range)?,
    };
    let Ok(mut skip) = u64::try_from(window.offset) else {
        return Ok(0);
    };
    let take = u64::try_from(window.limit).unwrap_or(u64::MAX);
    let mut span = span;
    if skip > NEAR && take > 0 && span.filter.is_none() && !span.is_empty() && !zset.is_packed() {
        match jump(cx, zset, &span, direction, skip)? {
            Jump::Behind => return Ok(0),
            Jump::Unknown => {}
            Jump::From(lower, left) if lower >= span.lower => (span.lower, skip) = (lower, left),
            Jump::From(..) => {}
            Jump::Until(upper) => (span.upper, skip) = (upper, 0),
        }
    }
    walk(cx, zset, &span, direction, (skip, take), |reply, score, member| {
        each(reply, score, member);
        true
    })
}

/// Where many members of a span are passed over.
enum Jump {
    /// It is not known without going through them.
    Unknown,
    /// There are no others.
    Behind,
    /// From a place on, and then so many members.
    From(ElementName, u64),
    /// In reverse, those from a place on.
    Until(ElementName),
}

fn jump(
    cx: &mut Cx<'_>,
    zset: &Collection,
    span: &Span,
    direction: Direction,
    skip: u64,
) -> Result<Jump, CommandError> {
    let may_begin = skip > WORTH_BEGINNING;
    let end = match direction {
        Direction::Forward => &span.lower,
        Direction::Reverse => &span.upper,
    };
    let Some(before) = rank_of(cx, zset, end, may_begin)? else {
        return Ok(Jump::Unknown);
    };
    // Of the first member that is not passed over, or in reverse, of the last one that is.
    let rank = match direction {
        Direction::Forward => before.checked_add(skip).filter(|rank| *rank < zset.size),
        Direction::Reverse => before.checked_sub(skip).filter(|rank| *rank > 0),
    };
    let Some(rank) = rank else { return Ok(Jump::Behind) };
    let Some((lower, left)) = near_rank(cx, zset, rank, skip)? else {
        return Ok(Jump::Unknown);
    };
    if direction == Direction::Forward {
        return Ok(Jump::From(lower, left));
    }
    let from = Span { lower, ..Span::all() };
    let mut place = None;
    walk(cx, zset, &from, Direction::Forward, (left, 1), |_, score, member| {
        place = Some(index_key(score, member));
        false
    })?;
    Ok(place.map_or(Jump::Unknown, Jump::Until))
}

/// Goes to a range of indexes from the end of the set from which it is fewer steps.
fn for_each_rank(
    cx: &mut Cx<'_>,
    zset: &Collection,
    direction: Direction,
    range: std::ops::Range<u64>,
    mut each: impl FnMut(&mut Reply, f64, &[u8]),
) -> Result<u64, CommandError> {
    let len = range.end - range.start;
    let steps = range.start.min(zset.size.saturating_sub(range.end));
    let first = match direction {
        Direction::Forward => range.start,
        Direction::Reverse => zset.size.saturating_sub(range.end),
    };
    if len > 0
        && let Some((lower, skip)) = near_rank(cx, zset, first, steps)?
    {
        let span = Span { lower, ..Span::all() };
        if direction == Direction::Forward {
            return walk(cx, zset, &span, direction, (skip, len), |reply, score, member| {
                each(reply, score, member);
                true
            });
        }
        return backwards(cx, zset, &span, Direction::Forward, (skip, len), each);
    }
    let span = Span::all();
    // Of a packed one either way is short.
    if zset.is_packed() || range.end <= zset.size - range.start {
        return walk(
            cx,
            zset,
            &span,
            direction,
            (range.start, len),
            |reply, score, member| {
                each(reply, score, member);
                true
            },
        );
    }
    let back = match direction {
        Direction::Forward => Direction::Reverse,
        Direction::Reverse => Direction::Forward,
    };
    backwards(cx, zset, &span, back, (zset.size - range.end, len), each)
}

/// Goes through members in a direction and gives them in the other.
fn backwards(
    cx: &mut Cx<'_>,
    zset: &Collection,
    span: &Span,
    direction: Direction,
    part: (u64, u64),
    mut each: impl FnMut(&mut Reply, f64, &[u8]),
) -> Result<u64, CommandError> {
    let mut found: Vec<Scored> = Vec::new();
    walk(cx, zset, span, direction, part, |_, score, member| {
        found.push((member.to_vec(), score));
        true
    })?;
    for (member, score) in found.iter().rev() {
        each(cx.reply, *score, member);
    }
    Ok(found.len() as u64)
}

/// How members are written into a reply: alone or with their scores, which RESP3 makes pairs of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    with_scores: bool,
    pairs: bool,
}

impl Shape {
    pub(super) fn new(reply: &Reply, with_scores: bool) -> Self {
        Shape {
            with_scores,
            pairs: with_scores && reply.version() != Version::Resp2,
        }
    }

    /// The length of the array of `n` members.
    pub(super) fn len(self, n: usize) -> usize {
        if self.with_scores && !self.pairs { n * 2 } else { n }
    }

    pub(super) fn write(self, reply: &mut Reply, member: &[u8], score: f64) {
        if self.pairs {
            reply.array(2);
        }
        reply.bulk(member);
        if self.with_scores {
            reply.double(score);
        }
    }
}
