//! Lengths and labels, and comparing bytes within a body.

use super::LABEL_MIDDLE;
use crate::keys::{read_varint, write_varint};

/// Reads a length or a count: it, and what follows.
#[inline(always)]
pub(super) fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [one, rest @ ..] if *one < 0x80 => Some((usize::from(*one), rest)),
        [one, two, rest @ ..] if *two < 0x80 => Some((usize::from(*one & 0x7f) | usize::from(*two) << 7, rest)),
        _ => long_length(bytes),
    }
}

/// Anything up to 32 bits, so that sums of lengths do not overflow.
#[inline(never)]
fn long_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (n, used) = read_varint(bytes)?;
    let n = u32::try_from(n).ok()?;
    Some((n as usize, bytes.get(used..)?))
}

/// Reads a length and as many bytes: these, and what follows.
#[inline(always)]
pub(super) fn blob(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = length(bytes)?;
    rest.split_at_checked(len)
}

/// Appends a length or a count.
#[inline]
pub(super) fn write_length(out: &mut Vec<u8>, len: usize) {
    write_varint(out, len as u64);
}

/// Appends a length and the bytes.
#[inline]
pub(super) fn write_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Reads a list's label: it, and what follows.
pub(super) fn label(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (n, used) = read_varint(bytes)?;
    Some((LABEL_MIDDLE.wrapping_add_signed(unzigzag(n)), bytes.get(used..)?))
}

/// Appends a list's label.
pub(super) fn write_label(out: &mut Vec<u8>, label: u64) {
    write_varint(out, zigzag(label.wrapping_sub(LABEL_MIDDLE) as i64));
}

/// The first eight of `len` bytes that `rest` begins with, as a number that has their order; shorter ones count as if
/// zeros followed. `rest` may go on: reading past `len` and masking is quicker than copying what is short.
#[inline(always)]
pub(super) fn prefix(rest: &[u8], len: usize) -> u64 {
    match rest.first_chunk::<8>() {
        Some(chunk) if len >= 8 => u64::from_be_bytes(*chunk),
        Some(chunk) => u64::from_be_bytes(*chunk) & !(u64::MAX >> (8 * len)),
        None => short_prefix(rest.get(..len).unwrap_or(rest)),
    }
}

#[inline(never)]
fn short_prefix(bytes: &[u8]) -> u64 {
    let mut chunk = [0; 8];
    let len = bytes.len().min(8);
    chunk[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(chunk)
}

/// Bytes that are looked for among many.
pub(super) struct Needle<'n> {
    bytes: &'n [u8],
    /// The last eight bytes, in which names that are numbered differ, and where they begin; or what there is.
    window: u64,
    mask: u64,
    from: usize,
}

impl<'n> Needle<'n> {
    pub(super) fn new(bytes: &'n [u8]) -> Self {
        match bytes.last_chunk::<8>() {
            Some(chunk) => Needle {
                bytes,
                window: u64::from_le_bytes(*chunk),
                mask: u64::MAX,
                from: bytes.len() - 8,
            },
            None => Needle {
                bytes,
                window: short_prefix(bytes).swap_bytes(),
                mask: (1 << (8 * bytes.len())) - 1,
                from: 0,
            },
        }
    }

    /// True if these are the first `len` bytes of `rest`.
    #[inline(always)]
    pub(super) fn is(&self, rest: &[u8], len: usize) -> bool {
        if len != self.bytes.len() {
            return false;
        }
        match rest.get(self.from..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(chunk) => {
                u64::from_le_bytes(*chunk) & self.mask == self.window
                    && (len <= 8 || rest.get(..len) == Some(self.bytes))
            }
            None => rest.get(..len) == Some(self.bytes),
        }
    }
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that share beginnings, and some of them eight bytes at the end.
    fn short() -> impl Strategy<Value = Vec<u8>> {
        let bytes = prop::collection::vec(0u8..3, 0..12);
        (bytes, any::<bool>(), 0usize..4).prop_map(|(bytes, has_ending, at)| match has_ending {
            true => [bytes.get(at..at + 1).unwrap_or_default(), b"the same"].concat(),
            false => bytes,
        })
    }

    proptest! {
        #[test]
        fn prefixes_have_the_order_of_the_bytes(a in short(), b in short(), tail in short()) {
            let within = |bytes: &[u8]| prefix(&[bytes, &tail[..]].concat(), bytes.len());
            match within(&a).cmp(&within(&b)) {
                std::cmp::Ordering::Equal => prop_assert!(a.len().min(8) == b.len().min(8) || a.len() < 8 || b.len() < 8),
                order => prop_assert_eq!(order, a.cmp(&b)),
            }
            prop_assert_eq!(within(&a), prefix(&a, a.len()));
        }

        #[test]
        fn a_needle_is_found_exactly_where_it_is(needle in short(), other in short(), tail in short()) {
            let found = |bytes: &[u8]| Needle::new(&needle).is(&[bytes, &tail[..]].concat(), bytes.len());
            prop_assert!(found(&needle));
            prop_assert_eq!(found(&other), needle == other);
        }

        #[test]
        fn lengths_and_labels_round_trip(len: u32, at: u64, tail in short()) {
            let mut out = Vec::new();
            write_length(&mut out, len as usize);
            write_label(&mut out, at);
            out.extend_from_slice(&tail);
            let (read, rest) = length(&out).unwrap();
            prop_assert_eq!(read, len as usize);
            prop_assert_eq!(label(rest), Some((at, &tail[..])));
        }
    }

    #[test]
    fn labels_around_the_middle_take_a_byte() {
        for (at, bytes) in [
            (LABEL_MIDDLE, &[0][..]),
            (LABEL_MIDDLE - 1, &[1]),
            (LABEL_MIDDLE + 63, &[126]),
            (0, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ] {
            let mut out = Vec::new();
            write_label(&mut out, at);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(
            length(&[0xff, 0xff, 0xff, 0xff, 0x0f, 7]),
            Some((u32::MAX as usize, &[7][..]))
        );
        assert_eq!(length(&[0x80, 0x80, 0x80, 0x80, 0x10]), None);
        assert_eq!(length(&[0x80]), None);
        assert_eq!(length(&[]), None);
    }
}
