//! One replica of a group: entries, messages and time go in; appends, messages and commits come out.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use haypile_types::{Position, Random};
use raft::eraftpb::{Entry as RaftEntry, HardState, Message as RaftMessage, MessageType};
use raft::{Config, INVALID_ID, RawNode, StateRole};

use crate::election::Election;
use crate::entry::{Entry, change_of_members, is_change, timestamp_bytes};
use crate::error::{ConsensusError, NotLeader, ProposeMembersError};
use crate::lease::{Lease, Promise};
use crate::log::{Log, LogReader};
use crate::members::{MEMBERS_TAG, Members, MembersError};
use crate::message::{Message, ReplicaNumber};
use crate::settings::Settings;

/// Ticks of a leader without an answer from a quorum after which it leads no more: as many heartbeats as an election waits.
fn quorum_ticks(settings: &Settings) -> usize {
    (settings.election_us / settings.heartbeat_us).max(2) as usize
}

/// A change of members as raft's crate wants to see it proposed, protocol buffers of its own: it looks only whether there is any.
const CHANGES_SOMETHING: Bytes = Bytes::from_static(&[0x12, 0]);

/// What a replica must not forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ballot {
    /// The newest term that it knows. Durable before anything is said in it.
    pub term: u64,
    /// For whom it has voted in this term; 0 for nobody. Durable before the vote is given.
    pub vote: ReplicaNumber,
    /// Up to where entries are known to be committed. May be older than the truth.
    pub commit: u64,
}

impl Ballot {
    /// That of the same replica when its data is a checkpoint of what is committed up to `position`: it keeps its word, and knows of no
    /// earlier term than the checkpoint's.
    #[must_use]
    pub fn after(self, position: Position) -> Ballot {
        let is_new = position.term > self.term;
        Ballot {
            term: self.term.max(position.term),
            vote: if is_new { INVALID_ID } else { self.vote },
            commit: self.commit.max(position.index),
        }
    }
}

/// Whether a replica leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It follows this leader, or knows of none.
    Follower {
        /// Who leads.
        leader: Option<ReplicaNumber>,
    },
    /// It would lead.
    Candidate,
    /// It leads. It may write once its first entry is applied.
    Leader {
        /// The no-op with which it has begun.
        first: Position,
    },
}

/// What is on disk of a replica.
#[derive(Clone, Debug)]
pub struct Start {
    /// The ballot, as saved.
    pub ballot: Ballot,
    /// The entry before the first in the log, and then the first entry of each later term.
    pub terms: Vec<Position>,
    /// The last entry in the log.
    pub last: Position,
    /// Index of the last entry that the store has applied; all entries up to there are committed.
    pub applied: u64,
    /// Who belonged to the group after that entry.
    pub members: Members,
}

/// Something to be made durable, in this order. [`Group::persisted`] is told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// To be named when it is done, and all before it.
    pub number: u64,
    /// To be saved; and synced, whatever the policy, before the entries, if [`Work::must_sync_ballot`].
    pub ballot: Option<Ballot>,
    /// Its term or its vote is another one, or an entry says who belongs to the group: it must outlive the machine.
    pub must_sync_ballot: bool,
    /// Entries to be logged. If the log has entries from the first one's index on, these go first: another leader has decided
    /// otherwise.
    pub entries: Vec<Entry>,
}

/// What has come of what a group was told.
#[derive(Debug, Default)]
pub struct Outputs {
    /// To be carried out one after the other.
    pub work: VecDeque<Work>,
    /// To be sent, in any order, in whatever time it takes; they may be lost.
    pub messages: Vec<Message>,
    /// Entries that are committed, in order, to be applied.
    pub committed: Vec<Entry>,
}

/// A leader's log begins after what this replica has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Who leads: a checkpoint of its data is what this replica needs.
    pub leader: ReplicaNumber,
    /// In which term.
    pub term: u64,
}

/// Why a replica takes no part any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// A leader knows of entries that this replica has acknowledged and does not have: its data was taken away, or put back to what it
    /// was. Its votes could elect somebody who does not have them either.
    Forgetful,
    /// A checkpoint takes the place of its data, see [`Group::give_way`].
    Replaced,
    /// What its log says about the group's members cannot be read, or makes no sense: it would not know whose votes count.
    Unreadable,
}

