//! The system calls: each error gets its subject and verb, and tests can make them fail.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use crate::error::OplogError;

/// Errors to answer with in place of system calls, for tests of what stands above. All off at first; what is
/// set stays until it is set again. Error numbers are those of the operating system.
#[derive(Debug, Default)]
pub struct Faults {
    write: AtomicI32,
    write_partial: AtomicU64,
    sync: AtomicI32,
    allocate: AtomicI32,
    truncate: AtomicI32,
}

impl Faults {
    /// Lets each write put down `partial_bytes` and then fail with this error number; `None` ends it.
    pub fn fail_writes(&self, errno: Option<i32>, partial_bytes: u64) {
        self.write_partial.store(partial_bytes, Ordering::SeqCst);
        self.write.store(errno.unwrap_or(0), Ordering::SeqCst);
    }

    /// Lets each fdatasync and fsync fail.
    pub fn fail_syncs(&self, errno: Option<i32>) {
        self.sync.store(errno.unwrap_or(0), Ordering::SeqCst);
    }

    /// Lets each preallocation of a segment fail.
    pub fn fail_allocations(&self, errno: Option<i32>) {
        self.allocate.store(errno.unwrap_or(0), Ordering::SeqCst);
    }

    /// Lets each shortening of a file fail.
    pub fn fail_truncations(&self, errno: Option<i32>) {
        self.truncate.store(errno.unwrap_or(0), Ordering::SeqCst);
    }

    fn check(fault: &AtomicI32) -> io::Result<()> {
        match fault.load(Ordering::Relaxed) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// The log's directory.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    dir: File,
    pub(crate) faults: Faults,
}

impl Disk {
    /// Opens the directory, and makes it if it is missing.
    pub(crate) fn open(path: &Path) -> Result<Disk, OplogError> {
        if !path.exists() {
            std::fs::create_dir_all(path).map_err(|e| OplogError::io("create directory", path, e))?;
            if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                let synced = File::open(parent).and_then(|dir| dir.sync_all());
                synced.map_err(|e| OplogError::io("sync directory", parent, e))?;
            }
        }
        let dir = File::open(path).map_err(|e| OplogError::io("open directory", path, e))?;
        Ok(Disk {
            path: path.to_path_buf(),
            dir,
            faults: Faults::default(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn open_file(&self, path: &Path) -> Result<File, OplogError> {
        let opened = OpenOptions::new().read(true).write(true).open(path);
        opened.map_err(|e| OplogError::io("open", path, e))
    }

    pub(crate) fn create_file(&self, path: &Path) -> Result<File, OplogError> {
        let created = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path);
        created.map_err(|e| OplogError::io("create", path, e))
    }

    pub(crate) fn write_all_at(&self, file: &File, path: &Path, bytes: &[u8], at: u64) -> Result<(), OplogError> {
        let done = Faults::check(&self.faults.write)
            .inspect_err(|_| {
                let partial = (self.faults.write_partial.load(Ordering::Relaxed) as usize).min(bytes.len());
                // The injected error is what is reported; how much came before it only matters to the test.
                let _ = file.write_all_at(&bytes[..partial], at);
            })
            .and_then(|()| file.write_all_at(bytes, at));
        done.map_err(|e| OplogError::io("write to", path, e))
    }

    pub(crate) fn sync_data(&self, file: &File, path: &Path) -> Result<(), OplogError> {
        let done = Faults::check(&self.faults.sync).and_then(|()| file.sync_data());
        done.map_err(|e| OplogError::io("sync", path, e))
    }

    pub(crate) fn sync_dir(&self) -> Result<(), OplogError> {
        let done = Faults::check(&self.faults.sync).and_then(|()| self.dir.sync_all());
        done.map_err(|e| OplogError::io("sync directory", &self.path, e))
    }

    /// Cuts a file to `length` bytes; what stood after it is gone for good.
    pub(crate) fn truncate(&self, file: &File, path: &Path, length: u64) -> Result<(), OplogError> {
        let done = Faults::check(&self.faults.truncate).and_then(|()| file.set_len(length));
        done.map_err(|e| OplogError::io("cut", path, e))
    }

    /// Makes room for `length` bytes in all; bytes that are there stay.
    pub(crate) fn allocate(&self, file: &File, path: &Path, length: u64) -> Result<(), OplogError> {
        let done = Faults::check(&self.faults.allocate).and_then(|()| {
            match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, length) {
                // A file system without preallocation: the file is as long, its blocks come with the writes.
                Err(rustix::io::Errno::OPNOTSUPP) => match file.metadata()?.len() {
                    now if now < length => file.set_len(length),
                    _ => Ok(()),
                },
                other => Ok(other?),
            }
        });
        done.map_err(|e| OplogError::io("allocate", path, e))
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), OplogError> {
        std::fs::rename(from, to).map_err(|e| OplogError::io("rename", from, e))
    }

    /// Removes a file; one that is not there is fine.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), OplogError> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(OplogError::io("remove", path, e)),
            _ => Ok(()),
        }
    }

    /// Bytes that the file system still has for this process.
    pub(crate) fn free_bytes(&self) -> Result<u64, OplogError> {
        let stat = rustix::fs::fstatvfs(&self.dir)
            .map_err(|e| OplogError::io("read the free space of", &self.path, e.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A number nobody has used: for salts and log ids. It has no influence on what the log does, so it need not
/// come from the injected randomness.
#[allow(clippy::disallowed_methods)] // see above
pub(crate) fn random_u64(path: &Path) -> Result<u64, OplogError> {
    let mut bytes = [0; 8];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| OplogError::io("get random bytes for", path, e.into()))?;
    assert_eq!(got, bytes.len(), "the kernel gives up to 256 bytes in one piece");
    Ok(u64::from_le_bytes(bytes))
}
