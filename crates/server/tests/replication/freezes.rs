//! Processes that stand still (SIGSTOP) for longer than repl-timeout, in the midst of a full sync. Their connections stay.

use rustix::process::{Pid, Signal, kill_process};

use super::support::{
    PLAIN, QUICK, SLOW_COPY, assert_in_sync, await_copy, await_error, field, fill, fill_chunks, follow, hurry, primary,
    stranger,
};
use haypile_testkit::{Server, wait_until};

fn signal(server: &Server, signal: Signal) {
    let pid = Pid::from_raw(server.pid() as i32).unwrap();
    kill_process(pid, signal).unwrap();
}

/// A primary, and a replica that copies from it, both with a short timeout.
fn copying() -> (Server, Server) {
    let timeout = ["--repl-timeout", "1"];
    let primary = primary(&[&PLAIN[..], &QUICK, &timeout].concat());
    fill_chunks(&primary);
    let replica = stranger(&[&SLOW_COPY[..], &timeout].concat());
    follow(&replica, primary.address());
    await_copy(&replica);
    (primary, replica)
}

#[test]
fn a_primary_that_stands_still_during_a_copy_is_followed_again() {
    let (primary, replica) = copying();
    signal(&primary, Signal::STOP);
    await_error(&replica, "timeout");
    assert_eq!(replica.client().say("EXISTS other:1"), "1", "the old data is served");
    signal(&primary, Signal::CONT);
    hurry(&replica);
    fill(&primary, "later", 100);
    assert_in_sync(&primary, &replica);
}

#[test]
fn a_replica_that_stands_still_during_a_copy_goes_on() {
    let (primary, replica) = copying();
    signal(&replica, Signal::STOP);
    let mut client = primary.client();
    wait_until("the end of the session", || {
        field(&mut client, "connected_slaves") == "0"
    });
    fill(&primary, "later", 100);
    signal(&replica, Signal::CONT);
    hurry(&replica);
    assert_in_sync(&primary, &replica);
}
