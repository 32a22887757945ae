//! What the holder of the writer does for a group: logs, applies, takes and leaves the office of the leader.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use haypile_commands::CommandError;
use haypile_consensus::{Entry, NotLeader, Work};
use haypile_oplog::SyncPolicy;
use haypile_types::Position;
use parking_lot::MutexGuard;

use crate::commit::PendingTurn;
use crate::group::Replica;
use crate::group::undecided::{self, CutOff};
use crate::panics::guarded;
use crate::partition::{Shared, Writer};
use crate::replicated::{REPLICATED_BYTES_KEPT, ReplicatedEntry};
use crate::task::Task;
use crate::writing::Finished;
use crate::{CommitError, Event, PartitionError};

/// How often it is written down, at most, up to where entries are known to be committed.
const COMMIT_SAVED_EVERY_US: u64 = 100_000;

impl Shared {
    /// Proposes the turn that has been evaluated, and logs it. It is done when a quorum has it.
    pub(crate) fn propose_turn(
        &self,
        replica: &Replica,
        writer: &mut Writer,
        done: Vec<Box<dyn Task>>,
        events: Vec<Event>,
    ) -> Finished {
        let clock = self.clock.now_us().max(writer.last_clock + 1);
        let first = writer.oplog.last().index + 1;
        let mut buffer = BytesMut::new();
        let mut ends = Vec::new();
        for (index, payload) in writer.overlay.newest_entries() {
            buffer.extend_from_slice(payload);
            ends.push((index, buffer.len()));
        }
        let Some((last, _)) = ends.last().copied() else {
            return self.end_reading_turn(replica, writer, done, events);
        };
        let mut rest: Bytes = buffer.freeze();
        let mut start = 0;
        let payloads = ends.iter().map(|(_, end)| {
            let payload = rest.split_to(end - start);
            start = *end;
            payload
        });
        let expected = Position::new(writer.term, last);
        let proposed = match replica.serving() == writer.term {
            true => replica.with(|group, now_us| group.propose(now_us, clock, payloads)),
            false => Err(NotLeader),
        };
        let Ok(position) = proposed else {
            writer.overlay.abandon_newest();
            writer.next_index = first;
            return Finished::with(done, Some(CommitError::NotLeader));
        };
        assert!(
            position == expected,
            "entries that were to end with {expected} are proposed up to {position}"
        );
        writer.wait_for_commit(position, clock, done, events, replica.post.now_us());
        self.drive(writer)
    }

    /// A turn that has written nothing: what it has read counts when that is committed, and when it is known that nobody else led meanwhile.
    fn end_reading_turn(
        &self,
        replica: &Replica,
        writer: &mut Writer,
        done: Vec<Box<dyn Task>>,
        events: Vec<Event>,
    ) -> Finished {
        let is_settled = writer.pending.is_empty();
        let mut finished = self.end_empty_turn(writer, done, events);
        // Without the office nothing of the data was read: see `Turn::execute`.
        let serving = replica.serving();
        if is_settled && serving > 0 && !replica.holds(serving) {
            self.confirm_later(replica, writer, std::mem::take(&mut finished.tasks));
        }
        finished
    }

    /// Carries out what has come of what the group was told. Gives the tasks whose outcome is known by that.
    pub(crate) fn drive(&self, writer: &mut Writer) -> Finished {
        let mut finished = Finished::nothing();
        let Some(replica) = &self.replica else { return finished };
        loop {
            let outputs = replica.take();
            let some = !outputs.work.is_empty() || !outputs.committed.is_empty();
            writer.desk_mut().work.extend(outputs.work);
            let carried_out = self.carry_out(replica, writer);
            self.apply_committed(replica, writer, outputs.committed, &mut finished);
            self.take_or_leave_office(replica, writer);
            self.finish_confirmed(replica, writer, &mut finished);
            if !some || !carried_out {
                break;
            }
        }
        finished
    }

