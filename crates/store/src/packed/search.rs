//! Finding fields and members, ranks and scores.

use super::bytes::Needle;
use super::shape::Keyed;
use super::{Hash, Packed, PackedError, Set, Shape, Zset};

/// The entry with this key, and its rank.
#[inline]
fn find<'a, S: Keyed>(packed: &Packed<'a, S>, key: &[u8]) -> Result<Option<(usize, S::Item<'a>)>, PackedError> {
    let needle = Needle::new(key);
    let mut rest = packed.entries;
    for rank in 0..packed.len {
        let (key, len, next) = S::key(rest).ok_or(PackedError::Body)?;
        if needle.is(key, len) {
            return match S::entry(rest) {
                Some((item, _)) => Ok(Some((rank, item))),
                None => Err(PackedError::Body),
            };
        }
        rest = next;
    }
    match rest.is_empty() {
        true => Ok(None),
        false => Err(PackedError::Body),
    }
}

/// The number of entries before the first that is not `before`, in a body that is so ordered.
fn partition_point<'a, S: Shape>(
    packed: &Packed<'a, S>,
    mut before: impl FnMut(S::Item<'a>) -> bool,
) -> Result<usize, PackedError> {
    for (rank, item) in packed.iter().enumerate() {
        if !before(item?) {
            return Ok(rank);
        }
    }
    Ok(packed.len)
}

impl<'a> Packed<'a, Hash> {
    /// A field's value.
    ///
    /// # Errors
    /// [`PackedError::Body`] if damage is met before the field.
    pub fn get(&self, field: &[u8]) -> Result<Option<&'a [u8]>, PackedError> {
        Ok(find(self, field)?.map(|(_, (_, value))| value))
    }

    /// The rank of the first field that is not less than this one; the number of fields if there is none.
    ///
    /// # Errors
    /// [`PackedError::Body`] if damage is met before.
    pub fn lower_bound(&self, field: &[u8]) -> Result<usize, PackedError> {
        partition_point(self, |(at, _)| at < field)
    }
}

impl Packed<'_, Set> {
    /// True if this is a member.
    ///
    /// # Errors
    /// [`PackedError::Body`] if damage is met before the member.
    pub fn contains(&self, member: &[u8]) -> Result<bool, PackedError> {
        Ok(find(self, member)?.is_some())
    }

    /// The rank of the first member that is not less than this one; the number of members if there is none.
    ///
    /// # Errors
    /// [`PackedError::Body`] if damage is met before.
    pub fn lower_bound(&self, member: &[u8]) -> Result<usize, PackedError> {
        partition_point(self, |at| at < member)
    }
}

impl Packed<'_, Zset> {
    /// A member's score.
    ///
    /// # Errors
    /// [`PackedError::Body`] if damage is met before the member.
    pub fn score(&self, member: &[u8]) -> Result<Option<u64>, PackedError> {
        Ok(find(self, member)?.map(|(_, (score, _))| score))
    }

    /// A member's rank, which counts from 0, and its score.
    ///
    /// # Errors
    /// [`PackedError::Body`] if damage is met before the member.
    pub fn rank(&self, member: &[u8]) -> Result<Option<(usize, u64)>, PackedError> {
        Ok(find(self, member)?.map(|(rank, (score, _))| (rank, score)))
    }

    /// The rank of the first entry that has at least this score; the number of entries if there is none.
    ///
    /// # Errors
    /// [`PackedError::Body`] if damage is met before.
    pub fn first_with_score(&self, score: u64) -> Result<usize, PackedError> {
        partition_point(self, |(at, _)| at < score)
    }

    /// The rank of the first entry that is not less than this score and member; the number of entries if there is none.
    ///
    /// # Errors
    /// [`PackedError::Body`] if damage is met before.
    pub fn lower_bound(&self, score: u64, member: &[u8]) -> Result<usize, PackedError> {
        partition_point(self, |at| at < (score, member))
    }
}
