//! Who belongs to a group, and in which capacity. It is part of what the group agrees on: an entry of its log says it whole.
//!
//! A change of voters goes through a *joint* configuration (Ongaro and Ousterhout, 6): majorities of the old and of the new voters decide
//! together until that is committed. A new member begins as a learner, which gets everything and decides nothing.

use std::fmt;

use prost::Message as _;
use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState};

use crate::message::ReplicaNumber;

/// The first byte of an entry's payload that says who belongs to the group. No effect of a command begins with it.
pub const MEMBERS_TAG: u8 = 0x0c;

/// Most members that a group may have, learners and those who leave included.
pub const MEMBERS_MAX: usize = 16;
/// How far a new member's number may be from the next one: those in between are never used.
const NUMBERS_AHEAD: ReplicaNumber = 100;
/// Longest address of a member, bytes.
pub const ADDRESS_BYTES_MAX: usize = 255;

/// What a member is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seat {
    /// It votes.
    Voter,
    /// It votes among the new voters of a joint configuration.
    Joining,
    /// It votes among the old voters of a joint configuration, and is gone after it.
    Leaving,
    /// It gets everything and does not vote.
    Learner,
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Seat::Voter => "voter",
            Seat::Joining => "joining",
            Seat::Leaving => "leaving",
            Seat::Learner => "learner",
        })
    }
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number, which nobody gets who comes after it.
    pub number: ReplicaNumber,
    /// Which replica it is, so that nobody else can come under its number; 0 until the group has met it.
    pub id: u128,
    /// Where it is reached.
    pub address: String,
    /// What it is.
    pub seat: Seat,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Which group it is; 0 until the group has agreed on it.
    pub group: u128,
    /// The lowest number that nobody has had.
    next: ReplicaNumber,
    /// By number.
    list: Vec<Member>,
}

/// Why members cannot be changed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// Another change is under way.
    #[error("another change of the group's members is under way")]
    UnderWay,
    /// There is no such member, or it is not what it would have to be.
    #[error("{0} is no {1} of this group")]
    NotA(ReplicaNumber, &'static str),
    /// A number that is taken, or has been, or is far from the next one.
    #[error("numbers of members are used once: the next is {0}")]
    NumberUsed(ReplicaNumber),
    /// Another member is reached there.
    #[error("member {0} has this address")]
    AddressTaken(ReplicaNumber),
    /// Its vote would be needed, and without a log it gives none.
    #[error("member {0} has nothing of the group's log yet: it cannot vote")]
    HasNothing(ReplicaNumber),
    /// Nobody would be left.
    #[error("a group needs a voter")]
    NobodyLeft,
    /// More than [`MEMBERS_MAX`].
    #[error("a group has {MEMBERS_MAX} members at most")]
    TooMany,
    /// Longer than [`ADDRESS_BYTES_MAX`], or none.
    #[error("an address has 1 to {ADDRESS_BYTES_MAX} bytes")]
    Address,
    /// Another replica has been met under this number.
    #[error("member {0} is another replica")]
    OtherReplica(ReplicaNumber),
    /// Bytes that say nothing about members.
    #[error("what the log says about members cannot be read: {0}")]
    Unreadable(String),
}

impl Members {
    /// Those who found a group: all of them vote.
    pub fn founding(members: impl IntoIterator<Item = (ReplicaNumber, String)>) -> Self {
        let mut list: Vec<_> = members
            .into_iter()
            .map(|(number, address)| Member {
                number,
                id: 0,
                address,
                seat: Seat::Voter,
            })
            .collect();
        list.sort_by_key(|member| member.number);
        Members {
            group: 0,
            next: list.last().map_or(1, |last| last.number + 1),
            list,
        }
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.list.iter()
    }

    /// The one with this number.
    pub fn get(&self, number: ReplicaNumber) -> Option<&Member> {
        self.list.iter().find(|member| member.number == number)
    }

    /// The one that is this replica.
    pub fn of_replica(&self, id: u128) -> Option<&Member> {
        self.list.iter().find(|member| member.id == id && id != 0)
    }

    /// The lowest number that nobody has had.
    pub fn next_number(&self) -> ReplicaNumber {
        self.next
    }

    /// True between the two steps of a change of voters.
    pub fn is_joint(&self) -> bool {
        self.list
            .iter()
            .any(|member| matches!(member.seat, Seat::Joining | Seat::Leaving))
    }

