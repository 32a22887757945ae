//! A turn: the right to evaluate commands that write, whose effects become entries of the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use haypile_commands::table::Known;
use haypile_commands::{CommandError, Cx, Flags, Handler, Outcome};
use haypile_resp::{Reply, Request};
use haypile_store::{Savepoint, Tier, View};
use haypile_sync::message::Message;
use haypile_types::{Position, Random};

use crate::events::TurnObserver;
use crate::partition::{Shared, Writer};
use crate::writing::InTurn;
use crate::{Event, WatchFlag};

/// Bytes of effects that one entry may have; what the log takes, with room for what ends an entry.
const ENTRY_BYTES_MAX: usize = haypile_oplog::PAYLOAD_BYTES_MAX - (1 << 20);

/// The same in a replica group: an entry must fit into one message.
const GROUP_ENTRY_BYTES_MAX: usize = 32 << 20;

/// One command to evaluate.
pub struct Call<'a> {
    /// Which.
    pub command: &'static Known,
    /// Its arguments.
    pub request: &'a Request,
    /// Where the reply goes. After an error it is as it was before.
    pub reply: &'a mut Reply,
    /// The selected database.
    pub db: u16,
    /// How far reads may go. With [`Tier::Memory`] a missing block gives `StoreError::Cold`, without effects.
    pub tier: Tier,
    /// Of a blocking command that has waited: the key that has become ready for it.
    pub ready_key: Option<&'a [u8]>,
    /// Whether a blocking command may wait.
    pub may_block: bool,
    /// To be used instead of the partition's own.
    pub random: Option<&'a mut dyn Random>,
}

