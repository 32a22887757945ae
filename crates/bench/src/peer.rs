//! The servers that are measured: a name and a command line each, started in a directory of their own.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;
use crate::error::Error;
use crate::interrupt;
use crate::process::Process;

/// How long a server may take to its first PONG. Redis with ten million keys needs some ten seconds.
const UP_MAX: Duration = Duration::from_secs(300);
/// Between two attempts to connect; also the resolution of start-up times.
const UP_POLL: Duration = Duration::from_millis(1);
const LOG_TAIL_LINES: usize = 15;

/// A server that can be started: `name=command line`, with {port} and {dir} in the latter.
#[derive(Clone, Debug)]
pub struct Peer {
    /// As it stands in the tables.
    pub name: String,
    /// The words of the command line.
    pub command: Vec<String>,
}

impl Peer {
    /// Haypile, synced every second as Redis is.
    pub fn haypile(binary: &Path) -> Self {
        Self::new(
            "haypile",
            binary,
            "server --port {port} --dir {dir} --http-port 0 --sync everysec",
        )
    }

    /// Redis with its log, synced every second, and no snapshots.
    pub fn redis(binary: &Path) -> Self {
        let mut peer = Self::new(
            "redis",
            binary,
            "--port {port} --dir {dir} --bind 127.0.0.1 --appendonly yes --appendfsync everysec",
        );
        peer.command.extend(["--save".into(), String::new()]);
        peer
    }

    fn new(name: &str, binary: &Path, arguments: &str) -> Self {
        let mut command = vec![binary.display().to_string()];
        command.extend(arguments.split(' ').map(str::to_owned));
        Self {
            name: name.into(),
            command,
        }
    }

    /// The same with further arguments.
    pub fn with(mut self, arguments: &[String]) -> Self {
        self.command.extend_from_slice(arguments);
        self
    }
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, line)) if !name.is_empty() && line.contains("{port}") => Ok(Self {
                name: name.into(),
                command: line.split_whitespace().map(str::to_owned).collect(),
            }),
            _ => Err("expected NAME=COMMAND with {port} (and {dir}) in the command".into()),
        }
    }
}

/// A running server with a directory that goes away with it.
#[derive(Debug)]
pub struct Server {
    peer: Peer,
    // Before `home`: the process must have ended when its directory is removed.
    process: Option<Process>,
    home: TempDir,
    /// On loopback.
    pub port: u16,
}

impl Server {
    /// Starts `peer` on a free port with an empty directory below `parent` (or the system's place for such), and waits
    /// until it answers PING.
    pub fn start(peer: &Peer, parent: Option<&Path>) -> Result<Self, Error> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("haypile-bench-");
        let home = match parent {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        fs::create_dir(home.path().join("data"))?;
        let mut server = Self {
            peer: peer.clone(),
            process: None,
            home,
            port: free_port()?,
        };
        server.restart()?;
        Ok(server)
    }

    /// Starts the server again over the same data; returns the time to the first PONG.
    pub fn restart(&mut self) -> Result<Duration, Error> {
        let (port, dir) = (self.port.to_string(), self.data_dir().display().to_string());
        let words: Vec<String> = self
            .peer
            .command
            .iter()
            .map(|w| w.replace("{port}", &port).replace("{dir}", &dir))
            .collect();
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| Error::Usage("an empty command line".into()))?;
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let start = Instant::now();
        let process = Process::start(command).map_err(|source| Error::Start {
            program: program.clone(),
            source,
        })?;
        self.process = Some(process);
        self.wait_for_pong(start)?;
        Ok(start.elapsed())
    }

    fn wait_for_pong(&mut self, start: Instant) -> Result<(), Error> {
        loop {
            interrupt::check()?;
            if let Ok(mut client) = Client::connect(self.port)
                // An error while Redis loads its data, +OK from the echo loop.
                && client.call(&["PING"]).is_ok_and(|reply| reply.as_error().is_none())
            {
                return Ok(());
            }
            let ended = self.process.as_mut().map(Process::ended).transpose()?.flatten();
            if let Some(status) = ended {
                return Err(self.not_up(status.to_string()));
            }
            if start.elapsed() > UP_MAX {
                return Err(self.not_up(format!("no PONG within {} s", UP_MAX.as_secs())));
            }
            thread::sleep(UP_POLL);
        }
    }

    fn not_up(&self, why: String) -> Error {
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n");
        Error::NotUp {
            name: self.peer.name.clone(),
            why,
            log: tail,
        }
    }

    /// As it stands in the tables.
    pub fn name(&self) -> &str {
        &self.peer.name
    }

    /// Where the data is.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// What it has written to its standard output and error output.
    pub fn log(&self) -> io::Result<String> {
        fs::read_to_string(self.log_path())
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// The running process.
    pub fn process(&mut self) -> Result<&mut Process, Error> {
        self.process
            .as_mut()
            .ok_or_else(|| Error::Usage("the server is not running".into()))
    }

    /// A new connection.
    pub fn client(&self) -> Result<Client, Error> {
        Client::connect(self.port)
    }

    /// Bytes that the data takes on disk.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        tree_bytes(&self.data_dir())
    }
}

/// Bytes that a directory takes on disk.
pub fn tree_bytes(dir: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // A server may remove a file between the listing and the look at it.
        sum += match entry.metadata() {
            Ok(data) if data.is_dir() => tree_bytes(&entry.path())?,
            Ok(data) => data.blocks() * 512,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(sum)
}

/// A port on loopback that nobody uses at the moment.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_from_text() {
        let peer: Peer = "valkey=valkey-server --port {port} --dir {dir}".parse().unwrap();
        assert_eq!(peer.name, "valkey");
        assert_eq!(peer.command.len(), 5);
        assert!("valkey-server --port 1".parse::<Peer>().is_err());
        assert!("x=valkey-server".parse::<Peer>().is_err());
    }

    #[test]
    fn a_server_that_ends_at_once_is_named_with_its_output() {
        let peer: Peer = "broken=ls /nowhere{port}".parse().unwrap();
        let error = Server::start(&peer, None).unwrap_err().to_string();
        assert!(error.contains("broken") && error.contains("nowhere"), "{error}");
    }
}