    /// Those who vote once a change that is under way is over.
    pub fn voters(&self) -> impl Iterator<Item = ReplicaNumber> {
        self.with_seats(&[Seat::Voter, Seat::Joining])
    }

    /// Those who voted before it; nobody if none is under way.
    pub fn voters_before(&self) -> impl Iterator<Item = ReplicaNumber> {
        let seats: &[Seat] = if self.is_joint() {
            &[Seat::Voter, Seat::Leaving]
        } else {
            &[]
        };
        self.with_seats(seats)
    }

    fn with_seats(&self, seats: &[Seat]) -> impl Iterator<Item = ReplicaNumber> {
        let wanted = self.list.iter().filter(move |member| seats.contains(&member.seat));
        wanted.map(|member| member.number)
    }

    /// True if nobody but this one votes.
    pub(crate) fn is_alone(&self, number: ReplicaNumber) -> bool {
        self.voters().chain(self.voters_before()).all(|voter| voter == number) && self.voters().next().is_some()
    }

    /// A new learner.
    ///
    /// # Errors
    /// Why not.
    pub fn with_learner(&self, number: ReplicaNumber, id: u128, address: String) -> Result<Members, MembersError> {
        self.is_at_rest()?;
        if !(self.next..self.next.saturating_add(NUMBERS_AHEAD)).contains(&number) {
            return Err(MembersError::NumberUsed(self.next));
        }
        if let Some(there) = self.list.iter().find(|member| member.address == address) {
            return Err(MembersError::AddressTaken(there.number));
        }
        if let Some(taken) = self.of_replica(id) {
            return Err(MembersError::OtherReplica(taken.number));
        }
        let mut members = self.clone();
        members.next = number + 1;
        members.list.push(Member {
            number,
            id,
            address,
            seat: Seat::Learner,
        });
        members.check()?;
        Ok(members)
    }

    /// Without a learner.
    ///
    /// # Errors
    /// Why not.
    pub fn without_learner(&self, number: ReplicaNumber) -> Result<Members, MembersError> {
        self.is_at_rest()?;
        self.expect(number, Seat::Learner, "learner")?;
        let mut members = self.clone();
        members.list.retain(|member| member.number != number);
        Ok(members)
    }

    /// The joint configuration in which these learners begin to vote, and these voters are about to leave.
    ///
    /// # Errors
    /// Why not.
    pub fn joint(&self, promoted: &[ReplicaNumber], removed: &[ReplicaNumber]) -> Result<Members, MembersError> {
        self.is_at_rest()?;
        let mut members = self.clone();
        for (numbers, from, to, what) in [
            (promoted, Seat::Learner, Seat::Joining, "learner"),
            (removed, Seat::Voter, Seat::Leaving, "voter"),
        ] {
            for number in numbers {
                self.expect(*number, from, what)?;
                for member in members.list.iter_mut().filter(|member| member.number == *number) {
                    member.seat = to;
                }
            }
        }
        members.check()?;
        Ok(members)
    }

    /// The configuration that comes after a joint one.
    ///
    /// # Errors
    /// This one is none.
    pub fn left(&self) -> Result<Members, MembersError> {
        if !self.is_joint() {
            return Err(MembersError::Unreadable("no change is under way".into()));
        }
        let mut members = self.clone();
        members.list.retain(|member| member.seat != Seat::Leaving);
        for member in &mut members.list {
            if member.seat == Seat::Joining {
                member.seat = Seat::Voter;
            }
        }
        Ok(members)
    }

    /// The group has met these replicas, and calls itself `group` if it has no name yet.
    ///
    /// # Errors
    /// Another replica has been met under such a number.
    pub fn met(&self, group: u128, replicas: &[(ReplicaNumber, u128)]) -> Result<Members, MembersError> {
        let mut members = self.clone();
        if members.group == 0 {
            members.group = group;
        }
        for (number, id) in replicas {
            if self.of_replica(*id).is_some_and(|other| other.number != *number) {
                return Err(MembersError::OtherReplica(*number));
            }
            for member in members.list.iter_mut().filter(|member| member.number == *number) {
                if member.id != 0 && member.id != *id {
                    return Err(MembersError::OtherReplica(*number));
                }
                member.id = *id;
            }
        }
        Ok(members)
    }

    fn is_at_rest(&self) -> Result<(), MembersError> {
        match self.is_joint() {
            true => Err(MembersError::UnderWay),
            false => Ok(()),
        }
    }

