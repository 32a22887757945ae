//! A partition whose entries are committed by a quorum: one replica of a group.
//!
//! `haypile-consensus` decides, and this carries out what it says. Who has the writer does all that must be in order: logs entries,
//! applies those that are committed, takes or leaves the leader's office ([`Shared::drive`]). Messages need not be in order, and are sent by
//! whoever has brought them about, so that heartbeats go on while the writer works.
//!
//! ```text
//!  a turn ends ─▶ propose ──┐                                   ┌─▶ messages to the other replicas, at once
//!  a message   ─▶ step   ───┼─▶ Group (its own lock) ──▶ outputs┤
//!  time        ─▶ tick   ───┘          ▲                        └─▶ under the writer: ballot, entries ─▶ log
//!                                      └─────── persisted ◀──────────────────┘        committed ─▶ store, replies
//! ```

mod ballot;
mod changing;
mod confirming;
mod driving;
mod reader;
mod undecided;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use haypile_consensus::{
    Ballot, Behind, Entry, Group, Members, Message, Outputs, ReplicaNumber, Role as GroupRole, Settings, Silence,
    Start, Work,
};
use haypile_oplog::Oplog;
use haypile_store::StoreState;
use haypile_types::{Position, Random};
use parking_lot::Mutex;

pub(crate) use self::ballot::BallotFile;
pub use self::changing::{Change, ChangeError};
use self::confirming::{Unconfirmed, Waiting};
use self::reader::DiskReader;
use self::undecided::CutOff;
use crate::PartitionError;
use crate::partition::{Partition, Shared};

/// Who carries messages to other replicas, and what else a replica needs from outside.
pub trait Post: Send + Sync {
    /// Sends messages; they may be lost.
    fn send(&self, messages: Vec<Message>);
    /// A time that goes on while the machine sleeps and is never set, microseconds (CLOCK_BOOTTIME).
    fn now_us(&self) -> u64;
    /// [`Partition::group_tick`] may be wanted earlier than was said.
    fn wake(&self);
}

/// What a partition needs to be a replica of a group.
pub struct GroupOptions {
    /// Which member it is, and how long what takes.
    pub settings: Settings,
    /// Who founds the group. It says itself who belongs to it as soon as it has said so.
    pub founders: Members,
    /// Random numbers for the times of elections.
    pub random: Box<dyn Random>,
    /// The way to the others.
    pub post: Arc<dyn Post>,
    /// After how long a client is told that the outcome of its write is not known.
    pub in_doubt_after_us: u64,
}

/// What a group is like, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Which replica this is.
    pub replica: ReplicaNumber,
    /// Who leads, if that is known.
    pub leader: Option<ReplicaNumber>,
    /// The newest term it knows.
    pub term: u64,
    /// Index up to which entries are known to be committed.
    pub commit: u64,
    /// True if it leads, writes and reads.
    pub serves: bool,
}

/// A replica of a group: what all threads share.
pub(crate) struct Replica {
    core: Mutex<Group<DiskReader>>,
    number: ReplicaNumber,
    /// The term in which it writes and reads; 0 if it does not. Changes only while the writer is held.
    serving: AtomicU64,
    /// For which term the lease is, and until when: see [`Replica::holds`].
    lease_term: AtomicU64,
    lease_until_us: AtomicU64,
    /// When it said the latest that a quorum has answered, in that term.
    confirmed_us: AtomicU64,
    /// Those who wait for that, see `confirming.rs`.
    waiting: Waiting,
    /// Something waits for the writer.
    wanted: AtomicBool,
    /// Something could not be written down, and is to be tried again.
    stalled: AtomicBool,
    /// The disk has failed, or there is a defect: it says nothing any more, so that others can lead.
    silent: AtomicBool,
    /// Work that is written and not synced: its number, and the last entry's index.
    unsynced: Mutex<VecDeque<(u64, u64)>>,
    post: Arc<dyn Post>,
    in_doubt_after_us: u64,
}

/// What only the holder of the writer touches.
pub(crate) struct Desk {
    ballot: BallotFile,
    /// The ballot, as far as it is known here, and when it was last written.
    known: Ballot,
    written_us: u64,
    /// What is still to be carried out: the disk was full, say.
    work: VecDeque<Work>,
    /// Turns that have only read, and wait to be confirmed.
    unconfirmed: Unconfirmed,
    /// Entries that are committed of the oldest turn, which ends later.
    halves: Vec<Entry>,
    /// Turns that another leader has cut off.
    undecided: Vec<CutOff>,
}

impl Replica {
    /// A replica with what is on disk of it.
    pub(crate) fn new(
        options: GroupOptions,
        ballot: (BallotFile, Ballot),
        oplog: &Oplog,
        store: &StoreState,
    ) -> Result<(Replica, Desk), PartitionError> {
        let applied = store.applied.index;
        let members = match &store.members {
            None => options.founders,
            Some(bytes) => Members::decode(bytes).map_err(|error| PartitionError::Group(error.to_string()))?,
        };
        let start = Start {
            ballot: ballot.1,
            terms: oplog.terms()?,
            last: oplog.last(),
            applied,
            members,
        };
        let number = options.settings.replica;
        let now_us = options.post.now_us();
        let reader = DiskReader::new(oplog.readers());
        let core = Group::new(options.settings, start, reader, now_us, options.random)
            .map_err(|error| PartitionError::Group(error.to_string()))?;
        let replica = Replica {
            core: Mutex::new(core),
            number,
            serving: AtomicU64::new(0),
            lease_term: AtomicU64::new(0),
            lease_until_us: AtomicU64::new(0),
            confirmed_us: AtomicU64::new(0),
            waiting: Waiting::default(),
            wanted: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            unsynced: Mutex::new(VecDeque::new()),
            post: options.post,
            in_doubt_after_us: options.in_doubt_after_us,
        };
        let desk = Desk {
            ballot: ballot.0,
            known: ballot.1,
            written_us: now_us,
            work: VecDeque::new(),
            unconfirmed: Unconfirmed::default(),
            halves: Vec::new(),
            undecided: Vec::new(),
        };
        Ok((replica, desk))
    }

