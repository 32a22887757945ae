//! Random elements of a collection: HRANDFIELD, SRANDMEMBER, SPOP, ZRANDMEMBER. Every element is as likely as any other.
//!
//! An element of a packed collection is chosen by its rank ([`packed`]).
//!
//! The elements of a spread collection have no ranks, and the i-th costs i steps. Up to [`EXACT_MAX`] elements that is what is
//! done, and so it is where so many are asked for that one pass over all of them is cheaper than jumps
//! ([`SCAN_RATIO`]). Otherwise one element is found at the cost of a few jumps, whatever the size, because elements stand in
//! the order of a hash, and some at the cost of a jump for every few of them ([`spread`]).

mod packed;
mod spread;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use haypile_resp::{Reply, Request, Version};
use haypile_store::row::Kind;
use haypile_store::{Direction, StoreError};
use haypile_types::Random;

use crate::args::{integer, is};
use crate::collection::{ElementName, Elements, field_or_member};
use crate::cx::Found;
use crate::error::SYNTAX;
use crate::zset::{INDEX, MEMBER};
use crate::{Collection, CommandError, Cx, Outcome};

/// Elements of a spread collection up to which a random one is counted off.
const EXACT_MAX: u64 = 128;
/// Each of several random elements costs about as much as passing over this many.
const SCAN_RATIO: u64 = 16;
/// Elements that are drawn at a time where they may repeat.
const CHUNK: u64 = 4096;

const OUT_OF_RANGE: CommandError = CommandError::Reply(std::borrow::Cow::Borrowed("ERR value is out of range"));
/// Elements that may be drawn with repetition: what one request can have a reply grow to must have a bound.
const DRAWS_MAX: u64 = 1 << 24;

/// Writes an element: a field with its value, a member, or a member with its score in 8 bytes.
pub(crate) type Emit = fn(&mut Reply, &[u8], &[u8]) -> Outcome;

/// A field or member, and what belongs to it.
pub(crate) type Element = (Vec<u8>, Vec<u8>);

/// What HRANDFIELD and ZRANDMEMBER have of their own.
pub(crate) struct Command {
    pub(crate) kind: Kind,
    /// The word that asks for what belongs to the elements, too.
    pub(crate) with: &'static str,
    /// Writes an element alone.
    pub(crate) alone: Emit,
    /// Writes an element and what belongs to it.
    pub(crate) pair: Emit,
    /// The same as an array: RESP3.
    pub(crate) nested: Emit,
}

impl Command {
    /// Evaluates `key [count [with]]`.
    pub(crate) fn run(&self, cx: &mut Cx<'_>, request: &Request) -> Outcome {
        let Some(count) = request.get(2) else {
            return match cx.find(&request[1], self.kind)? {
                Some(from) => one(cx, &from, self.alone),
                None => {
                    cx.reply.null();
                    Ok(())
                }
            };
        };
        let count = parse_count(count)?;
        let with = match (request.get(3), request.len()) {
            (None, _) => false,
            (Some(word), 4) if is(word, self.with) => true,
            _ => return Err(SYNTAX),
        };
        if with && count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
            return Err(OUT_OF_RANGE);
        }
        let from = match cx.find(&request[1], self.kind)? {
            Some(from) if count != 0 => from,
            _ => {
                cx.reply.array(0);
                return Ok(());
            }
        };
        let (emit, words) = match (with, cx.reply.version()) {
            (false, _) => (self.alone, 1),
            (true, Version::Resp2) => (self.pair, 2),
            (true, Version::Resp3) => (self.nested, 1),
        };
        some(cx, &from, count, words, emit)
    }
}

/// Writes so many different elements, or, if `count` is negative, so many that may repeat, as an array; each is `words` of it.
pub(crate) fn some(cx: &mut Cx<'_>, from: &Found<'_>, count: i64, words: usize, emit: Emit) -> Outcome {
    let number = match count {
        ..0 if count.unsigned_abs() > DRAWS_MAX => return Err(OUT_OF_RANGE),
        ..0 => count.unsigned_abs(),
        _ => count.unsigned_abs().min(from.size()?),
    };
    cx.reply.array(number as usize * words);
    match count {
        ..0 => repeated(cx, from, number, emit),
        _ => different(cx, from, number, emit),
    }
}

