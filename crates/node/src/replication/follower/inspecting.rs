//! What is in `incoming/` from copies that broke off, and what of it is right.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use haypile_sync::copy::{ChunkRef, Digest, Manifest};
use haypile_sync::{ErrorKind, Failure};
use parking_lot::{Mutex, RwLock};

/// Bytes after which an inspection gives a sign of life.
const TOLD_BYTES: u64 = 64 << 20;

/// The chunks that are known to be on the disk, so that a copy that begins again need not read them. Shared by all copies of a run
/// of the process, of which one is wanted at a time.
#[derive(Default)]
pub(super) struct Incoming {
    /// Held alone by an inspection, and together by those who write chunks.
    gate: RwLock<()>,
    known: Mutex<HashMap<String, BTreeMap<u32, Digest>>>,
}

impl Incoming {
    /// Leaves in `dir` the manifest's files and no others, at their sizes. Gives the chunks that are right already, and the
    /// bytes free on the disk. `told` hears of the bytes read.
    ///
    /// # Errors
    /// A file, or it is not wanted any more.
    pub(super) fn inspect(
        &self,
        dir: &Path,
        manifest: &Manifest,
        wanted: &AtomicBool,
        told: impl Fn(u64),
    ) -> io::Result<(Vec<ChunkRef>, u64)> {
        let _alone = self.gate.write();
        fs::create_dir_all(dir)?;
        let there = self.prepare(dir, manifest)?;
        let (mut verified, mut read, mut told_at) = (Vec::new(), 0, 0);
        for chunk in manifest.chunks() {
            if !wanted.load(Ordering::Acquire) {
                return Err(io::Error::new(
                    io::ErrorKind::Interrupted,
                    "this copy is not wanted any more",
                ));
            }
            let file = &manifest.files()[chunk.file as usize];
            let Some((offset, length)) = manifest.range(chunk).filter(|_| there.contains(&file.name)) else {
                continue;
            };
            let digest = file.digests[chunk.chunk as usize];
            let known = self
                .known
                .lock()
                .get(&file.name)
                .and_then(|file| file.get(&chunk.chunk).copied());
            if known == Some(digest) {
                verified.push(chunk);
                continue;
            }
            let mut bytes = vec![0; length as usize];
            File::open(dir.join(&file.name))?.read_exact_at(&mut bytes, offset)?;
            if manifest.verify(chunk, &bytes) {
                self.remember(&file.name, chunk.chunk, digest);
                verified.push(chunk);
            }
            read += u64::from(length);
            if read >= told_at + TOLD_BYTES {
                told(read);
                told_at = read;
            }
        }
        let stat = rustix::fs::statvfs(dir)?;
        Ok((verified, stat.f_bavail * stat.f_frsize))
    }

    /// Gives the files that were there.
    fn prepare(&self, dir: &Path, manifest: &Manifest) -> io::Result<BTreeSet<String>> {
        let wanted: BTreeMap<&str, u64> = manifest
            .files()
            .iter()
            .map(|file| (file.name.as_str(), file.size))
            .collect();
        let mut there = BTreeSet::new();
        let mut known = self.known.lock();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match wanted.get(name.as_str()) {
                Some(size) => {
                    if entry.metadata()?.len() != *size {
                        known.remove(&name);
                    }
                    there.insert(name);
                }
                None => fs::remove_file(entry.path())?,
            }
        }
        known.retain(|name, _| there.contains(name));
        for (name, size) in wanted {
            let options = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(dir.join(name))?;
            options.set_len(size)?;
        }
        Ok(there)
    }

    /// Puts a chunk into its place.
    ///
    /// # Errors
    /// It is not what the manifest says, or the file; or the copy is not wanted any more.
    pub(super) fn write(
        &self,
        dir: &Path,
        manifest: &Manifest,
        chunk: ChunkRef,
        bytes: &[u8],
        wanted: &AtomicBool,
    ) -> Result<(), Failure> {
        let unknown = || Failure::new(ErrorKind::Internal, "there is no such chunk");
        let file = manifest.files().get(chunk.file as usize).ok_or_else(unknown)?;
        let (offset, _) = manifest.range(chunk).ok_or_else(unknown)?;
        if !manifest.verify(chunk, bytes) {
            let cause = format!("chunk {} is not what the manifest says", chunk.chunk);
            return Err(Failure::new(ErrorKind::Corrupt(file.name.clone()), cause));
        }
        let _with_others = self.gate.read();
        if !wanted.load(Ordering::Acquire) {
            return Err(Failure::new(ErrorKind::PeerClosed, "this copy is not wanted any more"));
        }
        let opened = File::options().write(true).open(dir.join(&file.name));
        opened
            .and_then(|opened| opened.write_all_at(bytes, offset))
            .map_err(|error| local(&error, &format!("write {}", file.name)))?;
        self.remember(&file.name, chunk.chunk, file.digests[chunk.chunk as usize]);
        Ok(())
    }

    fn remember(&self, name: &str, chunk: u32, digest: Digest) {
        let mut known = self.known.lock();
        known.entry(name.to_owned()).or_default().insert(chunk, digest);
    }
}