    fn expect(&self, number: ReplicaNumber, seat: Seat, what: &'static str) -> Result<(), MembersError> {
        match self.get(number).is_some_and(|member| member.seat == seat) {
            true => Ok(()),
            false => Err(MembersError::NotA(number, what)),
        }
    }

    fn check(&self) -> Result<(), MembersError> {
        if self.list.len() > MEMBERS_MAX {
            return Err(MembersError::TooMany);
        }
        if self.voters().next().is_none() {
            return Err(MembersError::NobodyLeft);
        }
        let is_address = |address: &str| (1..=ADDRESS_BYTES_MAX).contains(&address.len());
        match self.list.iter().all(|member| is_address(&member.address)) {
            true => Ok(()),
            false => Err(MembersError::Address),
        }
    }

    /// As raft's crate has them.
    pub(crate) fn conf_state(&self) -> ConfState {
        ConfState {
            voters: self.voters().collect(),
            voters_outgoing: self.voters_before().collect(),
            learners: self.with_seats(&[Seat::Learner]).collect(),
            ..ConfState::default()
        }
    }

    /// The steps by which raft's crate gets from one configuration to another: one, if it is a change that a leader proposes. A replica that
    /// knew nothing of its group takes several.
    pub(crate) fn steps_from(&self, before: &Members) -> Vec<ConfChangeV2> {
        let mut steps = Vec::new();
        let mut at = before.clone();
        let single = |kind, number| ConfChangeSingle {
            change_type: kind,
            node_id: number,
            ..ConfChangeSingle::default()
        };
        if at.is_joint() && at.left().is_ok_and(|left| left.same_seats(self)) {
            return vec![ConfChangeV2::default()];
        }
        if at.is_joint() && !at.same_seats(self) {
            steps.push(ConfChangeV2::default());
            at = at.left().unwrap_or(at);
        }
        if at.same_seats(self) {
            return steps;
        }
        let mut joint = Vec::new();
        let mut singles = Vec::new();
        for member in &self.list {
            let seat = at.get(member.number).map(|member| member.seat);
            match member.seat {
                Seat::Voter if seat != Some(Seat::Voter) => {
                    singles.push(single(ConfChangeType::AddNode, member.number));
                }
                Seat::Learner if seat != Some(Seat::Learner) => {
                    singles.push(single(ConfChangeType::AddLearnerNode, member.number));
                }
                Seat::Leaving if seat != Some(Seat::Voter) => {
                    singles.push(single(ConfChangeType::AddNode, member.number));
                    joint.push(single(ConfChangeType::RemoveNode, member.number));
                }
                Seat::Leaving => joint.push(single(ConfChangeType::RemoveNode, member.number)),
                Seat::Joining => {
                    if seat == Some(Seat::Voter) {
                        singles.push(single(ConfChangeType::AddLearnerNode, member.number));
                    }
                    joint.push(single(ConfChangeType::AddNode, member.number));
                }
                _ => {}
            }
        }
        let gone = at.list.iter().filter(|member| self.get(member.number).is_none());
        singles.extend(gone.map(|member| single(ConfChangeType::RemoveNode, member.number)));
        steps.extend(singles.into_iter().map(|change| ConfChangeV2 {
            changes: vec![change].into(),
            ..ConfChangeV2::default()
        }));
        if !joint.is_empty() {
            steps.push(ConfChangeV2 {
                transition: ConfChangeTransition::Explicit,
                changes: joint.into(),
                ..ConfChangeV2::default()
            });
        }
        steps
    }

    /// True if both have the same members in the same seats: what raft's crate looks at.
    pub(crate) fn same_seats(&self, other: &Members) -> bool {
        let seats = |members: &Members| -> Vec<_> {
            let list = members.list.iter();
            list.map(|member| (member.number, member.seat)).collect()
        };
        seats(self) == seats(other)
    }

    /// The payload of an entry that says who belongs to the group: the effect "members" and nothing else, see the effects of the store.
    pub fn payload(&self) -> Vec<u8> {
        let bytes = self.encode();
        let mut payload = vec![MEMBERS_TAG];
        prost::encoding::encode_varint(bytes.len() as u64, &mut payload);
        payload.extend_from_slice(&bytes);
        payload
    }

