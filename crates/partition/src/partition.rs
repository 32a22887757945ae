//! The partition itself: what all threads share of it, and what only the holder of the turn may touch.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use haypile_commands::{CommandError, Cx, Deaf, Flags, Handler, Outcome, PackedLimits};
use haypile_oplog::{Oplog, Readers, Syncer};
use haypile_resp::{Reply, Version};
use haypile_store::{Counts, Overlay, Store, StoreError, Tier, View, WriterKnowledge};
use haypile_sync::EpochHistory;
use haypile_sync::message::Message;
use haypile_types::{Clock, Position, Random};
use parking_lot::{Condvar, Mutex};

use crate::commit::{self, Commits, PendingTurn};
use crate::events::{Counters, Heard, ReadObserver};
use crate::group::{Desk, Replica};
use crate::identity;
use crate::open::{Options, Recovery, STORE_DIR, open};
use crate::refusal::Refusal;
use crate::role::{Epochs, Role};
use crate::task::Task;
use crate::turn::{Call, Turn};
use crate::waiting::{BlockedTable, WatchTable};
use crate::writing::{Rehearsals, Worker};
use crate::{CommitError, Event, PartitionError};

/// How often a clean stop tries to write down what is in memory when the disk is full or nearly so.
const CLOSING_FLUSHES_MAX: u32 = 3;

/// What the partition tells its server.
pub trait Hooks: Send + Sync {
    /// Keyspace events of entries that are committed and visible, and messages among them, in order.
    fn events(&self, events: Vec<Event>);

    /// Index from which the log is needed by those who follow it, beyond the readers that are open; `None` = by nobody.
    /// Asked each time before log is let go; it starts at `first` now. Called without a turn.
    fn log_needed_from(&self, first: u64) -> Option<u64>;
    /// Messages of this partition's clients, for those who follow it: before the entries that come after them are
    /// logged, so that no follower can be sent these first.
    fn relay(&self, messages: &mut dyn Iterator<Item = &Message>);
    /// Entries from this index on could not be logged after all: messages that come after them are not to be sent.
    fn take_back(&self, from: u64);
}

/// A log, a store and their writer. Shared by all threads.
pub struct Partition {
    pub(crate) shared: Arc<Shared>,
}

/// What threads other than the writer may use.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) knowledge: WriterKnowledge,
    pub(crate) rehearsals: Rehearsals,
    pub(crate) counters: Counters,
    pub(crate) string_bytes_max: AtomicUsize,
    pub(crate) hll_sparse_bytes_max: AtomicUsize,
    /// What readers have to know of the writer's [`PackedLimits`]: what is an intset.
    pub(crate) intset_entries_max: AtomicU64,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) syncer: Arc<Syncer>,
    pub(crate) readers: Readers,
    /// How many clients wait for keys.
    pub(crate) blocked_clients: Arc<AtomicUsize>,
    pub(crate) dir: PathBuf,
    /// Somebody else writes the log.
    pub(crate) following: AtomicBool,
    /// The tenure of the role. Both change only while the writer and the epochs are held.
    pub(crate) tenure: AtomicU64,
    /// If its entries are committed by a quorum.
    pub(crate) replica: Option<Replica>,
    /// Who wrote which part of the log. Taken after the writer.
    pub(crate) epochs: Mutex<Epochs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) commits: Commits,
    pub(crate) settling: Worker,
    pub(crate) stopping: AtomicBool,
    pub(crate) disk_free_bytes_min: AtomicU64,
    pub(crate) unflushed_log_bytes_max: u64,
    pub(crate) log_free_bytes_min: u64,
    pub(crate) log_segment_bytes: u64,
    pub(crate) queue: Mutex<Vec<Box<dyn Task>>>,
    pub(crate) queued: AtomicUsize,
    /// See [`Partition::panic_in_replay`].
    pub(crate) panics_in_replay: AtomicBool,
    /// Why writes are refused, if they are.
    pub(crate) refused: AtomicBool,
    pub(crate) refusal: Mutex<Option<Refusal>>,
    pub(crate) hooks: Mutex<Option<Arc<dyn Hooks>>>,
    pub(crate) committed: Condvar,
    pub(crate) uncommitted_bytes_max: usize,
    /// What one turn writes after which it is closed even if more tasks wait, bytes: see [`Overlay::turn_load`].
    pub(crate) turn_bytes_max: usize,
    /// Bytes of published rows after which the settling thread is woken.
    pub(crate) unsettled_bytes: usize,
    /// The same after which the writer settles itself, which makes it wait for RocksDB.
    pub(crate) unsettled_bytes_max: usize,
}

