//! What the whole server knows of a connected client, and the list of all of them.

mod describe;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::mailbox::{Home, Message};
use crate::users::Account;

/// A connected client, as others see it. Its own thread writes, everybody reads.
pub struct Client {
    /// Counts up from 1; never used twice.
    pub id: u64,
    /// Where it comes from.
    pub addr: SocketAddr,
    /// Where it came to.
    pub laddr: SocketAddr,
    /// The socket's number.
    pub fd: i32,
    /// Milliseconds since the epoch at which it connected.
    pub created_ms: u64,
    /// The thread that serves its socket.
    pub home: Arc<dyn Home>,
    /// Its place there.
    pub token: usize,
    /// Who it is.
    pub user: Mutex<Arc<Account>>,
    /// Set by CLIENT SETNAME.
    pub name: Mutex<Vec<u8>>,
    /// Set by CLIENT SETINFO.
    pub lib_name: Mutex<String>,
    /// Set by CLIENT SETINFO.
    pub lib_version: Mutex<String>,
    /// The selected database.
    pub db: AtomicU16,
    /// 2 or 3.
    pub resp: AtomicU16,
    /// Milliseconds since the epoch of its last command.
    pub last_active_ms: AtomicU64,
    /// Id in the command table of its last command, plus one; 0 = none yet.
    pub last_command: AtomicUsize,
    /// Queued commands of its transaction, plus one; 0 = none.
    pub multi: AtomicUsize,
    /// Bytes of these commands.
    pub multi_bytes: AtomicUsize,
    /// Watched keys.
    pub watching: AtomicUsize,
    /// Channels, patterns and sharded channels it has subscribed to.
    pub subscriptions: [AtomicUsize; 3],
    /// It waits for a key.
    pub blocked: AtomicBool,
    /// It waits for the end of a pause.
    pub paused: AtomicBool,
    /// CLIENT NO-EVICT.
    pub no_evict: AtomicBool,
    /// MONITOR.
    pub monitors: AtomicBool,
    /// CLIENT NO-TOUCH.
    pub no_touch: AtomicBool,
    /// Its connection is to be closed.
    pub killed: AtomicBool,
    /// Bytes received and not evaluated yet.
    pub query_bytes: AtomicUsize,
    /// Bytes of replies that the socket has not taken yet.
    pub output_bytes: AtomicUsize,
}

impl Client {
    /// Subscriptions of all three sorts.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.iter().map(|n| n.load(Ordering::Relaxed)).sum()
    }

    /// Bytes of what it has sent and has not been evaluated, and of replies that it has not taken.
    pub fn buffered_bytes(&self) -> u64 {
        let buffers = [&self.query_bytes, &self.multi_bytes, &self.output_bytes];
        buffers.iter().map(|bytes| bytes.load(Ordering::Relaxed) as u64).sum()
    }

    /// True if it waits for a key or for the end of a pause.
    pub fn is_waiting(&self) -> bool {
        self.blocked.load(Ordering::Relaxed) || self.paused.load(Ordering::Relaxed)
    }

    /// True if it came over the loopback interface.
    pub fn is_local(&self) -> bool {
        self.addr.ip().to_canonical().is_loopback()
    }
}

/// All connected clients.
#[derive(Default)]
pub struct Clients {
    next_id: AtomicU64,
    by_id: RwLock<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
    /// An id for a new client.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Closes a connection from outside: from here on nobody sees the client any more, and nothing is evaluated for it; its
    /// thread closes the connection.
    pub fn close(&self, client: &Client) {
        client.killed.store(true, Ordering::Relaxed);
        self.remove(client.id);
        client.home.push(Message::Close {
            client: client.id,
            token: client.token,
        });
    }

    /// Adds a client.
    pub fn add(&self, client: Arc<Client>) {
        self.by_id.write().insert(client.id, client);
    }

    /// Removes a client whose connection is closed.
    pub fn remove(&self, id: u64) {
        self.by_id.write().remove(&id);
    }

    /// The client of this id.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.read().get(&id).cloned()
    }

    /// All clients, by id.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.by_id.read().values().cloned().collect()
    }

    /// Bytes in the buffers of all.
    pub fn buffered_bytes(&self) -> u64 {
        self.by_id.read().values().map(|client| client.buffered_bytes()).sum()
    }

    /// Number of clients.
    pub fn len(&self) -> usize {
        self.by_id.read().len()
    }

    /// True if nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
