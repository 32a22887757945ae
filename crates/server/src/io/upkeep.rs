//! What a loop does by the clock: waits that end, pauses, limits, idle clients, and its own end.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::Events;

use super::event_loop::{EVENTS_MAX, EventLoop, enqueue};
use crate::state::ServerState;

/// How long a stopping server waits for clients to read their last replies.
const STOP_GRACE: Duration = Duration::from_secs(1);

impl EventLoop {
    /// Ends the waits whose time is over.
    pub(super) fn expire_blocked(&mut self, server: &Arc<ServerState>, now: Instant) {
        while let Some(Reverse((at, token, client))) = self.deadlines.peek().copied() {
            if at > now {
                return;
            }
            self.deadlines.pop();
            if self
                .conn_of(client, token)
                .is_some_and(|conn| conn.blocked_until == Some(at))
            {
                server.node.partitions.unblock(client, None);
            }
        }
    }

    /// Lets paused clients go on once no pause lasts.
    pub(super) fn resume(&mut self, server: &Arc<ServerState>) {
        if self.paused && !server.node.pausing.holds(true) {
            self.paused = false;
            self.retry_paused();
        }
    }

    fn retry_paused(&mut self) {
        for (token, conn) in &mut self.conns {
            if conn.job.as_ref().is_some_and(|job| !job.requests.is_empty()) {
                enqueue(&mut self.ready, conn, token);
            }
        }
    }

    /// Looks at limits and idle clients.
    pub(super) fn tick(&mut self, server: &Arc<ServerState>, now: Instant) {
        server.sample(now);
        if std::mem::take(&mut self.accept_again) {
            (0..self.listeners.len()).for_each(|listener| self.watch_listener(listener));
        }
        if self.paused {
            // The pause may be one of writes only by now.
            self.retry_paused();
        }
        let values = server.node.config.load();
        let now_ms = server.node.clock.now_ms();
        let idle_ms = u64::from(values.timeout) * 1000;
        let handshake = Duration::from_secs(u64::from(values.tls_handshake_timeout));
        let mut gone = Vec::new();
        for (token, conn) in &mut self.conns {
            let client = &conn.client;
            let exempt = client.is_waiting() || client.subscription_count() > 0;
            let idle = now_ms.saturating_sub(client.last_active_ms.load(Ordering::Relaxed));
            if (idle_ms > 0 && !exempt && idle > idle_ms) || conn.is_over_limit(&values, now) {
                gone.push(token);
            } else if conn.tls.as_ref().is_some_and(|tls| tls.is_late(now, handshake)) {
                server.stats.tls_handshakes_failed.fetch_add(1, Ordering::Relaxed);
                let (addr, laddr) = (conn.client.addr, conn.client.laddr);
                tracing::debug!(%addr, %laddr, "Error accepting a client connection: no TLS handshake in time");
                gone.push(token);
            }
        }
        gone.into_iter().for_each(|token| self.close(server, token));
    }

    /// Writes what clients are owed and closes their connections.
    pub(super) fn stop(&mut self, server: &Arc<ServerState>) {
        let until = Instant::now() + STOP_GRACE;
        loop {
            self.take_messages(server);
            self.dirty = self.conns.iter().map(|(token, _)| token).collect();
            self.flush(server);
            let owed = self.conns.iter().any(|(_, conn)| {
                conn.pending_output() > 0 || (conn.job.is_none() && !conn.client.blocked.load(Ordering::Relaxed))
            });
            if !owed || Instant::now() >= until {
                break;
            }
            let mut events = Events::with_capacity(EVENTS_MAX);
            let _ = self.poll.poll(&mut events, Some(Duration::from_millis(10)));
            for event in events.iter().filter(|e| e.is_writable()) {
                if let Some(conn) = self.conns.get_mut(event.token().0) {
                    conn.set_writable();
                }
            }
        }
        let tokens: Vec<usize> = self.conns.iter().map(|(token, _)| token).collect();
        tokens.into_iter().for_each(|token| self.close(server, token));
        self.take_messages(server);
    }
}
