//! What a partition tells replication, and through it those who serve clients.

use std::sync::Weak;
use std::time::Duration;

use haypile_partition::{Event, Hooks};
use haypile_sync::message::Message;

use super::Replication;

/// See the module.
pub(super) struct ReplicationHooks(pub(super) Weak<Replication>);

impl Hooks for ReplicationHooks {
    fn log_needed_from(&self, first: u64) -> Option<u64> {
        let replication = self.0.upgrade()?;
        let keep_for = replication.parts.config.load().oplog_pinned_away_seconds;
        let keep_for = Duration::from_secs(u64::from(keep_for));
        replication.source.log_needed_from(replication.now(), first, keep_for)
    }

    fn events(&self, events: Vec<Event>) {
        if let Some(replication) = self.0.upgrade() {
            replication.parts.front.events(events);
        }
    }

    fn relay(&self, messages: &mut dyn Iterator<Item = &Message>) {
        let Some(replication) = self.0.upgrade() else { return };
        messages.for_each(|message| replication.relay(message, || message.after));
    }

    fn take_back(&self, from: u64) {
        if let Some(replication) = self.0.upgrade() {
            replication.source.published.take_back(from);
        }
    }
}
