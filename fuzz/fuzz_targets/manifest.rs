//! See `crates/sync/tests/fuzz/manifest.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../common/input.rs"]
mod input;
#[path = "../../crates/sync/tests/fuzz/manifest.rs"]
mod manifest;
#[allow(dead_code)] // it has what its neighbours need
#[path = "../../crates/sync/tests/fuzz/messages.rs"]
mod messages;

fuzz_target!(|bytes: &[u8]| manifest::run(bytes));
