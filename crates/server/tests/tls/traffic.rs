//! What goes through: much at once, more than the other side reads, messages that nobody asks for, and ends.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DEFAULT_VERSIONS};

use super::support::{Authority, TlsClient, client_config, start};
use haypile_testkit::{Server, encode, wait_until};

/// A server that asks for no certificate, and what a client needs.
fn served(more: &[&str]) -> (Server, Arc<ClientConfig>) {
    let ca = Authority::new();
    let more = [&["--tls-auth-clients", "no"], more].concat();
    let server = start(&ca.args(&ca.issue("server")), &more);
    (server, client_config(&ca, None, DEFAULT_VERSIONS))
}

fn connect(server: &Server, config: &Arc<ClientConfig>) -> TlsClient {
    TlsClient::connect(server.port(), config).unwrap()
}

#[test]
fn a_big_pipeline_is_answered_in_order() {
    let ca = Authority::new();
    let server = start(&ca.args(&ca.issue("server")), &["--tls-auth-clients", "no"]);
    for version in [&TLS12, &TLS13] {
        let mut client = connect(&server, &client_config(&ca, None, &[version]));
        let mut socket = client.stream.sock.try_clone().unwrap();
        let mut bytes = Vec::new();
        for n in 0..100_000 {
            encode(&mut bytes, &["ECHO", &n.to_string()]);
        }
        encode(&mut bytes, &["PING"]);
        // All of it is sent before anything is read: 2 MB, which the server has to take as it comes.
        client.stream.conn.set_buffer_limit(None);
        client.stream.conn.writer().write_all(&bytes).unwrap();
        while client.stream.conn.wants_write() {
            client.stream.conn.write_tls(&mut socket).unwrap();
        }
        for n in 0..100_000 {
            assert_eq!(client.hear(), format!("\"{n}\""));
        }
        assert_eq!(client.hear(), "PONG");
    }
}

#[test]
fn values_of_every_size_come_back() {
    let (server, config) = served(&[]);
    let mut client = connect(&server, &config);
    // Around the lengths of a record, of what is read at once, and of what may wait encrypted.
    for size in [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 1 << 20, 5_000_000] {
        let value: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
        let mut bytes = Vec::new();
        encode(&mut bytes, &[b"SET", &b"a"[..], &value]);
        encode(&mut bytes, &["GET", "a"]);
        client.stream.write_all(&bytes).unwrap();
        client.stream.flush().unwrap();
        assert_eq!(client.hear(), "OK");
        assert_eq!(client.recv().unwrap().as_bytes(), Some(&value[..]), "{size}");
    }
}

#[test]
fn replies_that_nobody_reads_do_not_pile_up() {
    let (server, config) = served(&[]);
    let (mut asker, mut client) = (connect(&server, &config), connect(&server, &config));
    asker.say(&format!("SET big {}", "x".repeat(1 << 20)));
    let id = client.say("CLIENT ID");
    client.send_lines(&["GET big"; 200]).unwrap();
    let omem = |asker: &mut TlsClient| {
        let list = asker.say(&format!("CLIENT LIST ID {id}"));
        let rest = list.split(" omem=").nth(1).unwrap();
        rest.split(' ').next().unwrap().parse::<usize>().unwrap()
    };
    wait_until("replies that wait", || omem(&mut asker) > 0);
    for _ in 0..50 {
        assert!(omem(&mut asker) <= 4 << 20);
    }
    for _ in 0..200 {
        assert_eq!(client.recv().unwrap().as_bytes().map(<[u8]>::len), Some(1 << 20));
    }
    wait_until("that nothing waits any more", || omem(&mut asker) == 0);
}

#[test]
fn a_subscriber_that_does_not_read_is_closed() {
    let (server, config) = served(&["--client-output-buffer-limit", "pubsub", "1mb", "0", "0"]);
    let (mut asker, mut client) = (connect(&server, &config), connect(&server, &config));
    client.say("SUBSCRIBE news");
    let message = format!("PUBLISH news {}", "x".repeat(1 << 20));
    wait_until("the end of the subscriber", || asker.say(&message) == "0");
    assert_eq!(asker.field("stats", "client_output_buffer_limit_disconnections"), "1");
}

