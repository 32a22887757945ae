//! See `crates/oplog/tests/fuzz/directory.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/oplog/tests/fuzz/directory.rs"]
mod directory;
#[path = "../common/input.rs"]
mod input;

fuzz_target!(|bytes: &[u8]| directory::run(bytes));
