//! What must not be, a log that does not fit or a caller that is wrong, is an error or stops the thread: it is never passed over.

#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use haypile_store::keys::meta_key;
use haypile_store::{Cf, ErrorKind, Overlay, SharedResources, Store, StoreOptions, Tier, View};
use haypile_types::Position;

const DATABASES: u16 = 2;

fn open(dir: &Path) -> Store {
    let options = StoreOptions {
        databases: DATABASES,
        ..StoreOptions::default()
    };
    Store::open(dir, options, SharedResources::new(8 << 20, 2 << 20)).unwrap()
}

/// What a panic says; empty if there was none.
fn panic_of(body: impl FnOnce()) -> String {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(()) => String::new(),
        Err(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
        },
    }
}

#[test]
fn a_log_that_does_not_fit_is_an_error() {
    let key = meta_key(b"k");
    // A key is gone that was not there, and a database becomes another keyspace that there is not.
    let gone = [&[2, 0, Cf::Meta as u8 | 0x20, key.len() as u8], &key[..]].concat();
    for payload in [gone, vec![4, DATABASES as u8, 7]] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let error = store.replay(&payload, Position::new(1, 1), 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(store.applied(), Position::ZERO, "nothing of it is visible");
    }
}

#[test]
fn a_database_that_is_not_there_is_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let reading = store.read();
    let view = View::reading(&reading, Tier::Memory);
    assert_eq!(view.space(1), 1);
    assert!(panic_of(|| _ = view.space(DATABASES)).contains("database 2 is asked for"));
}

#[test]
fn what_is_written_outside_of_a_turn_is_not_lost_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let reading = store.read();
    let mut overlay = Overlay::new();
    let mut view = View::writing(&reading, &mut overlay, Tier::Memory);
    let said = panic_of(|| drop(view.put(0, Cf::Data, b"0123456789element", b"v")));
    assert!(said.contains("outside of a turn"), "{said}");
}
