//! Bytes that every version reads.

use crate::packed::*;

const HASH: &[u8] = b"\x02\x01\x02avw\x02\x00bb";
const SET: &[u8] = b"\x03\x00\x01a\x02ab";
const ZSET: &[u8] = b"\x02\x40\x0f\xff\xff\xff\xff\xff\xff\x01z\xbf\xf0\0\0\0\0\0\0\x01a";
const LIST: &[u8] = b"\x03\x01\x01a\x00\x02bc";
const LIST_AT_ZERO: &[u8] = b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01a";

#[test]
fn frozen_bodies_read() {
    let hash: Result<Vec<_>, _> = PackedHash::read(HASH).unwrap().iter().collect();
    assert_eq!(hash.unwrap(), [(&b"a"[..], &b"vw"[..]), (b"bb", b"")]);
    let set: Result<Vec<_>, _> = PackedSet::read(SET).unwrap().iter().collect();
    assert_eq!(set.unwrap(), [&b""[..], b"a", b"ab"]);
    let zset: Result<Vec<_>, _> = PackedZset::read(ZSET).unwrap().iter().collect();
    assert_eq!(
        zset.unwrap(),
        [(0x400f_ffff_ffff_ffff, &b"z"[..]), (0xbff0_0000_0000_0000, b"a")]
    );
    let list = PackedList::read(LIST).unwrap();
    assert_eq!(list.labels(), LABEL_MIDDLE - 1..LABEL_MIDDLE + 2);
    let elements: Result<Vec<_>, _> = list.iter().collect();
    assert_eq!(elements.unwrap(), [&b"a"[..], b"", b"bc"]);
    assert_eq!(PackedList::read(LIST_AT_ZERO).unwrap().labels(), 0..1);
    assert!(PackedHash::read(&[0]).unwrap().is_empty());
    assert!(PackedList::read(&[0]).unwrap().is_empty());
}

#[test]
fn frozen_bodies_are_written() {
    let mut out = Vec::new();
    write_hash(&mut out, 2, [(&b"a"[..], &b"vw"[..]), (b"bb", b"")]);
    assert_eq!(out, HASH);
    out.clear();
    write_set(&mut out, 3, [&b""[..], b"a", b"ab"]);
    assert_eq!(out, SET);
    out.clear();
    write_zset(
        &mut out,
        2,
        [(0x400f_ffff_ffff_ffff, &b"z"[..]), (0xbff0_0000_0000_0000, b"a")],
    );
    assert_eq!(out, ZSET);
    out.clear();
    write_list(&mut out, LABEL_MIDDLE - 1, 3, [&b"a"[..], b"", b"bc"]);
    assert_eq!(out, LIST);
    out.clear();
    write_list(&mut out, 0, 1, [&b"a"[..]]);
    assert_eq!(out, LIST_AT_ZERO);
    out.clear();
    write_list(&mut out, 7, 0, []);
    assert_eq!(out, [0]);
}

const HASH_PATCH: &[u8] = b"\x05\x01\x02av\x02\x00bb\x01\x01c";
const SET_PATCH: &[u8] = b"\x03\x00\x03a\x04ab";
const ZSET_PATCH: &[u8] = b"\x04\x03a\x02z\xbf\xf0\0\0\0\0\0\0";
const LIST_PATCH: &[u8] = b"\x32\x01\x04\x03\x02\x01a\x00\x02\x01\x02bc";
const STRING_PATCH: &[u8] = b"\x01\x01\x02xy\xac\x02\x01z";
const STRING_AND_EXPIRY_PATCH: &[u8] = b"\x81\0\0\x01\x02\x03\x04\x05\x06\x00\x01a";
const EXPIRY_PATCH: &[u8] = b"\x80\0\0\x01\x02\x03\x04\x05\x06";

