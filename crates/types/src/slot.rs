use crc::{CRC_16_XMODEM, Crc, Table};

/// Number of hash slots, as in Redis Cluster.
pub const SLOTS: u16 = 16384;

/// A hash slot, below [`SLOTS`].
pub type Slot = u16;

static CRC16: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);

/// The slot of a key: CRC16 of the key, or of its hash tag where it has one, modulo 16384.
///
/// A hash tag is what stands between the first `{` and the first `}` after it, if that is not empty
/// (Redis Cluster specification, "Hash tags").
pub fn slot_of(key: &[u8]) -> Slot {
    CRC16.checksum(hash_tag(key)) % SLOTS
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
    use super::*;

    #[test]
    fn slots_are_those_of_the_redis_cluster_specification() {
        assert_eq!(slot_of(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"foo"), 12182);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"foo{}{bar}"), CRC16.checksum(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot_of(b"foo{{bar}}zap"), CRC16.checksum(b"{bar") % SLOTS);
        assert_eq!(slot_of(b"foo{bar}{zap}"), slot_of(b"bar"));
    }
}
