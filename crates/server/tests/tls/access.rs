//! Who comes in.

use std::io::Write;
use std::net::TcpStream;

use rustls::DEFAULT_VERSIONS;
use rustls::version::{TLS12, TLS13};

use super::support::{Authority, Identity, TlsClient, client_config, free_port, ping, read_to_end, start};
use haypile_testkit::{Server, wait_until};

#[test]
fn a_client_whose_ca_is_right_is_served() {
    let ca = Authority::new();
    let server = start(&ca.args(&ca.issue("server")), &["--tls-auth-clients", "no"]);
    for versions in [&[&TLS12][..], &[&TLS13], DEFAULT_VERSIONS] {
        let mut client = TlsClient::connect(server.port(), &client_config(&ca, None, versions)).unwrap();
        assert_eq!(client.say("SET a b"), "OK");
        assert_eq!(client.say("GET a"), "\"b\"");
    }
    // The client is the one who refuses here.
    assert!(ping(server.port(), &client_config(&Authority::new(), None, DEFAULT_VERSIONS)).is_err());
}

#[test]
fn clients_have_to_show_a_certificate_of_the_ca_unless_it_is_not_asked_for() {
    let (ca, other) = (Authority::new(), Authority::new());
    let identity = ca.issue("server");
    let config = |identity: Option<Identity>| client_config(&ca, identity.as_ref(), DEFAULT_VERSIONS);
    let (none, right) = (config(None), config(Some(ca.issue("client"))));
    let (wrong, expired) = (
        config(Some(other.issue("client"))),
        config(Some(ca.issue_expired("expired"))),
    );
    for (auth, [none_may, right_may, wrong_may, expired_may]) in [
        (None, [false, true, false, false]),
        (Some("yes"), [false, true, false, false]),
        (Some("optional"), [true, true, false, false]),
        (Some("no"), [true, true, true, true]),
    ] {
        let more: Vec<&str> = auth.iter().flat_map(|auth| ["--tls-auth-clients", auth]).collect();
        let server = start(&ca.args(&identity), &more);
        for (name, config, may) in [
            ("none", &none, none_may),
            ("right", &right, right_may),
            ("wrong", &wrong, wrong_may),
            ("expired", &expired, expired_may),
        ] {
            let result = ping(server.port(), config);
            assert_eq!(result.is_ok(), may, "{auth:?} {name}: {result:?}");
        }
        let failed = [none_may, right_may, wrong_may, expired_may]
            .iter()
            .filter(|may| !**may)
            .count();
        if let Ok(mut client) = TlsClient::connect(server.port(), &right) {
            assert_eq!(client.field("stats", "tls_handshakes_failed"), failed.to_string());
        }
    }
}

#[test]
fn only_the_versions_that_are_configured_are_spoken() {
    let ca = Authority::new();
    let identity = ca.issue("server");
    let config = |version| client_config(&ca, None, &[version]);
    for (protocols, tls12, tls13) in [
        ("TLSv1.2", true, false),
        ("TLSv1.3", false, true),
        ("TLSv1.2 TLSv1.3", true, true),
    ] {
        let server = start(
            &ca.args(&identity),
            &["--tls-auth-clients", "no", "--tls-protocols", protocols],
        );
        assert_eq!(ping(server.port(), &config(&TLS12)).is_ok(), tls12, "{protocols}");
        assert_eq!(ping(server.port(), &config(&TLS13)).is_ok(), tls13, "{protocols}");
    }
}

#[test]
fn both_ports_serve_the_same_data() {
    let ca = Authority::new();
    let plain = free_port().to_string();
    let server = start(
        &ca.args(&ca.issue("server")),
        &["--tls-auth-clients", "no", "--port", &plain],
    );
    assert_eq!(server.port().to_string(), plain);
    let tls_port = server.banner().split("tls://127.0.0.1:").nth(1).unwrap();
    let tls_port: u16 = tls_port.split([',', ';']).next().unwrap().parse().unwrap();
    let mut tls = TlsClient::connect(tls_port, &client_config(&ca, None, DEFAULT_VERSIONS)).unwrap();
    assert_eq!(tls.say("SET a b"), "OK");
    let mut client = server.client();
    assert_eq!(client.say("GET a"), "\"b\"");
    assert_eq!(tls.field("server", "tcp_port"), plain);
    assert_eq!(
        tls.field("server", "listener1"),
        format!("name=tls,bind=127.0.0.1,port={tls_port}")
    );
    assert!(
        client
            .say("CLIENT LIST")
            .contains(&format!("laddr=127.0.0.1:{tls_port} "))
    );
}

#[test]
fn a_server_without_a_plain_port_shows_the_other() {
    let ca = Authority::new();
    let server = start(&ca.args(&ca.issue("server")), &["--tls-auth-clients", "no"]);
    let mut client = TlsClient::connect(server.port(), &client_config(&ca, None, DEFAULT_VERSIONS)).unwrap();
    assert_eq!(client.field("server", "tcp_port"), server.port().to_string());
    assert!(client.field("server", "listener0").starts_with("name=tls,"));
    assert_eq!(client.say("CONFIG GET port"), "[\"port\", \"0\"]");
}

