//! A checkpoint that followers copy: its files, and the manifest that says what they are.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use haypile_oplog::Reader;
use haypile_partition::PartitionError;
use haypile_store::StoreError;
use haypile_sync::copy::{CHUNK_BYTES_DEFAULT, ChunkRef, CopyRefusal, Digest, FileEntry, Manifest};
use haypile_sync::{PartitionId, SnapshotId};

use crate::replication::Replication;

/// The directory of these checkpoints, in the data directory.
const DIR: &str = "sync-checkpoints";

/// A checkpoint on the disk.
pub struct Snapshot {
    dir: PathBuf,
    manifest: Arc<Manifest>,
    /// Keeps the log from the checkpoint on, within its caps.
    _log: Reader,
    /// The log from the checkpoint on has been collected all the same, and that has been said.
    pub(in crate::replication) log_lost: AtomicBool,
}

/// The directory of all checkpoints. What is in it at a start was left over.
pub fn all(node_dir: &Path) -> PathBuf {
    node_dir.join(DIR)
}

/// Removes checkpoints. What cannot be removed goes at the next start.
pub fn remove(dirs: &[PathBuf]) {
    for dir in dirs {
        if let Err(error) = fs::remove_dir_all(dir) {
            tracing::warn!(%error, dir = %dir.display(), "a checkpoint that is not needed any more cannot be removed");
        }
    }
}

impl Snapshot {
    /// Makes one. Takes as long as reading all files.
    ///
    /// # Errors
    /// Why there is none, for the follower.
    pub fn make(replication: &Replication, partition: &PartitionId, id: SnapshotId) -> Result<Snapshot, CopyRefusal> {
        let all = all(&replication.parts.config.load().dir);
        let dir = all.join(id.to_string());
        let made = Snapshot::make_in(replication, partition, id, dir.clone());
        if let Err(error) = &made {
            tracing::warn!(?error, "a checkpoint for a replica cannot be made");
            // The first error is the one to report.
            let _ = fs::remove_dir_all(&dir);
        }
        made
    }

    fn make_in(
        replication: &Replication,
        partition: &PartitionId,
        id: SnapshotId,
        dir: PathBuf,
    ) -> Result<Snapshot, CopyRefusal> {
        if let Some(all) = dir.parent() {
            fs::create_dir_all(all).map_err(|error| refusal(&error))?;
        }
        let (position, log, history) = {
            let data = replication
                .parts
                .partitions
                .of(partition)
                .clone()
                .ok_or(CopyRefusal::Busy)?;
            // Before the checkpoint: what comes after it must not be collected meanwhile.
            let log = data
                .readers()
                .reader(data.log_ends().applied + 1)
                .map_err(|error| CopyRefusal::Refused(error.to_string()))?;
            let position = data.checkpoint(&dir).map_err(|error| not_made(&error))?;
            // After the checkpoint: who wrote what is in it is known by now.
            (position, log, data.history().up_to(position.index))
        };
        let files = describe(&dir.join("store")).map_err(|error| refusal(&error))?;
        let manifest = Manifest::new(id, position, history, CHUNK_BYTES_DEFAULT, files)
            .map_err(|error| CopyRefusal::Refused(error.to_string()))?;
        tracing::info!(checkpoint = %id, %position, files = manifest.files().len(), bytes = manifest.total_bytes(), "a checkpoint for replicas is made");
        Ok(Snapshot {
            dir,
            manifest: Arc::new(manifest),
            _log: log,
            log_lost: AtomicBool::new(false),
        })
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it consists of.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// A chunk, read and checked.
    ///
    /// # Errors
    /// There is no such chunk, or it is damaged on this disk.
    pub fn chunk(&self, at: ChunkRef) -> Result<Bytes, CopyRefusal> {
        let none = || CopyRefusal::Refused("there is no such chunk".into());
        let (offset, length) = self.manifest.range(at).ok_or_else(none)?;
        let name = &self.manifest.files().get(at.file as usize).ok_or_else(none)?.name;
        let mut bytes = vec![0; length as usize];
        let read =
            File::open(self.dir.join("store").join(name)).and_then(|file| file.read_exact_at(&mut bytes, offset));
        if read.is_err() || !self.manifest.verify(at, &bytes) {
            return Err(CopyRefusal::Corrupt(name.clone()));
        }
        Ok(bytes.into())
    }
}

fn not_made(error: &PartitionError) -> CopyRefusal {
    match error {
        PartitionError::Store(StoreError::NoSpace(_)) => CopyRefusal::NoSpace(error.to_string()),
        PartitionError::Store(StoreError::Io { source, .. }) | PartitionError::Io { source, .. }
            if source.kind() == io::ErrorKind::StorageFull =>
        {
            CopyRefusal::NoSpace(error.to_string())
        }
        _ => CopyRefusal::Refused(error.to_string()),
    }
}

fn refusal(error: &io::Error) -> CopyRefusal {
    match error.kind() {
        io::ErrorKind::StorageFull => CopyRefusal::NoSpace(error.to_string()),
        _ => CopyRefusal::Refused(error.to_string()),
    }
}

/// All files of a directory with their digests.
fn describe(dir: &Path) -> io::Result<Vec<FileEntry>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let (size, digests) = digests(&entry.path())?;
        files.push(FileEntry { name, size, digests });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn digests(path: &Path) -> io::Result<(u64, Vec<Digest>)> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK_BYTES_DEFAULT as usize];
    let (mut size, mut digests) = (0, Vec::new());
    loop {
        let mut filled = 0;
        while filled < chunk.len() {
            match file.read(&mut chunk[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        if filled == 0 {
            return Ok((size, digests));
        }
        size += filled as u64;
        digests.push(Digest::of(&chunk[..filled]));
    }
}
