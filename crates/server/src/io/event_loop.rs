//! One thread's connections: an epoll loop, round by round.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use haypile_commands::CommandError;
use haypile_node::partitions::LOADING;
use haypile_partition::Task;
use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use super::OwnMailbox;
use super::conn::{Conn, ReadState};
use super::listen::Listener;
use crate::job::{Job, Next};
use crate::mailbox::{Home, Homes, Mail};
use crate::pubsub::Sort;
use crate::state::ServerState;

/// Events taken from the kernel at once.
pub(super) const EVENTS_MAX: usize = 1024;
/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 << 10;
/// Time between two looks at idle clients and limits.
const TICK: Duration = Duration::from_millis(100);

const WAKER: Token = Token(usize::MAX);
/// Tokens from here on are listeners.
pub(super) const LISTENERS: usize = usize::MAX / 2;

/// One thread's connections.
pub struct EventLoop {
    pub(super) poll: Poll,
    pub(super) mailbox: Arc<OwnMailbox>,
    pub(super) others: Vec<Arc<OwnMailbox>>,
    pub(super) listeners: Vec<Listener>,
    pub(super) accepted: usize,
    /// It is tried again at the next tick.
    pub(super) accept_again: bool,
    pub(super) conns: Slab<Conn>,
    pub(super) ready: Vec<usize>,
    pub(super) dirty: Vec<usize>,
    pub(super) tasks: Vec<Box<dyn Task>>,
    pub(super) messages: Vec<Mail<Box<Job>>>,
    /// Those who wait until all sockets have been looked at.
    pub(super) fences: Vec<Sender<()>>,
    pub(super) deadlines: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    pub(super) paused: bool,
    next_tick: Instant,
    scratch: Vec<u8>,
    received: u64,
    sent: u64,
}

/// Makes the loops, the first of which has the listeners, and their mailboxes.
///
/// # Errors
/// The system gives no epoll instance.
pub fn prepare(count: usize, listeners: Vec<Listener>) -> io::Result<(Vec<EventLoop>, Homes)> {
    let mut polls = Vec::new();
    let mut mailboxes = Vec::new();
    for _ in 0..count.max(1) {
        let poll = Poll::new()?;
        mailboxes.push(Arc::new(OwnMailbox::new(Waker::new(poll.registry(), WAKER)?)));
        polls.push(poll);
    }
    let mut listeners = Some(listeners);
    let mut loops = Vec::new();
    for (poll, mailbox) in polls.into_iter().zip(&mailboxes) {
        let mut mine = listeners.take().unwrap_or_default();
        for (n, listener) in mine.iter_mut().enumerate() {
            poll.registry()
                .register(&mut listener.socket, Token(LISTENERS + n), Interest::READABLE)?;
        }
        loops.push(EventLoop {
            poll,
            mailbox: mailbox.clone(),
            others: mailboxes.clone(),
            listeners: mine,
            accepted: 0,
            accept_again: false,
            conns: Slab::new(),
            ready: Vec::new(),
            dirty: Vec::new(),
            tasks: Vec::new(),
            messages: Vec::new(),
            fences: Vec::new(),
            deadlines: BinaryHeap::new(),
            paused: false,
            next_tick: Instant::now() + TICK,
            scratch: vec![0; READ_BYTES],
            received: 0,
            sent: 0,
        });
    }
    let homes = mailboxes.into_iter().map(|mailbox| mailbox as Arc<dyn Home>);
    Ok((loops, homes.collect()))
}

