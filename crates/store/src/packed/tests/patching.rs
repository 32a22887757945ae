//! Applying and combining.

use proptest::prelude::*;

use super::model::patch_of_changes;
use super::*;
use crate::packed::*;
use crate::row::Header;

/// Changes of a list that go together by chance only.
fn wild_changes() -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec((0u8..4, 0u8..12), 0..12)
}

fn wild<'a>(changes: &[(u8, u8)], from: u64, element: &'a [u8]) -> Vec<Change<'a>> {
    let change = |&(what, at): &(u8, u8)| match what {
        0 => Change::Head(from + u64::from(at)),
        1 => Change::End(from + u64::from(at)),
        _ => Change::Element(from + u64::from(at), element),
    };
    changes.iter().map(change).collect()
}

proptest! {
    #[test]
    fn a_patch_does_what_its_changes_do(kind in kinds(), before in acts(12), first in acts(8), second in acts(8)) {
        let mut content = content(kind, &before);
        let body = content.body();
        let first = patch_of(&mut content, &first);
        let after_first = apply(kind, Some(&body), &first).unwrap();
        prop_assert_eq!(&after_first, &content.body(), "the same content has the same bytes");
        prop_assert_eq!(&apply(kind, Some(&after_first), &first).unwrap(), &after_first, "once is enough");

        let second = patch_of(&mut content, &second);
        let after_both = apply(kind, Some(&after_first), &second).unwrap();
        prop_assert_eq!(&after_both, &content.body());
        let combined = combine(&first, &second).unwrap();
        prop_assert_eq!(&apply(kind, Some(&body), &combined).unwrap(), &after_both);
        prop_assert_eq!(&apply(kind, Some(&after_both), &combined).unwrap(), &after_both);
    }

    #[test]
    fn a_patch_of_a_missing_row_gives_what_it_sets(kind in kinds(), changes in acts(8)) {
        let mut content = Content::empty(kind);
        let patch = patch_of(&mut content, &changes);
        prop_assert_eq!(apply(kind, None, &patch).unwrap(), content.body());
        prop_assert_eq!(apply(kind, Some(&Content::empty(kind).body()), &patch).unwrap(), content.body());
    }

    #[test]
    fn combining_gives_the_patch_of_all_changes(kind in kinds(), before in acts(8), commands in prop::collection::vec(acts(4), 0..9)) {
        let start = content(kind, &before);
        let mut one_by_one = start.clone();
        let patches: Vec<Vec<u8>> = commands.iter().map(|acts| patch_of(&mut one_by_one, acts)).collect();
        let whole = patch_of(&mut start.clone(), &commands.concat());
        let combined = combine_all(patches.iter().map(|patch| &patch[..])).unwrap();
        prop_assert_eq!(combined.unwrap_or(patch_of_changes(kind, &[])), whole);
    }

    #[test]
    fn a_patch_reads_back_as_what_it_does(kind in kinds(), before in acts(8), acts in acts(8)) {
        let mut content = content(kind, &before);
        let mut read = content.clone();
        let bytes = patch_of(&mut content, &acts);
        let patch = Patch::read(&bytes).unwrap();
        prop_assert_eq!(patch.kind(), Some(kind));
        let changes: Vec<Change<'_>> = patch.changes().map(Result::unwrap).collect();
        changes.iter().for_each(|change| read.step(change));
        prop_assert_eq!(read, content);
        prop_assert_eq!(patch_of_changes(kind, &changes), bytes);
    }

    #[test]
    fn a_list_has_no_gaps(len in 0u64..6, first in wild_changes(), second in wild_changes()) {
        // Anywhere among the labels: also where they end.
        for from in [0, LABEL_MIDDLE, u64::MAX - 12] {
            let changes = [wild(&first, from, b"1"), wild(&second, from, b"")];
            let start = Content::List((from + 3..from + 3 + len).map(|label| (label, vec![7])).collect());
            let mut content = start.clone();
            changes.concat().iter().for_each(|change| content.step(change));
            let expected = if content.is_gapless() { Ok(content.body()) } else { Err(PackedError::Gap) };
            let whole = patch_of_changes(Kind::List, &changes.concat());
            prop_assert_eq!(&apply(Kind::List, Some(&start.body()), &whole), &expected);
            let [first, second] = changes.map(|changes| patch_of_changes(Kind::List, &changes));
            prop_assert_eq!(combine(&first, &second).unwrap(), whole);
            // One after the other, if what is between can be written.
            if let Ok(between) = apply(Kind::List, Some(&start.body()), &first) {
                prop_assert_eq!(&apply(Kind::List, Some(&between), &second), &expected);
            }
        }
    }

    #[test]
    fn whole_rows_keep_their_header(kind in kinds(), expire_at: Option<u64>, before in acts(8), acts in acts(8)) {
        let mut content = content(kind, &before);
        let row = |content: &Content, expire_at| {
            let mut row = Vec::new();
            let header = Header {
                kind,
                expire_at,
                packed: kind.packs(),
                home: None,
            };
            header.write(&mut row);
            [row, content.body()].concat()
        };
        let old = row(&content, expire_at);
        let patch = patch_of(&mut content, &acts);
        let mut out = b"before".to_vec();
        patch_row(&mut out, Some(&old), &patch).unwrap();
        prop_assert_eq!(out, [&b"before"[..], &row(&content, expire_at)].concat());

        let mut content = Content::empty(kind);
        let patch = patch_of(&mut content, &acts);
        let mut out = Vec::new();
        patch_row(&mut out, None, &patch).unwrap();
        prop_assert_eq!(out, row(&content, None));
    }

    #[test]
    fn rows_are_what_patches_of_content_and_expiry_make_them(kind in kinds(), start: Option<u64>, before in acts(8), steps in prop::collection::vec(row_step(), 1..8), from in any::<prop::sample::Index>()) {
        let mut model = (content(kind, &before), start);
        let first = model_row(&model.0, model.1);
        let mut rows = vec![first.clone()];
        let mut patches = Vec::new();
        for step in &steps {
            let patch = patch_of_step(&mut model, step);
            let mut row = Vec::new();
            patch_row(&mut row, rows.last().map(|row| &row[..]), &patch).unwrap();
            prop_assert_eq!(&row, &model_row(&model.0, model.1));
            let mut again = Vec::new();
            patch_row(&mut again, Some(&row), &patch).unwrap();
            prop_assert_eq!(&again, &row, "once is enough");
            rows.push(row);
            patches.push(patch);
        }
        // From an earlier point to where the row is already. A list may have moved on from the labels that were then: its patches
        // fit only where they were made.
        let from = match kind {
            Kind::List => patches.len(),
            _ => from.index(patches.len()),
        };
        let last = rows.last().unwrap();
        let mut row = last.clone();
        for patch in &patches[from..] {
            let mut next = Vec::new();
            patch_row(&mut next, Some(&row), patch).unwrap();
            row = next;
        }
        prop_assert_eq!(&row, last);
        // All at once, and those from the earlier point on.
        for (base, patches) in [(&first, &patches[..]), (last, &patches[from..])] {
            let Some(all) = combine_all(patches.iter().map(|patch| &patch[..])).unwrap() else {
                continue;
            };
            let mut row = Vec::new();
            patch_row(&mut row, Some(base), &all).unwrap();
            prop_assert_eq!(&row, last);
            let read: Vec<_> = Patch::read(&all).unwrap().changes().collect::<Result<_, _>>().unwrap();
            prop_assert!(read.iter().filter(|change| matches!(change, Change::Expiry(_))).count() <= 1);
        }
    }

    #[test]
    fn a_row_out_of_nothing_has_the_expiry_that_patches_give_it(kind in kinds(), first in acts(8), steps in prop::collection::vec(row_step(), 0..6)) {
        let mut model = (Content::empty(kind), None);
        let mut patches = vec![patch_of(&mut model.0, &first)];
        patches.extend(steps.iter().map(|step| patch_of_step(&mut model, step)));
        let all = combine_all(patches.iter().map(|patch| &patch[..])).unwrap().unwrap();
        let mut row = Vec::new();
        patch_row(&mut row, None, &all).unwrap();
        prop_assert_eq!(row, model_row(&model.0, model.1));
    }
}

