//! Where the n-th element of a large collection stands, and how many stand before one, without counting them all.
//!
//! Of a collection that was asked for this an *order* is kept: its elements cut into runs, with the number of elements of each. It is
//! kept right by what is published, which says of each element whether it came or went. Whoever asks gets a run, and goes through
//! that in the state that it reads. That state may be older than what was published last: so an order also has the latest changes,
//! and takes back those that the reader does not see.
//!
//! An order begins as one run, of which the size is known. A run that is too long is cut by whoever has to go through it.
//! Orders are a cache: what is not asked for any more gives way, and one that turns out to be wrong is forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::SpaceId;
use crate::keys::{DATA_PREFIX, collection_of};

/// Elements of a run when it is made, in collections that are not huge; it is cut when it has twice as many.
const RUN: u64 = 512;
/// Runs of an order at most, about: of more elements they are longer.
const RUNS_MAX: u64 = 16 << 10;
/// Changes that an order keeps for those who read an older state.
const CHANGES_MAX: usize = 4096;
/// What a run or a change takes beyond its key.
const ENTRY_BYTES: usize = 48;

/// See the module.
pub(crate) struct Orders {
    /// How many there are: mostly none, and then nobody looks further.
    count: AtomicUsize,
    all: Mutex<All>,
    /// How many turned out to be wrong.
    mistakes: AtomicUsize,
}

#[derive(Default)]
struct All {
    bytes_max: usize,
    orders: HashMap<Id, Order>,
    /// Counts uses, to find out which order was used least lately.
    uses: u64,
    bytes: usize,
}

/// A keyspace and what the data keys of one of its collections start with.
type Id = (SpaceId, [u8; DATA_PREFIX]);

struct Order {
    /// All elements lie below this.
    upper: Box<[u8]>,
    /// The first begins where the elements do.
    runs: Vec<Run>,
    /// The latest changes, in the order of their positions.
    changes: VecDeque<Change>,
    /// What there was at an earlier position is not known any more.
    since: u64,
    used: u64,
}

#[derive(Clone)]
struct Run {
    from: Box<[u8]>,
    count: i64,
}

struct Change {
    position: u64,
    key: Box<[u8]>,
    by: i64,
}

/// An element that came (1) or went (-1).
pub(crate) type Came<'k> = (&'k [u8], i64);

/// The same with its keyspace.
pub(crate) type Selected = (SpaceId, Box<[u8]>, i64);

/// A part of a collection that is to be gone through.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its first key.
    pub(crate) from: Vec<u8>,
    /// The first key behind it.
    pub(crate) until: Vec<u8>,
    /// Elements before it.
    pub(crate) before: u64,
    /// Elements in it.
    pub(crate) count: u64,
    /// It should be cut into parts of so many elements: see [`Orders::cut`].
    pub(crate) cut: Option<u64>,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'k> {
    /// The part in which the element with this index lies, the last one if there are fewer.
    Nth(u64),
    /// The part in which this key lies.
    Key(&'k [u8]),
}

fn id_of(space: SpaceId, key: &[u8]) -> Option<Id> {
    Some((space, collection_of(key)?.try_into().ok()?))
}

