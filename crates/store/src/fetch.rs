//! Rows that will be looked for soon, read from RocksDB together: that is cheaper than one after another, and who then looks
//! for them finds them in memory.

use haypile_rows::{At, Key, Ticket};
use smallvec::SmallVec;

use crate::base::Base;
use crate::effects::{Effect, Effects};
use crate::{Cf, SpaceId, Store, StoreError, keys};

/// Rows that are read together.
const TOGETHER: usize = 32;

/// Bytes of rows after which no more are read together. Where rows are so large, finding them is not what takes time, and the
/// table does not keep them.
pub(crate) const TOGETHER_BYTES: u64 = 256 << 10;

/// A meta key that is not in memory.
struct Missing<'k> {
    key: Key<'k>,
    number: usize,
    ticket: Ticket,
}

impl Store {
    /// Brings the rows of these user keys into memory, from the disk if need be, and tells `each` of them: a key's number and
    /// its newest row, or that there is none. Of keys that are not worth it, because rows are large, or that cannot be read,
    /// it tells nothing: whoever looks for them will see.
    pub fn fetch<'k>(
        &self,
        db: u16,
        user_keys: impl Iterator<Item = &'k [u8]>,
        each: impl FnMut(usize, Option<&[u8]>),
    ) {
        let space = {
            let reading = self.read();
            let Some(&space) = reading.databases().get(usize::from(db)) else {
                return;
            };
            space
        };
        let keys: Vec<Vec<u8>> = user_keys.map(keys::meta_key).collect();
        self.fetch_rows(space, keys.iter().map(Vec::as_slice), each);
    }

    /// Brings the rows into memory that logged payloads change by patches.
    ///
    /// # Errors
    /// A payload that cannot be read.
    pub(crate) fn fetch_patched(&self, payloads: &[u8]) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        let mut of = SpaceId::default();
        for effect in Effects::new(payloads) {
            let Effect::Patch { space, key, .. } = effect? else {
                continue;
            };
            if space != of {
                self.fetch_rows(of, keys.drain(..), |_, _| {});
                of = space;
            }
            keys.push(key);
        }
        self.fetch_rows(of, keys.into_iter(), |_, _| {});
        Ok(())
    }

    /// As [`Self::fetch`], for meta keys of a keyspace.
    pub(crate) fn fetch_rows<'k>(
        &self,
        space: SpaceId,
        keys: impl Iterator<Item = &'k [u8]>,
        mut each: impl FnMut(usize, Option<&[u8]>),
    ) {
        let mut keys = keys.enumerate().peekable();
        while keys.peek().is_some() {
            // A state for each step: what others have superseded meanwhile waits for it.
            let reading = self.read();
            let mut missing = SmallVec::<[Missing<'_>; TOGETHER]>::new();
            let step: SmallVec<[_; TOGETHER]> = keys
                .by_ref()
                .take(TOGETHER)
                .map(|(number, key)| (number, Key::new(space, Cf::Meta as u8, key)))
                .collect();
            let hashes = step.iter().map(|(_, key)| key.hash);
            self.rows.prefetch(&reading.guard, hashes);
            for (number, key) in step {
                match self.rows.at(&reading.guard, key, reading.position) {
                    At::Version(row) => each(number, row.value()),
                    At::Nothing(ticket) => missing.push(Missing { key, number, ticket }),
                    At::NewerOnly => {}
                }
            }
            let base = reading.base();
            let mut keep = |missing: &Missing<'_>, row: Option<&[u8]>| {
                each(missing.number, row);
                if let Some(row) = row {
                    self.rows.fill(missing.ticket, missing.key, row, base.settled);
                }
            };
            if !read_together(base, space, &missing, &mut keep) {
                return;
            }
        }
    }
}

/// False if not all were read.
fn read_together(
    base: &Base,
    space: SpaceId,
    missing: &[Missing<'_>],
    keep: &mut impl FnMut(&Missing<'_>, Option<&[u8]>),
) -> bool {
    if missing.is_empty() {
        return true;
    }
    let rows = base.get_together(space, Cf::Meta, missing.iter().map(|missing| missing.key.key));
    let mut all = true;
    for (missing, row) in missing.iter().zip(rows) {
        match row {
            Ok(row) => keep(missing, row.as_deref()),
            Err(_) => all = false,
        }
    }
    all
}
