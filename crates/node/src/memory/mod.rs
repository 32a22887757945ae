//! The memory of the process, kept within `memory-budget`.
//!
//! No sum of what the parts believe to take is what the system says the process has: allocators round up and keep what is
//! freed, blocks are charged without that, and a large command needs much for a moment. So a thread looks at what is resident, and has
//! the caches give way to everything else. What it decides is [`governor`]'s; how the budget is divided to begin with is
//! [`haypile_store::Budget`].

pub mod allocator;
mod governor;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use haypile_store::SharedResources;
use parking_lot::{Condvar, Mutex};

use self::governor::{Governor, Seen, Todo};
use crate::process;

/// Time between two counts of what comes on top of the budget.
const ON_TOP_EVERY: Duration = Duration::from_secs(1);

/// Bytes that come on top of the budget: what connections have in their buffers.
pub type OnTop = Box<dyn Fn() -> u64 + Send + Sync>;

/// The memory budget at work.
pub struct Memory {
    /// What the stores share.
    pub shared: SharedResources,
    on_top: OnTop,
    purges: AtomicU64,
    stopped: Mutex<bool>,
    stop: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Memory {
    /// Begins to keep the memory of the process within the budget.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(shared: SharedResources, on_top: OnTop) -> std::io::Result<Arc<Memory>> {
        let memory = Arc::new(Memory {
            shared,
            on_top,
            purges: AtomicU64::new(0),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
            thread: Mutex::new(None),
        });
        let watched = memory.clone();
        let thread = std::thread::Builder::new()
            .name("memory".into())
            .spawn(move || watched.watch())?;
        *memory.thread.lock() = Some(thread);
        Ok(memory)
    }

    /// The budget, bytes.
    pub fn budget_bytes(&self) -> u64 {
        self.shared.budget().total_bytes as u64
    }

    /// How often the allocator was told to give back what it keeps.
    pub fn purges(&self) -> u64 {
        self.purges.load(Ordering::Relaxed)
    }

    /// Ends the thread.
    pub fn stop(&self) {
        *self.stopped.lock() = true;
        self.stop.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches the memory has panicked");
        }
    }

    fn watch(&self) {
        let mut governor = Governor::new(self.shared.budget());
        let mut on_top = (Instant::now(), 0);
        let mut stopped = self.stopped.lock();
        while !*stopped {
            drop(stopped);
            if on_top.0.elapsed() >= ON_TOP_EVERY {
                on_top = (Instant::now(), (self.on_top)());
            }
            let todo = governor.step(&Seen {
                now: Instant::now(),
                resident: process::resident_now_bytes(),
                unused: allocator::usage().map_or(0, |usage| usage.unused),
                cached: self.shared.cached_bytes() as u64,
                on_top: on_top.1,
            });
            self.carry_out(&todo);
            stopped = self.stopped.lock();
            if !*stopped {
                self.stop.wait_for(&mut stopped, todo.pause);
            }
        }
    }

    fn carry_out(&self, todo: &Todo) {
        self.shared.limit_caches(todo.cache_bytes as usize);
        if todo.clears_rows {
            self.shared.clear_rows();
        }
        if todo.purges {
            allocator::purge();
            self.purges.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(resident) = todo.complaint {
            tracing::warn!(
                resident_mib = resident >> 20,
                memory_budget_mib = self.budget_bytes() >> 20,
                "the memory budget cannot be kept although the caches are as small as they may be: raise memory-budget, or have fewer \
                 databases, replicas or large commands at the same time (INFO memory says what takes how much)"
            );
        }
    }
}
