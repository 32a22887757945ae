//! FAILOVER: this server and one of its replicas change places. Writes are held up until the replica has everything, so
//! that none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use haypile_partition::Role;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::dial::Dialer;
use super::source::Replica;
use crate::node::Node;
use crate::pause::PausePurpose;

/// Time between two looks at what the replicas have.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long the replica may take to answer when it is told to take over.
const PROMOTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long writes are held up at most, milliseconds: until it is over, one way or the other.
const PAUSE_MS: u64 = 1 << 40;

/// What FAILOVER asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// To whom; else to the first replica that has everything.
    pub to: Option<(String, u16)>,
    /// When the time is up, go on all the same.
    pub force: bool,
    /// When to give up.
    pub timeout: Option<Duration>,
}

/// The failover that is under way, if any.
#[derive(Default)]
pub struct Failover(Mutex<Option<Running>>);

struct Running {
    aborted: Arc<AtomicBool>,
    /// The replica has been told: it cannot be stopped any more.
    promoting: bool,
}

impl Failover {
    /// As INFO shows it.
    pub fn state(&self) -> &'static str {
        match &*self.0.lock() {
            None => "no-failover",
            Some(running) if running.promoting => "failover-in-progress",
            Some(_) => "waiting-for-sync",
        }
    }

    /// Stops waiting for a replica. False if nothing is under way, or it is too late.
    pub fn abort(&self) -> bool {
        match &*self.0.lock() {
            Some(running) if !running.promoting => {
                running.aborted.store(true, Ordering::Release);
                true
            }
            _ => false,
        }
    }

    /// Begins one. False if one is under way.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(&self, node: &Arc<Node>, request: Request) -> std::io::Result<bool> {
        let mut running = self.0.lock();
        if running.is_some() {
            return Ok(false);
        }
        let aborted = Arc::new(AtomicBool::new(false));
        let (node, seen) = (node.clone(), aborted.clone());
        std::thread::Builder::new().name("failover".into()).spawn(move || {
            node.pause(PausePurpose::Failover, node.clock.now_ms() + PAUSE_MS, true);
            match run(&node, &request, &seen) {
                Ok(replica) => tracing::info!(host = %replica.host, port = replica.port, "the failover is complete"),
                Err(reason) => tracing::warn!(reason, "the failover has failed: this server is the primary still"),
            }
            node.unpause(PausePurpose::Failover);
            *node.replication.failover.0.lock() = None;
        })?;
        *running = Some(Running {
            aborted,
            promoting: false,
        });
        Ok(true)
    }
}

fn run(node: &Node, request: &Request, aborted: &AtomicBool) -> Result<Replica, String> {
    let replica = await_replica(node, request, aborted)?;
    if let Some(running) = &mut *node.replication.failover.0.lock() {
        running.promoting = true;
    }
    let address = format!("{} {}", replica.host, replica.port);
    let runtime = node
        .replication
        .runtime
        .lock()
        .as_ref()
        .map(|runtime| runtime.handle().clone());
    let runtime = runtime.ok_or("this server stops")?;
    let (dialer, host, port) = (Dialer::new(node), replica.host.clone(), replica.port);
    let (answer, told) = oneshot::channel();
    // On the runtime's threads, so that it ends with them: nobody waits for a timer of a runtime that is no more.
    runtime.spawn(async move {
        let promote = dialer.promote(&host, port);
        // It fails only if nobody waits for it.
        let _ = answer.send(tokio::time::timeout(PROMOTION_TIMEOUT, promote).await);
    });
    told.blocking_recv()
        .map_err(|_| "this server stops".to_owned())?
        .map_err(|_| "the replica does not answer".to_owned())?
        .map_err(|failure| failure.to_string())?;
    let _changing = node.replication.changing.lock();
    if let Some(data) = &*node.data.load()
        && data.role() == Role::Leader
    {
        data.follow();
    }
    node.config.change(|values| values.replicaof.clone_from(&address));
    node.replication.follow(&address);
    Ok(replica)
}

/// The replica that has everything, or the one that is to take over in any case.
fn await_replica(node: &Node, request: &Request, aborted: &AtomicBool) -> Result<Replica, String> {
    let replication = &node.replication;
    let deadline = request.timeout.map(|timeout| Instant::now() + timeout);
    let position = match &*node.data.load() {
        // What was under way as the pause began is in the log after a turn.
        Some(data) => data.run_internal(|turn| turn.position()),
        None => return Err("the data is being loaded".into()),
    };
    let end = position.map_err(|error| error.to_string())?.index;
    loop {
        let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let chosen = replication
            .source
            .replicas(replication.now())
            .into_iter()
            .find(|replica| {
                let wanted = match &request.to {
                    Some((host, port)) => replica.host == *host && replica.port == *port,
                    None => true,
                };
                wanted && ((replica.state == "online" && replica.acks.applied >= end) || (late && request.force))
            });
        match chosen {
            Some(replica) => return Ok(replica),
            None if late => return Err("no replica has caught up in time".into()),
            None if aborted.load(Ordering::Acquire) || node.is_stopping() => return Err("it was aborted".into()),
            None => std::thread::sleep(LOOK_AGAIN),
        }
    }
}