#[test]
fn messages_arrive_without_being_asked_for() {
    let (server, config) = served(&[]);
    let mut asker = connect(&server, &config);
    let (mut subscriber, mut monitor, mut waiter) = (
        connect(&server, &config),
        connect(&server, &config),
        connect(&server, &config),
    );
    subscriber.say("SUBSCRIBE news");
    assert_eq!(monitor.say("MONITOR"), "OK");
    waiter.send_lines(&["BLPOP queue 0"]).unwrap();
    wait_until("the waiter", || asker.field("clients", "blocked_clients") == "1");
    assert_eq!(asker.say("PUBLISH news one"), "1");
    assert_eq!(subscriber.hear(), "[\"message\", \"news\", \"one\"]");
    assert_eq!(asker.say("RPUSH queue two"), "1");
    assert_eq!(waiter.hear(), "[\"queue\", \"two\"]");
    loop {
        if monitor.hear().contains("\"RPUSH\" \"queue\" \"two\"") {
            break;
        }
    }
    let mut resp3 = connect(&server, &config);
    resp3.say("HELLO 3");
    assert_eq!(resp3.say("SUBSCRIBE news"), ">[\"subscribe\", \"news\", 1]");
}

/// What the server sends until it ends the connection, and whether it says so as TLS wants it.
fn end(client: &mut TlsClient) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    match client.stream.read_to_end(&mut bytes) {
        Ok(_) => (bytes, true),
        Err(_) => (bytes, false),
    }
}

#[test]
fn the_server_says_that_it_closes_a_connection() {
    let (server, config) = served(&[]);
    let (mut asker, mut killed, mut quitter) = (
        connect(&server, &config),
        connect(&server, &config),
        connect(&server, &config),
    );
    quitter.send_lines(&["QUIT"]).unwrap();
    assert_eq!(end(&mut quitter), (b"+OK\r\n".to_vec(), true));
    let id = killed.say("CLIENT ID");
    assert_eq!(asker.say(&format!("CLIENT KILL ID {id}")), "1");
    assert_eq!(end(&mut killed), (Vec::new(), true));
    let mut broken = connect(&server, &config);
    broken.stream.write_all(b"*1\r\n:1\r\n").unwrap();
    let (bytes, said) = end(&mut broken);
    assert!(bytes.starts_with(b"-ERR Protocol error"), "{}", bytes.escape_ascii());
    assert!(said);
}

#[test]
fn a_client_may_end_with_or_without_a_word() {
    let (server, config) = served(&[]);
    let mut asker = connect(&server, &config);
    // With a word after its last request, in one piece: it is still answered.
    let mut polite = connect(&server, &config);
    let mut socket = polite.stream.sock.try_clone().unwrap();
    polite.stream.conn.writer().write_all(b"PING\r\nSET a b\r\n").unwrap();
    polite.stream.conn.send_close_notify();
    let mut bytes = Vec::new();
    while polite.stream.conn.wants_write() {
        polite.stream.conn.write_tls(&mut bytes).unwrap();
    }
    socket.write_all(&bytes).unwrap();
    assert_eq!(polite.hear(), "PONG");
    assert_eq!(polite.hear(), "OK");
    assert!(polite.recv().is_err());
    // Without one.
    let mut rude = connect(&server, &config);
    assert_eq!(rude.say("PING"), "PONG");
    rude.stream.sock.shutdown(Shutdown::Both).unwrap();
    // With bytes that no key belongs to.
    let mut broken = connect(&server, &config);
    assert_eq!(broken.say("PING"), "PONG");
    broken.stream.sock.write_all(&[23, 3, 3, 0, 20].repeat(5)).unwrap();
    let mut rest = Vec::new();
    // The alert is for this side of TLS: an error.
    assert!(broken.stream.read_to_end(&mut rest).is_err());
    wait_until("the end of all", || asker.field("clients", "connected_clients") == "1");
    assert_eq!(asker.field("stats", "tls_handshakes_failed"), "0");
}

#[test]
fn what_is_owed_is_sent_before_the_server_stops() {
    let (mut server, config) = served(&[]);
    let mut client = connect(&server, &config);
    client.say(&format!("SET big {}", "x".repeat(200_000)));
    client.send_lines(&["GET big", "SHUTDOWN"]).unwrap();
    assert_eq!(client.recv().unwrap().as_bytes().map(<[u8]>::len), Some(200_000));
    assert_eq!(end(&mut client), (Vec::new(), true));
    assert!(server.wait().success());
}
