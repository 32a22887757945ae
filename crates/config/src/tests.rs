//! The table as a whole, and CONFIG GET and SET.

use std::collections::HashSet;

use super::*;

/// Enough of a glob for these tests: `*` at the end.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

fn get(config: &Config, pattern: &str) -> String {
    let found = config.get_matching(&[pattern.as_bytes()], glob);
    found
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<Vec<&'static str>, String> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(key, value)| (key.as_bytes(), value.as_bytes()))
        .collect();
    config.set(&pairs, true).map_err(|error| error.to_string())
}

fn failed(key: &str, reason: &str) -> Result<Vec<&'static str>, String> {
    Err(format!(
        "ERR CONFIG SET failed (possibly related to argument '{key}') - {reason}"
    ))
}

#[test]
fn names_are_unique_and_defaults_read_back() {
    let mut names = HashSet::new();
    let defaults = Values::default();
    for key in all_keys() {
        for name in key.names() {
            assert!(names.insert(name), "{name} is declared twice");
            assert!(!name.contains('_') && name == name.to_lowercase(), "{name}");
        }
        let mut values = Values::default();
        for text in [
            key.default.to_string(),
            (key.print)(&defaults),
            (key.print_for_file)(&defaults),
        ] {
            (key.parse)(&mut values, &text).unwrap_or_else(|reason| panic!("{} {text}: {reason}", key.name));
            assert_eq!(values, defaults, "{} {text}", key.name);
        }
        assert!(!key.allowed().is_empty());
        assert!(key.doc.iter().all(|line| line.starts_with(' ')), "{}", key.name);
        assert!(key.mirror_of.is_none_or(|name| find_key(name).is_some()));
    }
}

#[test]
fn a_replica_is_read_only_and_it_is_said_why() {
    let config = Config::defaults();
    config.set(&[(b"replica-read-only", b"yes")], false).unwrap();
    let error = config
        .set(&[(b"slave-read-only", b"no")], false)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("argument must be yes: a replica's log is a part of its primary's"),
        "{error}"
    );
    let flags = [("replica-read-only".to_string(), vec!["no".to_string()])];
    let error = Config::read(None, &flags).unwrap_err().to_string();
    assert!(
        error.starts_with("command line: replica-read-only is \"no\", but must be yes: a replica's log"),
        "{error}"
    );
}

