//! A random element of a large collection, whose elements stand in the order of a hash of 16 bits.
//!
//! The numbers of that hash are cut into buckets of equal width, in which some [`BUCKET_MEAN`] elements stand on average, and
//! each bucket is said to have the same number of places, [`PLACES_PER_MEAN`] times as many as that. A place is drawn among
//! all; if an element stands there it is the one, else another place is drawn. So every element has the same chance,
//! however they are spread over the buckets, as long as no bucket has more elements than places: that is all that is asked of
//! the hash, and what stands behind a gap is not favoured. It takes three jumps on average, and passes over some sixty elements.
//!
//! What a bucket has too much would hardly come, so a bucket that is too full is not drawn from. That happens where
//! elements were removed in their own order, as who goes through a set with SSCAN and removes what comes does, and the others
//! now stand on a part of the numbers. Whoever meets a bucket that is too full or empty lays others over that part only; and if
//! elements still stand unevenly, narrower ones, which is no more exact but reaches them all ([`ROUNDS`]).

use std::ops::Range;

use haypile_store::{Direction, keys};
use haypile_types::Random;

use super::{Element, Seeded, copied, missing, name, part};
use crate::collection::{ElementName, Jumping};
use crate::set::SPREAD;
use crate::{Collection, CommandError, Cx};

/// The numbers that the hash may give.
const NUMBERS: u64 = 1 << (8 * SPREAD);
/// Elements of a bucket on average, where a single number does not have more.
const BUCKET_MEAN: u64 = 16;
/// Places of a bucket for each element that it has on average. Of random numbers a bucket has more than three times the average
/// once in 10^10; SPOP, which takes from some buckets more than from others, makes the counts vary more.
const PLACES_PER_MEAN: u64 = 3;
/// Places that are drawn before the buckets are found to be wrong: a third of all is taken.
const DRAWS: usize = 64;
/// Times that buckets are laid, each time over a smaller part of the numbers or more narrowly.
const ROUNDS: usize = 5;
/// By what buckets become narrower.
const NARROWER: u64 = 4;
/// Elements that are passed over at most where nothing else has found one.
const RUN: u64 = 1024;

/// Elements that are drawn with one iterator at most.
const AT_ONCE: usize = 64;

/// An element of a spread collection.
pub(super) fn one(cx: &mut Cx<'_>, from: &Collection) -> Result<Element, CommandError> {
    let mut buckets = Buckets::over(0..NUMBERS, from.size);
    for round in 0..ROUNDS {
        if let Some(element) = draw(cx, from, &buckets, 1, round == 0)?.pop() {
            return Ok(element);
        }
        buckets = match round {
            0 => Buckets::over(inhabited(cx, from)?, from.size),
            _ => buckets.narrower(),
        };
    }
    // So many elements of one number come of names that were looked for.
    behind(cx, from, buckets.numbers)
}

/// Elements of a spread collection, each drawn among all: as many as are asked for, or fewer, but at least one.
pub(super) fn some(cx: &mut Cx<'_>, from: &Collection, count: u64) -> Result<Vec<Element>, CommandError> {
    let buckets = Buckets::over(0..NUMBERS, from.size);
    let count = usize::try_from(count).map_or(AT_ONCE, |count| count.min(AT_ONCE));
    let mut drawn = draw(cx, from, &buckets, count, true)?;
    if drawn.is_empty() {
        drawn.push(one(cx, from)?);
    }
    Ok(drawn)
}

/// The names of about `count` elements, of which each is as likely to be there as any other: those that stand at up to `together`
/// places of each bucket that is drawn. A bucket is drawn as one for an element is, so the fuller the likelier. None where the
/// buckets are found to be wrong.
pub(super) fn few(
    cx: &mut Cx<'_>,
    from: &Collection,
    count: usize,
    together: usize,
) -> Result<Vec<ElementName>, CommandError> {
    let buckets = Buckets::over(0..NUMBERS, from.size);
    let mut random = Seeded(cx.random.next_u64());
    let (first, last) = part(from.kind);
    let mut jumping = cx.jumps(from, first, last)?;
    let mut drawn = Vec::new();
    let mut left = DRAWS;
    while drawn.len() < count && left > 0 {
        left -= 1;
        let bucket = buckets.nth(random.below(buckets.count()));
        let place = random.below(buckets.places) as usize;
        let upper = (bucket.end < NUMBERS).then(|| bound(from, bucket.end));
        jumping.to(&bound(from, bucket.start), upper.as_deref());
        let (mut names, mut ends) = (Vec::new(), Vec::new());
        while let Some((element, _)) = jumping.next()? {
            names.extend_from_slice(element);
            ends.push(names.len());
            if ends.len() as u64 > buckets.places {
                return Ok(Vec::new());
            }
        }
        if place >= ends.len() {
            continue;
        }
        let taken = together.min(ends.len());
        for n in 0..taken {
            let at = (place + n * ends.len() / taken) % ends.len();
            let start = at.checked_sub(1).map_or(0, |before| ends[before]);
            drawn.push(names[start..ends[at]].into());
        }
        left = DRAWS;
    }
    // A bucket may have been drawn twice.
    drawn.sort_unstable();
    drawn.dedup();
    Ok(drawn)
}

