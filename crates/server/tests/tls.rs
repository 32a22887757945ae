//! TLS between clients and the server, and between servers. Certificates and keys are made anew for each test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod tls {
    mod access;
    mod config;
    mod metrics;
    mod replication;
    mod support;
    mod traffic;
}
