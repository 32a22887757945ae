//! CLIENT LIST, INFO, SETNAME and SETINFO.

use super::*;

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
