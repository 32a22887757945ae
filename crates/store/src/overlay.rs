//! What the writer has evaluated and what is not published yet, over the store.

mod drafts;
mod index;
mod knowledge;
mod pending;
mod touched;
mod undo;
mod writing;

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use hashbrown::HashTable;
use haypile_rows::Key;

use self::drafts::Changed;
pub(crate) use self::drafts::{Drafts, Patched};
pub use self::knowledge::WriterKnowledge;
pub(crate) use self::pending::{NewValue, PendingRange, PendingTurn};
use self::touched::Touched;
pub use self::undo::Savepoint;
use crate::counts::SlotChange;
use crate::effects;
use crate::telling::Telling;
use crate::{Cf, Counts, SpaceId, StoreError};

/// What has been evaluated but not applied to the store yet.
///
/// The single writer evaluates commands in *turns*: a turn is a run of log entries that are appended with one write and
/// applied as one batch. While a command runs it reads its own and all earlier pending writes from here. A turn's
/// effects stand in one buffer, encoded as they are logged; the overlay is an index into those buffers, so a write
/// is copied once on its way to the log.
#[derive(Default)]
pub struct Overlay {
    turns: VecDeque<Turn>,
    /// Sequence number of `turns[0]`.
    first_turn: u64,
    table: HashTable<Slot>,
    /// Collections of which elements may be pending.
    touched: Touched,
    /// The same in key order; made when a range is read for the first time, gone when nothing is pending.
    ordered: OnceCell<BTreeMap<Box<[u8]>, Place>>,
    undo: Vec<Undo>,
    /// What the open entry has overwritten of its own turn, and changed in drafts, in the order of `undo`.
    overwritten: Vec<TurnWrite>,
    changed: Vec<Changed>,
    entry: EntryState,
    /// Databases and keyspaces as the pending entries leave them; `None` while they change nothing.
    mapping: Option<Mapping>,
    /// What the pending writes change the counters of keyspaces by, all together.
    counts: CountDeltas,
    /// The events of the command that is being evaluated.
    telling: Option<Telling>,
    /// What the writer knows of collections.
    known: WriterKnowledge,
    /// It is another overlay's: to be used, not changed.
    borrows_knowledge: bool,
    /// Buffers of an earlier turn, to be used again.
    spare: Vec<u8>,
    spare_rows: Vec<u8>,
    spare_writes: Vec<TurnWrite>,
    spare_counted: Vec<SlotChange>,
}

#[derive(Default)]
struct Turn {
    ops: Vec<u8>,
    /// Whole rows of which only what has changed is logged.
    rows: Vec<u8>,
    /// The large ones of them.
    drafts: Drafts,
    /// The last write of the turn to each key.
    writes: Vec<TurnWrite>,
    entries: Vec<EntryRange>,
    /// What its rows change the counters by, in order.
    counted: Vec<SlotChange>,
    maps: bool,
    /// Databases and keyspaces as they were before the turn.
    mapping_before: Option<Mapping>,
}

/// An entry's part of its turn's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRange {
    /// Log index of the entry.
    pub index: u64,
    /// Its payload within the turn's buffer.
    pub bytes: Range<usize>,
}

#[derive(Clone, Debug)]
struct Mapping {
    dbs: Vec<SpaceId>,
    next_space: SpaceId,
}

type CountDeltas = Vec<(SpaceId, i64, i64)>;

#[derive(Default)]
struct EntryState {
    index: u64,
    start: usize,
    ids: u64,
    /// Where the entry's part of the turn's rows begins.
    rows_start: usize,
    /// Places of rows that the command has written over, and those that earlier commands of the entry have: nobody goes back
    /// to these, unless to before the entry.
    passed: Vec<Range<usize>>,
    free: Vec<Range<usize>>,
    /// Drafts that have been written over, of this entry from `drafts_start` on; nobody goes back to them when the entry is done.
    passed_drafts: Vec<usize>,
    drafts_start: usize,
}

/// Which write is the newest to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// The low bits of the turn's sequence number.
    turn: u32,
    /// The write's number within the turn.
    write: u32,
}

/// A part of one of a turn's buffers. One command may write millions of rows, so what is kept of each is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed(4))]
struct Span {
    start: u64,
    len: u32,
}

