//! Changes of a packed collection come to the row that they mean.

use haypile_store::packed::{LABEL_MIDDLE, apply};
use proptest::prelude::*;

use super::*;

/// An element of a hash, and a label's name.
fn name(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

proptest! {
    /// A collection that goes on after it was stored is stored again: what is logged then must fit the row that is stored, and
    /// not only the one that was read.
    #[test]
    fn what_is_stored_again_fits_what_was_stored(before in 0u64..4, steps in prop::collection::vec((0u8..5, 0u64..6, 0u8..3), 1..30)) {
        for kind in [Kind::Hash, Kind::List] {
            let mut packing = Packing::new(kind);
            let mut indexes = LABEL_MIDDLE..LABEL_MIDDLE;
            let mut stored: Option<Vec<u8>> = None;
            for n in 0..before {
                packing.set(&name(LABEL_MIDDLE + n), Some(b"before")).unwrap();
                indexes.end += 1;
            }
            if before > 0 {
                let patch = packing.patch(indexes.clone()).unwrap();
                let body = apply(kind, None, &patch).unwrap();
                packing = Packing::of(kind, Value::Borrowed(&body), 0);
                stored = Some(body);
            }
            for (step, n, value) in &steps {
                match (kind, step) {
                    (_, 0) => {
                        let patch = packing.patch(indexes.clone()).unwrap();
                        let mut body = Vec::new();
                        packing.apply(&mut body, &patch).unwrap();
                        let logged = apply(kind, stored.as_deref(), &patch).unwrap();
                        prop_assert_eq!(&logged, &body);
                        if kind == Kind::List {
                            prop_assert_eq!(packed::count(&body).unwrap(), indexes.end - indexes.start);
                        }
                        packing.has_been_stored(indexes.clone());
                        // A collection without elements is deleted, and not gone on with.
                        if packed::count(&body).unwrap() == 0 {
                            return Ok(());
                        }
                        stored = Some(body);
                    }
                    (Kind::Hash, 1 | 2) => packing.set(&name(*n), Some(&[*value])).unwrap(),
                    (Kind::Hash, _) => packing.set(&name(*n), None).unwrap(),
                    (_, 1) => {
                        indexes.start -= 1;
                        packing.set(&name(indexes.start), Some(&[*value])).unwrap();
                    }
                    (_, 2) => {
                        packing.set(&name(indexes.end), Some(&[*value])).unwrap();
                        indexes.end += 1;
                    }
                    (_, 3) if !indexes.is_empty() => {
                        packing.set(&name(indexes.start), None).unwrap();
                        indexes.start += 1;
                    }
                    (_, 4) if !indexes.is_empty() => {
                        indexes.end -= 1;
                        packing.set(&name(indexes.end), None).unwrap();
                    }
                    _ => {}
                }
            }
        }
    }
}
