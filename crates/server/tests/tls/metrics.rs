//! What the metrics say, and what the alerts in docs/ make of them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use super::support::{Authority, free_port, start};
use haypile_testkit::PATIENCE;

/// A replica with TLS, whose source is not there: it shows all metrics that there are.
fn metrics(authority: &Authority) -> String {
    let port = free_port();
    let source = format!("127.0.0.1 {}", free_port());
    let identity = authority.issue("server");
    let server = start(
        &authority.args(&identity),
        &["--port", "0", "--http-port", &port.to_string(), "--replicaof", &source],
    );
    assert!(server.banner().contains("http port"), "{}", server.banner());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

#[test]
fn the_alerts_are_about_metrics_that_there_are() {
    let rules = include_str!("../../../../docs/alerts/haypile.rules.yml");
    let metrics = metrics(&Authority::new());
    let there: BTreeSet<&str> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let expressions: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr:"))
        .collect();
    let named: BTreeSet<&str> = expressions
        .iter()
        .flat_map(|expression| expression.split(|letter| !is_part(letter)))
        .filter(|word| word.starts_with("haypile_") || word.starts_with("process_"))
        .collect();
    assert_eq!(expressions.len(), rules.matches("- alert:").count());
    assert!(named.len() > 10, "{named:?}");
    let missing: Vec<_> = named.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:?} are not in\n{metrics}");
}

#[test]
fn the_end_of_the_certificate_is_shown() {
    let metrics = metrics(&Authority::new());
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("haypile_tls_certificate_end_timestamp_seconds "));
    let end: f64 = line.expect("the metric").parse().unwrap();
    // What the certificates of these tests have: the year 4096.
    assert!((67_090_000_000.0..67_100_000_000.0).contains(&end), "{end}");
}
