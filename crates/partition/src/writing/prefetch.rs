//! What commands will read is brought into memory before they get their turn.

use std::sync::atomic::{AtomicU64, Ordering};

use haypile_commands::table::Known;
use haypile_commands::{Cx, Deaf, Flags, Handler, Keys, Named};
use haypile_resp::{Reply, Request, Version};
use haypile_store::keys::{meta_key, place};
use haypile_store::row::{Header, Kind};
use haypile_store::{Overlay, Tier, View};
use haypile_types::Random;
use parking_lot::Mutex;

use crate::Partition;

/// Keys whose rows are fetched for commands at once. A command that has more reads the rest when it is evaluated.
const KEYS_MAX: usize = 256;

/// Locks for who rehearses pops.
const LOCKS: usize = 16;

/// When pops were rehearsed last.
#[derive(Default)]
pub(crate) struct Rehearsals {
    /// Counts them.
    count: AtomicU64,
    /// By key, more or less. Who rehearses holds the lock.
    last: [Mutex<Rehearsal>; LOCKS],
}

/// A key, by its hash, and the number of the rehearsal of what pops from it.
#[derive(Clone, Copy, Default)]
struct Rehearsal {
    key: u64,
    number: u64,
}

impl Rehearsals {
    fn of(&self, hash: u64) -> &Mutex<Rehearsal> {
        &self.last[hash as usize % LOCKS]
    }
}

/// A command that will be evaluated soon.
#[derive(Clone, Copy)]
pub struct Ahead<'a> {
    /// Which.
    pub command: &'static Known,
    /// Its arguments.
    pub request: &'a Request,
}

impl<'a> Ahead<'a> {
    /// Its first key.
    pub(crate) fn key(self) -> Option<&'a [u8]> {
        self.command.spec.keys.first_of(self.request)
    }
}

impl Partition {
    /// Has the processor fetch what looking up the elements will touch that commands on one key name, as far as they are in memory.
    pub fn fetch_elements_ahead<'r>(&self, db: u16, commands: impl Iterator<Item = Ahead<'r>> + Clone) {
        let commands = commands.map(|ahead| (ahead.command.spec, ahead.request));
        haypile_commands::fetch_elements_ahead(&self.shared.store.read(), db, commands);
    }

    /// How many times pops were rehearsed so far.
    pub fn rehearsals(&self) -> u64 {
        self.shared.rehearsals.count.load(Ordering::Relaxed)
    }

    /// Brings into memory what commands of one client will read that was not there for the first of them. Takes as long as the
    /// disk does.
    ///
    /// The rows of all their keys are read together, and nearly always that is all. The commands for which it is not are
    /// [run](Self::rehearse): the first, and of those behind it the fast ones that write. A command that chooses at random reads
    /// the same again if it is given the same randomness, `random` of its number: see [`Call::random`](crate::Call::random).
    ///
    /// Where many clients pop from one collection, one of them reads for all: `cold_at` is what [`Partition::rehearsals`] said when the
    /// first command found something missing.
    pub fn prefetch<R: Random>(&self, db: u16, commands: &[Ahead<'_>], cold_at: u64, random: impl FnMut(usize) -> R) {
        /// What is known of a command once its rows are there.
        #[derive(Clone, Copy, Default)]
        struct Rows {
            wanted: usize,
            found: usize,
            spread: bool,
            /// The elements are in an order of their own, as opposed to those of a list.
            ordered: bool,
        }
        let mut keys = Vec::with_capacity(commands.len());
        let mut rows = vec![Rows::default(); commands.len()];
        for (number, ahead) in commands.iter().enumerate() {
            let wanted = &mut rows[number].wanted;
            ahead.command.spec.keys.for_each_plain(ahead.request, |key| {
                *wanted += 1;
                if keys.len() < KEYS_MAX {
                    keys.push((number, key));
                }
            });
        }
        self.store().fetch(db, keys.iter().map(|(_, key)| *key), |key, row| {
            let of = &mut rows[keys[key].0];
            of.found += 1;
            let header = row.and_then(Header::read).map(|(header, _)| header);
            of.spread |= header.is_some_and(|header| header.home.is_some());
            of.ordered |= header.is_some_and(|header| matches!(header.kind, Kind::Set | Kind::Zset));
        });
        let reads_more = |number: usize| {
            let (rows, spec) = (rows[number], &commands[number].command.spec);
            let in_doubt = !matches!(spec.keys, Keys::Range { .. }) || rows.found < rows.wanted;
            let at_once = number == 0 || spec.flags.has(Flags::FAST);
            spec.flags.has(Flags::WRITE) && at_once && (rows.spread || (in_doubt && number == 0))
        };
        // What takes elements that it does not name takes neighbours: who reads for one reads along for those behind it, and for others.
        let pops = |number: usize| rows[number].ordered && commands[number].command.spec.named == Named::NONE;
        let follows_same = |number: usize| {
            let ahead = commands[number];
            let is_same = |other: &Ahead<'_>| other.command.id == ahead.command.id && other.key() == ahead.key();
            pops(number) && commands[..number].iter().any(is_same)
        };
        let wanted = (0..commands.len()).filter(|number| reads_more(*number) && !follows_same(*number));
        let mut wanted: Vec<usize> = wanted.collect();
        let first = wanted.first().copied().filter(|first| pops(*first));
        let Some(key) = first.and_then(|first| commands[first].key()) else {
            return self.rehearse(db, wanted.into_iter().map(|number| (number, commands[number])), random);
        };
        let hash = u64::from(db) << u32::BITS | u64::from(place(&meta_key(key)));
        let mut last = self.shared.rehearsals.of(hash).lock();
        // Who was waited for may have read it.
        if last.key == hash && last.number > cold_at {
            wanted.remove(0);
        }
        *last = Rehearsal {
            key: hash,
            number: self.shared.rehearsals.count.fetch_add(1, Ordering::Relaxed) + 1,
        };
        self.rehearse(db, wanted.into_iter().map(|number| (number, commands[number])), random);
    }

    /// Runs commands, one after another, for the sake of the blocks that they read: afterwards these are cached.
    /// Their effects and replies are thrown away.
    pub fn rehearse<'c, R: Random>(
        &self,
        db: u16,
        commands: impl Iterator<Item = (usize, Ahead<'c>)>,
        mut random: impl FnMut(usize) -> R,
    ) {
        let mut overlay = None;
        let mut reply = Reply::new(Version::Resp2);
        for (number, Ahead { command, request }) in commands {
            let Handler::Data(execute) = command.spec.handler else {
                continue;
            };
            let overlay = overlay.get_or_insert_with(|| {
                let mut overlay = Overlay::for_prefetch(&self.shared.knowledge);
                overlay.begin_turn();
                overlay.begin_entry(0);
                overlay
            });
            let reading = self.shared.store.read();
            let view = View::writing(&reading, overlay, Tier::Disk);
            let (mut deaf, mut random) = (Deaf, random(number));
            let mut cx = Cx::new(view, &mut reply, &mut deaf, &mut random, db, self.shared.clock.now_ms());
            // Whatever it says: it is evaluated again in its turn.
            let _ = execute(&mut cx, request);
            reply.clear();
        }
    }
}
