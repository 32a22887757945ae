//! What users may do, and when that changes.

use super::{client_of, line_of, make};
use haypile_testkit::{Server, wait_until};

const WRONGPASS: &str = "(error) WRONGPASS invalid username-password pair or user is disabled.";
const NO_KEY: &str = "(error) NOPERM No permissions to access a key";
const NO_CHANNEL: &str = "(error) NOPERM No permissions to access a channel";

fn no_command(user: &str, command: &str) -> String {
    format!("(error) NOPERM User {user} has no permissions to run the '{command}' command")
}

#[test]
fn users_log_in_with_any_of_their_passwords() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(client.say("ACL WHOAMI"), "\"default\"");
    assert_eq!(client.say("ACL SETUSER ann >one"), "OK");
    assert_eq!(client.say("ACL USERS"), "[\"ann\", \"default\"]");
    assert_eq!(client.say("AUTH ann one"), WRONGPASS);
    assert_eq!(client.say("ACL SETUSER ann on >two +acl"), "OK");
    for (password, right) in [("one", true), ("two", true), ("three", false), ("\"\"", false)] {
        let reply = client.say(&format!("AUTH ann {password}"));
        assert_eq!(reply, if right { "OK" } else { WRONGPASS }, "{password}");
    }
    assert_eq!(client.say("ACL WHOAMI"), "\"ann\"");
    assert_eq!(client.say("ACL SETUSER ann <one"), "OK");
    assert_eq!(client.say("AUTH ann one"), WRONGPASS);
    // Who fails stays who it was.
    assert_eq!(client.say("ACL WHOAMI"), "\"ann\"");
    assert_eq!(client.say("PING"), no_command("ann", "ping"));
    assert_eq!(client.say("RESET"), "RESET");
    assert_eq!(client.say("ACL WHOAMI"), "\"default\"");
    let hello = client.say("HELLO 3 AUTH ann wrong");
    assert_eq!(hello, WRONGPASS);
    assert!(client.say("HELLO 3 AUTH ann two SETNAME me").starts_with('{'));
    let mut admin = server.client();
    assert!(line_of(&mut admin, "me").contains(" user=ann "));
    assert_eq!(
        admin.say("ACL SETUSER \"a b\""),
        "(error) ERR Usernames can't contain spaces or null characters"
    );
}

#[test]
fn what_a_user_is_is_shown() {
    let server = Server::start(&[]);
    let mut admin = server.client();
    assert_eq!(
        admin.say("ACL LIST"),
        "[\"user default on nopass sanitize-payload ~* &* +@all\"]"
    );
    assert_eq!(
        admin.say("ACL SETUSER ann on >x %R~a ~b &c +@read -get (+set ~d )"),
        "OK"
    );
    let hash = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    assert_eq!(
        admin.say("ACL GETUSER ann"),
        format!(
            "[\"flags\", [\"on\", \"sanitize-payload\"], \"passwords\", [\"{hash}\"], \"commands\", \"-@all +@read -get\", \
             \"keys\", \"%R~a ~b\", \"channels\", \"&c\", \"selectors\", [[\"commands\", \"-@all +set\", \"keys\", \"~d\", \
             \"channels\", \"\"]]]"
        )
    );
    let mut admin3 = server.client3();
    assert!(
        admin3
            .say("ACL GETUSER ann")
            .starts_with("{\"flags\": ~[\"on\", \"sanitize-payload\"], \"passwords\": [")
    );
    assert_eq!(admin.say("ACL GETUSER nobody"), "nil");
    assert!(admin.say("ACL LIST").contains(&format!(
        "\"user ann on sanitize-payload #{hash} %R~a ~b resetchannels &c -@all +@read -get (~d resetchannels -@all +set)\""
    )));
    assert_eq!(
        admin.say("ACL SETUSER ann +nonsense"),
        "(error) ERR Error in ACL SETUSER modifier '+nonsense': Unknown command or category name in ACL"
    );
    assert_eq!(
        admin.say("ACL SETUSER ann (+get"),
        "(error) ERR Unmatched parenthesis in acl selector starting at '(+get'."
    );
    assert!(admin.say("ACL CAT").starts_with("[\"keyspace\", \"read\", \"write\", "));
    assert_eq!(admin.say("ACL CAT geo").matches("geo").count(), 10);
    assert!(admin.say("ACL CAT scripting").contains("\"function|list\""));
    assert_eq!(admin.say("ACL CAT none"), "(error) ERR Unknown category 'none'");
    assert!(
        admin
            .say("ACL CAT a b")
            .contains("unknown subcommand or wrong number of arguments for 'CAT'")
    );
    assert!(admin.say("ACL HELP").contains("SETUSER username [rule [rule ...]]"));
}

