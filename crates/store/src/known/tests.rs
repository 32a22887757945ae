//! What is known is true, whatever is learned and written.

use super::*;
use crate::keys::Home;
use proptest::prelude::*;

#[test]
fn more_is_read_along_where_all_was_used_up() {
    let prefix = Home { slot: 1, id: 7 }.prefix();
    let key = |n: usize| [&prefix[..], &n.to_be_bytes()].concat();
    let mut known = Known::new(1 << 20);
    let mut next = 0;
    for expected in [
        AHEAD_MIN,
        2 * AHEAD_MIN,
        4 * AHEAD_MIN,
        8 * AHEAD_MIN,
        16 * AHEAD_MIN,
        32 * AHEAD_MIN,
        AHEAD_MAX,
        AHEAD_MAX,
    ] {
        assert_eq!(known.ahead(0, &prefix), expected);
        let end = next + expected;
        let live = (next..end).map(|n| (key(n), Vec::new()));
        known.learn(0, &prefix, (&key(next), &key(end)), live);
        assert_eq!(known.ahead(0, &prefix), AHEAD_MIN, "nothing has been used");
        (next..end).for_each(|n| known.deleted(0, &key(n)));
        next = end;
    }
    known.forget();
    assert_eq!(known.ahead(0, &prefix), AHEAD_MIN);
}

proptest! {
    #[test]
    fn what_is_known_is_true(ops in prop::collection::vec((0u8..7, 0u8..40, 0u8..40), 1..200)) {
        let prefix = Home { slot: 1, id: 7 }.prefix();
        let key = |n: u8| [&prefix[..], &[n]].concat();
        let mut live: BTreeMap<Vec<u8>, Vec<u8>> = (0..40).step_by(3).map(|n| (key(n), vec![n])).collect();
        let mut known = Known::new(1 << 20);
        for (op, a, b) in ops {
            match op {
                6 => {
                    let are_all = a % 2 == 0;
                    let drawn = live.keys().filter(|key| are_all || key.last() > Some(&b));
                    known.set_candidates(0, &prefix, drawn, are_all, Pass::over(a.into(), 1));
                }
                0 => {
                    let value = vec![b; if b == 0 { VALUE_BYTES_MAX + 1 } else { 1 }];
                    known.put(0, &key(a), &value);
                    live.insert(key(a), value);
                }
                1 => {
                    live.remove(&key(a));
                    known.deleted(0, &key(a));
                }
                2 => {
                    live.insert(key(a), vec![b]);
                    known.unknown(0, &key(a));
                }
                _ => {
                    let (from, until) = (key(a.min(b)), key(a.max(b)));
                    let elements = live.range(from.clone()..until.clone()).map(|(k, v)| (k.clone(), v.clone()));
                    known.learn(0, &prefix, (&from, &until), elements);
                }
            }
            for start in (0..41).map(key) {
                let next = live.range(start.clone()..).next();
                match known.look_up(0, &prefix, &start) {
                    Look::Element(k, v) => prop_assert_eq!(next, Some((&k.to_vec(), &v.to_vec()))),
                    Look::NoneBefore(until) => {
                        prop_assert!(*until > *start);
                        prop_assert!(next.is_none_or(|(k, _)| **k >= *until));
                    }
                    Look::Unknown => {}
                }
                let next = live.range(..start.clone()).next_back();
                match known.look_down(0, &prefix, &start) {
                    Look::Element(k, v) => prop_assert_eq!(next, Some((&k.to_vec(), &v.to_vec()))),
                    Look::NoneBefore(from) => {
                        prop_assert!(*from < *start);
                        prop_assert!(next.is_none_or(|(k, _)| **k < *from));
                    }
                    Look::Unknown => {}
                }
            }
            let bytes_of = |c: &Collection| c.pass.bytes() + c.candidates.bytes() + c.ranges.values().map(Range::bytes).sum::<usize>();
            prop_assert_eq!(known.bytes, known.collections.iter().map(bytes_of).sum::<usize>());
            if let Some(any) = known.candidate(0, &prefix, live.len() as u64, u64::from(a) << 56) {
                prop_assert!(live.contains_key(any));
            }
        }
    }
}
