//! The source's end of a stream: a thread that reads the log and sends what [`Sender`] says.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use haypile_oplog::{OplogError, Reader};
use haypile_sync::message::{Closed, FrameBody, Refusal, SourceEnd, SourceFrame};
use haypile_sync::source::{Acks, Holder};
use haypile_sync::stream::{Next, Sender};
use haypile_sync::wire::v1;
use haypile_sync::{Failure, NotReady, PartitionId, Time};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::mpsc;

use super::published::Outlet;
use crate::replication::Replication;
use crate::replication::transport::{Packer, cut};

/// What a stream's thread and the others share.
pub struct Sending {
    /// Whose log is sent.
    partition: PartitionId,
    sender: Mutex<Sender>,
    /// An ack has come, or the stream is to end.
    moved: Condvar,
    closed: Mutex<Option<Closed>>,
    /// Messages of pub/sub that go between the entries.
    pub(in crate::replication) outlet: Arc<Outlet>,
}

/// Waiting less than this is not worth it.
const WAIT_MIN: Duration = Duration::from_micros(50);
/// Frames that may wait for the connection.
pub(in crate::replication) const FRAMES_MAX: usize = 4;

type Frames = mpsc::Sender<Result<v1::SourceFrame, tonic::Status>>;

impl Sending {
    pub(in crate::replication) fn new(partition: PartitionId, sender: Sender, outlet: Arc<Outlet>) -> Arc<Sending> {
        Arc::new(Sending {
            partition,
            sender: Mutex::new(sender),
            moved: Condvar::new(),
            closed: Mutex::new(None),
            outlet,
        })
    }

    /// Ends the stream.
    pub(in crate::replication) fn close(&self, why: Refusal) {
        let mut closed = self.closed.lock();
        closed.get_or_insert(Closed::Refused(why));
        drop(closed);
        self.moved.notify_all();
    }

    /// Somebody waits for what this follower says.
    pub(in crate::replication) fn hurry(&self) {
        // Under the lock, so that the thread has either seen the reason or sleeps already.
        let _sender = self.sender.lock();
        self.moved.notify_all();
    }

    fn is_closed(&self) -> Option<Closed> {
        self.closed.lock().clone()
    }

    /// The follower confirmed.
    pub(in crate::replication) fn acked(&self, now: Time, acks: Acks) -> Result<(), Failure> {
        let outcome = self.sender.lock().acked(now, acks);
        self.moved.notify_all();
        outcome
    }

    /// Starts the thread.
    pub(in crate::replication) fn start(
        self: &Arc<Self>,
        replication: &Arc<Replication>,
        holder: Holder,
        reader: Reader,
        packer: Packer,
        frames: Frames,
    ) -> io::Result<()> {
        let (stream, replication) = (self.clone(), Arc::downgrade(replication));
        std::thread::Builder::new().name("sync-send".into()).spawn(move || {
            let end = stream.run(&replication, reader, packer, &frames);
            let Some(replication) = replication.upgrade() else { return };
            replication.source.stream_closed(replication.now(), holder, &stream);
            if let Some(closed) = end {
                tracing::info!(follower = %holder.node, reason = %Failure::from(closed.clone()), "a replica's stream ends");
                let frame = SourceFrame {
                    end: end_of(&replication, 0),
                    ack_wanted: false,
                    body: FrameBody::Closed(closed),
                };
                // Who is gone need not be told.
                let _ = frames.blocking_send(Ok(frame.into()));
            }
        })?;
        Ok(())
    }

    /// Sends until the end; `None` if the follower is gone.
    fn run(
        &self,
        replication: &Weak<Replication>,
        mut reader: Reader,
        mut packer: Packer,
        frames: &Frames,
    ) -> Option<Closed> {
        loop {
            if let Some(closed) = self.is_closed() {
                return Some(closed);
            }
            let Some(replication) = replication.upgrade() else {
                return Some(Closed::Refused(Refusal::UnknownSession));
            };
            let step = self.step(&replication, &mut reader, &mut packer);
            // Before the entries: the follower keeps them until theirs is there.
            let through = reader.next_index() - 1;
            if !self.send_published(&replication, &reader, frames) {
                return None;
            }
            let frame = match step {
                Ok(Step::Send(frame)) => frame,
                Ok(Step::Again) => continue,
                Ok(Step::AwaitTail(timeout)) => {
                    drop(replication);
                    reader.wait_or(timeout, || self.outlet.has(through));
                    continue;
                }
                Err(closed) => return Some(closed),
            };
            drop(replication);
            let SourceFrame { end, ack_wanted, body } = frame;
            for body in cut(body) {
                let frame = SourceFrame { end, ack_wanted, body };
                if frames.blocking_send(Ok(frame.into())).is_err() {
                    return None;
                }
            }
        }
    }

