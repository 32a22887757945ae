//! Primaries and replicas for these tests, and what is waited for.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use haypile_testkit::{Client, PATIENCE, Server, wait_until};

/// A server with arguments for quick tests.
pub fn primary(args: &[&str]) -> Server {
    let mut all = vec!["--repl-retry-max-ms", "200", "--enable-debug-command", "yes"];
    all.extend(args);
    Server::start(&all)
}

/// A replica of the server at this port.
pub fn replica_of(port: u16, args: &[&str]) -> Server {
    let address = format!("127.0.0.1 {port}");
    let mut all = vec!["--replicaof", &address];
    all.extend(args);
    primary(&all)
}

/// A field of INFO replication; empty if it is not there.
pub fn field(client: &mut Client, name: &str) -> String {
    let info = client.cmd(&["INFO", "replication"]);
    let text = String::from_utf8_lossy(info.as_bytes().unwrap()).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_default().to_owned()
}

/// Waits until the replica has an open stream.
#[track_caller]
pub fn wait_for_link(replica: &Server) {
    let mut client = replica.client();
    wait_until("the link to the primary", || {
        field(&mut client, "master_link_status") == "up"
    });
}

/// Waits until the primary sends what it has to this many replicas.
#[track_caller]
pub fn wait_for_streams(primary: &Server, replicas: usize) {
    let mut client = primary.client();
    wait_until("the replicas' streams", || {
        let online = |n: usize| field(&mut client, &format!("slave{n}")).contains("state=online");
        (0..replicas).map(online).filter(|online| *online).count() == replicas
    });
}

/// A replica of this server and a replica of that, both with open streams.
#[track_caller]
pub fn replica_and_its_replica(primary: &Server) -> (Server, Server) {
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    let second = replica_of(replica.port(), &[]);
    wait_for_link(&second);
    wait_for_streams(primary, 1);
    wait_for_streams(&replica, 1);
    (replica, second)
}

/// Waits until the replica has all that the primary has, and checks that it is the same.
#[track_caller]
pub fn assert_in_sync(primary: &Server, replica: &Server) {
    let (mut left, mut right) = (primary.client(), replica.client());
    wait_until("the same offset", || {
        field(&mut right, "master_link_status") == "up"
            && field(&mut left, "master_repl_offset") == field(&mut right, "master_repl_offset")
    });
    let digests = (left.say("DEBUG DIGEST"), right.say("DEBUG DIGEST"));
    assert_eq!(digests.0, digests.1);
    assert_eq!(left.say("DBSIZE"), right.say("DBSIZE"));
}

/// Writes so many keys.
pub fn fill(server: &Server, prefix: &str, keys: usize) {
    fill_with(server, prefix, keys, 100);
}

/// Writes so many keys with values of so many bytes.
pub fn fill_with(server: &Server, prefix: &str, keys: usize, bytes: usize) {
    let mut client = server.client();
    let reply = client.cmd(&["DEBUG", "POPULATE", &keys.to_string(), prefix, &bytes.to_string()]);
    assert_eq!(reply, haypile_testkit::ok());
}

/// How often the replica has begun a full sync.
pub fn full_syncs(replica: &Server) -> usize {
    replica.log().matches("a full sync begins").count()
}

/// Runs `body` while the server stands still, as under SIGSTOP.
pub fn stop_and_go<R>(server: &Server, body: impl FnOnce() -> R) -> R {
    struct Stopped(Pid);
    impl Drop for Stopped {
        fn drop(&mut self) {
            let _ = kill_process(self.0, Signal::CONT);
        }
    }
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    let stopped = Stopped(pid);
    kill_process(pid, Signal::STOP).unwrap();
    let outcome = body();
    drop(stopped);
    outcome
}

/// Pauses so short that a test need not wait for what is tried again seldom: wrong passwords, full disks.
pub const QUICK: [&str; 4] = ["--repl-retry-min-ms", "10", "--repl-retry-max-ms", "20"];

/// A server that listens at this address, also when it is started again.
pub fn primary_at(address: SocketAddr, args: &[&str]) -> Server {
    let mut all = vec!["--enable-debug-command", "yes"];
    all.extend(QUICK);
    all.extend(args);
    let mut server = Server::stopped(&all);
    server.set_address(address);
    server.start_again();
    server
}

/// A server with data that has nothing to do with any other's, so that it needs a copy of whatever it follows.
pub fn stranger(args: &[&str]) -> Server {
    let mut all = QUICK.to_vec();
    all.extend(args);
    let server = primary(&all);
    fill(&server, "other", 10);
    server
}

/// `REPLICAOF`.
#[track_caller]
pub fn follow(replica: &Server, source: SocketAddr) {
    let command = format!("REPLICAOF {} {}", source.ip(), source.port());
    assert_eq!(replica.client().say(&command), "OK");
}

/// Data whose copy takes several chunks and, with [`SLOW_COPY`], a few seconds.
pub const PLAIN: [&str; 2] = ["--rocksdb-compression", "none"];
const CHUNKS_KEYS: usize = 20_000;
const CHUNKS_VALUE_BYTES: usize = 1000;
/// How a replica is told to take its time.
pub const SLOW_COPY: [&str; 2] = ["--repl-copy-bytes-per-second", "3mb"];

/// Writes about 20 MB; the server is to have [`PLAIN`], or they would be compressed.
pub fn fill_chunks(server: &Server) {
    fill_with(server, "chunk", CHUNKS_KEYS, CHUNKS_VALUE_BYTES);
    assert_eq!(server.client().say("SAVE"), "OK");
}

/// Lets the replica copy as fast as it can from now on.
pub fn hurry(replica: &Server) {
    let reply = replica.client().say("CONFIG SET repl-copy-bytes-per-second 0");
    assert_eq!(reply, "OK");
}

/// Waits until the replica has a part of what it copies.
#[track_caller]
pub fn await_copy(replica: &Server) {
    let mut client = replica.client();
    wait_until("some bytes", || {
        let copy = field(&mut client, "sync_partition0_copy");
        copy.contains("stage=fetching") && !copy.contains("bytes_done=0,")
    });
}

/// Waits until INFO shows that the link is down for a reason, of the connection or of the data, that contains these words.
#[track_caller]
pub fn await_error(replica: &Server, words: &str) {
    let mut client = replica.client();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let errors = [
            field(&mut client, "sync_instance_last_error"),
            field(&mut client, "sync_partition0_last_error"),
        ];
        let down = field(&mut client, "master_link_status") == "down";
        if down && errors.iter().any(|error| error.contains(words)) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "no {words:?}; down: {down}, errors: {errors:?}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}
