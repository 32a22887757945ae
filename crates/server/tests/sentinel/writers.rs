//! Clients that write to the server that the sentinels name.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::process;
use haypile_testkit::{Client, Value, words};

/// Clients that write.
const WRITERS: usize = 4;
/// What WAIT is given, in milliseconds.
const WAIT_MS: u32 = 1000;
/// How long a reply may take; longer than WAIT.
const REPLY: Duration = Duration::from_secs(10);
/// Pause between two writes of a client: the machine has other things to do.
const PAUSE: Duration = Duration::from_millis(1);
/// Pause before a client that was refused asks the sentinels again.
const AGAIN: Duration = Duration::from_millis(20);

/// Clients that write to whom the sentinels name, and remember what WAIT has confirmed.
pub struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    count: AtomicU64,
    /// Keys that are confirmed, by writer: the value is the key's number.
    confirmed: Vec<Mutex<Vec<u64>>>,
}

impl Writers {
    /// Starts them; they ask the sentinels at these ports.
    pub fn start(sentinels: &[u16]) -> Writers {
        let shared = Arc::new(Shared {
            confirmed: (0..WRITERS).map(|_| Mutex::default()).collect(),
            ..Shared::default()
        });
        let start = |writer: usize| {
            let (shared, sentinels) = (shared.clone(), sentinels.to_vec());
            std::thread::spawn(move || write(writer, &shared, &sentinels))
        };
        let threads = (0..WRITERS).map(start).collect();
        Writers { shared, threads }
    }

    /// Writes that WAIT has confirmed.
    pub fn confirmed(&self) -> u64 {
        self.shared.count.load(Ordering::Acquire)
    }

    /// Writes that were confirmed and that this server does not have: `key = what it has`.
    pub fn missing(&self, client: &mut Client) -> Vec<String> {
        let mut missing = Vec::new();
        for (writer, confirmed) in self.shared.confirmed.iter().enumerate() {
            let confirmed = confirmed.lock().unwrap().clone();
            for numbers in confirmed.chunks(1000) {
                let mut request = vec!["MGET".to_owned()];
                request.extend(numbers.iter().map(|n| key(writer, *n)));
                let reply = client.cmd(&request);
                let values = reply.as_elements().unwrap_or_else(|| panic!("MGET: {reply:?}"));
                assert_eq!(values.len(), numbers.len());
                let wrong = numbers.iter().zip(values);
                let wrong = wrong.filter(|(n, value)| value.as_bytes() != Some(n.to_string().as_bytes()));
                missing.extend(wrong.map(|(n, value)| format!("{} = {value:?}", key(writer, *n))));
            }
        }
        missing
    }

    /// Ends them.
    pub fn stop(mut self) -> Self {
        self.shared.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

fn key(writer: usize, n: u64) -> String {
    format!("writer:{writer}:{n}")
}

fn write(writer: usize, shared: &Shared, sentinels: &[u16]) {
    let mut n = 0;
    for sentinel in sentinels.iter().cycle().skip(writer) {
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        // It ends with the connection, or with a refusal: both are what a failover looks like.
        let _ = write_to(writer, &mut n, shared, *sentinel);
        std::thread::sleep(AGAIN);
    }
}

/// Writes until something fails. No number is used twice, so that a write that may or may not have happened is never
/// mistaken for another.
fn write_to(writer: usize, n: &mut u64, shared: &Shared, sentinel: u16) -> io::Result<()> {
    let primary = process::primary(sentinel).ok_or(io::ErrorKind::NotFound)?;
    let mut client = Client::try_connect(primary)?;
    while !shared.stop.load(Ordering::Acquire) {
        *n += 1;
        let set = format!("SET {} {n}", key(writer, *n));
        client.try_send_lines(&[&set, &format!("WAIT 1 {WAIT_MS}")])?;
        let mut replies = Vec::new();
        for _ in 0..2 {
            let reply = client.recv_within(REPLY)?.ok_or(io::ErrorKind::TimedOut)?;
            replies.push(reply);
        }
        if replies[0] != Value::Simple("OK".into()) {
            return Err(io::Error::other(format!("{:?}: {:?}", words(&set), replies[0])));
        }
        if replies[1].as_i64().is_some_and(|replicas| replicas >= 1) {
            shared.confirmed[writer].lock().unwrap().push(*n);
            shared.count.fetch_add(1, Ordering::AcqRel);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
