//! The owner of the server's role: everything that changes it comes here, see [`haypile_sync::role`].
//!
//! Locks are taken in this order: the partition's writer, then the role. So nothing is written while a role changes, and a command
//! within a turn can change it.

pub mod failover;
mod role_file;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use haypile_config::Config;
use haypile_partition::{PartitionError, RoleChange, Turn};
use haypile_sync::role::{
    Address, Answer, Decided, RoleAction, RoleEvent, RoleMachine, RoleRefusal, RoleState, SavedRole,
};
use haypile_sync::{NodeId, PartitionId, Tenure};
use parking_lot::Mutex;

use crate::error::DirError;
use crate::partitions::OpenPartition;
use crate::pause::PausePurpose;
use crate::replication::Replication;

/// How long writes are held up at most for a failover, milliseconds: until it is over, one way or the other.
const HOLD_MS: u64 = 1 << 40;

/// Why a role does not change.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// The role does not allow it.
    #[error("{0:?}")]
    Refused(RoleRefusal),
    /// The data.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// What the directory is to remember.
    #[error("the role cannot be saved: {0}")]
    Save(#[from] io::Error),
}

impl From<RoleRefusal> for RoleError {
    fn from(refusal: RoleRefusal) -> Self {
        RoleError::Refused(refusal)
    }
}

/// See the module.
pub struct Roles {
    state: Mutex<State>,
    /// The machine, for those who only look.
    shown: ArcSwap<RoleMachine>,
    dir: PathBuf,
}

struct State {
    /// What the directory remembers; `None` if that is not known.
    saved: Option<SavedRole>,
    /// What primaries that hand over have been told.
    decided: Decided,
}

impl Roles {
    /// The role in which a server starts: the configuration's, if it says anything, or else the one that the directory remembers.
    ///
    /// # Errors
    /// What the directory remembers cannot be read.
    pub(super) fn at_start(config: &Config) -> Result<Roles, DirError> {
        let dir = config.load().dir.clone();
        let saved = match role_file::load(&dir) {
            // Then it does not matter what the directory remembers.
            Err(error) if config.is_given("replicaof") => {
                tracing::warn!(%error, dir = %dir.display(), "the role that the server took last cannot be read; replicaof says which it is");
                None
            }
            saved => saved.map_err(|source| DirError {
                verb: "read the role in",
                path: dir.clone(),
                source,
            })?,
        };
        let remembered = saved.clone().unwrap_or_default();
        let role = match config.is_given("replicaof") {
            false => remembered,
            true => match Address::parse(&config.load().replicaof) {
                None => SavedRole::Primary,
                Some(source) if RoleMachine::start(remembered.clone()).0.source() == Some(&source) => remembered,
                Some(source) => SavedRole::Replica {
                    source,
                    confirmed: false,
                },
            },
        };
        let (machine, _) = RoleMachine::start(role);
        if let (Some(source), false) = (machine.source(), config.is_given("replicaof")) {
            tracing::info!(%source, "this server follows another, as it did when it stopped");
        }
        show_in(config, &machine);
        Ok(Roles {
            state: Mutex::new(State {
                saved,
                decided: Decided::default(),
            }),
            shown: ArcSwap::from_pointee(machine),
            dir,
        })
    }

    /// The role of this moment, to look at and let go. It may be another at once.
    pub fn load(&self) -> Guard<Arc<RoleMachine>> {
        self.shown.load()
    }

    /// Begins what the first role needs, once everything else runs.
    pub(super) fn begin(&self, replication: &Arc<Replication>) {
        let mut state = self.state.lock();
        let (machine, actions) = RoleMachine::start(self.load().saved());
        self.remember(&mut state, &machine);
        for action in actions {
            self.perform(replication, None, action);
        }
    }

