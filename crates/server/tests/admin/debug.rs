//! DEBUG and OBJECT.

use super::*;

#[test]
fn debug_is_for_those_who_may() {
    let server = Server::start(&["--enable-debug-command", "no"]);
    assert!(
        server
            .client()
            .say("DEBUG JMAP")
            .starts_with("(error) ERR DEBUG command not allowed.")
    );
}

#[test]
fn debug_does_what_test_suites_use() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(client.say("DEBUG DIGEST"), "0".repeat(40));
    assert_eq!(client.say("DEBUG POPULATE 2500 key 20"), "OK");
    assert_eq!(client.say("DBSIZE"), "2500");
    assert_eq!(client.say("GET key:7"), format!("\"value:7{}\"", "\\x00".repeat(13)));
    let digest = client.say("DEBUG DIGEST");
    assert_eq!(client.say("DEBUG RELOAD"), "OK");
    assert_eq!(client.say("DEBUG LOADAOF"), "OK");
    assert_eq!(client.say("DEBUG DIGEST"), digest);
    assert!(
        client
            .say("DEBUG OBJECT key:7")
            .contains(" encoding:embstr serializedlength:21 ")
    );
    assert!(client.say("DEBUG SDSLEN key:7").contains("val_sds_len:20,"));
    assert_eq!(client.say("DEBUG OBJECT nothing"), "(error) ERR no such key");
    let none = "0".repeat(40);
    assert!(
        client
            .say("DEBUG DIGEST-VALUE key:7 nothing")
            .ends_with(&format!(", {none}]"))
    );
    assert!(client.say("DEBUG STRINGMATCH-LEN 10 a*").starts_with('1'));
    assert_eq!(client.say("DEBUG ERROR \"MINE is this\""), "(error) MINE is this");
    for line in [
        "JMAP",
        "SET-ACTIVE-EXPIRE 0",
        "QUICKLIST-PACKED-THRESHOLD 1",
        "CHANGE-REPL-ID",
        "LOG hello",
    ] {
        assert_eq!(client.say(&format!("DEBUG {line}")), "OK", "{line}");
    }
    wait_until("the message in the log", || server.log().contains("hello"));
    client.say("SET gone 1 PX 1");
    wait_until("the key to expire", || client.say("EXISTS gone") == "0");
    let keys = info(&mut client, "keyspace")["db0"].clone();
    assert!(
        keys.starts_with("keys=2501,expires=1"),
        "it is invisible, but still there: {keys}"
    );
    client.say("DEBUG SET-ACTIVE-EXPIRE 1");
    wait_until("the key to be removed", || {
        info(&mut client, "keyspace")["db0"].starts_with("keys=2500,expires=0")
    });
    assert_eq!(
        client.say("DEBUG NONSENSE"),
        "(error) ERR unknown subcommand or wrong number of arguments for 'NONSENSE'. Try DEBUG HELP."
    );
    server.restart();
    assert_eq!(server.client().say("DEBUG DIGEST"), digest);
}

#[test]
fn debug_protocol_has_every_type() {
    let server = Server::start(&[]);
    let (mut client, mut client3) = (server.client(), server.client3());
    for (kind, resp2, resp3) in [
        ("string", "\"Hello World\"", "\"Hello World\""),
        ("integer", "12345", "12345"),
        ("double", "\"3.141\"", "3.141d"),
        ("null", "nil", "nil"),
        ("array", "[0, 1, 2]", "[0, 1, 2]"),
        ("set", "[0, 1, 2]", "~[0, 1, 2]"),
        ("map", "[0, 0, 1, 1, 2, 0]", "{0: false, 1: true, 2: false}"),
        ("true", "1", "true"),
        ("false", "0", "false"),
        (
            "verbatim",
            "\"This is a verbatim\\nstring\"",
            "txt:\"This is a verbatim\\nstring\"",
        ),
        (
            "bignum",
            "\"1234567999999999999999999999999999999\"",
            "1234567999999999999999999999999999999n",
        ),
    ] {
        assert_eq!(client.say(&format!("DEBUG PROTOCOL {kind}")), resp2, "{kind}");
        assert_eq!(client3.say(&format!("DEBUG PROTOCOL {kind}")), resp3, "{kind}");
    }
    assert_eq!(
        client.say("DEBUG PROTOCOL push"),
        "(error) ERR RESP2 is not supported by this command"
    );
    assert!(client3.say("DEBUG PROTOCOL push").starts_with(">["));
}

#[test]
fn how_often_a_key_is_used_is_not_kept() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send_lines(&["SET k 1", "OBJECT FREQ nothing", "OBJECT FREQ k"]);
    let replies = client.hear_all(3);
    assert_eq!(&replies[..2], ["OK", "nil"]);
    assert!(
        replies[2].starts_with("(error) ERR An LFU maxmemory policy is not selected, access"),
        "{replies:?}"
    );
    client.send_lines(&[
        "CONFIG SET maxmemory-policy allkeys-lfu",
        "OBJECT FREQ k",
        "OBJECT FREQ nothing",
    ]);
    assert_eq!(client.hear_all(3), ["OK", "0", "nil"]);
    client.send_lines(&["MULTI", "OBJECT FREQ k", "EXEC"]);
    assert_eq!(client.hear_all(3), ["OK", "QUEUED", "[0]"]);
}
