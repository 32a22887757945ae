//! Starts that cannot be.

use std::fs;
use std::net::TcpListener;

use super::support::assert_no_panic;
use haypile_testkit::Server;

/// Starts in vain: one line on standard error, and this exit code.
#[track_caller]
fn refused(args: &[&str], code: i32) -> String {
    let (got, errors) = Server::start_in_vain(args);
    assert_no_panic(&errors);
    assert_eq!(got, Some(code), "{errors}");
    // It may have been warned before that.
    let mut lines = errors.lines().filter(|line| !line.contains(" WARN "));
    let line = lines.next().unwrap_or_default();
    assert!(line.starts_with("haypile: ") && lines.next().is_none(), "{errors}");
    line.to_owned()
}

#[test]
fn a_directory_that_is_in_use() {
    let server = Server::start(&[]);
    let dir = server.dir();
    let line = refused(&["--dir", dir.to_str().unwrap()], 1);
    assert!(
        line.contains("is in use by another process") && line.contains(dir.to_str().unwrap()),
        "{line}"
    );
    assert_eq!(server.client().say("SET a 1"), "OK", "the first one is not disturbed");
}

#[test]
fn a_directory_that_cannot_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let line = refused(&["--dir", path.to_str().unwrap()], 1);
        assert!(
            line.contains("cannot create") && line.contains(path.to_str().unwrap()),
            "{line}"
        );
    }
}

#[test]
fn a_port_that_is_in_use() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let line = refused(&["--port", &address.port().to_string()], 1);
    assert!(
        line.contains(&format!("cannot listen on {address}")) && line.contains("in use"),
        "{line}"
    );
}

#[test]
fn an_address_that_is_not_there() {
    // From the block that is set aside for documentation.
    let line = refused(&["--bind", "192.0.2.1"], 1);
    assert!(line.contains("cannot listen on 192.0.2.1"), "{line}");
}

#[test]
fn a_configuration_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.conf");
    let config = path.to_str().unwrap();
    let line = refused(&["--config", config], 1);
    assert!(
        line.contains("cannot read the configuration file") && line.contains(config),
        "{line}"
    );
    let line = refused(&["--config", dir.path().to_str().unwrap()], 1);
    assert!(line.contains("cannot read the configuration file"), "{line}");
    for (text, words) in [
        ("snyc always\n", "h.conf:1: unknown key 'snyc', did you mean 'sync'?"),
        ("port 0\nsync sometimes\n", "h.conf:2: sync is \"sometimes\""),
        ("logfile \"unclosed\n", "h.conf:1"),
        ("port\n", "h.conf:1: port"),
    ] {
        fs::write(&path, text).unwrap();
        let line = refused(&["--config", config], 1);
        assert!(line.contains(words), "{text:?}: {line}");
    }
    fs::write(&path, b"port \xff\xfe\n").unwrap();
    refused(&["--config", config], 1);
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let line = refused(&["--prot", "1"], 2);
    assert!(line.contains("'--prot'"), "{line}");
    let line = refused(&["--port", "70000"], 1);
    assert!(line.contains("port is \"70000\""), "{line}");
}

#[test]
fn a_log_file_that_cannot_be_opened() {
    let line = refused(&["--logfile", "/does/not/exist/log"], 1);
    assert!(line.contains("cannot open the log file /does/not/exist/log"), "{line}");
}