impl Orders {
    /// None, which take so many bytes of memory at most, about.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let all = All {
            bytes_max,
            ..All::default()
        };
        Orders {
            count: AtomicUsize::new(0),
            all: Mutex::new(all),
            mistakes: AtomicUsize::new(0),
        }
    }

    /// True if there is none, so that nothing need be said of what is published.
    pub(crate) fn are_none(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Begins an order of the elements from `lower` up to but not including `upper`, of which there are `size` at `position`. Nothing
    /// is published meanwhile, and this is the newest that was.
    pub(crate) fn begin(&self, space: SpaceId, (lower, upper): (&[u8], &[u8]), size: u64, position: u64) {
        let Some(id) = id_of(space, lower) else { return };
        let mut all = self.all.lock();
        all.uses += 1;
        let order = Order {
            upper: upper.into(),
            runs: vec![Run {
                from: lower.into(),
                count: size as i64,
            }],
            changes: VecDeque::new(),
            since: position,
            used: all.uses,
        };
        all.forget(&id);
        all.bytes += order.bytes();
        all.orders.insert(id, order);
        all.make_room(&id);
        self.note_count(&all);
    }

    /// The part of a collection in which what is wanted lies, in the state at `position`, with what is `pending` over it. `None` if
    /// that is not known.
    pub(crate) fn part(
        &self,
        space: SpaceId,
        lower: &[u8],
        position: u64,
        pending: &[(Vec<u8>, i64)],
        wanted: Wanted<'_>,
    ) -> Option<Part> {
        if self.are_none() {
            return None;
        }
        let mut all = self.all.lock();
        let all = &mut *all;
        all.uses += 1;
        let order = all.orders.get_mut(&id_of(space, lower)?)?;
        if position < order.since || *order.runs.first()?.from != *lower {
            return None;
        }
        order.used = all.uses;
        let unseen = order
            .changes
            .iter()
            .rev()
            .take_while(|change| change.position > position);
        let unseen = unseen.map(|change| (order.run_of(&change.key), -change.by));
        let pending = pending.iter().map(|(key, by)| (order.run_of(key), *by));
        let mut differ: Vec<(usize, i64)> = unseen.chain(pending).collect();
        differ.sort_unstable();
        let mut differ = differ.into_iter().peekable();
        let of_key = match wanted {
            Wanted::Key(key) => Some(order.run_of(key)),
            Wanted::Nth(_) => None,
        };
        let mut before = 0;
        for (at, run) in order.runs.iter().enumerate() {
            let mut count = run.count;
            while let Some((_, by)) = differ.next_if(|(run, _)| *run == at) {
                count += by;
            }
            let is_it = match (of_key, wanted) {
                (None, Wanted::Nth(n)) => before + count > n as i64,
                (of_key, _) => of_key == Some(at),
            };
            if is_it || at + 1 == order.runs.len() {
                let until = order.runs.get(at + 1).map_or(&order.upper, |next| &next.from);
                let length = order.run_length();
                return Some(Part {
                    from: run.from.to_vec(),
                    until: until.to_vec(),
                    before: u64::try_from(before).ok()?,
                    count: u64::try_from(count).ok()?,
                    cut: (run.count > 2 * length as i64).then_some(length),
                });
            }
            before += count;
        }
        None
    }

    /// Cuts a run, which was gone through in the state at `position`: what begins its parts, and their numbers of elements. If these do
    /// not come to what the run has, something is wrong with the order, and it is forgotten.
    pub(crate) fn cut(&self, space: SpaceId, from: &[u8], until: &[u8], position: u64, parts: Vec<(Vec<u8>, u64)>) {
        let Some(id) = id_of(space, from) else { return };
        let mut all = self.all.lock();
        let Some(order) = all.orders.get_mut(&id) else { return };
        let at = order.run_of(from);
        let end = order.runs.get(at + 1).map_or(&order.upper, |next| &next.from);
        if *order.runs[at].from != *from || **end != *until || position < order.since {
            // Others have cut it meanwhile.
            return;
        }
        let mut cut: Vec<Run> = parts
            .into_iter()
            .map(|(from, count)| Run {
                from: from.into(),
                count: count as i64,
            })
            .collect();
        let Some(first) = cut.first_mut() else { return };
        first.from = from.into();
        // Those behind that state.
        for change in order
            .changes
            .iter()
            .rev()
            .take_while(|change| change.position > position)
        {
            if *change.key >= *from && *change.key < *until {
                let run = cut.partition_point(|run| run.from <= change.key);
                cut[run.saturating_sub(1)].count += change.by;
            }
        }
        let counted: i64 = cut.iter().map(|run| run.count).sum();
        if counted != order.runs[at].count {
            self.mistakes.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                counted,
                expected = order.runs[at].count,
                "a collection has another number of elements than was counted; its order is forgotten"
            );
            all.forget(&id);
            self.note_count(&all);
            return;
        }
        let before = order.bytes();
        order.runs.splice(at..=at, cut);
        let now = order.bytes();
        all.bytes = all.bytes + now - before;
        all.make_room(&id);
        self.note_count(&all);
    }

    /// Adds what matters to orders of what is being published: elements that come and go, and records of collections.
    pub(crate) fn select<'k>(&self, changes: impl Iterator<Item = (SpaceId, Came<'k>)>, selected: &mut Vec<Selected>) {
        if self.are_none() {
            return;
        }
        let all = self.all.lock();
        for (space, (key, by)) in changes {
            let order = id_of(space, key).and_then(|id| all.orders.get(&id));
            let is_within = |order: &Order| *key >= *order.runs[0].from && *key < *order.upper;
            if order.is_some_and(|order| key.len() == DATA_PREFIX || is_within(order)) {
                selected.push((space, key.into(), by));
            }
        }
    }

    /// A turn is about to become visible of which this was selected. What was published since that was selected is this.
    pub(crate) fn publish(&self, position: u64, selected: impl Iterator<Item = Selected>) {
        let mut all = self.all.lock();
        let all = &mut *all;
        for (space, key, by) in selected {
            let Some(id) = id_of(space, &key) else { continue };
            if key.len() == DATA_PREFIX {
                // The collection is gone.
                all.forget(&id);
                continue;
            }
            let Some(order) = all.orders.get_mut(&id) else { continue };
            let run = order.run_of(&key);
            order.runs[run].count += by;
            order.changes.push_back(Change { position, key, by });
        }
        for order in all.orders.values_mut() {
            while order.changes.len() > CHANGES_MAX
                && let Some(change) = order.changes.pop_front()
            {
                order.since = change.position;
            }
        }
        self.note_count(all);
    }

    /// Keeps only those of these keyspaces.
    pub(crate) fn retain(&self, lives: impl Fn(SpaceId) -> bool) {
        if self.are_none() {
            return;
        }
        let mut all = self.all.lock();
        let dead: Vec<Id> = all.orders.keys().filter(|(space, _)| !lives(*space)).copied().collect();
        dead.iter().for_each(|id| all.forget(id));
        self.note_count(&all);
    }

    pub(crate) fn mistakes(&self) -> usize {
        self.mistakes.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn note_count(&self, all: &All) {
        self.count.store(all.orders.len(), Ordering::Release);
    }
}

