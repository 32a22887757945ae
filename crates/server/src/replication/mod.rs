//! Replication: the driver of the crate `haypile-sync`.
//!
//! | part | does |
//! |---|---|
//! | [`Replication`] | holds it all together; what commands and INFO talk to |
//! | `source`, `service`, `sending`, `snapshot` | the source's side: bookkeeping, the gRPC service, a stream's thread, checkpoints |
//! | `batches` | the entries of a message: put together, compressed, cut into parts, and taken apart again |
//! | `published` | messages of pub/sub on their way to the followers' subscribers |
//! | `pins` | for whom the log is kept |
//! | `follower` | the follower's side: one task that drives the two machines, a task per stream, the copy |
//! | `dial`, `link`, `signs` | from an address to a connection, with TLS or without, whose bytes are signs of life; those that come to the sync port |
//! | `door` | how many of those there may be, and for how long without a password |
//! | `waits` | WAIT and WAITAOF |
//! | [`Roles`], `role_file` | who writes and whom this server follows: one owner, and what the directory remembers |
//! | `failover` | FAILOVER |
//!
//! A runtime of its own carries the network's part. What reads or writes the partition runs on its blocking threads.

mod batches;
mod dial;
mod door;
pub mod failover;
mod follower;
mod identity;
mod link;
mod listen;
mod pins;
mod published;
mod role_file;
mod roles;
mod sending;
mod service;
mod signs;
mod snapshot;
mod source;
mod waits;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haypile_partition::Partition;
use haypile_sync::copy::CopySettings;
use haypile_sync::message::Layout;
use haypile_sync::source::SourceIdentity;
use haypile_sync::stream::StreamSettings;
use haypile_sync::wire::MESSAGE_BYTES_MAX;
use haypile_sync::wire::v1::sync_server::SyncServer;
use haypile_sync::{Incarnation, NodeId, PartitionId, Retry, Settings, Time};
use haypile_types::Random;
use parking_lot::Mutex;
use tokio::runtime::Runtime;

pub use follower::{FollowerStatus, StreamStatus, Transitions};
pub use pins::{Pin, Who};
pub use published::Published;
pub use roles::{RoleError, Roles, failover_state};
pub use source::{Replica, Source};
pub use waits::{Wait, Waits};

use crate::node::{Node, NodeError};
use crate::random::SplitMix64;
use haypile_config::{Config, Values};

/// Metadata of a request: the follower's user and password.
const USER_HEADER: &str = "haypile-user-bin";
const PASSWORD_HEADER: &str = "haypile-password-bin";
/// Version of the encoding of keys and values, and of the log's effects.
const STORE_FORMAT: u32 = 3;
/// Threads of the runtime; blocking work has its own.
const RUNTIME_THREADS: usize = 2;
/// Time between two looks for sessions and checkpoints that have run out.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of the largest request: a history of epochs takes some thousands.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Bytes of a request's header: its path, a user and a password.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Requests at the same time on one connection. A follower has one stream, its heartbeats, and `repl-copy-workers` that copy.
const STREAMS_MAX: u32 = 128;
/// Bytes that may be on their way to a follower on a connection and on a stream of it.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const STREAM_WINDOW_BYTES: u32 = 8 << 20;

/// Who follows whom.
pub struct Replication {
    /// Who follows this server.
    pub source: Source,
    /// Who waits for them.
    pub waits: Waits,
    /// Who writes, and whom this server follows.
    pub roles: Roles,
    node: NodeId,
    incarnation: Incarnation,
    began: Instant,
    port: u16,
    sync_port: u16,
    failover: failover::Failover,
    listeners: Mutex<Vec<TcpListener>>,
    follower: follower::Handle,
    runtime: Mutex<Option<Runtime>>,
}

/// Does what may take a while without holding up the runtime.
///
/// Meanwhile the task is apart from the runtime, which may end without it when the server stops; a timer that is looked at
/// afterwards panics. So the task gives its thread back before it goes on: if the runtime has ended, it ends there.
async fn blocking<R>(work: impl FnOnce() -> R) -> R {
    let outcome = tokio::task::block_in_place(work);
    tokio::task::yield_now().await;
    outcome
}

/// A replica that is silent for so long is gone.
fn session_timeout(values: &Values) -> Duration {
    Duration::from_secs(u64::from(values.repl_timeout))
}

/// What both sides must have alike: the number of databases is a part of it, for keyspaces are named by numbers that
/// come after it.
fn layout(id: &PartitionId, partition: &Partition) -> Layout {
    Layout {
        partition: id.clone(),
        slot_first: 0,
        slot_last: haypile_types::SLOTS - 1,
        format: STORE_FORMAT << 16 | u32::from(partition.databases()),
    }
}

/// The number of databases in a layout, and the version of the encoding.
fn databases_and_format(layout: &Layout) -> (u32, u32) {
    (layout.format & 0xffff, layout.format >> 16)
}

