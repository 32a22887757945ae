//! Who belongs to the group, as this member knows it: whom it asks for what they have to say, and whom it lets in.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haypile_config::Member as Founder;
use haypile_consensus::{MEMBERS_MAX, Members, ReplicaNumber};
use haypile_sync::NodeId;
use parking_lot::Mutex;

use super::group_id;
use super::links::Asked;

/// See the module.
pub(super) struct Who {
    number: ReplicaNumber,
    founders: Vec<Founder>,
    dir: PathBuf,
    known: Mutex<Known>,
}

struct Known {
    members: Arc<Members>,
    /// Which replica of the group this server has; 0 until its data is open.
    replica: u128,
    /// Who has come under which number.
    met: BTreeMap<ReplicaNumber, u128>,
    /// The group's name as the directory remembers it; 0 if it does not.
    named: u128,
    /// Members that have come after all whom the data knows, and where they are: it is behind.
    newer: BTreeMap<ReplicaNumber, String>,
}

impl Known {
    /// The group's name; 0 if it is not known.
    fn group(&self) -> u128 {
        match self.members.group {
            0 => self.named,
            group => group,
        }
    }
}

impl Who {
    /// As the configuration has it, and what the directory `dir` remembers.
    ///
    /// # Errors
    /// What the directory remembers cannot be read.
    pub(super) fn new(number: ReplicaNumber, founders: Vec<Founder>, dir: &Path) -> io::Result<Self> {
        let members = Members::founding(founders.iter().map(|member| (member.number, member.address())));
        let known = Known {
            members: Arc::new(members),
            replica: 0,
            met: BTreeMap::new(),
            named: group_id::load(dir)?,
            newer: BTreeMap::new(),
        };
        Ok(Who {
            number,
            founders,
            dir: dir.to_owned(),
            known: Mutex::new(known),
        })
    }

    /// This member's number.
    pub(super) fn number(&self) -> ReplicaNumber {
        self.number
    }

    /// Who founds the group, as the configuration has it.
    pub(super) fn founders_text(&self) -> String {
        Founder::list(&self.founders)
    }

    /// Who belongs to the group, as far as is known here.
    pub(super) fn members(&self) -> Arc<Members> {
        self.known.lock().members.clone()
    }

    /// Which replica of the group this server has, and the group's name; 0 as long as that is not known.
    pub(super) fn names(&self) -> (u128, u128) {
        let known = self.known.lock();
        (known.replica, known.group())
    }

    /// The data says who belongs to the group, and which replica it is. True if that is news.
    pub(super) fn learn(&self, members: &Arc<Members>, replica: u128) -> bool {
        let known = &mut *self.known.lock();
        if known.replica == replica && Arc::ptr_eq(&known.members, members) {
            return false;
        }
        (known.members, known.replica) = (members.clone(), replica);
        known.met.insert(self.number, replica);
        known.newer.retain(|number, _| *number >= members.next_number());
        if members.group != 0 && known.named != members.group {
            // What is applied may be forgotten by a process that is killed, and applied again; which group it is must not be.
            match group_id::save(&self.dir, members.group) {
                Ok(()) => known.named = members.group,
                Err(error) => tracing::warn!(%error, "the directory cannot remember which group it is of"),
            }
        }
        true
    }

    /// Those who are to be asked for what they have to say: the members, and who has come after all of them, as the configuration or they
    /// themselves say. Data that is behind does not know all who belong to the group by now.
    pub(super) fn others(&self) -> BTreeMap<ReplicaNumber, String> {
        let known = self.known.lock();
        let next = known.members.next_number();
        let configured = self.founders.iter().filter(|founder| founder.number >= next);
        let mut others: BTreeMap<_, _> = configured.map(|founder| (founder.number, founder.address())).collect();
        others.extend(known.newer.clone());
        others.extend(
            known
                .members
                .iter()
                .map(|member| (member.number, member.address.clone())),
        );
        others.remove(&self.number);
        others
    }

    /// Where clients and other members reach a member.
    pub(super) fn address_of(&self, number: ReplicaNumber) -> Option<String> {
        let members = self.members();
        let member = members.get(number).map(|member| member.address.clone());
        let configured = || self.founders.iter().find(|founder| founder.number == number);
        member
            .or_else(|| self.known.lock().newer.get(&number).cloned())
            .or_else(|| configured().map(Founder::address))
    }

