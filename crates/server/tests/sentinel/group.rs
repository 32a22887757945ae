//! Three servers with three sentinels.

use std::time::{Duration, Instant};

use super::process::Sentinel;
use haypile_testkit::{Client, Server, free_port};

/// How long a step may take: sentinels that were held up go into "tilt" for 30 s, and try a failover again after twice its
/// timeout.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const SENTINELS: usize = 3;
const SERVERS: usize = 3;

/// Servers and their sentinels.
pub struct Group {
    pub servers: Vec<Server>,
    pub sentinels: Vec<Sentinel>,
    ports: Vec<u16>,
}

impl Group {
    /// A primary, which is the first server, with its replicas, and sentinels that know all of them.
    pub fn start() -> Group {
        let ports: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect();
        let mut servers = Vec::new();
        for port in &ports {
            let (port, primary) = (port.to_string(), format!("127.0.0.1 {}", ports[0]));
            let mut args = vec!["--port", &port, "--enable-debug-command", "yes"];
            if !servers.is_empty() {
                args.extend(["--replicaof", &primary]);
            }
            let mut server = Server::start(&args);
            // After a kill it comes back as what it was at the start of all: without a word of whom to follow.
            server.set_args(&["--port", &port, "--enable-debug-command", "yes"]);
            servers.push(server);
        }
        let sentinels = (0..SENTINELS).map(|_| Sentinel::start(ports[0])).collect();
        Group {
            servers,
            sentinels,
            ports,
        }
    }

    /// The server at this port.
    pub fn at(&self, port: u16) -> usize {
        self.ports.iter().position(|known| *known == port).expect("one of ours")
    }

    /// Waits until all sentinels name the same primary, another than `not`, and it is one. Gives its number.
    pub fn await_primary(&self, not: Option<usize>) -> usize {
        let mut found = 0;
        self.wait_until("the sentinels name a primary", || {
            let named: Option<Vec<u16>> = self.sentinels.iter().map(Sentinel::primary).collect();
            let Some(named) = named else { return false };
            found = self.at(named[0]);
            let agreed = named.iter().all(|port| *port == named[0]);
            agreed && Some(found) != not && says(&self.servers[found], &["role:master"])
        });
        found
    }

    /// Waits until the other servers follow this one, and all sentinels know that and are well.
    pub fn await_order(&self, primary: usize) {
        let port = format!("master_port:{}", self.ports[primary]);
        for (n, server) in self.servers.iter().enumerate() {
            self.wait_until("the replicas follow", || {
                n == primary || says(server, &[&port, "master_link_status:up"])
            });
        }
        for sentinel in &self.sentinels {
            self.wait_until("a sentinel sees everybody", || {
                let (Some(view), Some(replicas)) = (sentinel.view(), sentinel.replicas()) else {
                    return false;
                };
                view.port == self.ports[primary]
                    && view.flags == "master"
                    && (view.replicas, view.sentinels) == (SERVERS - 1, SENTINELS - 1)
                    && replicas.iter().all(|(_, flags)| flags == "slave")
            });
        }
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            if Instant::now() >= deadline {
                for sentinel in &self.sentinels {
                    eprintln!(
                        "sentinel {}: {:?}\n{}",
                        sentinel.port(),
                        sentinel.view(),
                        sentinel.log()
                    );
                }
                panic!("waited in vain for: {what}");
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Whether INFO replication has these lines. A connection that ends says no: a sentinel that gives a server another role
/// ends all its clients' connections.
fn says(server: &Server, wanted: &[&str]) -> bool {
    let ask = || {
        let mut client = Client::try_connect(server.port()).ok()?;
        client.try_send_lines(&["INFO replication"]).ok()?;
        let info = client.recv_within(PATIENCE).ok()??;
        let info = String::from_utf8_lossy(info.as_bytes()?).into_owned();
        Some(wanted.iter().all(|line| info.lines().any(|found| found == *line)))
    };
    ask().unwrap_or(false)
}
