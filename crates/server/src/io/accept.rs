//! New connections: who may come in, and which loop serves them.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Token};
use parking_lot::Mutex;
use socket2::{SockRef, TcpKeepalive};

use super::conn::Conn;
use super::event_loop::{EventLoop, LISTENERS};
use super::tls::Session;
use crate::access;
use crate::client::Client;
use crate::job::Job;
use crate::mailbox::{Home, Message};
use crate::state::ServerState;

/// Connections accepted in a row.
const ACCEPTS_MAX: usize = 256;

impl EventLoop {
    /// Takes what has connected to a listener, and hands it out to the loops in turn.
    pub(super) fn accept(&mut self, server: &Arc<ServerState>, listener: usize) {
        for _ in 0..ACCEPTS_MAX {
            match self.listeners[listener].socket.accept() {
                Ok((socket, _)) => {
                    let to = self.accepted % self.others.len();
                    self.accepted += 1;
                    let tls = self.listeners[listener].tls;
                    if Arc::ptr_eq(&self.others[to], &self.mailbox) {
                        self.add(server, socket, tls);
                    } else {
                        self.others[to].push(Message::Accepted { socket, tls });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // Out of file descriptors, most likely: those who wait stay in the kernel's queue.
                    if let Some(unsaid) = server.stats.complaints.accept.tell() {
                        tracing::warn!(%error, unsaid, "a connection cannot be accepted");
                    }
                    self.accept_again = true;
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
        let registered =
            self.poll
                .registry()
                .reregister(&mut self.listeners[listener].socket, token, Interest::READABLE);
        if let Err(error) = registered {
            tracing::error!(%error, "a listener cannot be watched");
        }
    }

    /// Starts serving a connection here, unless it is refused.
    pub(super) fn add(&mut self, server: &Arc<ServerState>, mut socket: TcpStream, tls: bool) {
        server.stats.connections_total.fetch_add(1, Ordering::Relaxed);
        let values = server.node.config.load();
        let (Ok(addr), Ok(laddr)) = (socket.peer_addr(), socket.local_addr()) else {
            return;
        };
        let refusal = refusal(server, addr);
        if let Some(refusal) = &refusal {
            server.stats.connections_rejected.fetch_add(1, Ordering::Relaxed);
            if !tls {
                // The client may be gone already, and then nobody misses the text.
                let _ = io::Write::write(&mut socket, refusal.text().as_bytes());
                return;
            }
            if matches!(refusal, Refusal::TooMany) {
                // A handshake for everybody who is one too many would cost more than a client.
                return;
            }
        }
        let session = match tls {
            false => None,
            true => match session(server) {
                Some(session) => Some(Box::new(session)),
                None => return,
            },
        };
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
        let now_ms = server.node.clock.now_ms();
        let client = Arc::new(Client {
            id: server.clients.next_id(),
            addr,
            laddr,
            fd: socket.as_raw_fd(),
            created_ms: now_ms,
            home: self.mailbox.clone(),
            token,
            user: Mutex::new(server.users.everybody().clone()),
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
        server.clients.add(client.clone());
        let job = Box::new(Job::new(server.clone(), client.clone(), self.mailbox.clone()));
        let conn = entry.insert(Conn::new(socket, session, client, job));
        if let Some(refusal) = refusal {
            // It is told so once it understands.
            conn.send(refusal.text().as_bytes());
            conn.closing = true;
        }
    }
}

/// TLS as it is configured now.
fn session(server: &ServerState) -> Option<Session> {
    // The port for TLS is open only where there is a context.
    let contexts = server.node.tls.get()?;
    let session = Session::new(contexts.clients.clone(), Instant::now());
    session
        .inspect_err(|error| tracing::error!(%error, "no TLS for a connection"))
        .ok()
}

/// Why a client may not connect at all.
enum Refusal {
    TooMany,
    Protected,
}

impl Refusal {
    /// As it is told.
    fn text(&self) -> &'static str {
        match self {
            Refusal::TooMany => "-ERR max number of clients reached\r\n",
            Refusal::Protected => {
                "-DENIED Haypile is running in protected mode because protected mode is enabled and no password is set. \
                 In this mode connections are only accepted from the loopback interface. To connect from other machines, \
                 set a password with requirepass, or turn the protection off with protected-mode no.\r\n"
            }
        }
    }
}

fn refusal(server: &ServerState, addr: std::net::SocketAddr) -> Option<Refusal> {
    let values = server.node.config.load();
    if server.clients.len() >= values.maxclients as usize {
        return Some(Refusal::TooMany);
    }
    access::is_kept_out(&values, &server.users.everybody().user(), addr.ip()).then_some(Refusal::Protected)
}
