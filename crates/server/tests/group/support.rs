//! Three servers, and clients that find the one that leads.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use haypile_testkit::{Client, PATIENCE, Server, free_port, text, wait_until};
use rustix::process::Signal;

/// Small servers, without what is not looked at.
const ARGS: [&str; 6] = ["--http-port", "0", "--memory-budget", "256mb", "--databases", "2"];

/// The password of servers that have one.
pub const PASSWORD: &str = "secret";

/// A group of three.
pub struct Group {
    pub servers: Vec<Server>,
    pub ports: Vec<u16>,
}

/// What `group-members` says.
pub fn members(ports: &[u16]) -> String {
    let members = ports.iter().enumerate();
    let members = members.map(|(at, port)| format!("{}=127.0.0.1:{port}", at + 1));
    members.collect::<Vec<_>>().join(" ")
}

/// A member that has not been started.
pub fn member(at: usize, ports: &[u16], args: &[&str]) -> Server {
    let mut server = Server::stopped(&[]);
    make_member(&mut server, at, ports, args);
    server
}

/// Makes a member of a server that does not run, whatever data it has.
pub fn make_member(server: &mut Server, at: usize, ports: &[u16], args: &[&str]) {
    let (members, number) = (members(ports), (at + 1).to_string());
    let mut all = ARGS.to_vec();
    all.extend(["--group-members", &members, "--group-member", &number]);
    all.extend(args);
    server.set_args(&all);
    server.set_address(SocketAddr::from(([127, 0, 0, 1], ports[at])));
}

impl Group {
    /// Three members that run; a leader is there.
    pub fn start(args: &[&str]) -> Group {
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let mut servers: Vec<Server> = (0..3).map(|at| member(at, &ports, args)).collect();
        servers.iter_mut().for_each(Server::start_again);
        let group = Group { servers, ports };
        group.leader();
        group
    }

    /// Which member leads; waits for one.
    pub fn leader(&self) -> usize {
        let mut leader = None;
        wait_until("a leader", || {
            leader = (0..3).find(|at| self.leads(*at));
            leader.is_some()
        });
        leader.unwrap()
    }

    fn leads(&self, at: usize) -> bool {
        ask(self.ports[at], "group_serves").is_some_and(|serves| serves == "1")
    }

    /// A client of the member that leads.
    pub fn client(&self) -> Client {
        let mut client = self.servers[self.leader()].client();
        // Where there is none, this is refused.
        client.say(&format!("AUTH {PASSWORD}"));
        client
    }

    /// Waits until all members have the same.
    pub fn wait_for_all(&self) {
        wait_until("all members to have the same", || {
            let digests: Vec<Option<String>> = self.ports.iter().map(|port| ask(*port, "group_commit")).collect();
            let applied: Vec<Option<String>> = self.ports.iter().map(|port| ask(*port, "master_repl_offset")).collect();
            digests[0].is_some() && digests.iter().chain(&applied).all(|one| *one == digests[0])
        });
    }

    /// Stops a member (SIGSTOP), does something, and lets it go on.
    pub fn while_stopped<R>(&self, at: usize, body: impl FnOnce() -> R) -> R {
        struct GoesOn<'a>(&'a Server);
        impl Drop for GoesOn<'_> {
            fn drop(&mut self) {
                self.0.signal(Signal::CONT);
            }
        }
        self.servers[at].signal(Signal::STOP);
        let _goes_on = GoesOn(&self.servers[at]);
        body()
    }
}

/// A field of INFO replication; `None` if the server does not answer soon.
pub fn ask(port: u16, name: &str) -> Option<String> {
    let mut client = Client::try_connect(port).ok()?;
    client.send(&["AUTH", PASSWORD]);
    client.send(&["INFO", "replication"]);
    client.recv_within(Duration::from_millis(300)).ok()??;
    let info = client.recv_within(Duration::from_millis(300)).ok()??;
    let info = String::from_utf8_lossy(info.as_bytes()?).into_owned();
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.map(str::to_owned)
}

/// What has become of a write.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Done(String),
    /// It may have been done.
    InDoubt,
}

/// A client that goes to whoever leads, and sends nothing twice that may have been done.
pub struct Finder {
    ports: Vec<u16>,
    at: usize,
    client: Option<Client>,
    /// For how long an answer is waited for.
    pub patience: Duration,
}

impl Finder {
    pub fn new(group: &Group) -> Finder {
        Finder::of(&group.ports)
    }

    /// A client of the members at these ports.
    pub fn of(ports: &[u16]) -> Finder {
        Finder {
            ports: ports.to_vec(),
            at: 0,
            client: None,
            patience: Duration::from_secs(6),
        }
    }

    /// Sends a command until it is done, or nobody knows whether it is.
    pub fn send(&mut self, line: &str) -> Outcome {
        let until = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < until, "nobody takes {line}");
            let Some(reply) = self.try_send(line) else {
                self.client = None;
                self.at += 1;
                continue;
            };
            let Ok(reply) = reply else {
                self.client = None;
                self.at += 1;
                return Outcome::InDoubt;
            };
            if let Some(address) = reply.strip_prefix("MOVED ") {
                let port = address.rsplit(':').next().unwrap().parse().unwrap();
                self.at = self.ports.iter().position(|other| *other == port).unwrap();
                self.client = None;
            } else if reply.starts_with("CLUSTERDOWN") || reply.starts_with("TRYAGAIN") {
                self.client = None;
                self.at += 1;
                std::thread::sleep(Duration::from_millis(5));
            } else if reply.starts_with("INDOUBT") {
                return Outcome::InDoubt;
            } else {
                return Outcome::Done(reply);
            }
        }
    }

    /// `None` if it was not sent.
    fn try_send(&mut self, line: &str) -> Option<io::Result<String>> {
        if self.client.is_none() {
            self.client = Client::try_connect(self.ports[self.at % self.ports.len()]).ok();
        }
        let patience = self.patience;
        let client = self.client.as_mut()?;
        client.try_send_lines(&[line]).ok()?;
        Some(match client.recv_within(patience) {
            Ok(Some(value)) => Ok(text(&value).trim_start_matches("(error) ").trim_matches('"').to_owned()),
            Ok(None) => Err(io::ErrorKind::TimedOut.into()),
            Err(error) => Err(error),
        })
    }
}
