//! Rows that are changed by patches while a turn is evaluated: what the writer sees, what is published, what is logged, and what
//! others make of the log.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use haypile_store::keys::{MetaKey, meta_key};
use haypile_store::packed::{StringPatch, write_expiry_patch};
use haypile_store::row::{Header, Kind};
use haypile_store::{Cf, Counted, Counts, ErrorKind, Overlay, SharedResources, Store, StoreOptions, Tier, View};
use haypile_types::{Position, slot_of};
use proptest::prelude::*;

const KEYS: usize = 2;

/// A string and its expiry; `None`: there is none.
type Content = Option<(Vec<u8>, Option<u64>)>;

#[derive(Clone, Debug)]
enum Act {
    Put(usize, usize, Option<u64>),
    Delete(usize),
    /// Runs of bytes from offsets on, all with this byte.
    Change(usize, Vec<(usize, usize)>, u8),
    Expire(usize, Option<u64>),
    /// The value is held by somebody while it is changed.
    ChangeWhileRead(usize, usize, u8),
}

/// What a command or a transaction does, and to where it is taken back.
#[derive(Clone, Debug)]
struct Command {
    acts: Vec<Act>,
    fails: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    commands: Vec<Command>,
    fails: bool,
}

fn act() -> impl Strategy<Value = Act> {
    let key = 0..KEYS;
    // On both sides of what is put together where it stays.
    let len = prop_oneof![0usize..20, 4080usize..4110, 9000usize..9010];
    let runs = prop::collection::vec((prop_oneof![0usize..5000, 0usize..12_000], 1usize..300), 1..3);
    prop_oneof![
        1 => (key.clone(), len, any::<Option<u64>>()).prop_map(|(key, len, at)| Act::Put(key, len, at)),
        1 => key.clone().prop_map(Act::Delete),
        8 => (key.clone(), runs, any::<u8>()).prop_map(|(key, runs, byte)| Act::Change(key, runs, byte)),
        2 => (key.clone(), any::<Option<u64>>()).prop_map(|(key, at)| Act::Expire(key, at)),
        2 => (key, 0usize..5000, any::<u8>()).prop_map(|(key, at, byte)| Act::ChangeWhileRead(key, at, byte)),
    ]
}

fn turns() -> impl Strategy<Value = Vec<Vec<Entry>>> {
    let often_not = || prop::bool::weighted(0.2);
    let command = (prop::collection::vec(act(), 1..4), often_not()).prop_map(|(acts, fails)| Command { acts, fails });
    let entry =
        (prop::collection::vec(command, 1..4), often_not()).prop_map(|(commands, fails)| Entry { commands, fails });
    prop::collection::vec(prop::collection::vec(entry, 1..5), 1..5)
}

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default(), SharedResources::new(8 << 20, 2 << 20)).unwrap()
}

fn row(content: &Content) -> Option<Vec<u8>> {
    let (body, expire_at) = content.as_ref()?;
    let mut row = Vec::new();
    let header = Header {
        kind: Kind::String,
        expire_at: *expire_at,
        packed: false,
        home: None,
    };
    header.write(&mut row);
    Some([&row[..], body].concat())
}

/// What the counters change by from one content of a key to the next.
fn counted(before: &Content, after: &Content) -> Counted {
    let of = |content: &Content| {
        let expires = content.as_ref().is_some_and(|(_, expire_at)| expire_at.is_some());
        (i8::from(content.is_some()), i8::from(expires))
    };
    let ((keys, expires), (keys_after, expires_after)) = (of(before), of(after));
    Counted {
        keys: keys_after - keys,
        expires: expires_after - expires,
    }
}

fn counts(models: &[Content]) -> Counts {
    let there = models.iter().flatten();
    Counts {
        keys: there.clone().count() as u64,
        expires: there.filter(|(_, expire_at)| expire_at.is_some()).count() as u64,
    }
}

fn user_key(key: usize) -> [u8; 2] {
    [b'k', key as u8]
}

fn name(key: usize) -> Vec<u8> {
    meta_key(&user_key(key))
}

fn meta(key: usize) -> MetaKey {
    MetaKey::new(0, &user_key(key))
}

