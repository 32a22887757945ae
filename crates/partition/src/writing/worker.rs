//! A thread that works when it is told to, and once more before it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::PartitionError;
use crate::panics::guarded;
use crate::partition::Shared;

/// How to wake the thread and how to stop it.
#[derive(Default)]
pub(crate) struct Worker {
    signal: Arc<Signal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Signal {
    wanted: Mutex<bool>,
    wake: Condvar,
    stop: AtomicBool,
    /// Stop without working once more.
    abandon: AtomicBool,
}

impl Worker {
    /// Starts the thread; it does not keep the partition alive.
    pub(crate) fn start(&self, name: &str, shared: &Arc<Shared>, work: fn(&Shared)) -> Result<(), PartitionError> {
        let (signal, shared): (_, Weak<Shared>) = (self.signal.clone(), Arc::downgrade(shared));
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                loop {
                    let go_on = signal.wait();
                    let Some(shared) = shared.upgrade().filter(|_| !signal.abandon.load(Ordering::Acquire)) else {
                        return;
                    };
                    if let Err(cause) = guarded(|| work(&shared)) {
                        shared.panicked(cause);
                    }
                    if !go_on {
                        return;
                    }
                }
            })
            .map_err(|source| PartitionError::Io {
                verb: "start a thread for",
                path: name.into(),
                source,
            })?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// There is something to do.
    pub(crate) fn wake(&self) {
        *self.signal.wanted.lock() = true;
        self.signal.wake.notify_one();
    }

    /// Ends the thread without letting it work once more.
    pub(crate) fn abandon(&self) {
        self.signal.abandon.store(true, Ordering::Release);
        self.stop();
    }

    /// Ends the thread after it has done its work once more.
    pub(crate) fn stop(&self) {
        self.signal.stop.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("a thread of the partition has panicked");
        }
    }
}

impl Signal {
    /// Waits for work; false when it is time to stop.
    fn wait(&self) -> bool {
        let mut wanted = self.wanted.lock();
        while !*wanted {
            self.wake.wait(&mut wanted);
        }
        *wanted = false;
        !self.stop.load(Ordering::Acquire)
    }
}
