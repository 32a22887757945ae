//! COMPACT: compaction of everything, in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use haypile_node::partitions::{OpenPartition, Partitions};
use parking_lot::Mutex;

/// The compaction that was asked for.
#[derive(Default)]
pub struct Compaction {
    running: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Compaction {
    /// True while it is at work.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Ends it, and waits for that.
    pub fn stop(&self, partitions: &Partitions) {
        for data in partitions.all_open() {
            data.store().cancel_compaction();
        }
        self.wait();
    }

    fn wait(&self) {
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of a compaction has panicked");
        }
    }
}

/// Starts a compaction; false if one is running.
///
/// # Errors
/// There is no thread to be had.
pub fn start(compaction: &Arc<Compaction>, partitions: &Arc<Partitions>) -> std::io::Result<bool> {
    if compaction.running.swap(true, Ordering::AcqRel) {
        return Ok(false);
    }
    // The one before has ended.
    compaction.wait();
    let (compacting, partitions) = (compaction.clone(), partitions.clone());
    let spawned = std::thread::Builder::new().name("compact".into()).spawn(move || {
        partitions.all_open().iter().for_each(|open| run(open));
        compacting.running.store(false, Ordering::Release);
    });
    match spawned {
        Ok(thread) => {
            *compaction.thread.lock() = Some(thread);
            Ok(true)
        }
        Err(error) => {
            compaction.running.store(false, Ordering::Release);
            Err(error)
        }
    }
}

fn run(open: &OpenPartition) {
    let (store, begun) = (open.store(), Instant::now());
    let before = store.stats().sst_bytes;
    match store.compact() {
        Ok(true) => {
            let (after, seconds) = (store.stats().sst_bytes, begun.elapsed().as_secs());
            tracing::info!(before, after, seconds, "everything is compacted");
        }
        Ok(false) => tracing::info!("a compaction was broken off because the server stops"),
        Err(error) => tracing::error!(%error, "a compaction failed"),
    }
}
