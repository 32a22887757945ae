//! Digests of chunks.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

/// Digest of a chunk: XXH3 with 128 bits.
///
/// It is there to find damage, not forgery: who could forge a chunk could forge the log as well, and against both stand
/// the transport's authentication and TLS. For that XXH3 is as good as a cryptographic hash and several times as fast;
/// both sides hash every byte of a full sync.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u128);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(xxh3_128(bytes))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides of a sync may be of different versions of this program.
    #[test]
    fn digests_do_not_change() {
        assert_eq!(Digest::of(b"").to_string(), "99aa06d3014798d86001c324468d497f");
        assert_eq!(Digest::of(b"haypile").0, xxh3_128(b"haypile"));
    }
}