impl Span {
    fn of(range: &Range<usize>) -> Self {
        assert!(
            range.len() <= u32::MAX as usize,
            "a key or a value is at most as long as an entry"
        );
        Span {
            start: range.start as u64,
            len: range.len() as u32,
        }
    }

    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

/// Where the value of a pending write stands.
#[derive(Clone, Copy, Debug)]
enum Pending {
    /// There is none: the key is deleted.
    Deleted,
    /// Among the turn's effects.
    Logged(Span),
    /// Among the turn's rows, because the log has only what has changed.
    Beside(Span),
    /// The turn's draft with this number, for the same reason.
    Draft(u32),
}

struct Slot {
    hash: u64,
    place: Place,
}

/// A write of a turn: the newest of its key there.
#[derive(Clone, Copy)]
struct TurnWrite {
    hash: u64,
    key: Span,
    value: Pending,
    space: SpaceId,
    cf: Cf,
    /// The first write of the turn to the key was no deletion.
    began_with_put: bool,
}

/// What a write has changed.
struct Undo {
    /// Its number among the writes of the newest turn.
    write: u32,
    before: Before,
    /// A draft was changed where it is: the last of [`Overlay::changed`].
    changed: bool,
}

/// What was pending for the key.
enum Before {
    Nothing,
    /// A write of an earlier turn.
    Earlier(Place),
    /// A write of the same turn, which it has taken the place of: the last of [`Overlay::overwritten`].
    Overwritten,
}

/// Bits of an id that tell apart the collections that one entry creates.
pub(crate) const IDS_PER_ENTRY_BITS: u32 = 20;

/// Larger buffers are not kept for the next turn.
const SPARE_BYTES_MAX: usize = 4 << 20;
/// Nor are those that have room for more writes: what one large command needed must not slow later ones.
const SPARE_WRITES_MAX: usize = 16 << 10;

impl Overlay {
    /// An overlay with nothing pending.
    pub fn new() -> Self {
        Self::default()
    }

    /// True if no turn is pending.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Opens a turn: entries that follow belong to it.
    pub fn begin_turn(&mut self) {
        self.turns.push_back(Turn {
            ops: std::mem::take(&mut self.spare),
            rows: std::mem::take(&mut self.spare_rows),
            writes: std::mem::take(&mut self.spare_writes),
            counted: std::mem::take(&mut self.spare_counted),
            mapping_before: self.mapping.clone(),
            ..Turn::default()
        });
    }

    /// Opens the entry that will have this log index.
    pub fn begin_entry(&mut self, index: u64) {
        let start = self.last_turn().map_or(0, |t| t.ops.len());
        let entry = &mut self.entry;
        (entry.index, entry.start, entry.ids) = (index, start, 0);
        entry.rows_start = self.turns.back().map_or(0, |t| t.rows.len());
        entry.drafts_start = self.turns.back().map_or(0, |t| t.drafts.len());
        entry.passed_drafts.clear();
        entry.passed.clear();
        entry.free.clear();
        self.forget_undo();
        self.telling = None;
    }

    fn forget_undo(&mut self) {
        self.undo.clear();
        self.overwritten.clear();
        self.changed.clear();
    }

    /// Names the command whose effects follow, and the keyspace event that it raises about the key as a rule.
    pub fn tag(&mut self, command: &[u8], db: u16, key: &[u8], own_event: Option<u8>) {
        let turn = open_turn(&mut self.turns);
        let written = effects::write_tag(&mut turn.ops, command, db, key);
        self.telling = Some(Telling::new(written, db, own_event));
    }

    /// Adds a keyspace event to the command that was named last.
    pub(crate) fn event(&mut self, event: u8, db: u16, key: &[u8]) {
        if let (Some(telling), Some(turn)) = (&mut self.telling, self.turns.back_mut()) {
            telling.event(&mut turn.ops, event, db, key);
        }
    }

    /// Closes the entry; `None` if it has no effects (then its index is free again).
    pub fn end_entry(&mut self) -> Option<EntryRange> {
        let turn = self.turns.back_mut()?;
        if self.undo.is_empty() && !turn.maps_since(self.entry.start) {
            turn.ops.truncate(self.entry.start); // tags of commands that changed nothing
            return None;
        }
        let range = EntryRange {
            index: self.entry.index,
            bytes: self.entry.start..turn.ops.len(),
        };
        turn.entries.push(range.clone());
        self.entry
            .passed_drafts
            .drain(..)
            .for_each(|draft| turn.drafts.free(draft));
        self.forget_undo();
        Some(range)
    }

    /// Bytes that the open turn takes: effects, and rows of which they say what has changed.
    pub fn turn_bytes(&self) -> usize {
        self.last_turn()
            .map_or(0, |t| t.ops.len() + t.rows.len() + t.drafts.bytes())
    }

    /// Bytes that the open turn takes, without the largest row of which only changes are logged: more changes of that row make
    /// it no larger, so that it alone is no reason to close the turn.
    pub fn turn_load(&self) -> usize {
        self.turn_bytes() - self.last_turn().map_or(0, |t| t.drafts.largest_bytes())
    }

    /// Bytes of effects in the open turn.
    pub fn turn_logged_bytes(&self) -> usize {
        self.last_turn().map_or(0, |t| t.ops.len())
    }

    /// Bytes of effects in the open entry.
    pub fn entry_bytes(&self) -> usize {
        self.turn_logged_bytes().saturating_sub(self.entry.start)
    }

    /// The entries of the newest turn with their payloads.
    pub fn newest_entries(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.last_turn()
            .into_iter()
            .flat_map(|t| t.entries.iter().map(|e| (e.index, &t.ops[e.bytes.clone()])))
    }

    /// The last index of the oldest turn; `None` if no turn is pending or it has no entries.
    pub fn oldest_turn_end(&self) -> Option<u64> {
        self.turns.front()?.entries.last().map(|e| e.index)
    }

