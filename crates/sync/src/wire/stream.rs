//! The stream's frames.

use super::basics::{bounded, id, id_bytes, required, text};
use super::{WireError, v1};
use crate::message::{Batch, Closed, Compression, FollowerFrame, FrameBody, Message, Open, SourceEnd, SourceFrame};
use crate::source::Acks;
use crate::{AttemptId, EpochId, SessionId};

impl From<Compression> for v1::Compression {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => v1::Compression::None,
            Compression::Zstd => v1::Compression::Zstd,
        }
    }
}

fn compression(value: i32) -> Result<Compression, WireError> {
    match v1::Compression::try_from(value) {
        Ok(v1::Compression::None) => Ok(Compression::None),
        Ok(v1::Compression::Zstd) => Ok(Compression::Zstd),
        Ok(v1::Compression::Unspecified) | Err(_) => Err(WireError::Unknown("compression", value)),
    }
}

impl From<FollowerFrame> for v1::FollowerFrame {
    fn from(frame: FollowerFrame) -> Self {
        use v1::follower_frame::Frame;
        let frame = match frame {
            FollowerFrame::Open(open) => Frame::Open(v1::Open {
                session: open.session.0,
                attempt: open.attempt.0,
                partition: Some(open.partition.into()),
                from: open.from,
                epoch: id_bytes(open.epoch.0),
                compression: v1::Compression::from(open.compression).into(),
            }),
            FollowerFrame::Acks(Acks { durable, applied }) => Frame::Acks(v1::Acks { durable, applied }),
        };
        v1::FollowerFrame { frame: Some(frame) }
    }
}

impl TryFrom<v1::FollowerFrame> for FollowerFrame {
    type Error = WireError;

    fn try_from(frame: v1::FollowerFrame) -> Result<Self, WireError> {
        use v1::follower_frame::Frame;
        Ok(match required("follower_frame", frame.frame)? {
            Frame::Open(open) => FollowerFrame::Open(Open {
                session: SessionId(open.session),
                attempt: AttemptId(open.attempt),
                partition: required("open.partition", open.partition)?.into(),
                from: bounded("open.from", open.from)?,
                epoch: EpochId(id("open.epoch", &open.epoch)?),
                compression: compression(open.compression)?,
            }),
            Frame::Acks(v1::Acks { durable, applied }) => FollowerFrame::Acks(Acks {
                durable: bounded("acks.durable", durable)?,
                applied: bounded("acks.applied", applied)?,
            }),
        })
    }
}

impl From<Closed> for v1::Closed {
    fn from(closed: Closed) -> Self {
        use v1::closed::Reason;
        let reason = match closed {
            Closed::LogCollected { wanted, first } => Reason::LogCollected(v1::LogCollected { wanted, first }),
            Closed::Refused(refusal) => Reason::Refused(refusal.into()),
            Closed::OutOfOrder(cause) => Reason::OutOfOrder(cause),
        };
        v1::Closed { reason: Some(reason) }
    }
}

impl TryFrom<v1::Closed> for Closed {
    type Error = WireError;

    fn try_from(closed: v1::Closed) -> Result<Self, WireError> {
        use v1::closed::Reason;
        Ok(match required("closed.reason", closed.reason)? {
            Reason::LogCollected(v1::LogCollected { wanted, first }) => Closed::LogCollected { wanted, first },
            Reason::Refused(refusal) => Closed::Refused(refusal.try_into()?),
            Reason::OutOfOrder(cause) => Closed::OutOfOrder(text(cause)),
        })
    }
}

impl From<Message> for v1::published::Message {
    fn from(message: Message) -> Self {
        let Message {
            after,
            sharded,
            channel,
            payload,
            within,
        } = message;
        v1::published::Message {
            after,
            sharded,
            channel,
            payload,
            within,
        }
    }
}

impl From<v1::published::Message> for Message {
    fn from(message: v1::published::Message) -> Self {
        let v1::published::Message {
            after,
            sharded,
            channel,
            payload,
            within,
        } = message;
        Message {
            after,
            sharded,
            channel,
            payload,
            within,
        }
    }
}

impl From<SourceFrame> for v1::SourceFrame {
    fn from(frame: SourceFrame) -> Self {
        use v1::source_frame::Frame;
        let SourceEnd {
            last,
            unsent_bytes,
            clock_ms,
        } = frame.end;
        let body = match frame.body {
            FrameBody::Epoch { epoch, after } => Frame::Epoch(v1::EpochBegins {
                epoch: Some(epoch.into()),
                after: id_bytes(after.0),
            }),
            FrameBody::Batch(batch) => Frame::Batch(v1::Batch {
                first: Some(batch.first.into()),
                last: Some(batch.last.into()),
                compression: v1::Compression::from(batch.compression).into(),
                entries_bytes: batch.entries_bytes,
                entries: batch.entries,
            }),
            FrameBody::Part(entries) => Frame::Part(v1::Part { entries }),
            FrameBody::Keepalive { sent } => Frame::Keepalive(v1::Keepalive { sent }),
            FrameBody::Published(messages) => Frame::Published(v1::Published {
                messages: messages.into_iter().map(Into::into).collect(),
            }),
            FrameBody::Closed(closed) => Frame::Closed(closed.into()),
        };
        v1::SourceFrame {
            end: Some(v1::SourceEnd {
                last,
                unsent_bytes,
                clock_ms,
            }),
            ack_wanted: frame.ack_wanted,
            frame: Some(body),
        }
    }
}

impl TryFrom<v1::SourceFrame> for SourceFrame {
    type Error = WireError;

    fn try_from(frame: v1::SourceFrame) -> Result<Self, WireError> {
        use v1::source_frame::Frame;
        let v1::SourceEnd {
            last,
            unsent_bytes,
            clock_ms,
        } = required("source_frame.end", frame.end)?;
        let body = match required("source_frame.frame", frame.frame)? {
            Frame::Epoch(begins) => FrameBody::Epoch {
                epoch: required("epoch_begins.epoch", begins.epoch)?.try_into()?,
                after: EpochId(id("epoch_begins.after", &begins.after)?),
            },
            Frame::Batch(batch) => FrameBody::Batch(Batch {
                first: required("batch.first", batch.first)?.try_into()?,
                last: required("batch.last", batch.last)?.try_into()?,
                compression: compression(batch.compression)?,
                entries_bytes: batch.entries_bytes,
                entries: batch.entries,
            }),
            Frame::Part(v1::Part { entries }) => FrameBody::Part(entries),
            Frame::Keepalive(v1::Keepalive { sent }) => FrameBody::Keepalive { sent },
            Frame::Published(v1::Published { messages }) => {
                FrameBody::Published(messages.into_iter().map(Into::into).collect())
            }
            Frame::Closed(closed) => FrameBody::Closed(closed.try_into()?),
        };
        Ok(SourceFrame {
            end: SourceEnd {
                last,
                unsent_bytes,
                clock_ms,
            },
            ack_wanted: frame.ack_wanted,
            body,
        })
    }
}
