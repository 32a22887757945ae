//! The role of a server: who writes its data, and whom it follows. One machine decides it; REPLICAOF, FAILOVER, a primary that
//! hands over, and the installation of a checkpoint only send events.
//!
//! A step is a pure function: it gives the machine as it will be and what is to be done for that. The owner carries the actions
//! out in their order and then takes the new machine; if one of them fails, it keeps the old one.
//!
//! # Tenures
//! Each change of who writes, or of whom is followed, begins a [`Tenure`]. Whoever works for a role (a stream, an installation, an
//! answer to a question) has the tenure in which it began, and what it brings in another is refused: by the partition, which
//! knows the tenure of its role, and by this machine.
//!
//! # FAILOVER
//! A primary that hands over must never write again once the replica may be writing. So it becomes a follower *before* it tells the
//! replica to take over, and what it tells has an id, can be said again, and can be taken back:
//!
//! - *take over*: the replica becomes the primary, unless it has promised not to. Said again, it only says that it is.
//! - *never mind*: the replica promises not to take over by this id, unless it has already.
//!
//! While the answer is not known, neither writes, and the primary follows nobody: its data must not be replaced by somebody else's. After [`deadline`](RoleInput::Deadline) clients are not held up any longer, and
//! a person may decide otherwise; the question stays, over restarts too, until it is answered.

mod handover;
mod table;

pub use handover::{Answer, Asking, Decided, Heard};
pub use table::{RoleInput, RoleState, role_next, role_table};

use std::fmt;

use crate::{NodeId, Tenure};

/// Host and port of a server, as its clients use them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an address.
    pub host: String,
    /// At least 1.
    pub port: u16,
}

impl Address {
    /// Parses `host port`, as the configuration has it.
    pub fn parse(text: &str) -> Option<Address> {
        let (host, port) = text.trim().rsplit_once(' ')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let host = host.trim().to_owned();
        (!host.is_empty()).then_some(Address { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.host, self.port)
    }
}

/// What a replica is told that is to take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeOver {
    /// Which failover: random.
    pub id: u64,
    /// The replica.
    pub target: Address,
    /// Its id: somebody else may answer at that address.
    pub node: NodeId,
    /// Index of the last entry that it must have; 0 if it is to take over in any case.
    pub end: u64,
}

/// A role as the directory remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SavedRole {
    /// The writer.
    #[default]
    Primary,
    /// Whom it follows, and whether its log is known to be a beginning of that server's.
    Replica {
        /// The server followed.
        source: Address,
        /// Its log has been found to begin with ours.
        confirmed: bool,
    },
    /// It has told a replica to take over, and what has become of that is not known.
    HandedOver(TakeOver),
}

/// What happens to a server's role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleEvent {
    /// Follow this server.
    Follow(Address),
    /// Follow nobody.
    Unfollow,
    /// Begin the failover of this id.
    HandOver(u64),
    /// End the failover, whichever it is.
    Abort,
    /// End the failover of this id, because no replica has caught up in time.
    GaveUp(u64),
    /// The failover's replica is found.
    CaughtUp(TakeOver),
    /// The replica of this failover is the primary.
    TakenOver(u64),
    /// The replica of this failover never will.
    NotTakenOver(u64),
    /// The replica of this failover has not answered for a long time.
    Deadline(u64),
    /// The data is about to be closed, for a checkpoint that was copied in this tenure.
    InstallationBegins(Tenure),
    /// The data is open again.
    InstallationEnds,
}

impl RoleEvent {
    /// The name it has in the table.
    pub fn input(&self) -> RoleInput {
        match self {
            RoleEvent::Follow(_) => RoleInput::Follow,
            RoleEvent::Unfollow => RoleInput::Unfollow,
            RoleEvent::HandOver(_) => RoleInput::HandOver,
            RoleEvent::Abort | RoleEvent::GaveUp(_) => RoleInput::Abort,
            RoleEvent::CaughtUp(_) => RoleInput::CaughtUp,
            RoleEvent::TakenOver(_) => RoleInput::TakenOver,
            RoleEvent::NotTakenOver(_) => RoleInput::NotTakenOver,
            RoleEvent::Deadline(_) => RoleInput::Deadline,
            RoleEvent::InstallationBegins(_) => RoleInput::InstallationBegins,
            RoleEvent::InstallationEnds => RoleInput::InstallationEnds,
        }
    }
}

/// What is to be done for a change of the role, in order. Those that can fail come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleAction {
    /// Make the directory remember it. Can fail.
    Save(SavedRole),
    /// The data's writer is this server from here on, in a new epoch. Can fail.
    Promote(Tenure),
    /// The data, if it is open, is a follower's from here on.
    Demote(Tenure),
    /// Clients that write wait.
    HoldWrites,
    /// They wait no longer.
    LetWrites,
    /// Tell the replica to take over, again and again until it has answered.
    AskToTakeOver(TakeOver),
    /// Tell it never mind, instead.
    AskToForget(u64),
    /// Follow this server, in this tenure.
    Follow(Address, Tenure),
    /// Follow nobody, from this tenure on.
    Unfollow(Tenure),
}

