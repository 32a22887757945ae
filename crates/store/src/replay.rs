//! Patches that come from the log: the rows that they are about are read, and published with their changes.

use std::collections::HashMap;

use haypile_rows::{Draft, Eras, Key};

use crate::overlay::Patched;
use crate::packed::{PackedError, patch_in_place};
use crate::store::Store;
use crate::{Cf, SpaceId, StoreError, Tier};

/// Bytes of rows that are kept while a batch is replayed, because more changes of them may follow.
const HELD_BYTES_MAX: usize = 32 << 20;

/// Large rows that the batch has changed and that are not in the table yet: however often it changes one, the row is copied
/// once.
#[derive(Default)]
pub(crate) struct Held {
    drafts: HashMap<(SpaceId, Box<[u8]>), Draft>,
    bytes: usize,
}

/// What a patch has come to.
pub(crate) enum Replayed {
    /// Nothing is to be published now.
    Nothing,
    /// This row.
    Row(Vec<u8>),
    /// These large rows: there are too many of them to wait for more changes.
    Drafts(Vec<Draft>),
}

impl Held {
    /// A row of [`Cf::Meta`] has become something else.
    pub(crate) fn superseded(&mut self, space: SpaceId, key: &[u8]) {
        if !self.drafts.is_empty() {
            self.take(space, key);
        }
    }

    /// All of them.
    pub(crate) fn drain(&mut self) -> Vec<Draft> {
        self.bytes = 0;
        self.drafts.drain().map(|(_, draft)| draft).collect()
    }

    fn take(&mut self, space: SpaceId, key: &[u8]) -> Option<Draft> {
        let draft = self.drafts.remove(&(space, Box::from(key)))?;
        self.bytes -= draft.value().len();
        Some(draft)
    }

    /// Applies a patch to the newest version of a row.
    ///
    /// # Errors
    /// The patch does not fit, or the row cannot be read.
    pub(crate) fn patch(
        &mut self,
        store: &Store,
        space: SpaceId,
        key: &[u8],
        patch: &[u8],
    ) -> Result<Replayed, StoreError> {
        let hashed = Key::new(space, Cf::Meta as u8, key);
        let patched = match self.take(space, key) {
            Some(mut draft) => {
                let in_place = match draft.value_mut() {
                    Some(row) => patch_in_place(row, patch)?.is_some(),
                    None => false,
                };
                match in_place {
                    true => Ok(Patched::Large(draft)),
                    false => Patched::new(hashed, Some(draft.value()), patch),
                }
            }
            None => {
                let guard = Eras::enter();
                // The newest, what this batch has published included.
                let newest = store.rows.newest(&guard, hashed);
                let stored = match &newest {
                    Some(_) => None,
                    None => store.visible.base.get(&guard).get(space, Cf::Meta, key, Tier::Disk)?,
                };
                let row = newest.as_ref().map_or(stored.as_deref(), |newest| newest.value());
                Patched::new(hashed, row, patch)
            }
        };
        let draft = match patched {
            Err(PackedError::Missing) => return Ok(Replayed::Nothing),
            Err(error) => return Err(error.into()),
            Ok(Patched::Small(row)) => return Ok(Replayed::Row(row)),
            Ok(Patched::Large(draft)) => draft,
        };
        self.bytes += draft.value().len();
        self.drafts.insert((space, Box::from(key)), draft);
        Ok(match self.bytes > HELD_BYTES_MAX && self.drafts.len() > 1 {
            true => Replayed::Drafts(self.drain()),
            false => Replayed::Nothing,
        })
    }
}
