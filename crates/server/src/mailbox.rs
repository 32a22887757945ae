//! What other threads tell a connection thread, and how it is woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mio::Waker;
use mio::net::TcpStream;
use parking_lot::Mutex;

/// What other threads, or the thread itself, tell a connection thread.
pub enum Message {
    /// Serve this connection.
    Accepted {
        /// It.
        socket: TcpStream,
        /// It came to the port for TLS.
        tls: bool,
    },
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
    pub fn raise(threads: &[Arc<dyn Home>]) -> Fence {
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

/// A connection thread, for those who have something to tell it.
pub trait Home: Send + Sync {
    /// Leaves a message.
    fn push(&self, message: Message);

    /// Wakes the thread, if it sleeps.
    fn wake(&self);
}

/// The connection threads.
pub type Homes = Arc<[Arc<dyn Home>]>;

/// What lies in a mailbox.
pub enum Mail<J> {
    /// Something that the thread is told.
    Message(Message),
    /// A job that comes home.
    Job(J),
}

/// Messages for a connection thread, and the jobs that come back to it. The thread is woken only when it sleeps.
pub struct Mailbox<J> {
    messages: Mutex<Vec<Mail<J>>>,
    awake: AtomicBool,
    waker: Waker,
}

impl<J: Send> Home for Mailbox<J> {
    fn push(&self, message: Message) {
        self.put(Mail::Message(message));
    }

    fn wake(&self) {
        if !self.awake.swap(true, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a connection thread cannot be woken");
        }
    }
}

impl<J: Send> Mailbox<J> {
    pub(crate) fn new(waker: Waker) -> Self {
        Mailbox {
            messages: Mutex::new(Vec::new()),
            awake: AtomicBool::new(true),
            waker,
        }
    }

    /// A job is back.
    pub fn bring_home(&self, job: J) {
        self.put(Mail::Job(job));
    }

    fn put(&self, mail: Mail<J>) {
        self.messages.lock().push(mail);
        self.wake();
    }

    /// Called before the thread sleeps; false if it must not, because there is a message.
    pub(crate) fn may_sleep(&self) -> bool {
        self.awake.store(false, Ordering::SeqCst);
        if self.messages.lock().is_empty() {
            return true;
        }
        self.awake.store(true, Ordering::SeqCst);
        false
    }

    /// Called after the thread has slept.
    pub(crate) fn woke(&self) {
        self.awake.store(true, Ordering::SeqCst);
    }

    /// Takes all messages; `into` is empty.
    pub(crate) fn take(&self, into: &mut Vec<Mail<J>>) {
        std::mem::swap(&mut *self.messages.lock(), into);
    }
}