/// Work that is not done yet.
struct UnderWay {
    number: u64,
    /// To be said then.
    held: Vec<RaftMessage>,
    /// Index of the last entry in it.
    last: Option<u64>,
}

/// One replica of a group.
pub struct Group<L: LogReader> {
    settings: Settings,
    raft: RawNode<Log<L>>,
    election: Election,
    promise: Promise,
    lease: Lease,
    /// When to let hear of itself as a leader.
    beat_at_us: u64,
    first_of_term: Position,
    vote: (u64, ReplicaNumber),
    /// Work that is under way, and what may be said when it is done.
    under_way: VecDeque<UnderWay>,
    applied: u64,
    /// Index of the last entry that is on disk.
    persisted: u64,
    /// It has been told of entries that it has had and has no more, or its data is about to be replaced.
    silent: Option<Silence>,
    /// Who has said in this term that its log begins after what this replica has.
    behind: Option<Behind>,
    /// Who belongs to the group, as far as it is applied; and what is committed of that and not applied.
    members: Arc<Members>,
    changes: VecDeque<(u64, Members)>,
    outputs: Outputs,
}

impl<L: LogReader> Group<L> {
    /// A replica as it is on disk, at `now_us`.
    ///
    /// # Errors
    /// Settings that are not safe, or a disk whose parts do not fit together.
    pub fn new(
        settings: Settings,
        start: Start,
        reader: L,
        now_us: u64,
        random: Box<dyn Random>,
    ) -> Result<Self, ConsensusError> {
        settings.check()?;
        let before = start.terms.first().copied().unwrap_or_default();
        // What is applied is committed, though that may not have been saved.
        let commit = start.ballot.commit.min(start.last.index).max(start.applied);
        if start.applied > start.last.index || start.applied < before.index {
            let Start { applied, last, .. } = start;
            return Err(ConsensusError::Start(format!(
                "the store has applied {applied}, and the log has {before} to {last}"
            )));
        }
        if start.ballot.term < start.last.term {
            let (term, last) = (start.ballot.term, start.last);
            return Err(ConsensusError::Start(format!(
                "the log ends at {last}, and its ballot is of term {term}"
            )));
        }
        let hard = HardState {
            term: start.ballot.term,
            vote: start.ballot.vote,
            commit,
            ..HardState::default()
        };
        let conf = start.members.conf_state();
        let config = Config {
            id: settings.replica,
            applied: start.applied,
            // One tick is one heartbeat of a leader; followers do not tick, see `election.rs`.
            heartbeat_tick: 1,
            election_tick: quorum_ticks(&settings),
            max_size_per_msg: settings.message_bytes_max,
            max_inflight_msgs: settings.inflight_messages_max,
            max_committed_size_per_ready: settings.message_bytes_max,
            check_quorum: true,
            pre_vote: true,
            // raft would join messages without a limit to their size.
            batch_append: false,
            skip_bcast_commit: true,
            ..Config::default()
        };
        let persisted = start.last.index;
        let log = Log::new(reader, start.terms, start.last, hard, conf);
        let silent = slog::Logger::root(slog::Discard, slog::o!());
        let raft = RawNode::new(&config, log, &silent).map_err(|error| ConsensusError::Start(error.to_string()))?;
        let promise = Promise::at_start(now_us, &settings);
        // Nobody else can have been promised anything. If that is not so any more, it is in the log, and known before it could lead.
        let is_alone = start.members.is_alone(settings.replica);
        let waits_until_us = if is_alone { now_us } else { promise.until_us() };
        let election = Election::at_start(waits_until_us, &settings, is_alone, random);
        Ok(Group {
            raft,
            election,
            promise,
            lease: Lease::default(),
            beat_at_us: 0,
            first_of_term: Position::ZERO,
            vote: (start.ballot.term, start.ballot.vote),
            under_way: VecDeque::new(),
            applied: start.applied,
            persisted,
            silent: None,
            behind: None,
            outputs: Outputs::default(),
            members: Arc::new(start.members),
            changes: VecDeque::new(),
            settings,
        })
    }

