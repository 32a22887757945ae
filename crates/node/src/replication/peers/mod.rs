//! The members of a replica group: what they say to each other, and the thread on which this one listens.
//!
//! Each member asks each other one for what it has to say (`Peer` of the sync port), so there is one stream for each pair and direction.
//! A stream that breaks is news: the member at its other end may be dead. Messages may be lost; whatever does not fit is dropped.

mod group_id;
mod links;
mod post;
mod who;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use haypile_config::Values;
use haypile_consensus::{MembersError, Message, ReplicaNumber, Settings};
use haypile_partition::{Change, ChangeError, GroupOptions, Post};
use haypile_types::Random;
use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

pub(in crate::replication) use links::PeerStream;
use post::Outboxes;
use who::Who;

use crate::partitions::{OpenPartition, Partitions, standalone_id};
use crate::random::SplitMix64;
use crate::replication::Replication;

/// Messages that wait for the thread. More are dropped: whoever has sent them sends others.
const EVENTS_MAX: usize = 4096;
/// How much of messages may wait for the thread, KiB: who brings more waits.
const INBOX_KIB: usize = 64 << 10;
/// Bytes of entries in one message, unless one alone has more. Below what a frame may have.
const MESSAGE_BYTES_MAX: u64 = 512 << 10;
/// How long a leader that stops waits for another one.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked at who belongs to the group.
const MEMBERS_EVERY: Duration = Duration::from_millis(20);
/// The longest pause between two looks at the time.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Members that make no group.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// It is not among them.
    #[error("group-member is {0}, and group-members has no such number")]
    NotAMember(u64),
    /// It has no sync port.
    #[error("sync-port is 0: the members of a group speak with each other there")]
    NoPort,
    /// What the directory remembers of the group.
    #[error("of which group the directory is cannot be read: {0}")]
    Dir(#[from] std::io::Error),
}

/// What the members' tasks run in.
struct Around {
    runtime: Handle,
    replication: Weak<Replication>,
}

/// Something for the thread.
enum Event {
    /// Messages, and how much of the inbox they take, KiB.
    Messages(Vec<Message>, usize),
    Lost(ReplicaNumber),
    Wake,
    Stop,
}

/// The other members, as this one knows them.
pub(crate) struct Peers {
    who: Who,
    in_doubt_after_us: u64,
    outboxes: Outboxes,
    events: SyncSender<Event>,
    inbox: Mutex<Option<Receiver<Event>>>,
    /// What is free of the inbox, KiB.
    room: Semaphore,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// The members that are asked for what they have to say, and where.
    asking: Mutex<BTreeMap<ReplicaNumber, (String, AbortHandle)>>,
}

impl Peers {
    /// The group that the configuration names; `None` if it names none.
    ///
    /// # Errors
    /// It names one that cannot be.
    pub(crate) fn new(values: &Values, sync_port: u16) -> Result<Option<Arc<Peers>>, PeersError> {
        let members = values.group_members.clone();
        if members.is_empty() {
            return Ok(None);
        }
        let number = values.group_member;
        if !members.iter().any(|member| member.number == number) {
            return Err(PeersError::NotAMember(number));
        }
        if sync_port == 0 {
            return Err(PeersError::NoPort);
        }
        let (events, inbox) = sync_channel(EVENTS_MAX);
        Ok(Some(Arc::new(Peers {
            who: Who::new(number, members, &values.dir)?,
            asking: Mutex::new(BTreeMap::new()),
            in_doubt_after_us: values.group_in_doubt_ms * 1000,
            outboxes: Outboxes::default(),
            events,
            inbox: Mutex::new(Some(inbox)),
            room: Semaphore::new(INBOX_KIB),
            thread: Mutex::new(None),
        })))
    }

    /// What a partition needs to be a replica of the group.
    pub(crate) fn group_options(self: &Arc<Self>) -> GroupOptions {
        GroupOptions {
            settings: Settings {
                message_bytes_max: MESSAGE_BYTES_MAX,
                ..Settings::new(self.who.number())
            },
            founders: self.who.members().as_ref().clone(),
            random: Box::new(SplitMix64::from_system()),
            post: self.clone(),
            in_doubt_after_us: self.in_doubt_after_us,
        }
    }

    /// Where clients reach a member.
    pub(crate) fn address_of(&self, number: ReplicaNumber) -> Option<String> {
        self.who.address_of(number)
    }

