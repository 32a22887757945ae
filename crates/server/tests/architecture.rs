//! The shape of the workspace: which crate may use which, and who may name RocksDB. ARCHITECTURE.md says why.

#![allow(clippy::unwrap_used)]

#[path = "architecture/rooms.rs"]
mod rooms;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

use rooms::ROOMS;

/// Each crate with those it may use, lower layers first. An edge that is missing here is a decision: it belongs into
/// ARCHITECTURE.md before it comes here.
const ALLOWED: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("resp", &["types"]),
    ("testkit", &["resp"]),
    ("oplog", &["types"]),
    ("rows", &["types"]),
    ("store", &["types", "rows"]),
    ("commands", &["types", "resp", "store"]),
    ("acl", &["resp", "commands"]),
    ("sync", &["types"]),
    ("consensus", &["types"]),
    (
        "partition",
        &["types", "resp", "oplog", "store", "commands", "sync", "consensus"],
    ),
    ("config", &["types", "oplog", "store"]),
    (
        "node",
        &[
            "types",
            "resp",
            "oplog",
            "store",
            "commands",
            "sync",
            "consensus",
            "config",
            "partition",
        ],
    ),
    (
        "server",
        &[
            "types",
            "resp",
            "oplog",
            "store",
            "commands",
            "acl",
            "sync",
            "config",
            "partition",
            "node",
            "testkit",
        ],
    ),
    ("sim", &["types", "sync", "consensus"]),
    (
        "bench",
        &["types", "resp", "oplog", "store", "commands", "partition", "server"],
    ),
];

/// The crates that must do the same again from the same seed, with the bans of `clippy-pure.toml`.
const PURE: &[&str] = &["types", "acl", "sync", "consensus", "sim"];

/// The only crate that may name RocksDB.
const ROCKSDB_OWNER: &str = "store";
const ROCKSDB_PACKAGES: [&str; 4] = ["rocksdb", "rust-rocksdb", "librocksdb-sys", "rust-librocksdb-sys"];
const PREFIX: &str = "haypile-";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The manifest of each crate, by the name of its folder.
fn manifests() -> BTreeMap<String, Table> {
    let mut manifests = BTreeMap::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let manifest = folder.join("Cargo.toml");
        if manifest.exists() {
            manifests.insert(
                folder.file_name().unwrap().to_str().unwrap().to_string(),
                read(&manifest),
            );
        }
    }
    manifests
}

/// The dependency tables of a manifest: normal, dev and build ones, those for one platform included.
fn dependency_tables(manifest: &Table) -> Vec<&Table> {
    let mut places = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(|targets| targets.as_table()) {
        places.extend(targets.values().filter_map(|target| target.as_table()));
    }
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = places
        .iter()
        .flat_map(|place| kinds.iter().filter_map(|kind| place.get(*kind)));
    tables.filter_map(|table| table.as_table()).collect()
}

/// The packages a manifest names, by the name they have on the registry, renames undone.
fn dependencies(manifest: &Table, workspace: &Table) -> BTreeSet<String> {
    let shared = workspace["workspace"]["dependencies"].as_table().unwrap();
    let package = |name: &str, value: &toml::Value| {
        let own = value.get("package").or_else(|| shared.get(name)?.get("package"));
        own.and_then(|package| package.as_str()).unwrap_or(name).to_string()
    };
    let tables = dependency_tables(manifest);
    tables
        .into_iter()
        .flatten()
        .map(|(name, value)| package(name, value))
        .collect()
}

#[test]
fn arrows_point_to_lower_layers_only() {
    let workspace = read(&root().join("Cargo.toml"));
    for (name, manifest) in manifests() {
        let (_, allowed) = ALLOWED.iter().find(|(known, _)| *known == name).unwrap_or_else(|| {
            panic!("the crate {name} has no place in the layers: add it to ALLOWED and ARCHITECTURE.md")
        });
        for package in dependencies(&manifest, &workspace) {
            let Some(used) = package.strip_prefix(PREFIX) else {
                continue;
            };
            assert!(
                allowed.contains(&used),
                "{name} must not use {used}: allowed are {allowed:?}"
            );
        }
    }
}

#[test]
fn the_layers_have_no_cycle() {
    for (index, (name, allowed)) in ALLOWED.iter().enumerate() {
        for used in *allowed {
            let below = ALLOWED[..index].iter().any(|(lower, _)| lower == used);
            assert!(below, "{name} may use {used}, which is not below it");
        }
    }
}

#[test]
fn only_the_store_names_rocksdb() {
    let workspace = read(&root().join("Cargo.toml"));
    for (name, manifest) in manifests() {
        let rocksdb = dependencies(&manifest, &workspace);
        let rocksdb = rocksdb
            .iter()
            .find(|package| ROCKSDB_PACKAGES.contains(&package.as_str()));
        assert!(
            rocksdb.is_none() || name == ROCKSDB_OWNER,
            "{name} names {rocksdb:?}: only {ROCKSDB_OWNER} may"
        );
    }
}

#[test]
fn a_crate_is_named_after_its_folder_and_shares_the_lints() {
    for (folder, manifest) in manifests() {
        assert_eq!(
            manifest["package"]["name"].as_str(),
            Some(format!("{PREFIX}{folder}").as_str())
        );
        let lints = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(|shared| shared.as_bool());
        assert_eq!(
            lints,
            Some(true),
            "{folder}: Cargo.toml lacks `[lints] workspace = true`"
        );
    }
}

/// The bans of a file of clippy's, by what they ban.
fn bans(file: &Table, kind: &str) -> BTreeSet<String> {
    let bans = file[kind].as_array().unwrap().iter();
    bans.map(|ban| ban["path"].as_str().unwrap().to_string()).collect()
}

