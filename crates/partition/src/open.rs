//! Opening a partition: identity, store, log, and the replay of what the store has not saved.

use std::collections::HashSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haypile_consensus::Ballot;
use haypile_oplog::{Oplog, TornTail};
use haypile_store::effects::{Effect, Effects};
use haypile_store::{ErrorKind, SharedResources, SpaceId, Store, StoreError, StoreOptions};
use haypile_sync::Tenure;
use haypile_types::{Clock, Position, Random};

use crate::group::{BallotFile, GroupOptions};
use crate::identity::Identity;
use crate::panics::guarded;
use crate::role::{Epochs, Role, history_at_start};
use crate::{PartitionError, ReplicaId, identity, install};

/// What a partition needs.
pub struct Options {
    /// Its directory; made if missing.
    pub dir: PathBuf,
    /// Who writes its log.
    pub role: Role,
    /// For how long: whoever works for this role has the same.
    pub tenure: Tenure,
    /// If it is a replica of a group, which then decides who writes: its role must be [`Role::Follower`].
    pub group: Option<GroupOptions>,
    /// The store's options.
    pub store: StoreOptions,
    /// The log's options.
    pub oplog: haypile_oplog::Options,
    /// Memory shared with other partitions.
    pub shared: SharedResources,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers for the writer.
    pub random: Box<dyn Random>,
    /// Bytes of appended entries that may wait for their sync (`sync always`) before writers wait too.
    pub uncommitted_bytes_max: usize,
    /// Bytes of log since the last flush of the store after which one is asked for: bounds replay after a crash.
    pub unflushed_log_bytes_max: u64,
    /// Bytes that must stay free on the disk; below it writes are refused.
    pub disk_free_bytes_min: u64,
}

/// What opening had to do.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// Entries applied again from the log.
    pub replayed: u64,
    /// The end of the log that was cut off, if any.
    pub torn_tail: Option<TornTail>,
    /// The store had more than the log: entries that the machine lost from the log but that were saved in the store.
    pub log_behind_by: u64,
    /// The disk is full: writes are refused until there is room.
    pub store_is_full: bool,
    /// Why the end of a follower's log cannot be applied, if it cannot: what comes before can be read, and no more entries are
    /// taken.
    pub unreplayable: Option<String>,
    /// Position after recovery.
    pub position: Position,
}

/// The store's place in a partition's directory.
pub(crate) const STORE_DIR: &str = "store";
/// The log's place.
pub(crate) const OPLOG_DIR: &str = "oplog";

/// Bytes of payloads that are replayed as one batch.
const REPLAY_BATCH_BYTES: usize = 1 << 20;
/// Bytes that are replayed before they are written to the store, at most.
const REPLAY_SETTLE_BYTES_MAX: usize = 8 << 20;

/// What a directory has, ready to be used.
pub(crate) type Opened = (Store, Oplog, Epochs, Option<(BallotFile, Ballot)>, Recovery);

/// Brings what is in the directory up to date, and gives who wrote its log.
pub(crate) fn open(options: &mut Options) -> Result<Opened, PartitionError> {
    let dir: &Path = &options.dir.clone();
    fs::create_dir_all(dir).map_err(|source| PartitionError::Io {
        verb: "create",
        path: dir.to_owned(),
        source,
    })?;
    install::recover(dir)?;
    if options.role == Role::Leader
        && let Err(error) = install::discard_incoming(dir)
    {
        tracing::warn!(%error, "what is left of a copy cannot be removed");
    }
    let saved = identity::load_or_create(dir, &mut *options.random)?;
    let (mut oplog, opened) = Oplog::open(&dir.join(OPLOG_DIR), options.oplog.clone())?;
    let store = Store::open(&dir.join(STORE_DIR), options.store.clone(), options.shared.clone())?;
    let state = store.state();
    let mut recovery = Recovery {
        torn_tail: opened.torn_tail.clone(),
        ..Recovery::default()
    };

    if options.group.is_none() && BallotFile::is_in(dir) {
        return Err(PartitionError::Group(format!(
            "{} belongs to a member of a replica group: start it with its group-members; what it wrote alone would not be what the \
             group has decided",
            dir.display()
        )));
    }
    let ballot = options.group.as_ref().map(|_| BallotFile::open(dir)).transpose()?;
    // A group's entries count when they are committed.
    let end = match &ballot {
        Some((_, ballot)) => ballot.commit.max(state.applied.index).min(oplog.last().index),
        None => oplog.last().index,
    };
    if oplog.last().index < state.applied.index && ballot.is_some() {
        return Err(PartitionError::Group(format!(
            "the machine has lost what this replica had acknowledged: its log ends at {}, its store at {}; remove {} and let \
             it be filled again as another replica",
            oplog.last(),
            state.applied,
            dir.display()
        )));
    }
    if oplog.last().index < state.applied.index {
        // The store was flushed and then the machine lost the unsynced end of the log. The store is whole;
        // the log goes on behind it.
        recovery.log_behind_by = state.applied.index - oplog.last().index;
        oplog.reset_after(state.applied)?;
    } else if end > state.applied.index {
        let settle_bytes = options.shared.budget().unsettled_bytes.min(REPLAY_SETTLE_BYTES_MAX);
        // A group sees to its replicas itself.
        match options.role == Role::Follower && ballot.is_none() {
            false => recovery.replayed = replay(&store, &oplog, state.applied, end, settle_bytes)?,
            true => replay_others(&store, &oplog, state.applied, settle_bytes, &mut recovery)?,
        }
    }
    recovery.position = store.state().applied;
    if recovery.unreplayable.is_none() {
        let freed = store.drop_unmapped(oplog.syncer().durable_index());
        recovery.store_is_full = is_full(freed)? || is_full(store.settle())?;
    }
    let epochs = start_history(options, &saved, &oplog, &mut recovery)?;
    Ok((store, oplog, epochs, ballot, recovery))
}

