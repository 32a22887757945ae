//! All orders in which publishing, reading and freeing can run beside each other, and all values that loads may give, within the
//! bounds of the models: `cargo test -p haypile-rows --features loom --test loom --release`. Without the feature there is nothing here.
#![cfg(feature = "loom")]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use haypile_rows::{At, Eras, Key, Limbo, RowTable, Shared};
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;

/// Says that it is freed, in memory that is not.
struct Token(&'static AtomicBool);

impl Token {
    fn new() -> Self {
        Token(leak(AtomicBool::new(true)))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A reader who looks at the newest token, and at that one again a little later.
fn looks(eras: &'static Eras, shared: &'static Shared<Token>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let guard = eras.enter_at(0);
        let alive = shared.get(&guard).0;
        thread::yield_now();
        assert!(alive.load(Ordering::Relaxed), "freed while a reader looks at it");
    })
}

#[test]
fn what_a_reader_looks_at_is_not_freed() {
    loom::model(|| {
        let eras = leak(Eras::default());
        let shared = leak(Shared::new(Arc::new(Token::new())));
        let reader = looks(eras, shared);
        let mut limbo = Limbo::default();
        for _ in 0..2 {
            let before = shared.replace(Arc::new(Token::new()));
            limbo.add_value(eras.tag(), before);
            eras.advance();
            limbo.free(eras);
        }
        reader.join().unwrap();
        limbo.free(eras);
        assert!(limbo.is_empty());
    });
}

#[test]
fn what_nobody_looks_at_is_freed_with_a_tag_that_another_thread_begins() {
    loom::model(|| {
        let eras = leak(Eras::default());
        let shared = leak(Shared::new(Arc::new(Token::new())));
        let reader = looks(eras, shared);
        let other = thread::spawn(move || eras.advance());
        let before = shared.replace(Arc::new(Token::new()));
        let mut limbo = Limbo::default();
        limbo.add_value(eras.tag(), before);
        limbo.free(eras);
        reader.join().unwrap();
        other.join().unwrap();
    });
}

fn key(name: &'static [u8], hash: u64) -> Key<'static> {
    Key {
        hash,
        space: 0,
        family: 0,
        key: name,
    }
}

/// Two keys are published at each position: a reader sees both of one position, and all that it looks at is alive.
#[test]
fn a_reader_sees_the_whole_of_one_position() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        const KEYS: [&[u8]; 2] = [b"a", b"b"];
        let eras = leak(Eras::default());
        let table = leak(RowTable::with_eras(0, eras));
        let visible = leak(AtomicU64::new(0));
        let publish = |position: u64, limbo: &mut Limbo| {
            let mut superseded = Vec::new();
            for name in KEYS {
                superseded.extend(
                    table
                        .publish(key(name, 1), Some(&position.to_le_bytes()), position)
                        .before,
                );
            }
            visible.store(position, Ordering::Release);
            let tag = eras.tag();
            superseded.into_iter().for_each(|row| limbo.add_row(tag, row));
            eras.advance();
            limbo.free(eras);
        };
        let mut limbo = Limbo::default();
        publish(1, &mut limbo);
        let reader = thread::spawn(move || {
            let guard = eras.enter_at(0);
            let position = visible.load(Ordering::Acquire);
            for name in KEYS {
                match table.at(&guard, key(name, 1), position) {
                    At::Version(row) => assert_eq!(row.value(), Some(&position.to_le_bytes()[..])),
                    At::NewerOnly | At::Nothing(_) => panic!("{name:?} is missing at {position}"),
                }
            }
        });
        publish(2, &mut limbo);
        reader.join().unwrap();
    });
}
