//! Replacing a file in one step.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Who may read a file that there was not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Only the user as whom the process runs: there may be secrets in it.
    Owner,
    /// As the process makes its other files.
    AsUsual,
}

/// Only its owner reads and writes it.
const OWNER_ONLY: u32 = 0o600;

/// Replaces a file in one step, or makes it: after a crash there is the old one or the new one, whole and on disk. A file that was there
/// keeps its permissions.
///
/// # Errors
/// The file is as before, or it is not known which of the two a crash would leave.
pub fn replace_file(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        match fs::metadata(path) {
            Ok(old) => file.set_permissions(old.permissions())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if readers == Readers::Owner {
                    file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
                }
            }
            Err(error) => return Err(error),
        }
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if let Err(error) = written {
        // The first error is the one to report; a file that is left over does no harm.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(folder)?.sync_all()
}
