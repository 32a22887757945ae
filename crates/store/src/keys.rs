//! The keys of the column families, byte by byte.
//!
//! ```text
//! meta    slot u16 BE | hash u16 BE | user key
//! data    slot u16 BE | id u64 BE | element                               see [`DataKey`]
//! expiry  expire-at u64 BE, milliseconds since the epoch | meta key
//! ```
//!
//! The slot comes first, so that a range of slots is a range of keys. The hash (the low 16 bits of XXH3-64 of the user
//! key) spreads the keys of one slot, which gives SCAN a cursor that is a place (slot, hash) and needs no memory, and
//! RANDOMKEY somewhere to jump to. How an element is written is the business of its type.

mod data;
mod meta;

pub use data::{DATA_PREFIX, DataKey, Home, IdState, collection_of};
use haypile_types::slot_of;
pub use meta::MetaKey;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes before the user key in a meta key.
pub const META_PREFIX: usize = 4;

/// The 16 bits by which keys of one slot, and the fields or members of one collection, are spread.
pub fn spread(bytes: &[u8]) -> u16 {
    xxh3_64(bytes) as u16
}

/// The meta key of a user key.
pub fn meta_key(user_key: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(META_PREFIX + user_key.len());
    write_meta_key(&mut key, user_key);
    key
}

/// Appends the meta key of `user_key`.
pub fn write_meta_key(out: &mut Vec<u8>, user_key: &[u8]) {
    out.extend_from_slice(&meta_prefix(user_key));
    out.extend_from_slice(user_key);
}

/// What stands before the user key in its meta key.
fn meta_prefix(user_key: &[u8]) -> [u8; META_PREFIX] {
    let ([a, b], [c, d]) = (slot_of(user_key).to_be_bytes(), spread(user_key).to_be_bytes());
    [a, b, c, d]
}

/// The user key in a meta key.
pub fn user_key(meta_key: &[u8]) -> &[u8] {
    meta_key.get(META_PREFIX..).unwrap_or_default()
}

/// The place (slot, hash) of a meta key: what SCAN's cursor counts in.
pub fn place(meta_key: &[u8]) -> u32 {
    match meta_key.first_chunk::<META_PREFIX>() {
        Some(prefix) => u32::from_be_bytes(*prefix),
        None => 0,
    }
}

/// The expiry index's key for a meta key that expires at `expire_at`.
pub fn expiry_key(expire_at: u64, meta_key: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + meta_key.len());
    key.extend_from_slice(&expire_at.to_be_bytes());
    key.extend_from_slice(meta_key);
    key
}

/// The parts of an expiry key: when, and the meta key.
pub fn parse_expiry_key(key: &[u8]) -> Option<(u64, &[u8])> {
    let (at, meta) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*at), meta))
}

/// The smallest key that is greater than every key with this prefix; `None` if there is none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&b| b != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Appends an unsigned LEB128 number.
pub fn write_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads an unsigned LEB128 number: the number and the bytes it took.
pub fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut n = 0u64;
    for (i, &b) in bytes.iter().take(10).enumerate() {
        n |= u64::from(b & 0x7f).checked_shl(7 * i as u32)?;
        if b < 0x80 {
            return Some((n, i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prefix_end_bounds_exactly_the_prefix(prefix in prop::collection::vec(any::<u8>(), 1..5), tail in prop::collection::vec(any::<u8>(), 0..5)) {
            let key = [&prefix[..], &tail].concat();
            if let Some(end) = prefix_end(&prefix) {
                prop_assert!(key < end);
                prop_assert!(!end.starts_with(&prefix));
            } else {
                prop_assert!(prefix.iter().all(|&b| b == 0xff));
            }
        }

        #[test]
        fn varints_round_trip(n: u64) {
            let mut out = Vec::new();
            write_varint(&mut out, n);
            prop_assert_eq!(read_varint(&out), Some((n, out.len())));
        }
    }
}
