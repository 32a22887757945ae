//! What goes wrong around the server: a full disk, damaged files, a directory or port that is taken, too few file
//! descriptors. In none of these may it panic, crash or forget what it has acknowledged; when it cannot start it says
//! why, in words, and its exit code is not 0.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod faults {
    mod damage;
    mod full_disk;
    mod open_files;
    mod panics;
    mod refusal;
    mod stop;
    mod support;
}
