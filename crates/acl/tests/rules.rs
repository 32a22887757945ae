//! Rules make users, users are printed as rules, and say who may do what.

#![allow(clippy::unwrap_used)]

use haypile_acl::{Defaults, Denial, User, Users, text};
use haypile_commands::table;
use haypile_resp::Request;
use proptest::prelude::*;

const NONE: Defaults = Defaults { all_channels: false };

fn user(rules: &str) -> User {
    try_user(rules).unwrap_or_else(|error| panic!("{rules}: {error}"))
}

fn try_user(rules: &str) -> Result<User, String> {
    let words: Vec<&str> = rules.split(' ').filter(|word| !word.is_empty()).collect();
    let mut user = User::new(NONE);
    user.apply_all(&words, NONE).map_err(|error| error.to_string())?;
    Ok(user)
}

fn describe(user: &User) -> String {
    String::from_utf8(user.describe()).unwrap()
}

fn commands(rules: &str) -> String {
    String::from_utf8(user(rules).root().describe_commands()).unwrap()
}

/// `ok`, or what is denied.
fn verdict(user: &User, line: &str) -> String {
    let request = Request::from_args(line.split(' '));
    let known = table::lookup(&request).unwrap_or_else(|error| panic!("{line}: {error}"));
    let argument = |at: usize| String::from_utf8_lossy(&request[at]).into_owned();
    match user.check(known, &request) {
        Ok(()) => "ok".into(),
        Err(Denial::Command) => "command".into(),
        Err(Denial::Key(at)) => format!("key {}", argument(at)),
        Err(Denial::Channel(at)) => format!("channel {}", argument(at)),
    }
}

#[test]
fn a_user_is_printed_as_redis_prints_it() {
    for (rules, printed) in [
        ("", "off sanitize-payload resetchannels -@all"),
        ("on nopass ~* &* +@all", "on nopass sanitize-payload ~* &* +@all"),
        (
            "on nopass resetchannels &foo +@all",
            "on nopass sanitize-payload resetchannels &foo +@all",
        ),
        (
            "ON >x %R~a %W~b %RW~c (+SET ~d &e) skip-sanitize-payload",
            "on skip-sanitize-payload #2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 %R~a %W~b ~c \
             resetchannels -@all (~d resetchannels &e -@all +set)",
        ),
        (
            "%R~foo %W~foo %rw~bar ~baz ~baz",
            "off sanitize-payload ~foo ~bar ~baz resetchannels -@all",
        ),
        ("%R~a %RW~* &a &a", "off sanitize-payload ~* resetchannels &a -@all"),
        (
            "allkeys allchannels allcommands nocommands",
            "off sanitize-payload ~* &* -@all",
        ),
        (
            "~a &b +get >x on (+set) reset",
            "off sanitize-payload resetchannels -@all",
        ),
        (
            "(+get) (+set) clearselectors ()",
            "off sanitize-payload resetchannels -@all (resetchannels -@all)",
        ),
        (
            ">a >a <a nopass >b resetpass",
            "off sanitize-payload resetchannels -@all",
        ),
    ] {
        assert_eq!(describe(&user(rules)), printed, "{rules}");
        assert_eq!(user(printed), user(rules), "{rules}");
    }
    assert_eq!(describe(&User::everybody()), "on nopass sanitize-payload ~* &* +@all");
}

