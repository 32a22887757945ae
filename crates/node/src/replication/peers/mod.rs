//! The members of a replica group: what they say to each other, and the thread on which this one listens.
//!
//! Each member asks each other one for what it has to say (`Peer` of the sync port), so there is one stream for each pair and direction.
//! A stream that breaks is news: the member at its other end may be dead. Messages may be lost; whatever does not fit is dropped.

mod links;
mod post;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use haypile_config::{Member, Values};
use haypile_consensus::{Message, ReplicaNumber, Settings};
use haypile_partition::{GroupOptions, Post};
use haypile_sync::NodeId;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

pub(in crate::replication) use links::{Asked, PeerStream};
use post::Outboxes;

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
    members: Vec<Member>,
    number: ReplicaNumber,
    in_doubt_after_us: u64,
    outboxes: Outboxes,
    events: SyncSender<Event>,
    inbox: Mutex<Option<Receiver<Event>>>,
    /// What is free of the inbox, KiB.
    room: Semaphore,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
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
            members,
            number,
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
        let voters = self.members.iter().map(|member| member.number).collect();
        GroupOptions {
            settings: Settings {
                message_bytes_max: MESSAGE_BYTES_MAX,
                ..Settings::new(self.number, voters)
            },
            random: Box::new(SplitMix64::from_system()),
            post: self.clone(),
            in_doubt_after_us: self.in_doubt_after_us,
        }
    }

    /// Where clients reach a member.
    pub(crate) fn address_of(&self, number: ReplicaNumber) -> Option<String> {
        let member = self.members.iter().find(|member| member.number == number);
        member.map(Member::address)
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
        let thread = std::thread::Builder::new()
            .name("group".into())
            .spawn(move || peers.listen(&inbox, &partitions))?;
        *self.thread.lock() = Some(thread);
        for member in self.members.iter().filter(|member| member.number != self.number) {
            runtime.spawn(links::ask(self.clone(), Arc::downgrade(replication), member.clone()));
        }
        Ok(())
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

    fn listen(&self, inbox: &Receiver<Event>, partitions: &Partitions) {
        let id = standalone_id();
        let mut wait = Duration::ZERO;
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
                Some(open) => self.attend(open, messages, lost),
                None => LOOK_EVERY,
            };
            self.room.add_permits(taken);
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

    /// Why a member that asks is refused.
    fn refuses(&self, asked: &Asked, own: NodeId) -> Option<String> {
        let ours = self.name();
        if asked.group != ours {
            return Some(format!("group-members differ: {} here, {} there", ours, asked.group));
        }
        if asked.to != self.number {
            return Some(format!(
                "this is member {}, and member {} was asked",
                self.number, asked.to
            ));
        }
        if asked.from == self.number || !self.has(asked.from) {
            return Some(format!("member {} asks member {} of {ours}", asked.from, self.number));
        }
        if asked.node == own {
            return Some(
                "both members have the same node id: one data directory is a copy of the other; remove its node-id and its \
                 partitions, and let it be filled again"
                    .into(),
            );
        }
        None
    }

    /// What both sides must have alike.
    fn name(&self) -> String {
        Member::list(&self.members)
    }

    fn has(&self, number: ReplicaNumber) -> bool {
        self.members.iter().any(|member| member.number == number)
    }
}
