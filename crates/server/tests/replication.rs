//! A primary and its replicas as real processes: they catch up, stay in step, survive kills, and change places.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod common;

mod replication {
    mod clients;
    mod commands;
    mod events;
    mod expiry;
    mod failures;
    mod full_sync;
    mod pubsub;
    mod roles;
    mod stream;
    mod support;
}