#[test]
fn rules_about_commands_are_kept_in_order_and_no_longer_than_they_count() {
    for (rules, printed) in [
        ("+@all -@hash -@slow +hget", "+@all -@hash -@slow +hget"),
        ("+@all -@hash -@slow +hget -@hash", "+@all -@slow +hget -@hash"),
        ("+@all -@slow +hget -@hash +@hash", "+@all -@slow +hget +@hash"),
        ("-@string -@slow +@all", "+@all"),
        ("-@all +@HASH +@hash +@HaSh", "-@all +@hash"),
        ("+HGET +hget +hGeT", "-@all +hget"),
        ("+hget -hset +hset -hget", "-@all +hset -hget"),
        (
            "+client|list +client|list +config|get +config +acl|list -acl",
            "-@all +client|list +config -acl",
        ),
        ("+select|0 +SELECT|0 +debug|segfault +debug", "-@all +select|0 +debug"),
        ("-@dangerous", "-@all -@dangerous"),
        ("+config +config|get -config|set +config", "-@all +config"),
        ("+memory|doctor +memory", "-@all +memory"),
        ("+@all +client|id", "+@all +client|id"),
        // The name of one command begins as that of another.
        ("+get +getex +getdel -get", "-@all +getex +getdel -get"),
    ] {
        assert_eq!(commands(rules), printed, "{rules}");
    }
    for (category, _) in [("read", ()), ("scripting", ()), ("stream", ()), ("dangerous", ())] {
        assert_eq!(commands(&format!("+@all -@{category}")), format!("+@all -@{category}"));
        assert_eq!(commands(&format!("+@{category}")), format!("-@all +@{category}"));
    }
}

#[test]
fn what_is_no_rule_is_refused_in_redis_words() {
    let modifier = |rule: &str, text: &str| format!("Error in ACL SETUSER modifier '{rule}': {text}");
    let unknown = "Unknown command or category name in ACL";
    let after_all = "Adding a pattern after the * pattern";
    let hash = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
    for (rules, rule, text) in [
        ("nonsense", "nonsense", "Syntax error"),
        ("+", "+", unknown),
        ("+nonsense", "+nonsense", unknown),
        ("+@nonsense", "+@nonsense", unknown),
        ("-get|a", "-get|a", unknown),
        ("+config|nonsense", "+config|nonsense", unknown),
        ("-config|nonsense", "-config|nonsense", unknown),
        ("+get|a|b", "+get|a|b", unknown),
        ("+get|", "+get|", "Syntax error"),
        (
            "+config|get|port",
            "+config|get|port",
            "Allowing first-arg of a subcommand is not supported",
        ),
        ("%~a", "%~a", "Syntax error"),
        ("%RR~a", "%RR~a", "Syntax error"),
        ("%RX~a", "%RX~a", "Syntax error"),
        ("%", "%", "Syntax error"),
        ("#abc", "#abc", hash),
        ("!abc", "!abc", hash),
        (
            "<x",
            "<x",
            "The password you are trying to remove from the user does not exist",
        ),
        ("(nonsense)", "(nonsense)", "Syntax error"),
        ("(+get on)", "(+get on)", "Syntax error"),
        ("(~a) +get)", "+get)", unknown),
        ("( +get|)", "( +get|)", "Syntax error"),
    ] {
        assert_eq!(try_user(rules).unwrap_err(), modifier(rule, text), "{rules}");
    }
    for rules in ["~* ~a", "allkeys %R~a", "&* &a", "allchannels &a", "%RW~* ~b"] {
        assert!(try_user(rules).unwrap_err().contains(after_all), "{rules}");
    }
    assert_eq!(
        try_user("on (+get ~a").unwrap_err(),
        "Unmatched parenthesis in acl selector starting at '(+get'."
    );
    for rule in ["~a b", "&a\tb", "%R~a\0b", "~a\nb", "+select|0 1"] {
        let mut user = User::new(NONE);
        assert!(user.apply(rule.as_bytes(), NONE).is_err(), "{rule:?}");
        assert_eq!(user, User::new(NONE));
    }
}

#[test]
fn rules_are_carried_out_all_or_none() {
    let mut ann = user("on >pw +get ~a");
    let before = ann.clone();
    assert!(ann.apply_all(&["+set", "off", "nonsense"], NONE).is_err());
    assert_eq!(ann, before);
}

