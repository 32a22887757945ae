//! A checkpoint that followers copy: its files, and the manifest that says what they are.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use haypile_oplog::Reader;
use haypile_partition::PartitionError;
use haypile_store::StoreError;
use haypile_sync::copy::{CHUNK_BYTES_DEFAULT, ChunkRef, CopyRefusal, Digest, Digester, FileEntry, Manifest};
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
            (position, log, data.history_up_to(position))
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

/// Bytes that are read at once: they are hashed while they are in the processor's cache.
const PIECE_BYTES: usize = 128 << 10;
/// Threads that read, at most. Followers wait for it, and the disk and its cache serve several.
const READERS_MAX: usize = 4;

/// All files of a directory with their digests.
fn describe(dir: &Path) -> io::Result<Vec<FileEntry>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let size = entry.metadata()?.len();
        let chunks = size.div_ceil(u64::from(CHUNK_BYTES_DEFAULT)) as usize;
        let digests = vec![Digest(0); chunks];
        files.push(FileEntry { name, size, digests });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    digest_all(dir, &mut files)?;
    Ok(files)
}

/// Fills in the digests, on several threads.
fn digest_all(dir: &Path, files: &mut [FileEntry]) -> io::Result<()> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(READERS_MAX);
    let mut chunks = Vec::new();
    for file in files {
        let (path, size) = (Arc::new(dir.join(&file.name)), file.size);
        let starts = (0u64..).step_by(CHUNK_BYTES_DEFAULT as usize);
        let of_file = file.digests.iter_mut().zip(starts);
        chunks.extend(of_file.map(|(digest, start)| {
            let length = (size - start).min(u64::from(CHUNK_BYTES_DEFAULT));
            (path.clone(), start, length, digest)
        }));
    }
    // Neighbours go to one thread each, so that each reads on.
    let share = chunks.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let spawn = |share: std::vec::Drain<'_, _>| {
            let share: Vec<_> = share.collect();
            let named = std::thread::Builder::new().name("sync-digest".into());
            named.spawn_scoped(scope, move || digest_share(share))
        };
        let mut running = Vec::new();
        while !chunks.is_empty() {
            running.push(spawn(chunks.drain(..share.min(chunks.len())))?);
        }
        for thread in running {
            thread
                .join()
                .map_err(|_| io::Error::other("a thread that reads a checkpoint has panicked"))??;
        }
        Ok(())
    })
}

/// A chunk of a file: where it begins, its length, and where its digest goes.
type Share<'a> = Vec<(Arc<PathBuf>, u64, u64, &'a mut Digest)>;

fn digest_share(share: Share<'_>) -> io::Result<()> {
    let (mut piece, mut digester) = (vec![0; PIECE_BYTES], Digester::default());
    let mut open: Option<(Arc<PathBuf>, File)> = None;
    for (path, start, length, digest) in share {
        let file = match open.take_if(|(of, _)| *of == path) {
            Some((_, file)) => file,
            None => File::open(&*path)?,
        };
        let mut at = 0;
        while at < length {
            let piece = &mut piece[..(length - at).min(PIECE_BYTES as u64) as usize];
            file.read_exact_at(piece, start + at)?;
            digester.update(piece);
            at += piece.len() as u64;
        }
        *digest = digester.finish();
        open = Some((path, file));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_described_chunk_by_chunk() {
        const CHUNK: usize = CHUNK_BYTES_DEFAULT as usize;
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..3 * CHUNK).map(|n| (n / 7 + n / 1_000_003) as u8).collect();
        let sizes = [
            ("a", 0),
            ("b", 1),
            ("c", CHUNK),
            ("d", CHUNK + 1),
            ("e", 3 * CHUNK),
            ("f", 100),
        ];
        for (name, size) in sizes {
            fs::write(dir.path().join(name), &bytes[..size]).unwrap();
        }
        let expected = sizes.map(|(name, size)| FileEntry {
            name: name.into(),
            size: size as u64,
            digests: bytes[..size].chunks(CHUNK).map(Digest::of).collect(),
        });
        assert_eq!(describe(dir.path()).unwrap(), expected);
        assert_eq!(describe(tempfile::tempdir().unwrap().path()).unwrap(), []);
    }
}
