//! The table of commands is consistent in itself, and says what Redis says where Redis has the command.

use std::collections::{BTreeSet, HashMap};

use haypile_commands::{Flags, Handler, Keys, Spec, key_specs, table};

/// `name arity flags first last step`, a line for each command and subcommand.
const REDIS: &str = include_str!("fixtures/redis-7.0-commands.txt");

/// `name categories access,access`: what is done with the keys of each key specification.
const REDIS_ACCESS: &str = include_str!("fixtures/redis-7.0-access.txt");

/// The flags that say what a command does to clients and to the server.
const MAIN_FLAGS: [&str; 8] = [
    "write",
    "readonly",
    "denyoom",
    "fast",
    "blocking",
    "noscript",
    "movablekeys",
    "admin",
];

/// Where commands are meant to differ from Redis 7.0: which, in what (`arity`, `keys` or a flag), and why.
const DIFFERENT: &[(&[&str], &str, &str)] = &[
    (
        &["blpop", "brpop", "blmove", "brpoplpush", "bzpopmin", "bzpopmax"],
        "noscript",
        "Redis 7.2 lets scripts call them: there they do not block",
    ),
    (&["zrank", "zrevrank"], "arity", "Redis 7.2 has WITHSCORE"),
    (
        &["zrank", "zrevrank", "zcount", "zlexcount"],
        "fast",
        "members are counted one by one here",
    ),
];

/// All commands and subcommands with their full names.
fn specs() -> Vec<(String, &'static Spec)> {
    let mut specs = Vec::new();
    for spec in table::all() {
        specs.push((spec.name.to_owned(), spec));
        for sub in spec.subcommands {
            specs.push((format!("{}|{}", spec.name, sub.name), sub));
        }
    }
    specs
}

/// Fails with all complaints in one message.
fn none(complaints: Vec<String>) {
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}

#[test]
fn specs_are_consistent() {
    let mut complaints = Vec::new();
    let mut names = BTreeSet::new();
    for (name, spec) in specs() {
        let mut check = |right: bool, what: &str| {
            if !right {
                complaints.push(format!("{name}: {what}"));
            }
        };
        check(names.insert(name.clone()), "stands in the table twice");
        let named = spec
            .name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
        check(!spec.name.is_empty() && named, "its name is not in lower case");
        check(spec.arity != 0, "its arity is 0");
        check(spec.summary.ends_with('.'), "its summary does not end with a period");
        let starts = spec.summary.chars().next().is_some_and(char::is_uppercase);
        check(starts, "its summary does not start with a capital letter");
        let version: Vec<_> = spec.since.split('.').collect();
        check(
            version.len() == 3 && version.iter().all(|part| part.parse::<u8>().is_ok()),
            "its version is none",
        );
        check(!spec.complexity.is_empty(), "it has no complexity");
        let (both, neither) = (
            spec.flags.has(Flags::WRITE.or(Flags::READONLY)),
            !spec.flags.has(Flags::WRITE) && !spec.flags.has(Flags::READONLY),
        );
        check(!both, "it is both write and readonly");
        let is_data = matches!(spec.handler, Handler::Data(_));
        check(
            !is_data || matches!(spec.keys, Keys::None) || !neither,
            "it has keys and is neither write nor readonly",
        );
        check(
            spec.subcommands.is_empty() || spec.arity == -2 || !matches!(spec.handler, Handler::Container),
            "its arity is not -2, as that of a container is",
        );
        if let Some(complaint) = keys_within_arity(spec) {
            check(false, &complaint);
        }
        let movable = matches!(spec.keys, Keys::Counted { .. } | Keys::FirstAndBehind { .. });
        check(
            !movable || spec.flags.has(Flags::MOVABLEKEYS),
            "its keys depend on its arguments and it lacks movablekeys",
        );
    }
    none(complaints);
}

