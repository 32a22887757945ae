//! The fuzz targets of this crate, in the ordinary tests: any bytes, and valid messages with some damage. `make fuzz` runs the same
//! bodies with a fuzzer that is guided by what they reach.

#![allow(clippy::unwrap_used)]

#[path = "../../../fuzz/common/input.rs"]
mod input;
#[path = "fuzz/machines.rs"]
mod machines;
#[path = "fuzz/manifest.rs"]
mod manifest;
#[path = "fuzz/messages.rs"]
mod messages;
#[path = "../../../fuzz/common/mutate.rs"]
mod mutate;
#[path = "fuzz/seeds.rs"]
mod seeds;

use mutate::{any_bytes, damaged};
use proptest::prelude::*;

proptest! {
    #![proptest_config(mutate::config(4000))]

    #[test]
    fn any_bytes_are_no_message_or_one_that_is_understood(kind in 0..messages::KINDS, bytes in any_bytes(120)) {
        messages::run(&[&[kind], &bytes[..]].concat());
    }

    #[test]
    fn damaged_messages_are_refused_or_understood(bytes in damaged(prop::sample::select(seeds::messages()))) {
        messages::run(&bytes);
    }

    #[test]
    fn machines_take_whatever_comes(bytes in any_bytes(600)) {
        machines::run(&bytes);
    }

    #[test]
    fn damaged_manifests_are_refused_or_can_be_copied(bytes in damaged(prop::sample::select(seeds::manifests()))) {
        manifest::run(&bytes);
    }
}

/// The seeds reach what they are for: a target that refuses everything would find nothing.
#[test]
fn seeds_are_valid() {
    seeds::messages().iter().for_each(|seed| messages::run(seed));
    seeds::manifests().iter().for_each(|seed| manifest::run(seed));
    mutate::keep_seeds("sync_messages", &seeds::messages());
    mutate::keep_seeds("manifest", &seeds::manifests());
}
