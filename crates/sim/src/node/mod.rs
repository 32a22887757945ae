//! A fake server: a disk, and while it runs the real machines, driven as the real drivers drive them.

mod follower;
mod source;

use std::time::Duration;

use haypile_sync::message::{Layout, TrySyncReply};
use haypile_sync::role::RoleMachine;
use haypile_sync::{EpochId, Incarnation, LocalPosition, NodeId, PartitionId, SnapshotId, Tenure, Time, Transition};

use crate::disk::{Disk, Entry};
use crate::message::{Message, StreamId};
use crate::rng::Rng;
use crate::settings::Times;
use crate::{Address, Place};

use follower::FollowerSide;
pub use follower::LocalStep;
use source::SourceSide;

/// A running process, at a place: what connections are between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it runs.
    pub place: Place,
    /// Which run.
    pub incarnation: Incarnation,
}

/// What a node wants from its world.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a message to a process.
    Send(Peer, Message),
    /// Send `Dial` to whoever has this address.
    Dial(Address, Message),
    /// Give the event back after some time.
    After(Duration, LocalEvent),
    /// Something for the checks and the trace.
    Note(Note),
}

/// What takes its time within a node.
#[derive(Clone, Debug)]
pub enum LocalEvent {
    /// The follower's side hears of a role.
    Role(Option<Address>, Tenure),
    /// A step of the follower's side is done.
    Follower(LocalStep),
    /// A checkpoint is made.
    CheckpointMade(SnapshotId),
}

/// What the checks want to know.
#[derive(Clone, Debug)]
pub enum Note {
    /// For the trace.
    Trace(String),
    /// A machine went into its error state, for a reason of this kind.
    Failed(&'static str),
    /// A source answered this process, which was at this position, so.
    Answered {
        follower: Peer,
        position: LocalPosition,
        reply: TrySyncReply,
    },
    /// A source took this acknowledgement of this process, for this stream.
    Acked {
        follower: Peer,
        stream: StreamId,
        durable: u64,
        applied: u64,
    },
    /// A checkpoint was installed.
    Installed,
}

/// What a node gets at each step.
pub struct Context<'a> {
    /// Now.
    pub now: Time,
    /// Chance.
    pub rng: &'a mut Rng,
    /// What it wants.
    pub effects: Vec<Effect>,
    /// All times.
    pub times: &'a Times,
}

impl Context<'_> {
    fn send(&mut self, to: Peer, message: Message) {
        self.effects.push(Effect::Send(to, message));
    }

    fn transition<S: std::fmt::Display>(&mut self, machine: &str, transition: Transition<S>) {
        let Transition {
            from,
            to,
            reason,
            error,
            ..
        } = transition;
        let text = format!("{machine} {from} -> {to}: {reason}");
        match error {
            Some(error) => {
                self.note(Note::Trace(format!("{text} ({error})")));
                self.note(Note::Failed(error.kind.name()));
            }
            None => self.note(Note::Trace(text)),
        }
    }

    fn note(&mut self, note: Note) {
        self.effects.push(Effect::Note(note));
    }
}

/// A fake server.
pub struct Node {
    /// Who it is, over all its runs.
    pub id: NodeId,
    /// Where it is.
    pub place: Place,
    /// What it keeps.
    pub disk: Disk,
    /// The process, while it runs.
    pub process: Option<Process>,
}

/// What a node loses in a crash.
pub struct Process {
    /// Which run.
    pub incarnation: Incarnation,
    /// The machines that follow.
    pub follower: FollowerSide,
    /// The source's bookkeeping.
    pub source: SourceSide,
}

/// The one partition that all nodes have.
pub fn partition() -> PartitionId {
    PartitionId {
        table: "0".into(),
        number: 0,
    }
}

fn layout() -> Layout {
    Layout {
        partition: partition(),
        slot_first: 0,
        slot_last: 16383,
        format: 1,
    }
}

impl Node {
    /// A node that does not run yet.
    pub fn new(place: Place, id: NodeId, following: Option<Address>) -> Self {
        Node {
            id,
            place,
            disk: Disk::new(following),
            process: None,
        }
    }

    /// The present run.
    pub fn peer(&self) -> Option<Peer> {
        let process = self.process.as_ref()?;
        Some(Peer {
            place: self.place,
            incarnation: process.incarnation,
        })
    }

    /// Starts the process. A writer begins an epoch if it has none, or may have lost the end of its log.
    pub fn start(&mut self, cx: &mut Context<'_>, may_have_lost: bool) {
        let incarnation = Incarnation(rand_u64(cx.rng));
        if self.disk.following.is_none() && (may_have_lost || self.disk.history.current().is_none()) {
            let last = self.disk.last();
            self.disk.history.begin_at_start(EpochId(cx.rng.id()), last);
        }
        let follower = FollowerSide::new(self.id, incarnation, cx);
        let source = SourceSide::new(self.id, incarnation, cx);
        self.disk.tenure = RoleMachine::FIRST;
        self.process = Some(Process {
            incarnation,
            follower,
            source,
        });
        let role = LocalEvent::Role(self.disk.following, self.disk.tenure);
        self.local(cx, role);
    }

    /// Stops the process and loses what was not durable.
    pub fn crash(&mut self, rng: &mut Rng) {
        self.process = None;
        self.disk.crash();
        // What was copied and not synced may be anything.
        for bytes in self.disk.incoming.values_mut() {
            if rng.chance(300) && !bytes.is_empty() {
                let at = rng.between(0, bytes.len() as u64 - 1) as usize;
                bytes[at] ^= 0x55;
            }
        }
    }

