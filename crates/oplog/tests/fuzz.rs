//! The fuzz target of this crate, in the ordinary tests.

#![allow(clippy::unwrap_used)]

#[path = "fuzz/directory.rs"]
mod directory;
#[path = "../../../fuzz/common/input.rs"]
mod input;
#[path = "../../../fuzz/common/mutate.rs"]
mod mutate;

use proptest::prelude::*;

proptest! {
    #![proptest_config(mutate::config(1500))]

    #[test]
    fn any_directory_opens_and_works_or_is_refused_and_left_alone(bytes in mutate::any_bytes(500)) {
        directory::run(&bytes);
    }
}