    /// Gives the machine an event, from within a turn or from elsewhere.
    ///
    /// # Errors
    /// Why the role is as before.
    pub fn change(
        &self,
        replication: &Arc<Replication>,
        turn: Option<&mut Turn<'_>>,
        event: RoleEvent,
    ) -> Result<(), RoleError> {
        with_writer(replication, turn, |writer| {
            let state = &mut *self.state.lock();
            self.step(replication, state, writer, event)
        })
    }

    /// A failover is over before it has begun.
    pub(super) fn give_up(&self, replication: &Arc<Replication>, failover: u64) {
        let state = &mut *self.state.lock();
        // Refused if it is over already.
        let _ = self.step(replication, state, None, RoleEvent::GaveUp(failover));
    }

    /// A primary that hands over tells this server to take over.
    ///
    /// # Errors
    /// Why it does not, this time.
    pub fn take_over(
        &self,
        replication: &Arc<Replication>,
        turn: Option<&mut Turn<'_>>,
        primary: NodeId,
        failover: u64,
        end: u64,
    ) -> Result<Answer, String> {
        with_writer(replication, turn, |writer| {
            let state = &mut *self.state.lock();
            if let Some(answer) = state.decided.answer(&self.load(), failover) {
                return Ok(answer);
            }
            let applied = replication
                .parts
                .partitions
                .the_one()
                .as_ref()
                .map(|data| data.log_ends().applied);
            if applied.is_none_or(|applied| applied < end) {
                return Err(format!("this replica has not got everything up to {end}"));
            }
            let silence = Duration::from_secs(u64::from(replication.parts.config.load().repl_timeout));
            if !replication.hears(primary, silence) {
                return Err("this replica does not hear its primary".to_owned());
            }
            self.step(replication, state, writer, RoleEvent::Unfollow)
                .map_err(|error| error.to_string())?;
            Ok(state.decided.take_over(failover))
        })
    }

    /// A primary that has told this server to take over takes it back.
    pub fn never_mind(&self, failover: u64) -> Answer {
        let state = &mut *self.state.lock();
        let answer = state.decided.answer(&self.load(), failover);
        answer.unwrap_or_else(|| state.decided.promise(failover))
    }

    /// The source has found, for a stream of this tenure, that its log begins with ours; or that it does not.
    pub(super) fn confirm(&self, tenure: Tenure, begins_with_ours: bool) {
        let state = &mut *self.state.lock();
        let Some(machine) = self.load().confirm(tenure, begins_with_ours) else {
            return;
        };
        self.remember(state, &machine);
        self.shown.store(Arc::new(machine));
    }

    /// Gives the server its data again, in the role that it has by now.
    pub(crate) fn data_opened(&self, replication: &Arc<Replication>, id: &PartitionId, data: OpenPartition) {
        let mut writer = data.role_change();
        let state = &mut *self.state.lock();
        let (machine, _) = match self.load().step(RoleEvent::InstallationEnds) {
            Ok(next) => next,
            Err(_) => (RoleMachine::clone(&self.load()), Vec::new()),
        };
        writer.follow(machine.tenure());
        drop(writer);
        self.remember(state, &machine);
        replication.parts.partitions.put(id, data);
        self.shown.store(Arc::new(machine));
    }