/// A complaint if a request that has as few arguments as allowed may lack its keys.
fn keys_within_arity(spec: &Spec) -> Option<String> {
    let least = spec.arity.unsigned_abs() as usize;
    match spec.keys {
        Keys::None => None,
        Keys::FirstAndBehind { from, .. } => {
            (from > least).then(|| format!("words from {from} on do not fit arity {}", spec.arity))
        }
        Keys::Range { first, last, step } => {
            let fits = first >= 1 && step >= 1;
            // Keys to the end may be none at all, as SUNSUBSCRIBE's channels.
            let last_fits = match usize::try_from(last) {
                Ok(last) => first <= last && last < least,
                Err(_) => first <= least,
            };
            (!fits || !last_fits).then(|| format!("keys {first}..{last} by {step} do not fit arity {}", spec.arity))
        }
        Keys::Counted { count_at, also } => {
            let fits = count_at >= 1 && count_at + 1 < least && also.is_none_or(|also| (1..count_at).contains(&also));
            (!fits).then(|| format!("a number of keys at {count_at} does not fit arity {}", spec.arity))
        }
    }
}

struct Known<'f> {
    arity: i64,
    flags: BTreeSet<&'f str>,
    keys: (i64, i64, i64),
}

fn redis() -> HashMap<&'static str, Known<'static>> {
    let lines = REDIS.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &'static str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, arity, flags, first, last, step] = fields[..] else {
            panic!("a line of the fixture has not six fields: {line}")
        };
        let number = |text: &str| -> i64 {
            text.parse()
                .unwrap_or_else(|_| panic!("{text} is not a number: {line}"))
        };
        let known = Known {
            arity: number(arity),
            flags: flags.split(',').filter(|flag| *flag != "-").collect(),
            keys: (number(first), number(last), number(step)),
        };
        (name, known)
    };
    lines.map(parse).collect()
}

#[test]
fn what_redis_has_too_is_described_as_redis_does() {
    let redis = redis();
    assert!(redis.len() > 300, "{} commands in the fixture", redis.len());
    let mut complaints = Vec::new();
    for (name, spec) in specs() {
        let Some(known) = redis.get(name.as_str()) else {
            continue;
        };
        let mut complain = |what: &str, complaint: String| {
            let meant = |(names, in_what, _): &(&[&str], &str, &str)| names.contains(&&*name) && *in_what == what;
            if !DIFFERENT.iter().any(meant) {
                complaints.push(format!("{name}: {complaint}"));
            }
        };
        if i64::from(spec.arity) != known.arity {
            complain("arity", format!("arity {} instead of {}", spec.arity, known.arity));
        }
        let keys = spec.keys.legacy();
        if keys != known.keys {
            complain("keys", format!("keys {keys:?} instead of {:?}", known.keys));
        }
        let flags: BTreeSet<&str> = spec.flags.names().collect();
        for flag in MAIN_FLAGS {
            match (flags.contains(flag), known.flags.contains(flag)) {
                (true, false) => complain(flag, format!("has the flag {flag}")),
                (false, true) => complain(flag, format!("lacks the flag {flag}")),
                _ => {}
            }
        }
    }
    complaints.sort();
    none(complaints);
}

/// Where the categories are meant to differ from Redis 7.0.
const OTHER_CATEGORIES: &[(&str, &str)] = &[
    ("zcount", "members are counted one by one here"),
    ("zlexcount", "members are counted one by one here"),
    ("zrank", "members are counted one by one here"),
    ("zrevrank", "members are counted one by one here"),
];

#[test]
fn access_rules_see_a_command_as_those_of_redis_do() {
    let (mut complaints, mut compared) = (Vec::new(), 0);
    for line in REDIS_ACCESS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, categories, access] = fields[..] else {
            panic!("a line of the fixture has not three fields: {line}")
        };
        let Some(known) = table::find_full(name.as_bytes()) else {
            continue;
        };
        compared += 1;
        let mut mine: Vec<&str> = known.categories.names().collect();
        mine.sort_unstable();
        if mine.join(",") != categories && !OTHER_CATEGORIES.iter().any(|(other, _)| *other == name) {
            complaints.push(format!("{name}: {} instead of {categories}", mine.join(",")));
        }
        let words = |spec: &key_specs::KeySpec| {
            let mut words: Vec<&str> = spec.access.names().collect();
            words.sort_unstable();
            words.join("+")
        };
        let mine: Vec<String> = key_specs::of(known.spec).iter().map(words).collect();
        let mine = if mine.is_empty() { "-".into() } else { mine.join(",") };
        if mine != access {
            complaints.push(format!("{name}: keys {mine} instead of {access}"));
        }
    }
    assert!(compared > 200, "{compared} commands compared");
    none(complaints);
}
