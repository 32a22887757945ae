//! The follower's end of a stream: takes frames, appends what they bring, acknowledges.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use haypile_partition::{CommitError, Partition, ReplicatedEntry, ReplicatedError};
use haypile_sync::follower::PartitionEvent;
use haypile_sync::message::{Batch, Closed, Compression, FollowerFrame, FrameBody, Message, Open, SourceFrame};
use haypile_sync::source::Acks;
use haypile_sync::stream::{Inbox, Receiver, Verdict};
use haypile_sync::wire::v1;
use haypile_sync::{AttemptId, EpochHistory, ErrorKind, Failure, SessionId, Time};
use haypile_types::Position;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::driver::{Driver, Event};
use super::{Shared, installing};
use crate::node::Node;
use crate::replication::dial::{self, Client};
use crate::replication::partition_id;

/// Acknowledgements that may wait for the connection.
const ACKS_MAX: usize = 16;

/// A running stream.
pub(super) struct Streaming {
    stop: oneshot::Sender<()>,
}

/// What a stream starts with.
pub(super) struct Start {
    pub(super) attempt: AttemptId,
    pub(super) session: SessionId,
    pub(super) from: u64,
    pub(super) history: EpochHistory,
    pub(super) client: Client,
}

impl Streaming {
    pub(super) fn start(driver: &Driver, start: Start) -> Streaming {
        let (stop, stopped) = oneshot::channel();
        let (node, events, hand) = (driver.node.clone(), driver.events.clone(), driver.hand.clone());
        let shared = driver.shared.clone();
        tokio::spawn(async move {
            let _hand = hand.lock_owned().await;
            if let Some(node) = node.upgrade() {
                // It goes on without a copy.
                let _ = tokio::task::spawn_blocking(move || installing::discard(&node)).await;
            }
            let attempt = start.attempt;
            let task = Task {
                node,
                shared,
                attempt,
                heard: &|| drop(events.send(Event::Partition(PartitionEvent::Heard { attempt }))),
            };
            tokio::select! {
                failure = task.run(start) => {
                    let _ = events.send(Event::Partition(PartitionEvent::Failed { attempt, failure }));
                }
                // Told to stop, or the driver is gone.
                _ = stopped => {}
            }
        });
        Streaming { stop }
    }

    pub(super) fn stop(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
    }
}

struct Task<'a> {
    node: Weak<Node>,
    shared: Arc<Shared>,
    attempt: AttemptId,
    heard: &'a (dyn Fn() + Send + Sync),
}

impl Task<'_> {
    /// Runs until something fails.
    async fn run(&self, start: Start) -> Failure {
        match self.try_run(start).await {
            Ok(never) => match never {},
            Err(failure) => failure,
        }
    }

    async fn try_run(&self, start: Start) -> Result<std::convert::Infallible, Failure> {
        let node = self.node()?;
        let settings = node.replication.stream_settings(&node.config.load());
        let (from, history) = (start.from, start.history);
        let epoch = history.current().map(|epoch| epoch.id);
        let epoch = epoch.ok_or_else(|| Failure::new(ErrorKind::Protocol, "a history without an epoch"))?;
        let acks = blocking(|| {
            with_partition(&node, |partition| {
                set_history(partition, history.clone())?;
                Ok(acks_of(partition))
            })
        })?;
        let mut receiver = Receiver::new(settings, from, history, acks, node.replication.now());
        let mut inbox = Inbox::default();
        drop(node);

        let (outbox, outgoing) = mpsc::channel(ACKS_MAX);
        let open = FollowerFrame::Open(Open {
            session: start.session,
            attempt: self.attempt,
            partition: partition_id(),
            from,
            epoch,
            compression: Compression::None,
        });
        let _ = outbox.try_send(v1::FollowerFrame::from(open));
        let mut client = start.client;
        let opened = client.follow(ReceiverStream::new(outgoing)).await;
        let mut frames = opened.map_err(|status| dial::failure(&status))?.into_inner();
        loop {
            let node = self.node()?;
            let now = node.replication.now();
            if let Some(acks) = receiver.ack(now) {
                let frame = v1::FollowerFrame::from(FollowerFrame::Acks(acks));
                drop(node);
                let sent = outbox.send(frame).await;
                sent.map_err(|_| Failure::new(ErrorKind::PeerClosed, "the stream is closed"))?;
            } else {
                drop(node);
            }
            let sleep = receiver.ack_at().since(now);
            let frame = tokio::select! {
                frame = frames.message() => Some(frame),
                () = tokio::time::sleep(sleep) => None,
            };
            let node = self.node()?;
            match frame {
                Some(Ok(Some(frame))) => {
                    (self.heard)();
                    self.take(&node, &mut receiver, &mut inbox, frame.try_into()?)?;
                }
                Some(Ok(None)) => return Err(Failure::new(ErrorKind::PeerClosed, "the source has ended the stream")),
                Some(Err(status)) => return Err(dial::failure(&status)),
                None => {}
            }
            let acks = with_partition(&node, |partition| Ok(acks_of(partition)))?;
            receiver.progress(acks.durable, acks.applied);
            self.show(&node, &receiver);
        }
    }

    fn node(&self) -> Result<Arc<Node>, Failure> {
        let node = self.node.upgrade().filter(|node| !node.is_stopping());
        node.ok_or_else(|| Failure::new(ErrorKind::PeerClosed, "this server stops"))
    }

    fn take(&self, node: &Node, receiver: &mut Receiver, inbox: &mut Inbox, frame: SourceFrame) -> Result<(), Failure> {
        let now = node.replication.now();
        receiver.source_end(now, frame.end.last, frame.end.unsent_bytes, frame.end.clock_ms);
        if frame.ack_wanted {
            receiver.ack_wanted();
        }
        match frame.body {
            FrameBody::Keepalive { sent } => receiver.keepalive(sent),
            FrameBody::Closed(closed) => Err(closed_by(closed)),
            FrameBody::Epoch { epoch, after } => match receiver.epoch(epoch, after)? {
                None => Ok(()),
                Some(history) => {
                    let history = history.clone();
                    blocking(|| with_partition(node, |partition| set_history(partition, history)))
                }
            },
            FrameBody::Published(messages) => {
                inbox.put(messages)?;
                let ready = inbox.take(receiver.last());
                if !ready.is_empty() {
                    with_partition(node, |partition| {
                        partition.publish_replicated(ready);
                        Ok(())
                    })?;
                }
                inbox.check()
            }
            FrameBody::Batch(batch) => match receiver.batch(batch.first, batch.last)? {
                Verdict::Ignore => Ok(()),
                Verdict::Append { skip } => {
                    let last = batch.last.index;
                    let messages = inbox.take(last);
                    blocking(|| with_partition(node, |partition| append(partition, batch, skip, messages)))?;
                    receiver.appended(last);
                    Ok(())
                }
            },
        }
    }

    fn show(&self, node: &Node, receiver: &Receiver) {
        let now = node.replication.now();
        let clock_ms = node
            .data
            .load()
            .as_ref()
            .map_or(0, |data| data.applied_clock_us() / 1000);
        let mut status = self.shared.stream.lock();
        status.lag = receiver.lag(now, clock_ms);
        status.heard = now.since(Time::default());
    }
}

