//! `repl-max-attempts`: a replica that waits for a person, and says so everywhere.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::support::{assert_in_sync, field, fill, follow, primary_at, stranger};
use haypile_testkit::{Net, free_port, wait_until};

/// What `/metrics` says of this figure.
fn metric(http: u16, name: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", http)).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let mut lines = answer.lines();
    lines.find_map(|line| line.strip_prefix(&format!("{name} "))?.parse().ok())
}

#[test]
fn a_replica_that_has_given_up_says_so_until_it_is_told_to_follow() {
    let net = Net::claim();
    let mut primary = primary_at(net.address(1), &[]);
    fill(&primary, "a", 100);
    primary.kill();
    let http = free_port();
    let replica = stranger(&["--repl-max-attempts", "3", "--http-port", &http.to_string()]);
    follow(&replica, net.address(1));
    let mut client = replica.client();
    wait_until("the end of the attempts", || {
        field(&mut client, "sync_instance_attempts") == "3"
    });
    assert_eq!(field(&mut client, "sync_instance_state"), "Error");
    assert_eq!(field(&mut client, "sync_instance_retry_in_ms"), "-1");
    let error = field(&mut client, "sync_instance_last_error");
    assert!(
        error.contains("cannot connect") && error.contains("(attempt 3)"),
        "{error}"
    );
    let line = replica
        .log()
        .lines()
        .find(|line| line.contains("replication has given up"))
        .map(str::to_owned);
    assert!(
        line.as_ref()
            .is_some_and(|line| line.contains("ERROR") && line.contains("REPLICAOF")),
        "{line:?}"
    );
    assert_eq!(metric(http, "haypile_replication_gave_up"), Some(1.0));
    assert_eq!(metric(http, "haypile_replication_link_up"), Some(0.0));
    // The primary is back, and nothing happens before somebody says so.
    primary.start_again();
    assert_eq!(field(&mut client, "sync_instance_state"), "Error");
    follow(&replica, net.address(1));
    assert_in_sync(&primary, &replica);
    assert_eq!(metric(http, "haypile_replication_gave_up"), Some(0.0));
    assert_eq!(field(&mut primary.client(), "connected_slaves"), "1");
}