    /// Takes a message.
    pub fn step(&mut self, now_us: u64, message: Message) {
        if message.to() != self.settings.replica || message.from() == self.settings.replica || self.silent.is_some() {
            return;
        }
        if message.commits_beyond(self.last().index) && message.term() >= self.term() {
            self.silent = Some(Silence::Forgetful);
            return;
        }
        if message.asks_for_vote() && (!message.is_transfer() && self.is_bound(now_us) || !self.may_elect(&message)) {
            return;
        }
        let (from, term, round_us) = (message.from(), message.term(), message.round_us);
        let (is_leaders, is_followers) = (message.is_leaders(), message.is_followers());
        let (is_behind, takes_entries) = (message.behind, message.takes_entries());
        let on_disk = message.committed_on_disk();
        let message = match message.asks_for_vote() {
            true => message.without_rafts_lease(),
            false => message.raft,
        };
        // What cannot be used, raft ignores: an answer from who is no member any more.
        let _ = self.raft.step(message);
        if self.raft.raft.term == term {
            if is_leaders && self.raft.raft.leader_id == from {
                self.promise.renew(now_us, &self.settings, term, round_us);
                self.election.put_off(now_us, &self.settings);
                if is_behind || takes_entries {
                    self.behind = is_behind.then_some(Behind { leader: from, term });
                }
            } else if is_followers && self.leads() {
                if round_us > 0 {
                    self.lease.heard(from, round_us);
                }
                if let Some(index) = on_disk {
                    self.has_on_disk(from, index);
                }
            }
        }
        self.collect(now_us);
    }

    /// A follower has what is committed up to `index` on its disk. Whatever is committed is the same in the logs of all later leaders, so
    /// this needs no comparing: who has begun anew with a copied checkpoint goes on from there.
    fn has_on_disk(&mut self, from: ReplicaNumber, index: u64) {
        let raft = &self.raft.raft;
        let Some(progress) = raft.prs().get(from) else { return };
        // While it is found out where the logs part, beyond that entry, what it has applied would only take it back.
        let helps = progress.next_idx <= index + 1 || progress.next_idx <= raft.raft_log.store.before().index;
        if progress.matched < index && index <= self.last().index && helps {
            let message = RaftMessage {
                msg_type: MessageType::MsgAppendResponse,
                from,
                to: self.settings.replica,
                term: raft.term,
                index,
                commit: index,
                ..RaftMessage::default()
            };
            let _ = self.raft.step(message);
        }
        let matched = self.raft.raft.prs().get(from).map_or(0, |progress| progress.matched);
        let store = self.raft.mut_store();
        if matched >= store.before().index {
            // It has what the log goes on from, whatever it was told to be before this was known.
            store.take_behind(from);
        }
    }

    /// Why it takes no part in its group any more; `None` if it does.
    pub fn silence(&self) -> Option<Silence> {
        self.silent
    }

    /// The leader whose checkpoint this replica needs, because its log begins later than what this one has.
    pub fn behind(&self) -> Option<Behind> {
        self.behind.filter(|behind| {
            let raft = &self.raft.raft;
            raft.term == behind.term && raft.leader_id == behind.leader && self.silent.is_none()
        })
    }

    /// A checkpoint with the entries up to `position`, copied from the leader that `behind` names, is about to take the place of this replica's
    /// data: from here on it says nothing, so that it acknowledges and promises nothing that the new data does not have. False if the
    /// checkpoint is not needed: this replica is not behind that leader any more, or its log has the checkpoint's last entry.
    ///
    /// That entry is what this rests on. Whatever this replica has acknowledged to any leader, or counted as one, and that is or will be
    /// committed, this leader's log has as well, so if it is beyond the checkpoint the two logs are the same up to there. Nothing else need be
    /// remembered of acknowledgements, which a restart would forget. All entries in a checkpoint are committed: a log that has its last one
    /// goes on from there.
    pub fn give_way(&mut self, now_us: u64, behind: Behind, position: Position) -> bool {
        if self.behind() != Some(behind) {
            return false;
        }
        if position.index <= self.commit() {
            // If it is behind none the less, it will be told again.
            self.behind = None;
            return false;
        }
        let log = &mut self.raft.raft.raft_log;
        if log.store.term_of(position.index) == Some(position.term) {
            log.maybe_commit(position.index, position.term);
            self.behind = None;
            self.collect(now_us);
            return false;
        }
        self.silent = Some(Silence::Replaced);
        true
    }

