//! The bytes of a sorted set's elements, and the smallest operations on them.

use haypile_store::StoreError;
use haypile_store::keys::spread;
use haypile_store::row::Kind;

use crate::collection::ElementName;
use crate::{Collection, CommandError, Cx};

/// First byte of a member entry.
pub(crate) const MEMBER: u8 = 0;
/// First byte of an entry of the score index.
pub(crate) const INDEX: u8 = 1;
/// Bytes of a score.
const SCORE_BYTES: usize = 8;

/// A member with its score.
pub(crate) type Scored = (Vec<u8>, f64);

const SIGN: u64 = 1 << 63;

/// A score as a number that has the same order. -0 and 0 are one score.
pub(super) fn ordered(score: f64) -> u64 {
    let bits = if score == 0.0 { 0 } else { score.to_bits() };
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// The score that [`ordered`] made this number of.
pub(crate) fn score_from(ordered: u64) -> f64 {
    f64::from_bits(if ordered & SIGN == 0 { !ordered } else { ordered & !SIGN })
}

/// The data key of a member's entry.
pub(crate) fn member_key(member: &[u8]) -> ElementName {
    name(MEMBER, &spread(member).to_be_bytes(), member)
}

/// The data key of a member's place in the score index.
pub(super) fn index_key(score: f64, member: &[u8]) -> ElementName {
    name(INDEX, &ordered(score).to_be_bytes(), member)
}

fn name(first: u8, number: &[u8], member: &[u8]) -> ElementName {
    let mut name = ElementName::with_capacity(1 + number.len() + member.len());
    name.push(first);
    name.extend_from_slice(number);
    name.extend_from_slice(member);
    name
}

/// Score and member in a data key of the score index.
pub(super) fn parse_index(element: &[u8]) -> Result<(f64, &[u8]), CommandError> {
    let found = element.get(1..).and_then(<[u8]>::split_first_chunk);
    let (score, member) = found.ok_or_else(|| StoreError::Corrupt("an entry of a score index is cut short".into()))?;
    Ok((score_from(u64::from_be_bytes(*score)), member))
}

/// Spread number and member in a data key of a member entry.
pub(super) fn parse_member(element: &[u8]) -> Result<(u16, &[u8]), CommandError> {
    let found = element.get(1..).and_then(<[u8]>::split_first_chunk);
    let (place, member) = found.ok_or_else(|| StoreError::Corrupt("a sorted set's entry is cut short".into()))?;
    Ok((u16::from_be_bytes(*place), member))
}

/// The score in the value of a member entry.
pub(super) fn parse_score(value: &[u8]) -> Result<f64, CommandError> {
    let bytes: [u8; SCORE_BYTES] = value
        .try_into()
        .map_err(|_| StoreError::Corrupt("a member's score does not have 8 bytes".into()))?;
    Ok(score_from(u64::from_be_bytes(bytes)))
}

/// What an element says: what stands in a data key after the prefix, with its value if it is not being removed.
pub(crate) enum Entry<'e> {
    /// A member has this score, or is removed.
    Member(&'e [u8], Option<f64>),
    /// The same in the score index.
    Index,
    /// Nothing that a sorted set writes.
    Damaged,
}

/// Takes an element apart.
pub(crate) fn entry_of<'e>(element: &'e [u8], value: Option<&[u8]>) -> Entry<'e> {
    let score = value.map(parse_score).transpose();
    match (element.split_first(), score) {
        (Some((&INDEX, _)), _) => Entry::Index,
        (Some((&MEMBER, rest)), Ok(score)) => match rest.get(2..) {
            Some(member) => Entry::Member(member, score),
            None => Entry::Damaged,
        },
        _ => Entry::Damaged,
    }
}

/// A live sorted set.
pub(crate) fn find(cx: &mut Cx<'_>, key: &[u8]) -> Result<Option<Collection>, CommandError> {
    cx.collection(key, Kind::Zset)
}

/// A member's score.
pub(crate) fn score_of(cx: &Cx<'_>, zset: &Collection, member: &[u8]) -> Result<Option<f64>, CommandError> {
    match cx.element(zset, &member_key(member))? {
        Some(value) => parse_score(&value).map(Some),
        None => Ok(None),
    }
}

/// Adds a member that is not there yet. The row is for the caller to store.
pub(super) fn insert(cx: &mut Cx<'_>, zset: &mut Collection, member: &[u8], score: f64) -> Result<(), CommandError> {
    let entry = member_key(member);
    write(cx, zset, member, &entry, score)?;
    zset.size += 1;
    Ok(())
}

/// Writes both elements of a member. `entry` is the key of its entry.
pub(super) fn write(
    cx: &mut Cx<'_>,
    zset: &mut Collection,
    member: &[u8],
    entry: &[u8],
    score: f64,
) -> Result<(), CommandError> {
    cx.put_element(zset, entry, &ordered(score).to_be_bytes())?;
    let index = index_key(score, member);
    cx.put_element(zset, &index, &[])
}

/// Gives a member another score.
pub(super) fn change(
    cx: &mut Cx<'_>,
    zset: &mut Collection,
    member: &[u8],
    entry: &[u8],
    (old, new): (f64, f64),
) -> Result<(), CommandError> {
    let index = index_key(old, member);
    cx.delete_element(zset, &index)?;
    write(cx, zset, member, entry, new)
}

/// Removes a member that is there. The row is for the caller to store.
pub(super) fn remove(cx: &mut Cx<'_>, zset: &mut Collection, member: &[u8], score: f64) -> Result<(), CommandError> {
    let (entry, index) = (member_key(member), index_key(score, member));
    cx.delete_element(zset, &entry)?;
    cx.delete_element(zset, &index)?;
    zset.size = zset.size.saturating_sub(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scores_are_written_as_documented() {
        for (score, bytes) in [
            (f64::NEG_INFINITY, 0x000F_FFFF_FFFF_FFFF),
            (-1.0, 0x400F_FFFF_FFFF_FFFF),
            (-0.0, 0x8000_0000_0000_0000),
            (0.0, 0x8000_0000_0000_0000),
            (1.0, 0xBFF0_0000_0000_0000),
            (f64::INFINITY, 0xFFF0_0000_0000_0000),
        ] {
            assert_eq!(ordered(score), bytes, "{score}");
            assert_eq!(score_from(bytes), score);
        }
        assert!(score_from(ordered(-0.0)).is_sign_positive());
    }

    #[test]
    fn elements_are_written_as_documented() {
        let entry = member_key(b"member");
        assert_eq!(entry[..], b"\x00\x08\x75member"[..]);
        assert_eq!(parse_member(&entry).unwrap(), (0x0875, &b"member"[..]));
        let index = index_key(-1.5, b"member");
        assert_eq!(index[..], b"\x01\x40\x07\xff\xff\xff\xff\xff\xffmember"[..]);
        assert_eq!(parse_index(&index).unwrap(), (-1.5, &b"member"[..]));
        assert!(parse_index(&index[..index.len() - 7]).is_err());
        assert!(parse_score(b"short").is_err());
    }

    proptest! {
        #[test]
        fn scores_keep_their_order(a: f64, b: f64) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(Some(ordered(a).cmp(&ordered(b))), a.partial_cmp(&b));
            prop_assert_eq!(score_from(ordered(a)), a);
        }
    }
}