/// The right to write: held by one thread at a time.
pub struct Turn<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) writer: &'a mut Writer,
    pub(crate) in_transaction: bool,
    _known: InTurn,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(shared: &'a Shared, writer: &'a mut Writer) -> Self {
        Turn {
            shared,
            writer,
            in_transaction: false,
            _known: InTurn::of(shared),
        }
    }

    /// Milliseconds since the epoch, the same for a whole command or transaction.
    pub fn now_ms(&self) -> u64 {
        self.writer.now_ms
    }

    /// Evaluates one command. Outside of [`Turn::transaction`] its effects are one log entry.
    pub fn execute(&mut self, call: Call<'_>) -> Outcome {
        let Handler::Data(execute) = call.command.spec.handler else {
            return Err(CommandError::reply(
                "ERR this command cannot be evaluated by a partition",
            ));
        };
        let flags = call.command.spec.flags;
        let writes = flags.has(Flags::WRITE);
        let keeps = flags.has(Flags::MAY_REPLICATE);
        // In a group only the leader's state is the newest.
        if self.shared.replica.is_some()
            && let Some(refusal) = self.shared.refusal_by_role()
        {
            return Err(refusal);
        }
        let refusal = (writes || keeps).then(|| self.shared.refusal()).flatten();
        let may_write = (writes || keeps) && refusal.is_none();
        if writes && let Some(refusal) = refusal {
            return Err(refusal);
        }
        if !self.in_transaction {
            self.begin_entry();
        }
        let start = call.reply.len();
        let mark = self.mark();
        if may_write {
            let key = call.command.spec.keys.first_of(call.request).unwrap_or_default();
            let event = call.command.event.map(|event| event as u8);
            let name = call.command.spec.name.as_bytes();
            self.writer.overlay.tag(name, call.db, key, event);
        }
        let Writer {
            overlay,
            random,
            watch,
            blocked,
            heard,
            now_ms,
            packed_limits,
            ..
        } = &mut *self.writer;
        let mut observer = TurnObserver {
            counters: &self.shared.counters,
            watch,
            blocked,
            heard,
        };
        let reading = self.shared.store.read();
        let view = View::writing(&reading, overlay, call.tier);
        let random = call.random.unwrap_or(&mut **random);
        let mut cx = Cx::new(view, call.reply, &mut observer, random, call.db, *now_ms);
        cx.may_block = call.may_block && !self.in_transaction;
        cx.ready_key = call.ready_key;
        cx.reads_only = !writes;
        cx.may_write = may_write;
        cx.string_bytes_max = self.shared.string_bytes_max.load(Ordering::Relaxed);
        cx.hll_sparse_bytes_max = self.shared.hll_sparse_bytes_max.load(Ordering::Relaxed);
        cx.packed_limits = *packed_limits;
        let mut outcome = execute(&mut cx, call.request);
        if outcome.is_ok() && self.writer.overlay.entry_bytes() > self.entry_bytes_max() {
            outcome = Err(CommandError::reply(match self.shared.replica {
                None => "ERR too much to write at once: what a command or a transaction changes must fit into 2 GiB",
                Some(_) => {
                    "ERR too much to write at once: what a command or a transaction changes must fit into 32 MiB in a replica \
                     group"
                }
            }));
        }
        if let Err(error) = outcome {
            call.reply.truncate(start);
            self.take_back(mark);
            if !self.in_transaction {
                self.end_entry();
            }
            return Err(error);
        }
        if !self.in_transaction {
            self.end_entry();
        }
        Ok(())
    }

    /// Runs `body`; everything it executes is one log entry. If it gives an error, all of it is taken back.
    pub fn transaction<E>(&mut self, body: impl FnOnce(&mut Turn<'_>) -> Result<(), E>) -> Result<(), E> {
        assert!(!self.in_transaction, "a transaction within a transaction");
        self.begin_entry();
        let mark = self.mark();
        self.in_transaction = true;
        let outcome = body(self);
        self.in_transaction = false;
        if outcome.is_err() {
            self.take_back(mark);
        }
        self.end_entry();
        outcome
    }

    /// Marks a key as watched by a client; true if it lives.
    ///
    /// # Errors
    /// The key cannot be looked at; it is not watched then.
    pub fn watch(&mut self, db: u16, key: &[u8], flag: &Arc<WatchFlag>) -> Result<bool, CommandError> {
        let lives = self.lives(db, key)?;
        self.writer.watch.add(db, key, flag, !lives);
        Ok(lives)
    }

    /// Ends that.
    pub fn unwatch(&mut self, db: u16, key: &[u8], flag: &Arc<WatchFlag>) {
        self.writer.watch.remove(db, key, flag);
    }

    /// Publishes a message when what this turn has written so far is committed and visible.
    pub fn publish(&mut self, sharded: bool, channel: Bytes, payload: Bytes) {
        // Within a transaction it belongs to that; if that has no effects there is no such entry, see
        // `Shared::end_turn`.
        let after = self.writer.next_index - u64::from(!self.in_transaction);
        let within = self.in_transaction.then(|| self.writer.overlay.entry_bytes() as u64);
        let message = Message {
            after,
            sharded,
            channel,
            payload,
            within,
        };
        self.writer.heard.events.push(Event::Message(message));
    }

    /// The end of the log, with what has been evaluated in this turn.
    pub fn position(&self) -> Position {
        self.writer.position()
    }

    /// True if the key is there and its time is not over.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn lives(&mut self, db: u16, key: &[u8]) -> Result<bool, CommandError> {
        let now_ms = self.writer.now_ms;
        let row = self.inspect(db, |cx| {
            let row = cx.raw_row(&haypile_store::keys::meta_key(key))?;
            Ok(row.map(|row| row.header))
        })?;
        Ok(row.is_some_and(|header| header.expire_at.is_none_or(|at| at > now_ms)))
    }

    /// Evaluates something of the server's own as one entry, or as a part of the transaction, with a context on database
    /// `db`.
    pub fn internal<R>(
        &mut self,
        name: &str,
        db: u16,
        body: impl FnOnce(&mut Cx<'_>) -> Result<R, CommandError>,
    ) -> Result<R, CommandError> {
        self.internal_reading(Tier::Disk, name, db, body)
    }

    /// The same with reads that go as far as `tier`.
    pub fn internal_reading<R>(
        &mut self,
        tier: Tier,
        name: &str,
        db: u16,
        body: impl FnOnce(&mut Cx<'_>) -> Result<R, CommandError>,
    ) -> Result<R, CommandError> {
        if let Some(refusal) = self.shared.refusal() {
            return Err(refusal);
        }
        if !self.in_transaction {
            self.begin_entry();
        }
        let mark = self.mark();
        self.writer.overlay.tag(name.as_bytes(), db, b"", None);
        let mut reply = Reply::new(haypile_resp::Version::Resp2);
        let Writer {
            overlay,
            random,
            watch,
            blocked,
            heard,
            now_ms,
            packed_limits,
            ..
        } = &mut *self.writer;
        let mut observer = TurnObserver {
            counters: &self.shared.counters,
            watch,
            blocked,
            heard,
        };
        let reading = self.shared.store.read();
        let view = View::writing(&reading, overlay, tier);
        let mut cx = Cx::new(view, &mut reply, &mut observer, &mut **random, db, *now_ms);
        cx.packed_limits = *packed_limits;
        let outcome = body(&mut cx);
        if outcome.is_err() {
            self.take_back(mark);
        }
        if !self.in_transaction {
            self.end_entry();
        }
        outcome
    }

    /// Lets `body` read database `db`, what this turn has written included, from the disk if need be. It must not
    /// write.
    pub fn inspect<R>(
        &mut self,
        db: u16,
        body: impl FnOnce(&mut Cx<'_>) -> Result<R, CommandError>,
    ) -> Result<R, CommandError> {
        let Writer {
            overlay,
            random,
            now_ms,
            packed_limits,
            ..
        } = &mut *self.writer;
        let reading = self.shared.store.read();
        let view = View::writing(&reading, overlay, Tier::Disk);
        let mut reply = Reply::new(haypile_resp::Version::Resp2);
        let mut deaf = haypile_commands::Deaf;
        let mut cx = Cx::new(view, &mut reply, &mut deaf, &mut **random, db, *now_ms);
        cx.packed_limits = *packed_limits;
        // Expired keys are passed over, not removed.
        cx.reads_only = true;
        body(&mut cx)
    }

    fn entry_bytes_max(&self) -> usize {
        match self.shared.replica {
            None => ENTRY_BYTES_MAX,
            Some(_) => GROUP_ENTRY_BYTES_MAX,
        }
    }

    fn begin_entry(&mut self) {
        self.writer.overlay.begin_entry(self.writer.next_index);
    }

    fn end_entry(&mut self) {
        if self.writer.overlay.end_entry().is_some() {
            self.writer.next_index += 1;
        }
    }

    fn mark(&mut self) -> Mark {
        Mark {
            savepoint: self.writer.overlay.savepoint(),
            events: self.writer.heard.events.len(),
            ready: self.writer.heard.ready.len(),
        }
    }

    fn take_back(&mut self, mark: Mark) {
        self.writer.overlay.rollback(mark.savepoint);
        self.writer.heard.events.truncate(mark.events);
        self.writer.heard.ready.truncate(mark.ready);
    }
}

struct Mark {
    savepoint: Savepoint,
    events: usize,
    ready: usize,
}