    /// Time has passed.
    pub fn tick(&mut self, now_us: u64) {
        if now_us < self.next_tick_us() || self.silent.is_some() {
            return;
        }
        if self.leads() {
            self.beat_at_us = now_us + self.settings.heartbeat_us;
            self.raft.tick();
        } else {
            self.election.begun(now_us, &self.settings);
            if !self.votes() {
                return;
            }
            // It is refused while changes of members are to be applied, and tried again.
            let _ = self.raft.campaign();
        }
        self.collect(now_us);
    }

    /// When [`Group::tick`] has something to do; never, if this replica is silent.
    pub fn next_tick_us(&self) -> u64 {
        match self.leads() {
            _ if self.silent.is_some() => u64::MAX,
            true => self.beat_at_us,
            false if self.members.is_alone(self.settings.replica) => self.election.at_us(),
            false => self.election.at_us().max(self.promise.until_us()),
        }
    }

    /// A connection to this replica is broken, or was refused.
    pub fn lost(&mut self, now_us: u64, replica: ReplicaNumber) {
        if self.leads() {
            self.raft.report_unreachable(replica);
            self.collect(now_us);
        } else if self.raft.raft.leader_id == replica {
            self.election.leader_lost(now_us, self.promise.until_us());
        }
    }

    /// Proposes entries, which get the next indexes of this leader's term, in one message for each follower. Gives the last
    /// one's position.
    ///
    /// # Errors
    /// This replica does not lead.
    ///
    /// # Panics
    /// If there is a payload without a byte, or one that begins as those do which say who belongs to the group.
    pub fn propose(
        &mut self,
        now_us: u64,
        timestamp: u64,
        payloads: impl IntoIterator<Item = Bytes>,
    ) -> Result<Position, NotLeader> {
        if !self.leads() {
            return Err(NotLeader);
        }
        let context = timestamp_bytes(timestamp);
        let entry = |data: Bytes| {
            assert!(
                data.first().is_some_and(|first| *first != MEMBERS_TAG),
                "an entry of a command has effects, and says nothing about members"
            );
            RaftEntry {
                data,
                context: context.clone(),
                ..RaftEntry::default()
            }
        };
        let entries: Vec<_> = payloads.into_iter().map(entry).collect();
        if entries.is_empty() {
            return Ok(self.last());
        }
        self.propose_entries(now_us, entries)?;
        Ok(self.last())
    }

    fn propose_entries(&mut self, now_us: u64, entries: Vec<RaftEntry>) -> Result<(), NotLeader> {
        let message = RaftMessage {
            msg_type: MessageType::MsgPropose,
            from: self.settings.replica,
            entries: entries.into(),
            ..RaftMessage::default()
        };
        self.raft.step(message).map_err(|_| NotLeader)?;
        self.collect(now_us);
        Ok(())
    }

    /// The work up to this number is done.
    pub fn persisted(&mut self, now_us: u64, number: u64) {
        let mut done = 0;
        while self.under_way.front().is_some_and(|work| work.number <= number)
            && let Some(work) = self.under_way.pop_front()
        {
            done = work.number;
            if let Some(last) = work.last {
                self.persisted = last;
            }
            self.say(now_us, work.held);
        }
        if done > 0 {
            self.raft.on_persist_ready(done);
            self.trim();
        }
        self.collect(now_us);
    }

    /// The entries up to this index are applied.
    pub fn applied(&mut self, now_us: u64, index: u64) {
        if index > self.applied {
            while self.changes.front().is_some_and(|(at, _)| *at <= index)
                && let Some((_, members)) = self.changes.pop_front()
            {
                self.change_members(members);
            }
            self.applied = index;
            self.raft.advance_apply_to(index);
            self.trim();
            self.collect(now_us);
        }
    }

    /// An entry that says who belongs to the group is applied.
    fn change_members(&mut self, members: Members) {
        for step in members.steps_from(&self.members) {
            if let Err(error) = self.raft.apply_conf_change(&step) {
                // Nobody proposes what cannot be applied.
                tracing::error!(%error, ?members, "the members of the group cannot be changed as its log says: this replica falls silent");
                self.silent = Some(Silence::Unreadable);
                return;
            }
        }
        self.members = Arc::new(members);
    }

