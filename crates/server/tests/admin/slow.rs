//! SLOWLOG and MEMORY.

use super::*;

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
