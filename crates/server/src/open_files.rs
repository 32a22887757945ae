//! Who gets how many of the files that the process may open (`ulimit -n`).
//!
//! A client that finds no file left is told so or waits. The store is worse off: a flush that cannot open its file ends
//! all writing until a restart. So clients get only what the rest can do without.

use haypile_config::Values;
use haypile_node::process::raise_open_files;

/// Connections of the HTTP port at the same time, where there are files enough. One more takes the place of the one that has been silent
/// for longest; if all are being answered, it is closed.
pub const HTTP_CONNECTIONS_MAX: u32 = 32;
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

/// Where files are few, the connections of the HTTP port and of the sync port get one part in so many of them.
const DOORS_SHARE: u64 = 8;

/// Number of connection threads.
pub fn thread_count(values: &Values) -> usize {
    match values.io_threads {
        // The other half is for RocksDB's threads, settling and the log.
        0 => std::thread::available_parallelism()
            .map_or(1, |n| n.get().div_ceil(2))
            .min(16),
        n => usize::from(n),
    }
}

/// The shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Clients: `maxclients`, or what can be had.
    pub clients: u32,
    /// Tables that the store may keep open; `None`: all.
    pub store: Option<u32>,
    /// Connections of the HTTP port.
    pub http: u32,
    /// Connections of the sync port: `sync-connections-max`, or what can be had.
    pub sync: u32,
}

/// Raises the process's limit as far as it is wanted and allowed, and divides it.
pub fn share(values: &Values) -> Shares {
    let segments = values.oplog_retention_bytes / values.oplog_segment_bytes.max(1);
    let http = if values.http_port == 0 { 0 } else { HTTP_FILES };
    let own = OWN_FILES + THREAD_FILES * thread_count(values) as u64 + segments + http;
    let wanted = Shares {
        clients: values.maxclients,
        store: None,
        http: if values.http_port == 0 { 0 } else { HTTP_CONNECTIONS_MAX },
        sync: if values.sync_port == 0 {
            0
        } else {
            values.sync_connections_max
        },
    };
    let files = own + u64::from(wanted.clients) + u64::from(wanted.http) + u64::from(wanted.sync) + STORE_FILES_PLENTY;
    divide(raise_open_files(files), own, wanted)
}

fn divide(files: u64, own: u64, wanted: Shares) -> Shares {
    let doors = u64::from(wanted.http) + u64::from(wanted.sync);
    let for_doors = doors.min(files / DOORS_SHARE);
    let door = |wanted: u32| match u64::from(wanted) * for_doors {
        0 => wanted.min(1),
        share => (share / doors).max(1) as u32,
    };
    let (http, sync) = (door(wanted.http), door(wanted.sync));
    let rest = files.saturating_sub(own + u64::from(http) + u64::from(sync));
    let clients = u64::from(wanted.clients);
    let clients = clients.min(rest - STORE_FILES_MIN.min(rest / 2)).max(1);
    let store = rest.saturating_sub(clients);
    Shares {
        clients: u32::try_from(clients).unwrap_or(u32::MAX),
        store: (store < STORE_FILES_PLENTY).then_some(store as u32),
        http,
        sync,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(files: u64, own: u64, clients: u32, http: u32, sync: u32) -> (u32, Option<u32>, u32, u32) {
        let store = None;
        let shares = divide(
            files,
            own,
            Shares {
                clients,
                store,
                http,
                sync,
            },
        );
        (shares.clients, shares.store, shares.http, shares.sync)
    }

    #[test]
    fn clients_get_what_the_store_can_do_without() {
        let of = |files, own, clients| {
            let (clients, store, ..) = divided(files, own, clients, 0, 0);
            (clients, store)
        };
        assert_eq!(of(1 << 20, 40, 10_000), (10_000, None));
        assert_eq!(of(110_040, 40, 10_000), (10_000, None));
        assert_eq!(of(65_536, 40, 10_000), (10_000, Some(55_496)));
        assert_eq!(of(20_000, 44, 10_000), (10_000, Some(9956)));
        assert_eq!(of(4096, 96, 10_000), (2976, Some(1024)));
        assert_eq!(of(1096, 96, 10_000), (500, Some(500)));
        assert_eq!(of(64, 44, 10_000), (10, Some(10)));
        assert_eq!(of(16, 44, 10_000), (1, Some(0)));
        assert_eq!(of(u64::MAX, 44, u32::MAX), (u32::MAX, None));
    }

    #[test]
    fn the_other_ports_get_little_where_there_is_little() {
        assert_eq!(divided(1 << 20, 40, 10_000, 32, 64), (10_000, None, 32, 64));
        assert_eq!(divided(1024, 40, 10_000, 32, 64), (444, Some(444), 32, 64));
        assert_eq!(divided(64, 44, 10_000, 32, 64), (7, Some(6), 2, 5));
        assert_eq!(divided(4, 44, 10_000, 32, 64), (1, Some(0), 1, 1));
        assert_eq!(divided(64, 44, 10_000, 0, 0), (10, Some(10), 0, 0));
    }
}
