//! What several of these tests need.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use haypile_testkit::{Client, Server, text};

/// Nothing in the server's log is a panic.
#[track_caller]
pub fn assert_no_panic(log: &str) {
    assert!(!log.contains("panicked"), "{log}");
}

/// Tries to start on this data, which the server must refuse with exit code 1 and one line that has all these words;
/// gives that line.
#[track_caller]
pub fn assert_refuses(server: &mut Server, words: &[&str]) -> String {
    let refusal = match server.try_start_again() {
        Ok(()) => panic!("the server has started: {}", server.log()),
        Err(refusal) => refusal,
    };
    assert_no_panic(&refusal.errors);
    assert_eq!(refusal.code, Some(1), "{}", refusal.errors);
    let lines: Vec<&str> = refusal
        .errors
        .lines()
        .filter(|line| line.starts_with("haypile: "))
        .collect();
    assert_eq!(lines.len(), 1, "one line says why: {}", refusal.errors);
    for word in words {
        assert!(lines[0].contains(word), "no {word:?} in {:?}", lines[0]);
    }
    lines[0].to_owned()
}

/// The files in a directory whose names the filter takes, by name.
pub fn files(dir: &Path, filter: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&filter));
    files.sort();
    files
}

/// The partition's directory.
pub fn partition(server: &Server) -> PathBuf {
    server.dir().join("partitions").join("0")
}

/// Flips a bit of a byte of a file.
pub fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// A value of this many bytes that does not compress, another one for each number.
pub fn noise(n: u64, bytes: usize) -> String {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'#' + (state >> 32) as u8 % 64)
    };
    (0..bytes).map(|_| letter()).collect()
}

/// Sets `key:0` up to but not including `key:{keys}` to noise of this many bytes each.
#[track_caller]
pub fn fill(client: &mut Client, keys: u64, bytes: usize) {
    for n in 0..keys {
        let reply = client.cmd(&["SET", &format!("key:{n}"), &noise(n, bytes)]);
        assert_eq!(text(&reply), "OK");
    }
}

/// Checks these keys.
#[track_caller]
pub fn assert_filled(client: &mut Client, keys: u64, bytes: usize) {
    for n in 0..keys {
        let reply = client.cmd(&["GET", &format!("key:{n}")]);
        assert_eq!(
            reply.as_bytes(),
            Some(noise(n, bytes).as_bytes()),
            "key:{n} is {}",
            text(&reply)
        );
    }
}
