//! What a connection thread is told by others: messages for its clients, and jobs that come home.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_commands::CommandError;

use super::event_loop::{EventLoop, dispose, enqueue};
use crate::job::{Job, Next};
use crate::mailbox::{Mail, Message};
use crate::state::ServerState;

impl EventLoop {
    pub(super) fn take_messages(&mut self, server: &Arc<ServerState>) {
        let mut messages = std::mem::take(&mut self.messages);
        self.mailbox.take(&mut messages);
        for mail in messages.drain(..) {
            let message = match mail {
                Mail::Job(job) => {
                    self.come_home(server, job);
                    continue;
                }
                Mail::Message(message) => message,
            };
            match message {
                Message::Accepted { socket, tls } => self.add(server, socket, tls),
                Message::Push { client, token, bytes } => {
                    if let Some(conn) = self.conn_of(client, token) {
                        conn.push(&bytes);
                        self.dirty.push(token);
                    }
                }
                Message::Blocked {
                    client,
                    token,
                    until,
                    replies,
                } => {
                    let Some(conn) = self.conn_of(client, token) else {
                        // It was closed while the writer looked at its request: nobody else will end its wait.
                        server
                            .node
                            .partitions
                            .unblock(client, Some(CommandError::reply("ERR closed")));
                        continue;
                    };
                    conn.blocked_until = until;
                    conn.send(&replies);
                    conn.start_waiting();
                    if conn.ended {
                        // It waits for what will not come; what it is owed for the requests before that goes out.
                        self.kill(server, token);
                        continue;
                    }
                    self.dirty.push(token);
                    if let Some(until) = until {
                        self.deadlines.push(Reverse((until, token, client)));
                    }
                }
                Message::Close { client, token } => {
                    if self.conn_of(client, token).is_some() {
                        self.kill(server, token);
                    }
                }
                Message::Fence(fence) => self.fences.push(fence),
            }
        }
        self.messages = messages;
    }

    /// A job that was away is back: its replies are committed.
    fn come_home(&mut self, server: &Arc<ServerState>, mut job: Box<Job>) {
        let token = job.client.token;
        let Some(conn) = self.conn_of(job.client.id, token) else {
            return dispose(server, *job);
        };
        conn.blocked_until = None;
        conn.client.paused.store(job.next == Next::Pause, Ordering::Relaxed);
        let goes_on = !job.session.close && !conn.client.killed.load(Ordering::Relaxed) && !server.node.is_stopping();
        if job.next == Next::Wait && goes_on {
            // The replies are sent when the wait has begun.
            return self.tasks.push(job);
        }
        if !job.reply.is_empty() {
            conn.send(job.reply.buffer());
            job.reply.clear();
        }
        conn.release_held();
        if conn.pending_output() > 0 {
            self.dirty.push(token);
        }
        let Some(conn) = self.conns.get_mut(token) else { return };
        if job.session.close || conn.client.killed.load(Ordering::Relaxed) {
            conn.closing = true;
            conn.job = Some(job);
            self.dirty.push(token);
            return;
        }
        match job.next {
            Next::Disk => return server.pool.push(job),
            Next::Pause => self.paused = true,
            Next::Idle | Next::Turn | Next::Wait => {
                if !job.requests.is_empty() || conn.has_input() || conn.readable || conn.ended {
                    enqueue(&mut self.ready, conn, token);
                }
            }
        }
        conn.job = Some(job);
    }
}
