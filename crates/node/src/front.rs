//! What a node asks of those who serve its clients.

use std::net::IpAddr;

use haypile_partition::Event;

/// Those who serve the clients of a node.
pub trait Front: Send + Sync {
    /// Events of keys and messages of pub/sub, for clients that listen.
    fn events(&self, events: Vec<Event>);

    /// Clients that were held up may go on, or the server stops: whoever sleeps is to look.
    fn wake(&self);

    /// Whether a replica may come in, by its address, and by the user and the password that it gives, if it gives any.
    ///
    /// # Errors
    /// Why not.
    fn admit_replica(&self, address: IpAddr, given: (Option<&[u8]>, Option<&[u8]>)) -> Result<(), &'static str>;
}