    /// The first index of the oldest turn; `None` if no turn is pending or it has no entries.
    pub fn oldest_turn_start(&self) -> Option<u64> {
        self.turns.front()?.entries.first().map(|e| e.index)
    }

    pub(crate) fn oldest(&self) -> Option<PendingTurn<'_>> {
        let turn = self.turns.front()?;
        Some(PendingTurn::new(turn))
    }

    /// The drafts of the oldest turn, which are its own no longer.
    pub(crate) fn take_oldest_drafts(&mut self) -> Drafts {
        self.turns
            .front_mut()
            .map(|turn| std::mem::take(&mut turn.drafts))
            .unwrap_or_default()
    }

    /// A keyspace's counters, given those of the store. They fit for who writes; what is only evaluated to see what it reads may be behind the
    /// store by now.
    pub(crate) fn counts(&self, space: SpaceId, mut stored: Counts) -> Counts {
        if let Some((_, keys, expires)) = self.counts.iter().find(|pending| pending.0 == space) {
            stored = stored.change_loosely(*keys, *expires);
        }
        stored
    }

    /// The counters of a slot, given those of the store.
    pub(crate) fn counts_of_slot(&self, space: SpaceId, slot: u16, mut stored: Counts) -> Counts {
        let pending = self.turns.iter().flat_map(|turn| &turn.counted);
        for change in pending.filter(|change| (change.space, change.slot) == (space, slot)) {
            stored = stored.change_loosely(change.counted.keys.into(), change.counted.expires.into());
        }
        stored
    }

    /// An id for a collection that the open entry creates: greater than every earlier one of the partition, and than the
    /// floor, which never falls.
    pub(crate) fn new_id(&mut self, floor: u64) -> Result<u64, StoreError> {
        if self.entry.ids >> IDS_PER_ENTRY_BITS != 0 {
            return Err(StoreError::IdsExhausted);
        }
        let made = (self.entry.index << IDS_PER_ENTRY_BITS) | self.entry.ids;
        self.entry.ids += 1;
        floor.checked_add(made).ok_or(StoreError::IdsExhausted)
    }

    /// The pending databases, if they differ from the store's.
    pub fn dbs(&self) -> Option<&[SpaceId]> {
        self.mapping.as_ref().map(|m| &m.dbs[..])
    }

    /// Gives a database another keyspace: an existing one, or (`None`) a new, empty one.
    pub(crate) fn map(&mut self, stored: (&[SpaceId], SpaceId), db: u16, space: Option<SpaceId>) {
        let mapping = self.mapping.get_or_insert_with(|| Mapping {
            dbs: stored.0.to_vec(),
            next_space: stored.1,
        });
        let space = space.unwrap_or_else(|| {
            mapping.next_space += 1;
            mapping.next_space - 1
        });
        let databases = mapping.dbs.len();
        let slot = mapping.dbs.get_mut(usize::from(db));
        assert!(
            slot.is_some(),
            "database {db} is to be another, and there are {databases}"
        );
        slot.into_iter().for_each(|slot| *slot = space);
        let turn = open_turn(&mut self.turns);
        effects::write_map(&mut turn.ops, db, space);
        turn.maps = true;
    }

    fn last_turn(&self) -> Option<&Turn> {
        self.turns.back()
    }

    fn newest_seq(&self) -> u64 {
        self.first_turn + (self.turns.len() as u64).saturating_sub(1)
    }
}

impl Turn {
    fn key(&self, write: &TurnWrite) -> &[u8] {
        &self.ops[write.key.range()]
    }

    /// True if a write is to this key.
    fn is_of(&self, write: &TurnWrite, key: Key<'_>) -> bool {
        write.space == key.space && write.cf as u8 == key.family && self.key(write) == key.key
    }

    /// The value of a write; `None` for a deletion.
    fn value(&self, value: Pending) -> Option<&[u8]> {
        match value {
            Pending::Deleted => None,
            Pending::Logged(at) => Some(&self.ops[at.range()]),
            Pending::Beside(at) => Some(&self.rows[at.range()]),
            Pending::Draft(number) => self.drafts.value(number as usize),
        }
    }

    fn maps_since(&self, start: usize) -> bool {
        self.maps
            && effects::Effects::new(&self.ops[start..])
                .flatten()
                .any(|e| matches!(e, effects::Effect::Map { .. }))
    }
}

/// The turn that is open, to be written to.
///
/// # Panics
/// If none is: what is written would be lost.
#[allow(clippy::expect_used)] // as it says
fn open_turn(turns: &mut VecDeque<Turn>) -> &mut Turn {
    turns.back_mut().expect("something is written outside of a turn")
}

/// Adds a change of a slot so many times to those of keyspaces.
fn add_counts(deltas: &mut CountDeltas, change: SlotChange, times: i64) {
    let SlotChange { space, counted, .. } = change;
    let (keys, expires) = (times * i64::from(counted.keys), times * i64::from(counted.expires));
    match deltas.iter_mut().find(|d| d.0 == space) {
        Some(delta) => {
            delta.1 += keys;
            delta.2 += expires;
        }
        None => deltas.push((space, keys, expires)),
    }
}
