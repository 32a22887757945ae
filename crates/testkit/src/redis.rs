//! A Redis server to compare with, if the machine has one.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Client, free_port, wait_until};

/// A redis-server of its own process, for what is to be compared with it. Killed when it is dropped, and its data removed.
pub struct Redis {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Redis {
    /// Starts it on a free port of 127.0.0.1, with these arguments besides. `None` where it is not installed, which this says.
    #[track_caller]
    pub fn start(args: &[&str]) -> Option<Redis> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            println!("skipped: redis-server is not installed");
            return None;
        }
        let (port, dir) = (free_port(), tempfile::tempdir().expect("a temporary directory"));
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--logfile", "log"])
            .arg("--dir")
            .arg(dir.path())
            .args(args)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server");
        let redis = Redis { child, port, dir };
        wait_until("redis-server", || Client::try_connect(redis.port).is_ok());
        Some(redis)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