#[test]
fn frozen_patches_read() {
    let read = |bytes| -> Vec<Change<'static>> {
        let changes = Patch::read(bytes).unwrap().changes();
        changes.map(Result::unwrap).collect()
    };
    let field = Change::Field;
    assert_eq!(
        read(HASH_PATCH),
        [field(b"a", Some(b"v")), field(b"bb", None), field(b"c", Some(b""))]
    );
    let member = Change::Member;
    assert_eq!(
        read(SET_PATCH),
        [member(b"", true), member(b"a", false), member(b"ab", true)]
    );
    assert_eq!(
        read(ZSET_PATCH),
        [
            Change::Score(b"a", None),
            Change::Score(b"z", Some(0xbff0_0000_0000_0000))
        ]
    );
    assert_eq!(
        read(LIST_PATCH),
        [
            Change::Head(LABEL_MIDDLE - 1),
            Change::End(LABEL_MIDDLE + 2),
            Change::Element(LABEL_MIDDLE - 2, b"a"),
            Change::Element(LABEL_MIDDLE - 1, b""),
            Change::Element(LABEL_MIDDLE + 1, b"bc"),
        ]
    );
    let bytes = Change::Bytes;
    assert_eq!(read(STRING_PATCH), [bytes(1, b"xy"), bytes(300, b"z")]);
    let expiry = Change::Expiry(Some(0x0102_0304_0506));
    assert_eq!(read(STRING_AND_EXPIRY_PATCH), [expiry, bytes(0, b"a")]);
    assert_eq!(read(EXPIRY_PATCH), [expiry]);
    assert_eq!(read(b"\x40"), [Change::Expiry(None)]);
    assert_eq!(read(b"\x45"), [Change::Expiry(None)]);
    for front in [1, 5, 3, 4, 2] {
        assert_eq!(Patch::read(&[front]).unwrap().changes().count(), 0);
    }
}

#[test]
fn frozen_patches_are_written() {
    let mut out = Vec::new();
    let mut hash = HashPatch::default();
    hash.set(b"c", b"1");
    hash.set(b"a", b"v");
    hash.delete(b"bb");
    hash.set(b"c", b"");
    hash.write(&mut out);
    assert_eq!(out, HASH_PATCH);
    out.clear();
    let mut set = SetPatch::default();
    set.add(b"");
    set.delete(b"a");
    set.add(b"ab");
    set.write(&mut out);
    assert_eq!(out, SET_PATCH);
    out.clear();
    let mut zset = ZsetPatch::default();
    zset.set(b"z", 0xbff0_0000_0000_0000);
    zset.delete(b"a");
    zset.write(&mut out);
    assert_eq!(out, ZSET_PATCH);
    out.clear();
    let mut list = ListPatch::default();
    list.set(LABEL_MIDDLE + 2, b"trimmed again");
    list.head(LABEL_MIDDLE - 1);
    list.end(LABEL_MIDDLE + 2);
    list.set(LABEL_MIDDLE + 1, b"bc");
    list.set(LABEL_MIDDLE - 1, b"");
    list.set(LABEL_MIDDLE - 2, b"a");
    list.write(&mut out);
    assert_eq!(out, LIST_PATCH);
    out.clear();
    let mut string = StringPatch::default();
    string.set(300, b"z");
    string.set(1, b"abc");
    string.set(2, b"");
    string.set(1, b"xy");
    string.write(&mut out);
    assert_eq!(out, b"\x01\x01\x03xyc\xac\x02\x01z");
    out.clear();
    let mut string = StringPatch::default();
    string.set(1, b"x?");
    string.set(300, b"z");
    string.set(2, b"y");
    string.write(&mut out);
    assert_eq!(out, STRING_PATCH);
    out.clear();
    write_expiry_patch(&mut out, Some(0x0102_0304_0506));
    assert_eq!(out, EXPIRY_PATCH);
    let both = combine(&out, b"\x01\x00\x01a").unwrap();
    assert_eq!(both, STRING_AND_EXPIRY_PATCH);
}

#[test]
fn frozen_patches_change_frozen_bodies() {
    for (kind, body, patch, result) in [
        (Kind::Hash, HASH, HASH_PATCH, &b"\x02\x01\x01av\x01\x00c"[..]),
        (Kind::Set, SET, SET_PATCH, b"\x02\x00\x02ab"),
        (Kind::Zset, ZSET, ZSET_PATCH, b"\x01\xbf\xf0\0\0\0\0\0\0\x01z"),
        (Kind::List, LIST, LIST_PATCH, b"\x04\x03\x01a\x00\x00\x02bc"),
        (Kind::String, b"abcd", b"\x01\x01\x02xy\x05\x01z", b"axyd\0z"),
    ] {
        assert_eq!(apply(kind, Some(body), patch).unwrap(), result, "{kind:?}");
    }
}