/// Writes one element.
pub(crate) fn one(cx: &mut Cx<'_>, from: &Found<'_>, emit: Emit) -> Outcome {
    match from {
        Found::Packed(row) => packed::draw(cx, row.header.kind, row.body(), packed::Draw::One, emit),
        Found::Spread(collection) => {
            let (name, value) = one_of(cx, collection)?;
            emit(cx.reply, &name, &value)
        }
    }
}

/// The names of about `count` elements of a spread collection, for who takes them one by one: see [`spread::few`]. None if they stand
/// so unevenly that they are not found so.
pub(crate) fn few(
    cx: &mut Cx<'_>,
    from: &Collection,
    count: usize,
    together: usize,
) -> Result<Vec<ElementName>, CommandError> {
    spread::few(cx, from, count, together)
}

/// One element of a spread collection.
pub(crate) fn one_of(cx: &mut Cx<'_>, from: &Collection) -> Result<Element, CommandError> {
    if from.size > EXACT_MAX {
        return spread::one(cx, from);
    }
    let mut left = cx.random.below(from.size);
    let mut scan = all(cx, from)?;
    while let Some((element, value)) = scan.next()? {
        if left == 0 {
            return copied(from.kind, element, value);
        }
        left -= 1;
    }
    Err(missing())
}

/// Writes `count` different elements, at most as many as there are.
pub(crate) fn different(cx: &mut Cx<'_>, from: &Found<'_>, count: u64, emit: Emit) -> Outcome {
    let from = match from {
        Found::Packed(row) => {
            let draw = packed::Draw::Different(count);
            return packed::draw(cx, row.header.kind, row.body(), draw, emit);
        }
        Found::Spread(collection) => collection,
    };
    if is_worth_jumps(from, count) {
        let drawn = jumps(cx, from, count)?;
        return drawn.iter().try_for_each(|(name, value)| emit(cx.reply, name, value));
    }
    select(cx, from, count, |reply, taken, name, value| match taken {
        true => emit(reply, name, value),
        false => Ok(()),
    })
}

/// True if so many elements are found by jumps more cheaply than by a pass over all of them.
fn is_worth_jumps(from: &Collection, count: u64) -> bool {
    from.size > EXACT_MAX && count.saturating_mul(SCAN_RATIO) <= from.size
}

/// So many different elements of a spread collection that has more of them, in an order that may say something about them.
fn jumps(cx: &mut Cx<'_>, from: &Collection, count: u64) -> Result<Vec<Element>, CommandError> {
    let drawn = spread::some(cx, from, count)?;
    if drawn.len() as u64 == count {
        return Ok(drawn);
    }
    // Now some may come that were drawn before.
    let mut drawn: BTreeMap<_, _> = drawn.into_iter().collect();
    while (drawn.len() as u64) < count {
        drawn.extend(spread::some(cx, from, count - drawn.len() as u64)?);
    }
    Ok(drawn.into_iter().collect())
}

/// Passes over all elements and says of each whether it is one of the `count` that are drawn (Knuth, The Art of Computer
/// Programming, volume 2, 3.4.2, algorithm S).
pub(crate) fn select(
    cx: &mut Cx<'_>,
    from: &Collection,
    count: u64,
    mut visit: impl FnMut(&mut Reply, bool, &[u8], &[u8]) -> Outcome,
) -> Outcome {
    let mut random = Seeded(cx.random.next_u64());
    let (mut wanted, mut left) = (count, from.size);
    let (lower, upper) = part(from.kind);
    let (mut scan, reply) = cx.scan_and_reply(from, lower, upper, Direction::Forward)?;
    while left > 0 {
        let (element, value) = scan.next()?.ok_or_else(missing)?;
        let taken = random.below(left) < wanted;
        wanted -= u64::from(taken);
        left -= 1;
        visit(reply, taken, name(from.kind, element)?, value)?;
    }
    Ok(())
}

