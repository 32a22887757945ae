//! Replication: the driver of the crate `haypile-sync`.
//!
//! | part | does |
//! |---|---|
//! | [`Replication`] | holds it all together; what commands and INFO talk to |
//! | `transport` | connections: `dial` and `link` make them, with TLS or without, `door` says how many may come to the sync port, `activity` counts bytes as signs of life, `batches` packs entries |
//! | `source` | serves those who follow: bookkeeping, the gRPC `service`, `sending` streams, `snapshot` for checkpoints, `pins` for what of the log is kept, `published` for pub/sub, `waits` for WAIT |
//! | `follower` | follows: one task that drives the two machines, a task per stream, the copy |
//! | `roles` | who writes and whom this server follows: one owner, what the directory remembers, FAILOVER |
//! | `peers` | the members of a replica group, and what they say to each other |
//! | `settings`, `layout`, `identity` | what the configuration says; what both sides must have alike; who this server is |
//!
//! A runtime of its own carries the network's part. What reads or writes the partition runs on its blocking threads.

mod follower;
mod hooks;
mod identity;
mod layout;
mod peers;
mod roles;
mod settings;
mod source;
mod transport;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haypile_config::{Config, Values};
use haypile_partition::{GroupOptions, PartitionError, Role};
use haypile_sync::message::{Layout, Message};
use haypile_sync::source::SourceIdentity;
use haypile_sync::wire::MESSAGE_BYTES_MAX;
use haypile_sync::wire::v1::sync_server::SyncServer;
use haypile_sync::{Incarnation, NodeId, PartitionId, Time};
use haypile_types::{Clock, Random};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

pub use follower::{FollowerStatus, StreamStatus, Transitions};
pub use peers::PeersError;
pub use roles::failover;
pub use roles::{RoleError, Roles, failover_state};
pub use source::{Pin, Published, Replica, Source, Wait, Waits, Who};

use crate::error::{DirError, ListenError};
use crate::front::Front;
use crate::open::Opener;
use crate::partitions::Partitions;
use crate::pause::Pausing;
use crate::random::SplitMix64;
use crate::stopping::Stopping;
use crate::tls::Tls;
use hooks::ReplicationHooks;
use peers::Peers;
use settings::session_timeout;

/// Threads of the runtime; blocking work has its own.
const RUNTIME_THREADS: usize = 2;
/// Time between two looks for sessions and checkpoints that have run out.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);

/// Who follows whom.
pub struct Replication {
    /// Who follows this server.
    pub source: Source,
    /// Who waits for them.
    pub waits: Waits,
    /// Who writes, and whom this server follows.
    pub roles: Roles,
    parts: Parts,
    node: NodeId,
    incarnation: Incarnation,
    began: Instant,
    sync_port: u16,
    failover: failover::Failover,
    /// The other members of its replica group, if it is in one.
    peers: Option<Arc<Peers>>,
    listeners: Mutex<Vec<TcpListener>>,
    follower: follower::Handle,
    runtime: Mutex<Option<Runtime>>,
}

/// What replication has to do with.
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) opener: Opener,
    pub(crate) tls: Arc<Tls>,
    pub(crate) front: Arc<dyn Front>,
    pub(crate) pausing: Arc<Pausing>,
    pub(crate) stopping: Arc<Stopping>,
    /// The port that this server gives as its own: the one for clients.
    pub(crate) port: u16,
    /// Connections of the sync port.
    pub(crate) connections_max: u32,
}

/// Why replication cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The data directory.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The sync port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The members of a group.
    #[error(transparent)]
    Peers(#[from] PeersError),
}

/// What is known of replication before the data is open.
pub(crate) struct Prepared {
    pub(crate) roles: Roles,
    node: NodeId,
    listeners: Vec<TcpListener>,
    sync_port: u16,
    peers: Option<Arc<Peers>>,
}