#[test]
fn passwords() {
    let ann = user("on >one >two");
    assert!(ann.admits(b"one") && ann.admits(b"two") && !ann.admits(b"three") && !ann.admits(b""));
    assert!(!user("on >one >two <one").admits(b"one") && user("on >one >two <one").admits(b"two"));
    assert!(!user("off >one").admits(b"one") && !user("off nopass").admits(b"one"));
    assert!(user("on nopass").admits(b"whatever") && user("on nopass").is_open() && !user("nopass").is_open());
    assert!(!user("on nopass >one").admits(b"two") && !user("on").admits(b""));
    let hash = "#34344e4d60c2b6d639b7bd22e18f2b0b91bc34bf0ac5f9952744435093cfb4e6";
    assert!(user(&format!("on {hash}")).admits(b"passwd4"));
    assert!(user(&format!("on {hash} !{}", &hash[1..])).passwords().is_empty());
}

#[test]
fn commands_subcommands_and_first_arguments() {
    for (rules, allowed, denied) in [
        ("allkeys +@set", "sadd a b", "set a b"),
        ("allkeys +@all -@string", "sadd a b", "set a b"),
        ("+@all -client +client|id", "client id", "client list"),
        ("+@all -client|kill", "client id", "client kill 1:1"),
        ("+config -config|set", "config get a", "config set a b"),
        ("+config|get", "config get a", "config set a b"),
        ("+select|0", "select 0", "select 1"),
        ("+debug|object", "debug OBJECT a", "debug segfault"),
        ("+@connection", "command count", "acl whoami"),
        // Whoever comes may say who it is, and go.
        ("-@all", "auth a b", "ping"),
        ("-@all", "hello 3", "info"),
        ("-@all", "quit", "multi"),
        ("+select|0 +select -select", "reset", "select 0"),
        ("+select|0 -@connection", "reset", "select 0"),
    ] {
        assert_eq!(verdict(&user(rules), allowed), "ok", "{rules}");
        assert_eq!(verdict(&user(rules), denied), "command", "{rules}");
    }
}

#[test]
fn keys_are_read_and_written() {
    let rw = user("+@all %R~read* %W~write* %RW~rw*");
    for (line, expected) in [
        ("get read", "ok"),
        ("get write", "key write"),
        ("get rw", "ok"),
        ("get other", "key other"),
        ("set write x", "ok"),
        ("set read x", "key read"),
        // It would return what was there.
        ("set write x get", "key write"),
        ("set rw x get", "ok"),
        ("copy read write", "ok"),
        ("copy write read", "key write"),
        ("copy read read2", "key read2"),
        ("rename write rw", "key write"),
        ("rename rw write", "ok"),
        ("mset write 1 write2 2 rw 3", "ok"),
        ("mset write 1 read 2 other 3", "key read"),
        ("del write", "ok"),
        ("del read", "key read"),
        ("bitfield read get u8 0", "ok"),
        ("bitfield write get u8 0", "key write"),
        ("bitfield write set u8 0 1", "key write"),
        ("bitfield rw set u8 0 1", "ok"),
        ("bitop and write read read2", "ok"),
        ("bitop and read read", "key read"),
        ("lmove rw write left left", "ok"),
        ("lmove write write left left", "key write"),
        ("georadius read 1 1 1 m store write", "ok"),
        ("georadius read 1 1 1 m store read2", "key read2"),
        ("georadius read 1 1 1 m storedist write", "ok"),
        // What is carried out is what counts.
        ("georadius read 1 1 1 m store write store read2", "key read2"),
        ("sintercard 2 read read2", "ok"),
        ("sintercard 2 read write", "key write"),
        ("zunionstore write 2 read read2", "ok"),
        ("zunionstore write 2 read write", "key write"),
        ("pfcount read", "ok"),
        ("pfcount write", "key write"),
        ("pfmerge rw read", "ok"),
        ("lmpop 2 rw write left", "key write"),
        // Errors of syntax are for the command to find.
        ("sintercard 3 read write", "ok"),
        // Whether there is something, and how much, may be asked by whoever may do anything with the key.
        ("exists read write rw", "ok"),
        ("exists nothing", "key nothing"),
        ("touch write", "ok"),
        ("type read", "ok"),
        ("type nothing", "key nothing"),
        ("strlen write", "ok"),
        ("hexists write f", "ok"),
        ("memory usage write", "ok"),
        ("memory usage nothing", "key nothing"),
        ("object encoding write", "ok"),
        ("watch read write", "ok"),
        ("watch nothing", "key nothing"),
        // Those without keys.
        ("dbsize", "ok"),
        ("scan 0", "ok"),
        ("flushall", "ok"),
    ] {
        assert_eq!(verdict(&rw, line), expected, "{line}");
    }
}

