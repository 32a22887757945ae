//! That the process is asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::front::Front;

/// See the module.
pub(crate) struct Stopping {
    asked: AtomicBool,
    front: Arc<dyn Front>,
}

impl Stopping {
    pub(crate) fn new(front: Arc<dyn Front>) -> Stopping {
        Stopping {
            asked: AtomicBool::new(false),
            front,
        }
    }

    /// Asks everybody to stop.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        self.front.wake();
    }

    /// True once everybody is asked to.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}