fn closed_by(closed: Closed) -> Failure {
    closed.into()
}

/// Does what may take a while without holding up the runtime.
fn blocking<R>(work: impl FnOnce() -> R) -> R {
    tokio::task::block_in_place(work)
}

fn with_partition<R>(node: &Node, work: impl FnOnce(&Partition) -> Result<R, Failure>) -> Result<R, Failure> {
    match &*node.data.load() {
        Some(data) => work(data),
        None => Err(Failure::new(ErrorKind::Io, "the data is not open")),
    }
}

fn acks_of(partition: &Partition) -> Acks {
    let position = partition.log_ends();
    Acks {
        durable: position.durable,
        applied: position.applied,
    }
}

fn set_history(partition: &Partition, history: EpochHistory) -> Result<(), Failure> {
    partition
        .set_history(history)
        .map_err(|error| Failure::new(ErrorKind::Io, error.to_string()))
}

/// Appends a batch, and delivers messages that wait for its entries.
fn append(partition: &Partition, batch: Batch, skip: u64, messages: Vec<Message>) -> Result<(), Failure> {
    if batch.compression != Compression::None {
        return Err(Failure::new(
            ErrorKind::Protocol,
            "a compression that was not asked for",
        ));
    }
    let entries = Entries { bytes: batch.entries };
    let count = batch.last.index - batch.first.index + 1;
    let found = entries.iter().take_while(Option::is_some).count() as u64;
    if found != count || entries.iter().any(|entry| entry.is_none()) {
        return Err(Failure::new(
            ErrorKind::Protocol,
            format!("a batch of {count} entries holds {found}"),
        ));
    }
    let outcome = partition.append_replicated(entries.iter().flatten().skip(skip as usize), messages);
    outcome.map_err(|error| {
        let kind = match &error {
            ReplicatedError::NotFollowing => ErrorKind::PeerClosed,
            ReplicatedError::Order { .. } => ErrorKind::OutOfOrder,
            ReplicatedError::Corrupt { .. } => ErrorKind::Corrupt("an entry of the log".into()),
            ReplicatedError::Commit(CommitError::NoSpace(_)) => ErrorKind::NoSpace,
            ReplicatedError::Commit(_) => ErrorKind::Io,
        };
        Failure::new(kind, error.to_string())
    })
}

/// The entries of a batch.
struct Entries {
    bytes: Bytes,
}

impl Entries {
    /// The entries; `None` in place of the first that is cut off, and then no more.
    fn iter(&self) -> impl Iterator<Item = Option<ReplicatedEntry<'_>>> + Clone {
        let mut rest: &[u8] = &self.bytes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let entry = split(&mut rest);
            if entry.is_none() {
                rest = &[];
            }
            Some(entry)
        })
    }
}

fn split<'a>(rest: &mut &'a [u8]) -> Option<ReplicatedEntry<'a>> {
    let mut number = || {
        let (head, tail) = rest.split_first_chunk::<8>()?;
        *rest = tail;
        Some(u64::from_le_bytes(*head))
    };
    let (term, index, timestamp) = (number()?, number()?, number()?);
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let (payload, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = tail;
    Some(ReplicatedEntry {
        position: Position::new(term, index),
        timestamp,
        payload,
    })
}
