//! The machine that keeps one partition in sync with its source.

mod interface;
mod table;

pub use interface::{PartitionAction, PartitionEvent};
pub use table::{PartitionInput, PartitionState, partition_next, partition_table};

use haypile_types::Random;

use super::retries::Retries;
use super::{PartitionStatus, Session};
use crate::copy::CopyProgress;
use crate::message::{CheckpointReason, LocalPosition, TrySync, TrySyncReply};
use crate::{AttemptId, EpochHistory, ErrorKind, Failure, PartitionId, Settings, SyncError, Time, Transition};

/// The machine that keeps one partition in sync with its source.
#[derive(Clone, Debug)]
pub struct Partition {
    settings: Settings,
    id: PartitionId,
    /// Address of the source, for errors.
    peer: String,
    session: Option<Session>,
    state: State,
    since: Time,
    attempts: u64,
    retries: Retries,
    asked_with: Option<LocalPosition>,
    /// A checkpoint was installed, and no stream has held since.
    installed: bool,
    /// When the last copy began for which the reason was that no more entries were taken.
    poisoned_copy: Option<Time>,
}

#[derive(Clone, Debug)]
enum State {
    NoConnect,
    TryConnect {
        attempt: AttemptId,
    },
    WaitReply {
        attempt: AttemptId,
    },
    WaitDBSync {
        attempt: AttemptId,
        progress: CopyProgress,
        progress_at: Time,
    },
    Connected {
        attempt: AttemptId,
        heard: Time,
        stable_at: Option<Time>,
    },
    Error {
        retry_at: Option<Time>,
    },
}

/// An event that matters in the present state.
enum Cause {
    SessionUp,
    SessionDown,
    Restart,
    Retry,
    PositionRead(LocalPosition),
    Continue { from: u64, history: EpochHistory },
    Checkpoint(CheckpointReason),
    CheckpointAgain(CheckpointReason),
    Installed,
    Failed(Failure),
    Deadline,
}

impl Cause {
    fn input(&self) -> PartitionInput {
        match self {
            Cause::SessionUp => PartitionInput::SessionUp,
            Cause::SessionDown => PartitionInput::SessionDown,
            Cause::Restart => PartitionInput::Restart,
            Cause::Retry => PartitionInput::Retry,
            Cause::PositionRead(_) => PartitionInput::PositionRead,
            Cause::Continue { .. } => PartitionInput::Continue,
            Cause::Checkpoint(_) => PartitionInput::Checkpoint,
            Cause::CheckpointAgain(_) => PartitionInput::CheckpointAgain,
            Cause::Installed => PartitionInput::Installed,
            Cause::Failed(_) => PartitionInput::Failed,
            Cause::Deadline => PartitionInput::Deadline,
        }
    }
}

impl Partition {
    /// A machine that waits for a session with the source at the address `peer`.
    pub fn new(id: PartitionId, peer: String, settings: Settings, now: Time) -> Self {
        Partition {
            settings,
            id,
            peer,
            session: None,
            state: State::NoConnect,
            since: now,
            attempts: 0,
            retries: Retries::default(),
            asked_with: None,
            installed: false,
            poisoned_copy: None,
        }
    }

    /// Takes other times and limits. They hold from the next deadline on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Takes another address of the source, for errors. Give `Restart` as well.
    pub fn set_peer(&mut self, peer: String) {
        self.peer = peer;
    }

    /// The state.
    pub fn state(&self) -> PartitionState {
        match self.state {
            State::NoConnect => PartitionState::NoConnect,
            State::TryConnect { .. } => PartitionState::TryConnect,
            State::WaitReply { .. } => PartitionState::WaitReply,
            State::WaitDBSync { .. } => PartitionState::WaitDBSync,
            State::Connected { .. } => PartitionState::Connected,
            State::Error { .. } => PartitionState::Error,
        }
    }