    /// Who belongs to the group.
    pub fn members(&self) -> &Arc<Members> {
        &self.members
    }

    /// True if a change of members waits to be committed or applied: no other can be proposed then.
    pub fn is_changing(&self) -> bool {
        self.raft.raft.has_pending_conf()
    }

    /// How many entries a member is known to be behind this leader's log, if it has been heard of lately; `None` if this replica does not lead.
    pub fn lag_of(&self, member: ReplicaNumber) -> Option<u64> {
        let progress = self.raft.raft.prs().get(member)?;
        let is_heard = self.leads() && progress.recent_active;
        is_heard.then(|| self.last().index.saturating_sub(progress.matched))
    }

    /// Proposes who belongs to the group from then on. To be made from [`Group::members`], by one of its methods. Gives the entry's position.
    ///
    /// # Errors
    /// This replica does not lead, or another change is under way.
    pub fn propose_members(
        &mut self,
        now_us: u64,
        timestamp: u64,
        members: &Members,
    ) -> Result<Position, ProposeMembersError> {
        if !self.leads() {
            return Err(NotLeader.into());
        }
        let is_noted = members.same_seats(&self.members);
        if self.is_changing() || is_noted && self.members.is_joint() {
            return Err(MembersError::UnderWay.into());
        }
        if members.voters().all(|voter| voter != self.settings.replica) {
            return Err(ProposeMembersError::Leads(self.settings.replica));
        }
        let progress = |voter: ReplicaNumber| self.raft.raft.prs().get(voter);
        let has_nothing = |voter: &ReplicaNumber| progress(*voter).is_none_or(|progress| progress.matched == 0);
        let is_new = |voter: &ReplicaNumber| self.members.voters().all(|before| before != *voter);
        // See `may_elect`: a group that needs such a vote would elect nobody any more.
        if let Some(voter) = members.voters().filter(is_new).find(has_nothing) {
            return Err(MembersError::HasNothing(voter).into());
        }
        let (voters, empty): (Vec<_>, Vec<_>) = (
            members.voters().collect(),
            members.voters().filter(has_nothing).collect(),
        );
        if let Some(voter) = empty.first().filter(|_| empty.len() * 2 >= voters.len()) {
            return Err(MembersError::HasNothing(*voter).into());
        }
        // Nothing of a change tells raft that the old voters go.
        let data = match self.members.is_joint() {
            true => Bytes::new(),
            false => CHANGES_SOMETHING,
        };
        let entry = change_of_members(timestamp, &members.payload(), data);
        self.propose_entries(now_us, vec![entry])?;
        Ok(self.last())
    }

    /// The log on disk begins after the entry with this index by now.
    pub fn collected(&mut self, before: u64) {
        self.raft.mut_store().collected(before);
    }

    /// Takes what has come of all since the last time.
    pub fn take(&mut self) -> Outputs {
        std::mem::take(&mut self.outputs)
    }

    /// What there is to be taken.
    pub fn outputs(&mut self) -> &mut Outputs {
        &mut self.outputs
    }

    /// Whether it leads, or whom it follows.
    pub fn role(&self) -> Role {
        let raft = &self.raft.raft;
        match raft.state {
            StateRole::Leader => Role::Leader {
                first: self.first_of_term,
            },
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            StateRole::Follower => Role::Follower {
                leader: (raft.leader_id != INVALID_ID).then_some(raft.leader_id),
            },
        }
    }

    /// The newest term it knows.
    pub fn term(&self) -> u64 {
        self.raft.raft.term
    }

    /// The last entry of its log, whether or not it is on disk.
    pub fn last(&self) -> Position {
        self.raft.raft.raft_log.store.last()
    }

    /// Up to where entries are known to be committed.
    pub fn commit(&self) -> u64 {
        self.raft.raft.raft_log.committed
    }

    /// The term in which this replica may write and read: it leads, and has applied the entry with which it began, so that it has
    /// applied everything that was acknowledged before.
    pub fn serves(&self) -> Option<u64> {
        match self.role() {
            Role::Leader { first } if self.applied >= first.index => Some(first.term),
            _ => None,
        }
    }

