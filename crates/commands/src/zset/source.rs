//! The inputs of unions, intersections and differences: sorted sets, and plain sets, whose members all score 1.

use haypile_store::keys::spread;
use haypile_store::row::Kind;
use haypile_store::{Direction, StoreError};

use super::layout::{MEMBER, Scored, parse_member, parse_score, score_of};
use crate::error::WRONG_TYPE;
use crate::{Collection, CommandError, Cx, set};

/// Members that are read before others are looked up: while a scan lives nothing else can be read.
const CHUNK_MEMBERS: usize = 256;

/// One input.
pub(super) struct Source {
    /// `None` if there is no such key.
    members: Option<Collection>,
    /// What its scores are multiplied with.
    pub(super) weight: f64,
}

impl Source {
    pub(super) fn find(cx: &mut Cx<'_>, key: &[u8]) -> Result<Self, CommandError> {
        let members = match cx.row(key)? {
            None => None,
            Some(row) if !matches!(row.header.kind, Kind::Zset | Kind::Set) => return Err(WRONG_TYPE),
            Some(row) => Some(Collection::read(row)?),
        };
        Ok(Source { members, weight: 1.0 })
    }

    /// Number of members.
    pub(super) fn size(&self) -> u64 {
        self.members.as_ref().map_or(0, |members| members.size)
    }

    /// The score of a member, without the weight.
    pub(super) fn score(&self, cx: &Cx<'_>, member: &[u8]) -> Result<Option<f64>, CommandError> {
        match &self.members {
            None => Ok(None),
            Some(set) if set.kind == Kind::Set => {
                let element = [&spread(member).to_be_bytes(), member].concat();
                Ok(cx.has_element(set, &element)?.then_some(1.0))
            }
            Some(zset) => score_of(cx, zset, member),
        }
    }

    /// All members from the first on, in no order that means anything.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader {
            next: self.members.as_ref().map(|members| match members.kind {
                Kind::Set => Vec::new(),
                _ => vec![MEMBER],
            }),
            source: self,
        }
    }
}

/// Reads the members of a [`Source`] in chunks.
pub(super) struct Reader<'s> {
    source: &'s Source,
    /// Data key to go on from; `None` at the end.
    next: Option<Vec<u8>>,
}

impl Reader<'_> {
    /// Some more members with their scores; none at the end.
    pub(super) fn chunk(&mut self, cx: &mut Cx<'_>) -> Result<Vec<Scored>, CommandError> {
        let mut chunk = Vec::new();
        let (Some(members), Some(lower)) = (&self.source.members, self.next.take()) else {
            return Ok(chunk);
        };
        let is_set = members.kind == Kind::Set;
        let upper: Option<&[u8]> = if is_set { None } else { Some(&[MEMBER + 1]) };
        let mut scan = cx.scan(members, &lower, upper, Direction::Forward)?;
        while let Some((data_key, value)) = scan.next()? {
            if chunk.len() == CHUNK_MEMBERS {
                self.next = Some(data_key.to_vec());
                break;
            }
            if is_set {
                let member = set::member_of(data_key);
                let member = member.ok_or_else(|| StoreError::Corrupt("a set's element is cut short".into()))?;
                chunk.push((member.to_vec(), 1.0));
            } else {
                let (_, member) = parse_member(data_key)?;
                chunk.push((member.to_vec(), parse_score(value)?));
            }
        }
        Ok(chunk)
    }
}
