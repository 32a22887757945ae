//! RANDOMKEY.

use haypile_resp::Request;
use haypile_store::keys::{place, user_key};
use haypile_store::{Cf, Direction};
use haypile_types::{Random, SLOTS};

use super::{header, is_live};
use crate::spec::READ;
use crate::{CommandError, Cx, Group, Handler, Outcome, SPEC, Spec};

pub(super) const RANDOMKEY: Spec = Spec {
    name: "randomkey",
    summary: "Returns a random key of the database.",
    since: "1.0.0",
    group: Group::Generic,
    complexity: "O(1)",
    arity: 1,
    flags: READ,
    handler: Handler::Data(random_key),
    ..SPEC
};

/// Databases of up to this many keys are read as a whole: each key is as likely as any other.
const EXACT_KEYS_MAX: u64 = 64;
/// In a larger one, a key is chosen out of this many that follow a random place. That evens out most of what the gaps
/// between places would do: without it, a key after a wide gap would come up more often.
const RUN_KEYS: u64 = 32;
/// Rows that are read to find so many live keys.
const RUN_ROWS_MAX: u64 = 256;
/// Random places that are tried before the rows are gone through for any key that lives.
const TRIES: usize = 4;
/// Rows that are gone through then.
const LAST_ROWS_MAX: u64 = 10_000;

fn random_key(cx: &mut Cx<'_>, _: &Request) -> Outcome {
    match choose(cx)? {
        Some(key) => cx.reply.bulk(&key),
        None => cx.reply.null(),
    }
    Ok(())
}

fn choose(cx: &mut Cx<'_>) -> Result<Option<Vec<u8>>, CommandError> {
    if cx.counts().keys > EXACT_KEYS_MAX {
        for _ in 0..TRIES {
            let run = random_run(cx)?;
            if run.chosen.is_some() {
                return Ok(run.chosen);
            }
        }
    }
    let mut run = Run::new(u64::MAX, LAST_ROWS_MAX);
    run.read(cx, &[], None)?;
    Ok(run.chosen)
}

/// A run from a random place on. The end of the keyspace is followed by its start.
fn random_run(cx: &mut Cx<'_>) -> Result<Run, CommandError> {
    let mut run = Run::new(RUN_KEYS, RUN_ROWS_MAX);
    let slot = cx.random.below(u64::from(SLOTS)) as u32;
    let start = random_place(cx, slot);
    let mut first = run.read(cx, &start, Some(slot))?;
    if first.is_none() {
        first = run.read(cx, &[], Some(slot))?;
    }
    match first {
        // Where the slot has no keys, those of the next one that has some are it: they may all be in one slot.
        Some(found) if found != slot => {
            let start = random_place(cx, found);
            run.read(cx, &start, None)?;
        }
        _ => {}
    }
    if run.live < RUN_KEYS {
        run.read(cx, &[], None)?;
    }
    Ok(run)
}

fn random_place(cx: &mut Cx<'_>, slot: u32) -> [u8; 4] {
    (slot << 16 | cx.random.below(1 << 16) as u32).to_be_bytes()
}

/// Chooses one of the live keys that it reads, each with the same chance (reservoir sampling).
struct Run {
    chosen: Option<Vec<u8>>,
    live: u64,
    live_max: u64,
    rows_left: u64,
}

impl Run {
    fn new(live_max: u64, rows_max: u64) -> Self {
        Run {
            chosen: None,
            live: 0,
            live_max,
            rows_left: rows_max,
        }
    }

    /// Goes on with the rows from `lower` on, if the first one is in the slot `only_in`. Gives the slot of that row.
    fn read(&mut self, cx: &mut Cx<'_>, lower: &[u8], only_in: Option<u32>) -> Result<Option<u32>, CommandError> {
        let space = cx.view.space(cx.db());
        let random: &mut dyn Random = cx.random;
        let mut rows = cx.view.scan(space, Cf::Meta, lower, None, Direction::Forward)?;
        let mut first = None;
        while self.live < self.live_max && self.rows_left > 0 {
            let Some((meta, row)) = rows.next()? else { break };
            let slot = place(meta) >> 16;
            if first.is_none() {
                first = Some(slot);
                if only_in.is_some_and(|only| only != slot) {
                    break;
                }
            }
            self.rows_left -= 1;
            if is_live(header(row)?, cx.now) {
                self.live += 1;
                if random.below(self.live) == 0 {
                    self.chosen = Some(user_key(meta).to_vec());
                }
            }
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::testing::Bench;

    /// How often each key comes in so many draws.
    fn draws(bench: &mut Bench, n: usize) -> HashMap<String, usize> {
        let mut seen = HashMap::new();
        for _ in 0..n {
            *seen.entry(bench.run("randomkey")).or_default() += 1;
        }
        seen
    }

    fn filled(keys: impl Iterator<Item = String>) -> Bench {
        let mut bench = Bench::new();
        bench.apply = false;
        keys.for_each(|key| bench.string(&key, "1"));
        bench.flush();
        bench.apply = true;
        bench
    }

    #[test]
    fn of_few_keys_each_is_as_likely() {
        assert_eq!(Bench::new().run("randomkey"), "$-1|");
        let mut bench = filled((0..60).map(|i| format!("key:{i}")));
        let seen = draws(&mut bench, 60 * 200);
        assert_eq!(seen.len(), 60);
        // The deviation of a count is 14: six of them on either side.
        assert!(seen.values().all(|n| (115..285).contains(n)), "{seen:?}");
    }

    #[test]
    fn of_many_keys_none_is_left_out_or_preferred_much() {
        for keys in [
            (0..2000).map(|i| format!("key:{i}")).collect::<Vec<_>>(),
            (0..2000).map(|i| format!("{{tag}}{i}")).collect(),
        ] {
            let mut bench = filled(keys.into_iter());
            let seen = draws(&mut bench, 2000 * 20);
            assert!(seen.len() > 1990, "{} of 2000 keys came up", seen.len());
            assert!(seen.values().all(|&n| n < 80), "{:?}", seen.values().max());
        }
    }

    #[test]
    fn what_has_expired_does_not_come() {
        let mut bench = filled((0..100).map(|i| format!("key:{i}")));
        for i in 0..99 {
            bench.run(&format!("pexpire key:{i} 1"));
        }
        bench.now += 1;
        for _ in 0..20 {
            assert_eq!(bench.run("randomkey"), "$6|key:99|");
        }
        bench.run("pexpire key:99 1");
        bench.now += 1;
        assert_eq!(bench.run("randomkey"), "$-1|");
    }
}