    /// Sends the messages that belong to entries which have been read; false if the follower is gone.
    fn send_published(&self, replication: &Replication, reader: &Reader, frames: &Frames) -> bool {
        let through = reader.next_index() - 1;
        loop {
            let messages = self.outlet.take(through);
            if messages.is_empty() {
                return true;
            }
            let last = replication
                .parts
                .partitions
                .of(&self.partition)
                .as_ref()
                .map_or(through, |data| data.syncer().safe_index());
            let unsent_bytes = reader.unread_bytes() + self.sender.lock().flying_bytes();
            let frame = SourceFrame {
                end: SourceEnd {
                    unsent_bytes,
                    ..end_of(replication, last)
                },
                ack_wanted: false,
                body: FrameBody::Published(messages),
            };
            if frames.blocking_send(Ok(frame.into())).is_err() {
                return false;
            }
        }
    }

    /// Makes the next frame, or waits for the follower if it has to catch up first.
    fn step(&self, replication: &Replication, reader: &mut Reader, packer: &mut Packer) -> Result<Step, Closed> {
        let now = replication.now();
        // The end first: a history that is newer does no harm.
        let (last, history) = match &*replication.parts.partitions.of(&self.partition) {
            Some(data) => (data.syncer().safe_index(), data.history()),
            None => return Err(Closed::Refused(Refusal::NotReady(NotReady::Loading))),
        };
        let mut sender = self.sender.lock();
        let hurry = !replication.waits.is_empty();
        let body = match sender.next(now, last, &history, hurry) {
            Next::Announce { epoch, after } => {
                sender.announced(now, epoch.id);
                FrameBody::Epoch { epoch, after }
            }
            Next::Read { from, to, bytes } => {
                let batch = MutexGuard::unlocked(&mut sender, || packer.read(reader, from, to, bytes));
                let batch = batch.map_err(|error| closed_by(&error))?;
                sender.sent(now, batch.last.index, batch.entries_bytes);
                FrameBody::Batch(batch)
            }
            Next::Keepalive { sent } => {
                sender.kept_alive(now);
                FrameBody::Keepalive { sent }
            }
            Next::Wait(until) => {
                let timeout = until.since(now).max(WAIT_MIN);
                if reader.next_index() > last {
                    return Ok(Step::AwaitTail(timeout));
                }
                // Not yet, or the window is closed.
                self.moved.wait_for(&mut sender, timeout);
                return Ok(Step::Again);
            }
            Next::End(failure) => return Err(Closed::OutOfOrder(failure.to_string())),
        };
        let unsent_bytes = reader.unread_bytes() + sender.flying_bytes();
        drop(sender);
        Ok(Step::Send(SourceFrame {
            end: SourceEnd {
                unsent_bytes,
                ..end_of(replication, last)
            },
            ack_wanted: hurry,
            body,
        }))
    }
}

/// What the thread does next.
enum Step {
    Send(SourceFrame),
    /// Look again.
    Again,
    /// Wait until the log has grown.
    AwaitTail(Duration),
}

fn end_of(replication: &Replication, last: u64) -> SourceEnd {
    SourceEnd {
        last,
        unsent_bytes: 0,
        clock_ms: replication.parts.clock.now_ms(),
    }
}

fn closed_by(error: &OplogError) -> Closed {
    match error {
        OplogError::Collected { wanted, first } => Closed::LogCollected {
            wanted: *wanted,
            first: *first,
        },
        OplogError::Diverged { .. } => Closed::OutOfOrder(error.to_string()),
        _ => Closed::Refused(Refusal::Internal(error.to_string())),
    }
}

/// The only frame of a stream that cannot be opened.
pub(in crate::replication) fn refused_frame(replication: &Replication, refusal: Refusal) -> v1::SourceFrame {
    let frame = SourceFrame {
        end: end_of(replication, 0),
        ack_wanted: false,
        body: FrameBody::Closed(Closed::Refused(refusal)),
    };
    frame.into()
}
