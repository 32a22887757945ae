//! A random element of a large collection, whose elements stand in the order of a hash of 16 bits.
//!
//! The numbers of that hash are cut into buckets of equal width, in which some [`BUCKET_MEAN`] elements stand on average, and
//! each bucket is said to have the same number of places, [`PLACES_PER_MEAN`] times as many as that. A place is drawn among
//! all; if an element stands there it is the one, else another place is drawn. So every element has the same chance,
//! however they are spread over the buckets, as long as no bucket has more elements than places: that is all that is asked of
//! the hash, and what stands behind a gap is not favoured. It takes three jumps on average, and passes over some sixty elements.
//!
//! Where several are wanted they are taken from a *pool* of buckets, which are passed over once: one that is drawn as above, so the
//! fuller the likelier, and others, of which each is as likely as any other. Such a pool is the likelier the more elements it has
//! (H. Midzuno, "On the Sampling System with Probability Proportionate to Sum of Sizes", 1952), in just the proportion in which each of
//! its elements is the less likely to be among those that are taken of it. So again every element has the same chance.
//!
//! What a bucket has too much would hardly come, so a bucket that is too full is not drawn from. That happens where
//! elements were removed in their own order, as who goes through a set with SSCAN and removes what comes does, and the others
//! now stand on a part of the numbers. Whoever meets a bucket that is too full or empty lays others over that part only; and if
//! elements still stand unevenly, narrower ones, which is no more exact but reaches them all ([`ROUNDS`]).

use std::collections::BTreeSet;
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

/// Elements of a pool for each that is taken from it, about.
const POOL_PER_TAKEN: u64 = 4;
/// Buckets of a pool at least, or as many as are taken if these are fewer: those that stand together shall not come together often.
const POOL_BUCKETS_MIN: u64 = 8;

/// An element of a spread collection.
pub(super) fn one(cx: &mut Cx<'_>, from: &Collection) -> Result<Element, CommandError> {
    some(cx, from, 1)?.pop().ok_or_else(missing)
}

/// Different elements of a spread collection, each as likely to be among them as any other: as many as are asked for, or fewer, but
/// at least one.
pub(super) fn some(cx: &mut Cx<'_>, from: &Collection, count: u64) -> Result<Vec<Element>, CommandError> {
    let mut buckets = Buckets::over(0..NUMBERS, from.size);
    for round in 0..ROUNDS {
        let drawn = draw(cx, from, &buckets, count, round == 0)?;
        if !drawn.is_empty() {
            return Ok(drawn);
        }
        buckets = match round {
            0 => Buckets::over(inhabited(cx, from)?, from.size),
            _ => buckets.narrower(),
        };
    }
    // So many elements of one number come of names that were looked for.
    Ok(vec![behind(cx, from, buckets.numbers)?])
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
        to_bucket(&mut jumping, from, &bucket);
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

/// Draws so many elements; fewer where a pool has no more, and none where the buckets are found to be wrong.
fn draw(
    cx: &mut Cx<'_>,
    from: &Collection,
    buckets: &Buckets,
    count: u64,
    expects: bool,
) -> Result<Vec<Element>, CommandError> {
    let mut random = Seeded(cx.random.next_u64());
    let (first, last) = part(from.kind);
    let mut jumping = cx.jumps(from, first, last)?;
    let Some((element, bucket)) = draw_one(&mut jumping, &mut random, from, buckets, expects)? else {
        return Ok(Vec::new());
    };
    if count <= 1 {
        return Ok(vec![element]);
    }
    let mut pool = BTreeSet::from([bucket]);
    let pool_buckets = buckets.pool_for(count);
    while (pool.len() as u64) < pool_buckets {
        pool.insert(random.below(buckets.count()));
    }
    take(&mut jumping, &mut random, (from, buckets), &pool, count)
}

/// Takes so many of the elements in these buckets, each set of them as likely as any other (Vitter's algorithm R); none where a bucket
/// is too full.
fn take(
    jumping: &mut Jumping<'_>,
    random: &mut Seeded,
    (from, buckets): (&Collection, &Buckets),
    pool: &BTreeSet<u64>,
    count: u64,
) -> Result<Vec<Element>, CommandError> {
    let (mut taken, mut seen) = (Vec::new(), 0);
    for bucket in pool {
        to_bucket(jumping, from, &buckets.nth(*bucket));
        let seen_before = seen;
        while let Some((element, value)) = jumping.next()? {
            seen += 1;
            if seen - seen_before > buckets.places {
                return Ok(Vec::new());
            }
            if seen <= count {
                taken.push(copied(from.kind, element, value)?);
            } else if let Some(one) = taken.get_mut(random.below(seen) as usize) {
                *one = copied(from.kind, element, value)?;
            }
        }
    }
    Ok(taken)
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

    /// Buckets of a pool from which so many elements are taken.
    fn pool_for(&self, taken: u64) -> u64 {
        let mean = (self.places / PLACES_PER_MEAN).max(1);
        let buckets = taken.saturating_mul(POOL_PER_TAKEN).div_ceil(mean);
        buckets.max(taken.min(POOL_BUCKETS_MIN)).min(self.count())
    }

    /// The numbers of the n-th one.
    fn nth(&self, n: u64) -> Range<u64> {
        let start = self.numbers.start + n * self.width;
        start..(start + self.width).min(self.numbers.end)
    }
}

/// An element that is drawn among all, and the number of its bucket; `None` where the buckets are found to be wrong. Where it `expects`
/// no empty ones, one is enough for that: by chance a bucket is empty once in 10^7.
fn draw_one(
    jumping: &mut Jumping<'_>,
    random: &mut Seeded,
    from: &Collection,
    buckets: &Buckets,
    expects: bool,
) -> Result<Option<(Element, u64)>, CommandError> {
    for _ in 0..DRAWS {
        let bucket = random.below(buckets.count());
        let place = random.below(buckets.places);
        to_bucket(jumping, from, &buckets.nth(bucket));
        let (mut found, mut count) = (None, 0);
        while let Some((element, value)) = jumping.next()? {
            if count == place {
                found = Some(copied(from.kind, element, value)?);
            }
            count += 1;
            if count > buckets.places {
                return Ok(None);
            }
        }
        match found {
            Some(element) => return Ok(Some((element, bucket))),
            None if count == 0 && expects => return Ok(None),
            None => {}
        }
    }
    Ok(None)
}

/// Goes to the elements of a bucket, which has these numbers.
fn to_bucket(jumping: &mut Jumping<'_>, from: &Collection, numbers: &Range<u64>) {
    let upper = (numbers.end < NUMBERS).then(|| bound(from, numbers.end));
    jumping.to(&bound(from, numbers.start), upper.as_deref());
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
