//! MONITOR, and commands of the server within pipelines and transactions.

use super::*;

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
