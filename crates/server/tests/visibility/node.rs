//! The servers of a run.

use std::fmt;

use super::connection::Connection;
use super::scenario::{Unit, line};
use haypile_testkit::{Redis, Server, wait_until};

/// The numbers of the servers.
pub const PRIMARY: usize = 0;
pub const REPLICA: usize = 1;

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    pub io_threads: u64,
    /// Haypile's `--sync`.
    pub sync: String,
    /// True if a replica follows.
    pub replica: bool,
    /// True if there is more data than memory for it.
    pub cold: bool,
    /// True for redis-server in Haypile's place: nothing may fail there.
    pub redis: bool,
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = if self.redis { "redis-server" } else { "haypile" };
        write!(f, "{server} with io-threads {}, sync {}", self.io_threads, self.sync)?;
        f.write_str(if self.replica { ", and a replica" } else { "" })?;
        f.write_str(if self.cold { ", more data than memory" } else { "" })
    }
}

/// A server.
pub enum Node {
    Haypile(Box<Server>),
    Redis(Redis),
}

/// What readers need to know of a server.
pub struct Reach {
    pub server: usize,
    pub port: u16,
    /// True if it has COMPACT.
    pub has_compact: bool,
}

/// Starts the primary and, if there is to be one, the replica; `None` if there is no redis-server.
pub fn start(options: &Options) -> Option<Vec<Node>> {
    let mut nodes = vec![Node::start(options, None)?];
    if options.replica {
        nodes.push(Node::start(options, Some(nodes[PRIMARY].port()))?);
    }
    Some(nodes)
}

impl Node {
    fn start(options: &Options, primary: Option<u16>) -> Option<Node> {
        let io_threads = options.io_threads.to_string();
        let port = primary.unwrap_or_default().to_string();
        let mut args = vec!["--io-threads", &io_threads];
        if options.redis {
            args.extend(["--appendonly", "yes", "--appendfsync"]);
            // Redis' own word for `os` is no.
            args.push(if options.sync == "os" { "no" } else { &options.sync });
            if primary.is_some() {
                args.extend(["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]);
            }
            return Redis::start(&args).map(Node::Redis);
        }
        let address = format!("127.0.0.1 {port}");
        args.extend(["--sync", &options.sync]);
        args.extend(match options.cold {
            true => ["--memory-budget", "32mb", "--rocksdb-compression", "none"],
            // Small, so that the store is flushed now and then.
            false => ["--memory-budget", "64mb", "--rocksdb-write-buffer-size", "2mb"],
        });
        if primary.is_some() {
            args.extend(["--replicaof", &address]);
        }
        Some(Node::Haypile(Box::new(Server::start(&args))))
    }

    fn port(&self) -> u16 {
        match self {
            Node::Haypile(server) => server.port(),
            Node::Redis(redis) => redis.port(),
        }
    }

    /// What its readers need.
    pub fn reach(&self, server: usize) -> Reach {
        Reach {
            server,
            port: self.port(),
            has_compact: matches!(self, Node::Haypile(_)),
        }
    }

    /// A complaint in its log: it has nothing to complain about.
    pub fn complaint(&self) -> Option<String> {
        let Node::Haypile(server) = self else { return None };
        let log = server.log();
        (log.contains("panicked") || log.contains("ERROR")).then_some(log)
    }
}

/// Empties the primary and writes this; returns when the replica, if there is one, shows it.
pub fn begin(nodes: &[Node], units: &[Unit]) {
    /// Units sent at one go.
    const PIPELINE: usize = 16;
    let mut connection = Connection::open(nodes[PRIMARY].port());
    connection.change(&Unit::of("FLUSHALL"));
    for some in units.chunks(PIPELINE) {
        some.iter().for_each(|unit| connection.add(unit));
        connection.send();
        some.iter()
            .for_each(|unit| super::connection::assert_done(unit, &connection.reply()));
    }
    if nodes.len() > REPLICA {
        wait_until("the replica to show what is there", || {
            let shown = connection.run(&Unit::single(0, line("WAIT 1 1000")));
            shown.as_i64() == Some(1)
        });
    }
}