    /// Members from such a payload.
    pub(crate) fn of_payload(payload: &[u8]) -> Result<Members, MembersError> {
        let unreadable = |cause: &str| MembersError::Unreadable(cause.to_owned());
        let (tag, mut rest) = payload.split_first().ok_or_else(|| unreadable("no bytes"))?;
        let length = prost::encoding::decode_varint(&mut rest).map_err(|error| unreadable(&error.to_string()))?;
        match *tag == MEMBERS_TAG && length == rest.len() as u64 {
            true => Members::decode(rest),
            false => Err(unreadable("something else stands with it")),
        }
    }

    /// The bytes that stand in the log and in the store.
    pub fn encode(&self) -> Vec<u8> {
        let member = |member: &Member| WireMember {
            number: member.number,
            id: member.id.to_be_bytes().to_vec(),
            address: member.address.clone(),
            seat: match member.seat {
                Seat::Voter => 1,
                Seat::Joining => 2,
                Seat::Leaving => 3,
                Seat::Learner => 4,
            },
        };
        let wire = WireMembers {
            group: self.group.to_be_bytes().to_vec(),
            next: self.next,
            list: self.list.iter().map(member).collect(),
        };
        wire.encode_to_vec()
    }

    /// Members from these bytes.
    ///
    /// # Errors
    /// They are none.
    pub fn decode(bytes: &[u8]) -> Result<Members, MembersError> {
        let unreadable = |cause: &str| MembersError::Unreadable(cause.to_owned());
        let wire = WireMembers::decode(bytes).map_err(|error| MembersError::Unreadable(error.to_string()))?;
        let id = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).map(u128::from_be_bytes);
        let member = |member: WireMember| {
            Ok(Member {
                number: member.number,
                id: id(&member.id).map_err(|_| unreadable("a member's id"))?,
                address: member.address,
                seat: match member.seat {
                    1 => Seat::Voter,
                    2 => Seat::Joining,
                    3 => Seat::Leaving,
                    4 => Seat::Learner,
                    _ => return Err(unreadable("a member's seat")),
                },
            })
        };
        let members = Members {
            group: id(&wire.group).map_err(|_| unreadable("the group's id"))?,
            next: wire.next,
            list: wire.list.into_iter().map(member).collect::<Result<_, _>>()?,
        };
        let numbers = || members.list.iter().map(|member| member.number);
        if !numbers().is_sorted_by(|a, b| a < b) || numbers().any(|number| number == 0 || number >= members.next) {
            return Err(unreadable("numbers that are doubled or were not given out"));
        }
        members.check()?;
        Ok(members)
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireMembers {
    #[prost(bytes = "vec", tag = "1")]
    group: Vec<u8>,
    #[prost(uint64, tag = "2")]
    next: u64,
    #[prost(message, repeated, tag = "3")]
    list: Vec<WireMember>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireMember {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(string, tag = "3")]
    address: String,
    #[prost(uint32, tag = "4")]
    seat: u32,
}

#[cfg(test)]
mod tests {
    use raft::ProgressTracker;
    use raft::{Changer, eraftpb};

    use super::*;
    use crate::entry::Entry;
    use haypile_types::Position;

    fn of_three() -> Members {
        Members::founding((1..=3).map(|number| (number, format!("host:{number}"))))
    }

    fn learner(members: &Members) -> Members {
        let number = members.next_number();
        members
            .with_learner(number, u128::from(number) << 64, format!("new:{number}"))
            .unwrap()
    }

    /// What raft's crate has after the steps, as it would be asked to take them.
    fn after(tracker: &mut ProgressTracker, steps: &[ConfChangeV2]) -> ConfState {
        for step in steps {
            let mut changer = Changer::new(tracker);
            let changed = match (step.leave_joint(), step.enter_joint()) {
                (true, _) => changer.leave_joint(),
                (false, Some(auto_leave)) => changer.enter_joint(auto_leave, &step.changes),
                (false, None) => changer.simple(&step.changes),
            };
            let (conf, changes) = changed.unwrap();
            tracker.apply_conf(conf, changes, 1);
        }
        sorted(tracker.conf().to_conf_state())
    }

    fn sorted(mut state: ConfState) -> ConfState {
        state.voters.sort_unstable();
        state.voters_outgoing.sort_unstable();
        state.learners.sort_unstable();
        state
    }

