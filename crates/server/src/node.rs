//! One running server: its partition, its clients, its threads.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use haypile_acl::Denial;
use haypile_commands::table::Known;
use haypile_commands::{Flags, Outcome, PackedLimits};
use haypile_partition::{Call, Event, Hooks, PartitionError, Role};
use haypile_resp::Request;
use haypile_store::{SharedResources, StoreOptions};
use haypile_sync::message::Message;
use haypile_sync::{PartitionId, Tenure};
use haypile_types::{Clock, Random, SystemClock};
use parking_lot::Mutex;

use crate::checkpoint::Saves;
use crate::client::{Client, Clients};
use crate::commands::describe_client;
use crate::compaction::Compaction;
use crate::http::{self, Http};
use crate::io::{self, Mailbox};
use crate::latency::LatencyMonitor;
use crate::logging::LogControl;
use crate::memory::Memory;
use crate::monitor::Monitors;
use crate::open_files::{self, Shares};
use crate::partitions::{self, LOADING, OpenPartition, Partitions};
use crate::pause::{PausePurpose, Pauses};
use crate::pool::Pool;
use crate::process;
use crate::pubsub::{PubSub, Sort};
use crate::random::SplitMix64;
use crate::recovery;
use crate::replication::Replication;
use crate::routing::partition_of;
use crate::sampler::Sampler;
use crate::slowlog::SlowLog;
use crate::stats::Stats;
use crate::tls::{Tls, TlsError};
use crate::users::{Account, Context, DenialEntry, Reason, Users, UsersError};
use haypile_config::{Config, NotifyFlags, Values};

/// Why a server cannot start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory.
    #[error("cannot {verb} {path}: {source}{}", advice(source))]
    Io {
        /// What was attempted.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// Another process uses the data directory.
    #[error("{0} is in use by another process; stop it, or give this one another --dir")]
    Locked(PathBuf),
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}: {source}{}", listen_advice(source, addr))]
    Listen {
        /// The address.
        addr: String,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// Certificates and keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Users.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The data.
    #[error(transparent)]
    Partition(#[from] PartitionError),
}

/// What to do about an error with the data directory, where the system's words do not say it.
fn advice(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => "; it is not a directory: give another --dir",
        ErrorKind::PermissionDenied => "; give the user who runs haypile access to it, or give another --dir",
        ErrorKind::ReadOnlyFilesystem => "; give another --dir",
        _ if source.raw_os_error() == Some(libc::EMFILE) => "; raise the limit (ulimit -n)",
        _ => "",
    }
}

/// What to do about an address that cannot be listened on.
fn listen_advice(source: &std::io::Error, addr: &str) -> String {
    use std::io::ErrorKind;
    let key = match addr {
        addr if addr.ends_with("(HTTP)") => "http-port",
        addr if addr.ends_with("(TLS)") => "tls-port",
        _ => "port",
    };
    match source.kind() {
        ErrorKind::AddrInUse => format!("; stop what uses it, or give another --{key}"),
        ErrorKind::AddrNotAvailable => "; this machine has no such address: give another --bind".to_owned(),
        ErrorKind::PermissionDenied => format!("; ports below 1024 need privileges: give another --{key}"),
        _ => String::new(),
    }
}

/// One running server.
pub struct Node {
    /// The configuration.
    pub config: Config,
    /// The data.
    pub partitions: Partitions,
    /// How many files each part may have open.
    pub(crate) shares: Shares,
    /// Who follows whom.
    pub replication: Replication,
    /// Who is connected.
    pub clients: Clients,
    /// Who may do what.
    pub users: Users,
    /// Who listens.
    pub pubsub: PubSub,
    /// Counters.
    pub stats: Stats,
    /// Slow commands.
    pub slowlog: SlowLog,
    /// Threads for cold reads.
    pub pool: Pool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When it started.
    pub started: Instant,
    /// Milliseconds since the epoch at which it started.
    pub started_ms: u64,
    /// 40 hexadecimal digits, new at each start.
    pub run_id: String,
    /// The port that clients connect to; 0 if they have to speak TLS.
    pub port: u16,
    /// The port for those that speak TLS; 0 if there is none.
    pub tls_port: u16,
    /// What is needed for that.
    pub tls: Tls,
    /// The level of the log.
    pub log: LogControl,
    /// The memory, and who sees to it that it stays within the budget.
    pub memory: Arc<Memory>,
    /// Checkpoints.
    pub saves: Saves,
    /// COMPACT.
    pub compaction: Compaction,
    /// MONITOR.
    pub monitors: Monitors,
    /// Events that took long.
    pub latency: LatencyMonitor,
    /// Rates.
    pub sampler: Sampler,
    http: Mutex<Option<Http>>,
    pauses: Pauses,
    stopping: AtomicBool,
    mailboxes: Vec<Arc<Mailbox>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _lock: File,
}

