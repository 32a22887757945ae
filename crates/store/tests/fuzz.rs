//! What the log may say, as a fuzzer would say it, in the ordinary tests.

#![allow(clippy::unwrap_used)]

#[path = "fuzz/effects.rs"]
mod effects;
#[path = "../../../fuzz/common/input.rs"]
mod input;
#[path = "../../../fuzz/common/mutate.rs"]
mod mutate;

use haypile_store::effects::Effect;
use haypile_store::keys::meta_key;
use haypile_store::packed::{HashPatch, ListPatch, SetPatch, StringPatch, write_hash};
use haypile_store::row::{Header, Kind};
use haypile_store::{Cf, Counted};
use mutate::{any_bytes, damaged};
use proptest::prelude::*;

/// A payload with what there is of everything about key `k`: rows, patches, databases, and what is told of it.
fn seeds() -> Vec<Vec<u8>> {
    let row = |kind, body: &[u8]| {
        let mut row = Vec::new();
        let header = Header {
            kind,
            expire_at: None,
            packed: kind != Kind::String,
            home: None,
        };
        header.write(&mut row);
        row.extend_from_slice(body);
        row
    };
    let mut fields = Vec::new();
    write_hash(&mut fields, 1, [(&b"f"[..], &b"v"[..])]);
    let mut patches = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    let mut hash = HashPatch::default();
    hash.set(b"g", b"w");
    hash.write(&mut patches[0]);
    let mut set = SetPatch::default();
    set.add(b"m");
    set.write(&mut patches[1]);
    let mut list = ListPatch::default();
    list.set(haypile_store::packed::LABEL_MIDDLE, b"e");
    list.write(&mut patches[2]);
    let mut text = StringPatch::default();
    text.set(2, b"xyz");
    text.write(&mut patches[3]);
    let key = meta_key(b"k");
    let one = Counted { keys: 1, expires: 0 };
    let put = |value| Effect::Put {
        space: 0,
        cf: Cf::Meta,
        key: &key,
        value,
        counted: one,
    };
    let patch = |patch| Effect::Patch {
        space: 0,
        key: &key,
        patch,
        counted: Counted::NOTHING,
    };
    let tag = Effect::Tag {
        command: b"hset",
        db: 0,
        key: b"k",
        new: true,
        own: true,
    };
    let gone = Effect::Delete {
        space: 0,
        cf: Cf::Meta,
        key: &key,
        counted: Counted { keys: -1, expires: 0 },
    };
    let data = Effect::Put {
        space: 0,
        cf: Cf::Data,
        key: b"\0\0\0\0\0\0\0\0\0\x01field",
        value: b"v",
        counted: Counted::NOTHING,
    };
    let expiry = Effect::Put {
        space: 0,
        cf: Cf::Expiry,
        key: b"\0\0\x01\0\0\0\0\0\0\0\0\0k",
        value: b"",
        counted: Counted::NOTHING,
    };
    let rows = [row(Kind::Hash, &fields), row(Kind::String, b"text")];
    let [hash, set, list, text] = &patches;
    let payloads: [Vec<Effect<'_>>; 6] = [
        vec![tag, put(&rows[0]), Effect::EventOfRow { event: 7 }, patch(hash)],
        vec![patch(set), gone],
        vec![patch(list), data, expiry],
        vec![put(&rows[1]), patch(text)],
        vec![Effect::Map { db: 1, space: 4 }, Effect::Map { db: 2, space: 1 }],
        vec![Effect::Event {
            event: 1,
            db: 1,
            key: b"k",
        }],
    ];
    let write = |effects: &Vec<Effect<'_>>| {
        let mut out = Vec::new();
        effects.iter().for_each(|effect| effects::write(&mut out, effect));
        out
    };
    payloads.iter().map(write).collect()
}

/// Several payloads, with their lengths.
fn log() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        3 => prop::sample::select(seeds()),
        2 => damaged(prop::sample::select(seeds())),
        1 => any_bytes(40),
    ];
    prop::collection::vec((any::<u8>(), payload), 1..10).prop_map(|payloads| {
        let mut log = Vec::new();
        for (settles, payload) in payloads {
            let payload = &payload[..payload.len().min(254)];
            log.extend_from_slice(&[settles, payload.len() as u8]);
            log.extend_from_slice(payload);
        }
        log
    })
}

proptest! {
    #![proptest_config(mutate::config(5000))]

    #[test]
    fn payloads_are_refused_or_are_what_they_are_written_as(bytes in prop_oneof![any_bytes(80), damaged(prop::sample::select(seeds()))]) {
        effects::read(&bytes);
    }
}

proptest! {
    #![proptest_config(mutate::config(60))]

    #[test]
    fn a_store_takes_what_can_be_read_or_says_that_it_is_damaged(log in log()) {
        effects::replay(&log);
    }
}

#[test]
fn seeds_are_valid() {
    assert!(seeds().iter().all(|seed| effects::read(seed)));
}
