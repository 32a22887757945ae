//! Random elements of a collection: HRANDFIELD, SRANDMEMBER, SPOP.
//!
//! Elements stand in the order of their keys, so "the i-th" costs i steps. Up to [`EXACT_MAX`] elements that is what is
//! done, and the choice is exactly uniform. So is the choice of different elements where more than one in
//! [`SCAN_RATIO`] is asked for: one pass over all of them, each taken with the probability that makes the number come
//! out (Knuth, TAOCP 2, algorithm S).
//!
//! One element of a bigger collection is found by seeking to a random place and going on a random number of steps, so
//! that what stands after a gap is not favoured much. For sets, whose order is that of a hash, the place is a random
//! hash, and the result is close to uniform. Hashes are in the order of their fields; there the place is found by
//! descending at random: among the bytes by which the fields of a range first differ one is drawn, what has it is the
//! next range. Every field can be drawn, but not with the same probability where fields are spread unevenly.

use std::collections::BTreeMap;

use haypile_resp::Reply;
use haypile_store::keys::prefix_end;
use haypile_store::row::Kind;
use haypile_store::{Direction, StoreError};
use haypile_types::Random;

use crate::args::integer;
use crate::collection::Form;
use crate::set::SPREAD;
use crate::{Collection, CommandError, Cx};

/// Elements up to which a random one is exactly uniform.
pub(crate) const EXACT_MAX: u64 = 1000;
/// One random element costs about as much as passing over this many.
const SCAN_RATIO: u64 = 64;
/// Steps that are taken from a random place: below this number.
const RUN: u64 = 32;
/// The same in sets of so many members that a hash's group is longer than [`RUN`].
const RUN_MAX: u64 = 1024;
/// Levels of a random descent: an order of magnitude each, at least, for fields that are not made to defeat it.
const LEVELS: usize = 16;
/// Elements that are drawn at a time where they may repeat.
const CHUNK: u64 = 4096;

/// Writes an element, and its value.
pub(crate) type Emit = fn(&mut Reply, &[u8], &[u8]);

/// An element: its name, and the value if it was asked for.
pub(crate) type Element = (Vec<u8>, Vec<u8>);

/// One element: exactly uniform among up to `exact_max`. With its value, if `values`.
pub(crate) fn one(cx: &mut Cx<'_>, from: &Collection, exact_max: u64, values: bool) -> Result<Element, CommandError> {
    if from.size <= exact_max || from.is_packed() {
        let steps = cx.random.below(from.size);
        if let Form::Packed(packing) = from.form()
            && let Some(element) = packing.nth(steps as usize)?
        {
            return Ok(element);
        }
        return step(cx, from, &[], steps, values);
    }
    let (place, run) = if from.kind == Kind::Set {
        spread_place(cx, from)?
    } else {
        (descend(cx, from, Vec::new(), None)?, RUN)
    };
    let steps = cx.random.below(run);
    step(cx, from, &place, steps, values)
}

/// Writes `count` different elements, fewer than there are.
pub(crate) fn different(
    cx: &mut Cx<'_>,
    from: &Collection,
    count: u64,
    values: bool,
    emit: Emit,
) -> Result<(), CommandError> {
    if from.size > EXACT_MAX && count.saturating_mul(SCAN_RATIO) <= from.size {
        let mut drawn = BTreeMap::new();
        // In a big hash of a strange shape a few fields may come up again and again.
        for _ in 0..count * 8 + 64 {
            let (key, value) = one(cx, from, EXACT_MAX, values)?;
            drawn.insert(key, value);
            if drawn.len() as u64 == count {
                drawn.iter().for_each(|(key, value)| emit(cx.reply, key, value));
                return Ok(());
            }
        }
    }
    select(cx, from, count, |reply, taken, key, value| {
        if taken {
            emit(reply, key, value);
        }
    })
}

/// Passes over all elements and says of each whether it is one of the `count` that are drawn.
pub(crate) fn select(
    cx: &mut Cx<'_>,
    from: &Collection,
    count: u64,
    mut visit: impl FnMut(&mut Reply, bool, &[u8], &[u8]),
) -> Result<(), CommandError> {
    let mut random = Seeded(cx.random.next_u64());
    let (mut wanted, mut left) = (count, from.size);
    let (mut scan, reply) = cx.scan_and_reply(from, &[], None, Direction::Forward)?;
    while left > 0 {
        let (key, value) = scan.next()?.ok_or_else(missing)?;
        let taken = random.below(left) < wanted;
        wanted -= u64::from(taken);
        left -= 1;
        visit(reply, taken, key, value);
    }
    Ok(())
}

/// Writes `count` elements, each drawn among all.
pub(crate) fn repeated(
    cx: &mut Cx<'_>,
    from: &Collection,
    count: u64,
    values: bool,
    emit: Emit,
) -> Result<(), CommandError> {
    // The number is the client's and knows no bound; memory does.
    let reply_max = cx.reply.len() + cx.string_bytes_max;
    let mut left = count;
    while left > 0 {
        let n = left.min(CHUNK);
        left -= n;
        if from.size <= EXACT_MAX || n * SCAN_RATIO > from.size {
            let draws: Vec<u64> = (0..n).map(|_| cx.random.below(from.size)).collect();
            emit_at(cx, from, &draws, values, reply_max, emit)?;
        } else {
            for _ in 0..n {
                let (key, value) = one(cx, from, EXACT_MAX, values)?;
                emit(cx.reply, &key, &value);
                check_length(cx, reply_max)?;
            }
        }
    }
    Ok(())
}

