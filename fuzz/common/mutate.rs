//! Inputs for a target that runs as an ordinary test: any bytes, and valid ones with some damage.
#![allow(dead_code)] // each test program uses its part

use proptest::prelude::*;

/// Runs of a target in an ordinary run of the tests; `HAYPILE_FUZZ_CASES` asks for another number.
pub fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("HAYPILE_FUZZ_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(cases),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Put(prop::sample::Index, Vec<u8>),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Cut(prop::sample::Index),
}

/// Numbers at which mistakes are made, as varints and as they are.
fn telling() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..6),
        Just(vec![0xff; 8]),
        Just(vec![0; 8]),
        Just(vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        Just(vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
        Just(vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    use prop::sample::Index;
    prop_oneof![
        (any::<Index>(), 1u8..=255).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        (any::<Index>(), telling()).prop_map(|(at, bytes)| Damage::Put(at, bytes)),
        (any::<Index>(), telling()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<Index>(), 1usize..20).prop_map(|(at, length)| Damage::Remove(at, length)),
        (any::<Index>(), 1usize..40).prop_map(|(at, length)| Damage::Repeat(at, length)),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

fn carry_out(damage: &Damage, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let whole = bytes.len();
    match damage {
        Damage::Flip(at, bits) => bytes[at.index(whole)] ^= bits,
        Damage::Put(at, put) => {
            let at = at.index(whole);
            let end = whole.min(at + put.len());
            bytes.splice(at..end, put.iter().copied());
        }
        Damage::Insert(at, put) => {
            let at = at.index(whole);
            bytes.splice(at..at, put.iter().copied());
        }
        Damage::Remove(at, length) => {
            let at = at.index(whole);
            bytes.drain(at..whole.min(at + length));
        }
        Damage::Repeat(at, length) => {
            let at = at.index(whole);
            let again = bytes[at..whole.min(at + length)].to_vec();
            bytes.splice(at..at, again);
        }
        Damage::Cut(at) => bytes.truncate(at.index(whole)),
    }
}

/// Any bytes, as many as `length_max`.
pub fn any_bytes(length_max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..length_max),
        // Small numbers are lengths and kinds that go together more often.
        prop::collection::vec(0u8..12, 0..length_max),
    ]
}

/// What `valid` gives, as it is or with some damage.
pub fn damaged(valid: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (valid, prop::collection::vec(damage(), 0..5)).prop_map(|(mut bytes, all)| {
        all.iter().for_each(|damage| carry_out(damage, &mut bytes));
        bytes
    })
}

/// Puts the inputs with which a target begins where `HAYPILE_FUZZ_SEEDS` says, if it does: there the fuzzer begins with them.
pub fn keep_seeds(target: &str, seeds: &[Vec<u8>]) {
    let Some(dir) = std::env::var_os("HAYPILE_FUZZ_SEEDS") else {
        return;
    };
    let dir = std::path::Path::new(&dir).join(target);
    std::fs::create_dir_all(&dir).unwrap();
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(dir.join(format!("seed-{number}")), seed).unwrap();
    }
}