    /// Has something happen to the group, and sends what it has to say. What else comes of it waits for the writer.
    pub(crate) fn with<R>(&self, event: impl FnOnce(&mut Group<DiskReader>, u64) -> R) -> R {
        let now_us = self.post.now_us();
        let mut core = self.core.lock();
        let tick_before = core.next_tick_us();
        let result = event(&mut core, now_us);
        let outputs = core.outputs();
        let messages = std::mem::take(&mut outputs.messages);
        if !outputs.work.is_empty() || !outputs.committed.is_empty() || core.serves().unwrap_or(0) != self.serving() {
            self.wanted.store(true, Ordering::SeqCst);
        }
        if self.tell_lease(&core) {
            self.wanted.store(true, Ordering::SeqCst);
        }
        let sooner = core.next_tick_us() < tick_before;
        if let Some(silence) = core.silence()
            && !self.silent.swap(true, Ordering::AcqRel)
            && silence == Silence::Forgetful
        {
            tracing::error!(
                member = self.number,
                "this member's data is older than what it has acknowledged, or gone: it takes no part in its group any more; add a member with \
                 an empty directory under the next number, and remove this one: GROUP ADD, GROUP REMOVE"
            );
        }
        drop(core);
        if !messages.is_empty() {
            self.post.send(messages);
        }
        if sooner {
            self.post.wake();
        }
        result
    }

    /// Takes what waits for the writer.
    fn take(&self) -> Outputs {
        self.wanted.store(false, Ordering::SeqCst);
        // Messages have been sent by whoever has brought them about.
        self.core.lock().take()
    }

    fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// The term in which it writes and reads; 0 if it does not.
    pub(crate) fn serving(&self) -> u64 {
        self.serving.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Has something happen to the group, and carries out what comes of it as soon as the writer is free.
    fn group_event<R>(&self, event: impl FnOnce(&mut Group<DiskReader>, u64) -> R) -> Option<R> {
        let replica = self.replica.as_ref().filter(|replica| !replica.is_silent())?;
        let result = replica.with(event);
        self.run_queued(false);
        Some(result)
    }
}

/// Of a partition that is a replica of a group.
impl Partition {
    /// True if it is one.
    pub fn is_in_group(&self) -> bool {
        self.shared.replica.is_some()
    }

    /// Takes messages from other replicas.
    pub fn group_step(&self, messages: Vec<Message>) {
        self.shared.group_event(|group, now_us| {
            for message in messages {
                group.step(now_us, message);
            }
        });
    }

    /// Time has passed.
    pub fn group_tick(&self) {
        self.shared.group_event(|group, now_us| group.tick(now_us));
        self.shared.tell_in_doubt();
    }

    /// When [`Partition::group_tick`] has something to do, by the clock of [`Post::now_us`]: never, if the replica has fallen silent.
    pub fn group_next_tick_us(&self) -> u64 {
        let replica = self.shared.replica.as_ref().filter(|replica| !replica.is_silent());
        replica.map_or(u64::MAX, |replica| replica.core.lock().next_tick_us())
    }

    /// A connection to this replica is broken.
    pub fn group_lost(&self, peer: ReplicaNumber) {
        self.shared.group_event(|group, now_us| group.lost(now_us, peer));
    }

    /// The leader whose checkpoint this replica needs: its log begins after what this one has.
    pub fn group_behind(&self) -> Option<Behind> {
        let replica = self.shared.replica.as_ref().filter(|replica| !replica.is_silent())?;
        replica.core.lock().behind()
    }

    /// A checkpoint with the entries up to `position`, copied from the leader that `behind` names, is about to take the place of this
    /// partition. True if it may: from here on this replica says nothing, and is to be closed.
    pub fn group_give_way(&self, behind: Behind, position: Position) -> bool {
        let gives_way = self
            .shared
            .group_event(|group, now_us| group.give_way(now_us, behind, position));
        gives_way.unwrap_or(false)
    }

    /// Hands the office of the leader to the replica that can take it soonest, if this one has it and there is another. It takes some
    /// round trips, in which nothing is written; [`Partition::serving_term`] says when it is over.
    pub fn group_hand_over(&self) -> bool {
        let handed = self.shared.group_event(|group, now_us| {
            let successor = group.successor();
            if let Some(successor) = successor {
                group.transfer(now_us, successor);
            }
            successor.is_some()
        });
        handed.unwrap_or(false)
    }

    /// What the group is like.
    pub fn group_view(&self) -> Option<GroupView> {
        let replica = self.shared.replica.as_ref()?;
        let core = replica.core.lock();
        let leader = match core.role() {
            GroupRole::Leader { .. } => Some(replica.number),
            GroupRole::Follower { leader } => leader,
            GroupRole::Candidate => None,
        };
        Some(GroupView {
            replica: replica.number,
            leader,
            term: core.term(),
            commit: core.commit(),
            serves: replica.serving() > 0,
        })
    }

    /// The term in which this replica reads and writes; `None` if it does not. To be asked *before* a read; a partition that is in
    /// no group always does.
    pub fn serving_term(&self) -> Option<u64> {
        match &self.shared.replica {
            None => Some(0),
            Some(replica) => Some(replica.serving()).filter(|term| *term > 0),
        }
    }
}
