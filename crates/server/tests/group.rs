//! Replica groups of three real servers: what is acknowledged stays, whoever is killed, stopped or cut off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod group {
    mod doors;
    mod failover;
    mod members;
    mod redis;
    mod support;
}