    /// Replicas that have been met, and of which the group does not know yet which they are.
    pub(super) fn unbound(&self) -> Vec<(ReplicaNumber, u128)> {
        let known = self.known.lock();
        let is_unbound = |number| known.members.get(number).is_some_and(|member| member.id == 0);
        let met = known.met.iter().filter(|(number, _)| is_unbound(**number));
        met.map(|(number, id)| (*number, *id)).collect()
    }

    /// A member that asks is let in.
    pub(super) fn met(&self, asked: &Asked) {
        let known = &mut *self.known.lock();
        if asked.replica != 0 {
            known.met.insert(asked.from, asked.replica);
        }
        if asked.from >= known.members.next_number() && !asked.address.is_empty() && known.newer.len() < MEMBERS_MAX {
            known.newer.insert(asked.from, asked.address.clone());
        }
    }

    /// Which replica this server has and of which group, as it says with the first bytes of a stream.
    pub(super) fn says(&self) -> Vec<u8> {
        let (replica, group) = self.names();
        [replica.to_be_bytes(), group.to_be_bytes()].concat()
    }

    /// Why whoever answers at a member's address, and says this of itself, is not that member.
    pub(super) fn doubts(&self, number: ReplicaNumber, says: &[u8]) -> Option<String> {
        let (replica, group) = match (says.first_chunk::<16>(), says.last_chunk::<16>()) {
            (Some(replica), Some(group)) if says.len() == 32 => {
                (u128::from_be_bytes(*replica), u128::from_be_bytes(*group))
            }
            _ => {
                return Some(format!(
                    "whoever answers at the address of member {number} does not say who it is"
                ));
            }
        };
        let (members, ours) = (self.members(), self.names().1);
        if ours != 0 && group != 0 && ours != group {
            return Some(format!(
                "at the address of member {number} answers a member of the group {group:032x}, and this one is of {ours:032x}"
            ));
        }
        let member = members.get(number)?;
        (member.id != 0 && member.id != replica).then(|| {
            format!(
                "member {number} of this group is the replica {:032x}, and {replica:032x} answers at its address",
                member.id
            )
        })
    }

    /// Why a member that asks is refused.
    pub(super) fn refuses(&self, asked: &Asked, own: NodeId) -> Option<String> {
        let (members, group) = (self.members(), self.names().1);
        if group != 0 && asked.group_id != 0 && group != asked.group_id {
            return Some(format!(
                "this is a member of the group {group:032x}, and a member of {:032x} asks",
                asked.group_id
            ));
        }
        let nobody_knows = group == 0 && asked.group_id == 0;
        let ours = self.founders_text();
        if nobody_knows && asked.group != ours {
            return Some(format!("group-members differ: {ours} here, {} there", asked.group));
        }
        if asked.to != self.number {
            let number = self.number;
            return Some(format!("this is member {number}, and member {} was asked", asked.to));
        }
        if asked.from == self.number {
            return Some(format!(
                "member {} asks itself: two servers have the same group-member",
                self.number
            ));
        }
        if asked.node == own {
            return Some(
                "both members have the same node id: one data directory is a copy of the other; remove its node-id and its \
                 partitions, and let it be filled again"
                    .into(),
            );
        }
        let knows_better = asked.group_id != 0 && (members.group == 0 || asked.from >= members.next_number());
        match members.get(asked.from) {
            // This member's data is behind, or the one that asks has been added since.
            None if knows_better => None,
            None => Some(format!(
                "there is no member {} in this group, or not any more: GROUP ADD, under the number {} or a later one",
                asked.from,
                members.next_number()
            )),
            Some(member) if member.id != 0 && member.id != asked.replica => Some(format!(
                "member {} of this group is the replica {:032x}, and {:032x} comes under its number: the data that it has acknowledged is \
                 gone; let it come under the number {} (GROUP ADD), and remove member {} (GROUP REMOVE)",
                asked.from,
                member.id,
                asked.replica,
                members.next_number(),
                asked.from
            )),
            Some(_) => None,
        }
    }
}
