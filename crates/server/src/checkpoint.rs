//! SAVE and BGSAVE: checkpoints of all data in directories of their own.
//!
//! ```text
//! <dir>/checkpoints/20260131T235959Z-1-4711/     UTC time and position (term, index)
//!     partitions/0/                              the partition, without a log
//! ```
//!
//! A checkpoint is a whole data directory: a server that is started with `--dir` on it, or better on a copy of it,
//! has the data. Its files are linked to those of the running server where the file system can, so it takes little
//! room at first. While it is being made its name ends in `.tmp`. Checkpoints are removed by those who no longer need
//! them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use haypile_node::{Node, partitions};
use haypile_partition::PartitionError;
use parking_lot::Mutex;

/// The directory of all checkpoints, in the data directory.
const CHECKPOINTS: &str = "checkpoints";
/// What the name of an unfinished one ends in.
const UNFINISHED: &str = ".tmp";

/// Why there is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Another one is being made.
    #[error("ERR Background save already in progress")]
    Running,
    /// The data is being replaced.
    #[error("LOADING Redis is loading the dataset in memory")]
    Loading,
    /// The data could not be copied.
    #[error("ERR {0}")]
    Partition(#[from] PartitionError),
    /// A file or directory.
    #[error("ERR cannot {verb} {path}: {source}")]
    Io {
        /// What was attempted.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
}

/// What is known of checkpoints.
pub struct Saves {
    running: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Seconds since the epoch of the last one that succeeded, or of the start.
    pub last_at: AtomicU64,
    /// How the last one ended.
    pub last_ok: AtomicBool,
    /// Seconds that the last one took; -1 = there was none.
    pub last_seconds: AtomicI64,
    /// Seconds since the epoch at which the running one has begun; 0 = none is running.
    pub begun_at: AtomicU64,
    /// Index in the log of the last one, or at the start.
    pub last_index: AtomicU64,
    /// Those that succeeded.
    pub total: AtomicU64,
}

impl Saves {
    /// `now` is the time of the start in seconds since the epoch, `index` the last one in the log.
    pub fn new(now: u64, index: u64) -> Self {
        Saves {
            running: AtomicBool::new(false),
            thread: Mutex::new(None),
            last_at: AtomicU64::new(now),
            last_ok: AtomicBool::new(true),
            last_seconds: AtomicI64::new(-1),
            begun_at: AtomicU64::new(0),
            last_index: AtomicU64::new(index),
            total: AtomicU64::new(0),
        }
    }

    /// True while one is being made.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Waits for the one that is being made in the background.
    pub fn wait(&self) {
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of a checkpoint has panicked");
        }
    }

    fn begin(&self) -> Result<(), SaveError> {
        match self.running.swap(true, Ordering::AcqRel) {
            true => Err(SaveError::Running),
            false => Ok(()),
        }
    }
}

/// Makes a checkpoint and waits for it.
///
/// # Errors
/// Another one is running, or this one failed.
pub fn save(saves: &Saves, node: &Node) -> Result<PathBuf, SaveError> {
    saves.begin()?;
    run(saves, node)
}

/// Makes a checkpoint on a thread of its own.
///
/// # Errors
/// Another one is running, or there is no thread to be had.
pub fn save_in_background(saves: &Arc<Saves>, node: &Arc<Node>) -> Result<(), SaveError> {
    saves.begin()?;
    // The one before has ended.
    saves.wait();
    let (of, node) = (saves.clone(), node.clone());
    let spawned = std::thread::Builder::new().name("checkpoint".into()).spawn(move || {
        // It has been logged, and INFO shows it.
        let _ = run(&of, &node);
    });
    match spawned {
        Ok(thread) => {
            *saves.thread.lock() = Some(thread);
            Ok(())
        }
        Err(source) => {
            saves.running.store(false, Ordering::Release);
            Err(SaveError::Io {
                verb: "start a thread for",
                path: CHECKPOINTS.into(),
                source,
            })
        }
    }
}

fn run(saves: &Saves, node: &Node) -> Result<PathBuf, SaveError> {
    let begun = Instant::now();
    let now_ms = node.clock.now_ms();
    saves.begun_at.store(now_ms / 1000, Ordering::Relaxed);
    let outcome = make(saves, node, &utc_name(now_ms / 1000));
    saves
        .last_seconds
        .store(begun.elapsed().as_secs() as i64, Ordering::Relaxed);
    saves.last_ok.store(outcome.is_ok(), Ordering::Relaxed);
    match &outcome {
        Ok(path) => {
            saves.last_at.store(node.clock.now_ms() / 1000, Ordering::Relaxed);
            saves.total.fetch_add(1, Ordering::Relaxed);
            tracing::info!(checkpoint = %path.display(), "a checkpoint of all data is complete");
        }
        Err(error) => tracing::error!(%error, "a checkpoint of the data could not be made"),
    }
    saves.begun_at.store(0, Ordering::Relaxed);
    saves.running.store(false, Ordering::Release);
    outcome
}

fn make(saves: &Saves, node: &Node, stamp: &str) -> Result<PathBuf, SaveError> {
    let io = |verb, path: &Path| {
        let path = path.to_owned();
        move |source| SaveError::Io { verb, path, source }
    };
    let all = node.config.load().dir.join(CHECKPOINTS);
    fs::create_dir_all(&all).map_err(io("create", &all))?;
    remove_unfinished(&all).map_err(io("remove unfinished checkpoints from", &all))?;
    let unfinished = all.join(format!("{stamp}{UNFINISHED}"));
    let id = partitions::standalone_id();
    let partition = partitions::dir_of(&unfinished, &id);
    let partitions = partition.parent().unwrap_or(&unfinished);
    fs::create_dir_all(partitions).map_err(io("create", partitions))?;
    let open = node.partitions.of(&id).clone();
    let copied = match open {
        Some(data) => data.checkpoint(&partition).map_err(SaveError::from),
        None => Err(SaveError::Loading),
    };
    let position = match copied {
        Ok(position) => position,
        Err(error) => {
            // What is left over takes room that may be what was missing; the first error is the one to report.
            let _ = fs::remove_dir_all(&unfinished);
            return Err(error);
        }
    };
    for dir in [partitions, &unfinished] {
        sync(dir).map_err(io("sync", dir))?;
    }
    let name = format!("{stamp}-{}-{}", position.term, position.index);
    let mut path = all.join(&name);
    for again in 2.. {
        // Two within a second, with nothing written in between.
        if !path.exists() {
            break;
        }
        path = all.join(format!("{name}-{again}"));
    }
    fs::rename(&unfinished, &path).map_err(io("name", &path))?;
    sync(&all).map_err(io("sync", &all))?;
    saves.last_index.store(position.index, Ordering::Relaxed);
    Ok(path)
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// One is made at a time, so what is unfinished when it begins was left by a crash.
fn remove_unfinished(all: &Path) -> io::Result<()> {
    for entry in fs::read_dir(all)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// `20260131T235959Z` for seconds since the epoch.
fn utc_name(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days are counted in years that begin in March, so that the leap day is the last: see "Euclidean affine functions
    // and their application to calendar algorithms" (Neri, Schneider, 2022).
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::utc_name;

    #[test]
    fn seconds_become_utc() {
        for (seconds, name) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_709_164_800, "20240229T000000Z"),
            (1_735_689_599, "20241231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(utc_name(seconds), name);
        }
    }
}
