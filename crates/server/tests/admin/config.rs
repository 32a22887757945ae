//! CONFIG: reading, changing, rewriting.

use super::*;

#[test]
fn config_is_read_and_changed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(
        client.say("CONFIG GET slowlog-max-len"),
        "[\"slowlog-max-len\", \"128\"]"
    );
    assert_eq!(
        client.say("CONFIG GET hz TIMEOUT nonsense"),
        "[\"hz\", \"10\", \"TIMEOUT\", \"0\"]"
    );
    assert!(client.say("CONFIG GET maxmemory* save").contains("\"save\", \"\""));
    assert_eq!(client.say("CONFIG SET timeout 100 hz 20"), "OK");
    assert_eq!(
        client.say("CONFIG SET timeout 200 hz x"),
        "(error) ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer"
    );
    assert_eq!(
        client.say("CONFIG GET timeout hz"),
        "[\"timeout\", \"100\", \"hz\", \"20\"]"
    );
    assert_eq!(
        client.say("CONFIG SET a"),
        "(error) ERR wrong number of arguments for 'config|set' command"
    );
    assert_eq!(
        client.say("CONFIG SET timeout 1 hz"),
        "(error) ERR wrong number of arguments for 'config|set' command"
    );
    assert_eq!(
        client.say("CONFIG SET nonsense 1"),
        "(error) ERR Unknown option or number of arguments for CONFIG SET - 'nonsense'"
    );
    assert!(client.say("CONFIG SET port 1").ends_with("can't set immutable config"));
    assert!(
        client
            .say("CONFIG SET maxclients 4000000000")
            .contains("The operating system is not able")
    );
    assert_eq!(
        client.say("CONFIG REWRITE"),
        "(error) ERR The server is running without a config file"
    );
    assert_eq!(server.client3().say("CONFIG GET hz"), "{\"hz\": \"20\"}");
}

#[test]
fn config_changes_take_effect() {
    let server = Server::start(&[]);
    let (mut client, mut listener) = (server.client(), server.client());
    client.say("CONFIG SET slowlog-log-slower-than 0");
    for _ in 0..5 {
        client.say("PING");
    }
    client.say("CONFIG SET slowlog-log-slower-than -1 slowlog-max-len 2");
    assert_eq!(client.say("SLOWLOG LEN"), "2");

    assert_eq!(client.say("CONFIG SET notify-keyspace-events KEA"), "OK");
    listener.say("SUBSCRIBE __keyevent@0__:set");
    client.say("SET k v");
    assert_eq!(text(&listener.recv()), "[\"message\", \"__keyevent@0__:set\", \"k\"]");

    assert_eq!(client.say("CONFIG SET proto-max-bulk-len 1mb"), "OK");
    assert!(
        client
            .say("SETRANGE big 2000000 x")
            .contains("string exceeds maximum allowed size")
    );

    assert_eq!(
        client.say("CONFIG SET sync always appendfsync always oplog-retention-hours 1"),
        "(error) ERR CONFIG SET failed (possibly related to argument 'appendfsync') - duplicate parameter"
    );
    assert_eq!(
        client.say("CONFIG SET appendfsync always oplog-retention-hours 1 loglevel debug"),
        "OK"
    );
    assert_eq!(client.say("SET k w"), "OK");
    assert_eq!(info(&mut client, "haypile")["sync"], "always");
    assert_eq!(
        info(&mut client, "haypile")["position"],
        info(&mut client, "haypile")["durable_position"]
    );

    assert_eq!(client.say("CONFIG SET requirepass secret"), "OK");
    assert_eq!(client.say("GET k"), "\"w\"");
    assert_eq!(server.client().say("GET k"), "(error) NOAUTH Authentication required.");
    assert_eq!(client.say("CONFIG SET requirepass \"\""), "OK");
    assert_eq!(server.client().say("GET k"), "\"w\"");
}

#[test]
fn the_size_of_sparse_hyperloglogs_can_change() {
    let server = Server::start(&["--hll-sparse-max-bytes", "100"]);
    let mut client = server.client();
    let add = |client: &mut Client, key: &str| {
        let elements: Vec<String> = (0..300).map(|n| format!("e{n}")).collect();
        client.say(&format!("PFADD {key} {}", elements.join(" ")));
        (
            client.say(&format!("PFDEBUG ENCODING {key}")),
            client.say(&format!("STRLEN {key}")),
        )
    };
    let dense = ("dense".to_owned(), "12304".to_owned());
    assert_eq!(add(&mut client, "a"), dense);
    assert_eq!(client.say("CONFIG SET hll-sparse-max-bytes 3000"), "OK");
    let (encoding, len) = add(&mut client, "b");
    assert_eq!(encoding, "sparse");
    assert_eq!(client.say("PFCOUNT a"), client.say("PFCOUNT b"));
    // One that is longer stays as it is until it grows.
    assert_eq!(client.say("CONFIG SET hll-sparse-max-bytes 0"), "OK");
    assert_eq!(client.say("PFADD b e1"), "0");
    assert_eq!(client.say("STRLEN b"), len);
    assert_eq!(client.say("PFADD b other1 other2"), "1");
    assert_eq!(client.say("STRLEN b"), dense.1);
    assert_eq!(client.say("PFMERGE c a"), "OK");
    client.send_lines(&["MULTI", "PFADD d x", "STRLEN d", "EXEC"]);
    assert_eq!(client.hear_all(4)[3], "[1, 12304]");
}

#[test]
fn config_rewrite_keeps_what_was_set() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("haypile.conf");
    fs::write(&file, "# mine\ntimeout 5\n").unwrap();
    let mut server = Server::start(&["--config", file.to_str().unwrap()]);
    let mut client = server.client();
    assert_eq!(client.say("CONFIG SET timeout 7"), "OK");
    assert_eq!(client.say("CONFIG REWRITE"), "OK");
    assert!(fs::read_to_string(&file).unwrap().starts_with("# mine\ntimeout 7\n"));
    server.restart();
    assert_eq!(server.client().say("CONFIG GET timeout"), "[\"timeout\", \"7\"]");
    assert!(info(&mut server.client(), "server")["config_file"].ends_with("haypile.conf"));
}
