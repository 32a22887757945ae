//! The data directory: one process has it at a time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use haypile_node::DirError;

/// Why the data directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process uses it.
    #[error("{0} is in use by another process; stop it, or give this one another --dir")]
    Locked(PathBuf),
    /// It cannot be made, or not be locked.
    #[error(transparent)]
    Dir(#[from] DirError),
}

/// Makes the directory if there is none, and locks it for as long as the file is open.
///
/// # Errors
/// It is in use, or cannot be had.
pub(crate) fn lock(dir: &Path) -> Result<File, LockError> {
    let failed = |verb, path: &Path| {
        let path = path.to_owned();
        move |source| DirError { verb, path, source }
    };
    fs::create_dir_all(dir).map_err(failed("create", dir))?;
    let path = dir.join("LOCK");
    let file = File::create(&path).map_err(failed("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(LockError::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(failed("lock", &path)(source).into()),
    }
}
