//! Ids, positions, histories and refusals.

use bytes::Bytes;
use haypile_types::Position;

use super::{WireError, v1};
use crate::message::Refusal;
use crate::{Epoch, EpochHistory, EpochId, NotReady, POSITION_MAX, PartitionId};

/// The value of a field that must be there.
pub(super) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or(WireError::Missing(field))
}

/// A number in a narrower type.
pub(super) fn narrow<T: TryFrom<u64>>(field: &'static str, value: u64) -> Result<T, WireError> {
    T::try_from(value).map_err(|_| WireError::Bounds(field, value))
}

/// Characters of a text for people that are kept.
const TEXT_MAX: usize = 1000;

/// A text for people that another server has sent: it is shown in lines of logs and of INFO, and must not look like one of its own.
pub(super) fn text(text: String) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(TEXT_MAX).map(plain).collect()
}

/// An index or a term that one more can be added to.
pub(super) fn bounded(field: &'static str, value: u64) -> Result<u64, WireError> {
    match value {
        0..=POSITION_MAX => Ok(value),
        _ => Err(WireError::Bounds(field, value)),
    }
}

pub(super) fn id_bytes(id: u128) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

pub(super) fn id(field: &'static str, bytes: &[u8]) -> Result<u128, WireError> {
    let bytes = bytes.try_into().map_err(|_| WireError::IdLength(field, bytes.len()))?;
    Ok(u128::from_be_bytes(bytes))
}

impl From<PartitionId> for v1::PartitionId {
    fn from(id: PartitionId) -> Self {
        v1::PartitionId {
            table: id.table,
            number: id.number,
        }
    }
}

impl From<v1::PartitionId> for PartitionId {
    fn from(id: v1::PartitionId) -> Self {
        PartitionId {
            table: id.table,
            number: id.number,
        }
    }
}

impl From<Position> for v1::Position {
    fn from(position: Position) -> Self {
        v1::Position {
            term: position.term,
            index: position.index,
        }
    }
}

impl TryFrom<v1::Position> for Position {
    type Error = WireError;

    fn try_from(position: v1::Position) -> Result<Self, WireError> {
        Ok(Position::new(
            bounded("position.term", position.term)?,
            bounded("position.index", position.index)?,
        ))
    }
}

impl From<Epoch> for v1::Epoch {
    fn from(epoch: Epoch) -> Self {
        v1::Epoch {
            term: epoch.term,
            id: id_bytes(epoch.id.0),
            first_index: epoch.first_index,
        }
    }
}

impl TryFrom<v1::Epoch> for Epoch {
    type Error = WireError;

    fn try_from(epoch: v1::Epoch) -> Result<Self, WireError> {
        let id = EpochId(id("epoch.id", &epoch.id)?);
        Ok(Epoch {
            term: bounded("epoch.term", epoch.term)?,
            id,
            first_index: bounded("epoch.first_index", epoch.first_index)?,
        })
    }
}

impl From<&EpochHistory> for v1::EpochHistory {
    fn from(history: &EpochHistory) -> Self {
        v1::EpochHistory {
            epochs: history.epochs().iter().map(|epoch| (*epoch).into()).collect(),
        }
    }
}

impl TryFrom<v1::EpochHistory> for EpochHistory {
    type Error = WireError;

    fn try_from(history: v1::EpochHistory) -> Result<Self, WireError> {
        let epochs: Result<Vec<_>, _> = history.epochs.into_iter().map(Epoch::try_from).collect();
        Ok(EpochHistory::from_epochs(epochs?)?)
    }
}

impl From<Refusal> for v1::Refusal {
    fn from(refusal: Refusal) -> Self {
        use v1::refusal::Reason;
        let reason = match refusal {
            Refusal::ProtocolVersion { min, max } => Reason::ProtocolVersion(v1::VersionRange { min, max }),
            Refusal::Unauthorized(cause) => Reason::Unauthorized(cause),
            Refusal::LayoutMismatch(cause) => Reason::LayoutMismatch(cause),
            Refusal::FollowsItself => Reason::FollowsItself(v1::Empty {}),
            Refusal::Stale => Reason::Stale(v1::Empty {}),
            Refusal::IdInUse(from) => Reason::IdInUse(from),
            Refusal::UnknownSession => Reason::UnknownSession(v1::Empty {}),
            Refusal::NotReady(why) => Reason::NotReady(match why {
                NotReady::Busy => v1::NotReady::Busy.into(),
                NotReady::Loading => v1::NotReady::Loading.into(),
                NotReady::Behind => v1::NotReady::Behind.into(),
                NotReady::Circle => v1::NotReady::Circle.into(),
            }),
            Refusal::Invalid(cause) => Reason::Invalid(cause),
            Refusal::Internal(cause) => Reason::Internal(cause),
        };
        v1::Refusal { reason: Some(reason) }
    }
}

impl TryFrom<v1::Refusal> for Refusal {
    type Error = WireError;

    fn try_from(refusal: v1::Refusal) -> Result<Self, WireError> {
        use v1::refusal::Reason;
        Ok(match required("refusal.reason", refusal.reason)? {
            Reason::ProtocolVersion(range) => Refusal::ProtocolVersion {
                min: range.min,
                max: range.max,
            },
            Reason::Unauthorized(cause) => Refusal::Unauthorized(text(cause)),
            Reason::LayoutMismatch(cause) => Refusal::LayoutMismatch(text(cause)),
            Reason::FollowsItself(_) => Refusal::FollowsItself,
            Reason::Stale(_) => Refusal::Stale,
            Reason::IdInUse(from) => Refusal::IdInUse(text(from)),
            Reason::UnknownSession(_) => Refusal::UnknownSession,
            Reason::NotReady(why) => Refusal::NotReady(match v1::NotReady::try_from(why) {
                Ok(v1::NotReady::Busy) => NotReady::Busy,
                Ok(v1::NotReady::Loading) => NotReady::Loading,
                Ok(v1::NotReady::Behind) => NotReady::Behind,
                Ok(v1::NotReady::Circle) => NotReady::Circle,
                Ok(v1::NotReady::Unspecified) | Err(_) => return Err(WireError::Unknown("not_ready", why)),
            }),
            Reason::Invalid(cause) => Refusal::Invalid(text(cause)),
            Reason::Internal(cause) => Refusal::Internal(text(cause)),
        })
    }
}
