//! Files that change while the server runs.

use std::fs;

use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::pbes2;
use rustls::DEFAULT_VERSIONS;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::support::{Authority, Identity, TlsClient, client_config, ping, start};
use haypile_testkit::Server;

/// Encrypts the key of a file with a password.
fn encrypt(path: &str, password: &str) {
    let key = PrivateKeyDer::from_pem_file(path).unwrap();
    let info = PrivateKeyInfoRef::try_from(key.secret_der()).unwrap();
    let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(1000, &[7; 16], [9; 16]).unwrap();
    let encrypted = info.encrypt_with_params(parameters, password).unwrap();
    let pem = encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap();
    fs::write(path, pem.as_bytes()).unwrap();
}

#[test]
fn a_certificate_is_replaced_while_the_server_runs() {
    let (first, second) = (Authority::new(), Authority::new());
    let identity = first.issue("server");
    let server = start(&first.args(&identity), &["--tls-auth-clients", "no"]);
    let sees = |ca| ping(server.port(), &client_config(ca, None, DEFAULT_VERSIONS)).is_ok();
    let mut client = TlsClient::connect(server.port(), &client_config(&first, None, DEFAULT_VERSIONS)).unwrap();
    assert!(sees(&first) && !sees(&second));
    // The same names with another content.
    let other = second.issue("server");
    fs::copy(&other.cert, &identity.cert).unwrap();
    fs::copy(&other.key, &identity.key).unwrap();
    assert!(sees(&first) && !sees(&second));
    assert_eq!(client.say(&format!("CONFIG SET tls-cert-file {}", identity.cert)), "OK");
    assert!(!sees(&first) && sees(&second));
    // Other names, together.
    let third = first.issue("third");
    let set = format!("CONFIG SET tls-cert-file {} tls-key-file {}", third.cert, third.key);
    assert_eq!(client.say(&set), "OK");
    assert!(sees(&first) && !sees(&second));
    // The connection that there was goes on.
    assert_eq!(client.say("PING"), "PONG");
}

#[test]
fn files_that_cannot_be_used_change_nothing() {
    let ca = Authority::new();
    let identity = ca.issue("server");
    let other = ca.issue("other");
    let server = start(&ca.args(&identity), &["--tls-auth-clients", "no"]);
    let config = client_config(&ca, None, DEFAULT_VERSIONS);
    let mut client = TlsClient::connect(server.port(), &config).unwrap();
    fs::write(ca.path("empty"), "").unwrap();
    fs::write(
        ca.path("damaged"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let path = |name: &str| ca.path(name).to_string_lossy().into_owned();
    let (missing, empty, damaged) = (path("missing"), path("empty"), path("damaged"));
    for (key, value, reason) in [
        ("tls-cert-file", missing.as_str(), "No such file or directory"),
        ("tls-cert-file", &empty, "there is no certificate in it"),
        ("tls-cert-file", &damaged, "its certificate cannot be used"),
        ("tls-cert-file", "", "No tls-cert-file configured!"),
        ("tls-key-file", &other.key, "it is not the key of the certificate in"),
        ("tls-key-file", &identity.cert, "there is no private key in it"),
        ("tls-ca-cert-file", &empty, "there is no certificate in it"),
        ("tls-ca-cert-dir", &missing, "No such file or directory"),
        ("tls-protocols", "TLSv1", "TLSv1 is not supported"),
        (
            "tls-auth-clients",
            "perhaps",
            "must be one of the following: no, yes, optional",
        ),
    ] {
        let before = client.say(&format!("CONFIG GET {key}"));
        let reply = client.say(&format!("CONFIG SET {key} \"{value}\""));
        let start = format!("(error) ERR CONFIG SET failed (possibly related to argument '{key}') - ");
        assert!(
            reply.starts_with(&start) && reply.contains(reason),
            "{key} {value}: {reply}"
        );
        assert_eq!(client.say(&format!("CONFIG GET {key}")), before);
        assert_eq!(ping(server.port(), &config).unwrap(), "PONG");
    }
    assert!(
        client
            .say("CONFIG SET tls-port 1")
            .contains("can't set immutable config")
    );
}

#[test]
fn who_may_come_in_changes_while_the_server_runs() {
    let (first, second) = (Authority::new(), Authority::new());
    let server = start(&first.args(&first.issue("server")), &[]);
    let config = |identity: Option<Identity>| client_config(&first, identity.as_ref(), DEFAULT_VERSIONS);
    let (none, of_first, of_second) = (
        config(None),
        config(Some(first.issue("client"))),
        config(Some(second.issue("client"))),
    );
    let may = |config| ping(server.port(), config).is_ok();
    let mut client = TlsClient::connect(server.port(), &of_first).unwrap();
    assert!(!may(&none) && may(&of_first) && !may(&of_second));
    assert_eq!(
        client.say(&format!("CONFIG SET tls-ca-cert-file {}", second.cert())),
        "OK"
    );
    assert!(!may(&none) && !may(&of_first) && may(&of_second));
    // A directory with others beside it.
    fs::copy(first.cert(), second.path("first.crt")).unwrap();
    let dir = second.dir().display();
    assert_eq!(
        client.say(&format!("CONFIG SET tls-ca-cert-file \"\" tls-ca-cert-dir {dir}")),
        "OK"
    );
    assert!(!may(&none) && may(&of_first) && may(&of_second));
    assert_eq!(client.say("CONFIG SET tls-auth-clients no"), "OK");
    assert!(may(&none));
}

#[test]
fn keys_may_be_encrypted() {
    let ca = Authority::new();
    let identity = ca.issue("server");
    encrypt(&identity.key, "secret");
    let args = ca.args(&identity);
    let server = start(&args, &["--tls-auth-clients", "no", "--tls-key-file-pass", "secret"]);
    let config = client_config(&ca, None, DEFAULT_VERSIONS);
    assert_eq!(ping(server.port(), &config).unwrap(), "PONG");
    let mut client = TlsClient::connect(server.port(), &config).unwrap();
    let reply = client.say("CONFIG SET tls-key-file-pass wrong");
    assert!(reply.contains("the password is wrong"), "{reply}");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let args = [&["--tls-port", "1", "--tls-auth-clients", "no"], &args[..]].concat();
    let (_, errors) = Server::start_in_vain(&args);
    assert!(
        errors.contains("its password is missing (tls-key-file-pass)"),
        "{errors}"
    );
}
