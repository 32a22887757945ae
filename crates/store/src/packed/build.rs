//! Writing a whole packed body.

use super::bytes::{write_blob, write_label, write_length};
use super::shape::Keyed;
use super::{BODY_BYTES_MAX, Hash, Set, Zset};

/// Appends a hash's body.
///
/// # Panics
/// If there are not exactly `count` entries, each field greater than the one before, or they are larger than
/// [`BODY_BYTES_MAX`]: what is written must be readable.
pub fn write_hash<'e>(out: &mut Vec<u8>, count: usize, entries: impl IntoIterator<Item = (&'e [u8], &'e [u8])>) {
    let mut last = None;
    write(out, count, entries, |out, (field, value)| {
        assert!(last < Some(field), "the fields of a packed hash are out of order");
        last = Some(field);
        Hash::write_entry(out, field, value);
    });
}

/// Appends a set's body.
///
/// # Panics
/// As [`write_hash`].
pub fn write_set<'e>(out: &mut Vec<u8>, count: usize, members: impl IntoIterator<Item = &'e [u8]>) {
    let mut last = None;
    write(out, count, members, |out, member| {
        assert!(last < Some(member), "the members of a packed set are out of order");
        last = Some(member);
        Set::write_entry(out, member, ());
    });
}

/// Appends a sorted set's body. That no member has two scores is for the caller to see to.
///
/// # Panics
/// As [`write_hash`], in the order of score and member.
pub fn write_zset<'e>(out: &mut Vec<u8>, count: usize, entries: impl IntoIterator<Item = (u64, &'e [u8])>) {
    let mut last = None;
    write(out, count, entries, |out, (score, member)| {
        assert!(
            last < Some((score, member)),
            "the entries of a packed sorted set are out of order"
        );
        last = Some((score, member));
        Zset::write_entry(out, member, score);
    });
}

/// Appends a list's body, whose first element has the label `head`.
///
/// # Panics
/// If there are not exactly `count` elements, if they are larger than [`BODY_BYTES_MAX`], or if there are no labels for
/// all of them.
pub fn write_list<'e>(out: &mut Vec<u8>, head: u64, count: usize, elements: impl IntoIterator<Item = &'e [u8]>) {
    assert!(
        head.checked_add(count as u64).is_some(),
        "a packed list has no labels for its elements"
    );
    let mut is_first = true;
    write(out, count, elements, |out, element| {
        if std::mem::take(&mut is_first) {
            write_label(out, head);
        }
        write_blob(out, element);
    });
}

fn write<E>(
    out: &mut Vec<u8>,
    count: usize,
    entries: impl IntoIterator<Item = E>,
    mut entry: impl FnMut(&mut Vec<u8>, E),
) {
    let start = out.len();
    write_length(out, count);
    let mut written = 0usize;
    for one in entries {
        entry(out, one);
        written += 1;
    }
    assert_eq!(written, count, "a packed body has other entries than it says");
    assert!(out.len() - start <= BODY_BYTES_MAX, "a packed body is too large");
}
