//! CLIENT REPLY and PAUSE.

use super::*;

#[test]
fn reply_off_on_and_skip() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send_lines(&[
        "CLIENT REPLY OFF",
        "PING no",
        "SET a 1",
        "NOSUCH",
        "MULTI",
        "SET a 2",
        "EXEC",
        "CLIENT REPLY SKIP",
        "PING no",
        "CLIENT REPLY ON",
        "GET a",
    ]);
    assert_eq!(client.hear_all(2), ["OK", "\"2\""]);
    client.send_lines(&["CLIENT REPLY SKIP", "PING no", "PING yes"]);
    assert_eq!(client.hear(), "\"yes\"");
    client.send_lines(&["CLIENT REPLY SKIP", "SET a 1", "PING yes"]);
    assert_eq!(client.hear(), "\"yes\"");
    client.send_lines(&["CLIENT REPLY SKIP", "NOSUCH", "PING yes"]);
    assert_eq!(client.hear(), "\"yes\"");
    client.send_lines(&["CLIENT REPLY SKIP", "CLIENT REPLY ON", "PING yes"]);
    assert_eq!(client.hear_all(2), ["OK", "\"yes\""]);
    client.send_lines(&["CLIENT REPLY SKIP", "CLIENT REPLY SKIP", "PING no", "PING yes"]);
    assert_eq!(client.hear(), "\"yes\"");
    assert_eq!(client.say("CLIENT REPLY foo"), "(error) ERR syntax error");
    // A command that waits is silenced as well.
    let (mut other, id) = (server.client(), client.id());
    client.send_lines(&["CLIENT REPLY SKIP", "BLPOP list 0", "PING yes"]);
    await_blocked(&mut other, id);
    assert_eq!(other.say("RPUSH list 1"), "1");
    assert_eq!(client.hear(), "\"yes\"");
    client.send_lines(&["CLIENT REPLY SKIP", "BLPOP list 0.01", "PING yes"]);
    assert_eq!(client.hear(), "\"yes\"");
    // One that comes behind others has its timeout, too.
    client.send_lines(&["SET a 1", "BLPOP list 0.01", "PING yes"]);
    assert_eq!(client.hear_all(3), ["OK", "nil", "\"yes\""]);
}

#[test]
fn a_pause_of_writes_holds_up_writes_only() {
    let server = Server::start(&[]);
    let (mut asker, mut writer, mut publisher) = (server.client(), server.client(), server.client());
    assert_eq!(asker.say("SET a 0"), "OK");
    assert_eq!(asker.say("CLIENT PAUSE 1000000 WRITE"), "OK");
    let ids = [writer.id(), publisher.id()];
    writer.send_lines(&["MULTI"]);
    assert_eq!(writer.hear(), "OK");
    writer.send_lines(&["GET a", "SET a 1", "EXEC"]);
    assert_eq!(writer.hear(), "QUEUED");
    publisher.send_lines(&["GET a", "PUBLISH ch x", "PING"]);
    assert_eq!(publisher.hear(), "\"0\"");
    ids.iter().for_each(|id| await_blocked(&mut asker, *id));
    asker.send_lines(&["MULTI", "GET a", "PING", "EXEC"]);
    assert_eq!(asker.hear_all(4)[3], "[\"0\", PONG]");
    assert_eq!(asker.say("CLIENT UNPAUSE"), "OK");
    assert_eq!(writer.hear_all(2), ["QUEUED", "[\"0\", OK]"]);
    assert_eq!(publisher.hear_all(2), ["0", "PONG"]);
    assert_eq!(asker.say("GET a"), "\"1\"");
    assert_eq!(info_of(&mut asker, ids[0]).unwrap()["flags"], "N");
}

/// When MONITOR says that a command was evaluated, microseconds.
fn evaluated_at(monitor: &mut Client, command: &str) -> u64 {
    loop {
        let line = monitor.hear();
        if line.contains(command) {
            let time = line.split(' ').next().unwrap().replace('.', "");
            return time.parse().unwrap();
        }
    }
}

