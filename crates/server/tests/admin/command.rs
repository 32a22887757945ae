//! COMMAND, which describes the table.

use super::*;

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