#[test]
fn passwords_are_made() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let digits = |reply: String| {
        let digits = reply.trim_matches('"').to_owned();
        assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digits}");
        digits.len()
    };
    let first = client.say("ACL GENPASS");
    assert_ne!(first, client.say("ACL GENPASS"));
    assert_eq!(digits(first), 64);
    for (bits, len) in [(1, 1), (4, 1), (5, 2), (12, 3), (4096, 1024)] {
        assert_eq!(digits(client.say(&format!("ACL GENPASS {bits}"))), len);
    }
    for bits in ["-236", "0", "4097"] {
        assert_eq!(
            client.say(&format!("ACL GENPASS {bits}")),
            "(error) ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to \
             4096"
        );
    }
    assert_eq!(
        client.say("ACL GENPASS x"),
        "(error) ERR value is not an integer or out of range"
    );
}

#[test]
fn a_change_counts_from_the_next_command_on() {
    let server = Server::start(&[]);
    let mut admin = server.client();
    make(&mut admin, "ann", "+set +get ~a*");
    let mut ann = client_of(&server, "ann");
    assert_eq!(ann.say("SET a 1"), "OK");
    assert_eq!(ann.say("SET b 1"), NO_KEY);
    assert_eq!(ann.say("DEL a"), no_command("ann", "del"));
    assert_eq!(ann.say("CONFIG GET port"), no_command("ann", "config|get"));
    admin.say("ACL SETUSER ann resetkeys %R~a* %W~b* +config|get &c +publish +subscribe");
    assert_eq!(ann.say("SET a 1"), NO_KEY);
    assert_eq!(ann.say("SET b 1"), "OK");
    assert_eq!(ann.say("SET b 1 GET"), NO_KEY);
    assert_eq!(ann.say("GET a"), "\"1\"");
    assert!(ann.say("CONFIG GET port").starts_with("[\"port\""));
    assert_eq!(ann.say("CONFIG SET port 1"), no_command("ann", "config|set"));
    assert_eq!(ann.say("PUBLISH c x"), "0");
    assert_eq!(ann.say("PUBLISH d x"), NO_CHANNEL);
    assert_eq!(ann.say("SUBSCRIBE d"), NO_CHANNEL);
    // Another password, or none: who is in stays in.
    admin.say("ACL SETUSER ann resetpass >new off");
    assert_eq!(ann.say("GET a"), "\"1\"");
    admin.say("ACL SETUSER ann allcommands allkeys allchannels");
    assert_eq!(ann.say("DBSIZE"), "2");
    // What does not exist, or has too few arguments, is said first.
    admin.say("ACL SETUSER ann nocommands");
    assert_eq!(
        ann.say("GET"),
        "(error) ERR wrong number of arguments for 'get' command"
    );
    assert!(ann.say("NONSENSE").starts_with("(error) ERR unknown command"));
    assert_eq!(ann.say("GET a"), no_command("ann", "get"));
}

