//! What a table of rows must keep to, one thread at a time; `tests/` has the threads.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn key(key: &[u8]) -> Key<'_> {
    Key::new(0, 0, key)
}

fn value_at(table: &RowTable, guard: &Guard<'_>, k: &[u8], position: u64) -> Option<Option<Vec<u8>>> {
    match table.at(guard, key(k), position) {
        At::Version(row) => Some(row.value().map(<[u8]>::to_vec)),
        At::NewerOnly | At::Nothing(_) => None,
    }
}

fn ticket(table: &RowTable, k: &[u8]) -> Ticket {
    match table.at(&Eras::enter(), key(k), u64::MAX) {
        At::Nothing(ticket) => ticket,
        At::Version(_) | At::NewerOnly => panic!("{k:?} is known"),
    }
}

#[test]
fn a_reader_walks_back_to_its_version() {
    let table = RowTable::new(1 << 20);
    let mut superseded = Vec::new();
    superseded.extend(table.publish(key(b"k"), Some(b"1"), 10).before);
    let guard = Eras::enter();
    for (position, value) in [(11, Some(&b"2"[..])), (12, None), (12, Some(b"3"))] {
        superseded.extend(table.publish(key(b"k"), value, position).before);
    }
    assert_eq!(value_at(&table, &guard, b"k", 9), None);
    assert_eq!(value_at(&table, &guard, b"k", 10), Some(Some(b"1".to_vec())));
    assert_eq!(value_at(&table, &guard, b"k", 11), Some(Some(b"2".to_vec())));
    assert_eq!(
        value_at(&table, &guard, b"k", 12),
        Some(Some(b"3".to_vec())),
        "the last one of a position counts"
    );
    assert_eq!(superseded.len(), 3);
}

#[test]
fn what_was_read_before_a_write_never_hides_it() {
    let table = RowTable::new(1 << 20);
    let early = ticket(&table, b"k");
    let row = table.publish(key(b"k"), Some(b"new"), 5).row;
    table.mark_clean([&row].into_iter());
    table.fill(early, key(b"k"), b"old", 4);
    assert_eq!(value_at(&table, &Eras::enter(), b"k", 9), Some(Some(b"new".to_vec())));
    // Also when the row has been removed in between.
    let early = ticket(&table, b"d");
    let row = table.publish(key(b"d"), None, 6).row;
    table.mark_clean([&row].into_iter());
    table.fill(early, key(b"d"), b"old", 4);
    assert_eq!(value_at(&table, &Eras::enter(), b"d", 9), None);
}

#[test]
fn what_was_filled_is_not_seen_by_who_reads_an_earlier_state() {
    let table = RowTable::new(1 << 20);
    table.fill(ticket(&table, b"k"), key(b"k"), b"v", 7);
    let guard = Eras::enter();
    assert_eq!(value_at(&table, &guard, b"k", 7), Some(Some(b"v".to_vec())));
    assert!(matches!(table.at(&guard, key(b"k"), 6), At::NewerOnly));
}

#[test]
fn a_row_published_again_while_it_is_written_stays_dirty() {
    let table = RowTable::new(0);
    let first = table.publish(key(b"k"), Some(b"1"), 1).row;
    let second = table.publish(key(b"k"), Some(b"22"), 2).row;
    table.mark_clean([&first].into_iter());
    assert_eq!(value_at(&table, &Eras::enter(), b"k", 2), Some(Some(b"22".to_vec())));
    assert!(second.is_dirty());
    table.mark_clean([&second].into_iter());
    assert_eq!(
        value_at(&table, &Eras::enter(), b"k", 2),
        None,
        "a table without room keeps dirty rows only"
    );
}

#[test]
fn the_cache_keeps_to_its_size_and_dirty_rows_stay() {
    const BYTES: usize = 64 << 10;
    let table = RowTable::new(BYTES);
    for n in 0u32..100 {
        table.publish(key(&n.to_be_bytes()), Some(&[7; 100]), 1);
    }
    for n in 1000u32..20_000 {
        let name = n.to_be_bytes();
        table.fill(ticket(&table, &name), key(&name), &[7; 100], 1);
    }
    assert!(table.bytes() < 2 * BYTES, "{} bytes", table.bytes());
    for n in 0u32..100 {
        assert!(value_at(&table, &Eras::enter(), &n.to_be_bytes(), 1).is_some());
    }
}

