//! Failures in a row, and when to try again.

use haypile_types::Random;

use crate::{ErrorKind, Failure, Settings, SyncError, Time};

/// Failures in a row, the last error, and when to try again.
#[derive(Clone, Debug, Default)]
pub(super) struct Retries {
    pub(super) failed: u32,
    pub(super) last: Option<SyncError>,
}

impl Retries {
    /// Counts a failure. Returns when to try again; `None` = when a person says so.
    pub(super) fn fail(
        &mut self,
        failure: Failure,
        peer: &str,
        settings: &Settings,
        now: Time,
        rng: &mut dyn Random,
    ) -> (SyncError, Option<Time>) {
        self.failed = self.failed.saturating_add(1);
        // A source that says "not now" is alive; giving up on it would only need a person for nothing.
        let counts = !matches!(failure.kind, ErrorKind::PeerNotReady(_));
        let gives_up = counts && settings.attempts_max.is_some_and(|max| self.failed >= max);
        let pause = settings.retry_for(&failure.kind).pause(self.failed, rng);
        let error = SyncError {
            kind: failure.kind,
            peer: peer.to_owned(),
            attempts: self.failed,
            cause: failure.cause,
        };
        self.last = Some(error.clone());
        (error, (!gives_up).then(|| now + pause))
    }
}
