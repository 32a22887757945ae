//! What other threads tell a connection thread, and how it is woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mio::Waker;
use mio::net::TcpStream;
use parking_lot::Mutex;

use crate::job::Job;

/// What other threads, or the thread itself, tell a connection thread.
pub enum Message {
    /// Serve this connection.
    Accepted {
        /// It.
        socket: TcpStream,
        /// It came to the port for TLS.
        tls: bool,
    },
    /// A job comes home.
    Job(Box<Job>),
    /// Send these bytes: a message of pub/sub.
    Push {
        /// To this client,
        client: u64,
        /// whose connection stands here.
        token: usize,
        /// Encoded in the client's protocol version.
        bytes: Arc<[u8]>,
    },
    /// The client waits for a key.
    Blocked {
        /// This client,
        client: u64,
        /// whose connection stands here,
        token: usize,
        /// until then; `None` = for ever.
        until: Option<Instant>,
        /// What it is owed for the requests before that one.
        replies: Vec<u8>,
    },
    /// Close the connection once what it is owed is written.
    Close {
        /// Of this client,
        client: u64,
        /// which stands here.
        token: usize,
    },
    /// Drop this once everything has been looked at that had arrived when the message came. See [`Fence`].
    Fence(Sender<()>),
}

/// Waits until the connection threads have looked at what had arrived on their sockets: a client's request may depend
/// on one that was sent earlier on another connection, and by another thread's sockets.
pub struct Fence(Receiver<()>);

impl Fence {
    /// Longest wait: a thread that takes longer is busy with what is not worth waiting for.
    const PATIENCE: Duration = Duration::from_millis(100);

    /// Asks all these threads.
    pub fn raise(threads: &[Arc<Mailbox>]) -> Fence {
        let (asked, answers) = channel();
        for thread in threads {
            thread.push(Message::Fence(asked.clone()));
        }
        Fence(answers)
    }

    /// Waits for all of them. Not on one of these threads.
    pub fn wait(self) {
        // Nothing is ever sent: it ends when the last sender is dropped.
        let _ = self.0.recv_timeout(Self::PATIENCE);
    }
}

/// Messages for a connection thread. The thread is woken only when it sleeps.
pub struct Mailbox {
    messages: Mutex<Vec<Message>>,
    awake: AtomicBool,
    waker: Waker,
}

impl Mailbox {
    pub(super) fn new(waker: Waker) -> Self {
        Mailbox {
            messages: Mutex::new(Vec::new()),
            awake: AtomicBool::new(true),
            waker,
        }
    }

    /// Leaves a message.
    pub fn push(&self, message: Message) {
        self.messages.lock().push(message);
        self.wake();
    }

    /// Wakes the thread, if it sleeps.
    pub fn wake(&self) {
        if !self.awake.swap(true, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a connection thread cannot be woken");
        }
    }

    /// Called before the thread sleeps; false if it must not, because there is a message.
    pub(super) fn may_sleep(&self) -> bool {
        self.awake.store(false, Ordering::SeqCst);
        if self.messages.lock().is_empty() {
            return true;
        }
        self.awake.store(true, Ordering::SeqCst);
        false
    }

    /// Called after the thread has slept.
    pub(super) fn woke(&self) {
        self.awake.store(true, Ordering::SeqCst);
    }

    /// Takes all messages; `into` is empty.
    pub(super) fn take(&self, into: &mut Vec<Message>) {
        std::mem::swap(&mut *self.messages.lock(), into);
    }
}