#[test]
fn the_cache_keeps_to_its_size_when_values_grow() {
    const BYTES: usize = 1 << 20;
    let table = RowTable::new(BYTES);
    for (position, len) in (1..).zip([10, 100, 1000, 10_000]) {
        let rows: Vec<Row> = (0u32..1000)
            .map(|n| table.publish(key(&n.to_be_bytes()), Some(&vec![7; len]), position).row)
            .collect();
        table.mark_clean(rows.iter());
        assert!(
            table.bytes() < BYTES + BYTES / 4,
            "{} bytes with values of {len}",
            table.bytes()
        );
    }
}

proptest! {
    /// With few different hashes and many keys, rows overflow from bucket to bucket and around the end.
    #[test]
    fn it_has_what_was_put_into_it(ops in prop::collection::vec((0u8..4, 0u8..60, any::<u8>()), 0..400)) {
        let table = RowTable::new(1 << 20);
        fn name(n: &u8) -> Key<'_> {
            let hash = u64::from(n % 5) * 0x0123_4567_89ab_cdef;
            Key { hash, space: 0, family: 0, key: std::slice::from_ref(n) }
        }
        let mut model: BTreeMap<u8, (u8, Row)> = BTreeMap::new();
        for (position, (op, n, value)) in (1..).zip(ops) {
            if op > 0 {
                let row = table.publish(name(&n), Some(&[value]), position).row;
                model.insert(n, (value, row));
            } else if let Some((_, row)) = model.remove(&n) {
                let gone = table.publish(name(&n), None, position).row;
                table.mark_clean([&row, &gone].into_iter());
            }
        }
        let guard = Eras::enter();
        for n in 0..60 {
            let found = table.newest(&guard, name(&n)).and_then(|row| Some(row.value()?[0]));
            prop_assert_eq!(found, model.get(&n).map(|(value, _)| *value));
        }
    }
}

/// Readers beside a publisher, eviction and growth: each sees a state that was whole, and never an older one after a newer one.
#[test]
fn readers_see_one_position_while_others_are_published() {
    use std::sync::atomic::AtomicU64;
    const KEYS: u64 = 64;
    const POSITIONS: u64 = 3000;
    let table = RowTable::new(256 << 10);
    let visible = AtomicU64::new(0);
    // It outlives the readers, as it must.
    let mut limbo = Limbo::default();
    std::thread::scope(|scope| {
        for reader in 0..3u64 {
            let (table, visible) = (&table, &visible);
            scope.spawn(move || {
                let mut last = 0;
                while last < POSITIONS {
                    let guard = Eras::enter();
                    let position = visible.load(Ordering::Acquire);
                    assert!(position >= last);
                    last = position;
                    for n in 0..KEYS {
                        let name = n.to_be_bytes();
                        match table.at(&guard, key(&name), position) {
                            At::Version(row) => assert_eq!(row.value(), Some(&position.to_be_bytes()[..])),
                            At::NewerOnly | At::Nothing(_) => assert_eq!(position, 0),
                        }
                        let other = (1000 + reader * 100_000 + last * KEYS + n).to_be_bytes();
                        if let At::Nothing(ticket) = table.at(&guard, key(&other), position) {
                            table.fill(ticket, key(&other), &[1; 64], position);
                        }
                    }
                }
            });
        }
        for position in 1..=POSITIONS {
            let before: Vec<Row> = (0..KEYS)
                .filter_map(|n| {
                    let value = position.to_be_bytes();
                    table.publish(key(&n.to_be_bytes()), Some(&value), position).before
                })
                .collect();
            visible.store(position, Ordering::Release);
            let tag = Eras::global().tag();
            before.into_iter().for_each(|row| limbo.add_row(tag, row));
            Eras::global().advance();
            limbo.free(Eras::global());
        }
    });
}