    /// Makes ballots and entries durable, in order; false if that cannot be done for now.
    fn carry_out(&self, replica: &Replica, writer: &mut Writer) -> bool {
        let mut done = None;
        while let Some(work) = writer.desk_mut().work.pop_front() {
            if let Err(error) = self.write_down(replica, writer, &work) {
                tracing::error!(%error, "a replica of a group cannot write down what it was told");
                self.refuse_in_group(replica, &error);
                writer.desk_mut().work.push_front(work);
                replica.stalled.store(true, Ordering::Release);
                return false;
            }
            let index = writer.oplog.last().index;
            let mut unsynced = replica.unsynced.lock();
            match writer.oplog.sync_policy() == SyncPolicy::Always && (!work.entries.is_empty() || !unsynced.is_empty())
            {
                true => unsynced.push_back((work.number, index)),
                false => done = Some(work.number),
            }
        }
        if !replica.unsynced.lock().is_empty() {
            self.commits.worker.wake();
        }
        if let Some(number) = done {
            replica.with(|group, now_us| group.persisted(now_us, number));
        }
        true
    }

    /// Refuses writes. If that is not for want of room, this replica is silent from here on, as if it were dead: another has to
    /// lead.
    pub(crate) fn refuse_in_group(&self, replica: &Replica, error: &CommitError) {
        self.refuse(error);
        if self.refusal_is_no_space() == Some(false) {
            replica.silent.store(true, Ordering::Release);
        }
    }

    /// Tries again what could not be written down.
    pub(crate) fn retry_group(&self) {
        if let Some(replica) = &self.replica
            && replica.stalled.swap(false, Ordering::AcqRel)
        {
            replica.wanted.store(true, Ordering::SeqCst);
            self.run_queued(false);
        }
    }

    fn write_down(&self, replica: &Replica, writer: &mut Writer, work: &Work) -> Result<(), CommitError> {
        if let Some(ballot) = work.ballot {
            let now_us = replica.post.now_us();
            let desk = writer.desk_mut();
            desk.known = ballot;
            if work.must_sync_ballot || now_us >= desk.written_us + COMMIT_SAVED_EVERY_US {
                let saved = desk.ballot.save(ballot, work.must_sync_ballot);
                saved.map_err(|error| CommitError::Poisoned(error.to_string()))?;
                desk.written_us = now_us;
            }
        }
        let Some(first) = work.entries.first() else {
            return Ok(());
        };
        if first.position.index <= writer.oplog.last().index {
            self.cut_log(writer, first.position.index)?;
        }
        for Entry {
            position,
            timestamp,
            payload,
        } in &work.entries
        {
            writer.oplog.push(*position, *timestamp, payload);
        }
        writer.oplog.write().map_err(|error| CommitError::from_log(&error))?;
        Ok(())
    }

    /// Another leader has other entries from `index` on: what stands there goes. What becomes of it is told when it is decided.
    fn cut_log(&self, writer: &mut Writer, index: u64) -> Result<(), CommitError> {
        assert!(
            index > self.store.applied().index,
            "entry {index} is to be replaced, and {} are applied",
            self.store.applied()
        );
        let cut = writer.oplog.truncate_after(index - 1);
        cut.map_err(|error| CommitError::from_log(&error))?;
        if let Some(replica) = &self.replica {
            // What waits for the disk waits for no more than there is.
            for (_, last) in replica.unsynced.lock().iter_mut() {
                *last = (*last).min(index - 1);
            }
        }
        while writer.pending.back().is_some_and(|turn| turn.position.index >= index)
            && let Some(turn) = writer.pending.pop_back()
        {
            let first = writer.overlay.newest_entries().next().map_or(index, |(first, _)| first);
            writer.overlay.abandon_newest();
            writer.uncommitted_bytes -= turn.bytes;
            let desk = writer.desk_mut();
            let some = desk.halves.first().is_some_and(|entry| entry.position.index >= first);
            desk.undecided.push(CutOff::new(first, turn, some));
        }
        Ok(())
    }

