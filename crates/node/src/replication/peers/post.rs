//! What goes out: for each member that has asked, a queue of frames.

use std::collections::BTreeMap;

use bytes::Bytes;
use haypile_consensus::{Message, ReplicaNumber};
use haypile_partition::Post;
use haypile_sync::NodeId;
use haypile_sync::wire::v1;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tonic::Status;

use super::{Event, Peers};

/// Frames that wait for a member's connection. More are dropped.
const FRAMES_MAX: usize = 1024;

pub(super) type Frames = mpsc::Sender<Result<v1::PeerFrame, Status>>;
pub(super) type Sent = mpsc::Receiver<Result<v1::PeerFrame, Status>>;

/// The members that have asked for what this one has to say.
#[derive(Default)]
pub(super) struct Outboxes(Mutex<BTreeMap<ReplicaNumber, (NodeId, Frames)>>);

impl Outboxes {
    /// A member has asked: what is said to it goes there from now on. `Err` with the member and the node that is connected already and
    /// has the same number or the same id.
    pub(super) fn open(&self, number: ReplicaNumber, node: NodeId) -> Result<(Frames, Sent), (ReplicaNumber, NodeId)> {
        let (frames, sent) = mpsc::channel(FRAMES_MAX);
        let mut outboxes = self.0.lock();
        let twin = outboxes
            .iter()
            .find(|(other, (its, before))| (**other == number) != (*its == node) && !before.is_closed());
        if let Some((other, (its, _))) = twin {
            return Err((*other, *its));
        }
        outboxes.insert(number, (node, frames.clone()));
        Ok((frames, sent))
    }

    /// A stream has ended; true if there is no newer one to this member.
    pub(super) fn closed(&self, number: ReplicaNumber, frames: &Frames) -> bool {
        let mut outboxes = self.0.lock();
        let is_newest = outboxes
            .get(&number)
            .is_some_and(|(_, newest)| newest.same_channel(frames));
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
            if let Some((_, outbox)) = outboxes.get(&number) {
                let _ = outbox.try_send(Ok(v1::PeerFrame { messages }));
            }
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