impl EventLoop {
    /// Serves until the server stops.
    pub fn run(&mut self, server: &Arc<ServerState>) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !server.node.is_stopping() {
            // Those that were there before the wait: after this round they have what they wait for.
            let fences = std::mem::take(&mut self.fences);
            self.wait(&mut events, fences.is_empty());
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(t) if t >= LISTENERS => self.accept(server, t - LISTENERS),
                    Token(t) => self.on_event(t, event),
                }
            }
            self.round(server);
            drop(fences);
            let now = Instant::now();
            self.resume(server);
            self.expire_blocked(server, now);
            if now >= self.next_tick {
                self.next_tick = now + TICK;
                self.tick(server, now);
            }
        }
        self.stop(server);
    }

    fn wait(&mut self, events: &mut Events, may_sleep: bool) {
        let may_sleep = may_sleep && self.ready.is_empty() && self.mailbox.may_sleep();
        let timeout = match may_sleep {
            true => {
                let next = self
                    .deadlines
                    .peek()
                    .map_or(self.next_tick, |Reverse((at, ..))| (*at).min(self.next_tick));
                // One more millisecond: epoll rounds down.
                next.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
            }
            false => Duration::ZERO,
        };
        if let Err(error) = self.poll.poll(events, Some(timeout))
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(%error, "waiting for connections failed");
        }
        self.mailbox.woke();
    }

    fn on_event(&mut self, token: usize, event: &Event) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        conn.end_told |= event.is_read_closed();
        if event.is_readable() || conn.end_told {
            conn.readable = true;
            enqueue(&mut self.ready, conn, token);
        }
        if event.is_writable() {
            conn.set_writable();
            if conn.pending_output() > 0 {
                self.dirty.push(token);
                enqueue(&mut self.ready, conn, token);
            }
        }
    }

    /// Reads, evaluates and writes once for every connection that has something to do.
    fn round(&mut self, server: &Arc<ServerState>) {
        self.take_messages(server);
        for token in std::mem::take(&mut self.ready) {
            self.serve(server, token);
        }
        // Who is to wait comes home once before.
        while !self.tasks.is_empty() {
            self.submit(server);
            self.take_messages(server);
        }
        self.flush(server);
        if self.received > 0 {
            server.stats.input_bytes.add(std::mem::take(&mut self.received));
            server.stats.output_bytes.add(std::mem::take(&mut self.sent));
        }
    }

    /// Hands what needs the writer to it.
    fn submit(&mut self, server: &Arc<ServerState>) {
        match &*server.node.partitions.the_one() {
            Some(data) => data.submit(&mut self.tasks),
            None => {
                for mut task in self.tasks.drain(..) {
                    task.unblock(Some(LOADING));
                    task.finish(Ok(()));
                }
            }
        }
    }

    /// Reads what a connection has sent, and evaluates as much as this thread may.
    fn serve(&mut self, server: &Arc<ServerState>, token: usize) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        conn.queued = false;
        let values = server.node.config.load();
        match conn.read(
            &mut self.scratch,
            values.client_query_buffer_limit as usize,
            &mut self.received,
        ) {
            ReadState::Open => {}
            ReadState::Closed => return self.close(server, token),
            ReadState::TooMuch => {
                server.stats.query_limit_closed.fetch_add(1, Ordering::Relaxed);
                if let Some(unsaid) = server.stats.complaints.query_limit.tell() {
                    tracing::warn!(client = %conn.client.addr, unsaid, "closing a client that has sent more than client-query-buffer-limit ahead");
                }
                return self.close(server, token);
            }
            ReadState::Broken(error) => return self.broken(server, token, &error),
        }
        if conn.tls.is_some() && conn.pending_output() > 0 {
            // The handshake's part of ours, or what waited for its end.
            self.dirty.push(token);
        }
        if conn.client.subscription_count() > 0 {
            // What was published before the client sent this stands before the reply.
            self.take_messages(server);
        }
        let Some(conn) = self.conns.get_mut(token) else { return };
        if conn.closing || conn.is_congested() {
            return;
        }
        let Some(mut job) = conn.job.take() else {
            if conn.ended && conn.client.blocked.load(Ordering::Relaxed) {
                self.close(server, token);
            }
            return;
        };
        // While requests wait, for the end of a pause or for the client to read, no more of them are made.
        let mut more = job.requests.is_empty() && conn.parse_into(&values, &mut job);
        if job.requests.is_empty() {
            conn.job = Some(job);
            if conn.ended {
                conn.closing = true;
                self.dirty.push(token);
            }
            return self.after_run(token, more);
        }
        conn.client
            .last_active_ms
            .store(server.node.clock.now_ms(), Ordering::Relaxed);
        job.run_guarded();
        let paused = job.next == Next::Pause;
        conn.client.paused.store(paused, Ordering::Relaxed);
        more |= job.requests.is_empty() && conn.has_input();
        match job.next {
            Next::Turn | Next::Wait => self.tasks.push(job),
            Next::Disk => {
                // What was answered before need not wait for the disk.
                conn.send(job.reply.buffer());
                job.reply.clear();
                self.dirty.push(token);
                server.pool.push(job);
            }
            Next::Pause => {
                self.paused = true;
                more = false;
                conn.job = Some(job);
                self.after_run(token, more);
            }
            Next::Idle => {
                conn.job = Some(job);
                self.after_run(token, more);
            }
        }
    }

    /// Takes the replies of a job that is at home, and looks for more to do.
    fn after_run(&mut self, token: usize, more: bool) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let Some(job) = &mut conn.job else { return };
        if !job.reply.is_empty() {
            conn.output_from_job();
            self.dirty.push(token);
        }
        let Some(job) = &conn.job else { return };
        if job.session.close || conn.client.killed.load(Ordering::Relaxed) {
            conn.closing = true;
            self.dirty.push(token);
        } else if more || ((conn.readable || conn.has_last_word()) && !conn.is_congested()) {
            enqueue(&mut self.ready, conn, token);
        }
    }

    /// Closes a connection from the server's side: what the socket does not take at once is lost.
    pub(super) fn kill(&mut self, server: &Arc<ServerState>, token: usize) {
        if let Some(conn) = self.conns.get_mut(token) {
            conn.write(&mut self.sent);
        }
        self.close(server, token);
    }

    /// Closes a connection on which TLS does not work.
    fn broken(&mut self, server: &Arc<ServerState>, token: usize, error: &rustls::Error) {
        let Some(conn) = self.conns.get(token) else { return };
        let (addr, laddr) = (conn.client.addr, conn.client.laddr);
        if conn.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            server.stats.tls_handshakes_failed.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%addr, %laddr, "Error accepting a client connection: {error}");
        } else {
            tracing::debug!(%addr, %laddr, "closing a client whose TLS is broken: {error}");
        }
        // What is sent is the alert that says so.
        self.kill(server, token);
    }

    pub(super) fn conn_of(&mut self, client: u64, token: usize) -> Option<&mut Conn> {
        self.conns.get_mut(token).filter(|conn| conn.client.id == client)
    }

    /// Writes the output of all connections that have some.
    pub(super) fn flush(&mut self, server: &Arc<ServerState>) {
        let now = Instant::now();
        for token in std::mem::take(&mut self.dirty) {
            let Some(conn) = self.conns.get_mut(token) else {
                continue;
            };
            if !conn.write(&mut self.sent) || (conn.closing && conn.pending_output() == 0) {
                self.close(server, token);
                continue;
            }
            if conn.pending_output() > 0 && conn.is_over_limit(&server.node.config.load(), now) {
                server.stats.output_limit_closed.fetch_add(1, Ordering::Relaxed);
                if let Some(unsaid) = server.stats.complaints.output_limit.tell() {
                    tracing::warn!(client = %conn.client.addr, unsaid, "closing a client that does not read: client-output-buffer-limit");
                }
                self.close(server, token);
                continue;
            }
            // While the client did not read, nothing was done for it: there may be requests, or input that is not looked through, and
            // no event will tell of that again.
            let waits = conn
                .job
                .as_ref()
                .is_some_and(|job| !job.requests.is_empty() || conn.has_input() || conn.readable);
            if !conn.is_congested() && (waits || conn.has_last_word()) {
                enqueue(&mut self.ready, conn, token);
            }
        }
    }

    pub(super) fn close(&mut self, server: &Arc<ServerState>, token: usize) {
        let Some(mut conn) = self.conns.try_remove(token) else {
            return;
        };
        conn.say_end();
        // The socket closes with `conn` in any case.
        let _ = self.poll.registry().deregister(&mut conn.socket);
        server.clients.remove(conn.client.id);
        server.monitors.remove(&conn.client);
        conn.client.killed.store(true, Ordering::Relaxed);
        match conn.job.take() {
            Some(job) => dispose(server, *job),
            None if conn.client.blocked.load(Ordering::Relaxed) => {
                // It comes home without its connection, and is disposed of then.
                server
                    .node
                    .partitions
                    .unblock(conn.client.id, Some(CommandError::reply("ERR closed")));
            }
            None => {}
        }
    }
}

/// Puts a connection on the list of those to be served.
pub(super) fn enqueue(ready: &mut Vec<usize>, conn: &mut Conn, token: usize) {
    if !conn.queued {
        conn.queued = true;
        ready.push(token);
    }
}

/// Undoes what a connection has left behind: its subscriptions, its WAIT and watched keys.
pub(super) fn dispose(server: &Arc<ServerState>, mut job: Job) {
    for sort in [Sort::Channel, Sort::Pattern, Sort::Shard] {
        for channel in std::mem::take(&mut job.session.subscriptions[sort as usize]) {
            server.pubsub.unsubscribe(sort, &channel, job.client.id);
        }
    }
    if job.session.wait.take().is_some() {
        server.node.replication.waits.remove(job.client.id);
    }
    if let Some(watch) = job.session.watch.take() {
        let data = server.node.partitions.the_one();
        let Some(data) = &*data else { return };
        let forgotten = data.run_internal(|turn| {
            for (db, key, _) in &watch.keys {
                turn.unwatch(*db, key, &watch.flag);
            }
        });
        if let Err(error) = forgotten {
            tracing::debug!(%error, "watched keys of a closed connection");
        }
    }
}