/// What only the thread that has the turn may touch.
pub(crate) struct Writer {
    pub(crate) overlay: Overlay,
    pub(crate) packed_limits: PackedLimits,
    pub(crate) oplog: Oplog,
    pub(crate) next_index: u64,
    pub(crate) term: u64,
    pub(crate) last_clock: u64,
    pub(crate) now_ms: u64,
    pub(crate) random: Box<dyn Random>,
    pub(crate) watch: WatchTable,
    pub(crate) blocked: BlockedTable,
    /// Tasks that waited and have been served in this turn.
    pub(crate) served: Vec<Box<dyn Task>>,
    pub(crate) heard: Heard,
    pub(crate) pending: VecDeque<PendingTurn>,
    pub(crate) uncommitted_bytes: usize,
    /// Bytes of effects logged since the partition was opened.
    pub(crate) logged_bytes: u64,
    /// A buffer for the effects of entries from elsewhere.
    pub(crate) replicated: Vec<u8>,
    /// What a replica of a group has to write down.
    pub(crate) desk: Option<Desk>,
}

impl Writer {
    /// Of the last entry.
    pub(crate) fn position(&self) -> Position {
        Position::new(self.term, self.next_index - 1)
    }

    /// Of a replica of a group.
    #[allow(clippy::expect_used)] // `Shared::replica` and this are made together
    pub(crate) fn desk_mut(&mut self) -> &mut Desk {
        self.desk.as_mut().expect("a replica has a desk")
    }
}

/// Figures of a partition.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // the names say it
pub struct PartitionStats {
    /// Position of the last entry in the log.
    pub position: Position,
    pub durable: Position,
    /// Index of the last entry that readers see. The log may be longer: `sync always` waits for the disk.
    pub applied: u64,
    pub hits: u64,
    pub misses: u64,
    pub expired: u64,
    pub blocked_clients: usize,
    pub oplog: haypile_oplog::Stats,
    pub fsyncs: u64,
    pub fsync_us_total: u64,
    pub fsync_us_last: u64,
}

