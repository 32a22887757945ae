//! CLIENT and its subcommands.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use haypile_testkit::{Client, Server, Value, wait_until};

/// The lines of CLIENT LIST or CLIENT INFO, as fields and values.
fn lines(reply: &Value) -> Vec<BTreeMap<String, String>> {
    let text = String::from_utf8(reply.as_bytes().expect("text").to_vec()).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let fields = |line: &str| {
        let fields = line.split(' ').map(|field| field.split_once('=').expect("a field"));
        fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    text.lines().map(fields).collect()
}

fn info(client: &mut Client) -> BTreeMap<String, String> {
    lines(&client.cmd(&["CLIENT", "INFO"])).remove(0)
}

/// What CLIENT LIST says of another client.
fn info_of(asker: &mut Client, id: i64) -> Option<BTreeMap<String, String>> {
    lines(&asker.cmd(&["CLIENT", "LIST", "ID", &id.to_string()])).pop()
}

/// Waits until the client of this id waits for a key or for the end of a pause.
#[track_caller]
fn await_blocked(asker: &mut Client, id: i64) {
    wait_until("the client waits", || {
        info_of(asker, id).is_some_and(|line| line["flags"].contains('b'))
    });
}

#[test]
fn list_has_the_fields_of_redis_in_their_order() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let reply = client.cmd(&["CLIENT", "LIST"]);
    let text = String::from_utf8(reply.as_bytes().unwrap().to_vec()).unwrap();
    let names: Vec<&str> = text
        .trim_end()
        .split(' ')
        .map(|f| f.split('=').next().unwrap())
        .collect();
    assert_eq!(
        names.join(" "),
        "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll \
         omem tot-mem events cmd user redir resp lib-name lib-ver"
    );
    let line = &lines(&reply)[0];
    assert_eq!(line["addr"], client.addr().to_string());
    assert_eq!(line["laddr"], format!("127.0.0.1:{}", server.port()));
    let expected = [
        ("name", ""),
        ("flags", "N"),
        ("db", "0"),
        ("sub", "0"),
        ("psub", "0"),
        ("ssub", "0"),
        ("multi", "-1"),
        ("qbuf", "26"),
        ("argv-mem", "10"),
        ("multi-mem", "0"),
        ("obl", "0"),
        ("oll", "0"),
        ("omem", "0"),
        ("events", "r"),
        ("cmd", "client|list"),
        ("user", "default"),
        ("redir", "-1"),
        ("resp", "2"),
        ("lib-name", ""),
        ("lib-ver", ""),
    ];
    for (name, value) in expected {
        assert_eq!(line[name], value, "{name}");
    }
    assert_eq!(info(&mut client)["cmd"], "client|info");
    assert!(matches!(
        server.client3().cmd(&["CLIENT", "INFO"]),
        Value::Verbatim { .. }
    ));
}

#[test]
fn list_selects_by_type_and_id() {
    let server = Server::start(&[]);
    let (mut asker, mut listener, mut other) = (server.client(), server.client(), server.client());
    let ids = [asker.id(), listener.id(), other.id()];
    listener.say("SUBSCRIBE a");
    let mut listed = |args: &[&str]| -> Vec<i64> {
        let args = [&["CLIENT", "LIST"], args].concat();
        let listed = lines(&asker.cmd(&args));
        listed.iter().map(|line| line["id"].parse().unwrap()).collect()
    };
    // Connections are numbered in the order in which they are accepted, which is not that in which they were made.
    let mut all = ids;
    all.sort();
    assert_eq!(listed(&[]), all);
    assert_eq!(listed(&["TYPE", "normal"]), [ids[0].min(ids[2]), ids[0].max(ids[2])]);
    assert_eq!(listed(&["TYPE", "PubSub"]), [ids[1]]);
    assert_eq!(listed(&["TYPE", "master"]), []);
    assert_eq!(listed(&["TYPE", "replica"]), []);
    let (first, last) = (ids[0].to_string(), ids[2].to_string());
    assert_eq!(listed(&["ID", &last, &first, "999999"]), [ids[2], ids[0]]);
    for (line, error) in [
        ("CLIENT LIST TYPE foo", "ERR Unknown client type 'foo'"),
        ("CLIENT LIST TYPE", "ERR syntax error"),
        ("CLIENT LIST ID", "ERR syntax error"),
        ("CLIENT LIST ID x", "ERR Invalid client ID"),
        ("CLIENT LIST foo", "ERR syntax error"),
    ] {
        assert_eq!(asker.say(line), format!("(error) {error}"), "{line}");
    }
    drop(other);
    wait_until("the closed connection is off the list", || {
        info_of(&mut asker, ids[2]).is_none()
    });
}

