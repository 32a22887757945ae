//! The follower's end of a stream: takes frames, appends what they bring, acknowledges.

use std::sync::{Arc, Weak};
use std::time::Duration;

use haypile_partition::{CommitError, Partition, PartitionError, ReplicatedError};
use haypile_sync::follower::PartitionEvent;
use haypile_sync::message::{Compression, FollowerFrame, FrameBody, Message, Open, SourceFrame};
use haypile_sync::source::Acks;
use haypile_sync::stream::{Inbox, Receiver, Verdict};
use haypile_sync::wire::v1;
use haypile_sync::{AttemptId, EpochHistory, ErrorKind, Failure, PartitionId, SessionId, Tenure, Time};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::driver::{Driver, Event};
use super::{Shared, installing};
use crate::replication::transport::{self, Client, Entries, Unpacker, blocking};
use crate::replication::{Replication, settings};

/// Acknowledgements that may wait for the connection.
const ACKS_MAX: usize = 16;

/// Time between two signs of life that the partition's machine is told of; it waits for them much longer.
const HEARD_INTERVAL: Duration = Duration::from_millis(100);

/// A running stream.
pub(super) struct Streaming {
    stop: oneshot::Sender<()>,
}

/// What a stream starts with.
pub(super) struct Start {
    pub(super) attempt: AttemptId,
    pub(super) tenure: Tenure,
    pub(super) session: SessionId,
    /// After how much silence the source takes this server for gone.
    pub(super) source_timeout: Duration,
    pub(super) from: u64,
    pub(super) history: EpochHistory,
    pub(super) client: Client,
}

