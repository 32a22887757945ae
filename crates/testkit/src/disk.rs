//! A file system of a few megabytes in a file, which a test can fill up.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Bytes that are written at one go to fill it up.
const PIECE_BYTES: usize = 64 << 10;

/// A file system of its own, small enough to be filled: a tmpfs, which only root may mount. Unmounted in the end.
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// Of so many megabytes. `None` where that is not permitted, which it says.
    pub fn mount(megabytes: u32) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "haypile-test"]).arg(dir.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(SmallDisk { dir }),
            Ok(output) => {
                println!(
                    "skipped: no file system can be mounted: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
                None
            }
            Err(error) => {
                println!("skipped: there is no mount: {error}");
                None
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Puts a file of so many bytes in the way.
    pub fn ballast(&self, bytes: usize) {
        fs::write(self.path().join("ballast"), vec![1; bytes]).expect("room for the ballast");
    }

    /// Puts a file in the way that takes all the room there is.
    pub fn fill(&self) {
        let mut file = File::create(self.path().join("ballast")).expect("room for the ballast");
        while file.write_all(&[1; PIECE_BYTES]).is_ok() {}
        while file.write_all(&[1]).is_ok() {}
    }

    /// Takes it away.
    pub fn make_room(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that is still being killed may have files open.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
