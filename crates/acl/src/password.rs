//! Passwords are kept as hashes and compared in constant time.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::RuleError;

const BYTES: usize = 32;

/// The SHA-256 of a password: all that is kept of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; BYTES]);

impl Hash {
    /// Of a password.
    pub fn of(password: &[u8]) -> Hash {
        Hash(Sha256::digest(password).into())
    }

    /// Reads 64 hexadecimal digits in lower case.
    ///
    /// # Errors
    /// [`RuleError::BadHash`]
    pub fn parse(digits: &[u8]) -> Result<Hash, RuleError> {
        let mut hash = [0; BYTES];
        if digits.len() != 2 * BYTES {
            return Err(RuleError::BadHash);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Hash(hash))
    }

    /// True if it is the same; how long that takes says nothing of how much of it is.
    pub fn is(&self, other: &Hash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

fn digit(character: u8) -> Result<u8, RuleError> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(RuleError::BadHash),
    }
}

impl fmt::Display for Hash {
    /// As [`Hash::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    /// Not in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_redis() {
        let digits = "34344e4d60c2b6d639b7bd22e18f2b0b91bc34bf0ac5f9952744435093cfb4e6";
        assert_eq!(Hash::of(b"passwd4").to_string(), digits);
        let hash = Hash::parse(digits.as_bytes()).unwrap();
        assert!(hash.is(&Hash::of(b"passwd4")) && !hash.is(&Hash::of(b"passwd5")));
        for wrong in [
            "",
            &digits[1..],
            &format!("{digits}0"),
            &digits.to_uppercase(),
            &format!("q{}", &digits[1..]),
        ] {
            assert_eq!(Hash::parse(wrong.as_bytes()), Err(RuleError::BadHash), "{wrong}");
        }
        assert!(!format!("{hash:?}").contains("34"));
    }
}
