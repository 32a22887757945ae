//! The writer's turns: who finds the partition free evaluates what has queued up, logs it with one write, and publishes it.

mod hold;
mod prefetch;
mod serving;
mod visit;
mod worker;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_commands::fetch_elements_ahead;
use haypile_types::Position;
use parking_lot::MutexGuard;

pub use self::hold::Hold;
pub use self::prefetch::Ahead;
pub(crate) use self::prefetch::Rehearsals;
pub(crate) use self::visit::{Held, InTurn};
pub(crate) use self::worker::Worker;
use crate::commit::{self, PendingTurn};
use crate::group::Replica;
use crate::panics::guarded;
use crate::partition::{Hooks, Shared, Writer};
use crate::role::Role;
use crate::task::{Step, Task};
use crate::turn::Turn;
use crate::{CommitError, Event};

/// Tasks of one turn after which it is closed even if more wait.
const TURN_TASKS_MAX: usize = 4096;
/// Tasks of which the keys are fetched into the processor's cache together.
const FETCHED_AHEAD: usize = 32;

impl Writer {
    /// The newest turn, whose last entry is at `position`, waits to be committed; `since_us` is [`PendingTurn::since_us`].
    pub(crate) fn wait_for_commit(
        &mut self,
        position: Position,
        clock: u64,
        tasks: Vec<Box<dyn Task>>,
        events: Vec<Event>,
        since_us: u64,
    ) {
        let bytes = self.overlay.turn_bytes();
        self.last_clock = clock;
        self.uncommitted_bytes += bytes;
        self.logged_bytes += self.overlay.turn_logged_bytes() as u64;
        self.pending.push_back(PendingTurn {
            position,
            clock,
            bytes,
            tasks,
            events,
            since_us,
        });
    }
}

impl Shared {
    /// Takes the turn for tasks that have queued up, if nobody else has it. Who pushes while the writer is taken relies
    /// on its holder to look again after letting go; both sides look, so one of them sees the task.
    pub(crate) fn run_queued(&self, may_wait: bool) {
        loop {
            if self.replica.as_ref().is_some_and(Replica::is_wanted) {
                let Some(mut writer) = self.writer.try_lock() else {
                    return;
                };
                let finished = self.drive(&mut writer);
                drop(writer);
                finished.finish();
                continue;
            }
            if self.queued.load(Ordering::SeqCst) == 0 {
                return;
            }
            let Some(writer) = self.writer.try_lock() else { return };
            if !self.run(writer, &mut Vec::new(), may_wait) {
                return;
            }
        }
    }

    /// Takes the turn: evaluates `own` and what is queued, commits, and finishes them. When too much waits to be
    /// committed it waits for that, or, if it may not, leaves the rest in the queue to the committing thread, which has
    /// something to do then, and gives false.
    pub(crate) fn run(&self, mut writer: MutexGuard<'_, Writer>, own: &mut Vec<Box<dyn Task>>, may_wait: bool) -> bool {
        let mut tasks = std::mem::take(own);
        {
            let mut queue = self.queue.lock();
            tasks.append(&mut queue);
            self.queued.store(0, Ordering::SeqCst);
        }
        let mut rest = tasks.into_iter();
        loop {
            while writer.uncommitted_bytes > self.uncommitted_bytes_max && self.refusal().is_none() {
                // A group may never commit it: nobody sleeps for that.
                if !may_wait || self.replica.is_some() {
                    let mut queue = self.queue.lock();
                    queue.splice(..0, rest);
                    self.queued.store(queue.len(), Ordering::SeqCst);
                    return false;
                }
                self.committed.wait(&mut writer);
            }
            let (done, panicked) = self.evaluate(&mut writer, &mut rest);
            let more = rest.len() > 0;
            let finished = self.finish_turn(&mut writer, done, panicked);
            if more {
                finished.finish();
                continue;
            }
            drop(writer);
            finished.finish();
            return true;
        }
    }