impl Partition {
    /// Opens a partition and brings the store up to the end of the log.
    pub fn open(mut options: Options) -> Result<(Partition, Recovery), PartitionError> {
        let (store, oplog, epochs, ballot, recovery) = open(&mut options)?;
        let state = store.state();
        let group = match (options.group.take(), ballot) {
            (Some(group), Some(ballot)) => Some(Replica::new(group, ballot, &oplog, &state)?),
            _ => None,
        };
        let (replica, desk) = group.unzip();
        let term = match options.role {
            Role::Leader => epochs.history.current().map_or(1, |epoch| epoch.term),
            Role::Follower => state.applied.term,
        };
        let readers = oplog.readers();
        let syncer = oplog.syncer();
        let budget = *options.shared.budget();
        let overlay = Overlay::with_knowledge(budget.knowledge_bytes);
        let knowledge = overlay.knowledge().clone();
        let blocked = BlockedTable::default();
        let blocked_clients = blocked.count();
        let writer = Writer {
            overlay,
            next_index: match recovery.unreplayable {
                None => state.applied.index + 1,
                Some(_) => oplog.last().index + 1,
            },
            term,
            last_clock: state.clock,
            now_ms: options.clock.now_ms(),
            random: options.random,
            watch: WatchTable::default(),
            blocked,
            served: Vec::new(),
            heard: Heard::default(),
            pending: VecDeque::new(),
            uncommitted_bytes: 0,
            logged_bytes: 0,
            replicated: Vec::new(),
            desk,
            packed_limits: PackedLimits::default(),
            oplog,
        };
        let shared = Arc::new(Shared {
            store,
            knowledge,
            rehearsals: Rehearsals::default(),
            blocked_clients,
            counters: Counters::default(),
            string_bytes_max: AtomicUsize::new(512 << 20),
            hll_sparse_bytes_max: AtomicUsize::new(haypile_commands::hll::SPARSE_BYTES_MAX),
            intset_entries_max: AtomicU64::new(PackedLimits::default().intset_entries),
            writer: Mutex::new(writer),
            syncer,
            readers,
            dir: options.dir,
            following: AtomicBool::new(options.role == Role::Follower),
            tenure: AtomicU64::new(options.tenure.0),
            replica,
            epochs: Mutex::new(epochs),
            clock: options.clock,
            commits: Commits::default(),
            settling: Worker::default(),
            stopping: AtomicBool::new(false),
            disk_free_bytes_min: AtomicU64::new(options.disk_free_bytes_min),
            unflushed_log_bytes_max: options.unflushed_log_bytes_max,
            log_free_bytes_min: options.oplog.free_bytes_min,
            log_segment_bytes: options.oplog.segment_bytes,
            queue: Mutex::new(Vec::new()),
            queued: AtomicUsize::new(0),
            panics_in_replay: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            refusal: Mutex::new(None),
            hooks: Mutex::new(None),
            committed: Condvar::new(),
            uncommitted_bytes_max: options.uncommitted_bytes_max,
            turn_bytes_max: budget.turn_bytes_max,
            unsettled_bytes: budget.unsettled_bytes,
            unsettled_bytes_max: budget.unsettled_bytes_max,
        });
        if recovery.store_is_full {
            tracing::error!("the disk is full: writes are refused until there is room");
            shared.refuse(&CommitError::NoSpace("the store cannot be written to".into()));
        }
        if let Some(cause) = &recovery.unreplayable {
            shared.refuse(&CommitError::Poisoned(format!(
                "the log's end cannot be applied: {cause}"
            )));
        }
        shared.commits.worker.start("commit", &shared, commit::commit)?;
        shared.settling.start("settle", &shared, commit::settle_and_free)?;
        Ok((Partition { shared }, recovery))
    }

    /// Says who is to hear of events.
    pub fn set_hooks(&self, hooks: Arc<dyn Hooks>) {
        *self.shared.hooks.lock() = Some(hooks);
    }

    /// Which classes of keyspace events are wanted: bits of [`haypile_commands::Class`].
    pub fn set_notify(&self, classes: u32) {
        self.shared.counters.notify.store(classes, Ordering::Relaxed);
    }

