//! One server.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;

use super::logs::Logs;
use haypile_testkit::{Client, Server, Value, encode, text, words};

/// The password of all servers, except while one has another.
pub const PASSWORD: &str = "secret";
/// How long a server that runs may take to answer. One that stands still does not at all.
pub const ANSWER: Duration = Duration::from_secs(20);

/// What a server is started with, apart from its place.
const ARGS: &[&str] = &[
    "--memory-budget",
    "64mb",
    "--rocksdb-write-buffer-size",
    "1mb",
    "--oplog-segment-bytes",
    "1mb",
    "--disk-free-min-bytes",
    "0",
    "--repl-retry-min-ms",
    "20",
    "--repl-retry-max-ms",
    "100",
    "--enable-debug-command",
    "yes",
];

/// Configuration that events change, and that is set again at the end of each round.
pub const CONFIG: &[(&str, &str)] = &[
    ("oplog-retention-bytes", "16mb"),
    ("oplog-pinned-max-bytes", "0"),
    ("repl-timeout", "1"),
    ("repl-copy-bytes-per-second", "0"),
    ("repl-copy-workers", "4"),
    ("repl-window-bytes", "64mb"),
    ("repl-compression", "no"),
    ("min-replicas-to-write", "0"),
    ("replica-serve-stale-data", "yes"),
    ("masterauth", PASSWORD),
    ("requirepass", PASSWORD),
];

/// See the module.
pub struct Node {
    pub number: usize,
    server: Server,
    /// Where it is, or will be when it is started.
    pub address: SocketAddr,
    /// The password that clients need.
    pub password: String,
    /// Whom it follows, as it was told; `None` for a primary.
    pub follows: Option<SocketAddr>,
    /// The policy of its log.
    sync: String,
    /// It has been told to stand still.
    pub stands: bool,
    pub runs: bool,
    pub logs: Logs,
}

impl Node {
    pub fn new(number: usize, address: SocketAddr, sync: &str) -> Node {
        Node {
            number,
            server: Server::stopped(&[]),
            address,
            password: PASSWORD.into(),
            follows: None,
            sync: sync.into(),
            stands: false,
            runs: false,
            logs: Logs::default(),
        }
    }

