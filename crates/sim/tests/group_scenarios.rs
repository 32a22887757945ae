//! The scenarios of `testdata/group`: see `haypile_sim::group::scenario` for what can be said in them.
//!
//! `HAYPILE_REWRITE=1 cargo test --release -p haypile-sim --test group_scenarios` writes down what comes of their commands as what is expected.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use haypile_sim::group::scenario;

fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/group");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn scenarios_come_to_what_they_say() {
    let rewrites = std::env::var_os("HAYPILE_REWRITE").is_some();
    let mut failed = Vec::new();
    let files = files();
    assert!(!files.is_empty(), "there are scenarios");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        match scenario::run(&text) {
            Ok(told) if told == text => {}
            Ok(told) if rewrites => std::fs::write(&file, told).unwrap(),
            Ok(told) => {
                let line = told.lines().zip(text.lines()).position(|(told, text)| told != text);
                let line = line.unwrap_or(text.lines().count().min(told.lines().count()));
                let (is, expected) = (told.lines().nth(line), text.lines().nth(line));
                failed.push(format!(
                    "{}, line {}:\n  is       {}\n  expected {}",
                    file.display(),
                    line + 1,
                    is.unwrap_or("its end"),
                    expected.unwrap_or("its end")
                ));
            }
            Err(error) => failed.push(format!("{}, {error}", file.display())),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn what_does_not_come_to_be_is_noticed() {
    let text = "members 1\ntime 1ms\ntick 1\nsettle\n----\n1 leads term 7\n";
    let told = scenario::run(text).unwrap();
    assert!(told != text && told.contains("1 leads term 1, from 1:1 on"), "{told}");
    assert!(
        scenario::run("members 1\nfly 1\n----\n")
            .unwrap_err()
            .starts_with("line ")
    );
    assert!(scenario::run("members 1\n").is_err(), "a block has an end");
}
