//! Who belongs to a group, and how that changes.

use std::sync::Arc;

use haypile_consensus::{Member, Members, MembersError, NotLeader, ProposeMembersError, ReplicaNumber, Seat};

use crate::CommitError;
use crate::partition::{Partition, Shared, Writer};

/// A learner votes as soon as it is so many entries behind the log, or fewer: then the joint configuration waits for nothing long.
const NEARLY_EVEN: u64 = 1_000;

/// A change of who belongs to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new member, which gets everything first and votes when it has it.
    Add {
        /// Its number.
        number: ReplicaNumber,
        /// Where it is reached.
        address: String,
    },
    /// A member leaves.
    Remove(ReplicaNumber),
    /// These replicas have been met under these numbers. A group that has no name yet gets this one.
    Met {
        /// The name.
        group: u128,
        /// Who.
        replicas: Vec<(ReplicaNumber, u128)>,
    },
}

/// Why a change was not proposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// This replica does not lead.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// It cannot be so.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// The leader would not vote any more.
    #[error("member {0} leads the group: it must hand over before it leaves")]
    Leads(ReplicaNumber),
    /// The log.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<ProposeMembersError> for ChangeError {
    fn from(error: ProposeMembersError) -> Self {
        match error {
            ProposeMembersError::NotLeader(error) => error.into(),
            ProposeMembersError::Members(error) => error.into(),
            ProposeMembersError::Leads(number) => ChangeError::Leads(number),
        }
    }
}

impl Partition {
    /// Who belongs to the group, as far as this replica has applied it; the same `Arc` until that changes.
    pub fn group_members(&self) -> Option<Arc<Members>> {
        let replica = self.shared.replica.as_ref()?;
        let members = replica.core.lock().members().clone();
        Some(members)
    }

    /// Begins a change of who belongs to the group. It is done when [`Partition::group_members`] says so; the steps that follow are taken by
    /// [`Partition::group_go_on_changing`].
    ///
    /// # Errors
    /// Why it has not begun.
    pub fn group_change(&self, change: &Change) -> Result<(), ChangeError> {
        self.change_members(|members| match change {
            Change::Add { number, address } => members.with_learner(*number, 0, address.clone()),
            Change::Remove(number) => match members.get(*number).map(|member| member.seat) {
                Some(Seat::Learner) => members.without_learner(*number),
                _ => members.joint(&[], &[*number]),
            },
            Change::Met { group, replicas } => members.met(*group, replicas),
        })
    }

    /// Takes the next step of a change that has begun, if this replica leads and it is time: ends a joint configuration, has a learner vote
    /// that has nearly everything.
    pub fn group_go_on_changing(&self) {
        let Some(replica) = self.shared.replica.as_ref().filter(|replica| replica.serving() > 0) else {
            return;
        };
        let (is_joint, even) = {
            let core = replica.core.lock();
            if core.is_changing() {
                return;
            }
            let is_even = |member: &&Member| {
                // Nobody votes whom nobody has met.
                member.seat == Seat::Learner
                    && member.id != 0
                    && core.lag_of(member.number).is_some_and(|lag| lag <= NEARLY_EVEN)
            };
            let members = core.members();
            (
                members.is_joint(),
                members.iter().find(is_even).map(|member| member.number),
            )
        };
        let step = match (is_joint, even) {
            (true, _) => self.change_members(Members::left),
            (false, Some(learner)) => self.change_members(|members| members.joint(&[learner], &[])),
            (false, None) => return,
        };
        match step {
            Ok(()) => {}
            // Somebody else has been quicker, or leads.
            Err(ChangeError::Members(_) | ChangeError::NotLeader(_)) => {}
            Err(error) => tracing::warn!(%error, "the change of the group's members does not go on yet"),
        }
    }

    fn change_members(
        &self,
        change: impl FnOnce(&Members) -> Result<Members, MembersError>,
    ) -> Result<(), ChangeError> {
        let mut writer = self.shared.visit();
        let finished = self.shared.propose_members(&mut writer, change)?;
        drop(writer);
        finished.finish();
        Ok(())
    }
}

impl Shared {
    fn propose_members(
        &self,
        writer: &mut Writer,
        change: impl FnOnce(&Members) -> Result<Members, MembersError>,
    ) -> Result<crate::writing::Finished, ChangeError> {
        let replica = self.replica.as_ref().ok_or(NotLeader)?;
        if replica.serving() == 0 || replica.serving() != writer.term {
            return Err(NotLeader.into());
        }
        if let Some(text) = self.disk_refusal() {
            return Err(CommitError::NotLogged(text).into());
        }
        let clock = self.clock.now_us().max(writer.last_clock + 1);
        let position = replica.with(|group, now_us| {
            let members = change(group.members())?;
            tracing::info!(?members, "a change of the group's members is proposed");
            Ok::<_, ChangeError>(group.propose_members(now_us, clock, &members)?)
        })?;
        writer.last_clock = clock;
        writer.next_index = position.index + 1;
        Ok(self.drive(writer))
    }
}
