//! Effects read back as they were written, those of earlier formats too.

use super::*;
use proptest::prelude::*;

#[test]
fn effects_read_back_in_order() {
    let mut out = Vec::new();
    let tag = write_tag(&mut out, b"set", 3, b"k");
    mark_tag(&mut out, tag.at, TAG_OWN);
    let counted = Counted { keys: 1, expires: -1 };
    let put = write_put(&mut out, (300, Cf::Meta), b"key", Some([b"val", b"ue"]), counted);
    write_put(&mut out, (0, Cf::Data), b"gone", None, Counted::NOTHING);
    write_map(&mut out, 15, 70_000);
    write_event_of_row(&mut out, 7);
    write_event(&mut out, 255, 300, b"other");
    assert_eq!(&out[put.key], b"key");
    assert_eq!(&out[put.value.unwrap()], b"value");
    let read: Vec<_> = Effects::new(&out).map(Result::unwrap).collect();
    assert_eq!(
        read,
        [
            Effect::Tag {
                command: b"set",
                db: 3,
                key: b"k",
                new: false,
                own: true,
            },
            Effect::Put {
                space: 300,
                cf: Cf::Meta,
                key: b"key",
                value: b"value",
                counted,
            },
            Effect::Delete {
                space: 0,
                cf: Cf::Data,
                key: b"gone",
                counted: Counted::NOTHING,
            },
            Effect::Map { db: 15, space: 70_000 },
            Effect::EventOfRow { event: 7 },
            Effect::Event {
                event: 255,
                db: 300,
                key: b"other"
            },
        ]
    );
}

#[test]
fn rows_of_format_4_still_read() {
    let frozen = [
        1, 2, 0x90, 1, b'k', 2, b'v', b'w', 2, 2, 1, 1, b'e', 2, 0, 0xa0, 0, 1, 0, 0x40, 0, 0,
    ];
    let read: Vec<_> = Effects::new(&frozen).map(Result::unwrap).collect();
    assert_eq!(
        read,
        [
            Effect::Put {
                space: 2,
                cf: Cf::Meta,
                key: b"k",
                value: b"vw",
                counted: Counted { keys: 1, expires: -1 },
            },
            Effect::Delete {
                space: 2,
                cf: Cf::Data,
                key: b"e",
                counted: Counted::NOTHING,
            },
            Effect::Delete {
                space: 0,
                cf: Cf::Meta,
                key: b"",
                counted: Counted { keys: -1, expires: -1 },
            },
            Effect::Put {
                space: 0,
                cf: Cf::Meta,
                key: b"",
                value: b"",
                counted: Counted { keys: 0, expires: 1 },
            },
        ]
    );
}

#[test]
fn what_is_counted_is_counted_with_rows_and_never_both_ways() {
    for family in [0x11, 0x42, 0x30, 0xc0, 3] {
        assert!(
            Effects::new(&[2, 0, family, 0]).any(|effect| effect.is_err()),
            "{family}"
        );
    }
}

#[test]
fn the_last_keyspace_is_none() {
    for (payload, is_one) in [
        ([4, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f], true),
        ([4, 1, 0xff, 0xff, 0xff, 0xff, 0x0f], false),
    ] {
        assert_eq!(Effects::new(&payload).all(|effect| effect.is_ok()), is_one);
    }
}

#[test]
fn tags_and_events_of_format_2_still_read() {
    let frozen = [
        5, 1, b'c', 3, 1, b'k', 6, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9, 20, 10, 2, 1, 1, b'k',
    ];
    let read: Vec<_> = Effects::new(&frozen).map(Result::unwrap).collect();
    let tag = |command, db, key, (new, own)| Effect::Tag {
        command,
        db,
        key,
        new,
        own,
    };
    let expected = [
        tag(b"c", 3, b"k", (false, false)),
        tag(b"", 0, b"", (true, false)),
        tag(b"", 0, b"", (false, true)),
        tag(b"", 0, b"", (true, true)),
        Effect::EventOfRow { event: 20 },
        Effect::Event {
            event: 2,
            db: 1,
            key: b"k",
        },
    ];
    assert_eq!(read, expected);
}

#[test]
fn patches_of_format_4_still_read() {
    let frozen = [11, 0xac, 2, 0x40, 3, b'k', b'e', b'y', 4, 5, 1, 0, b'f', 11, 0, 0, 0, 0];
    let read: Vec<_> = Effects::new(&frozen).map(Result::unwrap).collect();
    let expires = Counted { keys: 0, expires: 1 };
    let patch = |space, key, patch, counted| Effect::Patch {
        space,
        key,
        patch,
        counted,
    };
    let first = patch(300, &b"key"[..], &[5, 1, 0, b'f'][..], expires);
    assert_eq!(read, [first, patch(0, b"", b"", Counted::NOTHING)]);
    let mut out = Vec::new();
    let written = write_patch(&mut out, 300, b"key", &[5, 1, 0, b'f'], expires);
    write_patch(&mut out, 0, b"", b"", Counted::NOTHING);
    assert_eq!(out, frozen);
    assert_eq!(written, 5..8);
}

proptest! {
    #[test]
    fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Effects::new(&bytes).count();
    }
}
