//! Going through a packed body whose own order is that of the elements' names, without taking it apart first.

use std::ops::Range;

use haypile_store::packed::{Element, Entries, Hash, Indexed, PackedError, PackedHash, PackedList, PackedZset, Zset};
use haypile_store::row::Kind;
use haypile_store::{Direction, Item, StoreError};

use crate::zset::INDEX;

/// Elements of a body in order.
pub(crate) struct Ordered<'p> {
    entries: Places<'p>,
    /// Ranks that are left.
    ranks: Range<usize>,
    direction: Direction,
    /// A name that is put together.
    name: Vec<u8>,
}

enum Places<'p> {
    Hash(Either<'p, Hash>),
    Zset(Either<'p, Zset>),
    /// With the label of the first element of all.
    List(Either<'p, Element>, u64),
}

/// Entries one after the other, or each by its rank, which is what going backward needs.
#[allow(clippy::large_enum_variant)] // one at a time, on the stack
enum Either<'p, S> {
    Forward(Entries<'p, S>),
    Indexed(Indexed<'p, S>),
}

type Bounds<'b> = (&'b [u8], Option<&'b [u8]>);

impl<'p> Ordered<'p> {
    /// The elements from `lower` up to but not including `upper` (`None`: to the end); `None` if the body has another order.
    pub(crate) fn new(
        kind: Kind,
        body: &'p [u8],
        (lower, upper): Bounds<'_>,
        direction: Direction,
    ) -> Result<Option<Self>, StoreError> {
        let forward = direction == Direction::Forward;
        let (entries, ranks) = match kind {
            Kind::Hash => {
                let hash = PackedHash::read(body)?;
                let rank = |bound: &[u8]| hash.lower_bound(bound);
                let ranks = ranks(lower, upper, hash.len(), rank)?;
                let entries = match forward {
                    true => Either::Forward(hash.iter_from(ranks.start)?),
                    false => Either::Indexed(hash.indexed()?),
                };
                (Places::Hash(entries), ranks)
            }
            Kind::Zset if lower.first() == Some(&INDEX) => {
                let zset = PackedZset::read(body)?;
                let rank = |bound: &[u8]| match bound.split_first() {
                    Some((&INDEX, rest)) => {
                        let mut score = [0; 8];
                        let given = rest.len().min(8);
                        score[..given].copy_from_slice(&rest[..given]);
                        zset.lower_bound(u64::from_be_bytes(score), &rest[given..])
                    }
                    _ => Ok(zset.len()),
                };
                // The places in the order of scores begin where the members' entries end.
                let first = if lower.len() == 1 { &[] } else { lower };
                let ranks = ranks(first, upper, zset.len(), rank)?;
                let entries = match forward {
                    true => Either::Forward(zset.iter_from(ranks.start)?),
                    false => Either::Indexed(zset.indexed()?),
                };
                (Places::Zset(entries), ranks)
            }
            Kind::List => {
                let list = PackedList::read(body)?;
                let labels = list.labels();
                let rank = |bound: &[u8]| {
                    let label = bound.try_into().map(u64::from_be_bytes);
                    let label = label.map_err(|_| PackedError::Body)?;
                    Ok((label.clamp(labels.start, labels.end) - labels.start) as usize)
                };
                let ranks = ranks(lower, upper, list.len(), rank)?;
                let entries = match forward {
                    true => Either::Forward(list.iter_from(ranks.start)?),
                    false => Either::Indexed(list.indexed()?),
                };
                (Places::List(entries, labels.start), ranks)
            }
            _ => return Ok(None),
        };
        Ok(Some(Ordered {
            entries,
            ranks,
            direction,
            name: Vec::new(),
        }))
    }

    /// The next element and its value.
    pub(crate) fn next(&mut self) -> Result<Option<Item<'_>>, StoreError> {
        let rank = match self.direction {
            Direction::Forward => self.ranks.next(),
            Direction::Reverse => self.ranks.next_back(),
        };
        let Some(rank) = rank else { return Ok(None) };
        self.name.clear();
        Ok(Some(match &mut self.entries {
            Places::Hash(entries) => entries.get(rank)?,
            Places::Zset(entries) => {
                let (score, member) = entries.get(rank)?;
                self.name.push(INDEX);
                self.name.extend_from_slice(&score.to_be_bytes());
                self.name.extend_from_slice(member);
                (&self.name, &[])
            }
            Places::List(entries, head) => {
                let element = entries.get(rank)?;
                self.name.extend_from_slice(&(*head + rank as u64).to_be_bytes());
                (&self.name, element)
            }
        }))
    }
}

/// The ranks between two bounds.
fn ranks(
    lower: &[u8],
    upper: Option<&[u8]>,
    len: usize,
    rank: impl Fn(&[u8]) -> Result<usize, PackedError>,
) -> Result<Range<usize>, PackedError> {
    let start = if lower.is_empty() { 0 } else { rank(lower)? };
    let end = upper.map_or(Ok(len), &rank)?;
    Ok(start..end.max(start))
}

impl<'p, S: haypile_store::packed::Shape> Either<'p, S> {
    /// The entry with this rank, which comes next.
    fn get(&mut self, rank: usize) -> Result<S::Item<'p>, PackedError> {
        match self {
            Either::Forward(entries) => entries.next().ok_or(PackedError::Body)?,
            Either::Indexed(entries) => entries.get(rank).ok_or(PackedError::Body),
        }
    }
}
