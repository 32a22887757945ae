//! Clients that wait for keys are served as soon as the command or transaction is over that made their keys ready, before
//! the next command of whoever sent it. What they take is an entry of its own, right behind.
//!
//! This is the order of Redis' `handleClientsBlockedOnKeys`: keys in the order in which they became ready; of each key
//! those who wait for its type, first come first, until it has nothing more to give. What these make ready (BLMOVE)
//! follows when all that were ready before have been looked at.

use std::collections::HashSet;

use haypile_commands::Cx;
use haypile_store::keys::meta_key;
use haypile_store::row::Kind;

use crate::partition::{Shared, Writer};
use crate::turn::Turn;

impl Turn<'_> {
    /// Serves those who wait for keys that have become ready; false if there was nothing to do. Within a transaction they
    /// wait for its end.
    pub fn serve_waiting(&mut self) -> bool {
        if self.writer.heard.ready.is_empty() || self.in_transaction {
            return false;
        }
        self.shared.serve_waiting(self.writer);
        true
    }

    /// The type of a key that is there. One whose time is over is removed.
    fn live_kind(&mut self, db: u16, key: &[u8]) -> Option<Kind> {
        let now_ms = self.now_ms();
        let found = self.inspect(db, |cx| Ok(cx.raw_row(&meta_key(key))?.map(|row| row.header)));
        let expired = match found {
            Ok(Some(header)) if header.expire_at.is_none_or(|at| at > now_ms) => return Some(header.kind),
            Ok(Some(header)) => self.internal("expire", db, |cx: &mut Cx<'_>| cx.expire(key, header)),
            Ok(None) => return None,
            Err(error) => Err(error),
        };
        if let Err(error) = expired {
            tracing::warn!(%error, "a key for which clients wait cannot be looked at");
        }
        None
    }
}

impl Shared {
    pub(crate) fn serve_waiting(&self, writer: &mut Writer) {
        while !writer.heard.ready.is_empty() {
            let ready = std::mem::take(&mut writer.heard.ready);
            let mut seen = HashSet::new();
            for at in &ready {
                if seen.insert(at) {
                    self.serve_key(writer, at.0, &at.1);
                }
            }
        }
    }

    fn serve_key(&self, writer: &mut Writer, db: u16, key: &[u8]) {
        // A key may have expired since the transaction began that made it.
        writer.now_ms = self.clock.now_ms().max(writer.now_ms);
        let mut ticket = 0;
        while writer.blocked.waits_for(db, key) {
            let Some(kind) = Turn::new(self, writer).live_kind(db, key) else {
                return;
            };
            let Some((client, its_ticket)) = writer.blocked.next(db, key, kind, ticket) else {
                return;
            };
            ticket = its_ticket + 1;
            let Some(mut task) = writer.blocked.lend(client) else {
                continue;
            };
            if task.serve(&mut Turn::new(self, writer), key) {
                writer.blocked.remove(client);
                writer.served.push(task);
            } else {
                writer.blocked.give_back(client, task);
            }
        }
    }
}
