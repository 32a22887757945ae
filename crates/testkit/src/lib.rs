//! What black-box tests share, which run the real binary: a [`Server`] on a free port of the loopback interface with its data in a
//! temporary directory, a [`Client`] that speaks RESP to it over a socket, a [`Net`] between servers that can be made to
//! misbehave, a [`SmallDisk`], and a [`Redis`] to compare with.
//!
//! ```no_run
//! use haypile_testkit::{Server, ok};
//!
//! let server = Server::start(&["--sync", "always"]);
//! let mut client = server.client();
//! assert_eq!(client.cmd(&["SET", "a", "b"]), ok());
//! assert_eq!(client.say("GET a"), "\"b\"");
//! ```
//!
//! Whatever waits does so for a condition, for at most [`PATIENCE`], and panics with what it has waited for.

// Tests end with a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client;
mod disk;
mod environment;
mod ports;
mod proxy;
mod random;
mod redis;
mod server;
mod text;

use std::time::{Duration, Instant};

pub use client::{Client, encode};
pub use disk::SmallDisk;
pub use environment::{now_ms, number, seed};
pub use ports::free_port;
pub use proxy::{Link, Net, SYNC_PORT_ABOVE, Way, Weather};
pub use random::Rng;
pub use redis::Redis;
pub use server::{Refusal, Server, haypile};
pub use text::{array, bulk, error, int, ok, text, words};

pub use haypile_resp::client::Value;

/// How long anything is waited for before the test fails. Generous: the machine may be busy, and no test is decided by
/// how fast it is.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within [`PATIENCE`]; `what` says what was waited for.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