/// Writes `count` elements, each drawn among all.
fn repeated(cx: &mut Cx<'_>, from: &Found<'_>, count: u64, emit: Emit) -> Outcome {
    let from = match from {
        Found::Packed(row) => {
            let draw = packed::Draw::Repeated(count);
            return packed::draw(cx, row.header.kind, row.body(), draw, emit);
        }
        Found::Spread(collection) => collection,
    };
    let length = Length::of(cx);
    let mut left = count;
    while left > 0 {
        let n = left.min(CHUNK);
        left -= n;
        if !is_worth_jumps(from, n) {
            let draws: Vec<u64> = (0..n).map(|_| cx.random.below(from.size)).collect();
            emit_at(cx, from, &draws, &length, emit)?;
            continue;
        }
        // A draw among all gives one that has come already as often as it gives any other. Which draws do is decided first, and
        // then which elements they are.
        let mut different = 0;
        let draws: Vec<u64> = (0..n)
            .map(|_| {
                let drawn = cx.random.below(from.size).min(different);
                different += u64::from(drawn == different);
                drawn
            })
            .collect();
        let mut elements = jumps(cx, from, different)?;
        for last in (1..elements.len()).rev() {
            elements.swap(last, cx.random.below(last as u64 + 1) as usize);
        }
        for drawn in draws {
            let (name, value) = elements.get(drawn as usize).ok_or_else(missing)?;
            emit(cx.reply, name, value)?;
            length.check(cx.reply)?;
        }
    }
    Ok(())
}

/// Up to where a reply may grow: the number of elements that may repeat is the client's and knows no bound; memory does.
struct Length(usize);

impl Length {
    fn of(cx: &Cx<'_>) -> Self {
        Length(cx.reply.len() + cx.string_bytes_max)
    }

    fn check(&self, reply: &Reply) -> Outcome {
        if reply.len() > self.0 {
            return Err(CommandError::reply("ERR the reply is longer than proto-max-bulk-len"));
        }
        Ok(())
    }
}

/// Writes the elements that stand at these places, in this order, in one pass.
fn emit_at(cx: &mut Cx<'_>, from: &Collection, places: &[u64], length: &Length, emit: Emit) -> Outcome {
    let mut sorted = places.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut found: Vec<Element> = Vec::with_capacity(sorted.len());
    let mut scan = all(cx, from)?;
    let mut at = 0;
    for &place in &sorted {
        while at < place {
            scan.next()?.ok_or_else(missing)?;
            at += 1;
        }
        let (element, value) = scan.next()?.ok_or_else(missing)?;
        found.push(copied(from.kind, element, value)?);
        at += 1;
    }
    drop(scan);
    for place in places {
        // Each place is in `sorted`.
        if let Ok(i) = sorted.binary_search(place) {
            emit(cx.reply, &found[i].0, &found[i].1)?;
            length.check(cx.reply)?;
        }
    }
    Ok(())
}

/// The bounds of the elements of which each stands for one field or member: a sorted set has two for each.
fn part(kind: Kind) -> (&'static [u8], Option<&'static [u8]>) {
    match kind {
        Kind::Zset => (&[MEMBER], Some(&[INDEX])),
        _ => (&[], None),
    }
}

fn all<'s>(cx: &'s mut Cx<'_>, from: &'s Collection) -> Result<Elements<'s>, CommandError> {
    let (lower, upper) = part(from.kind);
    cx.scan(from, lower, upper, Direction::Forward)
}

/// The field or member in an element.
fn name(kind: Kind, element: &[u8]) -> Result<&[u8], CommandError> {
    let cut_short = || StoreError::Corrupt("the name of an element is cut short".into());
    Ok(field_or_member(kind, element).ok_or_else(cut_short)?)
}

fn copied(kind: Kind, element: &[u8], value: &[u8]) -> Result<Element, CommandError> {
    Ok((name(kind, element)?.to_vec(), value.to_vec()))
}

/// A collection has fewer elements than its row says. A reply whose header has been written cannot be kept.
pub(crate) fn missing() -> CommandError {
    StoreError::Corrupt("a collection has fewer elements than its row says".into()).into()
}

/// Random numbers from a seed (SplitMix64): for while a scan keeps the context's own out of reach.
pub(crate) struct Seeded(pub(crate) u64);

impl Random for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        n ^ (n >> 31)
    }
}

/// The count of HRANDFIELD, SRANDMEMBER and ZRANDMEMBER: negative if elements may repeat.
pub(crate) fn parse_count(arg: &[u8]) -> Result<i64, CommandError> {
    let count = integer(arg)?;
    if count == i64::MIN {
        let text = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
        return Err(CommandError::reply(text));
    }
    Ok(count)
}