fn change(view: &mut View<'_>, model: &mut Content, key: usize, runs: &[(usize, usize)], byte: u8, hold: bool) {
    let bytes = vec![byte; 300];
    let mut patch = StringPatch::default();
    runs.iter().for_each(|(at, len)| patch.set(*at, &bytes[..*len]));
    let mut out = Vec::new();
    patch.write(&mut out);
    let found = view.get(0, Cf::Meta, &name(key)).unwrap();
    let before = found.as_ref().map(|row| row.to_vec());
    let held = hold.then(|| view.get(0, Cf::Meta, &name(key)).unwrap()).flatten();
    let mut after = model.clone();
    let (body, _) = after.get_or_insert_with(|| (Vec::new(), None));
    for (at, len) in runs {
        body.resize(body.len().max(at + len), 0);
        body[*at..at + len].fill(byte);
    }
    view.change(&meta(key), found, &out, counted(model, &after)).unwrap();
    *model = after;
    assert_eq!(
        held.map(|row| row.to_vec()),
        before.filter(|_| hold),
        "it is still what was read"
    );
}

fn carry_out(view: &mut View<'_>, models: &mut [Content], act: &Act) {
    match act {
        Act::Put(key, len, expire_at) => {
            let before = models[*key].replace((vec![b'p'; *len], *expire_at));
            let row = row(&models[*key]).unwrap();
            view.put_row(&meta(*key), &row, b"", counted(&before, &models[*key]))
                .unwrap();
        }
        Act::Delete(key) => {
            let before = models[*key].take();
            view.delete_row(&meta(*key), counted(&before, &None)).unwrap();
        }
        Act::Change(key, runs, byte) => change(view, &mut models[*key], *key, runs, *byte, false),
        Act::ChangeWhileRead(key, at, byte) => change(view, &mut models[*key], *key, &[(*at, 1)], *byte, true),
        Act::Expire(key, at) => {
            let before = models[*key].clone();
            if let Some((_, expire_at)) = &mut models[*key] {
                *expire_at = *at;
                let mut out = Vec::new();
                write_expiry_patch(&mut out, *at);
                let found = view.get(0, Cf::Meta, &name(*key)).unwrap();
                let counted = counted(&before, &models[*key]);
                view.change(&meta(*key), found, &out, counted).unwrap();
            }
        }
    }
}

fn written(store: &Store, overlay: &mut Overlay, models: &[Content]) {
    let reading = store.read();
    let view = View::writing(&reading, overlay, Tier::Disk);
    let seen = |key| view.get(0, Cf::Meta, &name(key)).unwrap().map(|row| row.to_vec());
    assert!(
        (0..KEYS).all(|key| seen(key) == row(&models[key])),
        "what the writer sees"
    );
    assert_eq!(view.counts(0), counts(models));
}

fn published(store: &Store, models: &[Content]) {
    rows_are(store, models);
    assert_eq!(store.counts(0), counts(models));
    let slots = (0..KEYS).map(|key| store.counts_of_slot(0, slot_of(&user_key(key))));
    assert!(slots.eq(models.iter().map(|model| counts(std::slice::from_ref(model)))));
}

fn rows_are(store: &Store, models: &[Content]) {
    let reading = store.read();
    let view = View::reading(&reading, Tier::Disk);
    let seen = |key| view.get(0, Cf::Meta, &name(key)).unwrap().map(|row| row.to_vec());
    assert!((0..KEYS).all(|key| seen(key) == row(&models[key])), "what readers see");
}

