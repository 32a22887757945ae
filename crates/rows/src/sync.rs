//! Atomics and locks: the real ones, or those of the model checker.

#[cfg(not(feature = "loom"))]
mod kinds {
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, fence};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock()
    }
}

#[cfg(feature = "loom")]
mod kinds {
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, fence};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    #[allow(clippy::unwrap_used)] // a model's thread that panics ends the model
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

pub(crate) use kinds::{AtomicPtr, AtomicU64, AtomicUsize, Mutex, MutexGuard, fence, lock};
