//! Looks at all servers all the time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::cluster::WRITERS;
use super::load::keys;
use super::node::{Info, ask, connect, info};
use haypile_testkit::{Client, Value};

/// Between two looks at the same server.
const INTERVAL: Duration = Duration::from_millis(20);
/// One that takes longer is looked at another time.
const PATIENCE: Duration = Duration::from_millis(300);

/// Where the servers are, and their passwords.
#[derive(Clone)]
pub struct Board(Arc<Mutex<Vec<(SocketAddr, String)>>>);

impl Board {
    pub fn new(nodes: usize) -> Board {
        Board(Arc::new(Mutex::new(Vec::with_capacity(nodes))))
    }

    pub fn set(&self, nodes: impl Iterator<Item = (SocketAddr, String)>) {
        *self.0.lock().expect("no panic") = nodes.collect();
    }

    fn get(&self) -> Vec<(SocketAddr, String)> {
        self.0.lock().expect("no panic").clone()
    }
}

/// See the module.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, Option<String>)>,
}

impl Watcher {
    pub fn start(board: Board) -> Watcher {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        let thread = thread::spawn(move || {
            let mut looks = 0;
            while !ended.load(Ordering::Relaxed) {
                for (number, (address, password)) in board.get().into_iter().enumerate() {
                    let Ok(mut client) = connect(address, &password, PATIENCE) else {
                        continue;
                    };
                    match look(&mut client, looks as usize % WRITERS) {
                        Ok(()) => looks += 1,
                        Err(problem) => return (looks, Some(format!("server {number} at {address}: {problem}"))),
                    }
                }
                thread::sleep(INTERVAL);
            }
            (looks, None)
        });
        Watcher { stop, thread }
    }

    /// Ends it; gives the number of looks.
    pub fn stop(self) -> Result<u64, String> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join().expect("no panic") {
            (looks, None) => Ok(looks),
            (_, Some(problem)) => Err(problem),
        }
    }
}

fn look(client: &mut Client, writer: usize) -> Result<(), String> {
    let Ok(info) = info(client, PATIENCE) else {
        return Ok(());
    };
    shows_a_state(&info)?;
    let [first, second, _] = keys(writer);
    for command in [&["MULTI"][..], &["GET", &first], &["GET", &second]] {
        if ask(client, command, PATIENCE).is_err() {
            return Ok(());
        }
    }
    match ask(client, &["EXEC"], PATIENCE) {
        Ok(Value::Array(found)) if found.len() == 2 && found[0] != found[1] => {
            Err(format!("half of a transaction is seen: {found:?}"))
        }
        _ => Ok(()),
    }
}

/// A replica shows how it is, and with an error its reason.
fn shows_a_state(info: &Info) -> Result<(), String> {
    if !info.is_replica() {
        return match info.get("role") {
            "master" => Ok(()),
            other => Err(format!("its role is {other:?}")),
        };
    }
    let instance = info.get("sync_instance_state");
    let partition = info.get("sync_partition0");
    let partition = partition.strip_prefix("state=").and_then(|rest| rest.split(',').next());
    let Some(partition) = partition.filter(|_| !instance.is_empty()) else {
        return Err(format!("no state is shown: {info:?}"));
    };
    if instance == "Error" && info.get("sync_instance_last_error").is_empty() {
        return Err(format!("an error without a reason: {info:?}"));
    }
    if partition == "Error" && info.get("sync_partition0_last_error").is_empty() {
        return Err(format!("an error of the partition without a reason: {info:?}"));
    }
    if info.is_up() && (instance, partition) != ("Connected", "Connected") {
        return Err(format!("the link is up, and the states are others: {info:?}"));
    }
    Ok(())
}