#[test]
fn get_by_name_alias_and_pattern() {
    let config = Config::defaults();
    assert_eq!(get(&config, "maxclients"), "maxclients=10000");
    assert_eq!(get(&config, "MaxClients"), "MaxClients=10000");
    assert_eq!(get(&config, "slave-read-only"), "slave-read-only=yes");
    assert_eq!(get(&config, "MAXMEMORY-S*"), "maxmemory-samples=5");
    assert_eq!(
        get(&config, "oplog*"),
        "oplog-segment-bytes=67108864,oplog-retention-bytes=1073741824,oplog-retention-hours=24,\
         oplog-pinned-max-bytes=68719476736,oplog-pinned-away-seconds=3600"
    );
    assert_eq!(get(&config, "zset-max-*-entries"), "");
    assert_eq!(get(&config, "nothing"), "");
    assert_eq!(
        get(&config, "client-output-buffer-limit"),
        "client-output-buffer-limit=normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    );
    let both = config.get_matching(&[b"port", b"po*", b"hz", &[0xff]], glob);
    assert_eq!(
        both,
        [("port".to_string(), "9221".to_string()), ("hz".into(), "10".into())]
    );
    let everything = config.get_matching(&[b"*"], glob);
    assert_eq!(everything.len() + 2, all_keys().flat_map(Key::names).count());
    // Two that are for test suites only have to be asked for by name.
    assert!(!everything.iter().any(|(name, _)| name == "key-load-delay"));
    assert_eq!(get(&config, "key-load-delay"), "key-load-delay=0");
}

#[test]
fn set_returns_what_changed() {
    let config = Config::defaults();
    assert_eq!(
        set(
            &config,
            &[("timeout", "7"), ("HZ", "10"), ("list-max-ziplist-size", "4")]
        ),
        Ok(vec!["timeout", "list-max-listpack-size"])
    );
    assert_eq!(config.load().timeout, 7);
    assert_eq!(get(&config, "list-max-listpack-size"), "list-max-listpack-size=4");
    assert_eq!(set(&config, &[("save", "60 1")]), Ok(vec!["save"]));
    assert_eq!(set(&config, &[("save", "30 2")]), Ok(vec!["save"]));
    assert_eq!(get(&config, "save"), "save=30 2");
    assert_eq!(set(&config, &[("appendfsync", "no")]), Ok(vec!["sync", "appendfsync"]));
    assert_eq!(get(&config, "sync"), "sync=os");
    assert_eq!(get(&config, "appendfsync"), "appendfsync=no");
    assert_eq!(
        set(&config, &[("notify-keyspace-events", "KEA")]),
        Ok(vec!["notify-keyspace-events"])
    );
    assert_eq!(get(&config, "notify-keyspace-events"), "notify-keyspace-events=AKE");
}

#[test]
fn set_is_all_or_nothing() {
    let config = Config::defaults();
    assert_eq!(
        set(&config, &[("timeout", "7"), ("hz", "x")]),
        failed("hz", "argument couldn't be parsed into an integer")
    );
    assert_eq!(config.load().timeout, 0);
    let refused = config.set_if(&[(b"timeout", b"7")], true, |new, changed| {
        assert_eq!((new.timeout, changed), (7, &["timeout"][..]));
        Err(("timeout", "not today".into()))
    });
    assert_eq!(
        refused.map_err(|error| error.to_string()),
        failed("timeout", "not today")
    );
    assert_eq!(config.load().timeout, 0);
}

#[test]
fn set_errors_are_those_of_redis() {
    let config = Config::defaults();
    assert_eq!(
        set(&config, &[("timeout", "x"), ("Foo", "1")]),
        Err("ERR Unknown option or number of arguments for CONFIG SET - 'Foo'".into())
    );
    assert_eq!(
        set(&config, &[("hz", "1"), ("HZ", "2")]),
        failed("HZ", "duplicate parameter")
    );
    assert_eq!(
        set(&config, &[("sync", "os"), ("appendfsync", "no")]),
        failed("appendfsync", "duplicate parameter")
    );
    for (key, value, reason) in [
        ("databases", "3", "can't set immutable config"),
        ("databases", "x", "can't set immutable config"),
        ("daemonize", "yes", "can't set immutable config"),
        ("dbfilename", "x", "can't set protected config"),
        ("maxclients", "0", "argument must be between 1 and 4294967295 inclusive"),
        ("timeout", "-1", "argument must be between 0 and 2147483647 inclusive"),
        (
            "slowlog-max-len",
            "-1",
            "argument must be between 0 and 9223372036854775807 inclusive",
        ),
        (
            "proto-max-bulk-len",
            "10",
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        ("appendonly", "x", "argument must be 'yes' or 'no'"),
        ("maxmemory", "1x", "argument must be a memory value"),
        ("maxmemory-clients", "1x", "argument must be a memory or percent value"),
        (
            "loglevel",
            "x",
            "argument(s) must be one of the following: trace, debug, verbose, notice, warning",
        ),
        ("save", "60", "Invalid save parameters"),
        (
            "client-output-buffer-limit",
            "wrong number",
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "notify-keyspace-events",
            "Q",
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
        ),
    ] {
        assert_eq!(set(&config, &[(key, value)]), failed(key, reason));
    }
    assert_eq!(
        set(&config, &[("databases", "16"), ("dir", "./haypile-data")]),
        Ok(vec![])
    );
}

#[test]
fn everything_that_is_read_can_be_written_back() {
    let config = Config::defaults();
    for (name, value) in config.get_matching(&[b"*"], glob) {
        assert_eq!(set(&config, &[(&name, &value)]), Ok(vec![]), "{name} {value}");
    }
}

#[test]
fn protected_keys_open_to_those_who_are_allowed() {
    let flags = [("enable-protected-configs".to_string(), vec!["local".to_string()])];
    let config = Config::read(None, &flags).unwrap();
    assert!(config.set(&[(b"dbfilename", b"x")], false).is_err());
    assert_eq!(config.set(&[(b"dbfilename", b"x")], true), Ok(vec!["dbfilename"]));
    assert_eq!(config.set_without_effect(), ["dbfilename"]);
}

#[test]
fn flags_win_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.conf");
    std::fs::write(&path, "port 1\ntimeout 3\nsave 60 1\n").unwrap();
    let flag = |name: &str, words: &[&str]| {
        (
            name.to_string(),
            words.iter().map(ToString::to_string).collect::<Vec<_>>(),
        )
    };
    let config = Config::read(Some(&path), &[flag("port", &["2"]), flag("save", &["5", "6"])]).unwrap();
    assert_eq!((config.load().port, config.load().timeout), (2, 3));
    assert_eq!(get(&config, "save"), "save=5 6");
    let error = |flags: &[_]| Config::read(None, flags).unwrap_err().to_string();
    assert_eq!(
        error(&[flag("port", &["x"])]),
        "command line: port is \"x\", but must be a whole number from 0 to 65535"
    );
    let missing = Config::read(Some(&folder.path().join("none")), &[])
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("cannot read the configuration file ") && missing.contains("none: No such file"),
        "{missing}"
    );
}
