//! Large rows of which only what has changed is logged. They are put together where they will stay when the turn is published,
//! and further changes of the same turn are made there: what is large is copied once in a turn, whatever a pipeline does to it.

use haypile_rows::{Draft, Key};

use super::{Overlay, Pending, open_turn};
use crate::packed::{Overwritten, PackedError, PatchedRow, patch_in_place};
use crate::{Cf, Counted, SharedValue, Value};

/// Bytes from which on a row is put together where it stays; smaller ones stand together in a buffer.
const DRAFT_BYTES_MIN: usize = 4 << 10;

/// The drafts of a turn. They keep their numbers.
#[derive(Default)]
pub(crate) struct Drafts {
    all: Vec<Option<Draft>>,
    bytes: usize,
    largest_bytes: usize,
}

impl Drafts {
    /// How many there have been.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Bytes of their values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the largest that there has been, as long as there are so many.
    pub(super) fn largest_bytes(&self) -> usize {
        self.largest_bytes.min(self.bytes)
    }

    pub(super) fn value(&self, number: usize) -> Option<&[u8]> {
        self.all.get(number)?.as_ref().map(Draft::value)
    }

    /// The value to be read without being copied, which keeps it from being changed where it is.
    pub(super) fn share<'v>(&self, number: usize) -> Option<Value<'v>> {
        let draft = self.all.get(number)?.as_ref()?;
        Some(Value::Shared(SharedValue(draft.share())))
    }

    fn push(&mut self, draft: Draft) -> usize {
        let len = draft.value().len();
        self.bytes += len;
        self.largest_bytes = self.largest_bytes.max(len);
        self.all.push(Some(draft));
        self.all.len() - 1
    }

    pub(super) fn free(&mut self, number: usize) {
        let draft = self.all.get_mut(number).and_then(Option::take);
        self.bytes -= draft.map_or(0, |draft| draft.value().len());
    }

    pub(super) fn truncate(&mut self, len: usize) {
        (len..self.all.len()).for_each(|number| self.free(number));
        self.all.truncate(len);
    }

    /// Gives a draft away: it is to be published.
    pub(crate) fn take(&mut self, number: usize) -> Option<Draft> {
        self.all.get_mut(number)?.take()
    }
}

/// What a draft was before it was changed where it is.
pub(super) struct Changed {
    draft: usize,
    overwritten: Overwritten,
}

/// What a patch makes of a row, or of none.
pub(crate) enum Patched {
    Small(Vec<u8>),
    Large(Draft),
}

impl Patched {
    /// # Errors
    /// Those of [`patch_row`](crate::packed::patch_row).
    pub(crate) fn new(key: Key<'_>, row: Option<&[u8]>, patch: &[u8]) -> Result<Self, PackedError> {
        let patched = PatchedRow::new(row, patch)?;
        if patched.len() >= DRAFT_BYTES_MIN {
            let draft = Draft::new(key, patched.len(), |filler| patched.write(filler));
            return Ok(Patched::Large(draft));
        }
        let mut small = Vec::with_capacity(patched.len());
        patched.write(&mut small);
        Ok(Patched::Small(small))
    }
}

impl Overlay {
    /// True if the open turn has a draft of this key.
    pub(crate) fn has_own_draft(&self, key: Key<'_>) -> bool {
        self.own_draft(key).is_some()
    }

    fn own_draft(&self, key: Key<'_>) -> Option<usize> {
        if self.last_turn()?.drafts.len() == 0 {
            return None;
        }
        let place = self.find(key)?;
        match self.write(place).1.value {
            Pending::Draft(number) if place.turn == self.newest_seq() as u32 => Some(number as usize),
            _ => None,
        }
    }

    /// Changes a row of [`Cf::Meta`] in the open entry by a patch, which is logged. `row` is what is there, if the open turn has
    /// no draft of it.
    ///
    /// # Errors
    /// Those of [`patch_row`](crate::packed::patch_row); nothing is changed.
    pub(crate) fn change(
        &mut self,
        key: Key<'_>,
        row: Option<&[u8]>,
        patch: &[u8],
        counted: Counted,
    ) -> Result<bool, PackedError> {
        let own = self.own_draft(key);
        let turn = open_turn(&mut self.turns);
        if let Some(number) = own
            && let Some(draft) = turn.drafts.all.get_mut(number).and_then(Option::as_mut)
            && let Some(value) = draft.value_mut()
            && let Some(overwritten) = patch_in_place(value, patch)?
        {
            let written = self.log_patch(key, patch, counted);
            self.place(Cf::Meta, key, written, Pending::Draft(number as u32));
            let changed = Changed {
                draft: number,
                overwritten,
            };
            if let Some(undo) = self.undo.last_mut() {
                undo.changed = true;
                self.changed.push(changed);
            }
            return Ok(true);
        }
        let patched = match own {
            Some(number) => Patched::new(key, turn.drafts.value(number), patch)?,
            None => {
                let patched = PatchedRow::new(row, patch)?;
                if patched.len() < DRAFT_BYTES_MIN {
                    return self.patch(key, patch, counted, |rows| {
                        patched.write(rows);
                        Ok(true)
                    });
                }
                Patched::Large(Draft::new(key, patched.len(), |filler| patched.write(filler)))
            }
        };
        match patched {
            Patched::Small(row) => self.patch(key, patch, counted, |rows| {
                rows.extend_from_slice(&row);
                Ok(true)
            }),
            Patched::Large(draft) => {
                let written = self.log_patch(key, patch, counted);
                let number = open_turn(&mut self.turns).drafts.push(draft);
                self.place(Cf::Meta, key, written, Pending::Draft(number as u32));
                Ok(true)
            }
        }
    }

    /// Takes back what was changed in a draft.
    pub(super) fn unchange(&mut self, changed: &Changed) {
        let draft = self
            .turns
            .back_mut()
            .and_then(|turn| turn.drafts.all.get_mut(changed.draft)?.as_mut());
        // One that is gone was superseded, and nobody goes back to it.
        let Some(draft) = draft else { return };
        if draft.value_mut().is_none() {
            *draft = draft.copy();
        }
        let Some(value) = draft.value_mut() else { return };
        for (at, bytes) in changed.overwritten.iter().rev() {
            value[*at..at + bytes.len()].copy_from_slice(bytes);
        }
    }
}
