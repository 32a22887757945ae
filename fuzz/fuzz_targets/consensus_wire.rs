//! See `crates/consensus/tests/fuzz/wire.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/consensus/tests/fuzz/wire.rs"]
mod wire;

fuzz_target!(|bytes: &[u8]| drop(wire::read(bytes)));