/// What is done to a row: its content is changed, or its expiry.
#[derive(Clone, Debug)]
enum RowStep {
    Content(Vec<Act>),
    Expiry(Option<u64>),
}

fn row_step() -> impl Strategy<Value = RowStep> {
    prop_oneof![
        acts(4).prop_map(RowStep::Content),
        any::<Option<u64>>().prop_map(RowStep::Expiry),
    ]
}

fn patch_of_step((content, expire_at): &mut (Content, Option<u64>), step: &RowStep) -> Vec<u8> {
    match step {
        RowStep::Content(acts) => patch_of(content, acts),
        RowStep::Expiry(at) => {
            *expire_at = *at;
            let mut out = Vec::new();
            write_expiry_patch(&mut out, *at);
            out
        }
    }
}

fn model_row(content: &Content, expire_at: Option<u64>) -> Vec<u8> {
    let mut row = Vec::new();
    let kind = content.kind();
    let packed = kind.packs();
    Header {
        kind,
        expire_at,
        packed,
        home: None,
    }
    .write(&mut row);
    [row, content.body()].concat()
}

/// Collections with elements of their own too: what follows their header is nobody's business.
#[test]
fn the_expiry_of_any_row_changes() {
    let mut gone = Vec::new();
    write_expiry_patch(&mut gone, None);
    assert_eq!(gone, [0x40]);
    let mut at = Vec::new();
    write_expiry_patch(&mut at, Some(0x0102_0304_0506_0708));
    assert_eq!(at, [0x80, 1, 2, 3, 4, 5, 6, 7, 8]);
    for (tag, body) in [
        (1, &b""[..]),
        (0x45, b"\0"),
        (5, b"id..home..size"),
        (6, b"id..home..stream"),
    ] {
        let row = [&[tag], body].concat();
        let mut expiring = Vec::new();
        patch_row(&mut expiring, Some(&row), &at).unwrap();
        assert_eq!(expiring, [&[tag | 0x80, 1, 2, 3, 4, 5, 6, 7, 8], body].concat());
        let mut stays = Vec::new();
        patch_row(&mut stays, Some(&expiring), &gone).unwrap();
        assert_eq!(stays, row);
    }
    let mut out = Vec::new();
    for patch in [&gone, &at] {
        assert_eq!(patch_row(&mut out, None, patch), Err(PackedError::Missing));
        assert_eq!(patch_row(&mut out, Some(&[0x0f]), patch), Err(PackedError::NotPacked));
    }
    assert_eq!(out, b"");
}

