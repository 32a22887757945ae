//! The member that SPOP takes.
//!
//! Of a large set members are drawn in advance and kept as candidates by the writer, which takes out of them what is removed
//! otherwise. SPOP takes them one after the other, in random order. The first time they are a few ([`FEW`]), then as many as there
//! have been: who pops once pays for one, and who goes on pays less and less.
//!
//! They are drawn by buckets: the numbers of the hash in whose order members stand are cut into parts of equal width.
//! Where many are wanted, some buckets are drawn, and of their members one in [`ONE_IN`]. So each member has the same chance,
//! however they are spread over the buckets, a jump finds many at once, and those that stand together do not all go together. No bucket
//! is drawn again before all others were ([`Pass`]): what is left stands nearly evenly, as [`crate::sample`] needs it, with so large a
//! part taken of each that little is read in vain. When all were, half of the members have gone, and new buckets are laid.
//! Where few are wanted, so that it would matter of which bucket they
//! are, a bucket is drawn the likelier the fuller it is, and some of its members are taken ([`sample::few`]).
//!
//! A member that is added waits until the candidates are used up, which are at most one in [`MEMBERS_PER_CANDIDATE`], or [`FEW`].
//!
//! Of a set of up to [`ALL_AT_ONCE`] members all are candidates, also those that are added; so they are of one of up to [`ALL_MAX`]
//! from which some were taken already.

use std::ops::Range;

use haypile_store::{ALL_CANDIDATES_MAX, Direction, Pass};
use haypile_types::Random;

use super::{Name, SPREAD};
use crate::collection::{ElementName, Form, Jumping};
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
/// Members of a bucket on average, where a single number does not have more: the more, the fewer jumps, but candidates are to come of so
/// many buckets at least.
const BUCKET_MEAN: Range<u64> = 16..64;
const BUCKETS_MIN: u64 = 4;
/// Of the members of a bucket that is drawn one in so many becomes a candidate.
const ONE_IN: u64 = 2;
/// Buckets that are drawn at most in search of candidates, where most are empty.
const BUCKETS_MAX: u64 = 1024;
/// Buckets are laid anew if they are so many times too narrow or too wide.
const WIDTH_TIMES_MAX: u64 = 2;
/// Members that are read of a bucket at most.
const BUCKET_MAX: u64 = 4096;

/// A random member of a set: its element, which the caller removes.
pub(super) fn random_member(cx: &mut Cx<'_>, set: &Collection) -> Result<ElementName, CommandError> {
    if set.is_packed() {
        return packed_member(cx, set);
    }
    if let Some(element) = cx.candidate(set) {
        return Ok(element);
    }
    let given = cx.candidates_given(set);
    let wanted = given.min(set.size / MEMBERS_PER_CANDIDATE).clamp(FEW, CANDIDATES_MAX);
    let all = set.size <= ALL_AT_ONCE || set.size <= ALL_MAX && given * ALL_AFTER >= set.size;
    let mut pass = cx.pass(set);
    let drawn = match wanted {
        _ if all => every_element(cx, set)?,
        MANY.. => draw(cx, set, wanted, &mut pass)?,
        _ => sample::few(cx, set, wanted as usize, FEW as usize)?,
    };
    if !drawn.is_empty() {
        let chosen = cx.random.below(drawn.len() as u64) as usize;
        cx.set_candidates(set, &drawn, all, pass);
        return Ok(drawn.into_iter().nth(chosen).unwrap_or_default());
    }
    // The members stand on so few numbers that none was met.
    let (member, _) = sample::one_of(cx, set)?;
    Ok(Name::default().of(&member).into())
}

fn packed_member(cx: &mut Cx<'_>, set: &Collection) -> Result<ElementName, CommandError> {
    let rank = cx.random.below(set.size);
    if let Form::Packed(packing) = set.form()
        && let Some((element, _)) = packing.nth(rank as usize)?
    {
        return Ok(element.into());
    }
    let mut scan = cx.scan(set, &[], None, Direction::Forward)?;
    for _ in 0..rank {
        scan.next()?.ok_or_else(missing)?;
    }
    let (element, _) = scan.next()?.ok_or_else(missing)?;
    Ok(element.into())
}

fn every_element(cx: &mut Cx<'_>, set: &Collection) -> Result<Vec<ElementName>, CommandError> {
    let mut scan = cx.scan(set, &[], None, Direction::Forward)?;
    let mut elements = Vec::with_capacity(set.size as usize);
    while let Some((element, _)) = scan.next()? {
        elements.push(element.into());
    }
    if elements.len() as u64 == set.size {
        Ok(elements)
    } else {
        Err(missing())
    }
}

/// Members of some buckets to which the pass has not come; none if the buckets are empty.
fn draw(cx: &mut Cx<'_>, set: &Collection, wanted: u64, pass: &mut Pass) -> Result<Vec<ElementName>, CommandError> {
    let mut random = Seeded(cx.random.next_u64());
    let mut jumping = cx.jumps(set, &[], None)?;
    let mut drawn = Vec::new();
    let mut left = BUCKETS_MAX;
    while drawn.is_empty() && left > 0 {
        let fits = (wanted * ONE_IN / BUCKETS_MIN).clamp(BUCKET_MEAN.start, BUCKET_MEAN.end);
        let fits = (fits * NUMBERS / set.size).clamp(1, NUMBERS);
        // The set may have become much smaller or larger otherwise.
        if pass.left() == 0 || pass.width * WIDTH_TIMES_MAX < fits || pass.width > fits * WIDTH_TIMES_MAX {
            *pass = Pass::over(NUMBERS, fits);
        }
        let width = pass.width;
        // Of the buckets that were drawn already, a part of the members has gone.
        let (parts, parts_left) = (NUMBERS.div_ceil(width), pass.left() as u64);
        let mean = (set.size * ONE_IN).div_ceil(parts * (ONE_IN - 1) + parts_left);
        // As many at a time, whatever they give: who stops when there are enough would prefer full buckets.
        let at_a_time = (wanted * ONE_IN).div_ceil(mean);
        let next = |_| pass.next(|bound| random.below(bound));
        let mut buckets: Vec<u64> = (0..at_a_time).map_while(next).collect();
        // What stands together is read together.
        buckets.sort_unstable();
        left = left.saturating_sub(buckets.len() as u64);
        for bucket in buckets {
            let start = bucket * width;
            draw_from(&mut jumping, &mut random, start..start + width, &mut drawn)?;
        }
    }
    Ok(drawn)
}

/// Some of the members with these numbers.
fn draw_from(
    jumping: &mut Jumping<'_>,
    random: &mut Seeded,
    numbers: Range<u64>,
    drawn: &mut Vec<ElementName>,
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
            drawn.push(element.into());
        }
    }
    Ok(())
}