    fn begin_epoch(&mut self, rng: &mut Rng) {
        let last = self.disk.last();
        self.disk.history.begin(EpochId(rng.id()), last);
    }

    /// REPLICAOF address.
    pub fn follow(&mut self, cx: &mut Context<'_>, address: Address) {
        self.disk.following = Some(address);
        self.begin_tenure(cx);
    }

    /// The partition has its role at once; the follower's side hears of it a little later, and acts for the one before until then.
    fn begin_tenure(&mut self, cx: &mut Context<'_>) {
        self.disk.tenure.0 += 1;
        let role = LocalEvent::Role(self.disk.following, self.disk.tenure);
        if self.process.is_none() {
            return;
        }
        cx.effects.push(Effect::After(cx.rng.millis(0, 30), role));
    }

    /// REPLICAOF NO ONE. What was installing is let finish first by the driver; here it has just no effect any more.
    pub fn promote(&mut self, cx: &mut Context<'_>) {
        if self.disk.following.take().is_none() {
            return;
        }
        self.begin_tenure(cx);
        // A new epoch must not stand after entries that a crash could take away.
        self.disk.durable = self.disk.last();
        self.begin_epoch(cx.rng);
        self.log_changed(cx);
    }

    /// A client's writes.
    pub fn write(&mut self, cx: &mut Context<'_>, values: impl Iterator<Item = u64>, durably: bool) {
        let Some(epoch) = self.disk.history.current() else {
            return;
        };
        let term = epoch.term;
        self.disk.data.extend(values.map(|value| Entry { term, value }));
        if durably {
            self.disk.durable = self.disk.last();
        }
        self.log_changed(cx);
    }

    /// The log's fsync.
    pub fn fsync(&mut self, cx: &mut Context<'_>) {
        self.disk.durable = self.disk.last();
        self.with_process(cx, |process, disk, cx| process.follower.log_changed(disk, cx));
    }

    /// Collects the log down to `keep` entries, and to what followers need within `cap` entries.
    pub fn collect(&mut self, cx: &mut Context<'_>, keep: u64, cap: u64) {
        let first_kept = (self.disk.last() + 1).saturating_sub(cap).max(1);
        let Some(process) = &mut self.process else { return };
        let needed = process.source.log_needed_from(cx.now, first_kept);
        let mut first = (self.disk.last() + 1).saturating_sub(keep).min(self.disk.durable + 1);
        first = first
            .min(needed.unwrap_or(first))
            .max(first_kept.min(self.disk.durable + 1));
        self.disk.log_first = self.disk.log_first.max(first);
    }

    /// A message has come.
    pub fn receive(&mut self, cx: &mut Context<'_>, from: Peer, message: Message) {
        use Message as M;
        self.with_process(cx, |process, disk, cx| match message {
            M::Dialed { .. }
            | M::Reset
            | M::MetaSyncReply { .. }
            | M::HeartbeatReply { .. }
            | M::TrySyncReply { .. }
            | M::Manifest { .. }
            | M::Chunk { .. }
            | M::Frame { .. } => process.follower.receive(disk, cx, from, message),
            M::Closed { stream, ref failure } => {
                process.source.closed(cx.now, stream);
                process.follower.closed(disk, cx, stream, failure.clone());
            }
            _ => process.source.receive(disk, cx, from, message),
        });
        self.log_changed(cx);
    }

    /// A local step is done.
    pub fn local(&mut self, cx: &mut Context<'_>, event: LocalEvent) {
        let replaced = self.with_process(cx, |process, disk, cx| match event {
            LocalEvent::Role(following, tenure) => {
                process.follower.hear_role(disk, cx, following, tenure);
                false
            }
            LocalEvent::Follower(step) => process.follower.local(disk, cx, step),
            LocalEvent::CheckpointMade(id) => {
                process.source.checkpoint_made(disk, cx, id);
                false
            }
        });
        if replaced == Some(true) {
            self.with_process(cx, |process, _, cx| process.source.data_replaced(cx));
        }
        self.log_changed(cx);
    }

    /// A deadline has come.
    pub fn tick(&mut self, cx: &mut Context<'_>) {
        self.with_process(cx, |process, disk, cx| {
            process.follower.tick(disk, cx);
            process.source.tick(disk, cx);
        });
        self.log_changed(cx);
    }

    fn log_changed(&mut self, cx: &mut Context<'_>) {
        self.with_process(cx, |process, disk, cx| {
            process.follower.log_changed(disk, cx);
            process.source.pump(disk, cx);
        });
    }

    fn with_process<R>(
        &mut self,
        cx: &mut Context<'_>,
        run: impl FnOnce(&mut Process, &mut Disk, &mut Context<'_>) -> R,
    ) -> Option<R> {
        Some(run(self.process.as_mut()?, &mut self.disk, cx))
    }

    /// When it wants a tick.
    pub fn deadline(&self) -> Option<Time> {
        let process = self.process.as_ref()?;
        let deadlines = [process.follower.deadline(), process.source.deadline()];
        deadlines.into_iter().flatten().min()
    }
}

fn rand_u64(rng: &mut Rng) -> u64 {
    haypile_types::Random::next_u64(rng)
}
