//! What the writer knows of collections, which goes along with what is pending.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Overlay;
use crate::known::Known;

/// What the writer knows of collections takes as many bytes at most, unless another number is given.
const KNOWLEDGE_BYTES_MAX: usize = 16 << 20;

/// What the writer knows of collections: ranges of elements that it has in memory.
#[derive(Clone)]
pub struct WriterKnowledge(Arc<Mutex<Known>>);

impl Default for WriterKnowledge {
    fn default() -> Self {
        WriterKnowledge(Arc::new(Mutex::new(Known::new(KNOWLEDGE_BYTES_MAX))))
    }
}

impl Overlay {
    /// An overlay with nothing pending, in which what the writer knows of collections takes as many bytes at most.
    pub fn with_knowledge(bytes_max: usize) -> Self {
        Overlay {
            known: WriterKnowledge(Arc::new(Mutex::new(Known::new(bytes_max)))),
            ..Self::default()
        }
    }

    /// An overlay for evaluating commands only to see what they read. It starts from what the writer knows, so that
    /// scans begin where the writer's do.
    pub fn for_prefetch(known: &WriterKnowledge) -> Self {
        Overlay {
            known: known.clone(),
            borrows_knowledge: true,
            ..Overlay::default()
        }
    }

    /// What the writer knows of collections, for [`Overlay::for_prefetch`].
    pub fn knowledge(&self) -> &WriterKnowledge {
        &self.known
    }

    /// Forgets what the writer knows of collections: something was published past it.
    pub fn forget_knowledge(&mut self) {
        self.change_known(Known::forget);
    }

    pub(crate) fn known(&self) -> &Mutex<Known> {
        &self.known.0
    }

    /// True if scans are to remember what they find.
    pub(crate) fn learns(&self) -> bool {
        !self.borrows_knowledge
    }

    pub(super) fn change_known(&self, change: impl FnOnce(&mut Known)) {
        if !self.borrows_knowledge {
            change(&mut self.known.0.lock());
        }
    }
}