#[test]
fn a_dry_run_says_what_would_be() {
    let server = Server::start(&[]);
    let mut admin = server.client();
    make(&mut admin, "ann", "+@all -del %R~read &c");
    for (line, reply) in [
        ("ann GET read", "OK"),
        (
            "ann SET read x",
            "\"User ann has no permissions to access the 'read' key\"",
        ),
        (
            "ann GET other",
            "\"User ann has no permissions to access the 'other' key\"",
        ),
        (
            "ann DEL read",
            "\"User ann has no permissions to run the 'del' command\"",
        ),
        (
            "ann PUBLISH d x",
            "\"User ann has no permissions to access the 'd' channel\"",
        ),
        ("nobody GET read", "(error) ERR User 'nobody' not found"),
        ("ann nonsense read", "(error) ERR Command 'nonsense' not found"),
        ("ann config nonsense", "(error) ERR Command 'config' not found"),
        (
            "ann SET read",
            "(error) ERR wrong number of arguments for 'set' command",
        ),
    ] {
        let said = admin.say(&format!("ACL DRYRUN {line}")).replace("\\'", "'");
        assert_eq!(said, reply, "{line}");
    }
    assert_eq!(admin.say("EXISTS read"), "0");
}

#[test]
fn a_transaction_is_looked_at_when_it_is_queued_and_when_it_is_run() {
    let server = Server::start(&[]);
    let mut admin = server.client();
    make(&mut admin, "ann", "+@all -del ~a*");
    let mut ann = client_of(&server, "ann");
    ann.say("MULTI");
    assert_eq!(ann.say("DEL a"), no_command("ann", "del"));
    assert_eq!(
        ann.say("EXEC"),
        "(error) EXECABORT Transaction discarded because of previous errors."
    );
    ann.say("MULTI");
    for line in ["SET a 1", "INCR a", "PUBLISH c x", "GET a"] {
        let expected = if line.starts_with("PUBLISH") {
            NO_CHANNEL
        } else {
            "QUEUED"
        };
        assert_eq!(ann.say(line), expected);
    }
    ann.say("DISCARD");
    admin.say("ACL SETUSER ann allchannels");
    ann.say("MULTI");
    for line in ["SET a 1", "SET ab 1", "INCR a", "PUBLISH c x", "GET a"] {
        assert_eq!(ann.say(line), "QUEUED");
    }
    admin.say("ACL SETUSER ann -incr resetkeys ~a resetchannels");
    let why = "(error) NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
               command is no longer allowed for the following reason: ";
    assert_eq!(
        ann.say("EXEC"),
        format!(
            "[OK, {why}no permission to touch the specified keys, {why}no permission to execute the command or subcommand, \
             {why}no permission to access one of the channels used as arguments, \"1\"]"
        )
    );
    // EXEC itself, with keys that are watched.
    assert_eq!(ann.say("WATCH a"), "OK");
    ann.say("MULTI");
    ann.say("SET a 2");
    admin.say("ACL SETUSER ann -exec");
    admin.say("ACL LOG RESET");
    assert_eq!(
        ann.say("EXEC"),
        "(error) EXECABORT Transaction discarded because of: NOPERM User ann has no permissions to run the 'exec' command"
    );
    let log = admin.say("ACL LOG");
    assert!(
        log.contains("\"count\", 1, \"reason\", \"command\", \"context\", \"multi\", \"object\", \"exec\""),
        "{log}"
    );
    assert_eq!(ann.say("GET a"), "\"1\"");
    assert!(admin.say("CLIENT LIST").contains(" multi=-1 "));
    // Who becomes another within a transaction has the rights of that one.
    make(&mut admin, "bob", "+get ~*");
    admin.say("ACL SETUSER ann +exec");
    ann.say("MULTI");
    for line in ["AUTH bob x", "GET a", "SET a 3"] {
        assert_eq!(ann.say(line), "QUEUED");
    }
    let reply = ann.say("EXEC");
    assert!(
        reply.starts_with("[OK, \"1\", (error) NOPERM ACLs rules changed"),
        "{reply}"
    );
}

#[test]
fn who_waits_for_a_key_is_looked_at_again() {
    let server = Server::start(&[]);
    let mut admin = server.client();
    make(&mut admin, "ann", "+@all ~list");
    let mut ann = client_of(&server, "ann");
    ann.send(&["BLPOP", "list", "0"]);
    wait_until("a client that waits", || {
        admin.say("INFO clients").contains("blocked_clients:1")
    });
    admin.say("ACL SETUSER ann resetkeys");
    assert_eq!(admin.say("LPUSH list x"), "1");
    assert_eq!(ann.hear(), NO_KEY);
    assert_eq!(admin.say("LLEN list"), "1");
    assert_eq!(ann.say("PING"), "PONG");
}