/// Whatever is sent then, as in Redis, where only what is refused without being looked at is answered.
#[test]
fn a_pause_of_all_holds_up_everything_and_ends_by_itself() {
    const PAUSE_MS: u64 = 50;
    let server = Server::start(&[]);
    let (mut client, mut monitor) = (server.client(), server.client());
    assert_eq!(monitor.say("MONITOR"), "OK");
    let pause = format!("CLIENT PAUSE {PAUSE_MS} ALL");
    for line in [
        "GET a",
        "PING",
        "CLIENT ID",
        "CLIENT GETNAME",
        "CLIENT REPLY ON",
        "HELLO 2",
        "MULTI",
        "RESET",
        "QUIT",
    ] {
        client.send_lines(&["ECHO before", &pause, line, "ECHO after"]);
        let before = evaluated_at(&mut monitor, "\"before\"");
        let command = format!(" \"{}\"", line.split(' ').next().unwrap());
        let after = evaluated_at(&mut monitor, &command);
        assert!(after - before >= PAUSE_MS * 1000, "{line}");
        if line == "QUIT" {
            client.hear_all(3);
            client.assert_closed();
        } else {
            client.hear_all(4);
            client.say("DISCARD");
        }
        client = server.client();
    }
    // Even what would end it; MONITOR does not show that.
    client.send_lines(&["TIME", &pause, "CLIENT UNPAUSE", "TIME"]);
    let replies = client.hear_all(4);
    let micros = |time: &str| -> u64 {
        let parts: Vec<u64> = time.split('"').filter_map(|part| part.parse().ok()).collect();
        parts[0] * 1_000_000 + parts[1]
    };
    assert_eq!(replies[1..3], ["OK", "OK"]);
    assert!(
        micros(&replies[3]) - micros(&replies[0]) >= PAUSE_MS * 1000,
        "{replies:?}"
    );
    // What makes no sense is refused at once; a test can tell because the pause would not end.
    let mut other = server.client();
    assert_eq!(client.say("CLIENT PAUSE 1000000000 ALL"), "OK");
    for (line, error) in [
        ("NOSUCH", "ERR unknown command 'NOSUCH', with args beginning with: "),
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("CLIENT NOSUCH", "ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."),
    ] {
        assert_eq!(other.say(line), format!("(error) {error}"), "{line}");
    }
}

#[test]
fn a_pause_is_neither_shortened_nor_made_weaker() {
    let server = Server::start(&[]);
    let (mut asker, mut reader) = (server.client(), server.client());
    let id = reader.id();
    // Within a transaction the pause begins at its end.
    asker.send_lines(&["MULTI", "CLIENT PAUSE 1000000 WRITE", "CLIENT PAUSE 1 WRITE", "EXEC"]);
    assert_eq!(asker.hear_all(4)[3], "[OK, OK]");
    reader.send_lines(&["SET a 1"]);
    await_blocked(&mut asker, id);
    assert_eq!(asker.say("CLIENT UNPAUSE"), "OK");
    assert_eq!(reader.hear(), "OK");
    for (line, error) in [
        ("CLIENT PAUSE x", "ERR timeout is not an integer or out of range"),
        ("CLIENT PAUSE -1", "ERR timeout is negative"),
        ("CLIENT PAUSE 1 foo", "ERR CLIENT PAUSE mode must be WRITE or ALL"),
    ] {
        assert_eq!(asker.say(line), format!("(error) {error}"), "{line}");
    }
    assert_eq!(asker.say("CLIENT PAUSE 0"), "OK");
    assert_eq!(reader.say("GET a"), "\"1\"");
}

#[test]
fn a_pause_holds_expired_keys_back_and_info_counts_who_waits() {
    let server = Server::start(&[]);
    let (mut asker, mut writer) = (server.client(), server.client());
    let id = writer.id();
    asker.send_lines(&["MULTI", "SET a 1 PX 1", "CLIENT PAUSE 1000000 WRITE", "EXEC"]);
    assert_eq!(asker.hear_all(4)[3], "[OK, OK]");
    writer.send_lines(&["SET b 1"]);
    await_blocked(&mut asker, id);
    assert!(asker.say("INFO clients").contains("blocked_clients:1\\r\\n"));
    wait_until("the key's time is over", || asker.say("GET a") == "nil");
    assert_eq!(asker.say("DBSIZE"), "1");
    assert_eq!(asker.say("CLIENT UNPAUSE"), "OK");
    assert_eq!(writer.hear(), "OK");
    wait_until("the expired key is removed", || asker.say("DBSIZE") == "1");
    assert_eq!(asker.say("GET b"), "\"1\"");
    assert!(asker.say("INFO clients").contains("blocked_clients:0\\r\\n"));
}
