//! A primary and its replicas over TLS.

use std::sync::Arc;

use rustls::{ClientConfig, DEFAULT_VERSIONS};

use super::support::{Authority, Identity, TlsClient, client_config, start};
use haypile_testkit::{Server, wait_until};

/// What all servers here are started with besides.
const QUICK: [&str; 6] = [
    "--tls-replication",
    "yes",
    "--repl-retry-max-ms",
    "200",
    "--enable-debug-command",
    "yes",
];

fn server(ca: &Authority, identity: &Identity, more: &[&str]) -> Server {
    start(&ca.args(identity), &[&QUICK[..], more].concat())
}

fn replica_of(primary: &Server, ca: &Authority, identity: &Identity, more: &[&str]) -> Server {
    let address = format!("127.0.0.1 {}", primary.port());
    server(ca, identity, &[&["--replicaof", &address], more].concat())
}

/// A client that both sides let in.
fn admin(ca: &Authority) -> Arc<ClientConfig> {
    client_config(ca, Some(&ca.issue("admin")), DEFAULT_VERSIONS)
}

fn connect(server: &Server, config: &Arc<ClientConfig>) -> TlsClient {
    TlsClient::connect(server.port(), config).unwrap()
}

fn wait_for_link(client: &mut TlsClient) {
    wait_until("the link to the primary", || {
        client.field("replication", "master_link_status") == "up"
    });
}

fn wait_for_error(client: &mut TlsClient, text: &str) {
    let mut last = String::new();
    wait_until(text, || {
        let now = client.field("replication", "sync_instance_last_error");
        if now != last {
            // What a failure of this test shows.
            eprintln!("{now}");
            last.clone_from(&now);
        }
        now.contains(text)
    });
}

#[track_caller]
fn assert_in_sync(primary: &mut TlsClient, replica: &mut TlsClient) {
    wait_until("the same offset", || {
        replica.field("replication", "master_link_status") == "up"
            && primary.field("replication", "master_repl_offset") == replica.field("replication", "master_repl_offset")
    });
    assert_eq!(primary.say("DEBUG DIGEST"), replica.say("DEBUG DIGEST"));
}

#[test]
fn a_full_sync_the_stream_and_a_failover() {
    let ca = Authority::new();
    let config = admin(&ca);
    let primary = server(&ca, &ca.issue("primary"), &[]);
    let mut left = connect(&primary, &config);
    assert_eq!(left.say("DEBUG POPULATE 20000 before 1000"), "OK");
    let replica = server(&ca, &ca.issue("replica"), &[]);
    let mut right = connect(&replica, &config);
    // What it alone has makes it copy.
    assert_eq!(right.say("SET its own"), "OK");
    assert_eq!(right.say(&format!("REPLICAOF 127.0.0.1 {}", primary.port())), "OK");
    assert_in_sync(&mut left, &mut right);
    assert!(replica.log().contains("a full sync begins"));
    assert_eq!(left.say("DEBUG POPULATE 20000 after 1000"), "OK");
    assert_in_sync(&mut left, &mut right);
    assert_eq!(right.say("DBSIZE"), "40000");
    // It is the port for TLS that the primary knows.
    let slave = left.field("replication", "slave0");
    assert!(slave.contains(&format!("port={},", replica.port())), "{slave}");
    assert_eq!(left.say("FAILOVER TIMEOUT 60000"), "OK");
    wait_until("the change of roles", || {
        left.field("replication", "role") == "slave" && right.field("replication", "role") == "master"
    });
    wait_for_link(&mut left);
    assert_eq!(right.say("SET a b"), "OK");
    assert_in_sync(&mut right, &mut left);
}

#[test]
fn a_replica_that_trusts_another_ca_says_so_until_it_is_put_right() {
    let (ca, other) = (Authority::new(), Authority::new());
    let config = admin(&ca);
    let primary = server(&ca, &ca.issue("primary"), &[]);
    // It asks its clients for no certificate, or nobody here could talk to it.
    let no = ["--tls-auth-clients", "no"];
    let address = format!("127.0.0.1 {}", primary.port());
    let identity = ca.issue("replica");
    let replica = start(
        &other.args(&identity),
        &[&QUICK[..], &no, &["--replicaof", &address]].concat(),
    );
    let (mut left, mut right) = (connect(&primary, &config), connect(&replica, &config));
    wait_for_error(
        &mut right,
        "authentication failed: the certificate of the other side is not accepted",
    );
    assert_eq!(right.field("replication", "master_link_status"), "down");
    assert_eq!(right.say(&format!("CONFIG SET tls-ca-cert-file {}", ca.cert())), "OK");
    assert_in_sync(&mut left, &mut right);
}