/// The machine's memory or the container's share of it, bytes.
pub fn machine_bytes() -> u64 {
    let total = process::machine_total_bytes().unwrap_or(4 << 30);
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max");
    let limit = limit.ok().and_then(|text| text.trim().parse::<u64>().ok());
    limit.map_or(total, |limit| limit.min(total))
}

/// The memory that the stores share.
fn shared_resources(values: &Values) -> SharedResources {
    let budget = values.memory_budget_bytes(machine_bytes());
    let write_buffers = match values.rocksdb_write_buffer_size {
        0 => haypile_store::Budget::write_buffer_share(budget as usize) as u64,
        bytes => bytes,
    };
    SharedResources::new(budget as usize, write_buffers as usize)
}

/// A partition's directory.
pub fn partition_dir(values: &Values, id: &PartitionId) -> PathBuf {
    partitions::dir_of(&values.dir, id)
}

/// The log's options.
pub fn oplog_options(values: &Values) -> haypile_oplog::Options {
    haypile_oplog::Options {
        segment_bytes: values.oplog_segment_bytes,
        sync: values.sync,
        retention_bytes_max: values.oplog_retention_bytes,
        retention_ms_max: retention_ms(values),
        pinned_bytes_max: values.oplog_pinned_max_bytes,
        ..haypile_oplog::Options::default()
    }
}

fn partition_options(
    id: &PartitionId,
    values: &Values,
    clock: &Arc<dyn Clock>,
    shared: &SharedResources,
    shares: Shares,
    (role, tenure): (Role, Tenure),
) -> haypile_partition::Options {
    let budget = shared.budget();
    let write_buffers = budget.write_buffer_bytes as u64;
    haypile_partition::Options {
        dir: partition_dir(values, id),
        role,
        tenure,
        group: None,
        store: StoreOptions {
            databases: values.databases,
            compression: values.rocksdb_compression,
            background_jobs: u32::from(values.rocksdb_max_background_jobs),
            block_bytes: values.rocksdb_block_size as usize,
            open_files_max: shares.store,
        },
        oplog: oplog_options(values),
        shared: shared.clone(),
        clock: clock.clone(),
        random: Box::new(SplitMix64::from_system()),
        uncommitted_bytes_max: budget.uncommitted_bytes_max,
        unflushed_log_bytes_max: (write_buffers * 4).max(256 << 20),
        disk_free_bytes_min: values.disk_free_min_bytes,
    }
}

/// How much of the log is kept that could go.
pub fn retention(values: &Values) -> haypile_oplog::Retention {
    haypile_oplog::Retention {
        bytes_max: values.oplog_retention_bytes,
        ms_max: retention_ms(values),
        pinned_bytes_max: values.oplog_pinned_max_bytes,
    }
}

/// `oplog-retention-hours` in milliseconds; 0 hours is no limit.
fn retention_ms(values: &Values) -> u64 {
    match values.oplog_retention_hours {
        0 => u64::MAX,
        hours => u64::from(hours) * 3_600_000,
    }
}

