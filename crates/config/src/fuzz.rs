//! Any text as a configuration: it is refused with its line, or it means something that can be written down again.

use std::path::Path;

use proptest::prelude::*;

use super::load::load_text;
use super::rewrite::rewritten;
use super::*;

#[path = "../../../fuzz/common/mutate.rs"]
mod mutate;

/// What is said of this text holds of all.
fn check(text: &str) {
    let path = Path::new("h.conf");
    let mut values = Values::default();
    let Ok(said) = load_text(text, path, &mut values) else {
        return;
    };
    let read = |text: &str| {
        let mut values = Values::default();
        load_text(text, path, &mut values).unwrap_or_else(|error| panic!("{error} in {text:?}"));
        values
    };
    let users = NoUsers;
    // From nothing, and where it stands.
    let written = rewritten("", path, &values, &users).unwrap();
    assert_eq!(read(&written), values, "{written:?}");
    if said.users.is_empty() {
        let again = rewritten(text, path, &values, &users).unwrap();
        assert_eq!(again.trim_end(), text.lines().collect::<Vec<_>>().join("\n").trim_end());
    }
    let to_defaults = rewritten(text, path, &Values::default(), &users).unwrap();
    assert_eq!(read(&to_defaults), Values::default(), "{text:?} became {to_defaults:?}");
    // CONFIG SET takes what CONFIG GET gives.
    let config = Config::from_values(values.clone());
    for key in all_keys() {
        let value = (key.print)(&values);
        let set = config.set(&[(key.name.as_bytes(), value.as_bytes())], false);
        assert!(set.is_ok(), "{} {value:?}: {set:?}", key.name);
    }
    assert_eq!(*config.get(), values);
}

/// A value that may be one.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,12}",
        "[-+]?[0-9]{1,20}(kb|mb|gb|%|)",
        "(yes|no|local|always|everysec|os|debug|notice|json|text)",
        "[ \"'\\\\#\u{a0}a-z0-9.:*%-]{0,12}",
        "(127\\.0\\.0\\.1|::1|\\*|-::\\*) ?[0-9]{0,5}",
        "(normal|replica|pubsub) [0-9]{1,3}(mb|) [0-9]{1,3} [0-9]{1,3}",
        "[KEg$lshzxetdmnA]{0,6}",
        Just(String::new()),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = all_keys().flat_map(Key::names).collect();
    let quotes = prop_oneof![Just(""), Just("\""), Just("'")];
    let own = any::<prop::sample::Index>();
    prop_oneof![
        // What a key has is the likeliest to be one of its values.
        2 => own.prop_map(|at| {
            let keys: Vec<_> = all_keys().collect();
            let key = keys[at.index(keys.len())];
            rewrite::line_of(key, &Values::default())
        }),
        8 => (prop::sample::select(names), quotes, value())
            .prop_map(|(name, quote, value)| format!("{name} {quote}{value}{quote}")),
        1 => "user [a-z]{0,3} [-+~&%@()>#a-z*]{0,8}",
        1 => ".*",
        1 => "# .*",
        1 => Just("loglevel debug\r".to_string()),
    ]
}

proptest! {
    #![proptest_config(mutate::config(300))]

    #[test]
    fn any_text_is_refused_or_can_be_written_down_again(lines in prop::collection::vec(line(), 0..6)) {
        check(&lines.join("\n"));
        lines.iter().for_each(|line| check(line));
    }

    #[test]
    fn any_bytes_are_no_configuration_or_one(bytes in mutate::any_bytes(80)) {
        if let Ok(text) = String::from_utf8(bytes) {
            check(&text);
        }
    }

    #[test]
    fn config_set_takes_any_bytes(name in value(), value in prop::collection::vec(any::<u8>(), 0..20), at: prop::sample::Index) {
        let config = Config::defaults();
        let keys: Vec<_> = all_keys().collect();
        let key = keys[at.index(keys.len())];
        for pairs in [[(key.name.as_bytes(), &value[..])], [(name.as_bytes(), &value[..])], [(key.name.as_bytes(), name.as_bytes())]] {
            if config.set(&pairs, false).is_ok() {
                check(&rewritten("", Path::new("h.conf"), &config.get(), &NoUsers).unwrap());
            }
        }
    }
}
