//! The writer, taken for something other than a turn.

use std::ops::{Deref, DerefMut};

use parking_lot::MutexGuard;

use crate::partition::{Shared, Writer};

/// The writer, taken for something other than a turn. Tasks that queue up meanwhile are evaluated when it is let go:
/// who pushed them has relied on that.
pub(crate) struct Visit<'a> {
    shared: &'a Shared,
    /// `None` only while it is dropped.
    writer: Option<MutexGuard<'a, Writer>>,
}

impl Shared {
    /// The writer, for something other than a turn. Not within a turn.
    pub(crate) fn visit(&self) -> Visit<'_> {
        Visit {
            shared: self,
            writer: Some(self.writer.lock()),
        }
    }
}

impl Deref for Visit<'_> {
    type Target = Writer;

    #[allow(clippy::expect_used)] // see the field
    fn deref(&self) -> &Writer {
        self.writer.as_ref().expect("a visit has the writer until its end")
    }
}

impl DerefMut for Visit<'_> {
    #[allow(clippy::expect_used)] // see the field
    fn deref_mut(&mut self) -> &mut Writer {
        self.writer.as_mut().expect("a visit has the writer until its end")
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        drop(self.writer.take());
        // It may be the committing thread, which must not wait for itself.
        self.shared.run_queued(false);
    }
}