impl All {
    fn forget(&mut self, id: &Id) {
        if let Some(order) = self.orders.remove(id) {
            self.bytes -= order.bytes();
        }
    }

    /// Forgets those that were used least lately if there is too much, but for this one.
    fn make_room(&mut self, but: &Id) {
        while self.bytes > self.bytes_max && self.orders.len() > 1 {
            let others = self.orders.iter().filter(|(id, _)| *id != but);
            let Some(least) = others.min_by_key(|(_, order)| order.used).map(|(id, _)| *id) else {
                return;
            };
            self.forget(&least);
        }
    }
}

impl Order {
    /// The run in which a key lies; the first one for what lies before it.
    fn run_of(&self, key: &[u8]) -> usize {
        self.runs.partition_point(|run| *run.from <= *key).saturating_sub(1)
    }

    /// Elements that a run should have.
    fn run_length(&self) -> u64 {
        let size: i64 = self.runs.iter().map(|run| run.count).sum();
        RUN.max(size as u64 / RUNS_MAX)
    }

    /// Runs only: the changes are bounded, and come and go.
    fn bytes(&self) -> usize {
        let runs: usize = self.runs.iter().map(|run| run.from.len() + ENTRY_BYTES).sum();
        runs + CHANGES_MAX * ENTRY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::keys::Home;

    const HOME: Home = Home { slot: 1, id: 7 };

    fn key(n: u16) -> Vec<u8> {
        HOME.element(&[&[1][..], &n.to_be_bytes()].concat())
    }

    fn bounds() -> (Vec<u8>, Vec<u8>) {
        (HOME.element(&[1]), HOME.element(&[2]))
    }

    fn between(model: &BTreeSet<Vec<u8>>, from: &[u8], until: &[u8]) -> u64 {
        model.range(from.to_vec()..until.to_vec()).count() as u64
    }

    proptest! {
        /// Each state is as it was, however much has been published since, and whoever cuts runs in which state.
        #[test]
        fn parts_are_as_in_a_model(
            turns in prop::collection::vec((prop::collection::vec((0u16..4000, any::<bool>()), 0..40), 0usize..4, any::<u16>()), 1..60),
        ) {
            let (lower, upper) = bounds();
            let orders = Orders::new(1 << 20);
            let mut states: Vec<BTreeSet<Vec<u8>>> = vec![(0..3000).map(key).collect()];
            orders.begin(0, (&lower, &upper), 3000, 0);
            for (turn, (changes, back, at)) in turns.into_iter().enumerate() {
                let position = turn as u64 + 1;
                let mut model = states.last().cloned().unwrap_or_default();
                let mut came = Vec::new();
                for (n, comes) in changes {
                    let key = key(n);
                    let changed = if comes { model.insert(key.clone()) } else { model.remove(&key) };
                    if changed {
                        came.push((key, if comes { 1 } else { -1 }));
                    }
                }
                let mut selected = Vec::new();
                let other = Home { slot: 1, id: 8 }.element(&[1]);
                let others = [(other, 1), (HOME.element(&[0]), 1), (upper.clone(), 1)];
                let all = came.iter().chain(&others).map(|(key, by)| (0, (&key[..], *by)));
                orders.select(all, &mut selected);
                prop_assert_eq!(selected.len(), came.len());
                orders.publish(position, selected.into_iter());
                states.push(model);
                let read = (turn + 1).saturating_sub(back);
                let model = &states[read];
                let nth = u64::from(at) % (model.len() as u64 + 2);
                for wanted in [Wanted::Nth(nth), Wanted::Key(&key(at % 4000))] {
                    let part = orders.part(0, &lower, read as u64, &[], wanted).unwrap();
                    prop_assert_eq!(part.before, between(model, &lower, &part.from));
                    prop_assert_eq!(part.count, between(model, &part.from, &part.until));
                    match wanted {
                        Wanted::Nth(n) if n < model.len() as u64 => prop_assert!((part.before..part.before + part.count).contains(&n)),
                        Wanted::Nth(_) => prop_assert_eq!(&part.until, &upper),
                        Wanted::Key(key) => prop_assert!(part.from[..] <= *key && *key < part.until[..]),
                    }
                    let Some(length) = part.cut else { continue };
                    let keys: Vec<_> = model.range(part.from.clone()..part.until.clone()).cloned().collect();
                    let parts = keys.chunks(length as usize).map(|keys| (keys[0].clone(), keys.len() as u64)).collect();
                    orders.cut(0, &part.from, &part.until, read as u64, parts);
                    prop_assert_eq!((orders.count(), orders.mistakes()), (1, 0));
                }
                let pending = [(key(4001), 1)];
                let with_pending = orders.part(0, &lower, read as u64, &pending, Wanted::Key(&upper)).unwrap();
                prop_assert_eq!(with_pending.before + with_pending.count, states[read].len() as u64 + 1);
            }
        }
    }

    #[test]
    fn what_is_gone_or_wrong_is_forgotten() {
        let (lower, upper) = bounds();
        let part = |orders: &Orders, position| orders.part(0, &lower, position, &[], Wanted::Nth(0));
        let orders = Orders::new(1 << 20);
        orders.begin(0, (&lower, &upper), 3000, 5);
        assert!(part(&orders, 5).is_some());
        assert_eq!(part(&orders, 4), None, "from before it began");
        let mut selected = Vec::new();
        orders.select([(0, (&HOME.record()[..], -1))].into_iter(), &mut selected);
        orders.publish(6, selected.into_iter());
        assert!(orders.are_none(), "the collection is gone");
        orders.begin(0, (&lower, &upper), 3000, 6);
        orders.cut(0, &lower, &upper, 6, vec![(key(0), 2999)]);
        assert_eq!((orders.count(), orders.mistakes()), (0, 1));
        orders.begin(0, (&lower, &upper), 3000, 6);
        orders.retain(|space| space == 1);
        assert!(orders.are_none(), "the keyspace is gone");
    }

    #[test]
    fn of_too_many_those_go_that_were_not_used() {
        let orders = Orders::new(1 << 20);
        let bounds = |id| {
            let home = Home { slot: 1, id };
            (home.element(&[1]), home.element(&[2]))
        };
        for id in 0..50 {
            let (lower, upper) = bounds(id);
            orders.begin(0, (&lower, &upper), 3000, 1);
            let (first, _) = bounds(0);
            assert!(orders.part(0, &first, 1, &[], Wanted::Nth(0)).is_some());
        }
        assert!(orders.count() > 1 && orders.count() < 10);
    }
}