impl Replication {
    /// Binds the sync port and finds out who this server is.
    ///
    /// # Errors
    /// The data directory or the address.
    pub fn prepare(config: &Config, port: u16) -> Result<Replication, NodeError> {
        let values = config.get();
        let node = identity::node_id(&values.dir)?;
        let roles = Roles::at_start(config)?;
        let (listeners, sync_port) = listen::listen(&values, port)?;
        Ok(Replication {
            source: Source::new(session_timeout(&values)),
            waits: Waits::default(),
            roles,
            node,
            incarnation: Incarnation(SplitMix64::from_system().next_u64()),
            began: Instant::now(),
            port,
            sync_port,
            failover: failover::Failover::default(),
            listeners: Mutex::new(listeners),
            follower: follower::Handle::default(),
            runtime: Mutex::new(None),
        })
    }

    /// Starts to serve, and to follow if the configuration says so.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn start(&self, node: &Arc<Node>) -> io::Result<()> {
        let values = node.config.get();
        let left_over = snapshot::all(&values.dir);
        if left_over.exists() {
            snapshot::remove(&[left_over]);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("sync")
            .enable_all()
            .build()?;
        let silence = Duration::from_secs(u64::from(values.repl_timeout));
        let door = Arc::new(Mutex::new(door::Door::default()));
        let service = service::Service::new(node.clone());
        for listener in std::mem::take(&mut *self.listeners.lock()) {
            let _inside = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let service = SyncServer::new(service.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX);
            // What followers send is little: the windows stay as HTTP/2 begins with them, so that nobody can send much ahead.
            let server = tonic::transport::Server::builder()
                .http2_keepalive_interval(Some(silence / 2))
                .http2_keepalive_timeout(Some(silence / 2))
                .max_concurrent_streams(STREAMS_MAX)
                .http2_max_header_list_size(HEADER_BYTES_MAX)
                .add_service(service);
            let links = link::incoming(Arc::downgrade(node), listener, door.clone());
            runtime.spawn(async move {
                if let Err(error) = server.serve_with_incoming(links).await {
                    tracing::error!(%error, "the sync port has failed");
                }
            });
        }
        let expiring = Arc::downgrade(node);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(EXPIRE_INTERVAL).await;
                let Some(node) = expiring.upgrade() else { return };
                let replication = &node.replication;
                let timeout = session_timeout(&node.config.load());
                let gone = replication.source.expire(replication.now(), timeout);
                if !gone.is_empty() {
                    tokio::task::spawn_blocking(move || snapshot::remove(&gone));
                }
            }
        });
        self.follower.start(&runtime, node);
        *self.runtime.lock() = Some(runtime);
        self.roles.begin(node);
        Ok(())
    }

    /// Ends everything. What has begun has a second; an installation that is cut off is finished by the next start.
    pub fn stop(&self) {
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

    /// `theirs`: after how much silence the other side takes this one for dead. Each side sends often enough for both.
    fn stream_settings(&self, values: &Values, theirs: Duration) -> StreamSettings {
        let silence = Duration::from_secs(u64::from(values.repl_timeout));
        let shorter = silence.min(theirs);
        StreamSettings {
            window_bytes: values.repl_window_bytes,
            batch_delay: Duration::from_micros(u64::from(values.repl_batch_delay_us)),
            keepalive_interval: Duration::from_secs(1).min(shorter / 4),
            silence_timeout: silence,
            ..StreamSettings::default()
        }
    }

    fn settings(&self, values: &Values) -> Settings {
        let silence = Duration::from_secs(u64::from(values.repl_timeout));
        let (min, max) = (u64::from(values.repl_retry_min_ms), u64::from(values.repl_retry_max_ms));
        let max = max.max(min);
        Settings {
            connect_timeout: silence.min(Settings::default().connect_timeout),
            request_timeout: silence.min(Settings::default().request_timeout),
            silence_timeout: silence,
            heartbeat_interval: Duration::from_secs(1).min(silence / 4),
            retry: Retry::from_millis(min, max),
            retry_later: Retry::from_millis(min.saturating_mul(10).min(max * 30), max * 30),
            retry_fatal: Retry::from_millis((max * 5).min(60_000), max * 60),
            attempts_max: Some(values.repl_max_attempts).filter(|max| *max > 0),
            ..Settings::default()
        }
    }

    fn copy_settings(&self, values: &Values) -> CopySettings {
        CopySettings {
            workers: values.repl_copy_workers,
            bytes_per_second: Some(values.repl_copy_bytes_per_second).filter(|rate| *rate > 0),
            attempts_max: values.repl_copy_attempts,
            space_reserve_bytes: values.disk_free_min_bytes,
            // Well below the lease that the source gives, which is a multiple of its timeout.
            renew_interval: Duration::from_secs(u64::from(values.repl_timeout)),
            ..CopySettings::default()
        }
    }
}
