//! What those have in common who serve the clients of this process: its partitions, and what is about them.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use haypile_commands::Outcome;
use haypile_config::Config;
use haypile_partition::{Call, PartitionError, Role};
use haypile_types::Clock;

use crate::error::DirError;
use crate::front::Front;
use crate::memory::{Memory, OnTop};
use crate::open::Opener;
use crate::options::shared_resources;
use crate::partitions::{OpenPartition, Partitions, standalone_id};
use crate::pause::Pausing;
use crate::random::SplitMix64;
use crate::replication::{self, PrepareError, Prepared, Replication};
use crate::stopping::Stopping;
use crate::tls::Tls;

/// Why a node cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Threads.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The data directory, or the sync port.
    #[error(transparent)]
    Replication(#[from] PrepareError),
    /// The data.
    #[error(transparent)]
    Partition(#[from] PartitionError),
}

/// See the module. Each part is to be had alone.
pub struct Node {
    /// The configuration.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The partitions.
    pub partitions: Arc<Partitions>,
    /// Who follows whom.
    pub replication: Arc<Replication>,
    /// The memory, and who sees to it that it stays within the budget.
    pub memory: Arc<Memory>,
    /// What is needed for TLS.
    pub tls: Arc<Tls>,
    /// Who holds clients up.
    pub pausing: Arc<Pausing>,
    stopping: Arc<Stopping>,
}

/// What a node is opened with.
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is needed for TLS.
    pub tls: Arc<Tls>,
    /// Those who serve the clients.
    pub front: Arc<dyn Front>,
    /// The port that replicas give as this server's: the one for clients.
    pub port: u16,
    /// Tables that the stores may keep open; `None`: all.
    pub store_files_max: Option<u32>,
    /// Connections of the sync port.
    pub sync_connections_max: u32,
    /// Memory that comes on top of the budget.
    pub on_top: OnTop,
}

impl Node {
    /// Binds the sync port and opens the data. Nothing is served or followed before [`Node::start`].
    ///
    /// # Errors
    /// What is in the way, in one line.
    pub fn open(parts: Parts) -> Result<Node, OpenError> {
        let Parts {
            config,
            clock,
            tls,
            front,
            port,
            store_files_max,
            sync_connections_max,
            on_top,
        } = parts;
        let values = config.get();
        let prepared = Prepared::new(&config, port)?;
        let role = match prepared.roles.load().is_writer() && !prepared.is_in_group() {
            true => Role::Leader,
            false => Role::Follower,
        };
        // Before the data is opened, which may mean a long replay.
        let memory = Memory::start(shared_resources(&values), on_top).map_err(|source| no_threads(&config, source))?;
        let opener = Opener {
            config: config.clone(),
            clock: clock.clone(),
            shared: memory.shared.clone(),
            store_files_max,
            group: prepared.group(),
        };
        let (open, _) = opener.open(&standalone_id(), (role, prepared.roles.load().tenure()))?;
        let partitions = Arc::new(Partitions::standalone(open));
        let pausing = Arc::new(Pausing::new(clock.clone(), partitions.clone(), front.clone()));
        let stopping = Arc::new(Stopping::new(front.clone()));
        let replication = Arc::new(Replication::new(
            prepared,
            replication::Parts {
                config: config.clone(),
                clock: clock.clone(),
                partitions: partitions.clone(),
                opener,
                tls: tls.clone(),
                front,
                pausing: pausing.clone(),
                stopping: stopping.clone(),
                port,
                connections_max: sync_connections_max,
            },
        ));
        replication.equip();
        Ok(Node {
            config,
            clock,
            partitions,
            replication,
            memory,
            tls,
            pausing,
            stopping,
        })
    }

    /// Starts to serve replicas, and to follow if the role says so.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn start(&self) -> Result<(), OpenError> {
        let started = self.replication.start();
        started.map_err(|source| no_threads(&self.config, source).into())
    }

    /// Asks everybody to stop.
    pub fn ask_to_stop(&self) {
        self.stopping.ask();
    }

    /// True once everybody is asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_asked()
    }

    /// Saves everything, once nobody evaluates commands any more.
    ///
    /// # Errors
    /// The data could not be saved; the log has what was acknowledged.
    pub fn close(&self) -> Result<(), PartitionError> {
        for open in self.partitions.all_open() {
            // What it would write now would have to be replayed.
            open.maintenance.stop();
            open.close()?;
        }
        self.memory.stop();
        Ok(())
    }
}

/// Evaluates a reading command on this thread.
pub fn read(open: &OpenPartition, call: Call<'_>) -> Outcome {
    thread_local! {
        static RANDOM: RefCell<SplitMix64> = RefCell::new(SplitMix64::from_system());
    }
    RANDOM.with_borrow_mut(|random| open.read(call, random))
}

fn no_threads(config: &Config, source: io::Error) -> DirError {
    DirError {
        verb: "start threads for",
        path: config.load().dir.clone(),
        source,
    }
}