/// Replays a log that somebody else has written. What cannot be applied of it is no reason to be away: somebody has all of it, so
/// what comes before can be read until it comes anew.
fn replay_others(
    store: &Store,
    oplog: &Oplog,
    applied: Position,
    settle_bytes: usize,
    recovery: &mut Recovery,
) -> Result<(), PartitionError> {
    let cause = match guarded(|| replay(store, oplog, applied, oplog.last().index, settle_bytes)) {
        Ok(Ok(replayed)) => {
            recovery.replayed = replayed;
            return Ok(());
        }
        Ok(Err(error)) if error.is_damage() => error.to_string(),
        Ok(Err(error)) => return Err(error),
        Err(panic) => panic,
    };
    recovery.replayed = store.applied().index - applied.index;
    recovery.unreplayable = Some(cause);
    Ok(())
}

/// Makes the history durable that this start begins with. Without room for it nothing is written until there is.
fn start_history(
    options: &mut Options,
    saved: &Identity,
    oplog: &Oplog,
    recovery: &mut Recovery,
) -> Result<Epochs, PartitionError> {
    let end = match recovery.unreplayable {
        None => recovery.position,
        // What cannot be applied is in the log all the same, and is told of.
        Some(_) => oplog.last(),
    };
    let history = history_at_start(&saved.history, end, options.role, &mut *options.random);
    let replica = saved.replica.unwrap_or_else(|| ReplicaId::fresh(&mut *options.random));
    if saved.replica == Some(replica) && history == saved.history {
        return Ok(Epochs {
            replica,
            history,
            saved: true,
        });
    }
    // What a new epoch comes after must not be lost any more.
    oplog.syncer().sync()?;
    let saved = match identity::save(&options.dir, Some(replica), &history) {
        Ok(()) => true,
        Err(PartitionError::Io { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull => {
            recovery.store_is_full = true;
            false
        }
        Err(error) => return Err(error),
    };
    Ok(Epochs {
        replica,
        history,
        saved,
    })
}

/// On a full disk the store cannot be brought up to date, but it can be read: what it does not take stays in memory.
fn is_full(outcome: Result<(), StoreError>) -> Result<bool, StoreError> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NoSpace => Ok(true),
        outcome => outcome.map(|()| false),
    }
}

/// The keyspaces that some database is before or within this part of the log, and none is at its end.
fn dead_spaces(store: &Store, oplog: &Oplog, range: &RangeInclusive<u64>) -> Result<HashSet<SpaceId>, PartitionError> {
    let mut dbs = store.mapping();
    let mut known: HashSet<SpaceId> = dbs.iter().copied().collect();
    let mut reader = oplog.reader(*range.start())?;
    while reader.next_index() <= *range.end()
        && let Some(entry) = reader.next_borrowed()?
    {
        for effect in Effects::new(entry.payload) {
            if let Effect::Map { db, space } = effect? {
                known.insert(space);
                if let Some(place) = dbs.get_mut(usize::from(db)) {
                    *place = space;
                }
            }
        }
    }
    known.retain(|space| !dbs.contains(space));
    Ok(known)
}

/// Applies what comes after `applied`, up to the entry at `end`.
fn replay(
    store: &Store,
    oplog: &Oplog,
    applied: Position,
    end: u64,
    settle_bytes: usize,
) -> Result<u64, PartitionError> {
    let range = applied.index + 1..=end;
    if oplog.first_index() > *range.start() {
        return Err(PartitionError::Gap {
            first: oplog.first_index(),
            applied,
        });
    }
    // A keyspace that replay unmaps is freed on disk: what says so must be on disk too.
    oplog.syncer().sync()?;
    store.pass_over(dead_spaces(store, oplog, &range)?);
    let mut reader = oplog.reader(*range.start())?;
    let mut batch = Vec::with_capacity(REPLAY_BATCH_BYTES * 2);
    let mut at = Position::ZERO;
    let mut clock = 0;
    let mut replayed = 0;
    while reader.next_index() <= *range.end()
        && let Some(entry) = reader.next_borrowed()?
    {
        batch.extend_from_slice(entry.payload);
        at = entry.header.position;
        clock = entry.header.timestamp;
        replayed += 1;
        if batch.len() >= REPLAY_BATCH_BYTES {
            let applied = store.replay(&batch, at, clock)?;
            if applied.unsettled_bytes() >= settle_bytes {
                is_full(store.settle())?;
            }
            batch.clear();
        }
    }
    if !batch.is_empty() {
        store.replay(&batch, at, clock)?;
    }
    Ok(replayed)
}
