//! What a job does on the pool: requests whose reads are cold.

use std::sync::atomic::Ordering;
use std::time::Instant;

use haypile_commands::table::{self, Known};
use haypile_commands::{Flags, Handler};
use haypile_node::random::SplitMix64;
use haypile_node::slot_of_request;
use haypile_partition::Ahead;
use haypile_resp::Request;
use haypile_store::Tier;
use haypile_types::Random;
use smallvec::SmallVec;

use super::{Job, Next, REPLY_PAUSE_BYTES};
use crate::commands;
use crate::mailbox::Fence;
use crate::pool::ColdWork;

/// How often the pool fetches for a write whose reads are cold. Then it may read from the disk in its turn: what it
/// reads changes or leaves the cache faster than it gets its turn.
const FETCHES_MAX: u32 = 3;

/// Requests that one visit to the pool answers, or fetches for, at most.
const REQUESTS_AT_ONCE_MAX: usize = 64;

/// What the pool has fetched for the requests of a job.
#[derive(Clone, Copy, Default)]
pub(super) struct Fetched {
    /// How often for the first request.
    times: u32,
    /// For how many requests.
    requests: usize,
    /// The seed of the choices that were made at random for them.
    seed: u64,
    /// When the first request found something missing: see [`Partition::rehearsals`](haypile_partition::Partition::rehearsals).
    cold_at: u64,
}

impl Fetched {
    /// The first request is answered.
    pub(super) fn used(&mut self) {
        self.times = 0;
        self.requests = self.requests.saturating_sub(1);
    }

    /// The first request has found something missing.
    pub(super) fn is_cold(&mut self, rehearsals: u64) {
        self.cold_at = rehearsals;
    }

    /// What the first request has to choose with, so that it reads what was fetched for it.
    pub(super) fn random(&self) -> Option<SplitMix64> {
        (self.requests > 0).then(|| self.random_of(0))
    }

    /// The same for a request behind it.
    fn random_of(&self, number: usize) -> SplitMix64 {
        SplitMix64::new(self.seed.wrapping_add((self.requests - number) as u64))
    }
}

impl ColdWork for Job {
    /// Gets what the first requests need off the disk, and sends the job home, or to the writer.
    fn run(mut self: Box<Self>) {
        let first = self.requests.front().and_then(|request| table::resolve(request).ok());
        if first.is_some_and(commands::asks_about_subscribers) {
            Fence::raise(&self.server.mailboxes).wait();
            (self.tier, self.next) = (Tier::Disk, Next::Turn);
            return self.send_home();
        }
        if first.is_some_and(commands::works_on_files) {
            self.evaluate_here();
            self.next = Next::Turn;
            return self.send_home();
        }
        self.server.stats.cold_reads.fetch_add(1, Ordering::Relaxed);
        self.fetch();
        if self.session.multi.is_none() && first.is_some_and(only_reads) {
            self.read_from_disk();
        } else if self.fetched.times >= FETCHES_MAX {
            self.tier = Tier::Disk;
        }
        self.next = Next::Turn;
        self.send_home();
    }
}

impl Job {
    /// The first request is one that may take its time.
    fn evaluate_here(&mut self) {
        self.tier = Tier::Disk;
        if let Some(request) = self.requests.pop_front()
            && self.step(&request, None, &mut Instant::now()).is_err()
        {
            self.requests.push_front(request);
        }
        self.tier = Tier::Memory;
    }

    /// Brings into memory what the first request reads, and what those behind it do, because what follows a cold request is
    /// often as cold.
    fn fetch(&mut self) {
        let data = self.node.partitions.of_slot(|| {
            let first = self.requests.front();
            let slot = |request| {
                table::resolve(request)
                    .ok()
                    .map(|known| slot_of_request(known, request))
            };
            first.and_then(slot).unwrap_or(0)
        });
        let Some(data) = &*data else {
            return;
        };
        let times = self.fetched.times + 1;
        let queued = self.session.multi.as_ref().map(|multi| &multi.queue);
        let ahead: SmallVec<[Ahead<'_>; REQUESTS_AT_ONCE_MAX]> = match queued {
            Some(queued) => queued.iter().filter_map(ahead_of).collect(),
            None => {
                let requests = self.requests.iter().take(REQUESTS_AT_ONCE_MAX);
                requests.map_while(ahead_of).collect()
            }
        };
        let fetched = Fetched {
            times,
            requests: ahead.len(),
            seed: SplitMix64::from_system().next_u64(),
            ..self.fetched
        };
        let db = self.session.db;
        match ahead.as_slice() {
            // The rows are read when it is evaluated, which is at once.
            [one] if only_reads(one.command) && queued.is_none() => {}
            // It was not enough for the first, or for a transaction.
            all if times > 1 => {
                let count = if queued.is_some() { all.len() } else { 1 };
                let again = all.iter().copied().enumerate().take(count);
                data.rehearse(db, again, |number| fetched.random_of(number));
            }
            all => data.prefetch(db, all, fetched.cold_at, |number| fetched.random_of(number)),
        }
        drop(ahead);
        // A transaction's commands have the partition's own randomness.
        let requests = if queued.is_some() { 0 } else { fetched.requests };
        self.fetched = Fetched { requests, ..fetched };
    }

    /// Nobody waits for this thread: the first request can be evaluated here, and those behind it as long as they only
    /// read as well.
    fn read_from_disk(&mut self) {
        let mut clock = Instant::now();
        for _ in 0..REQUESTS_AT_ONCE_MAX {
            if self.session.close || self.client.killed.load(Ordering::Relaxed) || self.reply.len() >= REPLY_PAUSE_BYTES
            {
                break;
            }
            let Some(request) = self.requests.pop_front() else {
                break;
            };
            self.tier = Tier::Disk;
            if !table::resolve(&request).is_ok_and(only_reads) || self.step(&request, None, &mut clock).is_err() {
                self.requests.push_front(request);
                break;
            }
            self.fetched.used();
        }
        self.tier = Tier::Memory;
        self.fetched.times = 0;
    }
}

/// True for a data command that has no effects.
fn only_reads(known: &Known) -> bool {
    matches!(known.spec.handler, Handler::Data(_)) && !known.spec.flags.has(Flags::WRITE)
}

/// A request for data.
fn ahead_of(request: &Request) -> Option<Ahead<'_>> {
    let command = table::resolve(request).ok()?;
    matches!(command.spec.handler, Handler::Data(_)).then_some(Ahead { command, request })
}