#[test]
fn names_and_library_information() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(client.say("CLIENT GETNAME"), "nil");
    assert_eq!(client.say("CLIENT SETNAME me"), "OK");
    assert_eq!(client.say("CLIENT GETNAME"), "\"me\"");
    let refused = "(error) ERR Client names cannot contain spaces, newlines or special characters.";
    assert_eq!(client.say("CLIENT SETNAME \"a b\""), refused);
    assert_eq!(client.say("CLIENT SETNAME \"a\nb\""), refused);
    assert_eq!(client.say("CLIENT SETNAME é"), refused);
    assert_eq!(info(&mut client)["name"], "me");
    assert_eq!(client.say("CLIENT SETNAME \"\""), "OK");
    assert_eq!(client.say("CLIENT GETNAME"), "nil");
    assert_eq!(client.say("CLIENT SETINFO lib-name redis-py"), "OK");
    assert_eq!(client.say("CLIENT SETINFO LIB-VER 1.2.3"), "OK");
    let line = info(&mut client);
    assert_eq!(
        (line["lib-name"].as_str(), line["lib-ver"].as_str()),
        ("redis-py", "1.2.3")
    );
    assert_eq!(
        client.say("CLIENT SETINFO lib-name \"a b\""),
        "(error) ERR lib-name cannot contain spaces, newlines or special characters."
    );
    assert_eq!(
        client.say("CLIENT SETINFO foo bar"),
        "(error) ERR Unrecognized option 'foo'"
    );
}

#[test]
fn the_list_shows_what_clients_do() {
    let server = Server::start(&[]);
    let (mut asker, mut client) = (server.client(), server.client());
    let id = client.id();
    client.send_lines(&["MULTI", "SET a 1", "GET a"]);
    client.hear_all(3);
    let line = info_of(&mut asker, id).unwrap();
    assert_eq!((line["multi"].as_str(), line["flags"].as_str()), ("2", "x"));
    assert!(line["multi-mem"].parse::<u64>().unwrap() > 0);
    assert_eq!(client.say("EXEC"), "[OK, \"1\"]");
    let line = info_of(&mut asker, id).unwrap();
    assert_eq!((line["multi"].as_str(), line["multi-mem"].as_str()), ("-1", "0"));
    assert_eq!(line["cmd"], "exec");
    assert_eq!(client.say("CLIENT NO-EVICT ON"), "OK");
    assert_eq!(client.say("CLIENT NO-TOUCH on"), "OK");
    assert_eq!(info(&mut client)["flags"], "eT");
    assert_eq!(client.say("CLIENT NO-EVICT off"), "OK");
    assert_eq!(client.say("CLIENT NO-TOUCH off"), "OK");
    assert_eq!(client.say("CLIENT NO-TOUCH maybe"), "(error) ERR syntax error");
    client.send_lines(&["BLPOP list 0"]);
    await_blocked(&mut asker, id);
    assert_eq!(info_of(&mut asker, id).unwrap()["cmd"], "blpop");
}

#[test]
fn tracking_is_off() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(client.say("CLIENT GETREDIR"), "-1");
    assert_eq!(
        client.say("CLIENT TRACKINGINFO"),
        "[\"flags\", [\"off\"], \"redirect\", -1, \"prefixes\", []]"
    );
    assert_eq!(
        server.client3().say("CLIENT TRACKINGINFO"),
        "{\"flags\": ~[\"off\"], \"redirect\": -1, \"prefixes\": []}"
    );
    assert_eq!(client.say("CLIENT TRACKING off"), "OK");
    assert_eq!(
        client.say("CLIENT TRACKING on"),
        "(error) ERR CLIENT TRACKING is not supported"
    );
    assert!(client.say("CLIENT CACHING yes").starts_with("(error) ERR"));
}

