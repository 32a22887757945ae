//! What commands will read is brought into memory before they get their turn.

use haypile_commands::table::Known;
use haypile_commands::{Cx, Deaf, Flags, Handler, Keys};
use haypile_resp::{Reply, Request, Version};
use haypile_store::row::Header;
use haypile_store::{Overlay, Tier, View};
use haypile_types::Random;

use crate::Partition;

/// Keys whose rows are fetched for commands at once. A command that has more reads the rest when it is evaluated.
const KEYS_MAX: usize = 256;

/// A command that will be evaluated soon.
#[derive(Clone, Copy)]
pub struct Ahead<'a> {
    /// Which.
    pub command: &'static Known,
    /// Its arguments.
    pub request: &'a Request,
}

impl Partition {
    /// Brings into memory what commands of one client will read that was not there for the first of them. Takes as long as the
    /// disk does.
    ///
    /// The rows of all their keys are read together, and nearly always that is all. The commands for which it is not are
    /// [run](Self::rehearse): the first, and of those behind it the fast ones that write. A command that chooses at random reads
    /// the same again if it is given the same randomness, `random` of its number: see [`Call::random`](crate::Call::random).
    pub fn prefetch<R: Random>(&self, db: u16, commands: &[Ahead<'_>], random: impl FnMut(usize) -> R) {
        /// What is known of a command once its rows are there.
        #[derive(Clone, Copy, Default)]
        struct Rows {
            wanted: usize,
            found: usize,
            spread: bool,
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
            of.spread |= row
                .and_then(Header::read)
                .is_some_and(|(header, _)| header.home.is_some());
        });
        let reads_more = |number: usize| {
            let (rows, spec) = (rows[number], &commands[number].command.spec);
            let in_doubt = !matches!(spec.keys, Keys::Range { .. }) || rows.found < rows.wanted;
            let at_once = number == 0 || spec.flags.has(Flags::FAST);
            spec.flags.has(Flags::WRITE) && at_once && (rows.spread || (in_doubt && number == 0))
        };
        let numbers = (0..commands.len()).filter(|number| reads_more(*number));
        self.rehearse(db, numbers.map(|number| (number, commands[number])), random);
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