    /// Longest string, bytes.
    pub fn set_string_bytes_max(&self, bytes: usize) {
        self.shared.string_bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// Longest HyperLogLog that is kept in the sparse encoding, bytes.
    pub fn set_hll_sparse_bytes_max(&self, bytes: usize) {
        self.shared.hll_sparse_bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// The store, for reading and for figures.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Evaluates a command that only reads, on the caller's thread, against what has been applied.
    pub fn read(&self, mut call: Call<'_>, random: &mut dyn Random) -> Outcome {
        let Handler::Data(execute) = call.command.spec.handler else {
            return Err(CommandError::reply(
                "ERR this command cannot be evaluated by a partition",
            ));
        };
        let shared = &*self.shared;
        let Some(serving) = self.serving_term() else {
            return Err(CommandError::reply(CommitError::NotLeader.to_string()));
        };
        // What reads for long, from the disk, keeps a state of its own. A few look-ups are soon over.
        let for_long = call.tier == Tier::Disk && !call.command.spec.flags.has(Flags::FAST);
        let (start, tier) = (call.reply.len(), call.tier);
        let mut observer = ReadObserver::new(&shared.counters);
        let mut attempt = |call: &mut Call<'_>, view: View<'_>| -> Outcome {
            observer.begin_again();
            let now = shared.clock.now_ms();
            let mut cx = Cx::new(view, call.reply, &mut observer, random, call.db, now);
            cx.may_block = false;
            cx.string_bytes_max = shared.string_bytes_max.load(Ordering::Relaxed);
            cx.packed_limits.intset_entries = shared.intset_entries_max.load(Ordering::Relaxed);
            execute(&mut cx, call.request)
        };
        let mut outcome = match for_long {
            true => Err(CommandError::Store(StoreError::GivenUp)),
            false => attempt(&mut call, View::reading(&shared.store.read(), tier)),
        };
        if matches!(outcome, Err(CommandError::Store(StoreError::GivenUp))) {
            call.reply.truncate(start);
            outcome = attempt(&mut call, View::pinned(&shared.store.pin(), tier));
        }
        if !matches!(outcome, Err(CommandError::Store(StoreError::Cold))) {
            observer.count();
        }
        if outcome.is_ok() && !self.still_serves(serving) {
            outcome = match tier {
                // Who may wait for the disk may wait for a quorum.
                Tier::Memory => Err(CommandError::Store(StoreError::Cold)),
                Tier::Disk if self.still_serves_or_waits(serving) => outcome,
                Tier::Disk => Err(CommandError::reply(CommitError::NotLeader.to_string())),
            };
        }
        if outcome.is_err() {
            call.reply.truncate(start);
        } else if !observer.events.is_empty() {
            shared.publish(observer.events);
        }
        outcome
    }

    /// Hands tasks to the writer; the vector is empty afterwards. They are finished on this thread or another.
    pub fn submit(&self, tasks: &mut Vec<Box<dyn Task>>) {
        let shared = &*self.shared;
        if let Some(writer) = shared.writer.try_lock() {
            shared.run(writer, tasks, true);
        } else {
            let mut queue = shared.queue.lock();
            queue.append(tasks);
            shared.queued.store(queue.len(), Ordering::SeqCst);
        }
        shared.run_queued(true);
    }

    /// Ends the waits of those blocked clients that `choose` names as if their time were over. No turn is evaluated
    /// between the choice and the end of the waits: a client cannot have begun to wait for something else.
    pub fn unblock_all(&self, choose: impl FnOnce() -> Vec<u64>) {
        let tasks: Vec<_> = {
            let mut writer = self.shared.visit();
            let clients = choose().into_iter();
            clients.filter_map(|client| writer.blocked.remove(client)).collect()
        };
        for mut task in tasks {
            task.unblock(None);
            task.finish(Ok(()));
        }
    }

    /// Forgets a blocked client whose connection is gone.
    pub fn forget(&self, client: u64) -> Option<Box<dyn Task>> {
        self.shared.visit().blocked.remove(client)
    }

    /// Evaluates something of the server's own in a turn and waits until it is committed.
    pub fn run_internal<R: Send>(&self, body: impl FnOnce(&mut Turn<'_>) -> R + Send) -> Result<R, CommitError> {
        self.shared.run_internal(body)
    }

    /// Exact counters of each database.
    pub fn counts(&self) -> Vec<Counts> {
        self.shared.store.counts_of_databases()
    }

    /// Figures, as of now: the writer is not waited for.
    pub fn stats(&self) -> PartitionStats {
        let shared = &self.shared;
        let (syncer, counters) = (&shared.syncer, &shared.counters);
        PartitionStats {
            position: syncer.written(),
            durable: syncer.durable(),
            applied: shared.store.applied().index,
            hits: counters.hits.sum(),
            misses: counters.misses.sum(),
            expired: counters.expired.sum(),
            blocked_clients: shared.blocked_clients.load(Ordering::Relaxed),
            oplog: shared.readers.stats(),
            fsyncs: syncer.fsyncs(),
            fsync_us_total: syncer.fsync_us_total(),
            fsync_us_last: syncer.fsync_us_last(),
        }
    }

    /// Lets `body` read database `db` in one state of it, from the disk if need be.
    ///
    /// # Errors
    /// What `body` says, or that the store cannot be read.
    pub fn inspect<R>(
        &self,
        db: u16,
        random: &mut dyn Random,
        body: impl FnOnce(&mut Cx<'_>) -> Result<R, CommandError>,
    ) -> Result<R, CommandError> {
        let pinned = self.shared.store.pin();
        let view = View::pinned(&pinned, Tier::Disk);
        let mut reply = Reply::new(Version::Resp2);
        let mut deaf = Deaf;
        let now = self.shared.clock.now_ms();
        let mut cx = Cx::new(view, &mut reply, &mut deaf, random, db, now);
        cx.packed_limits.intset_entries = self.shared.intset_entries_max.load(Ordering::Relaxed);
        body(&mut cx)
    }

    /// Sets hits, misses and expired to zero: CONFIG RESETSTAT.
    pub fn reset_counters(&self) {
        let counters = &self.shared.counters;
        for counter in [&counters.hits, &counters.misses, &counters.expired] {
            counter.reset();
        }
    }

    /// Why the disk takes no writes; `None` while it does. [`Partition::takes_writes`] knows the role as well.
    pub fn refusal(&self) -> Option<String> {
        self.shared.refusal.lock().as_ref().map(|r| r.text.clone())
    }

    /// Changes below how many free bytes on the disk writes are refused.
    pub fn set_disk_free_min(&self, bytes: u64) {
        self.shared.disk_free_bytes_min.store(bytes, Ordering::Relaxed);
    }

    /// Makes a copy of the partition in `dir`, which must not exist: a partition in its own right, without a log, that
    /// can be opened or put aside as a backup. It holds what was published when it was made, and shares its files with
    /// this one where the file system can link. Gives the position that it stands for, and takes as long as writing
    /// down what is only in memory.
    ///
    /// # Errors
    /// A file or the store; what is there of the copy is of no use then.
    pub fn checkpoint(&self, dir: &Path) -> Result<Position, PartitionError> {
        let io = |verb| {
            let path = dir.to_owned();
            move |source| PartitionError::Io { verb, path, source }
        };
        std::fs::create_dir_all(dir).map_err(io("create"))?;
        identity::save(dir, None, &EpochHistory::new())?;
        let store = dir.join(STORE_DIR);
        self.shared.store.checkpoint(&store)?;
        std::fs::File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(io("sync"))?;
        Ok(Store::position_of(&store)?)
    }

    /// Makes everything durable and ends what the store does by itself: afterwards nothing of the partition is at work, and
    /// the process may end without dropping it. For a clean stop, after which the next start has nothing to replay.
    ///
    /// # Errors
    /// The log cannot be synced or the store cannot be flushed. What is at work has ended all the same.
    pub fn close(&self) -> Result<(), PartitionError> {
        let saved = self.save();
        self.shared.store.end_background_work();
        saved
    }

    /// Syncs the log and flushes the store, after the writer and the settling thread have done their work.
    fn save(&self) -> Result<(), PartitionError> {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.commits.worker.stop();
        self.shared.syncer.sync()?;
        match &self.shared.replica {
            None => self.shared.publish_durable(),
            Some(replica) => self.shared.leave_group(replica)?,
        }
        let store = &self.shared.store;
        let lacks_space = || store.health().failure().is_some_and(|(_, no_space)| no_space);
        if lacks_space() {
            // There may be room again by now; if not, flushing says so.
            let _ = store.resume();
        }
        self.shared.settling.stop();
        let mut flushed = store.flush();
        for _ in 1..CLOSING_FLUSHES_MAX {
            if flushed.is_ok() || !lacks_space() {
                break;
            }
            // A compaction has filled the disk for a moment, and that stops flushes, too.
            flushed = store.resume().and_then(|()| store.flush());
        }
        flushed?;
        Ok(())
    }
}

impl Drop for Partition {
    /// Ends the threads, so that the directory is free afterwards. Nothing is saved: see [`Partition::close`].
    fn drop(&mut self) {
        self.shared.commits.worker.abandon();
        self.shared.settling.abandon();
    }
}