#[test]
fn pure_crates_have_all_bans_and_more() {
    let everybody = read(&root().join("clippy.toml"));
    let pure = read(&root().join("clippy-pure.toml"));
    let (common, all) = (
        bans(&everybody, "disallowed-methods"),
        bans(&pure, "disallowed-methods"),
    );
    assert!(all.is_superset(&common), "{:?}", common.difference(&all));
    for name in ["std::time::Instant::now", "std::thread::sleep"] {
        assert!(all.contains(name), "{name}");
    }
    let types = bans(&pure, "disallowed-types");
    for name in ["std::collections::HashMap", "std::collections::HashSet"] {
        assert!(types.contains(name), "{name}");
    }
    for name in PURE {
        let used = read(&root().join("crates").join(name).join("clippy.toml"));
        assert_eq!(
            used, pure,
            "crates/{name}/clippy.toml is to be a link to ../../clippy-pure.toml"
        );
    }
}

/// Files of Rust below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_says_what_it_is_about() {
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    for path in files.iter().filter(|path| !path.ends_with("wire/generated.rs")) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.starts_with("//!"), "{} lacks a head comment", path.display());
    }
}

/// The room of a file, by its path below `src`.
fn room_of(path: &Path) -> String {
    let parts: Vec<String> = path
        .with_extension("")
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    match parts.as_slice() {
        [first, second, _, ..] if first == "replication" => format!("{first}::{second}"),
        [first, ..] => first.clone(),
        [] => String::new(),
    }
}

/// The rooms that a text names by `crate::`.
fn rooms_in(text: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        let is_word = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_';
        text.chars().take_while(is_word).collect()
    };
    let mut rooms = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        // Who may see something is no arrow.
        if text[..at].ends_with("pub(in ") {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let end = list.find('}').unwrap_or(list.len());
            let names = list[..end].split([',', '{']).map(|name| word(name.trim_start()));
            rooms.extend(names.filter(|name| !name.is_empty()));
            continue;
        }
        let room = word(rest);
        let inner = rest[room.len()..].strip_prefix("::").map(word).unwrap_or_default();
        match room.as_str() {
            "" => {}
            "replication" if ["source", "follower", "roles", "transport", "layout"].contains(&inner.as_str()) => {
                rooms.insert(format!("{room}::{inner}"));
            }
            _ => {
                rooms.insert(room);
            }
        }
    }
    rooms
}

#[test]
fn rooms_within_crates_name_only_those_they_may() {
    for (name, rooms) in ROOMS {
        let folder = root().join("crates").join(name).join("src");
        let mut files = Vec::new();
        sources(&folder, &mut files);
        let mut seen = BTreeSet::new();
        for path in files {
            let room = room_of(path.strip_prefix(&folder).unwrap());
            let Some((_, allowed)) = rooms.iter().find(|(known, _)| *known == room) else {
                continue;
            };
            for named in rooms_in(&fs::read_to_string(&path).unwrap()) {
                assert!(
                    named == room || allowed.contains(&named.as_str()),
                    "{}: {room} must not name {named}: allowed are {allowed:?}",
                    path.display()
                );
            }
            seen.insert(room);
        }
        for (room, _) in *rooms {
            assert!(seen.contains(*room), "{name} has no room {room} any more");
        }
    }
}

/// The paths that stand between backticks and begin with a crate, `{a,b}` written out.
fn paths_in(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for quoted in text.split('`').skip(1).step_by(2) {
        let is_path = |c: char| c.is_ascii_alphanumeric() || "/_.-{},".contains(c);
        if !quoted.contains('/') || !quoted.chars().all(is_path) {
            continue;
        }
        match quoted.split_once('{').zip(quoted.split_once('}')) {
            Some(((before, _), (inner, after))) => {
                let inner = &inner[before.len() + 1..];
                paths.extend(inner.split(',').map(|name| format!("{before}{name}{after}")));
            }
            None => paths.push(quoted.to_owned()),
        }
    }
    paths
}

#[test]
fn architecture_md_names_files_that_there_are() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let crates: BTreeSet<String> = manifests().into_keys().collect();
    let mut checked = 0;
    for path in paths_in(&text) {
        let named = path.trim_end_matches('/').trim_start_matches("crates/");
        let (first, rest) = named.split_once('/').unwrap_or((named, ""));
        if crates.contains(first) && (rest.starts_with("src/") || rest.starts_with("tests/")) {
            assert!(
                root().join("crates").join(named).exists(),
                "ARCHITECTURE.md names {path}"
            );
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
    assert_eq!(paths_in("see `a/{b,c}.rs` and `d/e`, `f`"), ["a/b.rs", "a/c.rs", "d/e"]);
}

#[test]
fn rooms_are_read_from_paths_and_texts() {
    assert_eq!(room_of(Path::new("replication/source/mod.rs")), "replication::source");
    assert_eq!(room_of(Path::new("replication/mod.rs")), "replication");
    assert_eq!(room_of(Path::new("memory/governor/tests.rs")), "memory");
    assert_eq!(room_of(Path::new("node.rs")), "node");
    let listed: Vec<String> = rooms_in("use crate::{Error, pins,\n    tls};\nlet other;")
        .into_iter()
        .collect();
    assert_eq!(listed, ["pins", "tls"]);
    let text = "use crate::tls::{self};\nuse crate::replication::transport::Link;\nuse crate::replication::Replication;\npub(in crate::io) fn f() {}";
    let rooms: Vec<String> = rooms_in(text).into_iter().collect();
    assert_eq!(rooms, ["replication", "replication::transport", "tls"]);
}
