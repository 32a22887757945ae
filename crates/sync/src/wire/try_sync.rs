//! TrySync.

use super::basics::{bounded, required};
use super::{WireError, v1};
use crate::message::{CheckpointReason, LocalPosition, TrySync, TrySyncReply};
use crate::{AttemptId, SessionId};

impl From<LocalPosition> for v1::LocalPosition {
    fn from(position: LocalPosition) -> Self {
        v1::LocalPosition {
            end: Some(position.end.into()),
            durable: position.durable,
            applied: position.applied,
            history: Some((&position.history).into()),
            poisoned: position.poisoned,
        }
    }
}

impl TryFrom<v1::LocalPosition> for LocalPosition {
    type Error = WireError;

    fn try_from(position: v1::LocalPosition) -> Result<Self, WireError> {
        Ok(LocalPosition {
            end: required("position.end", position.end)?.try_into()?,
            durable: bounded("position.durable", position.durable)?,
            applied: bounded("position.applied", position.applied)?,
            history: required("position.history", position.history)?.try_into()?,
            poisoned: position.poisoned,
        })
    }
}

impl From<TrySync> for v1::TrySyncRequest {
    fn from(message: TrySync) -> Self {
        v1::TrySyncRequest {
            session: message.session.0,
            attempt: message.attempt.0,
            partition: Some(message.partition.into()),
            position: Some(message.position.into()),
        }
    }
}

impl TryFrom<v1::TrySyncRequest> for TrySync {
    type Error = WireError;

    fn try_from(message: v1::TrySyncRequest) -> Result<Self, WireError> {
        Ok(TrySync {
            session: SessionId(message.session),
            attempt: AttemptId(message.attempt),
            partition: required("partition", message.partition)?.into(),
            position: required("position", message.position)?.try_into()?,
        })
    }
}

impl From<CheckpointReason> for v1::CheckpointNeeded {
    fn from(reason: CheckpointReason) -> Self {
        use v1::checkpoint_needed::Reason;
        let reason = match reason {
            CheckpointReason::Empty => Reason::Empty(v1::Empty {}),
            CheckpointReason::ForeignHistory => Reason::ForeignHistory(v1::Empty {}),
            CheckpointReason::LogCollected { wanted, first } => {
                Reason::LogCollected(v1::LogCollected { wanted, first })
            }
            CheckpointReason::Diverged {
                common,
                lost_first,
                lost_last,
            } => Reason::Diverged(v1::Diverged {
                common: Some(common.into()),
                lost_first: Some(lost_first.into()),
                lost_last: Some(lost_last.into()),
            }),
            CheckpointReason::Poisoned => Reason::Poisoned(v1::Empty {}),
        };
        v1::CheckpointNeeded { reason: Some(reason) }
    }
}

impl TryFrom<v1::CheckpointNeeded> for CheckpointReason {
    type Error = WireError;

    fn try_from(needed: v1::CheckpointNeeded) -> Result<Self, WireError> {
        use v1::checkpoint_needed::Reason;
        Ok(match required("checkpoint_needed.reason", needed.reason)? {
            Reason::Empty(_) => CheckpointReason::Empty,
            Reason::ForeignHistory(_) => CheckpointReason::ForeignHistory,
            Reason::LogCollected(v1::LogCollected { wanted, first }) => {
                CheckpointReason::LogCollected { wanted, first }
            }
            Reason::Diverged(diverged) => CheckpointReason::Diverged {
                common: required("diverged.common", diverged.common)?.try_into()?,
                lost_first: required("diverged.lost_first", diverged.lost_first)?.try_into()?,
                lost_last: required("diverged.lost_last", diverged.lost_last)?.try_into()?,
            },
            Reason::Poisoned(_) => CheckpointReason::Poisoned,
        })
    }
}

impl From<TrySyncReply> for v1::TrySyncReply {
    fn from(reply: TrySyncReply) -> Self {
        use v1::try_sync_reply::Result as Wire;
        let result = match reply {
            TrySyncReply::Continue { from, history } => Wire::Continue(v1::Continue {
                from,
                history: Some((&history).into()),
            }),
            TrySyncReply::Checkpoint(reason) => Wire::CheckpointNeeded(reason.into()),
            TrySyncReply::Refused(refusal) => Wire::Refused(refusal.into()),
        };
        v1::TrySyncReply { result: Some(result) }
    }
}

impl TryFrom<v1::TrySyncReply> for TrySyncReply {
    type Error = WireError;

    fn try_from(reply: v1::TrySyncReply) -> Result<Self, WireError> {
        use v1::try_sync_reply::Result as Wire;
        Ok(match required("try_sync_reply", reply.result)? {
            Wire::Continue(v1::Continue { from, history }) => {
                let history = required("continue.history", history)?.try_into()?;
                let from = bounded("continue.from", from)?;
                TrySyncReply::Continue { from, history }
            }
            Wire::CheckpointNeeded(needed) => TrySyncReply::Checkpoint(needed.try_into()?),
            Wire::Refused(refusal) => TrySyncReply::Refused(refusal.try_into()?),
        })
    }
}
