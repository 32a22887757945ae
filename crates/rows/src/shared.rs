//! A value that many read and that is replaced as a whole.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::Guard;
use crate::sync::AtomicPtr;

/// One value that is replaced as a whole, and read under a guard without touching a counter.
///
/// Who replaces it gets the old value and must keep it until its tag allows to let it go: [`crate::Limbo`] does that.
pub struct Shared<T> {
    /// From `Arc::into_raw`; this holds one count.
    value: AtomicPtr<T>,
}

impl<T> Shared<T> {
    /// A first value.
    pub fn new(value: Arc<T>) -> Self {
        Shared {
            value: AtomicPtr::new(Arc::into_raw(value).cast_mut()),
        }
    }

    /// The newest value.
    #[inline]
    pub fn get<'g>(&self, _guard: &'g Guard<'_>) -> &'g T {
        // SAFETY: it comes from `Arc::into_raw`, and whoever replaces it keeps it until this guard is gone.
        unsafe { &*self.value.load(Ordering::Acquire) }
    }

    /// The newest value, to be kept for longer than the guard.
    pub fn clone_arc(&self, guard: &Guard<'_>) -> Arc<T> {
        let value = std::ptr::from_ref(self.get(guard));
        // SAFETY: as in `get`; the count is taken while the value is alive.
        unsafe {
            Arc::increment_strong_count(value);
            Arc::from_raw(value)
        }
    }

    /// Replaces the value. What is given back may still be looked at by those who have a guard.
    #[must_use]
    pub fn replace(&self, value: Arc<T>) -> Arc<T> {
        let before = self.value.swap(Arc::into_raw(value).cast_mut(), Ordering::AcqRel);
        // SAFETY: it comes from `Arc::into_raw`, and the count that `self` held goes to the caller.
        unsafe { Arc::from_raw(before) }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else has access any more, and this is the count that `self` holds.
        drop(unsafe { Arc::from_raw(self.value.load(Ordering::Acquire)) });
    }
}
