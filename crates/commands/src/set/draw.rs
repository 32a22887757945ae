//! The member that SPOP takes.
//!
//! Of a large set members are drawn in advance and kept as candidates by the writer, which takes out of them what is removed
//! otherwise. SPOP takes them one after the other, in random order.
//!
//! They are drawn by buckets: the numbers of the hash in whose order members stand are cut into parts of equal width,
//! some of which are drawn, and of their members one in [`ONE_IN`]. So each member has the same chance, however they are spread over
//! the buckets, a jump finds several at once, and those that stand together do not go together. What is left is thinner
//! by chance only, as [`crate::sample`] needs it. A member that is added waits until the candidates are used up, which
//! are at most one in [`MEMBERS_PER_CANDIDATE`].
//!
//! Of a set of up to [`ALL_MAX`] members all are candidates, also those that are added.

use haypile_store::{ALL_CANDIDATES_MAX, Direction};

use haypile_types::Random;

use super::{Name, SPREAD};
use crate::collection::Form;
use crate::sample::{self, Seeded, missing};
use crate::{Collection, CommandError, Cx};

/// Members up to which all are candidates.
const ALL_MAX: u64 = ALL_CANDIDATES_MAX as u64;
/// Members for each candidate at least.
const MEMBERS_PER_CANDIDATE: u64 = 32;
/// Candidates that are drawn at a time at most, about.
const CANDIDATES_MAX: u64 = 256;
/// The numbers that the hash may give.
const NUMBERS: u64 = 1 << (8 * SPREAD);
/// Members of a bucket on average, where a single number does not have more.
const BUCKET_MEAN: u64 = 16;
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
    let all = set.size <= ALL_MAX;
    if let Some(element) = cx.candidate(set, all) {
        return Ok(element);
    }
    let drawn = if all { every_element(cx, set)? } else { draw(cx, set)? };
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
fn draw(cx: &mut Cx<'_>, set: &Collection) -> Result<Vec<Vec<u8>>, CommandError> {
    let width = (BUCKET_MEAN * NUMBERS / set.size).clamp(1, NUMBERS);
    let wanted = (set.size / MEMBERS_PER_CANDIDATE).clamp(1, CANDIDATES_MAX);
    let mean = (set.size * width).div_ceil(NUMBERS);
    // As many at a time, whatever they give: who stops when there are enough would prefer full buckets.
    let at_a_time = (wanted * ONE_IN).div_ceil(mean);
    let mut drawn = Vec::new();
    for _ in 0..BUCKETS_MAX.div_ceil(at_a_time) {
        for _ in 0..at_a_time {
            let start = cx.random.below(NUMBERS.div_ceil(width)) * width;
            draw_from(cx, set, start, start + width, &mut drawn)?;
        }
        if !drawn.is_empty() {
            break;
        }
    }
    // A bucket may have been drawn twice.
    drawn.sort_unstable();
    drawn.dedup();
    Ok(drawn)
}

/// Some of the members with these numbers.
fn draw_from(
    cx: &mut Cx<'_>,
    set: &Collection,
    start: u64,
    end: u64,
    drawn: &mut Vec<Vec<u8>>,
) -> Result<(), CommandError> {
    let bound = |number: u64| (number as u16).to_be_bytes();
    let upper = (end < NUMBERS).then(|| bound(end));
    let mut random = Seeded(cx.random.next_u64());
    let mut left = BUCKET_MAX;
    let mut scan = cx.scan(
        set,
        &bound(start),
        upper.as_ref().map(|end| &end[..]),
        Direction::Forward,
    )?;
    while left > 0
        && let Some((element, _)) = scan.next()?
    {
        left -= 1;
        if random.below(ONE_IN) == 0 {
            drawn.push(element.to_vec());
        }
    }
    Ok(())
}
