//! MetaSync and heartbeats.

use std::time::Duration;

use haypile_types::is_host;

use super::basics::{id, id_bytes, narrow, required};
use super::{WireError, v1};
use crate::message::{Accepted, Layout, MetaSync, Purpose, Refusal};
use crate::{AttemptId, Incarnation, NodeId, SessionId};

impl From<Purpose> for v1::Purpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Replica => v1::Purpose::Replica,
            Purpose::Learner => v1::Purpose::Learner,
            Purpose::Duplication => v1::Purpose::Duplication,
            Purpose::Restore => v1::Purpose::Restore,
        }
    }
}

fn purpose(value: i32) -> Result<Purpose, WireError> {
    match v1::Purpose::try_from(value) {
        Ok(v1::Purpose::Replica) => Ok(Purpose::Replica),
        Ok(v1::Purpose::Learner) => Ok(Purpose::Learner),
        Ok(v1::Purpose::Duplication) => Ok(Purpose::Duplication),
        Ok(v1::Purpose::Restore) => Ok(Purpose::Restore),
        Ok(v1::Purpose::Unspecified) | Err(_) => Err(WireError::Unknown("purpose", value)),
    }
}

impl From<Layout> for v1::Layout {
    fn from(layout: Layout) -> Self {
        v1::Layout {
            partition: Some(layout.partition.into()),
            slot_first: layout.slot_first.into(),
            slot_last: layout.slot_last.into(),
            format: layout.format,
        }
    }
}

impl TryFrom<v1::Layout> for Layout {
    type Error = WireError;

    fn try_from(layout: v1::Layout) -> Result<Self, WireError> {
        Ok(Layout {
            partition: required("layout.partition", layout.partition)?.into(),
            slot_first: narrow("layout.slot_first", layout.slot_first.into())?,
            slot_last: narrow("layout.slot_last", layout.slot_last.into())?,
            format: layout.format,
        })
    }
}

fn host(text: String) -> Result<String, WireError> {
    match is_host(&text) {
        true => Ok(text),
        false => Err(WireError::Host("announce_host", text)),
    }
}

fn millis(span: Duration) -> u64 {
    span.as_millis().min(u128::from(u64::MAX)) as u64
}

fn timeout(name: &'static str, millis: u64) -> Result<Duration, WireError> {
    match millis {
        0 => Err(WireError::Missing(name)),
        millis => Ok(Duration::from_millis(millis)),
    }
}

fn layouts(list: Vec<v1::Layout>) -> Result<Vec<Layout>, WireError> {
    list.into_iter().map(Layout::try_from).collect()
}

impl From<MetaSync> for v1::MetaSyncRequest {
    fn from(message: MetaSync) -> Self {
        v1::MetaSyncRequest {
            version_min: message.version_min,
            version_max: message.version_max,
            node: id_bytes(message.node.0),
            incarnation: message.incarnation.0,
            attempt: message.attempt.0,
            purpose: v1::Purpose::from(message.purpose).into(),
            announce_host: message.announce_host,
            announce_port: message.announce_port.into(),
            wanted: message.wanted.into_iter().map(v1::Layout::from).collect(),
            silence_timeout_ms: millis(message.silence_timeout),
        }
    }
}

impl TryFrom<v1::MetaSyncRequest> for MetaSync {
    type Error = WireError;

    fn try_from(message: v1::MetaSyncRequest) -> Result<Self, WireError> {
        Ok(MetaSync {
            version_min: message.version_min,
            version_max: message.version_max,
            node: NodeId(id("node", &message.node)?),
            incarnation: Incarnation(message.incarnation),
            attempt: AttemptId(message.attempt),
            purpose: purpose(message.purpose)?,
            announce_host: message.announce_host.map(host).transpose()?,
            announce_port: narrow("announce_port", message.announce_port.into())?,
            wanted: layouts(message.wanted)?,
            silence_timeout: timeout("silence_timeout_ms", message.silence_timeout_ms)?,
        })
    }
}

impl From<Accepted> for v1::Accepted {
    fn from(accepted: Accepted) -> Self {
        v1::Accepted {
            node: id_bytes(accepted.node.0),
            incarnation: accepted.incarnation.0,
            session: accepted.session.0,
            version: accepted.version,
            partitions: accepted.partitions.into_iter().map(v1::Layout::from).collect(),
            session_timeout_ms: millis(accepted.session_timeout),
        }
    }
}

impl TryFrom<v1::Accepted> for Accepted {
    type Error = WireError;

    fn try_from(accepted: v1::Accepted) -> Result<Self, WireError> {
        Ok(Accepted {
            node: NodeId(id("node", &accepted.node)?),
            incarnation: Incarnation(accepted.incarnation),
            session: SessionId(accepted.session),
            version: accepted.version,
            partitions: layouts(accepted.partitions)?,
            session_timeout: timeout("session_timeout_ms", accepted.session_timeout_ms)?,
        })
    }
}

impl From<Result<Accepted, Refusal>> for v1::MetaSyncReply {
    fn from(reply: Result<Accepted, Refusal>) -> Self {
        use v1::meta_sync_reply::Result as Wire;
        let result = match reply {
            Ok(accepted) => Wire::Accepted(accepted.into()),
            Err(refusal) => Wire::Refused(refusal.into()),
        };
        v1::MetaSyncReply { result: Some(result) }
    }
}

impl TryFrom<v1::MetaSyncReply> for Result<Accepted, Refusal> {
    type Error = WireError;

    fn try_from(reply: v1::MetaSyncReply) -> Result<Self, WireError> {
        use v1::meta_sync_reply::Result as Wire;
        Ok(match required("meta_sync_reply", reply.result)? {
            Wire::Accepted(accepted) => Ok(accepted.try_into()?),
            Wire::Refused(refusal) => Err(refusal.try_into()?),
        })
    }
}

impl From<Result<(), Refusal>> for v1::HeartbeatReply {
    fn from(reply: Result<(), Refusal>) -> Self {
        use v1::heartbeat_reply::Result as Wire;
        let result = match reply {
            Ok(()) => Wire::Alive(v1::Empty {}),
            Err(refusal) => Wire::Refused(refusal.into()),
        };
        v1::HeartbeatReply { result: Some(result) }
    }
}

impl TryFrom<v1::HeartbeatReply> for Result<(), Refusal> {
    type Error = WireError;

    fn try_from(reply: v1::HeartbeatReply) -> Result<Self, WireError> {
        use v1::heartbeat_reply::Result as Wire;
        Ok(match required("heartbeat_reply", reply.result)? {
            Wire::Alive(_) => Ok(()),
            Wire::Refused(refusal) => Err(refusal.try_into()?),
        })
    }
}
