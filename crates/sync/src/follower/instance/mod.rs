//! The machine that keeps one connection, with its session, to a source.

mod interface;
mod table;

pub use interface::{Identity, InstanceAction, InstanceEvent, Session};
pub use table::{InstanceInput, InstanceState, instance_next, instance_table};

use std::time::Duration;

use haypile_types::Random;

use super::InstanceStatus;
use super::retries::Retries;
use crate::message::{Accepted, MetaSync, PROTOCOL_MAX, PROTOCOL_MIN, Refusal};
use crate::{AttemptId, ErrorKind, Failure, Settings, SyncError, Time, Transition};

/// The machine that keeps one connection and session to a source.
#[derive(Clone, Debug)]
pub struct Instance {
    settings: Settings,
    identity: Identity,
    address: Option<String>,
    state: State,
    since: Time,
    attempts: u64,
    retries: Retries,
}

#[derive(Clone, Debug)]
enum State {
    NoConnect,
    Connect { attempt: AttemptId },
    Connecting { attempt: AttemptId },
    Connected(Link),
    Error { retry_at: Option<Time> },
}

#[derive(Clone, Debug)]
struct Link {
    attempt: AttemptId,
    session: Session,
    heard: Time,
    heartbeat_at: Time,
    stable_at: Option<Time>,
}

impl Link {
    /// Often enough for both sides, which may have different timeouts.
    fn heartbeat_interval(&self, settings: &Settings) -> Duration {
        settings.heartbeat_interval.min(self.session.source_timeout / 4)
    }
}

/// An event that matters in the present state.
enum Cause {
    Follow(String),
    Unfollow,
    Retry,
    Dialed,
    Accepted(Accepted),
    Failed(Failure),
    Deadline,
}

impl Cause {
    fn input(&self) -> InstanceInput {
        match self {
            Cause::Follow(_) => InstanceInput::Follow,
            Cause::Unfollow => InstanceInput::Unfollow,
            Cause::Retry => InstanceInput::Retry,
            Cause::Dialed => InstanceInput::Dialed,
            Cause::Accepted(_) => InstanceInput::Accepted,
            Cause::Failed(_) => InstanceInput::Failed,
            Cause::Deadline => InstanceInput::Deadline,
        }
    }
}

impl Instance {
    /// A machine that follows nothing yet.
    pub fn new(identity: Identity, settings: Settings, now: Time) -> Self {
        Instance {
            settings,
            identity,
            address: None,
            state: State::NoConnect,
            since: now,
            attempts: 0,
            retries: Retries::default(),
        }
    }

