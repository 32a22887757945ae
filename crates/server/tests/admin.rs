//! The server's own commands: CONFIG, INFO, COMMAND, SLOWLOG, LATENCY, MEMORY, saving, DEBUG and the like.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;

use haypile_testkit::{Client, Server, Value, error, int, ok, text, wait_until};

/// The fields of INFO.
fn info(client: &mut Client, sections: &str) -> BTreeMap<String, String> {
    let reply = client.cmd(&[&["INFO"], &sections.split_whitespace().collect::<Vec<_>>()[..]].concat());
    let Value::Bulk(bytes) = reply else {
        panic!("{}", text(&reply))
    };
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.is_empty() || text.ends_with("\r\n"), "{text}");
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(field, value)| (field.to_owned(), value.to_owned()))
        .collect()
}

/// The members of an array.
fn members(value: Value) -> Vec<Value> {
    match value {
        Value::Array(members) | Value::Set(members) => members,
        other => panic!("not an array: {}", text(&other)),
    }
}

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

#[test]
fn info_has_the_sections_that_are_asked_for() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send_lines(&[
        "SET a 1 EX 1000",
        "SET b 2",
        "GET a",
        "GET nothing",
        "LPUSH a x",
        "NONSENSE",
    ]);
    client.hear_all(6);
    let default = info(&mut client, "");
    for field in [
        "redis_version",
        "haypile_version",
        "tcp_port",
        "run_id",
        "connected_clients",
        "used_memory_rss",
        "aof_enabled",
        "total_commands_processed",
        "role",
        "used_cpu_user",
        "cluster_enabled",
        "db0",
        "oplog_bytes",
        "errorstat_ERR",
    ] {
        assert!(default.contains_key(field), "{field} is missing");
    }
    assert!(!default.contains_key("cmdstat_get"));
    assert_eq!(default["tcp_port"], server.port().to_string());
    assert_eq!(default["db0"], "keys=2,expires=1,avg_ttl=0");
    assert_eq!(
        (default["keyspace_hits"].as_str(), default["keyspace_misses"].as_str()),
        ("1", "1")
    );
    assert_eq!(default["errorstat_WRONGTYPE"], "count=1");
    assert_eq!(default["total_error_replies"], "2");
    assert!(default["used_memory"].parse::<u64>().unwrap() > 1 << 20);

    let all = info(&mut client, "everything");
    assert!(
        all["cmdstat_get"].starts_with("calls=2,usec="),
        "{}",
        all["cmdstat_get"]
    );
    assert!(all["cmdstat_lpush"].ends_with("rejected_calls=0,failed_calls=1"));
    assert!(all["latency_percentiles_usec_get"].starts_with("p50="));
    let two = info(&mut client, "cpu KEYSPACE nonsense");
    assert!(two.contains_key("db0") && two.contains_key("used_cpu_sys") && !two.contains_key("role"));
    assert!(info(&mut client, "nonsense").is_empty());

    assert_eq!(client.say("CONFIG RESETSTAT"), "OK");
    let reset = info(&mut client, "everything");
    assert!(!reset.contains_key("cmdstat_get") && !reset.contains_key("errorstat_ERR"));
    assert_eq!(reset["keyspace_hits"], "0");
    assert!(matches!(server.client3().cmd(&["INFO"]), Value::Verbatim { .. }));
}

#[test]
fn statistics_count_refusals_failures_and_transactions() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send_lines(&["CONFIG RESETSTAT", "SET k", "MULTI", "SET k v", "LPUSH k x", "EXEC"]);
    client.hear_all(6);
    let stats = info(&mut client, "commandstats errorstats");
    assert!(stats["cmdstat_set"].starts_with("calls=1,"), "{}", stats["cmdstat_set"]);
    assert!(
        stats["cmdstat_set"].ends_with("rejected_calls=1,failed_calls=0"),
        "{}",
        stats["cmdstat_set"]
    );
    assert!(stats["cmdstat_lpush"].ends_with("failed_calls=1"));
    assert!(stats["cmdstat_exec"].starts_with("calls=1,"));
    assert_eq!(stats["errorstat_WRONGTYPE"], "count=1");

    assert_eq!(client.say("CONFIG SET latency-tracking no"), "OK");
    assert!(!info(&mut client, "latencystats").contains_key("latency_percentiles_usec_set"));
    assert_eq!(
        client.say("CONFIG SET latency-tracking yes latency-tracking-info-percentiles \"0 100\""),
        "OK"
    );
    assert!(info(&mut client, "latencystats")["latency_percentiles_usec_set"].contains(",p100="));
}

