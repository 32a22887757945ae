//! Digests of chunks.

use std::fmt;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

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

/// The digest of bytes that come piece by piece.
#[derive(Default)]
pub struct Digester(Xxh3);

impl Digester {
    /// The next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces; it begins anew.
    pub fn finish(&mut self) -> Digest {
        let digest = Digest(self.0.digest128());
        self.0.reset();
        digest
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

    #[test]
    fn pieces_have_the_digest_of_the_whole() {
        let bytes: Vec<u8> = (0..70_000u32).map(|n| (n * 7 + n / 251) as u8).collect();
        let mut digester = Digester::default();
        for length in [0, 1, 239, 240, 241, 4096, 70_000] {
            for piece in [1, 64, 1000, 70_000] {
                bytes[..length].chunks(piece).for_each(|piece| digester.update(piece));
                assert_eq!(
                    digester.finish(),
                    Digest::of(&bytes[..length]),
                    "{length} in pieces of {piece}"
                );
            }
        }
    }
}
