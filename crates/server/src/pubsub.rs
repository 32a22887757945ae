//! Pub/sub: who listens to which channel, and delivery. Messages are not kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use haypile_commands::glob;
use haypile_resp::{Reply, Version};
use haypile_sync::message::Message;
use parking_lot::RwLock;

use crate::client::Client;
use crate::mailbox;

/// The three sorts of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// SUBSCRIBE.
    Channel = 0,
    /// PSUBSCRIBE.
    Pattern = 1,
    /// SSUBSCRIBE.
    Shard = 2,
}

/// What one client has subscribed to, by sort.
pub type Subscriptions = [BTreeSet<Vec<u8>>; 3];

type Listeners = HashMap<Vec<u8>, HashMap<u64, Arc<Client>>>;

/// False for a client that has been killed and not been cleared away yet.
fn is_there(client: &&Arc<Client>) -> bool {
    !client.killed.load(Ordering::Relaxed)
}

/// All subscriptions of the server.
#[derive(Default)]
pub struct PubSub {
    listeners: [RwLock<Listeners>; 3],
}

impl PubSub {
    /// Adds a subscription.
    pub fn subscribe(&self, sort: Sort, channel: &[u8], client: &Arc<Client>) {
        let mut listeners = self.listeners[sort as usize].write();
        listeners
            .entry(channel.to_vec())
            .or_default()
            .insert(client.id, client.clone());
    }

    /// Removes a subscription.
    pub fn unsubscribe(&self, sort: Sort, channel: &[u8], client: u64) {
        let mut listeners = self.listeners[sort as usize].write();
        if let Some(clients) = listeners.get_mut(channel) {
            clients.remove(&client);
            if clients.is_empty() {
                listeners.remove(channel);
            }
        }
    }

    /// Sends a message that has come a longer way.
    pub fn deliver(&self, message: &Message) {
        let sort = if message.sharded { Sort::Shard } else { Sort::Channel };
        self.publish(sort, &message.channel, &message.payload);
    }

    /// Number of clients that a message would be sent to.
    pub fn receivers(&self, sort: Sort, channel: &[u8]) -> usize {
        let mut count = self.listeners(sort, channel);
        if sort == Sort::Channel {
            let patterns = self.listeners[Sort::Pattern as usize].read();
            let matching = patterns.iter().filter(|(pattern, _)| glob::matches(pattern, channel));
            count += matching
                .map(|(_, clients)| clients.values().filter(is_there).count())
                .sum::<usize>();
        }
        count
    }

    /// Sends a message; gives the number of clients that it was sent to.
    pub fn publish(&self, sort: Sort, channel: &[u8], message: &[u8]) -> usize {
        let kind = if sort == Sort::Shard { "smessage" } else { "message" };
        let mut sent = 0;
        if let Some(clients) = self.listeners[sort as usize].read().get(channel) {
            let parts = [kind.as_bytes(), channel, message];
            let mut made = Made::new(&parts);
            for client in clients.values().filter(is_there) {
                made.send(client);
                sent += 1;
            }
        }
        if sort == Sort::Channel {
            for (pattern, clients) in self.listeners[Sort::Pattern as usize].read().iter() {
                if glob::matches(pattern, channel) {
                    let parts = [&b"pmessage"[..], pattern, channel, message];
                    let mut made = Made::new(&parts);
                    for client in clients.values().filter(is_there) {
                        made.send(client);
                        sent += 1;
                    }
                }
            }
        }
        sent
    }

    /// Channels with listeners that match the pattern.
    pub fn channels(&self, sort: Sort, pattern: Option<&[u8]>) -> Vec<Vec<u8>> {
        let listeners = self.listeners[sort as usize].read();
        listeners
            .keys()
            .filter(|c| pattern.is_none_or(|p| glob::matches(p, c)))
            .cloned()
            .collect()
    }

    /// Number of listeners of a channel.
    pub fn listeners(&self, sort: Sort, channel: &[u8]) -> usize {
        self.listeners[sort as usize]
            .read()
            .get(channel)
            .map_or(0, |clients| clients.values().filter(is_there).count())
    }

    /// Those who listen to something that fits.
    pub fn listeners_to(&self, fits: impl Fn(Sort, &[u8], &Client) -> bool) -> Vec<Arc<Client>> {
        let mut found = Vec::new();
        for sort in [Sort::Channel, Sort::Pattern, Sort::Shard] {
            for (channel, clients) in self.listeners[sort as usize].read().iter() {
                found.extend(clients.values().filter(|client| fits(sort, channel, client)).cloned());
            }
        }
        found
    }

    /// Number of channels, patterns or sharded channels with listeners.
    pub fn len(&self, sort: Sort) -> usize {
        self.listeners[sort as usize].read().len()
    }

    /// True if nobody listens to anything.
    pub fn is_silent(&self) -> bool {
        self.listeners.iter().all(|l| l.read().is_empty())
    }
}

/// A message, encoded at most once for each protocol version.
struct Made<'a> {
    parts: &'a [&'a [u8]],
    encoded: [Option<Arc<[u8]>>; 2],
}

impl<'a> Made<'a> {
    fn new(parts: &'a [&'a [u8]]) -> Self {
        Made {
            parts,
            encoded: [None, None],
        }
    }

    fn send(&mut self, client: &Arc<Client>) {
        let resp3 = client.resp.load(Ordering::Relaxed) == 3;
        let bytes = self.encoded[usize::from(resp3)].get_or_insert_with(|| {
            let mut reply = Reply::new(if resp3 { Version::Resp3 } else { Version::Resp2 });
            reply.push(self.parts.len());
            self.parts.iter().for_each(|part| reply.bulk(part));
            reply.take().into()
        });
        client.home.push(mailbox::Message::Push {
            client: client.id,
            token: client.token,
            bytes: bytes.clone(),
        });
    }
}