    /// Begins to listen and to ask the others.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(
        self: &Arc<Self>,
        runtime: &Runtime,
        replication: &Arc<Replication>,
        partitions: &Arc<Partitions>,
    ) -> std::io::Result<()> {
        let Some(inbox) = self.inbox.lock().take() else {
            return Ok(());
        };
        let (peers, partitions) = (self.clone(), partitions.clone());
        let around = Around {
            runtime: runtime.handle().clone(),
            replication: Arc::downgrade(replication),
        };
        self.ask_members(&around);
        let thread = std::thread::Builder::new()
            .name("group".into())
            .spawn(move || peers.listen(&inbox, &partitions, &around))?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Asks all others that belong to the group, as far as that is known, where they are, and nobody else.
    fn ask_members(self: &Arc<Self>, around: &Around) {
        let others = self.who.others();
        let asking = &mut *self.asking.lock();
        asking.retain(|number, (address, task)| {
            let stays = others.get(number) == Some(address);
            if !stays {
                task.abort();
            }
            stays
        });
        for (number, address) in &others {
            asking.entry(*number).or_insert_with(|| {
                let (replication, address) = (around.replication.clone(), address.clone());
                let task = links::ask(self.clone(), replication, *number, address.clone());
                (address, around.runtime.spawn(task).abort_handle())
            });
        }
        self.outboxes.keep(|number| others.contains_key(&number));
    }

    /// Hands the office of the leader over, if this member has it, and ends the thread.
    pub(super) fn stop(&self, partitions: &Partitions) {
        for open in partitions.all_open() {
            let until = Instant::now() + HAND_OVER_WITHIN;
            if open.group_hand_over() {
                while open.serving_term().is_some() && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        let _ = self.events.send(Event::Stop);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the replica group has panicked");
        }
    }

    fn listen(self: &Arc<Self>, inbox: &Receiver<Event>, partitions: &Partitions, around: &Around) {
        let id = standalone_id();
        let mut wait = Duration::ZERO;
        let mut looked = None;
        loop {
            let (mut messages, mut taken) = (Vec::new(), 0);
            let mut lost = Vec::new();
            let first = match inbox.recv_timeout(wait) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            for event in first.into_iter().chain(inbox.try_iter()) {
                match event {
                    Event::Messages(more, room) => {
                        messages.extend(more);
                        taken += room;
                    }
                    Event::Lost(number) => lost.push(number),
                    Event::Wake => {}
                    Event::Stop => return,
                }
            }
            wait = match &*partitions.of(&id) {
                Some(open) => {
                    let wait = self.attend(open, messages, lost);
                    if looked.is_none_or(|looked: Instant| looked.elapsed() >= MEMBERS_EVERY) {
                        looked = Some(Instant::now());
                        self.see_to_members(open, around);
                    }
                    wait
                }
                None => LOOK_EVERY,
            };
            self.room.add_permits(taken);
        }
    }

    /// Learns who belongs to the group, and has a change that is under way go on; has the data replaced if it is behind the leader's log.
    fn see_to_members(self: &Arc<Self>, open: &OpenPartition, around: &Around) {
        if let Some(members) = open.group_members() {
            self.who.learn(&members, open.replica_id().0);
        }
        self.ask_members(around);
        if open.serving_term().is_some() {
            self.name_members(open);
            open.group_go_on_changing();
        }
        if let Some(behind) = open.group_behind()
            && let Some(address) = self.address_of(behind.leader)
            && let Some(replication) = around.replication.upgrade()
        {
            replication.follower.fill(address, behind);
        }
    }

    /// Has the group agree on its name, and on which replicas its members are, as far as they have been met.
    fn name_members(&self, open: &OpenPartition) {
        let replicas = self.who.unbound();
        if replicas.is_empty() {
            return;
        }
        let mut random = SplitMix64::from_system();
        let group = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        match open.group_change(&Change::Met { group, replicas }) {
            // It is tried again.
            Ok(()) | Err(ChangeError::NotLeader(_) | ChangeError::Members(MembersError::UnderWay)) => {}
            Err(error) => tracing::warn!(%error, "the group cannot agree on which replicas its members are"),
        }
    }

    /// Lets a partition know what has happened; gives how long nothing need happen then.
    fn attend(&self, open: &OpenPartition, messages: Vec<Message>, lost: Vec<ReplicaNumber>) -> Duration {
        if !messages.is_empty() {
            open.group_step(messages);
        }
        lost.into_iter().for_each(|number| open.group_lost(number));
        open.group_tick();
        let next = open.group_next_tick_us().saturating_sub(self.now_us());
        Duration::from_micros(next).min(LOOK_EVERY)
    }

    fn tell(&self, event: Event) {
        // A full queue means that there is enough to do.
        if let Err(
            TrySendError::Full(Event::Messages(_, room)) | TrySendError::Disconnected(Event::Messages(_, room)),
        ) = self.events.try_send(event)
        {
            self.room.add_permits(room);
        }
    }
}