/// Draws so many elements; fewer, or none, where the buckets are found to be wrong. Where it `expects` no empty ones, one is enough
/// for that: by chance a bucket is empty once in 10^7.
fn draw(
    cx: &mut Cx<'_>,
    from: &Collection,
    buckets: &Buckets,
    count: usize,
    expects: bool,
) -> Result<Vec<Element>, CommandError> {
    let mut random = Seeded(cx.random.next_u64());
    let (first, last) = part(from.kind);
    let mut jumping = cx.jumps(from, first, last)?;
    let mut drawn = Vec::new();
    let mut left = DRAWS;
    while drawn.len() < count && left > 0 {
        match draw_one(&mut jumping, &mut random, from, buckets)? {
            Drawn::Element(element) => {
                drawn.push(element);
                left = DRAWS;
            }
            Drawn::TooFull => break,
            Drawn::Nothing(0) if expects => break,
            Drawn::Nothing(_) => left -= 1,
        }
    }
    Ok(drawn)
}

/// The numbers of the hash, cut into parts.
#[derive(Debug, PartialEq, Eq)]
struct Buckets {
    numbers: Range<u64>,
    /// Numbers of one bucket. The last may have fewer.
    width: u64,
    /// Places of one bucket.
    places: u64,
}

impl Buckets {
    /// For this many elements that stand at random numbers of a range.
    fn over(numbers: Range<u64>, elements: u64) -> Self {
        let range = numbers.end - numbers.start;
        let width = (BUCKET_MEAN * range / elements.max(1)).clamp(1, range);
        let mean = (elements * width).div_ceil(range).max(BUCKET_MEAN);
        Buckets {
            numbers,
            width,
            places: mean * PLACES_PER_MEAN,
        }
    }

    fn narrower(self) -> Self {
        Buckets {
            width: (self.width / NARROWER).max(1),
            ..self
        }
    }

    fn count(&self) -> u64 {
        (self.numbers.end - self.numbers.start).div_ceil(self.width)
    }

    /// The numbers of the n-th one.
    fn nth(&self, n: u64) -> Range<u64> {
        let start = self.numbers.start + n * self.width;
        start..(start + self.width).min(self.numbers.end)
    }
}

enum Drawn {
    Element(Element),
    /// Nothing stands there; the bucket has so many elements.
    Nothing(u64),
    /// The bucket has more elements than places.
    TooFull,
}

/// What stands at a random place of a random bucket.
fn draw_one(
    jumping: &mut Jumping<'_>,
    random: &mut Seeded,
    from: &Collection,
    buckets: &Buckets,
) -> Result<Drawn, CommandError> {
    let bucket = buckets.nth(random.below(buckets.count()));
    let place = random.below(buckets.places);
    let upper = (bucket.end < NUMBERS).then(|| bound(from, bucket.end));
    jumping.to(&bound(from, bucket.start), upper.as_deref());
    let (mut found, mut count) = (None, 0);
    while let Some((element, value)) = jumping.next()? {
        if count == place {
            found = Some(copied(from.kind, element, value)?);
        }
        count += 1;
        if count > buckets.places {
            return Ok(Drawn::TooFull);
        }
    }
    Ok(found.map_or(Drawn::Nothing(count), Drawn::Element))
}

/// The beginning of the elements of a number.
fn bound(from: &Collection, number: u64) -> Vec<u8> {
    let (first, _) = part(from.kind);
    [first, &(number as u16).to_be_bytes()].concat()
}

/// The numbers between which all elements stand.
fn inhabited(cx: &mut Cx<'_>, from: &Collection) -> Result<Range<u64>, CommandError> {
    let mut edge = |direction| {
        let (first, last) = part(from.kind);
        let mut scan = cx.scan(from, first, last, direction)?;
        let (element, _) = scan.next()?.ok_or_else(missing)?;
        Ok::<_, CommandError>(u64::from(keys::spread(name(from.kind, element)?)))
    };
    Ok(edge(Direction::Forward)?..edge(Direction::Reverse)? + 1)
}

/// One of the elements that follow a random number.
fn behind(cx: &mut Cx<'_>, from: &Collection, numbers: Range<u64>) -> Result<Element, CommandError> {
    let number = numbers.start + cx.random.below(numbers.end - numbers.start);
    let mut left = cx.random.below(RUN.min(from.size));
    let (first, last) = part(from.kind);
    for lower in [&bound(from, number)[..], first] {
        let mut scan = cx.scan(from, lower, last, Direction::Forward)?;
        while let Some((element, value)) = scan.next()? {
            if left == 0 {
                return copied(from.kind, element, value);
            }
            left -= 1;
        }
    }
    Err(missing())
}