#[test]
fn a_string_is_filled_up_with_zeros() {
    let patch = patch_of_changes(Kind::String, &[Change::Bytes(6, b"x"), Change::Bytes(3, b"yz")]);
    assert_eq!(patch, b"\x01\x03\x02yz\x06\x01x");
    for (before, after) in [
        (&b""[..], &b"\0\0\0yz\0x"[..]),
        (b"a", b"a\0\0yz\0x"),
        (b"abcdef", b"abcyzfx"),
        (b"abcdefghi", b"abcyzfxhi"),
    ] {
        assert_eq!(apply(Kind::String, Some(before), &patch).unwrap(), after);
    }
}

/// The count in front grows and shrinks by a byte.
#[test]
fn counts_change_their_length() {
    for entries in [127u32, 128, 16_383, 16_384] {
        let names: Vec<[u8; 4]> = (0..=entries).map(u32::to_be_bytes).collect();
        let body = |count: usize| {
            let mut out = Vec::new();
            write_set(&mut out, count, names[..count].iter().map(|name| &name[..]));
            out
        };
        let (small, large) = (body(entries as usize), body(entries as usize + 1));
        let last = Change::Member(&names[entries as usize], true);
        let add = patch_of_changes(Kind::Set, &[last]);
        assert_eq!(apply(Kind::Set, Some(&small), &add).unwrap(), large);
        let last = Change::Member(&names[entries as usize], false);
        let delete = patch_of_changes(Kind::Set, &[last]);
        assert_eq!(apply(Kind::Set, Some(&large), &delete).unwrap(), small);
    }
}

