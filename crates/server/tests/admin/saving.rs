//! Checkpoints, SHUTDOWN, and what a server says that stands alone.

use super::*;

#[test]
fn a_checkpoint_is_a_data_directory() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    client.send_lines(&["SET a 1", "HSET h f v", "BGSAVE", "SET a 2"]);
    assert_eq!(client.hear_all(4)[2], "Background saving started");
    wait_until("the checkpoint", || {
        info(&mut client, "persistence")["rdb_bgsave_in_progress"] == "0"
    });
    assert_eq!(info(&mut client, "persistence")["rdb_last_bgsave_status"], "ok");
    client.send_lines(&["SET c 1", "SAVE"]);
    assert_eq!(client.hear_all(2), ["OK", "OK"]);
    assert_eq!(info(&mut client, "persistence")["rdb_changes_since_last_save"], "0");
    assert!(client.cmd(&["LASTSAVE"]).as_i64().unwrap() > 0);
    assert_eq!(client.say("BGSAVE now"), "(error) ERR syntax error");
    let digest = client.say("DEBUG DIGEST");

    let mut checkpoints: Vec<_> = fs::read_dir(server.dir().join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    checkpoints.sort();
    assert_eq!(checkpoints.len(), 2, "{checkpoints:?}");
    let name = checkpoints[1].file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with("Z-1-4"), "{name}");

    // What was sent after BGSAVE may have come in time for it.
    let old = Server::start(&["--dir", checkpoints[0].to_str().unwrap()]);
    let restored = old.client().say("GET a");
    assert!(restored == "\"1\"" || restored == "\"2\"", "{restored}");
    assert_eq!(old.client().say("HGET h f"), "\"v\"");
    let new = Server::start(&["--dir", checkpoints[1].to_str().unwrap()]);
    assert_eq!(new.client().say("GET a"), "\"2\"");
    assert_eq!(new.client().say("DEBUG DIGEST"), digest);
    // Neither of them disturbs the server that they come from.
    assert_eq!(new.client().say("SET a 3"), "OK");
    assert_eq!(client.say("COMPACT"), "Background compaction started");
    wait_until("the compaction", || {
        info(&mut client, "haypile")["compact_in_progress"] == "0"
    });
    server.restart();
    assert_eq!(server.client().say("DEBUG DIGEST"), digest);
}

#[test]
fn shutdown_saves_and_says_nothing() {
    let mut server = Server::start(&[]);
    let (mut client, mut other) = (server.client(), server.client());
    assert_eq!(client.say("SHUTDOWN ABORT"), "(error) ERR No shutdown in progress.");
    assert_eq!(client.say("SHUTDOWN SAVE NOSAVE"), "(error) ERR syntax error");
    assert_eq!(client.say("SHUTDOWN later"), "(error) ERR syntax error");
    client.send_lines(&["SET a 1", "SHUTDOWN NOSAVE"]);
    assert_eq!(client.recv(), ok());
    client.assert_closed();
    other.assert_closed();
    assert!(server.wait().success());
    server.start_again();
    assert_eq!(server.client().say("GET a"), "\"1\"");
}

#[test]
fn wait_waits_for_nobody_in_particular() {
    let server = Server::start(&[]);
    let (mut client, mut other) = (server.client(), server.client());
    assert_eq!(client.say("WAIT 0 0"), "0");
    assert_eq!(client.say("WAIT 1 20"), "0");
    assert_eq!(client.say("WAIT 1 -1"), "(error) ERR timeout is negative");
    assert_eq!(
        client.say("WAIT x 0"),
        "(error) ERR value is not an integer or out of range"
    );
    client.send_lines(&["MULTI", "SET a 1", "WAIT 1 0", "EXEC"]);
    assert_eq!(client.hear_all(4)[3], "[OK, 0]");
    let id = client.id();
    client.send(&["WAIT", "1", "0"]);
    wait_until("a blocked client", || {
        info(&mut other, "clients")["blocked_clients"] == "1"
    });
    assert_eq!(other.cmd(&["CLIENT", "UNBLOCK", &id.to_string()]), int(1));
    assert_eq!(client.recv(), int(0));
}

#[test]
fn what_a_server_that_stands_alone_says() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (line, reply) in [
        ("ROLE", "[\"master\", 0, []]"),
        ("REPLICAOF NO ONE", "OK"),
        ("FAILOVER", "(error) ERR FAILOVER requires connected replicas."),
        ("MODULE LIST", "[]"),
        ("ACL WHOAMI", "\"default\""),
        ("CLUSTER INFO", "(error) ERR This instance has cluster support disabled"),
        ("READONLY", "(error) ERR This instance has cluster support disabled"),
        ("FUNCTION FLUSH", "OK"),
        ("FUNCTION FLUSH async", "OK"),
        ("FUNCTION FLUSH SYNC", "OK"),
        (
            "FUNCTION FLUSH now",
            "(error) ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
        ),
        (
            "FUNCTION flush SYNC ASYNC",
            "(error) ERR unknown subcommand or wrong number of arguments for 'flush'. Try FUNCTION HELP.",
        ),
        ("FUNCTION LIST", "[]"),
        ("FUNCTION LIST withcode LIBRARYNAME x*", "[]"),
        ("FUNCTION LIST libraryname LIBRARYNAME WITHCODE", "[]"),
        (
            "FUNCTION LIST LIBRARYNAME",
            "(error) ERR library name argument was not given",
        ),
        (
            "FUNCTION LIST WITHCODE WithCode",
            "(error) ERR Unknown argument WithCode",
        ),
        (
            "FUNCTION LIST LIBRARYNAME a LIBRARYNAME b",
            "(error) ERR Unknown argument LIBRARYNAME",
        ),
        (
            "ACL NONSENSE",
            "(error) ERR unknown subcommand 'NONSENSE'. Try ACL HELP.",
        ),
    ] {
        assert_eq!(client.say(line), reply, "{line}");
    }
    assert_eq!(client.say("REPLICAOF 127.0.0.1 0"), "(error) ERR Invalid master port");
    assert!(client.say("LOLWUT").starts_with("\"Haypile ver. "));
    let now = members(client.cmd(&["TIME"]));
    assert_eq!(now.len(), 2);
    for container in [
        "CONFIG", "COMMAND", "SLOWLOG", "LATENCY", "MEMORY", "MODULE", "ACL", "DEBUG",
    ] {
        let help = client.say(&format!("{container} HELP"));
        assert!(help.starts_with(&format!("[{container} <subcommand>")), "{help}");
    }
}
