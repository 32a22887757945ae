//! The partition as the server holds it: it may be taken away, while a checkpoint takes its place, and another put there.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use haypile_commands::CommandError;
use haypile_partition::{Maintenance, Partition, PartitionError, PartitionStats, Recovery};
use haypile_store::{Counts, StoreStats};

/// The answer while there is no partition.
pub const LOADING: CommandError = CommandError::Reply(std::borrow::Cow::Borrowed(
    "LOADING Redis is loading the dataset in memory",
));

/// An open partition and what it does by itself.
pub struct Data {
    /// The partition.
    pub partition: Partition,
    /// What it does by itself.
    pub maintenance: Maintenance,
}

impl Data {
    /// Opens a partition and starts its maintenance.
    ///
    /// # Errors
    /// The partition's.
    pub fn open(options: haypile_partition::Options) -> Result<(Data, Recovery), PartitionError> {
        let (partition, recovery) = Partition::open(options)?;
        let maintenance = Maintenance::start(&partition)?;
        let data = Data { partition, maintenance };
        Ok((data, recovery))
    }
}

impl Deref for Data {
    type Target = Partition;

    fn deref(&self) -> &Partition {
        &self.partition
    }
}

/// Where the partition is, if there is one at the moment.
pub struct DataSlot(ArcSwapOption<Data>);

/// Time between two looks whether the partition is still in use, and how long that may go on without a line in the log.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
const LONG_USE: Duration = Duration::from_secs(10);

impl DataSlot {
    /// With a partition.
    pub fn new(data: Data) -> Self {
        DataSlot(ArcSwapOption::from_pointee(data))
    }

    /// The partition, to be used and let go: nothing can take its place meanwhile. `None` while one is being replaced.
    pub fn load(&self) -> Guard<Option<Arc<Data>>> {
        self.0.load()
    }

    /// Puts a partition where there is none.
    pub fn put(&self, data: Data) {
        self.0.store(Some(Arc::new(data)));
    }

    /// Takes the partition away, waits until nobody uses it any more, tells its clients, and ends it without saving. Its
    /// directory is free then.
    pub fn close(&self) {
        let Some(mut data) = self.0.swap(None) else { return };
        data.store().cancel_compaction();
        data.maintenance.stop();
        let mut since = Instant::now();
        let data = loop {
            match Arc::try_unwrap(data) {
                Ok(data) => break data,
                Err(shared) => data = shared,
            }
            if since.elapsed() >= LONG_USE {
                tracing::warn!("the old data is still in use: waiting for it before it is replaced");
                since = Instant::now();
            }
            std::thread::sleep(LOOK_AGAIN);
        };
        data.partition.retire();
    }

    /// Exact counters of each database.
    pub fn counts(&self) -> Vec<Counts> {
        self.load().as_ref().map(|data| data.counts()).unwrap_or_default()
    }

    /// Figures.
    pub fn stats(&self) -> PartitionStats {
        self.load().as_ref().map(|data| data.stats()).unwrap_or_default()
    }

    /// RocksDB's figures.
    pub fn store_stats(&self) -> StoreStats {
        self.load()
            .as_ref()
            .map(|data| data.store().stats())
            .unwrap_or_default()
    }

    /// Why the disk takes no writes; `None` while it does.
    pub fn refusal(&self) -> Option<String> {
        self.load().as_ref().and_then(|data| data.refusal())
    }

    /// Ends the wait of a blocked client, see [`Partition::unblock`].
    pub fn unblock(&self, client: u64, why: Option<CommandError>) -> bool {
        self.load().as_ref().is_some_and(|data| data.unblock(client, why))
    }

    /// Ends waits as if their time were over, see [`Partition::unblock_all`].
    pub fn unblock_all(&self, choose: impl FnOnce() -> Vec<u64>) {
        if let Some(data) = &*self.load() {
            data.unblock_all(choose);
        }
    }
}