    /// Until when nobody else can have been elected, if this replica serves in this term; 0 if that is not known.
    ///
    /// A read is the newest state if its replica has served in a term *before* it, and the lease of the same term is held *after* it.
    pub fn lease_until_us(&self, term: u64) -> u64 {
        match self.serves() == Some(term) {
            true => self.lease.until_us(&self.settings, &self.members),
            false => 0,
        }
    }

    /// When this leader said the latest that a quorum has answered, if it serves in this term; 0 if that is not known. Nobody else had been
    /// elected when it said that, so a read that was made before is right, if it has served in this term before the read: Raft's ReadIndex
    /// without its index, because what is read is what is applied.
    pub fn confirmed_us(&self, term: u64) -> u64 {
        match self.serves() == Some(term) {
            true => self.lease.confirmed_us(self.settings.replica, &self.members),
            false => 0,
        }
    }

    /// Lets hear of itself at once, if it leads: a read waits to be confirmed. This is no tick: by those raft counts the time in which a leader
    /// has to hear from a quorum and may try to hand over, so that many hurried ones would end its office.
    pub fn hurry(&mut self, now_us: u64) {
        if self.leads() {
            self.raft.ping();
            self.collect(now_us);
        }
    }

    /// Index of the first entry that some follower may still need, as far as this leader knows; `None` if it does not lead.
    pub fn needed_from(&self) -> Option<u64> {
        let raft = &self.raft.raft;
        let matched = raft.prs().iter().map(|(_, progress)| progress.matched).min();
        self.leads().then(|| matched.unwrap_or(0) + 1)
    }

    /// Who could lead soonest if this leader went: the member that has the most of the log and has been heard of lately.
    pub fn successor(&self) -> Option<ReplicaNumber> {
        let raft = &self.raft.raft;
        let others = self.members.voters().filter(|other| *other != self.settings.replica);
        let progress = others.filter_map(|other| Some((raft.prs().get(other)?, other)));
        let alive = progress.filter(|(progress, _)| progress.recent_active);
        let best = alive.max_by_key(|(progress, other)| (progress.matched, *other));
        best.filter(|_| self.leads()).map(|(_, other)| other)
    }

    /// Hands the office over to another replica, which has to catch up first. Nothing can be proposed meanwhile.
    pub fn transfer(&mut self, now_us: u64, to: ReplicaNumber) {
        if self.leads() && to != self.settings.replica {
            // Before it is asked: it needs nobody's promise to end.
            self.lease.suspend();
            self.raft.transfer_leader(to);
            self.collect(now_us);
        }
    }

    fn ballot(&self) -> Ballot {
        let raft = &self.raft.raft;
        Ballot {
            term: raft.term,
            vote: raft.vote,
            commit: raft.raft_log.committed,
        }
    }

    fn leads(&self) -> bool {
        self.raft.raft.state == StateRole::Leader
    }

    fn votes(&self) -> bool {
        let this = self.settings.replica;
        let mut voters = self.members.voters().chain(self.members.voters_before());
        voters.any(|voter| voter == this)
    }

    /// A replica without a log may be one whose data was taken away: it helps to elect only somebody who has none either, as all have none when
    /// a group is founded.
    fn may_elect(&self, candidate: &Message) -> bool {
        self.last().index > 0 || candidate.log_end() == 0
    }

    /// True if this replica may vote for nobody: it leads, or has promised a leader not to.
    fn is_bound(&self, now_us: u64) -> bool {
        self.leads() || now_us < self.promise.until_us()
    }

    fn trim(&mut self) {
        let (index, bytes_max) = (self.applied.min(self.persisted), self.settings.tail_bytes_max);
        self.raft.mut_store().trim(index, bytes_max);
    }

    /// Gives messages out, stamped with what they say about leases.
    fn say(&mut self, now_us: u64, messages: Vec<RaftMessage>) {
        if self.silent.is_some() {
            return;
        }
        for raft in messages {
            let mut message = Message {
                raft,
                round_us: 0,
                behind: false,
            };
            if message.is_leaders() {
                message.round_us = now_us;
                // Who is sent entries is told nothing of the kind, whatever it was before.
                message.behind = self.raft.mut_store().take_behind(message.to()) && !message.takes_entries();
            } else if message.is_followers() {
                message.round_us = self.promise.round_us(message.term());
                if let Some(commit) = message.committed_on_disk() {
                    message.raft.commit = commit.min(self.persisted);
                }
            } else if message.grants_pre_vote() {
                // It is about to campaign, so this one need not.
                self.election.begun(now_us, &self.settings);
            }
            self.outputs.messages.push(message);
        }
    }

