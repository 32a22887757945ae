//! A job as work for the partition's writer: it is evaluated in a turn, may wait for keys, and is served when they come.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use haypile_commands::CommandError;
use haypile_commands::table::{self, Known};
use haypile_node::partition_of;
use haypile_partition::{Ahead, Awaited, CommitError, Step, Task, Turn};
use haypile_resp::Request;
use haypile_store::Tier;

use super::cold::Fetched;
use super::{Job, Next};
use crate::mailbox::Message;

impl Job {
    /// What forbids a request for which the client has waited.
    fn may_still(&self, known: &'static Known, request: &Request) -> Result<(), CommandError> {
        match self.session.account.is_unrestricted() {
            true => Ok(()),
            false => self.admit_user(known, request, true),
        }
    }

    /// It waits no longer, and has a reply, which starts at `start`.
    fn come_back(&mut self, start: usize) {
        self.turn.1 = usize::from(self.reply.len() > start);
        self.block = None;
        self.next = Next::Idle;
        self.client.blocked.store(false, Ordering::Relaxed);
    }
}

impl Task for Job {
    fn client(&self) -> u64 {
        self.client.id
    }

    fn only_command(&self) -> Option<(u16, Ahead<'_>)> {
        let request = self.requests.front().filter(|_| self.requests.len() == 1)?;
        let command = table::resolve_next(request, &mut self.last.clone()).ok()?;
        Some((self.session.db, Ahead { command, request }))
    }

    fn evaluate(&mut self, turn: &mut Turn<'_>) -> Step {
        // Replies that are there already came with a request that is to wait. They are committed, and not sent yet: who
        // sees them may rely on the wait having begun.
        let committed = self.reply.len();
        self.turn = (committed, 0);
        self.block = None;
        self.run(Some(turn));
        let block = match &self.block {
            Some(block) if self.reply.len() == committed => block,
            // It goes home, even if only to come back for its wait when its replies are committed.
            _ => return Step::Done,
        };
        let awaited = Awaited {
            db: self.session.db,
            keys: block.keys.clone(),
            kind: block.kind,
        };
        let until = block
            .timeout_ms
            .map(|ms| Instant::now() + Duration::from_millis(ms.min(1 << 40)));
        (self.tier, self.fetched) = (Tier::Memory, Fetched::default());
        self.client.blocked.store(true, Ordering::Relaxed);
        if let Some(request) = self.requests.front()
            && let Ok(known) = table::resolve(request)
        {
            self.server.waits(known, request, &self.client);
        }
        self.client.home.push(Message::Blocked {
            client: self.client.id,
            token: self.client.token,
            until,
            replies: self.reply.take(),
        });
        Step::Blocked(awaited)
    }

    /// Only the request that waits is evaluated: those behind it come later, as in Redis, where the client that made the
    /// key ready goes on first.
    fn serve(&mut self, turn: &mut Turn<'_>, key: &[u8]) -> bool {
        if self.client.killed.load(Ordering::Relaxed) {
            return false;
        }
        let Some(request) = self.requests.pop_front() else {
            return false;
        };
        let Ok(known) = table::resolve(&request) else {
            // It was found when it began to wait.
            self.requests.push_front(request);
            return false;
        };
        let start = self.reply.len();
        self.turn = (start, 0);
        if let Err(error) = self.may_still(known, &request) {
            // Its rights were taken away while it waited. It is served with that.
            if self.refuse(&error, Some(known), None).is_err() {
                return false;
            }
            self.come_back(start);
            return true;
        }
        let begun = Instant::now();
        // Elements of a key that came by RENAME or SWAPDB may be cold. Fetching them first would mean to lose the place in
        // the line.
        self.tier = Tier::Disk;
        self.evaluating = Some(start);
        let open = partition_of(&self.node.partitions, known, &request);
        let evaluated = self.evaluate_one(known, &request, open, Some(turn), Some(key));
        self.evaluating = None;
        self.tier = Tier::Memory;
        let outcome = match evaluated {
            Ok(Err(CommandError::Block(_))) | Err(_) => {
                self.reply.truncate(start);
                self.requests.push_front(request);
                return false;
            }
            Ok(outcome) => outcome,
        };
        self.conclude(known, outcome, start);
        let micros = begun.elapsed().as_micros() as u64;
        self.server.waited(known, &request, micros, &self.client);
        self.come_back(start);
        true
    }

    fn unblock(&mut self, why: Option<CommandError>) {
        let waited = self.client.blocked.swap(false, Ordering::Relaxed);
        if let Some(request) = self.requests.pop_front()
            && let Ok(known) = table::resolve(&request)
        {
            if let Some(error) = &why {
                self.server.stats.error(&error.to_string());
                self.server.stats.failed(known.id);
            }
            match waited {
                true => self.server.waited(known, &request, 0, &self.client),
                false => self.server.called(known, &request, 0, &self.client),
            }
        }
        let start = self.reply.len();
        let wait = self.session.wait.take();
        if wait.is_some() {
            self.node.replication.waits.remove(self.client.id);
        }
        match (why, self.block.take()) {
            (Some(error), _) => {
                // As in Redis: a client that waited when the server became a replica is closed.
                self.session.close |= error.to_string().starts_with("UNBLOCKED force");
                self.reply.error(&error.to_string());
            }
            (None, Some(_)) if let Some(wait) = wait => wait.reply(&self.node.replication.source, &mut self.reply),
            (None, Some(block)) => block.on_timeout.write(&mut self.reply),
            (None, None) => self.reply.null_array(),
        }
        self.mute(start);
        self.next = Next::Idle;
    }

    fn finish(mut self: Box<Self>, outcome: Result<(), &CommitError>) {
        if let Err(error) = outcome {
            let (start, answered) = self.turn;
            self.reply.truncate(start);
            let text = error.to_string();
            for _ in 0..answered {
                self.reply.error(&text);
            }
            if self.evaluating.take().is_some() {
                self.give_up(&text);
            }
        }
        self.send_home();
    }
}

impl Drop for Job {
    /// A job that a panic takes with it: nobody would answer its client any more.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (client, token) = (self.client.id, self.client.token);
            self.client.home.push(Message::Close { client, token });
        }
    }
}
