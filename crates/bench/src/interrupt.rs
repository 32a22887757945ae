//! Ctrl-C and SIGTERM: the children are told to end, whoever waits for one returns, and the owners clean up.

use std::collections::HashSet;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::Error;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The pids of the running children. The lock is held while one is reaped, so a signal never meets somebody else's
/// process that has got the same pid.
static CHILDREN: Mutex<Option<HashSet<i32>>> = Mutex::new(None);

/// Starts listening for the signals.
pub fn install() -> Result<(), Error> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            for pid in children().iter().flatten() {
                // SAFETY: kill takes plain numbers; the pid is that of a child not yet reaped.
                unsafe { libc::kill(*pid, libc::SIGTERM) };
            }
        }
    })?;
    Ok(())
}

/// An error once the run has been interrupted.
pub fn check() -> Result<(), Error> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        Err(Error::Interrupted)
    } else {
        Ok(())
    }
}

/// Adds a child.
pub fn register(pid: i32) {
    children().get_or_insert_default().insert(pid);
}

/// Runs `reap`, which waits for the child `pid` or looks after it, and takes the child off the list if it has ended.
/// No signal is sent meanwhile.
pub fn reap<T>(pid: i32, reap: impl FnOnce() -> io::Result<Option<T>>) -> io::Result<Option<T>> {
    let mut children = children();
    let ended = reap()?;
    if let (Some(_), Some(pids)) = (&ended, children.as_mut()) {
        pids.remove(&pid);
    }
    Ok(ended)
}

fn children() -> std::sync::MutexGuard<'static, Option<HashSet<i32>>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}
