//! Hash slots, as Redis Cluster has them.

/// Number of hash slots, as in Redis Cluster.
pub const SLOTS: u16 = 16384;

/// A hash slot, below [`SLOTS`].
pub type Slot = u16;

/// CRC16 with this polynomial and nothing else, as Redis Cluster has it (CRC-16/XMODEM).
const POLYNOMIAL: u16 = 0x1021;

/// `TABLES[n][byte]` is what a byte with `n` bytes of zeros behind it comes to, so that several are looked up at once and not one after the
/// other ("slicing", M. E. Kounavis and F. L. Berry, 2005).
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc << 1) ^ if crc & 0x8000 != 0 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[n - 1][byte];
            tables[n][byte] = (crc << 8) ^ tables[0][(crc >> 8) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
}

/// The CRC16 of these bytes.
fn crc16(mut bytes: &[u8]) -> u16 {
    let mut crc = 0;
    while let Some((chunk, rest)) = bytes.split_first_chunk::<8>() {
        crc = fold(crc, chunk);
        bytes = rest;
    }
    if let Some((chunk, rest)) = bytes.split_first_chunk::<4>() {
        crc = fold(crc, chunk);
        bytes = rest;
    }
    bytes.iter().fold(crc, |crc, byte| fold(crc, &[*byte]))
}

/// The CRC16 of what has this one, and then up to eight bytes.
#[inline(always)]
fn fold<const N: usize>(crc: u16, bytes: &[u8; N]) -> u16 {
    let before = crc.to_be_bytes();
    let mut folded = if N == 1 { crc << 8 } else { 0 };
    for (at, byte) in bytes.iter().enumerate() {
        let byte = byte ^ before.get(at).copied().unwrap_or(0);
        folded ^= TABLES[N - 1 - at][usize::from(byte)];
    }
    folded
}

/// The slot of a key: CRC16 of the key, or of its hash tag where it has one, modulo 16384.
///
/// A hash tag is what stands between the first `{` and the first `}` after it, if that is not empty
/// (Redis Cluster specification, "Hash tags").
pub fn slot_of(key: &[u8]) -> Slot {
    crc16(hash_tag(key)) % SLOTS
}

fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&b| b == b'{') else {
        return key;
    };
    let tail = &key[open + 1..];
    match tail.iter().position(|&b| b == b'}') {
        Some(close) if close > 0 => &tail[..close],
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use crc::{CRC_16_XMODEM, Crc};

    use super::*;

    #[test]
    fn it_is_the_usual_crc_at_any_length() {
        let usual = Crc::<u16>::new(&CRC_16_XMODEM);
        let bytes: Vec<u8> = (0..100u8).map(|n| n.wrapping_mul(151) ^ 0xa5).collect();
        for start in 0..20 {
            for end in start..bytes.len() {
                assert_eq!(crc16(&bytes[start..end]), usual.checksum(&bytes[start..end]));
            }
        }
    }

    #[test]
    fn slots_are_those_of_the_redis_cluster_specification() {
        assert_eq!(slot_of(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"foo"), 12182);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot_of(b"foo{{bar}}zap"), crc16(b"{bar") % SLOTS);
        assert_eq!(slot_of(b"foo{bar}{zap}"), slot_of(b"bar"));
    }
}
