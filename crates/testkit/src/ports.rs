//! Ports that nobody listens on, for servers that have to come back at the same address.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// The range that ports are taken from: below the one from which the system gives ports to connections, so that a port stays
/// free while its server is down.
const FIRST: u16 = 10_000;
const PORTS: u16 = 20_000;
/// Ports that a test process tries first: others have other ones.
const EACH: u16 = 20;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// A port of the loopback interface that nobody listens on. For servers that must come back at the same address; others
/// listen on port 0.
#[track_caller]
pub fn free_port() -> u16 {
    let first = (std::process::id() % u32::from(PORTS / EACH)) as u16 * EACH;
    for _ in 0..PORTS {
        let next = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + first.wrapping_add(next) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