impl Prepared {
    /// Binds the sync port and finds out who this server is, and in which role.
    ///
    /// # Errors
    /// The data directory or the address.
    pub(crate) fn new(config: &Config, port: u16) -> Result<Prepared, PrepareError> {
        let values = config.get();
        let node = identity::node_id(&values.dir)?;
        let roles = Roles::at_start(config)?;
        let (listeners, sync_port) = transport::listen(&values, port)?;
        let peers = Peers::new(&values, sync_port)?;
        Ok(Prepared {
            peers,
            roles,
            node,
            listeners,
            sync_port,
        })
    }

    /// True if this server is a member of a replica group.
    pub(crate) fn is_in_group(&self) -> bool {
        self.peers.is_some()
    }

    /// What makes its partitions replicas of the group.
    pub(crate) fn group(&self) -> Option<Box<dyn Fn() -> GroupOptions + Send + Sync>> {
        let peers = self.peers.clone()?;
        Some(Box::new(move || peers.group_options()))
    }
}

impl Replication {
    /// Nothing is served or followed before [`Replication::start`].
    pub(crate) fn new(prepared: Prepared, parts: Parts) -> Replication {
        Replication {
            source: Source::new(session_timeout(&parts.config.load())),
            waits: Waits::default(),
            roles: prepared.roles,
            parts,
            node: prepared.node,
            incarnation: Incarnation(SplitMix64::from_system().next_u64()),
            began: Instant::now(),
            sync_port: prepared.sync_port,
            failover: failover::Failover::default(),
            peers: prepared.peers,
            listeners: Mutex::new(prepared.listeners),
            follower: follower::Handle::default(),
            runtime: Mutex::new(None),
        }
    }