    /// Takes other times and limits. They hold from the next deadline on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Takes another identity, for example other partitions. It holds from the next handshake on.
    pub fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
    }

    /// The state.
    pub fn state(&self) -> InstanceState {
        match self.state {
            State::NoConnect => InstanceState::NoConnect,
            State::Connect { .. } => InstanceState::Connect,
            State::Connecting { .. } => InstanceState::Connecting,
            State::Connected(_) => InstanceState::Connected,
            State::Error { .. } => InstanceState::Error,
        }
    }

    /// When to give `Tick` at the latest. `None` only if nothing is followed or a person has to act.
    pub fn deadline(&self) -> Option<Time> {
        match &self.state {
            State::Connected(link) => {
                let soonest = self.state_deadline()?.min(link.heartbeat_at);
                Some(link.stable_at.map_or(soonest, |at| soonest.min(at)))
            }
            _ => self.state_deadline(),
        }
    }

    /// When the state is left by itself.
    fn state_deadline(&self) -> Option<Time> {
        match &self.state {
            State::NoConnect => self.address.as_ref().map(|_| self.since),
            State::Connect { .. } => Some(self.since + self.settings.connect_timeout),
            State::Connecting { .. } => Some(self.since + self.settings.request_timeout),
            State::Connected(link) => Some(link.heard + self.settings.silence_timeout),
            State::Error { retry_at } => *retry_at,
        }
    }

    /// Since when the state has been waiting.
    fn quiet_since(&self) -> Time {
        match &self.state {
            State::Connected(link) => link.heard,
            _ => self.since,
        }
    }

    /// What INFO and metrics show.
    pub fn status(&self, now: Time) -> InstanceStatus {
        let link = match &self.state {
            State::Connected(link) => Some(link),
            _ => None,
        };
        InstanceStatus {
            state: self.state(),
            since: self.since,
            address: self.address.clone(),
            session: link.map(|link| link.session.clone()),
            silent_for: link.map(|link| now.since(link.heard)),
            attempts: self.retries.failed,
            last_error: self.retries.last.clone(),
            retry_at: match self.state {
                State::Error { retry_at } => retry_at,
                _ => None,
            },
        }
    }

    /// Takes an event; returns what is to be done, in this order.
    pub fn step(&mut self, now: Time, event: InstanceEvent, rng: &mut dyn Random) -> Vec<InstanceAction> {
        let mut actions = Vec::new();
        let Some(cause) = self.resolve(now, event, &mut actions) else {
            return actions;
        };
        let (from, input) = (self.state(), cause.input());
        let to = instance_next(from, input);
        let anew = matches!(cause, Cause::Follow(_) | Cause::Unfollow);
        if to == from && !anew {
            return actions;
        }
        self.leave(to, anew, &mut actions);
        let mut started = Vec::new();
        let error = self.enter(now, to, cause, rng, &mut started);
        self.since = now;
        if to != from {
            actions.push(InstanceAction::Transition(Transition {
                from,
                to,
                reason: input.name(),
                error,
                at: now,
            }));
        }
        actions.append(&mut started);
        actions
    }

    /// What an event means in the present state; `None` if it is late, doubled, or no more than a sign of life.
    fn resolve(&mut self, now: Time, event: InstanceEvent, actions: &mut Vec<InstanceAction>) -> Option<Cause> {
        let current = self.attempt();
        match event {
            InstanceEvent::Follow(address) => Some(Cause::Follow(address)),
            InstanceEvent::Unfollow => Some(Cause::Unfollow),
            InstanceEvent::Retry => Some(Cause::Retry),
            InstanceEvent::Dialed { attempt } => (Some(attempt) == current).then_some(Cause::Dialed),
            InstanceEvent::Replied { attempt, .. } if Some(attempt) != current => None,
            InstanceEvent::Replied { reply, .. } => Some(match reply.map_err(Failure::from) {
                Ok(accepted) => match self.check(&accepted) {
                    Ok(()) => Cause::Accepted(accepted),
                    Err(failure) => Cause::Failed(failure),
                },
                Err(failure) => Cause::Failed(failure),
            }),
            InstanceEvent::Heard { attempt } => {
                if let State::Connected(link) = &mut self.state
                    && link.attempt == attempt
                {
                    link.heard = now;
                }
                None
            }
            InstanceEvent::Failed { attempt, failure } => (Some(attempt) == current).then_some(Cause::Failed(failure)),
            InstanceEvent::SessionLost { session } => match &self.state {
                State::Connected(link) if link.session.id == session => {
                    Some(Cause::Failed(Failure::new(ErrorKind::SessionLost, "")))
                }
                _ => None,
            },
            InstanceEvent::Tick => self.tick(now, actions),
        }
    }

    fn tick(&mut self, now: Time, actions: &mut Vec<InstanceAction>) -> Option<Cause> {
        if self.state_deadline().is_some_and(|at| at <= now) {
            return Some(Cause::Deadline);
        }
        if let State::Connected(link) = &mut self.state {
            if link.stable_at.is_some_and(|at| at <= now) {
                link.stable_at = None;
                self.retries.failed = 0;
            }
            if link.heartbeat_at <= now {
                link.heartbeat_at = now + link.heartbeat_interval(&self.settings);
                let (attempt, session) = (link.attempt, link.session.id);
                actions.push(InstanceAction::SendHeartbeat { attempt, session });
            }
        }
        None
    }

    /// Checks that the source has understood us: an acceptance that lacks what we need is none.
    fn check(&self, accepted: &Accepted) -> Result<(), Failure> {
        if accepted.node == self.identity.node {
            return Err(Failure::new(ErrorKind::FollowsItself, ""));
        }
        if !(PROTOCOL_MIN..=PROTOCOL_MAX).contains(&accepted.version) {
            return Err(Refusal::ProtocolVersion {
                min: accepted.version,
                max: accepted.version,
            }
            .into());
        }
        match self
            .identity
            .wanted
            .iter()
            .find(|wanted| !accepted.partitions.contains(wanted))
        {
            None => Ok(()),
            Some(wanted) => {
                let cause = format!("the source has no partition like our {}", wanted.partition);
                Err(Failure::new(ErrorKind::LayoutMismatch, cause))
            }
        }
    }

    fn attempt(&self) -> Option<AttemptId> {
        match &self.state {
            State::Connect { attempt } | State::Connecting { attempt } => Some(*attempt),
            State::Connected(link) => Some(link.attempt),
            State::NoConnect | State::Error { .. } => None,
        }
    }

    /// Ends what the state has under way. A connection lasts from Connect through Connecting and Connected.
    fn leave(&self, to: InstanceState, anew: bool, actions: &mut Vec<InstanceAction>) {
        if let State::Connected(link) = &self.state {
            actions.push(InstanceAction::SessionDown(link.session.id));
            if anew {
                let (attempt, session) = (link.attempt, link.session.id);
                actions.push(InstanceAction::SendGoodbye { attempt, session });
            }
        }
        let keeps_connection = matches!(to, InstanceState::Connecting | InstanceState::Connected);
        if let Some(attempt) = self.attempt()
            && !keeps_connection
        {
            actions.push(InstanceAction::Disconnect { attempt });
        }
    }

    /// Enters a state; returns the error if it is the error state.
    fn enter(
        &mut self,
        now: Time,
        to: InstanceState,
        cause: Cause,
        rng: &mut dyn Random,
        actions: &mut Vec<InstanceAction>,
    ) -> Option<SyncError> {
        match (to, self.attempt(), cause) {
            (InstanceState::NoConnect, _, cause) => self.enter_no_connect(cause, actions),
            (InstanceState::Connect, ..) => self.enter_connect(actions),
            (InstanceState::Connecting, Some(attempt), _) => {
                actions.push(InstanceAction::SendMetaSync {
                    attempt,
                    message: self.meta_sync(attempt),
                });
                self.state = State::Connecting { attempt };
            }
            (InstanceState::Connected, Some(attempt), Cause::Accepted(accepted)) => {
                self.enter_connected(now, attempt, accepted, actions);
            }
            (_, _, cause) => {
                let failure = match cause {
                    Cause::Failed(failure) => failure,
                    Cause::Deadline => Failure::timeout(self.state().name(), now.since(self.quiet_since())),
                    other => unexpected(to, other.input()),
                };
                return Some(self.enter_error(now, failure, rng, actions));
            }
        }
        None
    }

    fn enter_no_connect(&mut self, cause: Cause, actions: &mut Vec<InstanceAction>) {
        match cause {
            Cause::Follow(address) => {
                self.address = Some(address);
                self.retries = Retries::default();
                actions.push(InstanceAction::RestartPartitions);
            }
            Cause::Unfollow => {
                self.address = None;
                self.retries = Retries::default();
            }
            Cause::Retry => self.retries.failed = 0,
            _ => {}
        }
        self.state = State::NoConnect;
    }

    fn enter_connect(&mut self, actions: &mut Vec<InstanceAction>) {
        self.attempts += 1;
        let attempt = AttemptId(self.attempts);
        actions.push(InstanceAction::Dial {
            attempt,
            address: self.address.clone().unwrap_or_default(),
        });
        self.state = State::Connect { attempt };
    }

    fn enter_connected(
        &mut self,
        now: Time,
        attempt: AttemptId,
        accepted: Accepted,
        actions: &mut Vec<InstanceAction>,
    ) {
        let session = Session {
            id: accepted.session,
            source: accepted.node,
            source_incarnation: accepted.incarnation,
            version: accepted.version,
            source_timeout: accepted.session_timeout,
        };
        actions.push(InstanceAction::SessionUp(session.clone()));
        let mut link = Link {
            attempt,
            session,
            heard: now,
            heartbeat_at: now,
            stable_at: Some(now + self.settings.stable_after),
        };
        link.heartbeat_at = now + link.heartbeat_interval(&self.settings);
        self.state = State::Connected(link);
    }

    fn enter_error(
        &mut self,
        now: Time,
        failure: Failure,
        rng: &mut dyn Random,
        actions: &mut Vec<InstanceAction>,
    ) -> SyncError {
        let peer = self.address.as_deref().unwrap_or_default();
        let (error, retry_at) = self.retries.fail(failure, peer, &self.settings, now, rng);
        if retry_at.is_none() {
            actions.push(InstanceAction::GaveUp(error.clone()));
        }
        self.state = State::Error { retry_at };
        error
    }

    fn meta_sync(&self, attempt: AttemptId) -> MetaSync {
        let identity = self.identity.clone();
        MetaSync {
            version_min: PROTOCOL_MIN,
            version_max: PROTOCOL_MAX,
            node: identity.node,
            incarnation: identity.incarnation,
            attempt,
            purpose: identity.purpose,
            announce_host: identity.announce_host,
            announce_port: identity.announce_port,
            wanted: identity.wanted,
            silence_timeout: self.settings.silence_timeout,
        }
    }
}

/// The table led to a state that this cause cannot fill: a fault in the table, shown as an error, not as a panic.
fn unexpected(to: InstanceState, input: InstanceInput) -> Failure {
    Failure::new(ErrorKind::Internal, format!("{input} cannot lead to {to}"))
}
