//! The fuzz target of this crate, in the ordinary tests: files of users with some damage, rules and requests of any words.

#![allow(clippy::unwrap_used)]

#[path = "../../../fuzz/common/mutate.rs"]
mod mutate;
#[path = "fuzz/text.rs"]
mod text;

use haypile_acl::Defaults;
use haypile_commands::{Categories, table};
use mutate::{any_bytes, damaged};
use proptest::prelude::*;

/// A word that means something to a user, as a rule or as part of a request.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&str> = table::known_with_subcommands()
        .map(|known| known.full_name.as_str())
        .collect();
    let fixed = "on off nopass resetpass reset allkeys resetkeys allchannels resetchannels allcommands nocommands +@all -@all ~* &* \
                 sanitize-payload clearselectors %RW~* %r~a %wr~b % %~a +select|0 +get|a +config|get|a >p <p >q ( ) () (+get ~a) \
                 #2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 \
                 !2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let fixed: Vec<&str> = fixed.split(' ').collect();
    let signs = || prop::sample::select(&["+", "-", "(+", ""][..]);
    let categories = prop::sample::select(Categories::ALL);
    let known = prop_oneof![
        (signs(), prop::sample::select(names)).prop_map(|(sign, name)| format!("{sign}{name}")),
        (signs(), categories).prop_map(|(sign, (_, name))| format!("{sign}@{name}")),
        prop::sample::select(fixed).prop_map(str::to_owned),
        "[~&%RW()|+@-]{1,3}[a-c*?\\[\\]]{0,3}[)]?",
    ];
    prop_oneof![
        12 => known.prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

/// Lines as they stand in a file, most of them of users.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let line = (
        prop_oneof![8 => Just("user ".to_owned()), 1 => "[a-z# ]{0,5}"],
        "[a-d]{1,2}",
        prop::collection::vec(word(), 0..6),
    );
    let line = line.prop_map(|(first, name, words)| {
        let words = words.join(&b' ');
        [first.as_bytes(), name.as_bytes(), b" ", &words[..]].concat()
    });
    prop::collection::vec(line, 0..4).prop_map(|lines| lines.join(&b'\n'))
}

fn request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let names: Vec<&str> = table::known_with_subcommands()
        .map(|known| known.full_name.as_str())
        .collect();
    let arguments = prop::collection::vec(prop_oneof![word(), "[0-4a-c]".prop_map(String::into_bytes)], 0..6);
    (prop::sample::select(names), arguments).prop_map(|(name, arguments)| {
        let name = name.split('|').map(|part| part.as_bytes().to_vec());
        name.chain(arguments).collect()
    })
}

fn words(words: &[Vec<u8>]) -> Vec<&[u8]> {
    words.iter().map(Vec::as_slice).collect()
}

proptest! {
    #![proptest_config(mutate::config(2000))]

    #[test]
    fn any_file_is_refused_or_has_users(text in prop_oneof![file(), damaged(file()), any_bytes(200)], all_channels: bool) {
        text::file(&text, Defaults { all_channels });
    }

    #[test]
    fn any_words_are_refused_or_make_a_user_who_can_be_asked(
        rules in prop::collection::vec(word(), 0..8),
        request in request(),
        all_channels: bool,
    ) {
        let user = text::rules(&words(&rules), Defaults { all_channels });
        text::check(&user, &words(&request));
    }
}

/// A target that refuses everything would find nothing.
#[test]
fn a_seed_is_valid() {
    assert!(text::file(
        b"user ann on >p ~a &b +@all\nuser default off (+get ~a)",
        Defaults::default()
    ));
}
