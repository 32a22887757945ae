//! Threads for what may wait for the disk, so that no connection's thread does.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

/// Something that may wait for the disk. It is dropped if it panics.
pub trait ColdWork: Send {
    /// Does it.
    fn run(self: Box<Self>);
}

/// A fixed number of threads that finish cold jobs.
pub struct Pool {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<(VecDeque<Box<dyn ColdWork>>, bool)>,
    wake: Condvar,
}

impl Pool {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(threads: usize) -> std::io::Result<Pool> {
        let queue = Arc::new(Queue::default());
        let threads = (0..threads.max(1))
            .map(|n| {
                let queue = queue.clone();
                std::thread::Builder::new()
                    .name(format!("pool-{n}"))
                    .spawn(move || queue.run())
            })
            .collect::<Result<_, _>>()?;
        Ok(Pool {
            queue,
            threads: Mutex::new(threads),
        })
    }

    /// Hands over a job that needs the disk. At most one job of each connection is ever here.
    pub fn push(&self, job: Box<dyn ColdWork>) {
        self.queue.jobs.lock().0.push_back(job);
        self.queue.wake.notify_one();
    }

    /// Ends the threads.
    pub fn stop(&self) {
        self.queue.jobs.lock().1 = true;
        self.queue.wake.notify_all();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a pool thread has panicked");
            }
        }
    }
}

impl Queue {
    fn run(&self) {
        loop {
            let mut jobs = self.jobs.lock();
            let job = loop {
                if let Some(job) = jobs.0.pop_front() {
                    break job;
                }
                if jobs.1 {
                    return;
                }
                self.wake.wait(&mut jobs);
            };
            drop(jobs);
            // The job goes with the panic, and its connection with the job; the thread is needed by others.
            if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                tracing::error!("a request that needed the disk has panicked: its connection is closed");
            }
        }
    }
}