#[test]
fn who_may_listen_no_longer_is_disconnected() {
    let server = Server::start(&[]);
    let mut admin = server.client();
    for (rules, subscribe, after, stays) in [
        ("&foo:1", "SUBSCRIBE foo:1", "resetchannels", false),
        ("&foo:1", "SSUBSCRIBE foo:1", "resetchannels", false),
        ("&bar:*", "PSUBSCRIBE bar:*", "resetchannels", false),
        ("&bar:*", "SUBSCRIBE bar:2", "resetchannels &bar:1", false),
        ("allchannels", "PSUBSCRIBE foo", "resetchannels", false),
        ("allchannels", "PSUBSCRIBE foo", "resetchannels &f*", false),
        ("&foo:1 &bar:*", "SUBSCRIBE foo:1", "resetchannels &foo:1 &more", true),
        ("&foo:1 &bar:*", "PSUBSCRIBE bar:*", "allchannels", true),
        ("&foo:1 &bar:*", "SUBSCRIBE foo:1", "-get >other", true),
        ("&foo:1", "SUBSCRIBE foo:1", "(&foo:1) resetchannels", true),
    ] {
        make(&mut admin, "ann", &format!("+@all ~* {rules}"));
        let mut ann = client_of(&server, "ann");
        ann.say("CLIENT SETNAME listener");
        assert!(ann.say(subscribe).starts_with("[\""), "{subscribe}");
        assert_eq!(admin.say(&format!("ACL SETUSER ann {after}")), "OK");
        assert_eq!(
            line_of(&mut admin, "listener").is_empty(),
            !stays,
            "{rules} {subscribe} {after}"
        );
        match stays {
            true => assert!(ann.say("PING").starts_with("[\"pong\"")),
            false => ann.assert_closed(),
        }
        drop(ann);
    }
    // Whoever does it to itself gets the reply.
    make(&mut admin, "ann", "+@all ~* &foo");
    let mut ann = server.client();
    assert!(ann.say("HELLO 3 AUTH ann x").starts_with('{'));
    ann.say("SUBSCRIBE foo");
    assert_eq!(ann.say("ACL SETUSER ann resetchannels"), "OK");
    ann.assert_closed();
    // Others of the same user, and the same channel of others, are not concerned.
    make(&mut admin, "ann", "+@all &foo");
    let (mut quiet, mut other) = (client_of(&server, "ann"), server.client());
    other.say("SUBSCRIBE foo");
    admin.say("ACL SETUSER ann resetchannels");
    assert_eq!(quiet.say("PING"), "PONG");
    assert!(other.say("PING").starts_with("[\"pong\""));
}

#[test]
fn who_is_deleted_is_disconnected() {
    let server = Server::start(&[]);
    let mut admin = server.client();
    make(&mut admin, "ann", "+@all ~* &*");
    make(&mut admin, "bob", "+@all ~* &*");
    let (mut idle, mut waits, mut listens) = (
        client_of(&server, "ann"),
        client_of(&server, "ann"),
        client_of(&server, "ann"),
    );
    waits.send(&["BLPOP", "list", "0"]);
    listens.say("SUBSCRIBE c");
    wait_until("a client that waits", || {
        admin.say("INFO clients").contains("blocked_clients:1")
    });
    let mut bob = client_of(&server, "bob");
    assert_eq!(
        admin.say("ACL DELUSER bob default"),
        "(error) ERR The 'default' user cannot be removed"
    );
    assert_eq!(admin.say("ACL DELUSER ann nobody"), "1");
    for client in [&mut idle, &mut waits, &mut listens] {
        client.assert_closed();
    }
    assert!(!admin.say("CLIENT LIST").contains("user=ann"));
    assert_eq!(admin.say("RPUSH list x"), "1");
    assert_eq!(admin.say("LLEN list"), "1");
    // Itself, after the reply.
    assert_eq!(bob.say("ACL DELUSER bob"), "1");
    bob.assert_closed();
    assert_eq!(admin.say("ACL USERS"), "[\"default\"]");
    assert_eq!(admin.say("AUTH ann any"), WRONGPASS);
    // A user of the same name is another one.
    make(&mut admin, "ann", "+ping");
    assert_eq!(client_of(&server, "ann").say("PING"), "PONG");
}