#[test]
fn nothing_is_appended_after_an_error() {
    let set = patch_of_changes(Kind::Set, &[Change::Member(b"m", true)]);
    let hash = patch_of_changes(Kind::Hash, &[Change::Field(b"f", None)]);
    let gap = patch_of_changes(Kind::List, &[Change::Element(7, b""), Change::Element(9, b"")]);
    let mut out = b"before".to_vec();
    let other = PackedError::OtherKind {
        patch: Kind::Set,
        row: Kind::Hash,
    };
    assert_eq!(apply_into(&mut out, Kind::Hash, None, &set), Err(other));
    assert_eq!(combine_into(&mut out, &hash, &set), Err(other));
    assert_eq!(patch_row(&mut out, Some(&[0x45, 0]), &set), Err(other));
    assert_eq!(apply_into(&mut out, Kind::List, None, &gap), Err(PackedError::Gap));
    assert_eq!(patch_row(&mut out, None, &gap), Err(PackedError::Gap));
    let cut_body = apply_into(&mut out, Kind::Set, Some(&[1, 5, b'm']), &set);
    assert_eq!(cut_body, Err(PackedError::Body));
    let cut_patch = combine_into(&mut out, &set, &set[..set.len() - 1]);
    assert_eq!(cut_patch, Err(PackedError::Patch));
    let other = PackedError::OtherKind {
        patch: Kind::Set,
        row: Kind::String,
    };
    assert_eq!(patch_row(&mut out, Some(b"\x01text"), &set), Err(other));
    for row in [&[5, 0][..], &[0x0f], &[]] {
        assert_eq!(patch_row(&mut out, Some(row), &set), Err(PackedError::NotPacked));
    }
    assert_eq!(out, b"before");
}

/// What a change costs in the log beyond the names and values.
#[test]
fn a_patch_takes_few_bytes() {
    for (kind, change, bytes) in [
        (Kind::Hash, Change::Field(b"f", Some(b"v")), 3),
        (Kind::Hash, Change::Field(b"f", None), 3),
        (Kind::Set, Change::Member(b"m", true), 2),
        (Kind::Zset, Change::Score(b"m", Some(1)), 10),
        (Kind::List, Change::Element(LABEL_MIDDLE - 1, b"e"), 4),
        (Kind::List, Change::Head(LABEL_MIDDLE + 1), 2),
        (Kind::String, Change::Bytes(100, b"b"), 3),
        (Kind::String, Change::Bytes(20 << 20, b"b"), 6),
    ] {
        let names = match change {
            Change::Field(_, Some(_)) => 2,
            Change::Head(_) => 0,
            _ => 1,
        };
        assert_eq!(patch_of_changes(kind, &[change]).len(), bytes + names, "{change:?}");
    }
}

#[test]
#[should_panic(expected = "out of order")]
fn a_body_out_of_order_is_not_written() {
    write_set(&mut Vec::new(), 2, [&b"b"[..], b"a"]);
}

#[test]
#[should_panic(expected = "other entries than it says")]
fn a_body_with_another_count_is_not_written() {
    write_list(&mut Vec::new(), 0, 2, [&b"b"[..]]);
}