fn check_length(cx: &Cx<'_>, reply_max: usize) -> Result<(), CommandError> {
    if cx.reply.len() > reply_max {
        return Err(CommandError::reply("ERR the reply is longer than proto-max-bulk-len"));
    }
    Ok(())
}

/// Writes the elements that stand at these places, in this order, in one pass.
fn emit_at(
    cx: &mut Cx<'_>,
    from: &Collection,
    places: &[u64],
    values: bool,
    reply_max: usize,
    emit: Emit,
) -> Result<(), CommandError> {
    let mut sorted = places.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut found: Vec<Element> = Vec::with_capacity(sorted.len());
    let mut scan = cx.scan(from, &[], None, Direction::Forward)?;
    let mut at = 0;
    for &place in &sorted {
        while at < place {
            scan.next()?.ok_or_else(missing)?;
            at += 1;
        }
        let (key, value) = scan.next()?.ok_or_else(missing)?;
        found.push(element(key, value, values));
        at += 1;
    }
    drop(scan);
    for place in places {
        // Each place is in `sorted`.
        if let Ok(i) = sorted.binary_search(place) {
            emit(cx.reply, &found[i].0, &found[i].1);
            check_length(cx, reply_max)?;
        }
    }
    Ok(())
}

/// The element that stands `steps` after the first one at or after `place`; the first of all comes after the last.
fn step(
    cx: &mut Cx<'_>,
    from: &Collection,
    place: &[u8],
    mut steps: u64,
    values: bool,
) -> Result<Element, CommandError> {
    let mut lower = place;
    // Three rounds: what is left of this one, and a run may be longer than a whole one only if elements are missing.
    for _ in 0..3 {
        let mut scan = cx.scan(from, lower, None, Direction::Forward)?;
        while let Some((key, value)) = scan.next()? {
            if steps == 0 {
                return Ok(element(key, value, values));
            }
            steps -= 1;
        }
        lower = &[];
    }
    Err(missing())
}

fn element(key: &[u8], value: &[u8], values: bool) -> Element {
    let value = if values { value.to_vec() } else { Vec::new() };
    (key.to_vec(), value)
}

/// A random place in a set's hash order, and the number of steps to take from there.
fn spread_place(cx: &mut Cx<'_>, from: &Collection) -> Result<(Vec<u8>, u64), CommandError> {
    let lower = (cx.random.next_u64() as u16).to_be_bytes().to_vec();
    let group = from.size >> (8 * SPREAD);
    if group * 2 <= RUN_MAX {
        return Ok((lower, RUN.max(group * 2)));
    }
    let upper = prefix_end(&lower);
    Ok((descend(cx, from, lower, upper)?, RUN))
}

/// A place in a range of elements, found by a random descent; the lower bound if the range is empty.
fn descend(
    cx: &mut Cx<'_>,
    from: &Collection,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
) -> Result<Vec<u8>, CommandError> {
    let (mut lower, mut upper) = (lower, upper);
    let Some(mut first) = edge(cx, from, &lower, upper.as_deref(), Direction::Forward)? else {
        return Ok(lower);
    };
    for _ in 0..LEVELS {
        let Some(last) = edge(cx, from, &lower, upper.as_deref(), Direction::Reverse)? else {
            break;
        };
        let common = first.iter().zip(&last).take_while(|(a, b)| a == b).count();
        let Some(&high) = last.get(common) else { break };
        if first.len() == common {
            // All others begin with it: it has no byte here. A run from before it can reach it.
            first.push(0);
            let Some(second) = edge(cx, from, &first, upper.as_deref(), Direction::Forward)? else {
                break;
            };
            first = second;
        }
        let low = first.get(common).copied().unwrap_or(high);
        let byte = low + cx.random.below(u64::from(high - low) + 1) as u8;
        let place = [&last[..common], &[byte]].concat();
        // There is one, as `last` comes at or after it.
        let Some(found) = edge(cx, from, &place, upper.as_deref(), Direction::Forward)? else {
            break;
        };
        lower = found[..=common].to_vec();
        upper = prefix_end(&lower);
        first = found;
    }
    Ok(first)
}

/// The first element of a range in the given direction.
pub(crate) fn edge(
    cx: &mut Cx<'_>,
    from: &Collection,
    lower: &[u8],
    upper: Option<&[u8]>,
    direction: Direction,
) -> Result<Option<Vec<u8>>, CommandError> {
    let mut scan = cx.scan(from, lower, upper, direction)?;
    Ok(scan.next()?.map(|(key, _)| key.to_vec()))
}

/// A collection has fewer elements than its row says. A reply whose header has been written cannot be kept.
pub(crate) fn missing() -> CommandError {
    StoreError::Corrupt("a collection has fewer elements than its row says".into()).into()
}

/// Random numbers from a seed (SplitMix64): for while a scan keeps the context's own out of reach.
struct Seeded(u64);

impl Random for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        n ^ (n >> 31)
    }
}

/// The count of HRANDFIELD and SRANDMEMBER: negative if elements may repeat.
pub(crate) fn parse_count(arg: &[u8]) -> Result<i64, CommandError> {
    let count = integer(arg)?;
    if count == i64::MIN {
        let text = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
        return Err(CommandError::reply(text));
    }
    Ok(count)
}