    /// Evaluates tasks until they or the turn's limits are used up; gives those that are done, and what one of them, the
    /// last, has panicked with.
    fn evaluate(
        &self,
        writer: &mut Writer,
        tasks: &mut std::vec::IntoIter<Box<dyn Task>>,
    ) -> (Vec<Box<dyn Task>>, Option<String>) {
        writer.overlay.begin_turn();
        writer.now_ms = self.clock.now_ms().max(writer.now_ms);
        // Nothing becomes visible meanwhile; each command's own costs next to nothing with this one around it.
        let _reading = self.store.read();
        let mut done = Vec::with_capacity(tasks.len());
        let mut fetched = 0;
        while done.len() < TURN_TASKS_MAX && writer.overlay.turn_load() < self.turn_bytes_max {
            if fetched == 0 {
                fetched = self.fetch_ahead(tasks.as_slice());
            }
            let Some(mut task) = tasks.next() else { break };
            fetched -= 1;
            match guarded(|| task.evaluate(&mut Turn::new(self, writer))) {
                Ok(Step::Done) => done.push(task),
                Ok(Step::Blocked(awaited)) => writer.blocked.insert(task, awaited),
                Err(cause) => {
                    done.push(task);
                    return (done, Some(cause));
                }
            }
            if !writer.heard.ready.is_empty()
                && let Err(cause) = guarded(|| self.serve_waiting(writer))
            {
                return (done, Some(cause));
            }
            done.append(&mut writer.served);
        }
        (done, None)
    }

    /// Has the processor fetch the rows of the first tasks' keys, or if they have one only, of elements; gives of how many tasks.
    fn fetch_ahead(&self, tasks: &[Box<dyn Task>]) -> usize {
        let tasks = &tasks[..tasks.len().min(FETCHED_AHEAD)];
        let commands = tasks.iter().filter_map(|task| task.only_command());
        if tasks.len() > 1
            && let Some((db, first)) = commands.clone().next()
        {
            let of_db = commands.filter(|(other, _)| *other == db).map(|(_, command)| command);
            let keys = of_db.clone().filter_map(Ahead::key);
            if keys.clone().all(|key| Some(key) == first.key()) {
                let of_db = of_db.map(|ahead| (ahead.command.spec, ahead.request));
                fetch_elements_ahead(&self.store.read(), db, of_db);
            } else {
                self.store.prefetch(db, keys);
            }
        }
        tasks.len()
    }

    /// Ends a turn, whether or not something has panicked in it.
    fn finish_turn(&self, writer: &mut Writer, done: Vec<Box<dyn Task>>, panicked: Option<String>) -> Finished {
        if let Some(cause) = panicked {
            return self.abandon_turn(writer, done, cause);
        }
        match guarded(|| self.end_turn(writer, done)) {
            Ok(finished) => finished,
            Err(cause) => {
                // The turn may be logged or not. Its clients are gone with the panic; others may have seen what it wrote.
                let error = Some(self.panicked(cause));
                let tasks = writer.pending.drain(..).flat_map(|turn| turn.tasks).collect();
                Finished::with(tasks, error)
            }
        }
    }

    /// Appends the turn's entries. With `sync always` it then waits in line for the sync; else it is committed.
    fn end_turn(&self, writer: &mut Writer, done: Vec<Box<dyn Task>>) -> Finished {
        let mut events = std::mem::take(&mut writer.heard.events);
        if let Some(replica) = &self.replica {
            return self.propose_turn(replica, writer, done, events);
        }
        let (overlay, oplog) = (&writer.overlay, &mut writer.oplog);
        let first = oplog.last().index + 1;
        let clock = self.clock.now_us().max(writer.last_clock.saturating_add(1));
        let mut last = None;
        for (index, payload) in overlay.newest_entries() {
            let position = Position::new(writer.term, index);
            oplog.push(position, clock, payload);
            last = Some(position);
        }
        let end = oplog.last().index;
        let relayed = self.relay(&mut events, end);
        let Some(last) = last else {
            return self.end_empty_turn(writer, done, events);
        };
        if let Err(error) = oplog.write() {
            let error = CommitError::from_log(&error);
            tracing::error!(%error, "the log cannot be written");
            writer.overlay.abandon_newest();
            writer.next_index = first;
            if let Some(hooks) = relayed {
                hooks.take_back(first);
            }
            self.refuse(&error);
            return Finished::with(done, Some(error));
        }
        writer.wait_for_commit(last, clock, done, events, 0);
        if writer.oplog.sync_policy() == haypile_oplog::SyncPolicy::Always {
            self.commits.worker.wake();
            return Finished::nothing();
        }
        self.apply_through(writer, last.index)
    }