    /// Takes from raft what it has to say, and remembers what must come before it.
    fn collect(&mut self, now_us: u64) {
        while self.raft.has_ready() {
            let mut ready = self.raft.ready();
            let number = ready.number();
            if ready.ss().is_some() {
                self.changed_role(now_us);
            }
            let entries = ready.take_entries();
            if let Some(first) = entries.first()
                && self.leads()
                && self.first_of_term.term < self.raft.raft.term
            {
                assert!(
                    first.term == self.raft.raft.term && first.data.is_empty(),
                    "a leader begins its term with a no-op"
                );
                self.first_of_term = Position::new(first.term, first.index);
            }
            self.raft.mut_store().push(&entries);
            // A change of voters is logged when the one before is known to be committed, and that must not be forgotten by whoever has it: he
            // would count the votes of those who belonged to the group before both.
            let is_about_members = entries.iter().any(is_change);
            let hard = (ready.hs().is_some() || is_about_members).then(|| self.ballot());
            let has_new_vote = hard.is_some_and(|ballot| (ballot.term, ballot.vote) != self.vote);
            let must_sync_ballot = has_new_vote || is_about_members;
            if let Some(ballot) = hard {
                if has_new_vote && ballot.vote != INVALID_ID && ballot.vote != self.settings.replica {
                    self.election.put_off(now_us, &self.settings);
                }
                self.vote = (ballot.term, ballot.vote);
            }
            let messages = ready.take_messages();
            self.say(now_us, messages);
            let (at_once, held): (Vec<_>, Vec<_>) = ready
                .take_persisted_messages()
                .into_iter()
                // That a leader was heard of says nothing about the log: a slow disk must not look like a dead replica.
                .partition(|message| message.msg_type == MessageType::MsgHeartbeatResponse && !must_sync_ballot);
            self.say(now_us, at_once);
            let committed = ready.take_committed_entries();
            self.look_for_changes(&committed);
            self.raft.advance_append_async(ready);
            self.outputs
                .committed
                .extend(committed.into_iter().map(Entry::from_raft));
            if entries.is_empty() && !must_sync_ballot && self.under_way.is_empty() {
                self.say(now_us, held);
                self.raft.on_persist_ready(number);
            } else {
                if let Some(first) = entries.first() {
                    // What these replace counts as never written, also if that is still to be done.
                    let kept = first.index - 1;
                    self.persisted = self.persisted.min(kept);
                    let before = self.under_way.iter_mut().filter_map(|work| work.last.as_mut());
                    before.for_each(|last| *last = kept.min(*last));
                }
                self.under_way.push_back(UnderWay {
                    number,
                    held,
                    last: entries.last().map(|last| last.index),
                });
            }
            if !entries.is_empty() || hard.is_some() || !self.under_way.is_empty() {
                self.outputs.work.push_back(Work {
                    number,
                    ballot: hard,
                    must_sync_ballot,
                    entries: entries.into_iter().map(Entry::from_raft).collect(),
                });
            }
        }
    }

    /// Remembers what is committed of who belongs to the group, for when it is applied.
    fn look_for_changes(&mut self, committed: &[RaftEntry]) {
        for entry in committed.iter().filter(|entry| is_change(entry)) {
            match Members::of_payload(&Entry::from_raft(entry.clone()).payload) {
                Ok(members) => self.changes.push_back((entry.index, members)),
                Err(error) => {
                    tracing::error!(%error, index = entry.index, "an entry about the group's members cannot be read: this replica falls silent");
                    self.silent = Some(Silence::Unreadable);
                }
            }
        }
    }

    fn changed_role(&mut self, now_us: u64) {
        self.lease = Lease::default();
        self.raft.mut_store().forget_behind();
        if self.leads() {
            // It has just been heard of: the entry with which it begins goes out at once.
            self.beat_at_us = now_us + self.settings.heartbeat_us;
        }
    }
}
