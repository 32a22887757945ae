//! A redis-sentinel as a process of its own.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use haypile_testkit::{Client, Value, free_port, text, wait_until};

/// The name of the group that is watched.
const NAME: &str = "pile";
/// Sentinels that must agree that the primary is down.
const QUORUM: usize = 2;
/// How long a server is silent before a sentinel takes it for dead.
const DOWN_AFTER: Duration = Duration::from_millis(1500);
/// How long a sentinel waits for the steps of a failover; twice that until it tries another one.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(6);
/// How long a sentinel may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A running redis-sentinel; killed when it is dropped.
pub struct Sentinel {
    child: Child,
    port: u16,
    dir: TempDir,
}

/// What a sentinel says of the primary.
#[derive(Debug)]
pub struct View {
    pub port: u16,
    /// Comma-separated: `master` if all is well.
    pub flags: String,
    pub replicas: usize,
    pub sentinels: usize,
}

/// Whether there is a redis-sentinel to run.
pub fn is_installed() -> bool {
    let version = Command::new("redis-sentinel").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

impl Sentinel {
    /// Starts one that watches the primary at this port.
    pub fn start(primary: u16) -> Sentinel {
        let dir = tempfile::tempdir().unwrap();
        let (port, file) = (free_port(), dir.path().join("sentinel.conf"));
        let (down_after, failover) = (DOWN_AFTER.as_millis(), FAILOVER_TIMEOUT.as_millis());
        let lines = [
            format!("port {port}"),
            "bind 127.0.0.1".into(),
            format!("dir {}", dir.path().display()),
            format!("sentinel monitor {NAME} 127.0.0.1 {primary} {QUORUM}"),
            format!("sentinel down-after-milliseconds {NAME} {down_after}"),
            format!("sentinel failover-timeout {NAME} {failover}"),
            // Both at once: data is served meanwhile.
            format!("sentinel parallel-syncs {NAME} 2"),
        ];
        fs::write(&file, lines.join("\n") + "\n").unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let child = Command::new("redis-sentinel")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sentinel = Sentinel { child, port, dir };
        wait_until("a sentinel's first answer", || sentinel.view().is_some());
        sentinel
    }

    /// Where it says that the primary is.
    pub fn primary(&self) -> Option<u16> {
        primary(self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it says of the primary.
    pub fn view(&self) -> Option<View> {
        let reply = ask(self.port, &["SENTINEL", "MASTER", NAME])?;
        Some(View {
            port: field(&reply, "port")?.parse().ok()?,
            flags: field(&reply, "flags")?,
            replicas: field(&reply, "num-slaves")?.parse().ok()?,
            sentinels: field(&reply, "num-other-sentinels")?.parse().ok()?,
        })
    }

    /// Ports and flags of the replicas that it knows.
    pub fn replicas(&self) -> Option<Vec<(u16, String)>> {
        let reply = ask(self.port, &["SENTINEL", "REPLICAS", NAME])?;
        let replicas = reply.as_elements()?.iter();
        replicas
            .map(|replica| Some((field(replica, "port")?.parse().ok()?, field(replica, "flags")?)))
            .collect()
    }

    /// What it has logged, for whoever looks into a failure.
    pub fn log(&self) -> String {
        let path: PathBuf = self.dir.path().join("log");
        fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the sentinel at this port says that the primary is.
pub fn primary(sentinel: u16) -> Option<u16> {
    let reply = ask(sentinel, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME])?;
    let port = reply.as_elements()?.get(1)?.as_bytes()?;
    std::str::from_utf8(port).ok()?.parse().ok()
}

fn ask(sentinel: u16, command: &[&str]) -> Option<Value> {
    let mut client = Client::try_connect(sentinel).ok()?;
    client.send(command);
    client.recv_within(ANSWER).ok()?
}

/// A field of a flat list of names and values.
fn field(list: &Value, name: &str) -> Option<String> {
    let pairs = list.as_elements()?.chunks(2);
    let mut values = pairs.filter(|pair| pair[0].as_bytes() == Some(name.as_bytes()));
    let value = values.next()?.get(1)?;
    match value.as_bytes() {
        Some(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        None => Some(text(value)),
    }
}