    /// Ends a turn that has written nothing.
    pub(crate) fn end_empty_turn(&self, writer: &mut Writer, done: Vec<Box<dyn Task>>, events: Vec<Event>) -> Finished {
        writer.overlay.drop_empty_newest();
        if let Some(pending) = writer.pending.back_mut() {
            // It may have read what is not committed yet: it finishes with that.
            pending.tasks.extend(done);
            pending.events.extend(events);
            return Finished::nothing();
        }
        self.publish(events);
        Finished::with(done, None)
    }

    /// Hands the messages of a turn, whose last entry is the one at `end`, to those who pass them on; gives these if there
    /// is anything that they would have to take back.
    fn relay(&self, events: &mut [Event], end: u64) -> Option<Arc<dyn Hooks>> {
        let mut messages = events.iter_mut().filter_map(|event| match event {
            Event::Message(message) => Some(message),
            Event::Key { .. } => None,
        });
        let mut any = false;
        for message in &mut messages {
            any = true;
            if message.after > end {
                (message.after, message.within) = (end, None);
            }
        }
        if !any || self.role() == Role::Follower {
            return None;
        }
        let hooks = self.hooks.lock().clone()?;
        hooks.relay(&mut events.iter().filter_map(|event| match event {
            Event::Message(message) => Some(message),
            Event::Key { .. } => None,
        }));
        Some(hooks)
    }

    /// Publishes the pending turns up to an index that is committed.
    pub(crate) fn apply_through(&self, writer: &mut Writer, index: u64) -> Finished {
        let mut finished = Finished::nothing();
        while writer.pending.front().is_some_and(|turn| turn.position.index <= index) {
            let Some(turn) = writer.pending.pop_front() else { break };
            let applied = guarded(|| self.store.apply_oldest(&mut writer.overlay, turn.position, turn.clock));
            let applied = match applied {
                Ok(applied) => applied,
                Err(cause) => {
                    // It is logged and will be applied at the next start; until then nothing may be built upon it.
                    let error = CommitError::Panicked(cause);
                    tracing::error!(%error, "a committed entry cannot be applied");
                    self.refuse(&error);
                    finished.tasks.extend(turn.tasks);
                    finished.tasks.extend(writer.pending.drain(..).flat_map(|t| t.tasks));
                    finished.error = Some(error);
                    break;
                }
            };
            writer.uncommitted_bytes -= turn.bytes;
            if applied.remapped {
                self.commits.unmapped();
            }
            self.settle_soon(applied);
            self.publish(turn.events);
            finished.tasks.extend(turn.tasks);
        }
        self.committed.notify_all();
        finished
    }

    /// Has published rows written to RocksDB before they get too many.
    pub(crate) fn settle_soon(&self, applied: haypile_store::Applied) {
        let bytes = applied.unsettled_bytes();
        if bytes >= self.unsettled_bytes_max {
            commit::settle(self);
        } else if bytes >= self.unsettled_bytes {
            self.settling.wake();
        }
    }

    /// Fails everything that waits for a sync which will not come.
    pub(crate) fn fail_pending(&self, error: CommitError) {
        self.refuse(&error);
        let tasks = self.visit().pending.drain(..).flat_map(|t| t.tasks).collect();
        self.committed.notify_all();
        Finished::with(tasks, Some(error)).finish();
    }

