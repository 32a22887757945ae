//! What goes out: for each member that has asked, a queue of frames.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use haypile_consensus::{Message, ReplicaNumber};
use haypile_partition::Post;
use haypile_sync::NodeId;
use haypile_sync::wire::v1;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::{Event, Peers};

/// Frames that wait for a member's connection, and bytes of them. More are dropped: what is lost is sent again.
const FRAMES_MAX: usize = 1024;
const OUTBOX_BYTES_MAX: usize = 32 << 20;
/// Bytes of messages that share a frame.
const FRAME_BYTES: usize = 1 << 20;

type Frame = Result<v1::PeerFrame, Status>;

/// The members that have asked for what this one has to say.
#[derive(Default)]
pub(super) struct Outboxes(Mutex<BTreeMap<ReplicaNumber, Outbox>>);

struct Outbox {
    node: NodeId,
    frames: mpsc::Sender<Frame>,
    queued_bytes: Arc<AtomicUsize>,
    /// Gone when another stream takes this one's place: then it ends, and who has asked for it asks again.
    _replaced: oneshot::Sender<()>,
}

/// The other end of an outbox: what the stream to a member sends.
pub(super) struct Opened {
    pub(super) frames: mpsc::Sender<Frame>,
    pub(super) sent: mpsc::Receiver<Frame>,
    pub(super) queued_bytes: Arc<AtomicUsize>,
    pub(super) replaced: oneshot::Receiver<()>,
}

impl Outbox {
    fn send(&self, messages: Vec<Bytes>) {
        let bytes = bytes_of(&messages);
        let queued = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let full = queued > 0 && queued + bytes > OUTBOX_BYTES_MAX;
        if full || self.frames.try_send(Ok(v1::PeerFrame { messages })).is_err() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

/// Bytes of a frame's messages.
pub(super) fn bytes_of(messages: &[Bytes]) -> usize {
    messages.iter().map(Bytes::len).sum()
}

impl Outboxes {
    /// A member has asked: what is said to it goes there from now on, and an earlier stream to it ends. `Err` with the member and the node that
    /// is connected already and has the same number or the same id.
    pub(super) fn open(&self, number: ReplicaNumber, node: NodeId) -> Result<Opened, (ReplicaNumber, NodeId)> {
        let (frames, sent) = mpsc::channel(FRAMES_MAX);
        let (replaces, replaced) = oneshot::channel();
        let mut outboxes = self.0.lock();
        let twin = outboxes
            .iter()
            .find(|(other, outbox)| (**other == number) != (outbox.node == node) && !outbox.frames.is_closed());
        if let Some((other, outbox)) = twin {
            return Err((*other, outbox.node));
        }
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let outbox = Outbox {
            node,
            frames: frames.clone(),
            queued_bytes: queued_bytes.clone(),
            _replaced: replaces,
        };
        outboxes.insert(number, outbox);
        Ok(Opened {
            frames,
            sent,
            queued_bytes,
            replaced,
        })
    }

    /// Members with these numbers do not belong to the group any more: nothing is said to them.
    pub(super) fn keep(&self, belongs: impl Fn(ReplicaNumber) -> bool) {
        self.0.lock().retain(|number, _| belongs(*number));
    }

    /// A stream has ended; true if there is no newer one to this member.
    pub(super) fn closed(&self, number: ReplicaNumber, frames: &mpsc::Sender<Frame>) -> bool {
        let mut outboxes = self.0.lock();
        let is_newest = outboxes
            .get(&number)
            .is_some_and(|newest| newest.frames.same_channel(frames));
        if is_newest {
            outboxes.remove(&number);
        }
        is_newest
    }
}

impl Post for Peers {
    fn send(&self, messages: Vec<Message>) {
        let mut frames: BTreeMap<ReplicaNumber, Vec<Bytes>> = BTreeMap::new();
        for message in &messages {
            if let Some(bytes) = message.encode() {
                frames.entry(message.to()).or_default().push(bytes.into());
            }
        }
        let outboxes = self.outboxes.0.lock();
        for (number, messages) in frames {
            let Some(outbox) = outboxes.get(&number) else { continue };
            let mut frame: Vec<Bytes> = Vec::new();
            for message in messages {
                if !frame.is_empty() && bytes_of(&frame) + message.len() > FRAME_BYTES {
                    outbox.send(std::mem::take(&mut frame));
                }
                frame.push(message);
            }
            outbox.send(frame);
        }
    }

    fn now_us(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
    }

    fn wake(&self) {
        self.tell(Event::Wake);
    }
}