/// Why an event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleRefusal {
    /// A failover is under way.
    FailingOver,
    /// None is.
    NoFailover,
    /// Only a primary can do this.
    NotPrimary,
    /// The data is closed.
    Loading,
    /// It belongs to a role of the past.
    Late,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleMachine {
    role: Role,
    tenure: Tenure,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Primary,
    HandingOver { failover: u64 },
    Promoting(TakeOver),
    Unresolved(TakeOver),
    Replica { source: Address, confirmed: bool },
    Installing { source: Address },
}

impl RoleMachine {
    /// The tenure in which a server starts.
    pub const FIRST: Tenure = Tenure(1);

    /// A server that starts with this role; what is to be done once it runs.
    pub fn start(saved: SavedRole) -> (RoleMachine, Vec<RoleAction>) {
        let tenure = Self::FIRST;
        let (role, actions) = match saved {
            SavedRole::Primary => (Role::Primary, Vec::new()),
            SavedRole::Replica { source, confirmed } => {
                let follow = RoleAction::Follow(source.clone(), tenure);
                (Role::Replica { source, confirmed }, vec![follow])
            }
            SavedRole::HandedOver(takeover) => {
                let ask = RoleAction::AskToTakeOver(takeover.clone());
                (Role::Unresolved(takeover), vec![ask])
            }
        };
        (RoleMachine { role, tenure }, actions)
    }

    /// The state.
    pub fn state(&self) -> RoleState {
        match self.role {
            Role::Primary => RoleState::Primary,
            Role::HandingOver { .. } => RoleState::HandingOver,
            Role::Promoting(_) => RoleState::Promoting,
            Role::Unresolved(_) => RoleState::Unresolved,
            Role::Replica { .. } => RoleState::Replica,
            Role::Installing { .. } => RoleState::Installing,
        }
    }

    /// The present tenure.
    pub fn tenure(&self) -> Tenure {
        self.tenure
    }

    /// True if this server may write its log.
    pub fn is_writer(&self) -> bool {
        matches!(self.role, Role::Primary | Role::HandingOver { .. })
    }

    /// Who is followed, or will be.
    pub fn source(&self) -> Option<&Address> {
        match &self.role {
            Role::Primary | Role::HandingOver { .. } => None,
            Role::Promoting(takeover) | Role::Unresolved(takeover) => Some(&takeover.target),
            Role::Replica { source, .. } | Role::Installing { source } => Some(source),
        }
    }

    /// The failover that is under way: waiting for a replica, or for its answer.
    pub fn failover(&self) -> Option<u64> {
        match &self.role {
            Role::HandingOver { failover } => Some(*failover),
            Role::Promoting(takeover) | Role::Unresolved(takeover) => Some(takeover.id),
            Role::Primary | Role::Replica { .. } | Role::Installing { .. } => None,
        }
    }

    /// True if the log is known to be a beginning of the log of whom it follows.
    pub fn is_confirmed(&self) -> bool {
        matches!(self.role, Role::Replica { confirmed: true, .. })
    }

    /// What the directory is to remember.
    pub fn saved(&self) -> SavedRole {
        match &self.role {
            Role::Primary | Role::HandingOver { .. } => SavedRole::Primary,
            Role::Promoting(takeover) | Role::Unresolved(takeover) => SavedRole::HandedOver(takeover.clone()),
            Role::Replica { source, confirmed } => SavedRole::Replica {
                source: source.clone(),
                confirmed: *confirmed,
            },
            Role::Installing { source } => SavedRole::Replica {
                source: source.clone(),
                confirmed: false,
            },
        }
    }

    /// The source has found in this tenure whether its log begins with ours: gives the machine that knows it, if that is news.
    pub fn confirm(&self, tenure: Tenure, begins_with_ours: bool) -> Option<RoleMachine> {
        let mut next = self.clone();
        match &mut next.role {
            Role::Replica { confirmed, .. } if tenure == self.tenure && *confirmed != begins_with_ours => {
                *confirmed = begins_with_ours;
                Some(next)
            }
            _ => None,
        }
    }

