//! Readers.

use proptest::prelude::*;

use super::model::name;
use super::*;
use crate::packed::*;

/// Iterates forward, from each rank, by index and backward: they must agree.
fn entries<'a, S: Shape<Item<'a>: PartialEq + std::fmt::Debug>>(packed: Packed<'a, S>) -> Vec<S::Item<'a>> {
    let forward: Vec<S::Item<'a>> = packed.iter().map(Result::unwrap).collect();
    assert_eq!(forward.len(), packed.len());
    assert_eq!(packed.is_empty(), forward.is_empty());
    for rank in 0..forward.len() + 2 {
        let rest: Vec<S::Item<'a>> = packed.iter_from(rank).unwrap().map(Result::unwrap).collect();
        assert_eq!(rest, forward[rank.min(forward.len())..]);
    }
    let indexed = packed.indexed().unwrap();
    assert_eq!(indexed.len(), forward.len());
    assert_eq!(indexed.is_empty(), forward.is_empty());
    assert_eq!(indexed.iter().collect::<Vec<_>>(), forward);
    assert!(indexed.iter().rev().eq(forward.iter().rev().copied()));
    for (rank, item) in forward.iter().enumerate() {
        assert_eq!(indexed.get(rank), Some(*item));
    }
    assert_eq!(indexed.get(forward.len()), None);
    packed.check().unwrap();
    forward
}

proptest! {
    #[test]
    fn what_was_written_is_read(kind in packed_kinds(), acts in acts(24), sought in name(), score in 0u64..5) {
        let content = content(kind, &acts);
        let body = content.body();
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let sizes = match &content {
            Content::Hash(map) => {
                let hash = PackedHash::read(&body).unwrap();
                prop_assert!(entries(hash).into_iter().eq(map.iter().map(|(field, value)| (&field[..], &value[..]))));
                for field in map.keys().chain([&sought]) {
                    prop_assert_eq!(hash.get(field), Ok(map.get(field).map(|value| &value[..])));
                    prop_assert_eq!(hash.lower_bound(field), Ok(map.range(..field.clone()).count()));
                }
                (hash.sizes(), longest(&mut map.iter().flat_map(|(field, value)| [field.len(), value.len()])))
            }
            Content::Set(map) => {
                let set = PackedSet::read(&body).unwrap();
                prop_assert!(entries(set).into_iter().eq(map.keys().map(|member| &member[..])));
                for member in map.keys().chain([&sought]) {
                    prop_assert_eq!(set.contains(member), Ok(map.contains_key(member)));
                    prop_assert_eq!(set.lower_bound(member), Ok(map.range(..member.clone()).count()));
                }
                (set.sizes(), longest(&mut map.keys().map(Vec::len)))
            }
            Content::Zset(map) => {
                let zset = PackedZset::read(&body).unwrap();
                let mut sorted: Vec<(u64, &[u8])> = map.iter().map(|(member, score)| (*score, &member[..])).collect();
                sorted.sort();
                prop_assert_eq!(&entries(zset), &sorted);
                for member in map.keys().chain([&sought]) {
                    let rank = sorted.iter().position(|(_, at)| at == member);
                    prop_assert_eq!(zset.score(member), Ok(map.get(member).copied()));
                    prop_assert_eq!(zset.rank(member), Ok(rank.map(|rank| (rank, sorted[rank].0))));
                    let before = |bound: (u64, &[u8])| sorted.iter().filter(|at| **at < bound).count();
                    prop_assert_eq!(zset.lower_bound(score, member), Ok(before((score, member))));
                    prop_assert_eq!(zset.first_with_score(score), Ok(before((score, b""))));
                }
                (zset.sizes(), longest(&mut map.keys().map(Vec::len)))
            }
            Content::List(map) => {
                let list = PackedList::read(&body).unwrap();
                let elements: Vec<&[u8]> = map.values().map(|element| &element[..]).collect();
                prop_assert_eq!(&entries(list.elements), &elements);
                prop_assert!(list.labels().eq(map.keys().copied()));
                prop_assert_eq!((list.len(), list.is_empty()), (map.len(), map.is_empty()));
                for index in 0..elements.len() + 2 {
                    prop_assert_eq!(list.get(index), Ok(elements.get(index).copied()));
                    let label = list.labels().start.wrapping_add(index as u64).wrapping_sub(1);
                    prop_assert_eq!(list.get_label(label), Ok(map.get(&label).map(|element| &element[..])));
                }
                (list.sizes(), longest(&mut map.values().map(Vec::len)))
            }
            Content::String(_) => panic!("strings are not packed"),
        };
        prop_assert_eq!(count(&body), Ok(sizes.0.unwrap().count as u64));
        prop_assert_eq!(sizes.0.unwrap().longest, sizes.1);
        prop_assert!(sizes.0.unwrap().bytes <= body.len());
    }
}

#[test]
fn bodies_out_of_order_are_noticed() {
    let check = |kind, body: &[u8]| match kind {
        Kind::Hash => PackedHash::read(body).unwrap().check(),
        Kind::Set => PackedSet::read(body).unwrap().check(),
        _ => PackedZset::read(body).unwrap().check(),
    };
    for (kind, first, second) in [
        (Kind::Hash, &[1, 0, b'a'][..], &[1, 0, b'b'][..]),
        (Kind::Set, &[1, b'a'], &[1, b'b']),
        (
            Kind::Zset,
            &[0, 0, 0, 0, 0, 0, 0, 1, 1, b'b'],
            &[0, 0, 0, 0, 0, 0, 0, 2, 1, b'a'],
        ),
        (
            Kind::Zset,
            &[0, 0, 0, 0, 0, 0, 0, 1, 1, b'a'],
            &[0, 0, 0, 0, 0, 0, 0, 1, 1, b'b'],
        ),
    ] {
        assert_eq!(check(kind, &[&[2], first, second].concat()), Ok(()));
        assert_eq!(check(kind, &[&[2], second, first].concat()), Err(PackedError::Body));
        assert_eq!(check(kind, &[&[2], first, first].concat()), Err(PackedError::Body));
    }
}