#[test]
fn a_draft_is_changed_until_it_is_published() {
    let table = RowTable::new(1 << 20);
    let guard = Eras::enter();
    let first = table.publish(key(b"k"), Some(b"first"), 1);
    let mut draft = Draft::new(key(b"k"), 6, |filler| {
        filler.bytes(b"ab");
        filler.zeros(3);
        filler.bytes(b"c");
    });
    assert_eq!(draft.value(), b"ab\0\0\0c");
    let shared = draft.share();
    assert!(draft.value_mut().is_none(), "somebody reads it");
    drop(shared);
    draft.value_mut().unwrap()[3] = b'x';
    let shared = draft.share();
    draft = draft.copy();
    draft.value_mut().unwrap()[0] = b'A';
    assert_eq!(shared.value(), Some(&b"ab\0x\0c"[..]));
    let _read_while_it_is_published = draft.share();
    assert_eq!(draft.value(), b"Ab\0x\0c");
    let second = table.publish_draft(draft, 2);
    assert!(second.before.as_ref().is_some_and(|before| before.is_same(&first.row)));
    assert_eq!(value_at(&table, &guard, b"k", 1), Some(Some(b"first".to_vec())));
    assert_eq!(value_at(&table, &guard, b"k", 2), Some(Some(b"Ab\0x\0c".to_vec())));
    assert!(second.row.is_dirty());
    assert_eq!(second.row.position(), 2);
}

#[test]
#[should_panic(expected = "filled to its end")]
fn a_draft_is_whole() {
    Draft::new(key(b"k"), 3, |filler| filler.bytes(b"ab"));
}

#[test]
fn what_takes_out_rows_for_long_leaves_searches_short() {
    let table = RowTable::new(1 << 20);
    let (mut rows, mut position) = (Vec::new(), 0);
    for n in 0..200_000u64 {
        position += 1;
        rows.push(table.publish(key(&n.to_be_bytes()), Some(&[7; 20]), position).row);
        if rows.len() == 1000 {
            table.mark_clean(rows.iter());
            rows.clear();
        }
    }
    let overflows = (0..table.shards.len()).map(|index| {
        let inner = lock(&table.shards[index].0.inner);
        table.own_buckets(index, &inner).overflow_max()
    });
    let most = overflows.max().unwrap_or(0);
    assert!((1..128).contains(&most), "{most} rows have gone past one bucket");
}

#[test]
fn the_scattered_order_has_each_slot_once() {
    for log2 in [0, 1, 5] {
        let array = allocate(log2);
        // SAFETY: just made.
        let buckets = unsafe { buckets_at(array) };
        let mut seen = vec![0; buckets.slots()];
        (0..buckets.slots()).for_each(|number| seen[buckets.scattered(number).0.number()] += 1);
        assert!(seen.iter().all(|times| *times == 1));
        // SAFETY: made by `allocate`, and nobody else has it.
        drop(unsafe { deallocate(array) });
    }
}

#[test]
fn what_is_cleared_takes_no_memory_and_dirty_rows_stay() {
    let table = RowTable::new(1 << 20);
    let published: Vec<Row> = (0..20_000u32)
        .map(|n| table.publish(key(&n.to_be_bytes()), Some(b"value"), 1).row)
        .collect();
    let (dirty, clean) = published.split_at(100);
    table.mark_clean(clean.iter());
    let dirty = dirty.to_vec();
    drop(published);
    table.clear();
    assert!(table.bytes() < 2 * dirty.len() * 128, "{} bytes", table.bytes());
    let guard = Eras::enter();
    for n in 0..20_000u32 {
        let found = value_at(&table, &guard, &n.to_be_bytes(), 1);
        assert_eq!(found.is_some(), (n as usize) < dirty.len());
    }
}

#[test]
fn where_all_is_dirty_nothing_is_kept_for_readers_until_something_is_clean() {
    let table = RowTable::new(64 << 10);
    let rows: Vec<Row> = (0..4_000u32)
        .map(|n| table.publish(key(&n.to_be_bytes()), Some(&[7; 100]), 1).row)
        .collect();
    let full = table.bytes();
    let read = ticket(&table, b"other");
    table.fill(read, key(b"other"), b"value", 1);
    assert_eq!(table.bytes(), full);
    table.mark_clean(rows.iter());
    drop(rows);
    assert!(table.bytes() < 2 * (64 << 10), "{} bytes", table.bytes());
    let read = ticket(&table, b"other");
    table.fill(read, key(b"other"), b"value", 1);
    assert!(value_at(&table, &Eras::enter(), b"other", 1).is_some());
}