    fn prepare(&mut self) {
        let mut args: Vec<String> = ARGS.iter().map(|arg| arg.to_string()).collect();
        args.extend(["--sync".into(), self.sync.clone()]);
        args.extend(["--replica-announce-ip".into(), self.address.ip().to_string()]);
        for (key, value) in CONFIG {
            args.extend([format!("--{key}"), value.to_string()]);
        }
        if let Some(address) = self.follows {
            args.extend(["--replicaof".into(), format!("{} {}", address.ip(), address.port())]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.server.set_args(&args);
        self.server.set_address(self.address);
        self.password = PASSWORD.into();
    }

    /// Starts it.
    pub fn start(&mut self) {
        self.prepare();
        self.server.start_again();
        (self.runs, self.stands) = (true, false);
    }

    /// Starts it and kills it after this time.
    pub fn start_and_kill(&mut self, after: Duration) {
        self.prepare();
        let log = self.server.start_and_kill(after);
        self.logs.ended(log);
    }

    /// Ends it as `kill -9` does, if it runs.
    pub fn kill(&mut self) -> Result<(), String> {
        if !self.runs {
            return Ok(());
        }
        self.check_that_it_runs()?;
        self.server.kill();
        self.runs = false;
        self.stands = false;
        self.logs.ended(self.server.log());
        Ok(())
    }

    /// Ends it in order, if it runs.
    pub fn stop(&mut self) -> Result<(), String> {
        if !self.runs {
            return Ok(());
        }
        self.go_on();
        self.check_that_it_runs()?;
        let status = self.server.stop();
        self.runs = false;
        self.logs.ended(self.server.log());
        match status.success() {
            true => Ok(()),
            false => Err(format!("server {} stopped with {status}", self.number)),
        }
    }

    /// No server ends by itself.
    pub fn check_that_it_runs(&mut self) -> Result<(), String> {
        match !self.runs || self.server.is_running() {
            true => Ok(()),
            false => Err(format!("server {} has ended by itself", self.number)),
        }
    }

    /// Removes all its data.
    pub fn remove_data(&mut self) {
        self.server.remove_data();
    }

    /// SIGSTOP.
    pub fn stand_still(&mut self) {
        if self.runs {
            self.server.signal(Signal::STOP);
            self.stands = true;
        }
    }

    /// SIGCONT.
    pub fn go_on(&mut self) {
        if self.stands {
            self.server.signal(Signal::CONT);
            self.stands = false;
        }
    }

    /// True if it can be asked something.
    pub fn answers(&self) -> bool {
        self.runs && !self.stands
    }

    /// What the running process has logged.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Keeps its data, and writes its logs beside them.
    pub fn keep(&mut self) -> String {
        let dir = self.server.keep_dir();
        let log = match self.runs {
            true => self.server.log(),
            false => String::new(),
        };
        let file = dir.with_file_name("log");
        std::fs::write(&file, self.logs.all(&log)).expect("a file for the log");
        dir.parent().expect("a directory above").display().to_string()
    }

    /// A new connection, logged in.
    pub fn client(&self) -> Result<Client, String> {
        connect(self.address, &self.password, ANSWER).map_err(|error| format!("server {}: {error}", self.number))
    }

    /// A command, written as in a shell, and its reply as text.
    pub fn say(&self, line: &str) -> Result<String, String> {
        let mut client = self.client()?;
        ask(&mut client, &words(line), ANSWER)
            .map(|reply| text(&reply))
            .map_err(|error| format!("server {}: {line}: {error}", self.number))
    }

    /// A command that must succeed.
    pub fn order(&self, line: &str) -> Result<(), String> {
        match self.say(line)?.as_str() {
            "OK" => Ok(()),
            other => Err(format!("server {}: {line}: {other}", self.number)),
        }
    }

    /// INFO replication.
    pub fn info(&self) -> Result<Info, String> {
        let mut client = self.client()?;
        info(&mut client, ANSWER).map_err(|error| format!("server {}: INFO: {error}", self.number))
    }
}

/// The fields of INFO replication.
#[derive(Debug, Default)]
pub struct Info(pub HashMap<String, String>);

impl Info {
    /// A field; empty if it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Index of the last entry.
    pub fn offset(&self) -> u64 {
        self.get("master_repl_offset").parse().unwrap_or(0)
    }

    pub fn is_replica(&self) -> bool {
        self.get("role") == "slave"
    }

    pub fn is_up(&self) -> bool {
        self.is_replica() && self.get("master_link_status") == "up"
    }
}

/// Asks for INFO replication.
pub fn info(client: &mut Client, patience: Duration) -> Result<Info, String> {
    let reply = ask(client, &["INFO", "replication"], patience)?;
    let bytes = reply.as_bytes().ok_or_else(|| text(&reply))?;
    let lines = String::from_utf8_lossy(bytes);
    let fields = lines.lines().filter_map(|line| line.split_once(':'));
    Ok(Info(fields.map(|(name, value)| (name.into(), value.into())).collect()))
}

/// Connects and logs in.
pub fn connect(address: SocketAddr, password: &str, patience: Duration) -> Result<Client, String> {
    let mut client = Client::try_connect_to(address).map_err(|error| error.to_string())?;
    client
        .stream()
        .set_write_timeout(Some(patience))
        .map_err(|error| error.to_string())?;
    match ask(&mut client, &["AUTH", password], patience)? {
        Value::Simple(_) => Ok(client),
        other => Err(text(&other)),
    }
}

/// One command and its reply, from a server that may be gone.
pub fn ask<A: AsRef<[u8]>>(client: &mut Client, args: &[A], patience: Duration) -> Result<Value, String> {
    let mut bytes = Vec::new();
    encode(&mut bytes, args);
    send(client, &bytes)?;
    match client.recv_within(patience) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err("no answer".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Sends bytes as they are, to a server that may be gone.
pub fn send(client: &Client, bytes: &[u8]) -> Result<(), String> {
    use std::io::Write;
    client.stream().write_all(bytes).map_err(|error| error.to_string())
}