    /// Applies entries that are committed: this replica's own turns, and what others have written.
    fn apply_committed(&self, replica: &Replica, writer: &mut Writer, entries: Vec<Entry>, finished: &mut Finished) {
        let mut others = self.halves_of_cut_turns(writer);
        let Some(last) = entries.last().or(others.last()).map(|entry| entry.position.index) else {
            return;
        };
        for entry in entries {
            let index = entry.position.index;
            undecided::decide(writer, entry.position, finished);
            match writer.pending.front().map(|turn| turn.position.index) {
                // An entry of a turn that ends later.
                Some(end) if index < end && self.is_of_oldest_turn(writer, index) => {
                    writer.desk_mut().halves.push(entry);
                }
                Some(end) if index == end => {
                    assert!(
                        writer
                            .pending
                            .front()
                            .is_some_and(|turn| turn.position == entry.position),
                        "{} is decided where this replica has proposed another entry",
                        entry.position
                    );
                    self.apply_others(replica, writer, &mut others);
                    writer.desk_mut().halves.clear();
                    finished.join(self.apply_through(writer, index));
                }
                _ => others.push(entry),
            }
        }
        self.apply_others(replica, writer, &mut others);
        let applied = self.store.applied().index.min(last);
        replica.with(|group, now_us| group.applied(now_us, applied));
        self.committed.notify_all();
    }

    /// Entries that were committed of a turn whose end was cut off then: they are applied without it.
    fn halves_of_cut_turns(&self, writer: &mut Writer) -> Vec<Entry> {
        let first = writer.desk_mut().halves.first().map(|entry| entry.position.index);
        match first.is_some_and(|first| !self.is_of_oldest_turn(writer, first)) {
            true => std::mem::take(&mut writer.desk_mut().halves),
            false => Vec::new(),
        }
    }

    fn is_of_oldest_turn(&self, writer: &Writer, index: u64) -> bool {
        writer.overlay.oldest_turn_start().is_some_and(|first| index >= first)
    }

    /// Publishes entries of other leaders.
    fn apply_others(&self, replica: &Replica, writer: &mut Writer, entries: &mut Vec<Entry>) {
        let Some(last) = entries.last() else { return };
        let (end, clock) = (last.position, entries.iter().map(|entry| entry.timestamp).max());
        let clock = clock.unwrap_or(0).max(writer.last_clock);
        let mut payloads = std::mem::take(&mut writer.replicated);
        payloads.clear();
        entries
            .iter()
            .for_each(|entry| payloads.extend_from_slice(&entry.payload));
        writer.last_clock = clock;
        writer.logged_bytes += payloads.len() as u64;
        let applied = guarded(|| self.publish_replayed(writer, &payloads, end, clock));
        if let Err(error) = applied.unwrap_or_else(|cause| Err(CommitError::Panicked(cause))) {
            tracing::error!(%error, "a committed entry cannot be applied");
            self.refuse_in_group(replica, &error);
        } else {
            let entries = entries.iter().map(|entry| ReplicatedEntry {
                position: entry.position,
                timestamp: entry.timestamp,
                payload: &entry.payload,
            });
            self.publish(self.told(entries, Vec::new()));
        }
        if payloads.capacity() <= REPLICATED_BYTES_KEPT {
            writer.replicated = payloads;
        }
        entries.clear();
    }

    /// The right to write begins when all that was decided before is applied, and ends with the office.
    fn take_or_leave_office(&self, replica: &Replica, writer: &mut Writer) {
        let serves = replica.core.lock().serves().unwrap_or(0);
        let before = replica.serving();
        if serves == before {
            return;
        }
        if before > 0 {
            replica.serving.store(0, Ordering::Release);
            self.following.store(true, Ordering::Release);
            tracing::info!(term = before, "this replica does not lead its group any more");
            for mut task in writer.blocked.take_all() {
                // They have waited, and nothing has happened.
                task.unblock(Some(CommandError::reply(CommitError::NotLeader.to_string())));
                task.finish(Ok(()));
            }
            // Somebody else may have changed what they watch before this is known here.
            writer.watch.mark_all();
        }
        let last = writer.oplog.last();
        if serves > 0 && writer.desk_mut().work.is_empty() && last.index == self.store.applied().index {
            assert!(
                writer.pending.is_empty(),
                "what was written in an earlier term is decided"
            );
            writer.term = serves;
            writer.next_index = last.index + 1;
            writer.overlay.forget_knowledge();
            self.following.store(false, Ordering::Release);
            replica.serving.store(serves, Ordering::Release);
            tracing::info!(term = serves, index = last.index, "this replica leads its group");
            replica.with(|_, _| ());
        }
    }

