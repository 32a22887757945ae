//! The key of a row, and the hash by which it is found in memory.

use haypile_rows::{Key, hash_of};
use smallvec::SmallVec;

use super::{meta_prefix, user_key};
use crate::{Cf, SpaceId};

/// The meta key of a user key in a keyspace, and the hash under which it is looked for in memory. To make one takes three hashes of the
/// user key, and a command looks for its key several times.
#[derive(Clone, Debug, Default)]
pub struct MetaKey {
    hash: u64,
    space: SpaceId,
    bytes: SmallVec<[u8; INLINE_BYTES]>,
}

/// Meta keys up to this length take no memory of their own.
const INLINE_BYTES: usize = 64;

impl MetaKey {
    /// The meta key of a user key.
    pub fn new(space: SpaceId, user_key: &[u8]) -> Self {
        let mut bytes = SmallVec::from_slice(&meta_prefix(user_key));
        bytes.extend_from_slice(user_key);
        Self::of(space, bytes)
    }

    /// A meta key of which the bytes are known.
    pub fn of_bytes(space: SpaceId, meta_key: &[u8]) -> Self {
        Self::of(space, SmallVec::from_slice(meta_key))
    }

    fn of(space: SpaceId, bytes: SmallVec<[u8; INLINE_BYTES]>) -> Self {
        let hash = hash_of(space, Cf::Meta as u8, &bytes);
        MetaKey { hash, space, bytes }
    }

    /// True if it is the meta key of this user key. The default value is none's.
    pub fn is_of(&self, space: SpaceId, key: &[u8]) -> bool {
        self.space == space && !self.bytes.is_empty() && user_key(&self.bytes) == key
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn key(&self) -> Key<'_> {
        Key {
            hash: self.hash,
            space: self.space,
            family: Cf::Meta as u8,
            key: &self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::meta_key;

    #[test]
    fn it_is_of_one_user_key_and_keyspace() {
        let long = [b'k'; 2 * INLINE_BYTES];
        for user_key in [&b""[..], b"k", &long] {
            let key = MetaKey::new(7, user_key);
            assert_eq!(key.bytes(), meta_key(user_key));
            assert_eq!(key.key().hash, Key::new(7, Cf::Meta as u8, key.bytes()).hash);
            assert_eq!(MetaKey::of_bytes(7, key.bytes()).key().hash, key.key().hash);
            assert!(key.is_of(7, user_key));
            assert!(!key.is_of(8, user_key) && !key.is_of(7, b"other"));
            assert!(!MetaKey::default().is_of(0, user_key));
        }
    }
}