#[test]
fn a_primary_that_trusts_another_ca_is_put_right() {
    let (ca, other) = (Authority::new(), Authority::new());
    let config = admin(&ca);
    let primary = server(&ca, &ca.issue("primary"), &[]);
    // The replica knows the primary's CA; the primary does not know the replica's.
    let stranger = other.issue("replica");
    let replica = replica_of(&primary, &ca, &stranger, &["--tls-auth-clients", "no"]);
    let (mut left, mut right) = (
        connect(&primary, &config),
        connect(&replica, &client_config(&other, None, DEFAULT_VERSIONS)),
    );
    wait_for_error(
        &mut right,
        "authentication failed: the other side does not accept our certificate",
    );
    std::fs::copy(other.cert(), ca.path("other.crt")).unwrap();
    assert_eq!(
        left.say(&format!("CONFIG SET tls-ca-cert-dir {}", ca.dir().display())),
        "OK"
    );
    assert_in_sync(&mut left, &mut right);
}

#[test]
fn an_expired_certificate_is_refused_until_it_is_replaced() {
    let ca = Authority::new();
    let config = admin(&ca);
    let primary = server(&ca, &ca.issue_expired("primary"), &[]);
    let replica = replica_of(&primary, &ca, &ca.issue("replica"), &[]);
    let mut right = connect(&replica, &config);
    wait_for_error(&mut right, "is not accepted: it has expired");
    // Nobody can be sure of the primary: it is started again, at the same port, with another certificate.
    let port = primary.port().to_string();
    drop(primary);
    let primary = start(
        &ca.args(&ca.issue("renewed")),
        &[&QUICK[..], &["--tls-port", &port]].concat(),
    );
    let mut left = connect(&primary, &config);
    assert_in_sync(&mut left, &mut right);
}

#[test]
fn sides_that_do_not_both_speak_tls_say_so() {
    let ca = Authority::new();
    let config = admin(&ca);
    let primary = server(
        &ca,
        &ca.issue("primary"),
        &["--port", &super::support::free_port().to_string()],
    );
    let tls_port = primary.banner().split("tls://127.0.0.1:").nth(1).unwrap();
    let tls_port: u16 = tls_port.split([',', ';']).next().unwrap().parse().unwrap();
    let plain_port = primary.port();
    let mut left = TlsClient::connect(tls_port, &config).unwrap();
    let identity = ca.issue("replica");
    let replica = start(
        &ca.args(&identity),
        &["--repl-retry-max-ms", "200", "--enable-debug-command", "yes"],
    );
    let mut right = connect(&replica, &config);
    // In plain words at the port for TLS.
    assert_eq!(right.say(&format!("REPLICAOF 127.0.0.1 {tls_port}")), "OK");
    wait_for_error(
        &mut right,
        "cannot connect: the other side speaks TLS on this port: tls-replication",
    );
    // In plain words at the plain port: the sync port does not take them.
    assert_eq!(right.say(&format!("REPLICAOF 127.0.0.1 {plain_port}")), "OK");
    wait_for_error(
        &mut right,
        "authentication failed: replicas must speak TLS with this server: tls-replication",
    );
    // The primary is put right, so to speak.
    assert_eq!(left.say("CONFIG SET tls-replication no"), "OK");
    assert_in_sync(&mut left, &mut right);
    // With TLS at the plain port.
    assert_eq!(right.say("CONFIG SET tls-replication yes repl-timeout 2"), "OK");
    assert_eq!(right.say(&format!("REPLICAOF 127.0.0.1 {plain_port}")), "OK");
    wait_for_error(&mut right, "cannot connect: ");
    // With TLS where it is spoken: the primary's setting matters only for what does not speak it.
    assert_eq!(right.say(&format!("REPLICAOF 127.0.0.1 {tls_port}")), "OK");
    assert_in_sync(&mut left, &mut right);
    assert_eq!(left.say("SET a b"), "OK");
    assert_in_sync(&mut left, &mut right);
}