    /// Starts to serve, and to follow if the role says so.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        let values = self.parts.config.get();
        source::remove_left_over(&values.dir);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("sync")
            .enable_all()
            .build()?;
        self.serve(&runtime, &values)?;
        let expiring = Arc::downgrade(self);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(EXPIRE_INTERVAL).await;
                let Some(replication) = expiring.upgrade() else { return };
                let timeout = session_timeout(&replication.parts.config.load());
                replication.source.expire(replication.now(), timeout);
            }
        });
        self.follower.start(&runtime, self);
        if let Some(peers) = &self.peers {
            peers.start(&runtime, self, &self.parts.partitions)?;
        }
        *self.runtime.lock() = Some(runtime);
        self.roles.begin(self);
        Ok(())
    }

    /// Has the runtime serve the sync port.
    fn serve(self: &Arc<Self>, runtime: &Runtime, values: &Values) -> io::Result<()> {
        let silence = Duration::from_secs(u64::from(values.repl_timeout));
        let door = Arc::new(Mutex::new(transport::Door::default()));
        let service = source::Service::new(self.clone());
        for listener in std::mem::take(&mut *self.listeners.lock()) {
            let _inside = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let service = SyncServer::new(service.clone())
                .max_decoding_message_size(transport::REQUEST_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX);
            // What followers send is little: the windows stay as HTTP/2 begins with them, so that nobody can send much ahead.
            let server = tonic::transport::Server::builder()
                .http2_keepalive_interval(Some(silence))
                // A ping may stand behind megabytes of a checkpoint on a slow link. Who is silent is found out by its session; this
                // is for what is left of its connection.
                .http2_keepalive_timeout(Some(silence * 2))
                .max_concurrent_streams(transport::STREAMS_MAX)
                .http2_max_header_list_size(transport::HEADER_BYTES_MAX)
                .add_service(service);
            let accepting = transport::Accepting {
                config: self.parts.config.clone(),
                tls: self.parts.tls.clone(),
                places: self.parts.connections_max as usize,
                door: door.clone(),
            };
            let links = transport::incoming(accepting, listener);
            runtime.spawn(async move {
                if let Err(error) = server.serve_with_incoming(links).await {
                    tracing::error!(%error, "the sync port has failed");
                }
            });
        }
        Ok(())
    }

    /// Opens a partition again, as a follower, after another has taken its place in the directory.
    ///
    /// # Errors
    /// The partition's; then there is none.
    fn open_partition(self: &Arc<Self>, id: &PartitionId) -> Result<(), PartitionError> {
        let open = self
            .parts
            .opener
            .open(id, (Role::Follower, self.roles.load().tenure()))?
            .0;
        match self.is_in_group() {
            // Who writes is the group's business.
            true => self.parts.partitions.put(id, open),
            false => self.roles.data_opened(self, id, open),
        }
        self.equip();
        Ok(())
    }

    /// Tells the partitions what the configuration says, and who hears of what happens in them.
    pub(crate) fn equip(self: &Arc<Self>) {
        for open in self.parts.partitions.all_open() {
            self.parts
                .opener
                .equip(&open, Arc::new(ReplicationHooks(Arc::downgrade(self))));
        }
    }

    /// A dialer as the configuration is now.
    fn dialer(&self) -> transport::Dialer {
        transport::Dialer::new(&self.parts.config, &self.parts.tls)
    }

    /// Sends a message to the subscribers of those who follow this server, see [`Published::send`].
    pub fn relay(&self, message: &Message, after: impl Fn() -> u64) {
        let published = &self.source.published;
        if !published.is_idle() {
            published.send(message, after, self.parts.config.load().repl_pubsub_buffer_bytes);
        }
    }

    /// 40 hexadecimal digits for the history of the data: those of its current epoch, the same at all who share it.
    pub fn replication_id(&self) -> String {
        let history = self.parts.partitions.the_one().as_ref().map(|open| open.history());
        let epoch = history.and_then(|history| history.current().map(|epoch| epoch.id));
        let digits = epoch.map_or_else(|| "0".repeat(32), |id| id.to_string());
        format!("{digits}{}", &digits[..8])
    }

    /// Ends everything. What has begun has a second; an installation that is cut off is finished by the next start.
    pub fn stop(&self) {
        if let Some(peers) = &self.peers {
            peers.stop(&self.parts.partitions);
        }
        if let Some(runtime) = self.runtime.lock().take() {
            self.follower.stop(&runtime);
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }

    /// Tries again at once what has failed, because what the configuration says about it is another.
    pub fn retry(&self) {
        self.follower.retry();
    }

    /// How the follower's side is.
    pub fn follower_status(&self) -> FollowerStatus {
        self.follower.status()
    }

    /// How often the machines that follow have changed their states.
    pub fn transitions(&self) -> Transitions {
        self.follower.transitions()
    }

    /// True if this server is a member of a replica group.
    pub fn is_in_group(&self) -> bool {
        self.peers.is_some()
    }

    /// Where clients reach a member of its replica group.
    pub fn member_address(&self, number: u64) -> Option<String> {
        self.peers.as_ref()?.address_of(number)
    }

    /// True while entries come from the server that is followed.
    pub fn is_link_up(&self) -> bool {
        self.follower.is_link_up()
    }

    /// The server that is followed, as long as there is a session with it.
    pub fn follows(&self) -> Option<NodeId> {
        let (instance, _) = self.follower.status().machines?;
        instance.session.map(|session| session.source)
    }

    /// True if there is a session with this server and something has come from it lately.
    fn hears(&self, source: NodeId, silence: Duration) -> bool {
        let Some((instance, _)) = self.follower.status().machines else {
            return false;
        };
        let is_known = instance.session.is_some_and(|session| session.source == source);
        is_known && instance.silent_for.is_some_and(|silent| silent < silence)
    }

    /// The port for replicas; 0 if there is none.
    pub fn sync_port(&self) -> u16 {
        self.sync_port
    }

    /// This server, over all its runs.
    pub fn node_id(&self) -> NodeId {
        self.node
    }

    /// Now, as the machines count time.
    pub fn now(&self) -> Time {
        Time::new(self.began.elapsed())
    }

    fn source_identity(&self, values: &Values, partitions: Vec<Layout>) -> SourceIdentity {
        SourceIdentity {
            node: self.node,
            incarnation: self.incarnation,
            partitions,
            session_timeout: session_timeout(values),
        }
    }
}
