//! What the node below asks of the server.

use std::net::IpAddr;
use std::sync::Arc;

use haypile_config::{Config, NotifyFlags};
use haypile_node::Front;
use haypile_partition::Event;

use crate::access;
use crate::mailbox::Homes;
use crate::pubsub::{PubSub, Sort};
use crate::users::Users;

/// The parts of the server that the node is told of.
pub(crate) struct ServerFront {
    pub(crate) config: Arc<Config>,
    pub(crate) users: Arc<Users>,
    pub(crate) pubsub: Arc<PubSub>,
    pub(crate) mailboxes: Homes,
}

impl Front for ServerFront {
    fn events(&self, events: Vec<Event>) {
        let flags = self.config.load().notify_keyspace_events.0;
        for event in events {
            let (event, db, key) = match event {
                Event::Key { event, db, key } => (event.name(), db, key),
                Event::Message(message) => {
                    self.pubsub.deliver(&message);
                    continue;
                }
            };
            if flags & NotifyFlags::KEYSPACE != 0 {
                let channel = [format!("__keyspace@{db}__:").as_bytes(), &key].concat();
                self.pubsub.publish(Sort::Channel, &channel, event.as_bytes());
            }
            if flags & NotifyFlags::KEYEVENT != 0 {
                let channel = format!("__keyevent@{db}__:{event}");
                self.pubsub.publish(Sort::Channel, channel.as_bytes(), &key);
            }
        }
    }

    fn wake(&self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.wake());
    }

    fn admit_replica(&self, address: IpAddr, given: (Option<&[u8]>, Option<&[u8]>)) -> Result<(), &'static str> {
        access::admit_replica(&self.users, &self.config.load(), address, given)
    }
}
