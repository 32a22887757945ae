//! One running server, from its start to its end: it owns the threads, the listeners and the data directory, and stops them in order.

use std::fs::File;
use std::io::Error;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use haypile_config::{Config, Values};
use haypile_node::random::SplitMix64;
use haypile_node::tls::{Tls, TlsError};
use haypile_node::{DirError, ListenError, Node, OpenError, Parts};
use haypile_partition::PartitionError;
use haypile_types::{Clock, Random, SystemClock};

use crate::checkpoint::Saves;
use crate::client::Clients;
use crate::data_dir::{self, LockError};
use crate::front::ServerFront;
use crate::http::{self, Http};
use crate::io::{self, EventLoop};
use crate::latency::LatencyMonitor;
use crate::logging::LogControl;
use crate::monitor::Monitors;
use crate::open_files::{self, Shares};
use crate::pool::Pool;
use crate::pubsub::PubSub;
use crate::sampler::Sampler;
use crate::slowlog::SlowLog;
use crate::state::ServerState;
use crate::stats::Stats;
use crate::users::{Users, UsersError};

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory is not to be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Threads.
    #[error(transparent)]
    Threads(DirError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Certificates and keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Users.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The data, and what is about it.
    #[error(transparent)]
    Node(#[from] OpenError),
}

/// See the module.
pub struct Server {
    /// What its parts share.
    pub state: Arc<ServerState>,
    loops: Vec<JoinHandle<()>>,
    http: Option<Http>,
    _lock: File,
}

impl Server {
    /// Opens the data, binds the listeners and starts the threads.
    ///
    /// # Errors
    /// What is in the way, in one line.
    pub fn start(config: Config, log: LogControl) -> Result<Server, StartError> {
        let (values, shares) = share_files(&config);
        let no_threads = |source| no_threads(&values, source);
        let lock = data_dir::lock(&values.dir)?;
        let config = Arc::new(config);
        let users = Arc::new(Users::open(&values, config.user_lines())?);
        let tls = Arc::new(Tls::default());
        tls.load(&values)?;
        let (listeners, port) = io::listen(&values)?;
        let http = http::bind(&values)?;
        let (loops, mailboxes) = io::prepare(open_files::thread_count(&values), listeners).map_err(no_threads)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (clients, pubsub) = (Arc::new(Clients::default()), Arc::new(PubSub::default()));
        let counted = clients.clone();
        let node = Arc::new(Node::open(Parts {
            front: Arc::new(ServerFront {
                config: config.clone(),
                users: users.clone(),
                pubsub: pubsub.clone(),
                mailboxes: mailboxes.clone(),
            }),
            config,
            clock,
            tls,
            port: if port > 0 { port } else { values.tls_port },
            store_files_max: shares.store,
            sync_connections_max: shares.sync,
            on_top: Box::new(move || counted.buffered_bytes()),
        })?);
        let pool = Pool::start(usize::from(values.io_pool_threads)).map_err(no_threads)?;
        let started_ms = node.clock.now_ms();
        let index = node.partitions.stats().position.index;
        let state = Arc::new(ServerState {
            clients,
            users,
            pubsub,
            stats: Stats::default(),
            slowlog: SlowLog::default(),
            pool,
            started: Instant::now(),
            started_ms,
            run_id: random_id(),
            port,
            tls_port: values.tls_port,
            log,
            saves: Arc::new(Saves::new(started_ms / 1000, index)),
            compaction: Arc::default(),
            monitors: Monitors::default(),
            latency: LatencyMonitor::default(),
            sampler: Sampler::default(),
            mailboxes,
            node,
        });
        // Before the first client is served: its REPLICAOF would find nobody to take it, and be lost.
        state.node.start()?;
        let mut server = Server {
            state,
            loops: Vec::new(),
            http: None,
            _lock: lock,
        };
        for (n, one) in loops.into_iter().enumerate() {
            let thread = serve(n, one, server.state.clone()).map_err(no_threads)?;
            server.loops.push(thread);
        }
        if let Some(listener) = http {
            let places = shares.http as usize;
            server.http = Some(Http::start(listener, &server.state, places).map_err(no_threads)?);
        }
        Ok(server)
    }

    /// Waits until the server is asked to stop and its connections are closed; then saves everything.
    ///
    /// # Errors
    /// The data could not be saved; the log has what was acknowledged.
    pub fn wait(&mut self) -> Result<(), PartitionError> {
        for thread in self.loops.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a connection thread has panicked");
            }
        }
        let state = &self.state;
        state.node.replication.stop();
        state.compaction.stop(&state.node.partitions);
        state.saves.wait();
        state.pool.stop();
        if let Some(http) = self.http.take() {
            http.stop();
        }
        state.node.close()?;
        tracing::info!("all data is saved");
        Ok(())
    }
}

fn serve(number: usize, mut one: EventLoop, state: Arc<ServerState>) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name(format!("io-{number}"))
        .spawn(move || one.run(&state))
}

fn no_threads(values: &Values, source: Error) -> StartError {
    StartError::Threads(DirError {
        verb: "start threads for",
        path: values.dir.clone(),
        source,
    })
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
fn random_id() -> String {
    let mut random = SplitMix64::from_system();
    let digits: String = (0..3).map(|_| format!("{:016x}", random.next_u64())).collect();
    digits[..40].to_owned()
}
