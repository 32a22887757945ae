//! The commands of the program that look at replication from outside.

use std::process::{Command, Output};

use super::support::{assert_in_sync, fill, primary, replica_of};

fn haypile(args: &[&str]) -> Output {
    Command::new(haypile_testkit::haypile()).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn lost_writes_are_printed_as_commands() {
    let old = primary(&[]);
    let replica = replica_of(old.port(), &[]);
    fill(&old, "a", 10);
    assert_in_sync(&old, &replica);
    assert_eq!(replica.client().say("REPLICAOF NO ONE"), "OK");
    let lost = [
        "SET k v",
        "SET volatile v PX 100000",
        "HSET hash f 1 g 2",
        "HDEL hash g",
        "SADD set m",
        "ZADD zset 1.5 m 2 n",
        "RPUSH list x y",
        "DEL k",
        "SELECT 3",
        "LPUSH other z",
        "EXPIRE other 1000",
        "FLUSHDB",
        "MSET a:1 one a:2 two",
    ];
    let mut client = old.client();
    for line in lost {
        assert!(!client.say(line).starts_with("(error)"), "{line}");
    }
    client.cmd(&[&b"SET"[..], b"bytes", b"a\nb\xff"]);
    old.client().say(&format!("REPLICAOF 127.0.0.1 {}", replica.port()));
    assert_in_sync(&replica, &old);
    let files: Vec<_> = std::fs::read_dir(old.dir().join("diverged")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let path = files[0].as_ref().unwrap().path();
    let file = path.to_str().unwrap();
    assert!(old.log().contains(file), "the log names it");

    let printed = haypile(&["diverged", file]);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    let printed = text(&printed.stdout);
    for line in [
        "SET \"k\" \"v\"",
        "HSET \"hash\" \"g\" \"2\"",
        "HDEL \"hash\" \"g\"",
        "SADD \"set\" \"m\"",
        "ZADD \"zset\" 1.5 \"m\"",
        "RPUSH \"list\" \"y\"",
        "DEL \"k\"",
        "SELECT 3",
        "LPUSH \"other\" \"z\"",
        "SET \"bytes\" \"a\\nb\\xff\"",
        "# database 3 is emptied",
        "SET \"a:2\" \"two\"",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
    assert!(printed.contains("SET \"volatile\" \"v\" PXAT "), "{printed}");
    assert!(printed.contains("PEXPIREAT \"other\" "), "{printed}");
    assert!(
        !printed.contains("bytes \"") && !printed.contains("keyspace"),
        "all is understood:\n{printed}"
    );

    let json = text(&haypile(&["diverged", "--json", file]).stdout);
    assert_eq!(
        json.lines().count(),
        lost.len(),
        "an entry each; none for SELECT, and the one with bytes\n{json}"
    );
    assert!(
        json.contains(r#"{"change":"set","db":0,"expire_at_ms":null,"key":"k","value":"v"}"#),
        "{json}"
    );
    assert!(json.contains(r#""value":{"hex":"610a62ff"}"#), "{json}");

    // Cut short: what can be read, and then an error.
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let printed = haypile(&["diverged", file]);
    assert_eq!(printed.status.code(), Some(1));
    assert!(text(&printed.stdout).contains("SET \"k\" \"v\""));
    assert!(
        text(&printed.stderr).starts_with("haypile: the file is cut short"),
        "{}",
        text(&printed.stderr)
    );
    let other = haypile(&["diverged", "/dev/null"]);
    assert_eq!(other.status.code(), Some(1));
    assert_eq!(
        text(&other.stderr),
        "haypile: /dev/null is not a file of diverged entries\n"
    );
}

#[test]
fn digests_of_servers_are_compared() {
    let first = primary(&["--requirepass", "secret"]);
    let second = replica_of(first.port(), &["--masterauth", "secret", "--requirepass", "secret"]);
    let mut client = first.client();
    client.say("AUTH secret");
    client.say("SET a 1");
    client.say("SELECT 5");
    client.say("HSET h f v");
    let mut other = second.client();
    other.say("AUTH secret");
    other.say("SELECT 5");
    haypile_testkit::wait_until("the hash", || other.say("HGET h f") == "\"v\"");
    let addresses = [&first, &second].map(|server| format!("127.0.0.1:{}", server.port()));
    let compare = |more: &[&str]| {
        let mut args = vec!["debug", "digest", &addresses[0], &addresses[1]];
        args.extend(more);
        haypile(&args)
    };
    let refused = compare(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("NOAUTH"), "{}", text(&refused.stderr));
    let same = compare(&["--password", "secret"]);
    let shown = text(&same.stdout);
    assert!(same.status.success(), "{shown}{}", text(&same.stderr));
    assert!(shown.contains("all 2 servers hold the same data"), "{shown}");
    assert!(shown.contains("  db 5 "), "{shown}");
    let one = haypile(&[
        "debug",
        "digest",
        "--password",
        "secret",
        "--port",
        &first.port().to_string(),
    ]);
    assert!(one.status.success());
    let total = client.say("DEBUG DIGEST");
    assert!(text(&one.stdout).contains(&total), "{total}");

    other.say("REPLICAOF NO ONE");
    assert_eq!(other.say("HSET h f w"), "0");
    let differing = compare(&["--password", "secret"]);
    assert_eq!(differing.status.code(), Some(1));
    let shown = text(&differing.stdout);
    assert_eq!(
        shown.lines().filter(|line| line.ends_with("  differs")).count(),
        2,
        "{shown}"
    );
    assert!(shown.contains("the servers differ"), "{shown}");
    let json = text(&compare(&["--password", "secret", "--json"]).stdout);
    assert!(json.starts_with(r#"{"same":false,"#), "{json}");
}
