//! The member that SPOP takes.
//!
//! Of a large set members are drawn in advance and kept as candidates by the writer, which takes out of them what is removed
//! otherwise. SPOP takes them one after the other, in random order. The first time they are a few ([`FEW`]), then as many as there
//! have been: who pops once pays for one, and who goes on pays less and less.
//!
//! They are drawn by buckets: the numbers of the hash in whose order members stand are cut into parts of equal width.
//! Where many are wanted, some buckets are drawn, and of their members one in [`ONE_IN`]. So each member has the same chance,
//! however they are spread over the buckets, a jump finds several at once, and those that stand together do not go together. What is
//! left is thinner by chance only, as [`crate::sample`] needs it. Where few are wanted, so that it would matter of which bucket they
//! are, a bucket is drawn the likelier the fuller it is, and some of its members are taken ([`sample::few`]).
//!
//! A member that is added waits until the candidates are used up, which are at most one in [`MEMBERS_PER_CANDIDATE`], or [`FEW`].
//!
//! Of a set of up to [`ALL_AT_ONCE`] members all are candidates, also those that are added; so they are of one of up to [`ALL_MAX`]
//! from which some were taken already.

use std::ops::Range;

use haypile_store::{ALL_CANDIDATES_MAX, Direction};
use haypile_types::Random;

use super::{Name, SPREAD};
use crate::collection::{Form, Jumping};
use crate::sample::{self, Seeded, missing};
use crate::{Collection, CommandError, Cx};

/// Members up to which all are candidates.
const ALL_MAX: u64 = ALL_CANDIDATES_MAX as u64;
/// Members up to which all are the first time: reading them costs no more than drawing a few.
const ALL_AT_ONCE: u64 = 64;
/// One in so many of them has been a candidate before all are: reading them all costs as much as some of these draws.
const ALL_AFTER: u64 = 8;
/// Members for each candidate at least.
const MEMBERS_PER_CANDIDATE: u64 = 32;
/// Candidates that are drawn at first, and of one bucket.
const FEW: u64 = 4;
/// Candidates from which on it does not matter that some buckets have more members than others.
const MANY: u64 = 32;
/// Candidates that are drawn at a time at most, about.
const CANDIDATES_MAX: u64 = 1024;
/// The numbers that the hash may give.
const NUMBERS: u64 = 1 << (8 * SPREAD);
/// Members of a bucket on average, where a single number does not have more.
const BUCKET_MEAN: u64 = 32;
/// Of the members of a bucket that is drawn one in so many becomes a candidate.
const ONE_IN: u64 = 4;
/// Buckets that are drawn at most in search of candidates, where most are empty.
const BUCKETS_MAX: u64 = 1024;
/// Members that are read of a bucket at most.
const BUCKET_MAX: u64 = 4096;

/// A random member of a set: its element, which the caller removes.
pub(super) fn random_member(cx: &mut Cx<'_>, set: &Collection) -> Result<Vec<u8>, CommandError> {
    if set.is_packed() {
        return packed_member(cx, set);
    }
    if let Some(element) = cx.candidate(set) {
        return Ok(element);
    }
    let given = cx.candidates_given(set);
    let wanted = given.min(set.size / MEMBERS_PER_CANDIDATE).clamp(FEW, CANDIDATES_MAX);
    let all = set.size <= ALL_AT_ONCE || set.size <= ALL_MAX && given * ALL_AFTER >= set.size;
    let drawn = match wanted {
        _ if all => every_element(cx, set)?,
        MANY.. => draw(cx, set, wanted)?,
        _ => sample::few(cx, set, wanted as usize, FEW as usize)?,
    };
    if !drawn.is_empty() {
        let chosen = cx.random.below(drawn.len() as u64) as usize;
        cx.set_candidates(set, &drawn, all);
        return Ok(drawn.into_iter().nth(chosen).unwrap_or_default());
    }
    // The members stand on so few numbers that none was met.
    let (member, _) = sample::one_of(cx, set)?;
    Ok(Name::default().of(&member).to_vec())
}

fn packed_member(cx: &mut Cx<'_>, set: &Collection) -> Result<Vec<u8>, CommandError> {
    let rank = cx.random.below(set.size);
    if let Form::Packed(packing) = set.form()
        && let Some((element, _)) = packing.nth(rank as usize)?
    {
        return Ok(element);
    }
    let mut scan = cx.scan(set, &[], None, Direction::Forward)?;
    for _ in 0..rank {
        scan.next()?.ok_or_else(missing)?;
    }
    let (element, _) = scan.next()?.ok_or_else(missing)?;
    Ok(element.to_vec())
}

fn every_element(cx: &mut Cx<'_>, set: &Collection) -> Result<Vec<Vec<u8>>, CommandError> {
    let mut scan = cx.scan(set, &[], None, Direction::Forward)?;
    let mut elements = Vec::with_capacity(set.size as usize);
    while let Some((element, _)) = scan.next()? {
        elements.push(element.to_vec());
    }
    if elements.len() as u64 == set.size {
        Ok(elements)
    } else {
        Err(missing())
    }
}

/// Members of some buckets, each at most once; none if the buckets are empty.
fn draw(cx: &mut Cx<'_>, set: &Collection, wanted: u64) -> Result<Vec<Vec<u8>>, CommandError> {
    let width = (BUCKET_MEAN * NUMBERS / set.size).clamp(1, NUMBERS);
    let mean = (set.size * width).div_ceil(NUMBERS);
    // As many at a time, whatever they give: who stops when there are enough would prefer full buckets.
    let at_a_time = (wanted * ONE_IN).div_ceil(mean);
    let mut random = Seeded(cx.random.next_u64());
    let mut jumping = cx.jumps(set, &[], None)?;
    let mut drawn = Vec::new();
    for _ in 0..BUCKETS_MAX.div_ceil(at_a_time) {
        let mut buckets: Vec<u64> = (0..at_a_time).map(|_| random.below(NUMBERS.div_ceil(width))).collect();
        // What stands together is read together, and no bucket is drawn twice.
        buckets.sort_unstable();
        buckets.dedup();
        for bucket in buckets {
            let start = bucket * width;
            draw_from(&mut jumping, &mut random, start..start + width, &mut drawn)?;
        }
        if !drawn.is_empty() {
            break;
        }
    }
    Ok(drawn)
}

/// Some of the members with these numbers.
fn draw_from(
    jumping: &mut Jumping<'_>,
    random: &mut Seeded,
    numbers: Range<u64>,
    drawn: &mut Vec<Vec<u8>>,
) -> Result<(), CommandError> {
    let bound = |number: u64| (number as u16).to_be_bytes();
    let upper = (numbers.end < NUMBERS).then(|| bound(numbers.end));
    jumping.to(&bound(numbers.start), upper.as_ref().map(|end| &end[..]));
    let mut left = BUCKET_MAX;
    while left > 0
        && let Some((element, _)) = jumping.next()?
    {
        left -= 1;
        if random.below(ONE_IN) == 0 {
            drawn.push(element.to_vec());
        }
    }
    Ok(())
}