#[test]
fn help_and_errors_of_the_container() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let help = client.say("CLIENT HELP");
    assert!(help.starts_with("[CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:, "));
    assert!(help.contains("GETNAME,     Returns the name"), "{help}");
    for (line, error) in [
        ("CLIENT", "ERR wrong number of arguments for 'client' command"),
        ("CLIENT foo", "ERR unknown subcommand 'foo'. Try CLIENT HELP."),
        ("CLIENT KILL", "ERR wrong number of arguments for 'client|kill' command"),
        ("CLIENT ID x", "ERR wrong number of arguments for 'client|id' command"),
    ] {
        assert_eq!(client.say(line), format!("(error) {error}"), "{line}");
    }
}

#[test]
fn kill_by_address() {
    let server = Server::start(&[]);
    let (mut killer, mut victim) = (server.client(), server.client());
    assert_eq!(killer.say("CLIENT KILL 127.0.0.1:1"), "(error) ERR No such client");
    // A connection is known once it has been accepted, perhaps by another thread: after a reply it certainly is.
    assert_eq!(victim.say("PING"), "PONG");
    assert_eq!(killer.say(&format!("CLIENT KILL {}", victim.addr())), "OK");
    victim.assert_closed();
    // The old form may mean the client itself, which has its reply first.
    let mut own = server.client();
    assert_eq!(own.say(&format!("CLIENT KILL {}", own.addr())), "OK");
    own.assert_closed();
    assert_eq!(killer.say("PING"), "PONG");
}

#[test]
fn kill_by_filters() {
    let server = Server::start(&[]);
    let mut killer = server.client();
    let (mut one, mut two, mut three) = (server.client(), server.client(), server.client());
    assert_eq!(killer.say(&format!("CLIENT KILL ID {}", one.id())), "1");
    one.assert_closed();
    assert_eq!(killer.say(&format!("CLIENT KILL ID {} ADDR 1.2.3.4:5", two.id())), "0");
    assert_eq!(
        killer.say(&format!("CLIENT KILL ADDR {} USER default", two.addr())),
        "1"
    );
    two.assert_closed();
    three.say("SUBSCRIBE a");
    assert_eq!(killer.say("CLIENT KILL TYPE replica"), "0");
    assert_eq!(killer.say("CLIENT KILL TYPE pubsub"), "1");
    three.assert_closed();
    let (mut four, mut five) = (server.client(), server.client());
    assert_eq!((four.say("PING"), five.say("PING")), ("PONG".into(), "PONG".into()));
    assert_eq!(
        killer.say(&format!("CLIENT KILL LADDR 127.0.0.1:{}", server.port())),
        "2"
    );
    four.assert_closed();
    five.assert_closed();
    let mut six = server.client();
    assert_eq!(six.say("PING"), "PONG");
    assert_eq!(killer.say("CLIENT KILL SKIPME no"), "2");
    killer.assert_closed();
    six.assert_closed();
    assert_eq!(server.client().say("PING"), "PONG");
}

#[test]
fn kill_with_illegal_arguments() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (line, error) in [
        ("CLIENT KILL ID 10 wrong", "ERR syntax error"),
        ("CLIENT KILL ID str", "ERR client-id should be greater than 0"),
        ("CLIENT KILL ID -1", "ERR client-id should be greater than 0"),
        ("CLIENT KILL ID 0", "ERR client-id should be greater than 0"),
        ("CLIENT KILL TYPE wrong", "ERR Unknown client type 'wrong'"),
        ("CLIENT KILL USER wrong", "ERR No such user 'wrong'"),
        ("CLIENT KILL SKIPME maybe", "ERR syntax error"),
        ("CLIENT KILL foo bar", "ERR syntax error"),
    ] {
        assert_eq!(client.say(line), format!("(error) {error}"), "{line}");
    }
}