fn lock_dir(values: &Values) -> Result<File, NodeError> {
    let dir = &values.dir;
    fs::create_dir_all(dir).map_err(|source| NodeError::Io {
        verb: "create",
        path: dir.clone(),
        source,
    })?;
    let path = dir.join("LOCK");
    let file = File::create(&path).map_err(|source| NodeError::Io {
        verb: "create",
        path: path.clone(),
        source,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(NodeError::Locked(dir.clone())),
        Err(fs::TryLockError::Error(source)) => Err(NodeError::Io {
            verb: "lock",
            path,
            source,
        }),
    }
}

/// Up to where collections are packed.
pub fn packed_limits(values: &Values) -> PackedLimits {
    PackedLimits {
        hash_entries: values.hash_max_listpack_entries,
        hash_value: values.hash_max_listpack_value,
        intset_entries: values.set_max_intset_entries,
        set_entries: values.set_max_listpack_entries,
        set_value: values.set_max_listpack_value,
        zset_entries: values.zset_max_listpack_entries,
        zset_value: values.zset_max_listpack_value,
        list_size: values.list_max_listpack_size,
    }
}

/// The notify flags as the partition's classes: the same bits, if anything is published at all.
pub fn notify_classes(flags: NotifyFlags) -> u32 {
    match flags.0 & (NotifyFlags::KEYSPACE | NotifyFlags::KEYEVENT) {
        0 => 0,
        _ => flags.0 & !(NotifyFlags::KEYSPACE | NotifyFlags::KEYEVENT),
    }
}

/// Lowers `maxclients` to what the system allows.
fn share_files(config: &Config) -> (Arc<Values>, Shares) {
    let values = config.get();
    let shares = open_files::share(&values);
    if shares.clients < values.maxclients {
        let (wanted, clients) = (values.maxclients, shares.clients.to_string());
        tracing::warn!(
            wanted,
            maxclients = clients,
            "maxclients is lowered: the limit of open files (ulimit -n) allows no more"
        );
        if let Err(error) = config.set(&[(b"maxclients", clients.as_bytes())], true) {
            tracing::error!(%error, "maxclients cannot be lowered");
        }
    }
    (config.get(), shares)
}

/// 40 hexadecimal digits.
pub(crate) fn random_id() -> String {
    let mut random = SplitMix64::from_system();
    let digits: String = (0..3).map(|_| format!("{:016x}", random.next_u64())).collect();
    digits[..40].to_owned()
}

struct EventHooks(std::sync::Weak<Node>);

impl Hooks for EventHooks {
    fn log_needed_from(&self, first: u64) -> Option<u64> {
        let node = self.0.upgrade()?;
        let keep_for = Duration::from_secs(u64::from(node.config.load().oplog_pinned_away_seconds));
        let replication = &node.replication;
        replication.source.log_needed_from(replication.now(), first, keep_for)
    }

    fn events(&self, events: Vec<Event>) {
        let Some(node) = self.0.upgrade() else { return };
        let flags = node.config.load().notify_keyspace_events.0;
        for event in events {
            let (event, db, key) = match event {
                Event::Key { event, db, key } => (event.name(), db, key),
                Event::Message(message) => {
                    node.pubsub.deliver(&message);
                    continue;
                }
            };
            if flags & NotifyFlags::KEYSPACE != 0 {
                let channel = [format!("__keyspace@{db}__:").as_bytes(), &key].concat();
                node.pubsub.publish(Sort::Channel, &channel, event.as_bytes());
            }
            if flags & NotifyFlags::KEYEVENT != 0 {
                let channel = format!("__keyevent@{db}__:{event}");
                node.pubsub.publish(Sort::Channel, channel.as_bytes(), &key);
            }
        }
    }

    fn relay(&self, messages: &mut dyn Iterator<Item = &Message>) {
        let Some(node) = self.0.upgrade() else { return };
        messages.for_each(|message| node.relay(message, || message.after));
    }

    fn take_back(&self, from: u64) {
        if let Some(node) = self.0.upgrade() {
            node.replication.source.published.take_back(from);
        }
    }
}

impl Node {
    /// Opens the data, binds the listeners and starts the threads.
    ///
    /// # Errors
    /// What is in the way, in one line.
    pub fn start(config: Config, log: LogControl) -> Result<Arc<Node>, NodeError> {
        let (values, shares) = share_files(&config);
        let lock = lock_dir(&values)?;
        let users = Users::open(&values, config.user_lines())?;
        let tls = Tls::default();
        tls.load(&values)?;
        let (listeners, port) = io::listen(&values)?;
        let http = http::bind(&values)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let replication = Replication::prepare(&config, if port > 0 { port } else { values.tls_port })?;
        let role = match replication.roles.load().is_writer() {
            true => Role::Leader,
            false => Role::Follower,
        };
        let tenure = replication.roles.load().tenure();
        let io_error = |source| NodeError::Io {
            verb: "start threads for",
            path: values.dir.clone(),
            source,
        };
        // Before the data is opened, which may mean a long replay.
        let memory = Memory::start(shared_resources(&values)).map_err(io_error)?;
        let (data, recovery) = OpenPartition::open(partition_options(
            &partitions::standalone_id(),
            &values,
            &clock,
            &memory.shared,
            shares,
            (role, tenure),
        ))?;
        recovery::report(&recovery);
        let pool = Pool::start(usize::from(values.io_pool_threads)).map_err(io_error)?;
        let io_threads = io::thread_count(&values);
        let (loops, mailboxes) = io::prepare(io_threads, listeners).map_err(io_error)?;
        let started_ms = clock.now_ms();
        let node = Arc::new(Node {
            partitions: Partitions::standalone(data),
            shares,
            replication,
            clients: Clients::default(),
            users,
            pubsub: PubSub::default(),
            stats: Stats::default(),
            slowlog: SlowLog::default(),
            pool,
            clock,
            started: Instant::now(),
            started_ms,
            run_id: random_id(),
            port,
            tls_port: values.tls_port,
            tls,
            log,
            memory,
            saves: Saves::new(started_ms / 1000, recovery.position.index),
            compaction: Compaction::default(),
            monitors: Monitors::default(),
            latency: LatencyMonitor::default(),
            sampler: Sampler::default(),
            http: Mutex::new(None),
            pauses: Pauses::default(),
            stopping: AtomicBool::new(false),
            mailboxes,
            threads: Mutex::new(Vec::new()),
            config,
            _lock: lock,
        });
        node.memory.serve(&node);
        node.equip();
        // Before the first client is served: its REPLICAOF would find nobody to take it, and be lost.
        node.replication.start(&node).map_err(io_error)?;
        for (n, mut one) in loops.into_iter().enumerate() {
            let served = node.clone();
            let thread = std::thread::Builder::new()
                .name(format!("io-{n}"))
                .spawn(move || one.run(&served))
                .map_err(|source| NodeError::Io {
                    verb: "start threads for",
                    path: values.dir.clone(),
                    source,
                })?;
            node.threads.lock().push(thread);
        }
        if let Some(listener) = http {
            *node.http.lock() = Some(Http::start(listener, &node).map_err(io_error)?);
        }
        Ok(node)
    }

    /// Opens a partition again, as a follower, after another has taken its place in the directory.
    ///
    /// # Errors
    /// The partition's; then there is none.
    pub fn open_partition(self: &Arc<Self>, id: &PartitionId) -> Result<(), PartitionError> {
        let values = self.config.get();
        let roles = &self.replication.roles;
        let role = (Role::Follower, roles.load().tenure());
        let options = partition_options(id, &values, &self.clock, &self.memory.shared, self.shares, role);
        let (data, recovery) = OpenPartition::open(options)?;
        recovery::report(&recovery);
        roles.data_opened(self, id, data);
        self.equip();
        Ok(())
    }

    /// Tells the partitions what the configuration says, and who hears of events.
    fn equip(self: &Arc<Self>) {
        let values = self.config.load();
        for data in self.partitions.all_open() {
            data.set_notify(notify_classes(values.notify_keyspace_events));
            data.set_string_bytes_max(values.proto_max_bulk_len as usize);
            data.set_hll_sparse_bytes_max(values.hll_sparse_max_bytes as usize);
            data.set_packed_limits(packed_limits(&values));
            data.set_hooks(Arc::new(EventHooks(Arc::downgrade(self))));
        }
    }

    /// Asks the server to stop; [`Node::wait`] returns when it has.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.mailboxes.iter().for_each(|m| m.wake());
    }

    /// True once the server is asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Waits until the server is asked to stop and its connections are closed; then saves everything.
    ///
    /// # Errors
    /// The data could not be saved; the log has what was acknowledged.
    pub fn wait(&self) -> Result<(), NodeError> {
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a connection thread has panicked");
            }
        }
        self.replication.stop();
        self.compaction.stop(&self.partitions);
        self.saves.wait();
        self.pool.stop();
        if let Some(http) = self.http.lock().take() {
            http.stop();
        }
        // What it would write now would have to be replayed.
        for data in self.partitions.all_open() {
            data.maintenance.stop();
            data.close()?;
        }
        self.memory.stop();
        tracing::info!("all data is saved");
        Ok(())
    }

    /// The port that is shown where there is room for one.
    pub fn any_port(&self) -> u16 {
        if self.port > 0 { self.port } else { self.tls_port }
    }

    /// Evaluates a reading command on this thread.
    pub fn read(&self, call: Call<'_>) -> Outcome {
        thread_local! {
            static RANDOM: RefCell<SplitMix64> = RefCell::new(SplitMix64::from_system());
        }
        match &*partition_of(&self.partitions, call.command, call.request) {
            Some(data) => RANDOM.with_borrow_mut(|random| data.read(call, random)),
            None => Err(LOADING),
        }
    }

    /// Sends a message to the subscribers of those who follow this server, see [`Published::send`].
    ///
    /// [`Published::send`]: crate::replication::Published::send
    pub fn relay(&self, message: &Message, after: impl Fn() -> u64) {
        let published = &self.replication.source.published;
        if !published.is_idle() {
            published.send(message, after, self.config.load().repl_pubsub_buffer_bytes);
        }
    }

    /// 40 hexadecimal digits for the history of the data: those of its current epoch, the same at all who share it.
    pub fn replication_id(&self) -> String {
        let history = self.partitions.the_one().as_ref().map(|data| data.history());
        let epoch = history.and_then(|history| history.current().map(|epoch| epoch.id));
        let digits = epoch.map_or_else(|| "0".repeat(32), |id| id.to_string());
        format!("{digits}{}", &digits[..8])
    }

    /// Takes a sample for the rates, when it is time for one.
    pub fn sample(&self, now: Instant) {
        let stats = &self.stats;
        self.sampler.sample(now, || {
            [stats.calls_total(), stats.input_bytes.sum(), stats.output_bytes.sum()]
        });
    }

    /// Counts an evaluated command, and remembers it if it was slow.
    pub fn called(&self, known: &'static Known, request: &Request, micros: u64, client: &Client) {
        self.waits(known, request, client);
        self.waited(known, request, micros, client);
    }

    /// Counts a command whose evaluation is not over: its client waits for a key.
    pub fn waits(&self, known: &'static Known, request: &Request, client: &Client) {
        self.stats.came(known.id);
        self.monitors.show(known, request, client, || self.clock.now_us());
    }

    /// The same command has been served, or waits no longer: remembers it if it was slow.
    pub fn waited(&self, known: &'static Known, request: &Request, micros: u64, client: &Client) {
        let values = self.config.load();
        self.stats.took(known.id, micros, values.latency_tracking);
        let long_ms = values.latency_monitor_threshold;
        if long_ms > 0 && micros / 1000 >= long_ms {
            let fast = known.spec.flags.has(Flags::FAST);
            let event = if fast { "fast-command" } else { "command" };
            self.latency.add(event, self.clock.now_ms() / 1000, micros / 1000);
        }
        let threshold = values.slowlog_log_slower_than;
        if threshold >= 0 && micros >= threshold as u64 && !known.spec.flags.has(Flags::SKIP_SLOWLOG) {
            let (at, len_max) = (self.clock.now_ms() / 1000, values.slowlog_max_len as usize);
            let name = client.name.lock().clone();
            self.slowlog
                .add(request, at, micros, client.addr.to_string(), name, len_max);
        }
    }

    /// Remembers that a user may not run a command.
    pub fn deny_command(
        &self,
        client: &Client,
        account: &Account,
        known: &Known,
        request: &Request,
        denial: Denial,
        context: Context,
    ) {
        let (reason, object) = match denial {
            Denial::Command => (Reason::Command, known.full_name.as_bytes()),
            Denial::Key(at) => (Reason::Key, &request[at]),
            Denial::Channel(at) => (Reason::Channel, &request[at]),
        };
        self.deny(client, request, reason, context, object, account.name());
    }

    /// Remembers a refusal for ACL LOG.
    pub fn deny(
        &self,
        client: &Client,
        request: &Request,
        reason: Reason,
        context: Context,
        object: &[u8],
        user: &[u8],
    ) {
        let mut info = String::new();
        describe_client(self, client, Some((client.id, request)), &mut info);
        let now_ms = self.clock.now_ms();
        let entry = DenialEntry {
            id: 0,
            count: 1,
            reason,
            context,
            object: object.to_vec(),
            user: user.to_vec(),
            created_ms: now_ms,
            updated_ms: now_ms,
            client: info.trim_end().to_owned(),
        };
        self.users
            .denials
            .add(entry, self.config.load().acllog_max_len as usize);
    }

    /// Pauses clients until a time, for all commands or for those that write. A pause of the same purpose that lasts is
    /// neither shortened nor made weaker; those of other purposes stay as they are.
    pub fn pause(&self, purpose: PausePurpose, until_ms: u64, writes_only: bool) {
        self.pauses.begin(purpose, self.clock.now_ms(), until_ms, writes_only);
        self.hold_expiry(self.pauses.until_ms());
    }

    /// Ends the pause of this purpose.
    pub fn unpause(&self, purpose: PausePurpose) {
        self.pauses.end(purpose);
        self.hold_expiry(self.pauses.until_ms());
        self.mailboxes.iter().for_each(|m| m.wake());
    }

    fn hold_expiry(&self, until_ms: u64) {
        for data in self.partitions.all_open() {
            data.maintenance.hold_expiry(until_ms);
        }
    }

    /// True if a command has to wait for the end of a pause.
    pub fn is_paused(&self, writes: bool) -> bool {
        self.pauses.holds(writes, || self.clock.now_ms())
    }

    /// The mailboxes of the connection threads.
    pub fn mailboxes(&self) -> &[Arc<Mailbox>] {
        &self.mailboxes
    }
}
