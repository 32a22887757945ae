//! What reading and patching cost, for people: no figure decides a test.

use std::hint::black_box;
use std::time::Instant;

use super::*;

/// Nanoseconds of one call: the least over some rounds, which is what the code costs when nothing else goes on.
fn ns(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 2000;
    let round = |_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..200).map(round).fold(f64::INFINITY, f64::min)
}

fn see<T>(seen: T) {
    black_box(seen);
}

/// A type, a body of it, and what writes a patch of an entry.
type Case<'a> = (&'a str, Kind, &'a [u8], &'a dyn Fn(&[u8], &mut Vec<u8>));

fn measure(entries: usize, name: &dyn Fn(usize) -> Vec<u8>, value: &[u8]) {
    let mut names: Vec<Vec<u8>> = (0..entries).map(name).collect();
    names.sort();
    let (mut hash, mut set, mut zset, mut list) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let scored = || names.iter().enumerate().map(|(rank, name)| (rank as u64, &name[..]));
    write_hash(&mut hash, entries, names.iter().map(|name| (&name[..], value)));
    write_set(&mut set, entries, names.iter().map(|name| &name[..]));
    write_zset(&mut zset, entries, scored());
    write_list(&mut list, LABEL_MIDDLE, entries, names.iter().map(|name| &name[..]));
    // Names in an order that the processor cannot guess.
    let mut state = 1u64;
    let mut picks = [0usize; 4096];
    for pick in &mut picks {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        *pick = (state >> 33) as usize % entries;
    }
    let mut at = 0;
    let mut pick = || {
        at = (at + 1) % picks.len();
        &names[picks[at]][..]
    };
    let print = |what: &str, ns: f64| println!("  {what:<28} {ns:8.1} ns");
    println!("{entries} entries like {:?}", String::from_utf8_lossy(&names[0]));
    print("choosing a name", ns(|| see(pick())));
    let packed = || PackedHash::read(black_box(&hash)).unwrap();
    print("hash get", ns(|| see(packed().get(pick()))));
    print("hash get, missing", ns(|| see(packed().get(black_box(b"field:x")))));
    print("hash iterate", ns(|| packed().iter().for_each(see)));
    print("hash index", ns(|| see(packed().indexed())));
    let packed = || PackedSet::read(black_box(&set)).unwrap();
    print("set contains", ns(|| see(packed().contains(pick()))));
    print("set iterate", ns(|| packed().iter().for_each(see)));
    let packed = || PackedZset::read(black_box(&zset)).unwrap();
    print("zset rank", ns(|| see(packed().rank(pick()))));
    print("zset iterate", ns(|| packed().iter().for_each(see)));
    print(
        "zset by score",
        ns(|| see(packed().first_with_score(entries as u64 / 2))),
    );
    let packed = || PackedList::read(black_box(&list)).unwrap();
    print("list get in the middle", ns(|| see(packed().get(entries / 2))));
    print("list iterate", ns(|| packed().iter().for_each(see)));

    let mut out = Vec::new();
    let mut patch = Vec::new();
    print(
        "hash patch, apply",
        ns(|| {
            patch.clear();
            let mut set = HashPatch::default();
            set.set(pick(), value);
            set.write(&mut patch);
            see(apply(Kind::Hash, Some(&hash), &patch));
        }),
    );
    let kinds: [Case<'_>; 4] = [
        ("hash", Kind::Hash, &hash, &|name, out| {
            let mut patch = HashPatch::default();
            patch.set(name, value);
            patch.write(out);
        }),
        ("set", Kind::Set, &set, &|name, out| {
            let mut patch = SetPatch::default();
            patch.delete(name);
            patch.write(out);
        }),
        ("zset", Kind::Zset, &zset, &|name, out| {
            let mut patch = ZsetPatch::default();
            patch.set(name, 1);
            patch.write(out);
        }),
        ("list", Kind::List, &list, &|name, out| {
            let mut patch = ListPatch::default();
            patch.set(LABEL_MIDDLE + entries as u64, name);
            patch.write(out);
        }),
    ];
    for (what, kind, body, change) in kinds {
        patch.clear();
        change(&names[entries / 2], &mut patch);
        print(
            &format!("{what} apply into"),
            ns(|| {
                out.clear();
                apply_into(&mut out, kind, Some(black_box(body)), black_box(&patch)).unwrap();
            }),
        );
    }
    let mut other = Vec::new();
    kinds[0].3(&names[entries - 1], &mut other);
    patch.clear();
    kinds[0].3(&names[0], &mut patch);
    print(
        "hash combine",
        ns(|| see(combine(black_box(&patch), black_box(&other)))),
    );
}

#[test]
#[ignore = "prints figures: cargo test --release -p haypile-store packed::measure -- --ignored --nocapture"]
fn prints_what_packed_rows_cost() {
    for entries in [10, 100] {
        measure(
            entries,
            &|n| format!("field:{n:04}").into_bytes(),
            b"some value of 24 bytes..",
        );
        measure(entries, &|n| format!("f{}", n * n * n).into_bytes(), b"value");
    }
}