#[test]
fn garbage_and_plain_clients_are_closed_and_nobody_else_suffers() {
    let ca = Authority::new();
    let server = start(
        &ca.args(&ca.issue("server")),
        &["--tls-auth-clients", "no", "--loglevel", "debug"],
    );
    let mut other = TlsClient::connect(server.port(), &client_config(&ca, None, DEFAULT_VERSIONS)).unwrap();
    let hello_and_then = |rest: &[u8]| [&[22, 3, 1, 0, 5][..], rest].concat();
    for bytes in [
        b"*1\r\n$4\r\nPING\r\n".to_vec(),
        b"PING\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 1000],
        vec![255; 100_000],
        hello_and_then(b"nonsense that is no handshake at all"),
    ] {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        // It may be closed before everything is written.
        let _ = socket.write_all(&bytes);
        let answer = read_to_end(&mut socket);
        // A TLS alert, if it has arrived, and nothing in Redis' protocol.
        assert!(answer.first().is_none_or(|first| *first == 21), "{answer:?}");
        assert_eq!(other.say("PING"), "PONG");
    }
    assert_eq!(other.field("stats", "tls_handshakes_failed"), "6");
    assert!(
        server.log().contains("Error accepting a client connection"),
        "{}",
        server.log()
    );
    assert_eq!(other.field("clients", "connected_clients"), "1");
}

#[test]
fn a_handshake_that_stands_still_is_given_up() {
    let ca = Authority::new();
    let server = start(
        &ca.args(&ca.issue("server")),
        &["--tls-auth-clients", "no", "--tls-handshake-timeout", "1"],
    );
    let mut silent = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let mut half = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    // The beginning of a record of 512 bytes that does not come.
    half.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    let mut other = TlsClient::connect(server.port(), &client_config(&ca, None, DEFAULT_VERSIONS)).unwrap();
    assert_eq!(other.field("clients", "connected_clients"), "3");
    assert!(read_to_end(&mut silent).is_empty());
    read_to_end(&mut half);
    wait_until("the end of both", || other.field("clients", "connected_clients") == "1");
    assert_eq!(other.field("stats", "tls_handshakes_failed"), "2");
    // Who has shaken hands may be as silent as he likes.
    assert_eq!(other.say("PING"), "PONG");
}

#[test]
fn one_too_many_is_closed_before_the_handshake() {
    let ca = Authority::new();
    let server = start(
        &ca.args(&ca.issue("server")),
        &["--tls-auth-clients", "no", "--maxclients", "1"],
    );
    let config = client_config(&ca, None, DEFAULT_VERSIONS);
    let mut client = TlsClient::connect(server.port(), &config).unwrap();
    assert!(ping(server.port(), &config).is_err());
    assert_eq!(client.field("stats", "rejected_connections"), "1");
}

#[test]
fn a_server_that_cannot_have_tls_does_not_start_and_says_why() {
    let ca = Authority::new();
    let identity = ca.issue("server");
    let (port, missing) = (
        free_port().to_string(),
        ca.path("missing").to_string_lossy().into_owned(),
    );
    let cases: [(&[&str], &str); 6] = [
        (&[], "Either tls-ca-cert-file or tls-ca-cert-dir must be specified"),
        (&["--tls-auth-clients", "no"], "No tls-cert-file configured!"),
        (
            &["--tls-auth-clients", "no", "--tls-cert-file", &identity.cert],
            "No tls-key-file configured!",
        ),
        (&["--tls-ca-cert-file", &missing], "tls-ca-cert-file"),
        (&["--tls-ca-cert-file", &identity.key], "there is no certificate in it"),
        (&["--tls-protocols", "TLSv1.1"], "tls-protocols is"),
    ];
    for (args, expected) in cases {
        let args = [&["--tls-port", &port], args].concat();
        let (code, errors) = Server::start_in_vain(&args);
        assert_eq!(code.map(|code| code != 0), Some(true), "{args:?}");
        assert!(
            errors.contains(expected) && errors.lines().count() == 1,
            "{args:?}: {errors}"
        );
    }
}

/// `haypile debug digest`: with the right CA and a certificate, and not without.
#[test]
fn digests_are_compared_over_tls() {
    let (ca, other) = (Authority::new(), Authority::new());
    let identity = ca.issue("server");
    let server = start(&ca.args(&identity), &["--enable-debug-command", "yes"]);
    let address = format!("localhost:{}", server.port());
    let digest = |cacert: &str, with_cert: bool| {
        let mut args = vec!["debug", "digest", &address, "--tls", "--cacert", cacert];
        if with_cert {
            args.extend(["--cert", &identity.cert, "--key", &identity.key]);
        }
        let output = std::process::Command::new(haypile_testkit::haypile())
            .args(args)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = digest(&ca.cert(), true);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("total"), "{text}");
    for (cacert, with_cert) in [(other.cert(), true), (ca.cert(), false)] {
        let (code, text) = digest(&cacert, with_cert);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.starts_with(&format!("haypile: {address}: ")), "{text}");
    }
}