#[test]
fn clients_of_a_user_are_killed() {
    let server = Server::start(&[]);
    let mut admin = server.client();
    make(&mut admin, "ann", "+@all ~* &*");
    let (mut one, mut two, mut other) = (client_of(&server, "ann"), client_of(&server, "ann"), server.client());
    assert_eq!(
        admin.say("CLIENT KILL USER nobody"),
        "(error) ERR No such user 'nobody'"
    );
    assert_eq!(admin.say("CLIENT KILL USER ann"), "2");
    one.assert_closed();
    two.assert_closed();
    assert_eq!(other.say("PING"), "PONG");
    assert_eq!(admin.say("CLIENT KILL USER default"), "1");
    other.assert_closed();
    assert_eq!(admin.say("PING"), "PONG");
}

#[test]
fn the_default_user_is_one_of_them() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut admin = server.client();
    assert_eq!(admin.say("ACL WHOAMI"), "(error) NOAUTH Authentication required.");
    assert_eq!(admin.say("AUTH secret"), "OK");
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    assert!(
        admin
            .say("ACL LIST")
            .contains(&format!("user default on sanitize-payload #{hash} ~* &* +@all"))
    );
    // Another password beside it, then by the key alone.
    assert_eq!(admin.say("ACL SETUSER default >other"), "OK");
    for password in ["secret", "other"] {
        assert_eq!(server.client().say(&format!("AUTH {password}")), "OK");
    }
    assert_eq!(admin.say("CONFIG SET requirepass third"), "OK");
    for (password, right) in [("secret", false), ("other", false), ("third", true)] {
        assert_eq!(
            server.client().say(&format!("AUTH {password}")) == "OK",
            right,
            "{password}"
        );
    }
    assert_eq!(admin.say("CONFIG SET requirepass \"\""), "OK");
    assert_eq!(server.client().say("PING"), "PONG");
    assert!(
        server
            .client()
            .say("AUTH x")
            .starts_with("(error) ERR AUTH <password> called without any password")
    );
    // Off: nobody is it who comes from now on.
    make(&mut admin, "ann", "+@all ~* &*");
    assert_eq!(admin.say("ACL SETUSER default off"), "OK");
    let mut client = server.client();
    assert_eq!(client.say("PING"), "(error) NOAUTH Authentication required.");
    assert!(client.say("HELLO 3").starts_with("(error) NOAUTH HELLO must be called"));
    assert!(client.say("HELLO 3 AUTH ann x").starts_with('{'));
    assert_eq!(client.say("PING"), "PONG");
    assert_eq!(admin.say("PING"), "PONG");
    // Without rights it may still log in as somebody else.
    assert_eq!(admin.say("ACL SETUSER default on nopass -@all"), "OK");
    let mut client = server.client();
    assert_eq!(client.say("PING"), no_command("default", "ping"));
    assert_eq!(client.say("AUTH ann x"), "OK");
    assert_eq!(client.say("PING"), "PONG");
    assert_eq!(client.say("RESET"), "RESET");
    assert_eq!(client.say("PING"), no_command("default", "ping"));
}

#[test]
fn new_users_have_all_channels_if_that_is_wanted() {
    let server = Server::start(&["--acl-pubsub-default", "allchannels"]);
    let mut admin = server.client();
    assert_eq!(admin.say("ACL SETUSER ann (+get)"), "OK");
    let line = admin.say("ACL LIST");
    assert!(
        line.contains("user ann off sanitize-payload &* -@all (&* -@all +get)"),
        "{line}"
    );
    assert_eq!(admin.say("CONFIG SET acl-pubsub-default resetchannels"), "OK");
    assert_eq!(admin.say("ACL SETUSER ann reset (+get)"), "OK");
    let line = admin.say("ACL LIST");
    assert!(
        line.contains("user ann off sanitize-payload resetchannels -@all (resetchannels -@all +get)"),
        "{line}"
    );
}