#[test]
fn channels_are_sent_and_listened_to() {
    let ann = user("+@all ~a &foo:1 &bar:*");
    for (line, expected) in [
        ("publish foo:1 x", "ok"),
        ("publish bar:2 x", "ok"),
        ("publish zap x", "channel zap"),
        ("spublish bar:2 x", "ok"),
        ("spublish zap x", "channel zap"),
        ("subscribe foo:1 bar:1", "ok"),
        ("subscribe foo:1 zap", "channel zap"),
        ("ssubscribe zap", "channel zap"),
        // Patterns are compared as they stand.
        ("psubscribe bar:* foo:1", "ok"),
        ("psubscribe bar:baz", "channel bar:baz"),
        ("unsubscribe zap", "ok"),
        ("punsubscribe zap*", "ok"),
        ("sunsubscribe zap", "ok"),
        ("unsubscribe", "ok"),
        ("pubsub channels", "ok"),
    ] {
        assert_eq!(verdict(&ann, line), expected, "{line}");
    }
    assert!(ann.may_listen(b"bar:2", false) && !ann.may_listen(b"bar:2", true) && ann.may_listen(b"bar:*", true));
    assert_eq!(verdict(&user("+@all"), "publish a b"), "channel a");
    let mut ann = User::new(Defaults { all_channels: true });
    ann.apply(b"+publish", NONE).unwrap();
    assert_eq!(verdict(&ann, "publish a b"), "ok");
}

#[test]
fn one_selector_must_allow_all_of_it() {
    let ann = user("%R~read* +get (%W~write* +set +mset) (+copy ~*) (&ch +publish)");
    for (line, expected) in [
        ("get read", "ok"),
        ("set write x", "ok"),
        ("set read x", "key read"),
        ("get write", "key write"),
        ("copy read write", "ok"),
        ("publish ch x", "ok"),
        ("publish other x", "channel other"),
        ("del write", "command"),
        ("mset write 1 read 2", "key read"),
    ] {
        assert_eq!(verdict(&ann, line), expected, "{line}");
    }
    // What the selectors say last, of what comes last.
    let ann = user("+mget ~a (+mget ~a ~b)");
    assert_eq!(verdict(&ann, "mget a b c"), "key c");
    let ann = user("(+get) (+publish ~*)");
    assert_eq!(verdict(&ann, "get a"), "key a");
}

#[test]
fn who_may_do_everything_is_known() {
    for (rules, unrestricted) in [
        ("on +@all ~* &*", true),
        ("(+@all ~* &*)", true),
        ("+@all ~* &* -get", false),
        ("+@all ~* &* -get +get", true),
        ("+@all ~*", false),
        ("+@all &*", false),
        ("~* &*", false),
        ("+@all ~* &* -config|get", false),
        ("+@all ~* (&* +@all)", false),
    ] {
        assert_eq!(user(rules).is_unrestricted(), unrestricted, "{rules}");
    }
    assert!(User::everybody().is_unrestricted());
}

