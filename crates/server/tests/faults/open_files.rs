//! Too few file descriptors for all who come.

use std::time::Duration;

use super::support::{assert_filled, assert_no_panic, fill};
use haypile_testkit::{Client, Server, wait_until};

/// Files that the server may open, itself included.
const OPEN_FILES: u32 = 64;
/// Clients that try to come: more than can.
const CLIENTS: usize = 120;

#[test]
fn clients_beyond_the_limit_do_no_harm() {
    // Small, so that files are opened all the time.
    let small = [
        "--oplog-segment-bytes",
        "1mb",
        "--oplog-retention-bytes",
        "16mb",
        "--memory-budget",
        "64mb",
        "--rocksdb-write-buffer-size",
        "1mb",
    ];
    let mut server = Server::stopped(&small);
    server.set_open_files_max(OPEN_FILES);
    server.start_again();
    let mut first = server.client();
    fill(&mut first, 100, 1000);

    // Those beyond the limit are turned away, or not served.
    let mut served = Vec::new();
    let mut beyond = Vec::new();
    for _ in 0..CLIENTS {
        let Ok(mut client) = Client::try_connect(server.port()) else {
            continue;
        };
        match ping(&mut client, Duration::from_secs(2)) {
            true => served.push(client),
            false => beyond.push(client),
        }
    }
    assert!(
        !served.is_empty() && !beyond.is_empty(),
        "{} served, {} not",
        served.len(),
        beyond.len()
    );

    // Those who are in work on, and what needs files in the background gets them: segments of the log, flushes.
    fill(&mut first, 4000, 1000);
    for client in &mut served {
        assert_eq!(client.say("INCR counter"), client.say("GET counter").trim_matches('"'));
    }
    assert_filled(&mut first, 4000, 1000);

    // When some go, others come in: new ones, and those who wait.
    let count = served.len();
    served.clear();
    drop(beyond);
    wait_until("new clients are served", || {
        let mut again: Vec<Client> = (0..count / 2)
            .filter_map(|_| Client::try_connect(server.port()).ok())
            .collect();
        again.iter_mut().all(|client| ping(client, Duration::from_secs(1)))
    });
    let log = server.log();
    assert_no_panic(&log);
    server.kill_and_restart();
    assert_filled(&mut server.client(), 4000, 1000);
    server.restart();
    assert_no_panic(&server.log());
}

/// A client that has come in vain is not forgotten: it is served as soon as there is room, or has been turned away.
#[test]
fn clients_that_wait_are_served_when_others_go() {
    let mut server = Server::stopped(&[]);
    server.set_open_files_max(OPEN_FILES);
    server.start_again();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .filter_map(|_| Client::try_connect(server.port()).ok())
        .collect();
    clients.iter_mut().for_each(|client| {
        // One that was turned away cannot be written to.
        let _ = client.try_send_lines(&["PING"]);
    });
    // Each gets its answer or is turned away, if the ones before it have gone by then.
    for (n, mut client) in clients.drain(..).enumerate() {
        if let Ok(None) = client.recv_within(haypile_testkit::PATIENCE) {
            panic!("client {n} is neither served nor turned away: {}", server.log());
        }
    }
    assert_no_panic(&server.log());
}

/// True if the client gets an answer in time that is not a refusal.
fn ping(client: &mut Client, patience: Duration) -> bool {
    let sent = client.try_send_lines(&["PING"]);
    sent.is_ok() && matches!(client.recv_within(patience), Ok(Some(reply)) if reply.as_error().is_none())
}
