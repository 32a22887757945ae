//! Intersection, union and difference of packed sets: they are in one order, so one pass over all of them is enough.

use std::cmp::Ordering;

use haypile_store::packed::{Entries, PackedError, PackedSet, Set};

use super::algebra::Visit;
use super::{Name, Operation};
use crate::{Collection, CommandError, Cx};

/// The members that a set still has, and the next of them.
struct Cursor<'a> {
    members: Entries<'a, Set>,
    next: Option<&'a [u8]>,
}

impl<'a> Cursor<'a> {
    fn new(body: &'a [u8]) -> Result<Self, PackedError> {
        let mut members = PackedSet::read(body)?.iter();
        let next = members.next().transpose()?;
        Ok(Cursor { members, next })
    }

    fn advance(&mut self) -> Result<(), PackedError> {
        self.next = self.members.next().transpose()?;
        Ok(())
    }

    /// Passes over what comes before a member; true if the set has it.
    fn seek(&mut self, member: &[u8]) -> Result<bool, PackedError> {
        while let Some(next) = self.next {
            match next.cmp(member) {
                Ordering::Less => self.advance()?,
                order => return Ok(order == Ordering::Equal),
            }
        }
        Ok(false)
    }
}

/// Passes on the result's members if all sets are packed; false if they are not. Of an intersection or difference the first
/// is what is taken from.
pub(super) fn combine(
    cx: &mut Cx<'_>,
    sets: &[Collection],
    operation: Operation,
    visit: Visit<'_>,
) -> Result<bool, CommandError> {
    if !sets.iter().all(Collection::is_packed) {
        return Ok(false);
    }
    let cursors = sets.iter().map(|set| Cursor::new(set.identity().1));
    let mut cursors: Vec<Cursor<'_>> = cursors.collect::<Result<_, _>>()?;
    let mut name = Name::default();
    while let Some(member) = next(&mut cursors, operation)? {
        if visit(cx, name.of(member))?.is_break() {
            break;
        }
    }
    Ok(true)
}

/// The next member of the result.
fn next<'a>(cursors: &mut [Cursor<'a>], operation: Operation) -> Result<Option<&'a [u8]>, PackedError> {
    if operation == Operation::Unite {
        let Some(least) = cursors.iter().filter_map(|cursor| cursor.next).min() else {
            return Ok(None);
        };
        for cursor in cursors.iter_mut().filter(|cursor| cursor.next == Some(least)) {
            cursor.advance()?;
        }
        return Ok(Some(least));
    }
    let Some((first, others)) = cursors.split_first_mut() else {
        return Ok(None);
    };
    while let Some(member) = first.next {
        first.advance()?;
        let mut stays = true;
        for other in others.iter_mut() {
            stays = other.seek(member)? == (operation == Operation::Intersect);
            if !stays {
                break;
            }
        }
        if stays {
            return Ok(Some(member));
        }
    }
    Ok(None)
}