#[test]
fn a_killed_client_takes_nothing_with_it() {
    let server = Server::start(&[]);
    let (mut killer, mut victim) = (server.client(), server.client());
    let id = victim.id();
    victim.send_lines(&["BLPOP list 0"]);
    await_blocked(&mut killer, id);
    killer.send_lines(&[
        &format!("CLIENT KILL ID {id}"),
        "CLIENT LIST",
        "RPUSH list 1",
        "LLEN list",
    ]);
    assert_eq!(killer.hear(), "1");
    assert_eq!(lines(&killer.recv()).len(), 1);
    assert_eq!(killer.hear_all(2), ["1", "1"]);
    victim.assert_closed();
    assert_eq!(killer.say("LPOP list"), "\"1\"");
}

#[test]
fn a_client_that_does_not_read_can_be_killed() {
    let server = Server::start(&[]);
    let (mut killer, mut victim) = (server.client(), server.client());
    let id = victim.id();
    assert_eq!(
        killer.cmd(&[b"SET", &b"big"[..], &vec![b'x'; 8 << 20]]),
        haypile_testkit::ok()
    );
    victim.send_lines(&["GET big", "GET big", "GET big"]);
    wait_until("replies pile up", || {
        info_of(&mut killer, id).is_some_and(|line| line["omem"].parse::<u64>().unwrap() > 0)
    });
    assert_eq!(killer.say(&format!("CLIENT KILL ID {id}")), "1");
    wait_until("the connection is closed", || {
        // Writing to a connection that the other side has reset fails sooner or later.
        std::io::Write::write(&mut victim.stream(), b"PING\r\n").is_err()
    });
}

#[test]
fn unblock_ends_a_wait() {
    let server = Server::start(&[]);
    let (mut asker, mut client) = (server.client(), server.client());
    let id = client.id();
    for (how, reply) in [
        ("", "nil"),
        ("TIMEOUT", "nil"),
        ("error", "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        client.send_lines(&["BLPOP list 0", "ECHO next"]);
        await_blocked(&mut asker, id);
        assert_eq!(asker.say(&format!("CLIENT UNBLOCK {id} {how}")), "1");
        assert_eq!(client.hear_all(2), [reply, "\"next\""]);
    }
    // Within a turn of the writer, where the waiting clients are at hand already.
    client.send_lines(&["BLPOP list 0"]);
    await_blocked(&mut asker, id);
    asker.send_lines(&["SET a 1", &format!("CLIENT UNBLOCK {id}"), "SET a 2"]);
    assert_eq!(asker.hear_all(3), ["OK", "1", "OK"]);
    assert_eq!(client.hear(), "nil");
    client.send_lines(&["BLPOP list 0"]);
    await_blocked(&mut asker, id);
    asker.send_lines(&["MULTI", &format!("CLIENT UNBLOCK {id} ERROR"), "RPUSH list 1", "EXEC"]);
    assert_eq!(asker.hear_all(4)[3], "[1, 1]");
    assert!(client.hear().starts_with("(error) UNBLOCKED"));
    assert_eq!(asker.say("LPOP list"), "\"1\"");
}

#[test]
fn unblock_of_who_does_not_wait() {
    let server = Server::start(&[]);
    let (mut asker, mut client) = (server.client(), server.client());
    let (own, id) = (asker.id(), client.id());
    assert_eq!(asker.say(&format!("CLIENT UNBLOCK {id}")), "0");
    assert_eq!(asker.say(&format!("CLIENT UNBLOCK {own}")), "0");
    assert_eq!(asker.say("CLIENT UNBLOCK 999999"), "0");
    assert_eq!(asker.say("CLIENT UNBLOCK -1"), "0");
    assert_eq!(
        asker.say("CLIENT UNBLOCK x"),
        "(error) ERR value is not an integer or out of range"
    );
    assert_eq!(
        asker.say(&format!("CLIENT UNBLOCK {id} foo")),
        "(error) ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
    );
    // Nor of one that waits for the end of a pause.
    assert_eq!(asker.say("CLIENT PAUSE 100000 WRITE"), "OK");
    client.send_lines(&["SET a 1"]);
    await_blocked(&mut asker, id);
    assert_eq!(asker.say(&format!("CLIENT UNBLOCK {id} ERROR")), "0");
    assert_eq!(asker.say("CLIENT UNPAUSE"), "OK");
    assert_eq!(client.hear(), "OK");
}

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