#[test]
fn command_describes_the_table() {
    let server = Server::start(&[]);
    let (mut client, mut client3) = (server.client(), server.client3());
    let all = members(client.cmd(&["COMMAND"]));
    assert_eq!(client.cmd(&["COMMAND", "COUNT"]), int(all.len() as i64));
    assert_eq!(
        text(&members(client.cmd(&["COMMAND", "INFO", "get"]))[0]),
        "[\"get\", 2, [readonly, fast], 1, 1, 1, [@read, @string, @fast], [], [[\"flags\", [RO, access], \
         \"begin_search\", [\"type\", \"index\", \"spec\", [\"index\", 1]], \"find_keys\", [\"type\", \"range\", \"spec\", \
         [\"lastkey\", 0, \"keystep\", 1, \"limit\", 0]]]], []]"
    );
    assert!(text(&client3.cmd(&["COMMAND", "INFO", "get"])).contains("~[readonly, fast]"));
    assert_eq!(client.say("COMMAND INFO get|x nonsense"), "[nil, nil]");
    assert!(
        client
            .say("COMMAND INFO config|get")
            .starts_with("[[\"config|get\", -3, [admin, noscript, loading, stale]")
    );

    let docs = client3.say("COMMAND DOCS set nonsense");
    assert!(docs.starts_with("{\"set\": {\"summary\": \"Sets"), "{docs}");
    assert!(
        docs.contains("\"arguments\": [{\"name\": \"key\", \"type\": \"key\", \"key_spec_index\": 0}"),
        "{docs}"
    );
    assert!(
        client3
            .say("COMMAND DOCS config")
            .contains("\"subcommands\": {\"config|get\": {")
    );
    assert_eq!(members(client.cmd(&["COMMAND", "DOCS"])).len(), all.len() * 2);

    assert_eq!(client.say("COMMAND GETKEYS MSET a 1 b 2"), "[\"a\", \"b\"]");
    assert_eq!(client.say("COMMAND GETKEYS MEMORY USAGE k"), "[\"k\"]");
    assert_eq!(
        client.say("COMMAND GETKEYSANDFLAGS LMOVE a b LEFT RIGHT"),
        "[[\"a\", [RW, access, delete]], [\"b\", [RW, insert]]]"
    );
    for (line, reply) in [
        ("COMMAND GETKEYS PING x", "ERR The command has no key arguments"),
        ("COMMAND GETKEYS NONSENSE x", "ERR Invalid command specified"),
        (
            "COMMAND GETKEYS MSET a",
            "ERR Invalid number of arguments specified for command",
        ),
        (
            "COMMAND GETKEYS SINTERCARD 3 a",
            "ERR Invalid arguments specified for command",
        ),
        (
            "COMMAND NONSENSE",
            "ERR unknown subcommand 'NONSENSE'. Try COMMAND HELP.",
        ),
        ("COMMAND LIST FILTERBY x", "ERR syntax error"),
    ] {
        assert_eq!(client.say(line), format!("(error) {reply}"), "{line}");
    }
    assert_eq!(
        client.say("COMMAND LIST FILTERBY PATTERN config|re*"),
        "[\"config|rewrite\", \"config|resetstat\"]"
    );
    assert_eq!(client.say("COMMAND LIST FILTERBY MODULE x"), "[]");
    assert_eq!(client.say("COMMAND LIST FILTERBY ACLCAT nonsense"), "[]");
    assert!(
        client
            .say("COMMAND LIST FILTERBY ACLCAT transaction")
            .contains("\"exec\"")
    );
    assert!(members(client.cmd(&["COMMAND", "LIST"])).len() > all.len());
}

