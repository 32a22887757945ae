use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Client, Server, wait_until};

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
    assert_eq!(reply, crate::common::ok());
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