/// Evaluates an entry; gives false if it has no effects.
fn evaluate(store: &Store, overlay: &mut Overlay, models: &mut Vec<Content>, entry: &Entry, index: u64) -> bool {
    overlay.begin_entry(index);
    let mark = overlay.savepoint();
    let before_entry = models.clone();
    for command in &entry.commands {
        let mark = overlay.savepoint();
        let before = models.clone();
        {
            let reading = store.read();
            let mut view = View::writing(&reading, overlay, Tier::Disk);
            command.acts.iter().for_each(|act| carry_out(&mut view, models, act));
        }
        written(store, overlay, models);
        if command.fails {
            overlay.rollback(mark);
            *models = before;
            written(store, overlay, models);
        }
    }
    if entry.fails {
        overlay.rollback(mark);
        *models = before_entry;
    }
    let has_effects = overlay.end_entry().is_some();
    written(store, overlay, models);
    has_effects
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changes_are_seen_published_and_logged(turns in turns(), settles in prop::collection::vec(any::<bool>(), 5), abandoned in 0usize..8, from in any::<prop::sample::Index>()) {
        let dirs = [(); 4].map(|()| tempfile::tempdir().unwrap());
        let [store, one_by_one, at_once, again] = [0, 1, 2, 3].map(|at| open(dirs[at].path()));
        let mut overlay = Overlay::new();
        let mut models: Vec<Content> = vec![None; KEYS];
        let mut index = 0;
        let mut log: Vec<Vec<u8>> = Vec::new();
        for (number, turn) in turns.iter().enumerate() {
            let (before, first) = (models.clone(), index);
            overlay.begin_turn();
            for entry in turn {
                index += u64::from(evaluate(&store, &mut overlay, &mut models, entry, index + 1));
            }
            if number == abandoned {
                overlay.abandon_newest();
                (models, index) = (before, first);
                written(&store, &mut overlay, &models);
                continue;
            }
            log.extend(overlay.newest_entries().map(|(_, payload)| payload.to_vec()));
            if overlay.oldest_turn_end().is_none() {
                overlay.drop_empty_newest();
                continue;
            }
            published(&store, &before);
            store.apply_oldest(&mut overlay, Position::new(1, index), 0);
            published(&store, &models);
            if settles[number] {
                store.settle().unwrap();
                published(&store, &models);
            }
        }
        for (at, payload) in log.iter().enumerate() {
            one_by_one.replay(payload, Position::new(1, at as u64 + 1), 0).unwrap();
        }
        published(&one_by_one, &models);
        at_once.replay(&log.concat(), Position::new(1, index), 0).unwrap();
        published(&at_once, &models);
        // A run of entries again, from an earlier point than the rows are from: the rows become the same, or the counters, which count an
        // entry each time, show that something is wrong.
        again.replay(&log.concat(), Position::new(1, index), 0).unwrap();
        if !log.is_empty() {
            let from = from.index(log.len());
            let runs = [vec![log[from..].concat()], log[from..].to_vec()];
            for payload in runs.iter().flatten() {
                index += 1;
                if let Err(error) = again.replay(payload, Position::new(1, index), 0) {
                    prop_assert_eq!(error.kind(), ErrorKind::Corrupt);
                    return Ok(());
                }
            }
        }
        rows_are(&again, &models);
        again.settle().unwrap();
        rows_are(&again, &models);
    }
}

#[test]
fn a_turn_copies_a_large_row_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut overlay = Overlay::new();
    let mut models: Vec<Content> = vec![None; KEYS];
    let len = 1 << 20;
    overlay.begin_turn();
    for index in 1..100 {
        let act = Act::Change(0, vec![(index as usize * 1000, 7), (len - 1, 1)], index as u8);
        let command = Command {
            acts: vec![act],
            fails: false,
        };
        let entry = Entry {
            commands: vec![command],
            fails: false,
        };
        assert!(evaluate(&store, &mut overlay, &mut models, &entry, index));
        let bytes = overlay.turn_bytes() - overlay.turn_logged_bytes();
        assert_eq!(bytes, len + 1, "value and tag");
        assert_eq!(overlay.turn_load(), overlay.turn_logged_bytes());
    }
    assert!(overlay.turn_logged_bytes() < 100 * 40);
    // It grows: what it was before is kept no longer than an entry.
    for index in 100..110 {
        let act = Act::Change(0, vec![(len + index as usize, 1)], 1);
        let command = Command {
            acts: vec![act],
            fails: false,
        };
        let entry = Entry {
            commands: vec![command; 3],
            fails: false,
        };
        assert!(evaluate(&store, &mut overlay, &mut models, &entry, index));
        let bytes = overlay.turn_bytes() - overlay.turn_logged_bytes();
        assert_eq!(bytes, len + index as usize + 2);
    }
    store.apply_oldest(&mut overlay, Position::new(1, 109), 0);
    published(&store, &models);
}