    /// Takes an event: the machine as it will be, and what is to be done for that.
    ///
    /// # Errors
    /// Why nothing changes.
    pub fn step(&self, event: RoleEvent) -> Result<(RoleMachine, Vec<RoleAction>), RoleRefusal> {
        self.check(&event)?;
        let to = role_next(self.state(), event.input()).ok_or_else(|| self.refusal(&event))?;
        let next = Tenure(self.tenure.0 + 1);
        let (role, tenure, actions) = match (to, event, self.role.clone()) {
            (RoleState::Replica, RoleEvent::Follow(source), _) => {
                let role = Role::Replica {
                    source: source.clone(),
                    confirmed: false,
                };
                (
                    role,
                    next,
                    vec![RoleAction::Demote(next), RoleAction::Follow(source, next)],
                )
            }
            (RoleState::Installing, RoleEvent::Follow(source), _) => {
                let role = Role::Installing { source: source.clone() };
                (role, next, vec![RoleAction::Follow(source, next)])
            }
            (RoleState::Primary, RoleEvent::Unfollow, Role::Primary) => (Role::Primary, self.tenure, Vec::new()),
            (RoleState::Primary, RoleEvent::Unfollow, _) => (
                Role::Primary,
                next,
                vec![RoleAction::Promote(next), RoleAction::Unfollow(next)],
            ),
            (RoleState::HandingOver, RoleEvent::HandOver(failover), _) => (
                Role::HandingOver { failover },
                self.tenure,
                vec![RoleAction::HoldWrites],
            ),
            (RoleState::Primary, _, Role::HandingOver { .. }) => {
                (Role::Primary, self.tenure, vec![RoleAction::LetWrites])
            }
            (RoleState::Promoting, RoleEvent::CaughtUp(takeover), _) => {
                let ask = RoleAction::AskToTakeOver(takeover.clone());
                (Role::Promoting(takeover), next, vec![RoleAction::Demote(next), ask])
            }
            (_, RoleEvent::Abort, Role::Promoting(takeover)) => {
                let forget = RoleAction::AskToForget(takeover.id);
                (Role::Promoting(takeover), self.tenure, vec![forget])
            }
            (_, RoleEvent::Abort, Role::Unresolved(takeover)) => {
                let forget = RoleAction::AskToForget(takeover.id);
                (Role::Unresolved(takeover), self.tenure, vec![forget])
            }
            (RoleState::Primary, _, Role::Promoting(_) | Role::Unresolved(_)) => (
                Role::Primary,
                next,
                vec![
                    RoleAction::Promote(next),
                    RoleAction::LetWrites,
                    RoleAction::Unfollow(next),
                ],
            ),
            (RoleState::Replica, _, Role::Promoting(TakeOver { target, .. })) => (
                replica(&target),
                self.tenure,
                vec![RoleAction::LetWrites, RoleAction::Follow(target, self.tenure)],
            ),
            (RoleState::Replica, _, Role::Unresolved(TakeOver { target, .. })) => (
                replica(&target),
                self.tenure,
                vec![RoleAction::Follow(target, self.tenure)],
            ),
            (RoleState::Unresolved, _, Role::Promoting(takeover)) => {
                (Role::Unresolved(takeover), self.tenure, vec![RoleAction::LetWrites])
            }
            (RoleState::Installing, _, Role::Replica { source, .. }) => {
                (Role::Installing { source }, self.tenure, Vec::new())
            }
            (RoleState::Replica, _, Role::Installing { source }) => (replica(&source), self.tenure, Vec::new()),
            // The table has no such change: nothing is done.
            _ => return Err(RoleRefusal::Late),
        };
        let machine = RoleMachine { role, tenure };
        let mut all = Vec::new();
        if machine.saved() != self.saved() {
            all.push(RoleAction::Save(machine.saved()));
        }
        all.extend(actions);
        Ok((machine, all))
    }

    /// Sets aside what belongs to another failover, or to a tenure that is over.
    fn check(&self, event: &RoleEvent) -> Result<(), RoleRefusal> {
        let of = match event {
            RoleEvent::GaveUp(_) if self.state() != RoleState::HandingOver => return Err(RoleRefusal::Late),
            RoleEvent::CaughtUp(takeover) => takeover.id,
            RoleEvent::GaveUp(id)
            | RoleEvent::TakenOver(id)
            | RoleEvent::NotTakenOver(id)
            | RoleEvent::Deadline(id) => *id,
            RoleEvent::InstallationBegins(tenure) if *tenure != self.tenure => return Err(RoleRefusal::Late),
            _ => return Ok(()),
        };
        match &self.role {
            Role::HandingOver { failover } if *failover == of => Ok(()),
            Role::Promoting(takeover) | Role::Unresolved(takeover) if takeover.id == of => Ok(()),
            _ => Err(RoleRefusal::Late),
        }
    }

    fn refusal(&self, event: &RoleEvent) -> RoleRefusal {
        match (self.state(), event.input()) {
            (RoleState::HandingOver | RoleState::Promoting, RoleInput::Follow | RoleInput::Unfollow) => {
                RoleRefusal::FailingOver
            }
            (RoleState::HandingOver | RoleState::Promoting, RoleInput::HandOver) => RoleRefusal::FailingOver,
            (_, RoleInput::HandOver) => RoleRefusal::NotPrimary,
            (_, RoleInput::Abort) => RoleRefusal::NoFailover,
            (RoleState::Installing, _) => RoleRefusal::Loading,
            _ => RoleRefusal::Late,
        }
    }
}

fn replica(source: &Address) -> Role {
    Role::Replica {
        source: source.clone(),
        confirmed: false,
    }
}