#[test]
fn users_are_lines_of_text() {
    let read = |text: &str| text::read(text.as_bytes(), "users.acl", NONE);
    let file = "user alice on >alice  ~* +@all\r\n\n  user bob off -@all +@set ( +get ~x ) \n";
    let users = read(file).unwrap();
    assert_eq!(users.len(), 2);
    assert_eq!(users[&b"alice"[..]], user("on >alice ~* +@all"));
    let written = String::from_utf8(text::write(&users)).unwrap();
    assert!(
        written.starts_with("user alice on sanitize-payload #")
            && written.ends_with("+@set (~x resetchannels -@all +get)\n")
    );
    assert_eq!(read(&written).unwrap(), users);

    for (file, error) in [
        (
            "user a on\n# no comments\n",
            "users.acl:2 should start with user keyword followed by the username. ",
        ),
        (
            "user",
            "users.acl:1 should start with user keyword followed by the username. ",
        ),
        (
            "user a\nuser b\nuser a on",
            "WARNING: Duplicate user 'a' found on line 3. ",
        ),
        (
            "\n\nuser a on >secret <other",
            "users.acl:3: The password you are trying to remove from the user does not exist. ",
        ),
        (
            "user a +nonsense",
            "users.acl:1: Error in applying operation '+nonsense': Unknown command or category name in ACL. ",
        ),
        (
            "user a (+get",
            "users.acl:1: Unmatched parenthesis in selector definition. ",
        ),
        (
            "user a\0b on",
            "'users.acl:1: username 'a\0b' contains invalid characters. ",
        ),
        (
            "user a x\nuser b y",
            "users.acl:1: Syntax error. users.acl:2: Syntax error. ",
        ),
    ] {
        assert_eq!(read(file).unwrap_err().to_string(), error, "{file:?}");
    }
}

#[test]
fn who_may_do_the_same_is_the_same_in_whatever_order_it_was_said() {
    let twice = user("+get|a +get|b +select|0 +get|a");
    assert_eq!(twice, user("+get|b +select|0 +get|a"));
    assert_eq!(
        describe(&twice),
        "off sanitize-payload resetchannels -@all +get|b +select|0 +get|a"
    );
}

/// A rule that may be one.
fn rule() -> impl Strategy<Value = String> {
    let word = "[a-c*?\\[\\]()\"'\\\\#ü]{0,4}";
    let names: Vec<&str> = table::known_with_subcommands()
        .map(|known| known.full_name.as_str())
        .collect();
    let fixed: Vec<&str> = "on off nopass resetpass reset allkeys resetkeys allchannels resetchannels allcommands nocommands \
                            +@all -@all ~* &* skip-sanitize-payload sanitize-payload clearselectors %RW~* +select|0 +get|a"
        .split(' ')
        .collect();
    let categories = || prop::sample::select(haypile_commands::Categories::ALL);
    let of_selector = prop_oneof![
        (prop::sample::select(&["~", "%R~", "%W~", "%RW~", "&"][..]), word)
            .prop_map(|(sign, word)| format!("{sign}{word}")),
        (prop::sample::select(&["+", "-"][..]), prop::sample::select(names))
            .prop_map(|(sign, name)| format!("{sign}{name}")),
        (prop::sample::select(&["+", "-"][..]), categories()).prop_map(|(sign, (_, name))| format!("{sign}@{name}")),
    ];
    let of_selector = of_selector.boxed();
    let selector = prop::collection::vec(of_selector.clone(), 0..5).prop_map(|rules| format!("({})", rules.join(" ")));
    prop_oneof![
        4 => of_selector,
        2 => prop::sample::select(fixed).prop_map(str::to_owned),
        1 => selector,
        1 => "[><]p[a-b]?",
    ]
}

proptest! {
    #[test]
    fn what_is_printed_makes_the_same_user(rules in prop::collection::vec(rule(), 0..30), all_channels in any::<bool>()) {
        let defaults = Defaults { all_channels };
        let mut user = User::new(defaults);
        for rule in &rules {
            // Not all of them are.
            let before = user.clone();
            if user.apply(rule.as_bytes(), defaults).is_err() {
                prop_assert_eq!(&user, &before);
            }
        }
        let printed = user.describe();
        let words: Vec<&[u8]> = printed.split(|byte| *byte == b' ').collect();
        let mut again = User::new(Defaults { all_channels: !all_channels });
        again.apply_all(&words, defaults).unwrap();
        prop_assert_eq!(&again, &user, "{}", String::from_utf8_lossy(&printed));
        let users: Users = [(b"ann".to_vec(), user)].into();
        prop_assert_eq!(text::read(&text::write(&users), "f", defaults).unwrap(), users);
    }
}