    /// All that happens to a group whose first member is replaced, and then one of its learners removed.
    fn a_life() -> Vec<Members> {
        let mut life = vec![of_three()];
        let mut then = |change: &dyn Fn(&Members) -> Members| {
            let next = change(life.last().unwrap());
            life.push(next);
        };
        then(&|members| members.met(7, &[(1, 11), (2, 12)]).unwrap());
        then(&|members| learner(members));
        then(&|members| members.joint(&[4], &[1]).unwrap());
        then(&|members| members.left().unwrap());
        then(&|members| learner(members));
        then(&|members| members.without_learner(5).unwrap());
        then(&|members| learner(members));
        then(&|members| members.joint(&[6], &[]).unwrap());
        then(&|members| members.left().unwrap());
        then(&|members| members.joint(&[], &[2, 3]).unwrap());
        then(&|members| members.left().unwrap());
        life
    }

    #[test]
    fn raft_follows_each_change() {
        let mut tracker = ProgressTracker::new(16);
        let mut before = Members::default();
        for members in a_life() {
            let steps = members.steps_from(&before);
            assert!(steps.len() <= 1 || before == Members::default());
            assert_eq!(after(&mut tracker, &steps), sorted(members.conf_state()), "{members:?}");
            before = members;
        }
        assert_eq!(before.voters().collect::<Vec<_>>(), [4, 6]);
    }

    #[test]
    fn a_replica_that_knows_something_else_gets_there_too() {
        for known in a_life() {
            for members in a_life() {
                let mut tracker = ProgressTracker::new(16);
                after(&mut tracker, &known.steps_from(&Members::default()));
                let steps = members.steps_from(&known);
                assert_eq!(
                    after(&mut tracker, &steps),
                    sorted(members.conf_state()),
                    "{known:?} {members:?}"
                );
            }
        }
    }

    #[test]
    fn what_the_log_says_is_read_as_it_was_written() {
        for members in a_life() {
            assert_eq!(Members::of_payload(&members.payload()).unwrap(), members);
            let payload = members.payload();
            for cut in 0..payload.len() {
                assert!(Members::of_payload(&payload[..cut]).is_err(), "{cut}");
            }
            let entry = Entry {
                position: Position::new(3, 9),
                timestamp: 77,
                payload: payload.into(),
            };
            let raft: eraftpb::Entry = entry.clone().into_raft(&mut Default::default());
            assert_eq!(Entry::from_raft(raft), entry);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let members = learner(&of_three().met(7, &[(1, 11)]).unwrap());
        assert_eq!(
            members.with_learner(4, 9, "x:1".into()),
            Err(MembersError::NumberUsed(5))
        );
        assert_eq!(
            members.with_learner(9, 11, "x:1".into()),
            Err(MembersError::OtherReplica(1))
        );
        assert_eq!(members.with_learner(9, 9, String::new()), Err(MembersError::Address));
        assert_eq!(members.joint(&[1], &[]), Err(MembersError::NotA(1, "learner")));
        assert_eq!(members.joint(&[], &[4]), Err(MembersError::NotA(4, "voter")));
        assert_eq!(members.joint(&[], &[1, 2, 3]), Err(MembersError::NobodyLeft));
        assert_eq!(members.met(8, &[(1, 12)]), Err(MembersError::OtherReplica(1)));
        assert_eq!(members.met(8, &[(2, 11)]), Err(MembersError::OtherReplica(2)));
        assert_eq!(members.met(8, &[]).unwrap().group, 7, "a name stays");
        let far = ReplicaNumber::MAX;
        assert_eq!(
            members.with_learner(far, 9, "x:1".into()),
            Err(MembersError::NumberUsed(5))
        );
        assert_eq!(
            members.with_learner(5, 9, "host:2".into()),
            Err(MembersError::AddressTaken(2))
        );
        let joint = members.joint(&[4], &[1]).unwrap();
        assert_eq!(joint.joint(&[], &[2]), Err(MembersError::UnderWay));
        assert_eq!(joint.with_learner(9, 9, "x:1".into()), Err(MembersError::UnderWay));
        let removed = joint.left().unwrap();
        assert_eq!(
            removed.with_learner(1, 9, "x:1".into()),
            Err(MembersError::NumberUsed(5))
        );
        let mut full = of_three();
        while full.iter().count() < MEMBERS_MAX {
            full = learner(&full);
        }
        assert_eq!(full.with_learner(99, 9, "x:1".into()), Err(MembersError::TooMany));
    }
}
