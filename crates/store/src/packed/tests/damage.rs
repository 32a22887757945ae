//! Bytes that nobody wrote: an error at most.

use proptest::prelude::*;

use super::*;
use crate::packed::*;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..most),
        // Small numbers are lengths that go together more often.
        prop::collection::vec(0u8..6, 0..most),
    ]
}

fn read_everything<S: Shape>(packed: Result<Packed<'_, S>, PackedError>) {
    let Ok(packed) = packed else { return };
    let whole = packed.iter().all(|item| item.is_ok());
    assert_eq!(packed.indexed().is_ok(), whole);
    assert_eq!(packed.sizes().is_ok(), whole);
    assert!(whole || packed.check().is_err());
    let _ = packed.iter_from(2).map(Iterator::count);
    assert!(packed.iter().count() <= packed.len() + 1, "it ends after an error");
}

fn read_as_anything(body: &[u8], key: &[u8]) {
    let _ = count(body);
    read_everything(PackedHash::read(body));
    read_everything(PackedSet::read(body));
    read_everything(PackedZset::read(body));
    if let Ok(hash) = PackedHash::read(body) {
        let _ = (hash.get(key), hash.lower_bound(key));
    }
    if let Ok(set) = PackedSet::read(body) {
        let _ = (set.contains(key), set.lower_bound(key));
    }
    if let Ok(zset) = PackedZset::read(body) {
        let _ = (zset.rank(key), zset.first_with_score(7), zset.lower_bound(7, key));
    }
    if let Ok(list) = PackedList::read(body) {
        read_everything(Ok(list.elements));
        let _ = (list.get(2), list.get_label(list.labels().start), list.get_label(0));
    }
}

fn patch_with_anything(body: &[u8], patch: &[u8], other: &[u8]) {
    // Offsets may be far out, and what reaches there would fill the memory with zeros.
    let is_far = |bytes: &[u8]| {
        Patch::read(bytes).is_ok_and(|patch| {
            let mut changes = patch.changes().flatten();
            changes.any(|change| matches!(change, Change::Bytes(offset, _) if offset > 1 << 16))
        })
    };
    if is_far(patch) || is_far(other) {
        return;
    }
    for kind in [
        Kind::Hash,
        Kind::Set,
        Kind::Zset,
        Kind::List,
        Kind::String,
        Kind::Stream,
    ] {
        let _ = apply(kind, Some(body), patch);
        let _ = apply(kind, None, patch);
    }
    let mut out = Vec::new();
    let _ = patch_row(&mut out, Some(body), patch);
    let _ = combine_all([patch, other, patch]);
    let _ = combine(other, patch);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in bytes(60), key in bytes(4)) {
        read_as_anything(&body, &key);
    }

    #[test]
    fn any_bytes_are_patched_without_a_panic(kind in kinds(), tag in 0u8..16, expiry in prop::sample::select(vec![0u8, 0, 0x40, 0x80]), body in bytes(60), patch in bytes(40), other in bytes(40)) {
        let front = kind as u8;
        let flags = if kind == Kind::List { tag << 4 & 0x30 } else { 0 };
        patch_with_anything(&body, &patch, &other);
        // With fronts, so that what follows is looked at.
        let packed = if kind.packs() { 0x40 } else { 0 };
        let [row, patch, other] = [(front | packed, body), (front | flags | expiry, patch), (front, other)].map(|(front, rest)| [vec![front], rest].concat());
        patch_with_anything(&row, &patch, &other);
        patch_with_anything(&row[1..], &patch, &other);
    }

    #[test]
    fn damaged_bytes_are_patched_without_a_panic(kind in kinds(), before in acts(8), acts in acts(8), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3)) {
        let mut content = content(kind, &before);
        let mut body = content.body();
        let mut patch = patch_of(&mut content, &acts);
        for bytes in [&mut body, &mut patch] {
            // The body of an empty string has no byte.
            let is_empty = bytes.is_empty();
            for (at, byte) in damage.iter().filter(|_| !is_empty) {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        read_as_anything(&body, b"a");
        patch_with_anything(&body, &patch, &[kind as u8]);
    }

    #[test]
    fn a_body_cut_short_is_noticed(kind in packed_kinds(), acts in acts(16)) {
        let body = content(kind, &acts).body();
        let check = |body: &[u8]| match kind {
            Kind::Hash => PackedHash::read(body).and_then(|hash| hash.check()),
            Kind::Set => PackedSet::read(body).and_then(|set| set.check()),
            Kind::Zset => PackedZset::read(body).and_then(|zset| zset.check()),
            _ => PackedList::read(body).and_then(|list| list.check()),
        };
        prop_assert_eq!(check(&body), Ok(()));
        for cut in 0..body.len() {
            prop_assert_eq!(check(&body[..cut]), Err(PackedError::Body), "cut at {}", cut);
        }
        prop_assert_eq!(check(&[&body[..], &[0]].concat()), Err(PackedError::Body));
    }
}

#[test]
fn patches_that_nobody_writes_are_errors() {
    for patch in [
        // No kind, one that is never packed, flags that none has.
        &[][..],
        &[0],
        &[6],
        &[7],
        &[0x15],
        &[0x23],
        &[0x11],
        // An expiry cut short, one that is and is not, and changes of no kind.
        &[0x82],
        &[0x80, 1, 2, 3, 4, 5, 6, 7],
        &[0xc5, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x40, 0],
        // Bytes cut short, none, runs that touch or overlap, and beyond the longest string.
        &[1, 0],
        &[1, 0, 2, b'a'],
        &[1, 0, 0],
        &[1, 0, 1, b'a', 1, 1, b'b'],
        &[1, 3, 1, b'a', 1, 1, b'b'],
        &[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, b'a'],
        // Labels and entries cut short.
        &[0x12],
        &[0x32, 0],
        &[5, 1],
        &[5, 1, 3, b'f', b'v'],
        &[3, 4, b'm'],
        &[4, 2, b'm', 0, 0, 0],
        &[2, 0, 2, 0],
        // Not in order, or twice.
        &[5, 1, 0, b'b', 1, 0, b'a'],
        &[3, 2, b'a', 3, b'a'],
        // A run without elements, runs that touch or overlap, labels that do not exist.
        &[2, 0, 0],
        &[2, 0, 1, 0, 2, 1, 0],
        &[2, 4, 1, 0, 0, 1, 0],
        &[2, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 0],
    ] {
        let read = Patch::read(patch).and_then(|patch| patch.changes().try_for_each(|change| change.map(drop)));
        assert_eq!(read, Err(PackedError::Patch), "{patch:?}");
    }
}