    /// When to give `Tick` at the latest. `None` only without a session, or when a person has to act.
    pub fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Connected {
                stable_at: Some(stable_at),
                ..
            } => self.state_deadline().map(|at| at.min(stable_at)),
            _ => self.state_deadline(),
        }
    }

    /// When the state is left by itself.
    fn state_deadline(&self) -> Option<Time> {
        match self.state {
            State::NoConnect => self.session.as_ref().map(|_| self.since),
            State::TryConnect { .. } => Some(self.since + self.settings.local_timeout),
            State::WaitReply { .. } => Some(self.since + self.settings.request_timeout),
            State::WaitDBSync { progress_at, .. } => Some(progress_at + self.settings.copy_stall_timeout),
            State::Connected { heard, .. } => Some(heard + self.settings.silence_timeout),
            State::Error { retry_at } => retry_at,
        }
    }

    /// Since when the state has been waiting.
    fn quiet_since(&self) -> Time {
        match self.state {
            State::WaitDBSync { progress_at, .. } => progress_at,
            State::Connected { heard, .. } => heard,
            _ => self.since,
        }
    }

    /// What INFO and metrics show.
    pub fn status(&self, now: Time) -> PartitionStatus {
        PartitionStatus {
            state: self.state(),
            since: self.since,
            asked_with: self.asked_with.clone(),
            copy: match &self.state {
                State::WaitDBSync { progress, .. } => Some(progress.clone()),
                _ => None,
            },
            silent_for: match self.state {
                State::Connected { heard, .. } => Some(now.since(heard)),
                _ => None,
            },
            attempts: self.retries.failed,
            last_error: self.retries.last.clone(),
            retry_at: match self.state {
                State::Error { retry_at } => retry_at,
                _ => None,
            },
        }
    }

    /// Takes an event; returns what is to be done, in this order.
    pub fn step(&mut self, now: Time, event: PartitionEvent, rng: &mut dyn Random) -> Vec<PartitionAction> {
        let Some(cause) = self.resolve(now, event) else {
            return Vec::new();
        };
        let (from, input) = (self.state(), cause.input());
        let to = partition_next(from, input);
        let anew = matches!(cause, Cause::Restart | Cause::SessionUp) && from != PartitionState::Error;
        if to == from && !anew {
            return Vec::new();
        }
        let mut actions = Vec::new();
        self.leave(to, &mut actions);
        let mut started = Vec::new();
        let error = self.enter(now, to, cause, rng, &mut started);
        self.since = now;
        if to != from {
            actions.push(PartitionAction::Transition(Transition {
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
    fn resolve(&mut self, now: Time, event: PartitionEvent) -> Option<Cause> {
        let current = self.attempt();
        match event {
            PartitionEvent::SessionUp(session) => {
                let known = self.session.as_ref() == Some(&session);
                self.session = Some(session);
                (!known).then_some(Cause::SessionUp)
            }
            PartitionEvent::SessionDown(id) => {
                let meant = self.session.as_ref().is_some_and(|session| session.id == id);
                if meant {
                    self.session = None;
                }
                meant.then_some(Cause::SessionDown)
            }
            PartitionEvent::Restart => Some(Cause::Restart),
            PartitionEvent::Retry => Some(Cause::Retry),
            PartitionEvent::PositionRead { attempt, position } => {
                (Some(attempt) == current).then_some(Cause::PositionRead(position))
            }
            PartitionEvent::Replied { attempt, reply } => {
                (Some(attempt) == current).then(|| self.resolve_reply(now, reply))
            }
            PartitionEvent::Heard { attempt } => {
                if let State::Connected {
                    attempt: current,
                    heard,
                    ..
                } = &mut self.state
                    && *current == attempt
                {
                    *heard = now;
                }
                None
            }
            PartitionEvent::CopyProgress {
                attempt,
                progress: news,
            } => {
                if let State::WaitDBSync {
                    attempt: current,
                    progress,
                    progress_at,
                } = &mut self.state
                    && *current == attempt
                    && *progress != news
                {
                    (*progress, *progress_at) = (news, now);
                }
                None
            }
            PartitionEvent::Installed { attempt } => (Some(attempt) == current).then_some(Cause::Installed),
            PartitionEvent::Failed { attempt, failure } => (Some(attempt) == current).then_some(Cause::Failed(failure)),
            PartitionEvent::Tick => self.tick(now),
        }
    }

    fn resolve_reply(&self, now: Time, reply: TrySyncReply) -> Cause {
        match reply {
            TrySyncReply::Continue { from, history } => match self.check_continue(from, &history) {
                Ok(()) => Cause::Continue { from, history },
                Err(cause) => Cause::Failed(Failure::new(ErrorKind::Protocol, cause)),
            },
            TrySyncReply::Checkpoint(reason) if self.installed || self.is_poisoned_again(now, reason) => {
                Cause::CheckpointAgain(reason)
            }
            TrySyncReply::Checkpoint(reason) => Cause::Checkpoint(reason),
            TrySyncReply::Refused(refusal) => Cause::Failed(refusal.into()),
        }
    }

    /// True for a checkpoint because no more entries are taken, so soon after another that what comes from the source may be the cause.
    fn is_poisoned_again(&self, now: Time, reason: CheckpointReason) -> bool {
        let interval = self.settings.poisoned_copy_interval;
        reason == CheckpointReason::Poisoned && self.poisoned_copy.is_some_and(|last| now < last + interval)
    }

    /// Going on anywhere else than at the log's end would leave a gap, or change what is there.
    fn check_continue(&self, from: u64, history: &EpochHistory) -> Result<(), String> {
        let end = self.asked_with.as_ref().map_or(0, |position| position.end.index);
        if from != end + 1 {
            return Err(format!("our log ends at {end}, and the source would go on at {from}"));
        }
        match history.current() {
            Some(epoch) if epoch.first_index <= from => Ok(()),
            _ => Err(format!("the source's history does not reach up to {from}")),
        }
    }

    fn tick(&mut self, now: Time) -> Option<Cause> {
        if self.state_deadline().is_some_and(|at| at <= now) {
            return Some(Cause::Deadline);
        }
        if let State::Connected { stable_at, .. } = &mut self.state
            && stable_at.is_some_and(|at| at <= now)
        {
            *stable_at = None;
            self.retries.failed = 0;
            self.installed = false;
        }
        None
    }

    fn attempt(&self) -> Option<AttemptId> {
        match self.state {
            State::TryConnect { attempt }
            | State::WaitReply { attempt }
            | State::WaitDBSync { attempt, .. }
            | State::Connected { attempt, .. } => Some(attempt),
            State::NoConnect | State::Error { .. } => None,
        }
    }

    /// Ends what the state has under way, unless the attempt goes on in the next.
    fn leave(&self, to: PartitionState, actions: &mut Vec<PartitionAction>) {
        use PartitionState::{Connected, WaitDBSync, WaitReply};
        if let Some(attempt) = self.attempt()
            && !matches!(to, WaitReply | WaitDBSync | Connected)
        {
            actions.push(PartitionAction::Stop { attempt });
        }
    }

    /// Enters a state; returns the error if it is the error state.
    fn enter(
        &mut self,
        now: Time,
        to: PartitionState,
        cause: Cause,
        rng: &mut dyn Random,
        actions: &mut Vec<PartitionAction>,
    ) -> Option<SyncError> {
        let session = self.session.as_ref().map(|session| session.id);
        match (to, cause, self.attempt(), session) {
            (PartitionState::NoConnect, cause, ..) => self.enter_no_connect(&cause),
            (PartitionState::TryConnect, cause, ..) => self.enter_try_connect(&cause, actions),
            (PartitionState::WaitReply, Cause::PositionRead(position), Some(attempt), Some(session)) => {
                self.asked_with = Some(position.clone());
                let message = TrySync {
                    session,
                    attempt,
                    partition: self.id.clone(),
                    position,
                };
                actions.push(PartitionAction::SendTrySync { attempt, message });
                self.state = State::WaitReply { attempt };
            }
            (PartitionState::WaitDBSync, Cause::Checkpoint(reason), Some(attempt), Some(session)) => {
                actions.push(PartitionAction::StartCopy {
                    attempt,
                    session,
                    reason,
                });
                if reason == CheckpointReason::Poisoned {
                    self.poisoned_copy = Some(now);
                }
                self.state = State::WaitDBSync {
                    attempt,
                    progress: CopyProgress::default(),
                    progress_at: now,
                };
            }
            (PartitionState::Connected, Cause::Continue { from, history }, Some(attempt), Some(session)) => {
                actions.push(PartitionAction::OpenStream {
                    attempt,
                    session,
                    from,
                    history,
                });
                let stable_at = Some(now + self.settings.stable_after);
                self.state = State::Connected {
                    attempt,
                    heard: now,
                    stable_at,
                };
            }
            (_, cause, ..) => return Some(self.enter_error(now, to, cause, rng, actions)),
        }
        None
    }

    fn enter_no_connect(&mut self, cause: &Cause) {
        match cause {
            Cause::Restart => {
                self.retries = Retries::default();
                self.installed = false;
                self.poisoned_copy = None;
            }
            Cause::Retry => self.retries.failed = 0,
            _ => {}
        }
        self.state = State::NoConnect;
    }

    fn enter_try_connect(&mut self, cause: &Cause, actions: &mut Vec<PartitionAction>) {
        if matches!(cause, Cause::Installed) {
            self.installed = true;
        }
        self.attempts += 1;
        let attempt = AttemptId(self.attempts);
        actions.push(PartitionAction::ReadPosition { attempt });
        self.state = State::TryConnect { attempt };
    }

    fn enter_error(
        &mut self,
        now: Time,
        to: PartitionState,
        cause: Cause,
        rng: &mut dyn Random,
        actions: &mut Vec<PartitionAction>,
    ) -> SyncError {
        let failure = match cause {
            Cause::Failed(failure) => failure,
            Cause::Deadline => Failure::timeout(self.state().name(), now.since(self.quiet_since())),
            // One checkpoint after another would copy for ever what can never catch up: pause, and show it.
            Cause::CheckpointAgain(reason) => {
                self.installed = false;
                let (kind, advice) = match reason {
                    CheckpointReason::LogCollected { .. } => (
                        ErrorKind::LogCollected,
                        "; copying took longer than the source keeps its log: raise its oplog-pinned-max-bytes, or see that it has room on its disk",
                    ),
                    CheckpointReason::Poisoned => (
                        ErrorKind::Poisoned,
                        ": see this server's log for the cause; the next one is asked for later",
                    ),
                    _ => (ErrorKind::LogCollected, ""),
                };
                let cause = format!("another checkpoint is needed right after one was installed: {reason}{advice}");
                Failure::new(kind, cause)
            }
            // The table led to a state that this cause cannot fill: a fault here, shown as an error.
            other => Failure::new(ErrorKind::Internal, format!("{} cannot lead to {to}", other.input())),
        };
        if let (ErrorKind::SessionLost, Some(session)) = (&failure.kind, &self.session) {
            actions.push(PartitionAction::ReportSessionLost(session.id));
        }
        let (error, retry_at) = self.retries.fail(failure, &self.peer, &self.settings, now, rng);
        if retry_at.is_none() {
            actions.push(PartitionAction::GaveUp(error.clone()));
        }
        self.state = State::Error { retry_at };
        error
    }
}