    fn step(
        &self,
        replication: &Arc<Replication>,
        state: &mut State,
        mut writer: Option<&mut RoleChange<'_>>,
        event: RoleEvent,
    ) -> Result<(), RoleError> {
        let before = self.load();
        let (machine, actions) = before.step(event)?;
        let needs_writer = |action: &RoleAction| matches!(action, RoleAction::Demote(_) | RoleAction::Promote(_));
        if writer.is_none() && actions.iter().any(needs_writer) && replication.parts.partitions.the_one().is_some() {
            // It was opened after the caller had looked for it.
            return Err(RoleRefusal::Loading.into());
        }
        for action in &actions {
            let done = match action {
                RoleAction::Save(role) => self.save(state, role.clone()).map_err(RoleError::from),
                RoleAction::Promote(tenure) => match &mut writer {
                    Some(writer) => writer.promote(*tenure).map(drop).map_err(RoleError::from),
                    None => Err(RoleRefusal::Loading.into()),
                },
                _ => Ok(()),
            };
            if let Err(error) = done {
                if let Err(again) = self.save(state, before.saved()) {
                    tracing::error!(error = %again, "the role that this server keeps cannot be saved: a restart would take another");
                }
                return Err(error);
            }
        }
        let source = machine.source().map_or_else(|| "no one".to_owned(), Address::to_string);
        tracing::info!(from = %before.state(), to = %machine.state(), source, tenure = %machine.tenure(), "role");
        show_in(&replication.parts.config, &machine);
        self.shown.store(Arc::new(machine));
        for action in actions {
            self.perform(replication, writer.as_deref_mut(), action);
        }
        Ok(())
    }

    /// Saves a role that is in force already: what cannot be saved now is saved at the next change.
    fn remember(&self, state: &mut State, machine: &RoleMachine) {
        if let Err(error) = self.save(state, machine.saved()) {
            tracing::warn!(%error, "the role cannot be saved: after a restart it may be forgotten");
        }
    }

    fn save(&self, state: &mut State, role: SavedRole) -> io::Result<()> {
        if state.saved.as_ref() == Some(&role) {
            return Ok(());
        }
        // Until it is known which of the two the disk has.
        state.saved = None;
        role_file::save(&self.dir, &role)?;
        state.saved = Some(role);
        Ok(())
    }

    /// Does what cannot fail.
    fn perform(&self, replication: &Arc<Replication>, writer: Option<&mut RoleChange<'_>>, action: RoleAction) {
        let follower = &replication.follower;
        match action {
            // Done already.
            RoleAction::Save(_) | RoleAction::Promote(_) => {}
            RoleAction::Demote(tenure) => {
                if let Some(writer) = writer {
                    writer.follow(tenure);
                }
            }
            RoleAction::HoldWrites => replication.parts.pausing.begin(
                PausePurpose::Failover,
                replication.parts.clock.now_ms() + HOLD_MS,
                true,
            ),
            RoleAction::LetWrites => replication.parts.pausing.end(PausePurpose::Failover),
            RoleAction::AskToTakeOver(takeover) => failover::ask(replication, takeover),
            RoleAction::AskToForget(failover) => replication.failover.forget(failover),
            RoleAction::Follow(source, tenure) => follower.follow(format!("{}:{}", source.host, source.port), tenure),
            RoleAction::Unfollow(tenure) => follower.unfollow(tenure),
        }
    }
}

/// CONFIG GET and CONFIG REWRITE show whom this server follows; nothing else looks there.
fn show_in(config: &Config, machine: &RoleMachine) {
    let source = machine.source().map(Address::to_string).unwrap_or_default();
    if config.load().replicaof != source {
        config.change(|values| values.replicaof = source);
    }
}

/// Runs `change` with the writer held, unless there is no data. The writer is let go after everything that `change` holds: whoever
/// lets it go evaluates what has queued up for it, and that may be a change of the role.
fn with_writer<R>(
    replication: &Replication,
    turn: Option<&mut Turn<'_>>,
    change: impl FnOnce(Option<&mut RoleChange<'_>>) -> R,
) -> R {
    match turn {
        Some(turn) => change(Some(&mut turn.role_change())),
        None => {
            let data = replication.parts.partitions.the_one();
            let mut writer = data.as_ref().map(|data| data.role_change());
            change(writer.as_mut())
        }
    }
}

/// As INFO shows a failover.
pub fn failover_state(state: RoleState) -> &'static str {
    match state {
        RoleState::HandingOver => "waiting-for-sync",
        RoleState::Promoting | RoleState::Unresolved => "failover-in-progress",
        RoleState::Primary | RoleState::Replica | RoleState::Installing => "no-failover",
    }
}
