//! An orderly end.

use super::support::{assert_filled, assert_no_panic, fill};
use haypile_testkit::{PATIENCE, Server, wait_until};

/// The line of the log that says what the start had to do.
fn opened(server: &Server) -> String {
    let mut line = String::new();
    wait_until("the line about the data", || {
        line = server
            .log()
            .lines()
            .find(|line| line.contains("the data is open"))
            .unwrap_or_default()
            .to_owned();
        !line.is_empty()
    });
    line
}

#[test]
fn a_clean_stop_leaves_nothing_to_replay() {
    for sync in ["always", "everysec", "os"] {
        let mut server = Server::start(&["--sync", sync]);
        let mut client = server.client();
        fill(&mut client, 300, 100);
        client.say("SELECT 3");
        client.say("RPUSH list a b c");
        client.say("FLUSHDB");
        client.say("SADD set a b c");
        // Some expire while it stops.
        for n in 0..300 {
            client.say(&format!("SET mortal:{n} x PX {}", 1 + n));
        }
        server.restart();
        assert!(opened(&server).contains("replayed=0"), "sync {sync}: {}", server.log());
        let mut client = server.client();
        assert_filled(&mut client, 300, 100);
        client.say("SELECT 3");
        assert_eq!(client.say("EXISTS list"), "0");
        assert_eq!(client.say("SCARD set"), "3");
        // And a stop without anything having been done.
        server.restart();
        assert_filled(&mut server.client(), 300, 100);
        server.kill_and_restart();
        assert_filled(&mut server.client(), 300, 100);
        assert_no_panic(&server.log());
    }
}

#[test]
fn nothing_is_at_work_when_the_process_ends() {
    for io_threads in ["1", "4"] {
        let mut server = Server::start(&["--io-threads", io_threads, "--loglevel", "debug"]);
        fill(&mut server.client(), 300, 100);
        assert_eq!(server.stop().code(), Some(0), "{}", server.log());
        let log = server.log();
        let lines: Vec<&str> = log.lines().collect();
        let place = |what: &str| lines.iter().position(|line| line.contains(what));
        // RocksDB says so when it ends its threads' work. Later it would be while the process is torn down around it.
        let (ended, saved) = (place("canceling all background work"), place("all data is saved"));
        assert!(ended.is_some() && ended < saved, "{log}");
        assert_eq!(saved, Some(lines.len() - 1), "{log}");
        assert_no_panic(&log);
    }
}

#[test]
fn a_stop_may_come_at_any_time() {
    for args in [
        &["--io-threads", "1"][..],
        &["--io-threads", "4", "--sync", "always"],
        &["--io-threads", "4", "--replicaof", "127.0.0.1 1"],
    ] {
        let mut server = Server::stopped(args);
        for round in 0..20 {
            let status = match round % 2 {
                0 => server.start_and_stop(),
                _ => {
                    server.start_again();
                    if round > 10 {
                        // A replica refuses it.
                        server.client().say("SADD set a b c");
                    }
                    server.stop()
                }
            };
            let log = server.log();
            assert_eq!(status.code(), Some(0), "{args:?}, round {round}: {log}");
            assert!(log.contains("all data is saved"), "{args:?}, round {round}: {log}");
            assert_no_panic(&log);
        }
    }
}

#[test]
fn a_stop_ends_those_who_wait() {
    let mut server = Server::start(&[]);
    let (mut waiting, mut open, mut subscribed) = (server.client(), server.client(), server.client());
    waiting.send(&["BLPOP", "list", "0"]);
    open.say("MULTI");
    open.say("SET a 1");
    subscribed.say("SUBSCRIBE channel");
    let mut client = server.client();
    wait_until("a blocked client", || client.say("CLIENT LIST").contains("cmd=blpop"));
    let status = server.stop();
    assert_eq!(status.code(), Some(0));
    for mut client in [open, subscribed, client] {
        client.assert_closed();
    }
    // It may be told that the server stops.
    while let Ok(reply) = waiting.recv_within(PATIENCE) {
        assert!(reply.is_some(), "the connection stays open");
    }
    server.start_again();
    assert_eq!(server.client().say("EXISTS a list"), "0");
}

#[test]
fn a_kill_leaves_what_was_acknowledged_to_be_replayed() {
    let mut server = Server::start(&["--sync", "os"]);
    fill(&mut server.client(), 200, 100);
    server.kill_and_restart();
    let line = opened(&server);
    assert!(!line.contains("replayed=0"), "{line}");
    assert_filled(&mut server.client(), 200, 100);
}