#[test]
fn slow_commands_are_remembered() {
    let server = Server::start(&["--slowlog-log-slower-than", "-1"]);
    let mut client = server.client();
    client.say("CLIENT SETNAME me");
    client.say("CONFIG SET slowlog-log-slower-than 50000 latency-monitor-threshold 50");
    client.send_lines(&["DEBUG SLEEP 0.06", "MULTI", "DEBUG SLEEP 0.06", "EXEC"]);
    client.hear_all(4);
    client.say("CONFIG SET slowlog-log-slower-than -1");
    // Others may have been slow, too, on a busy machine.
    let entries = members(client.cmd(&["SLOWLOG", "GET", "-1"]));
    let slept: Vec<Vec<Value>> = entries
        .into_iter()
        .map(members)
        .filter(|entry| text(&entry[3]) == "[\"DEBUG\", \"SLEEP\", \"0.06\"]")
        .collect();
    assert_eq!(slept.len(), 2);
    let [_, _, micros, _, addr, name] = &slept[0][..] else {
        panic!("{} fields", slept[0].len())
    };
    assert!(micros.as_i64().unwrap() >= 60_000);
    assert_eq!(text(addr), format!("\"{}\"", client.addr()));
    assert_eq!(text(name), "\"me\"");
    assert_eq!(client.say("SLOWLOG GET 0"), "[]");
    for (line, reply) in [
        ("SLOWLOG GET -2", "ERR count should be greater than or equal to -1"),
        ("SLOWLOG GET x", "ERR count should be greater than or equal to -1"),
        (
            "SLOWLOG NONSENSE",
            "ERR unknown subcommand 'NONSENSE'. Try SLOWLOG HELP.",
        ),
    ] {
        assert_eq!(client.cmd(&line.split(' ').collect::<Vec<_>>()), error(reply));
    }
    assert_eq!(client.say("SLOWLOG RESET"), "OK");
    assert_eq!(client.say("SLOWLOG LEN"), "0");

    assert!(client.say("LATENCY LATEST").contains("[\"command\", "));
    assert!(!members(client.cmd(&["LATENCY", "HISTORY", "command"])).is_empty());
    assert!(client.say("LATENCY DOCTOR").contains("- command: "));
    assert!(client.say("LATENCY GRAPH command").contains("all time high"));
    assert_eq!(
        client.say("LATENCY GRAPH x"),
        "(error) ERR No samples available for event 'x'"
    );
    assert_eq!(client.say("LATENCY RESET nonsense"), "0");
    assert!(client.cmd(&["LATENCY", "RESET"]).as_i64().unwrap() >= 1);
    let histogram = server.client3().say("LATENCY HISTOGRAM debug nonsense");
    assert!(
        histogram.starts_with("{\"debug\": {\"calls\": 2, \"histogram_usec\": {"),
        "{histogram}"
    );
}

#[test]
fn passwords_stay_out_of_the_slow_log() {
    let server = Server::start(&["--slowlog-log-slower-than", "0"]);
    let mut client = server.client();
    client.say("CONFIG SET requirepass hidden");
    client.say("AUTH hidden");
    client.say("HELLO 2 AUTH default hidden");
    let log = client.say("SLOWLOG GET");
    assert!(log.contains("(redacted)") && !log.contains("hidden"), "{log}");
}

#[test]
fn memory_is_told_of() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.say("SET k 0123456789");
    assert!(client.cmd(&["MEMORY", "USAGE", "k"]).as_i64().unwrap() > 10);
    assert_eq!(client.say("MEMORY USAGE nothing"), "nil");
    assert_eq!(client.say("MEMORY USAGE k SAMPLES"), "(error) ERR syntax error");
    assert!(client.say("MEMORY STATS").contains("\"keys.count\", 1"));
    assert!(client.say("MEMORY DOCTOR").contains("memory-budget"));
    assert!(client.say("MEMORY MALLOC-STATS").contains("jemalloc"));
    assert_eq!(client.say("MEMORY PURGE"), "OK");
}

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