impl Streaming {
    pub(super) fn start(driver: &Driver, start: Start) -> Streaming {
        let (stop, stopped) = oneshot::channel();
        let (replication, events, data_lock) = (
            driver.replication.clone(),
            driver.events.clone(),
            driver.data_lock.clone(),
        );
        let partition = driver.id.clone();
        let shared = driver.shared.clone();
        tokio::spawn(async move {
            let _data_lock = data_lock.lock_owned().await;
            if let Some(replication) = replication.upgrade() {
                let id = partition.clone();
                // It goes on without a copy.
                let _ = tokio::task::spawn_blocking(move || installing::discard(&replication, &id)).await;
            }
            let attempt = start.attempt;
            let task = Task {
                replication,
                shared,
                partition,
                attempt,
                tenure: start.tenure,
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

/// What has come on the stream.
struct Inbound {
    receiver: Receiver,
    inbox: Inbox,
    unpacker: Unpacker,
}

struct Task<'a> {
    replication: Weak<Replication>,
    shared: Arc<Shared>,
    partition: PartitionId,
    attempt: AttemptId,
    tenure: Tenure,
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
        let replication = self.replication()?;
        let values = replication.parts.config.load();
        let settings = settings::stream_settings(&values, start.source_timeout);
        let compression = match values.repl_compression {
            true => Compression::Zstd,
            false => Compression::None,
        };
        drop(values);
        let (from, history) = (start.from, start.history);
        let epoch = history.current().map(|epoch| epoch.id);
        let epoch = epoch.ok_or_else(|| Failure::new(ErrorKind::Protocol, "a history without an epoch"))?;
        let acks = blocking(|| {
            with_partition(&replication, &self.partition, |partition| {
                set_history(partition, self.tenure, history.clone(), from - 1)?;
                Ok(acks_of(partition))
            })
        })
        .await?;
        blocking(|| replication.roles.confirm(self.tenure, true)).await;
        let mut inbound = Inbound {
            receiver: Receiver::new(settings, from, history, acks, replication.now()),
            inbox: Inbox::default(),
            unpacker: Unpacker::default(),
        };
        let mut told = None;
        drop(replication);

        let (outbox, outgoing) = mpsc::channel(ACKS_MAX);
        let open = FollowerFrame::Open(Open {
            session: start.session,
            attempt: self.attempt,
            partition: self.partition.clone(),
            from,
            epoch,
            compression,
        });
        let _ = outbox.try_send(v1::FollowerFrame::from(open));
        let mut client = start.client;
        let opened = client.follow(ReceiverStream::new(outgoing)).await;
        let mut frames = opened.map_err(|status| transport::failure(&status))?.into_inner();
        loop {
            let replication = self.replication()?;
            let now = replication.now();
            if let Some(acks) = inbound.receiver.ack(now) {
                let frame = v1::FollowerFrame::from(FollowerFrame::Acks(acks));
                drop(replication);
                let sent = outbox.send(frame).await;
                sent.map_err(|_| Failure::new(ErrorKind::PeerClosed, "the stream is closed"))?;
            } else {
                drop(replication);
            }
            let sleep = inbound.receiver.ack_at().since(now);
            let frame = tokio::select! {
                frame = frames.message() => Some(frame),
                () = tokio::time::sleep(sleep) => None,
            };
            let replication = self.replication()?;
            match frame {
                Some(Ok(Some(frame))) => {
                    if told.is_none_or(|at| now.since(at) >= HEARD_INTERVAL) {
                        (self.heard)();
                        told = Some(now);
                    }
                    self.take(&replication, &mut inbound, frame.try_into()?).await?;
                }
                Some(Ok(None)) => return Err(Failure::new(ErrorKind::PeerClosed, "the source has ended the stream")),
                Some(Err(status)) => return Err(transport::failure(&status)),
                None => {}
            }
            let acks = with_partition(&replication, &self.partition, |partition| Ok(acks_of(partition)))?;
            inbound.receiver.progress(acks.durable, acks.applied);
            self.show(&replication, &inbound.receiver);
        }
    }

    fn replication(&self) -> Result<Arc<Replication>, Failure> {
        let replication = self
            .replication
            .upgrade()
            .filter(|replication| !replication.parts.stopping.is_asked());
        replication.ok_or_else(|| Failure::new(ErrorKind::PeerClosed, "this server stops"))
    }

    async fn take(&self, replication: &Replication, inbound: &mut Inbound, frame: SourceFrame) -> Result<(), Failure> {
        let Inbound {
            receiver,
            inbox,
            unpacker,
        } = inbound;
        let now = replication.now();
        receiver.source_end(now, frame.end.last, frame.end.unsent_bytes, frame.end.clock_ms);
        if frame.ack_wanted {
            receiver.ack_wanted();
        }
        if !matches!(frame.body, FrameBody::Part(_) | FrameBody::Batch(_)) {
            unpacker.no_part()?;
        }
        match frame.body {
            FrameBody::Part(entries) => unpacker.part(&entries),
            FrameBody::Keepalive { sent } => receiver.keepalive(sent),
            FrameBody::Closed(closed) => Err(closed.into()),
            FrameBody::Epoch { epoch, after } => match receiver.epoch(epoch, after)? {
                None => Ok(()),
                Some(history) => {
                    let (history, end) = (history.clone(), receiver.last());
                    let set = |partition: &Partition| set_history(partition, self.tenure, history, end);
                    blocking(|| with_partition(replication, &self.partition, set)).await
                }
            },
            FrameBody::Published(messages) => {
                // Who follows us gets them before their entries, too.
                messages
                    .iter()
                    .for_each(|message| replication.relay(message, || message.after));
                inbox.put(messages)?;
                let ready = inbox.take(receiver.last());
                if !ready.is_empty() {
                    with_partition(replication, &self.partition, |partition| {
                        partition.publish_replicated(ready);
                        Ok(())
                    })?;
                }
                inbox.check()
            }
            FrameBody::Batch(batch) => {
                let (first, last) = (batch.first, batch.last);
                let entries = unpacker.batch(batch)?;
                if let Verdict::Append { skip } = receiver.batch(first, last)? {
                    let messages = inbox.take(last.index);
                    let append = |partition: &Partition| append(partition, self.tenure, &entries, skip, messages);
                    blocking(|| with_partition(replication, &self.partition, append)).await?;
                    receiver.appended(last.index);
                }
                Ok(())
            }
        }
    }

    fn show(&self, replication: &Replication, receiver: &Receiver) {
        let now = replication.now();
        let clock_ms = replication
            .parts
            .partitions
            .of(&self.partition)
            .as_ref()
            .map_or(0, |data| data.applied_clock_us() / 1000);
        let mut status = self.shared.stream.lock();
        status.lag = receiver.lag(now, clock_ms);
        status.heard = now.since(Time::default());
    }
}

fn with_partition<R>(
    replication: &Replication,
    id: &PartitionId,
    work: impl FnOnce(&Partition) -> Result<R, Failure>,
) -> Result<R, Failure> {
    match &*replication.parts.partitions.of(id) {
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

fn set_history(partition: &Partition, tenure: Tenure, history: EpochHistory, end: u64) -> Result<(), Failure> {
    let outcome = partition.set_history(tenure, history, end);
    outcome.map_err(|error| {
        let kind = match &error {
            PartitionError::OtherRole => ErrorKind::PeerClosed,
            PartitionError::OtherLog { .. } => ErrorKind::OutOfOrder,
            _ => ErrorKind::Io,
        };
        Failure::new(kind, error.to_string())
    })
}

/// Appends a batch, and delivers messages that wait for its entries.
fn append(
    partition: &Partition,
    tenure: Tenure,
    entries: &Entries,
    skip: u64,
    messages: Vec<Message>,
) -> Result<(), Failure> {
    let outcome = partition.append_replicated(tenure, entries.iter().skip(skip as usize), messages);
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
