//! Panics. None is known; one is a defect of the program. It must neither leave half an evaluation to be logged nor take
//! down the thread, which has the connections of many clients: the partition refuses writes from then on, and what is
//! published can still be read.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::CommitError;
use crate::partition::{Shared, Writer};
use crate::task::Task;
use crate::writing::Finished;

/// Runs `body`; if it panics, gives what the panic says. What `body` was changing may be half changed then.
pub(crate) fn guarded<R>(body: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned())
    })
}

impl Shared {
    /// Ends a turn in which something panicked while it was evaluated: the whole turn counts for nothing, and writes are
    /// refused from here on. `tasks` are those that were evaluated in it.
    pub(crate) fn abandon_turn(&self, writer: &mut Writer, mut tasks: Vec<Box<dyn Task>>, cause: String) -> Finished {
        let error = self.panicked(cause);
        tasks.append(&mut writer.served);
        writer.blocked.forget_lost();
        writer.heard.events.clear();
        writer.heard.ready.clear();
        // Nothing of the turn has been handed to the log.
        writer.next_index = writer.oplog.last().index + 1;
        if let Err(cause) = guarded(|| writer.overlay.abandon_newest()) {
            tracing::error!(
                cause,
                "what an abandoned turn wrote cannot be taken back: restart the server"
            );
        }
        Finished::with(tasks, Some(error))
    }

    /// Refuses writes because something panicked; gives the error for those whom it concerns.
    pub(crate) fn panicked(&self, cause: String) -> CommitError {
        let error = CommitError::Panicked(cause);
        self.refuse(&error);
        // Who waits for room waits in vain.
        self.committed.notify_all();
        error
    }
}
