//! New connections: who may come in, and which loop serves them.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::{SockRef, TcpKeepalive};

use super::conn::Conn;
use super::event_loop::{EventLoop, LISTENERS};
use super::mailbox::Message;
use crate::client::Client;
use crate::job::Job;
use crate::node::Node;

/// Connections accepted in a row.
const ACCEPTS_MAX: usize = 256;

impl EventLoop {
    /// Takes what has connected to a listener, and hands it out to the loops in turn.
    pub(super) fn accept(&mut self, node: &Arc<Node>, listener: usize) {
        for _ in 0..ACCEPTS_MAX {
            match self.listeners[listener].accept() {
                Ok((socket, _)) => {
                    self.accept_failed = false;
                    let to = self.accepted % self.others.len();
                    self.accepted += 1;
                    if Arc::ptr_eq(&self.others[to], &self.mailbox) {
                        self.add(node, socket);
                    } else {
                        self.others[to].push(Message::Accepted(socket));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // Out of file descriptors, most likely: those who wait stay in the kernel's queue.
                    if !self.accept_failed {
                        tracing::warn!(%error, "a connection cannot be accepted");
                    }
                    (self.accept_failed, self.accept_again) = (true, true);
                    return;
                }
            }
        }
        // There may be more: an edge-triggered listener does not tell again.
        self.watch_listener(listener);
    }

    /// Has the listener tell of connections that wait, also of those that it has told of before.
    pub(super) fn watch_listener(&mut self, listener: usize) {
        let token = Token(LISTENERS + listener);
        let registered = self
            .poll
            .registry()
            .reregister(&mut self.listeners[listener], token, Interest::READABLE);
        if let Err(error) = registered {
            tracing::error!(%error, "a listener cannot be watched");
        }
    }

    /// Starts serving a connection here, unless it is refused.
    pub(super) fn add(&mut self, node: &Arc<Node>, mut socket: TcpStream) {
        node.stats.connections_total.fetch_add(1, Ordering::Relaxed);
        let values = node.config.load();
        let (Ok(addr), Ok(laddr)) = (socket.peer_addr(), socket.local_addr()) else {
            return;
        };
        if let Some(refusal) = refusal(node, addr) {
            node.stats.connections_rejected.fetch_add(1, Ordering::Relaxed);
            // The client may be gone already, and then nobody misses the text.
            let _ = io::Write::write(&mut socket, refusal.as_bytes());
            return;
        }
        let socket_options = SockRef::from(&socket);
        let _ = socket_options.set_tcp_nodelay(true);
        if values.tcp_keepalive > 0 {
            let every = Duration::from_secs(u64::from(values.tcp_keepalive));
            let keepalive = TcpKeepalive::new()
                .with_time(every)
                .with_interval((every / 3).max(Duration::from_secs(1)));
            let _ = socket_options.set_tcp_keepalive(&keepalive);
        }
        let entry = self.conns.vacant_entry();
        let token = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut socket, Token(token), interest) {
            tracing::warn!(%error, "a connection cannot be watched");
            return;
        }
        let now_ms = node.clock.now_ms();
        let client = Arc::new(Client {
            id: node.clients.next_id(),
            addr,
            laddr,
            fd: socket.as_raw_fd(),
            created_ms: now_ms,
            home: self.mailbox.clone(),
            token,
            name: Default::default(),
            lib_name: Default::default(),
            lib_version: Default::default(),
            db: AtomicU16::new(0),
            resp: AtomicU16::new(2),
            last_active_ms: AtomicU64::new(now_ms),
            last_command: AtomicUsize::new(0),
            multi: AtomicUsize::new(0),
            multi_bytes: AtomicUsize::new(0),
            watching: AtomicUsize::new(0),
            subscriptions: Default::default(),
            blocked: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            monitors: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            query_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
        });
        node.clients.add(client.clone());
        let job = Box::new(Job::new(node.clone(), client.clone()));
        entry.insert(Conn::new(socket, client, job));
    }
}

/// Why a client may not connect at all, as it is told.
fn refusal(node: &Node, addr: std::net::SocketAddr) -> Option<String> {
    let values = node.config.load();
    if node.clients.len() >= values.maxclients as usize {
        return Some("-ERR max number of clients reached\r\n".into());
    }
    let local = addr.ip().to_canonical().is_loopback();
    if values.protected_mode && values.requirepass.is_empty() && !local {
        return Some(
            "-DENIED Haypile is running in protected mode because protected mode is enabled and no password is set. \
             In this mode connections are only accepted from the loopback interface. To connect from other machines, \
             set a password with requirepass, or turn the protection off with protected-mode no.\r\n"
                .into(),
        );
    }
    None
}