#[test]
fn a_monitor_sees_what_is_evaluated() {
    let server = Server::start(&[]);
    let (mut client, mut monitor) = (server.client(), server.client());
    assert_eq!(monitor.say("MONITOR"), "OK");
    client.send_lines(&[
        "SET a \"b c\"",
        "CONFIG GET x",
        "AUTH pw",
        "MULTI",
        "GET a",
        "EXEC",
        "NONSENSE",
    ]);
    client.hear_all(7);
    let seen: Vec<String> = (0..5).map(|_| monitor.hear()).collect();
    let ends = [
        "\"SET\" \"a\" \"b c\"",
        "\"AUTH\" \"(redacted)\"",
        "\"MULTI\"",
        "\"GET\" \"a\"",
        "\"EXEC\"",
    ];
    for (line, end) in seen.iter().zip(ends) {
        assert!(line.ends_with(&format!(" [0 {}] {end}", client.addr())), "{line}");
    }
    assert!(client.say("CLIENT LIST").contains(" flags=O "));
    monitor.cmd(&["RESET"]);
    client.say("GET a");
    while monitor.say("PING quiet") != "\"quiet\"" {}
    assert!(!client.say("CLIENT LIST").contains(" flags=O "));
    client.send_lines(&["MULTI", "MONITOR", "EXEC"]);
    assert!(client.hear_all(3)[2].contains("MONITOR isn't allowed"));
}

/// A command that waits is shown when it comes, and not again when its client is served or gives up.
#[test]
fn a_monitor_sees_when_a_wait_begins() {
    for args in [["--io-threads", "1"], ["--io-threads", "4"]] {
        let server = Server::start(&args);
        let (mut client, mut waiting, mut monitor) = (server.client(), server.client(), server.client());
        assert_eq!(monitor.say("MONITOR"), "OK");
        let mut hear = || {
            let line = monitor.hear();
            line.split_once("] ").expect("a line").1.replace('"', "")
        };
        waiting.send_lines(&["SET before 1", "BLPOP q 0", "ECHO behind"]);
        assert_eq!(waiting.hear(), "OK");
        assert_eq!([hear(), hear()], ["SET before 1", "BLPOP q 0"]);
        client.send_lines(&["RPUSH q a", "LLEN q"]);
        client.hear_all(2);
        waiting.hear_all(2);
        assert_eq!([hear(), hear(), hear()], ["RPUSH q a", "LLEN q", "ECHO behind"]);
        // One that need not wait is shown once as well, and one that waits in vain.
        client.send_lines(&["RPUSH q a", "BLPOP q 0", "BLPOP q 0.01", "WAIT 1 10", "ECHO end"]);
        client.hear_all(5);
        assert_eq!(
            [hear(), hear(), hear(), hear(), hear()],
            ["RPUSH q a", "BLPOP q 0", "BLPOP q 0.01", "WAIT 1 10", "ECHO end"]
        );
    }
}

/// These need the writer or its figures, which another command of the same connection may hold.
#[test]
fn own_commands_work_behind_writes_and_in_transactions() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let own = [
        "INFO",
        "CONFIG SET sync always oplog-retention-hours 2",
        "ROLE",
        "DEBUG OBJECT a",
        "DEBUG DIGEST-VALUE a",
        "DEBUG POPULATE 3 p",
        "DEBUG SLEEP 0",
        "DEBUG RELOAD",
        "MEMORY USAGE a",
        "CONFIG SET sync everysec",
        "DBSIZE",
    ];
    let mut lines = Vec::new();
    for line in own {
        lines.extend(["SET a 1", line]);
    }
    client.send_lines(&lines);
    let replies = client.hear_all(lines.len());
    assert!(replies.iter().all(|reply| !reply.starts_with("(error)")), "{replies:?}");
    assert_eq!(replies[lines.len() - 1], "4");

    lines.insert(0, "MULTI");
    lines.push("EXEC");
    client.say("DEL a p:0 p:1 p:2");
    client.send_lines(&lines);
    let replies = client.hear_all(lines.len());
    let result = &replies[lines.len() - 1];
    assert!(
        result.starts_with("[OK, ") && result.ends_with("OK, 4]") && !result.contains("(error)"),
        "{result}"
    );
}

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
