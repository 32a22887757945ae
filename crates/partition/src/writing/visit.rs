//! The writer in hand, but for a turn.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::ptr;

use parking_lot::MutexGuard;

use crate::partition::{Shared, Writer};

thread_local! {
    /// The partition of which this thread evaluates a turn; null for none.
    static TURN_OF: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

/// What makes a turn known to its thread, as long as it lasts.
pub(crate) struct InTurn {
    /// A turn of another partition, within which this one is evaluated.
    outer: *const Shared,
}

impl InTurn {
    pub(crate) fn of(shared: &Shared) -> Self {
        InTurn {
            outer: TURN_OF.replace(shared),
        }
    }
}

impl Drop for InTurn {
    fn drop(&mut self) {
        TURN_OF.set(self.outer);
    }
}

/// The writer, taken for something other than a turn. Tasks that queue up meanwhile are evaluated when it is let go:
/// who pushed them has relied on that.
pub(crate) struct Visit<'a> {
    shared: &'a Shared,
    /// `None` only while it is dropped.
    writer: Option<MutexGuard<'a, Writer>>,
}

impl Shared {
    /// The writer, for something other than a turn.
    ///
    /// # Panics
    /// Within a turn of this partition: it would wait for itself.
    pub(crate) fn visit(&self) -> Visit<'_> {
        self.assert_no_turn();
        Visit {
            shared: self,
            writer: Some(self.writer.lock()),
        }
    }

    /// Panics if this thread evaluates a turn of this partition: it would wait for itself.
    pub(crate) fn assert_no_turn(&self) {
        assert!(
            !ptr::eq(TURN_OF.get(), self),
            "the writer is asked for within a turn, which has it"
        );
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

/// The writer, whether a turn has it or it was taken for something else.
pub(crate) enum Held<'a> {
    Visit(Visit<'a>),
    Turn(&'a mut Writer),
}

impl Deref for Held<'_> {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        match self {
            Held::Visit(visit) => visit,
            Held::Turn(writer) => writer,
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Writer {
        match self {
            Held::Visit(visit) => visit,
            Held::Turn(writer) => writer,
        }
    }
}