    /// Publishes all that is durable. In a group that says nothing of what is committed.
    pub(crate) fn publish_durable(&self) {
        assert!(
            self.replica.is_none(),
            "a group's entries are published when a quorum has them"
        );
        let mut writer = self.writer.lock();
        let durable = self.syncer.durable_index();
        let finished = self.apply_through(&mut writer, durable);
        drop(writer);
        finished.finish();
        // The committing thread must not wait for itself.
        self.run_queued(false);
    }

    pub(crate) fn run_internal<R: Send>(&self, body: impl FnOnce(&mut Turn<'_>) -> R + Send) -> Result<R, CommitError> {
        let result = self.run_internal_turn(body);
        // Who queued up behind this turn has nobody else to take theirs.
        self.run_queued(true);
        result
    }

    fn run_internal_turn<R: Send>(&self, body: impl FnOnce(&mut Turn<'_>) -> R + Send) -> Result<R, CommitError> {
        self.assert_no_turn();
        let mut writer = self.writer.lock();
        writer.overlay.begin_turn();
        writer.now_ms = self.clock.now_ms().max(writer.now_ms);
        let evaluated = guarded(|| {
            let result = body(&mut Turn::new(self, &mut writer));
            self.serve_waiting(&mut writer);
            result
        });
        let result = match evaluated {
            Ok(result) => result,
            Err(cause) => {
                let finished = self.abandon_turn(&mut writer, Vec::new(), cause.clone());
                drop(writer);
                finished.finish();
                return Err(CommitError::Panicked(cause));
            }
        };
        let done = std::mem::take(&mut writer.served);
        let finished = self.finish_turn(&mut writer, done, None);
        let position = writer.oplog.last();
        let always = !writer.pending.is_empty();
        if let Some(replica) = &self.replica {
            let error = finished.error.clone();
            let awaited = match error {
                Some(error) => Err(error),
                None => self.await_quorum(replica, &mut writer, position),
            };
            drop(writer);
            finished.finish();
            return awaited.map(|()| result);
        }
        drop(writer);
        let error = finished.error.clone();
        finished.finish();
        if let Some(error) = error {
            return Err(error);
        }
        if always {
            self.syncer
                .sync_to(position.index)
                .map_err(|e| CommitError::from_log(&e))?;
            self.publish_durable();
        }
        Ok(result)
    }

    pub(crate) fn publish(&self, events: Vec<Event>) {
        if !events.is_empty()
            && let Some(hooks) = self.hooks.lock().clone()
        {
            hooks.events(events);
        }
    }
}

/// Tasks to finish once the turn is let go.
#[derive(Default)]
pub(crate) struct Finished {
    pub(crate) tasks: Vec<Box<dyn Task>>,
    pub(crate) error: Option<CommitError>,
    /// Tasks of other turns, of which something else has become.
    others: Vec<(Box<dyn Task>, CommitError)>,
}

impl Finished {
    pub(crate) fn nothing() -> Self {
        Finished::default()
    }

    pub(crate) fn with(tasks: Vec<Box<dyn Task>>, error: Option<CommitError>) -> Self {
        Finished {
            tasks,
            error,
            others: Vec::new(),
        }
    }

    /// Adds tasks of another turn that have failed.
    pub(crate) fn also(&mut self, tasks: Vec<Box<dyn Task>>, error: CommitError) {
        self.others.extend(tasks.into_iter().map(|task| (task, error.clone())));
    }

    /// Adds what another step has come to.
    pub(crate) fn join(&mut self, other: Finished) {
        match other.error {
            None => self.tasks.extend(other.tasks),
            Some(error) => self.also(other.tasks, error),
        }
        self.others.extend(other.others);
    }

    pub(crate) fn finish(self) {
        for task in self.tasks {
            task.finish(match &self.error {
                None => Ok(()),
                Some(error) => Err(error),
            });
        }
        for (task, error) in self.others {
            task.finish(Err(&error));
        }
    }
}