/// An error of this server's disk.
pub(super) fn local(error: &io::Error, verb: &str) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull => ErrorKind::NoSpace,
        _ => ErrorKind::Io,
    };
    Failure::new(kind, format!("cannot {verb}: {error}"))
}

#[cfg(test)]
mod tests {
    use haypile_sync::copy::{CHUNK_BYTES_MIN, FileEntry};
    use haypile_sync::{EpochHistory, EpochId, SnapshotId};
    use haypile_types::Position;

    use super::*;

    const CHUNK: usize = CHUNK_BYTES_MIN as usize;

    fn content(seed: u8, bytes: usize) -> Vec<u8> {
        (0..bytes)
            .map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed))
            .collect()
    }

    fn manifest(files: &[(&str, &[u8])]) -> Manifest {
        let mut history = EpochHistory::new();
        history.begin(EpochId(1), 0);
        let entry = |(name, bytes): &(&str, &[u8])| FileEntry {
            name: (*name).to_owned(),
            size: bytes.len() as u64,
            digests: bytes.chunks(CHUNK).map(Digest::of).collect(),
        };
        let files = files.iter().map(entry).collect();
        Manifest::new(SnapshotId(1), Position::new(1, 1), history, CHUNK_BYTES_MIN, files).unwrap()
    }

    #[test]
    fn what_was_written_or_read_once_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (incoming, wanted) = (Incoming::default(), AtomicBool::new(true));
        let bytes = content(1, CHUNK * 3);
        let manifest = manifest(&[("a", &bytes)]);
        let inspect = |incoming: &Incoming| incoming.inspect(dir.path(), &manifest, &wanted, |_| {}).unwrap().0;
        assert_eq!(inspect(&incoming), []);
        let chunks: Vec<_> = manifest.chunks().collect();
        let part = |at: usize| &bytes[at * CHUNK..][..CHUNK];
        incoming
            .write(dir.path(), &manifest, chunks[1], part(1), &wanted)
            .unwrap();
        assert_eq!(inspect(&incoming), chunks[1..2]);
        // If it were read it would be found to be damaged.
        fs::write(dir.path().join("a"), vec![0; bytes.len()]).unwrap();
        assert_eq!(inspect(&incoming), chunks[1..2]);
        // Another run of the process has to read.
        assert_eq!(inspect(&Incoming::default()), []);
        // So has this one if the file is another, or was away.
        fs::write(dir.path().join("a"), &bytes[..CHUNK]).unwrap();
        assert_eq!(inspect(&incoming), chunks[..1]);
        fs::remove_file(dir.path().join("a")).unwrap();
        assert_eq!(inspect(&incoming), []);
    }

    #[test]
    fn a_copy_that_is_not_wanted_any_more_neither_reads_nor_writes() {
        let dir = tempfile::tempdir().unwrap();
        let (incoming, wanted) = (Incoming::default(), AtomicBool::new(true));
        let bytes = content(1, CHUNK);
        let manifest = manifest(&[("a", &bytes)]);
        incoming.inspect(dir.path(), &manifest, &wanted, |_| {}).unwrap();
        wanted.store(false, Ordering::Release);
        let chunk = manifest.chunks().next().unwrap();
        assert!(incoming.write(dir.path(), &manifest, chunk, &bytes, &wanted).is_err());
        assert!(incoming.inspect(dir.path(), &manifest, &wanted, |_| {}).is_err());
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), vec![0; CHUNK]);
    }

    #[test]
    fn files_of_other_checkpoints_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old"), "x").unwrap();
        let manifest = manifest(&[("new", b"abc")]);
        let wanted = AtomicBool::new(true);
        Incoming::default()
            .inspect(dir.path(), &manifest, &wanted, |_| {})
            .unwrap();
        let names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["new"]);
    }
}
