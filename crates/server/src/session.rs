//! The state of one connection that commands may change.

use std::sync::Arc;

use haypile_partition::WatchFlag;
use haypile_resp::Request;

use crate::users::Account;

/// Carried with the connection's requests to whoever evaluates them.
pub struct Session {
    /// The selected database.
    pub db: u16,
    /// The password was given, or none is asked for.
    pub authenticated: bool,
    /// Who it is. Others see it in [`crate::client::Client::user`].
    pub account: Arc<Account>,
    /// The open transaction.
    pub multi: Option<Multi>,
    /// The watched keys and the flag that they set.
    pub watch: Option<Watch>,
    /// CLIENT REPLY.
    pub replies: Replies,
    /// Subscribed channels, patterns and sharded channels.
    pub subscriptions: crate::pubsub::Subscriptions,
    /// What WAIT waits for.
    pub wait: Option<haypile_node::replication::Wait>,
    /// The connection is closed once its replies are written.
    pub close: bool,
}

impl Session {
    /// That of a new connection.
    pub fn new(everybody: &Arc<Account>) -> Session {
        Session {
            db: 0,
            authenticated: everybody.user().is_open(),
            account: everybody.clone(),
            multi: None,
            watch: None,
            replies: Replies::default(),
            subscriptions: Default::default(),
            wait: None,
            close: false,
        }
    }
}

/// Commands queued by MULTI.
#[derive(Default)]
pub struct Multi {
    /// In order.
    pub queue: Vec<Request>,
    /// One of them was refused: EXEC fails.
    pub aborted: bool,
    /// One of them changes data.
    pub writes_data: bool,
    /// One of them writes, or counts as if it did for a pause.
    pub writes: bool,
}

/// What WATCH has asked for.
#[derive(Default)]
pub struct Watch {
    /// Set when one of the keys has changed.
    pub flag: Arc<WatchFlag>,
    /// Database, key, and whether the key was there, its time not over, when it was watched.
    pub keys: Vec<(u16, Vec<u8>, bool)>,
}

/// Which replies the client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// All but that to the next command (set by CLIENT REPLY SKIP).
    SkipNext,
    /// Not that to the command which is being evaluated.
    Skip,
}
