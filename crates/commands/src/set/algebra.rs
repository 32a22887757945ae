//! Intersection, union and difference, in bounded memory: the sets are in the same order, so a part of one is held
//! against the same part of the others.

use std::ops::ControlFlow;

use super::chunk::Chunk;
use crate::{Collection, CommandError, Cx};

/// Members that are held at a time.
const CHUNK_MAX: usize = if cfg!(test) { 50 } else { 16 << 10 };
/// Members that are read first. Then twice as many each time, so that little is read in vain when a few are enough.
const CHUNK_MIN: usize = if cfg!(test) { 8 } else { 128 };

/// Takes members with their spread, each once. It may say that it has enough.
pub(super) type Visit<'v> = &'v mut dyn FnMut(&mut Cx<'_>, &[u8]) -> Result<ControlFlow<()>, CommandError>;

/// What is in all of these sets. There is one at least.
pub(super) fn intersect(cx: &mut Cx<'_>, mut sets: Vec<Collection>, visit: Visit<'_>) -> Result<(), CommandError> {
    sets.sort_by(|a, b| (a.size, a.identity()).cmp(&(b.size, b.identity())));
    sets.dedup_by(|a, b| a.identity() == b.identity());
    let Some((smallest, others)) = sets.split_first() else {
        return Ok(());
    };
    filter(cx, smallest, others, true, visit)
}

/// What is in the first set and in none of the others.
pub(super) fn subtract(
    cx: &mut Cx<'_>,
    first: &Collection,
    mut others: Vec<Collection>,
    visit: Visit<'_>,
) -> Result<(), CommandError> {
    if others.iter().any(|other| other.identity() == first.identity()) {
        return Ok(());
    }
    // The biggest are the likeliest to have a member.
    others.sort_by(|a, b| (b.size, b.identity()).cmp(&(a.size, a.identity())));
    others.dedup_by(|a, b| a.identity() == b.identity());
    filter(cx, first, &others, false, visit)
}

fn filter(
    cx: &mut Cx<'_>,
    set: &Collection,
    others: &[Collection],
    inside: bool,
    visit: Visit<'_>,
) -> Result<(), CommandError> {
    let (mut chunk, mut len) = (Chunk::default(), CHUNK_MIN);
    let mut next = Some(Vec::new());
    while let Some(lower) = next {
        chunk.clear();
        next = chunk.read(cx, set, &lower, None, len)?;
        let read = chunk.len() as u64;
        for other in others {
            // Both are spread evenly.
            let between = other.size.saturating_mul(read) / set.size.max(1);
            chunk.retain(cx, other, between, inside)?;
        }
        if pass_on(cx, &chunk, visit)?.is_break() {
            return Ok(());
        }
        len = (len * 2).min(CHUNK_MAX);
    }
    Ok(())
}

/// What is in any of these sets.
pub(super) fn unite(cx: &mut Cx<'_>, mut sets: Vec<Collection>, visit: Visit<'_>) -> Result<(), CommandError> {
    sets.sort_by(|a, b| a.identity().cmp(&b.identity()));
    sets.dedup_by(|a, b| a.identity() == b.identity());
    // The spread is even, so equal parts of it have about equal numbers of members.
    const SPREADS: u64 = 1 << 16;
    let total: u64 = sets.iter().map(|set| set.size).sum();
    let parts = (total / CHUNK_MAX as u64 + 1).min(SPREADS);
    let mut chunk = Chunk::default();
    for part in 0..parts {
        chunk.clear();
        let from = ((SPREADS * part / parts) as u16).to_be_bytes();
        let to = SPREADS * (part + 1) / parts;
        for set in &sets {
            // The last part goes to the end.
            let upper = u16::try_from(to).map(u16::to_be_bytes).ok();
            chunk.read(cx, set, &from, upper.as_ref().map(<[u8; 2]>::as_slice), usize::MAX)?;
        }
        if sets.len() > 1 {
            chunk.sort();
        }
        if pass_on(cx, &chunk, visit)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

fn pass_on(cx: &mut Cx<'_>, chunk: &Chunk, visit: Visit<'_>) -> Result<ControlFlow<()>, CommandError> {
    for element in chunk.iter() {
        if visit(cx, element)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
