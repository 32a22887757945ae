//! A primary and its replicas as real processes: they catch up, stay in step, survive kills, and change places.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod replication {
    mod cables;
    mod clients;
    mod commands;
    mod copies;
    mod disks;
    mod doors;
    mod events;
    mod expiry;
    mod failures;
    mod freezes;
    mod full_sync;
    mod giving_up;
    mod kills;
    mod netns;
    mod peers;
    mod pubsub;
    mod retention;
    mod roles;
    mod stream;
    mod support;
    mod tenures;
    mod tools;
}