    /// Waits until an entry of this replica's own is applied.
    pub(crate) fn await_quorum(
        &self,
        replica: &Replica,
        writer: &mut MutexGuard<'_, Writer>,
        position: Position,
    ) -> Result<(), CommitError> {
        let until_us = replica.post.now_us() + replica.in_doubt_after_us;
        loop {
            let last = writer.oplog.last();
            if last.index < position.index || last.term != position.term && self.store.applied() < position {
                // Another leader has cut it off, which does not decide about it.
                return Err(CommitError::InDoubt);
            }
            if self.store.applied().index >= position.index {
                return Ok(());
            }
            let now_us = replica.post.now_us();
            if now_us >= until_us {
                return Err(CommitError::InDoubt);
            }
            self.committed
                .wait_for(writer, Duration::from_micros(until_us - now_us));
        }
    }

    /// Index of the first entry that some member of the group may still need; `None` without a group. A follower keeps what its own
    /// store has not saved, and what is kept for whoever comes: it may have to lead.
    pub(crate) fn group_needs_from(&self) -> Option<u64> {
        let replica = self.replica.as_ref()?;
        replica.core.lock().needed_from()
    }

    /// The log on disk begins later by now.
    pub(crate) fn group_log_collected(&self, writer: &Writer) {
        if let Some(replica) = &self.replica {
            let first = writer.oplog.first_index();
            replica.with(|group, _| group.collected(first - 1));
        }
    }

    /// The committing thread's part: makes durable what was written, and says so.
    pub(crate) fn sync_group(&self, replica: &Replica) -> Result<(), CommitError> {
        if replica.unsynced.lock().is_empty() {
            return Ok(());
        }
        self.syncer.sync().map_err(|error| CommitError::from_log(&error))?;
        let durable = self.syncer.durable_index();
        let mut number = None;
        {
            let mut unsynced = replica.unsynced.lock();
            while let Some((done, index)) = unsynced.front().copied()
                && index <= durable
            {
                unsynced.pop_front();
                number = Some(done);
            }
        }
        if let Some(number) = number {
            replica.with(|group, now_us| group.persisted(now_us, number));
        }
        self.run_queued(false);
        Ok(())
    }

    /// Writes down, durably, up to where entries are committed: before something is done on disk that only a replay up to there
    /// can stand upon.
    pub(crate) fn save_commit(&self, replica: &Replica) -> Result<(), CommitError> {
        let commit = replica.core.lock().commit();
        let mut writer = self.visit();
        let desk = writer.desk_mut();
        desk.known.commit = desk.known.commit.max(commit);
        let known = desk.known;
        desk.ballot
            .save(known, true)
            .map_err(|error| CommitError::Poisoned(error.to_string()))
    }

    /// This replica stops: nobody here will know what becomes of what is not committed. It stays in the log, and is not applied.
    pub(crate) fn leave_group(&self, replica: &Replica) -> Result<(), PartitionError> {
        let mut left = Finished::nothing();
        {
            let mut writer = self.visit();
            for turn in &mut writer.pending {
                left.also(std::mem::take(&mut turn.tasks), CommitError::InDoubt);
            }
            undecided::tell_in_doubt(&mut writer, u64::MAX, &mut left);
            for turn in std::mem::take(&mut writer.desk_mut().unconfirmed) {
                left.also(turn.tasks, CommitError::NotLeader);
            }
        }
        left.finish();
        self.save_commit(replica)
            .map_err(|error| PartitionError::Group(error.to_string()))
    }

    /// Tells clients whose writes have waited too long for a quorum that nobody knows what becomes of them.
    pub(crate) fn tell_in_doubt(&self) {
        let Some(replica) = &self.replica else { return };
        let Some(mut writer) = self.writer.try_lock() else {
            return;
        };
        let now_us = replica.post.now_us();
        let late = |turn: &PendingTurn| turn.since_us + replica.in_doubt_after_us <= now_us;
        let mut told = Finished::nothing();
        for turn in writer.pending.iter_mut().take_while(|turn| late(turn)) {
            told.also(std::mem::take(&mut turn.tasks), CommitError::InDoubt);
        }
        undecided::tell_in_doubt(&mut writer, now_us.saturating_sub(replica.in_doubt_after_us), &mut told);
        self.finish_confirmed(replica, &mut writer, &mut told);
        drop(writer);
        told.finish();
        self.run_queued(false);
    }
}
