//! Who gets how many of the files that the process may open (`ulimit -n`).
//!
//! A client that finds no file left is told so or waits. The store is worse off: a flush that cannot open its file ends
//! all writing until a restart. So clients get only what the rest can do without.

use crate::config::Values;
use crate::http::CONNECTIONS_MAX;
use crate::io::thread_count;
use crate::process::raise_open_files;

/// Files of the server itself: the standard ones, locks, logs, directories, listeners, signals.
const OWN_FILES: u64 = 24;
/// Files of each connection thread: its event queue and what wakes it.
const THREAD_FILES: u64 = 2;
/// Files of the HTTP port's thread, besides its connections.
const HTTP_FILES: u64 = 4;
/// Files that the store gets at least, unless it is as many as half of what there is.
const STORE_FILES_MIN: u64 = 1024;
/// Files with which the store need not be told to close any: a table has 64 MiB, so these are terabytes.
const STORE_FILES_PLENTY: u64 = 100_000;

/// The shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Clients: `maxclients`, or what can be had.
    pub clients: u32,
    /// Tables that the store may keep open; `None`: all.
    pub store: Option<u32>,
}

/// Raises the process's limit as far as it is wanted and allowed, and divides it.
pub fn share(values: &Values) -> Shares {
    let segments = values.oplog_retention_bytes / values.oplog_segment_bytes.max(1);
    let http = match values.http_port {
        0 => 0,
        _ => HTTP_FILES + CONNECTIONS_MAX as u64,
    };
    let sync = match values.sync_port {
        0 => 0,
        _ => u64::from(values.sync_connections_max),
    };
    let own = OWN_FILES + THREAD_FILES * thread_count(values) as u64 + segments + http + sync;
    let clients = u64::from(values.maxclients);
    divide(raise_open_files(own + clients + STORE_FILES_PLENTY), own, clients)
}

fn divide(files: u64, own: u64, clients: u64) -> Shares {
    let rest = files.saturating_sub(own);
    let clients = clients.min(rest - STORE_FILES_MIN.min(rest / 2)).max(1);
    let store = rest.saturating_sub(clients);
    Shares {
        clients: u32::try_from(clients).unwrap_or(u32::MAX),
        store: (store < STORE_FILES_PLENTY).then_some(store as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_the_store_can_do_without() {
        let shares = |clients, store| Shares { clients, store };
        assert_eq!(divide(1 << 20, 40, 10_000), shares(10_000, None));
        assert_eq!(divide(110_040, 40, 10_000), shares(10_000, None));
        assert_eq!(divide(65_536, 40, 10_000), shares(10_000, Some(55_496)));
        assert_eq!(divide(20_000, 44, 10_000), shares(10_000, Some(9956)));
        assert_eq!(divide(4096, 96, 10_000), shares(2976, Some(1024)));
        assert_eq!(divide(1096, 96, 10_000), shares(500, Some(500)));
        assert_eq!(divide(64, 44, 10_000), shares(10, Some(10)));
        assert_eq!(divide(16, 44, 10_000), shares(1, Some(0)));
        assert_eq!(divide(u64::MAX, 44, u64::from(u32::MAX)), shares(u32::MAX, None));
    }
}
