//! FAILOVER: this server and one of its replicas change places. Writes are held up until the replica has everything, so
//! that none is lost; and this server writes no more before the replica may: see [`haypile_sync::role`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use haypile_partition::Turn;
use haypile_sync::role::{Address, Answer, Asking, Heard, RoleEvent, RoleState, TakeOver};
use haypile_types::Random;

use super::RoleError;
use crate::random::SplitMix64;
use crate::replication::Replication;
use crate::replication::transport::blocking;

/// Time between two looks at what the replicas have.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long clients wait for the replica's answer, and how long one question waits for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses between two questions.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(50);
const ASK_AGAIN_MAX: Duration = Duration::from_secs(1);

/// What FAILOVER asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// To whom; else to the first replica that has everything.
    pub to: Option<Address>,
    /// When the time is up, go on all the same.
    pub force: bool,
    /// When to give up.
    pub timeout: Option<Duration>,
}

/// What the failover that is under way does next.
#[derive(Default)]
pub struct Failover {
    /// The replica is to be told never mind, for this failover; 0 = none.
    forgotten: AtomicU64,
}

impl Failover {
    /// Takes back what the replica was told.
    pub(in crate::replication) fn forget(&self, failover: u64) {
        self.forgotten.store(failover, Ordering::Release);
    }

    fn is_forgotten(&self, failover: u64) -> bool {
        self.forgotten.load(Ordering::Acquire) == failover
    }
}

/// Begins a failover.
///
/// # Errors
/// The role does not allow it, or the system gives no thread.
pub fn start(replication: &Arc<Replication>, turn: Option<&mut Turn<'_>>, request: Request) -> Result<(), RoleError> {
    // A positive integer of the Redis protocol; 0 stands for none.
    let id = (SplitMix64::from_system().next_u64() >> 1).max(1);
    let roles = &replication.roles;
    roles.change(replication, turn, RoleEvent::HandOver(id))?;
    let waiting = replication.clone();
    let wait = move || {
        let event = match await_replica(&waiting, &request, id) {
            Ok(takeover) => RoleEvent::CaughtUp(takeover),
            Err(reason) => {
                tracing::warn!(reason, "the failover has failed: this server is the primary still");
                RoleEvent::GaveUp(id)
            }
        };
        let failed = waiting.roles.change(&waiting, None, event.clone()).err();
        if let (Some(error), RoleEvent::CaughtUp(_)) = (failed, event) {
            tracing::warn!(%error, "the failover has failed: this server is the primary still");
            // It may have been aborted meanwhile.
            let _ = waiting.roles.change(&waiting, None, RoleEvent::GaveUp(id));
        }
    };
    let started = std::thread::Builder::new().name("failover".into()).spawn(wait);
    started.map(drop).map_err(|error| {
        // Needs no writer, which the caller may have.
        roles.give_up(replication, id);
        RoleError::Thread(error)
    })
}

/// The replica that has everything, or the one that is to take over in any case.
fn await_replica(replication: &Replication, request: &Request, id: u64) -> Result<TakeOver, String> {
    let deadline = request.timeout.map(|timeout| Instant::now() + timeout);
    let position = match &*replication.parts.partitions.the_one() {
        // What was under way as the pause began is in the log after a turn.
        Some(data) => data.run_internal(|turn| turn.position()),
        None => return Err("the data is being loaded".into()),
    };
    let end = position.map_err(|error| error.to_string())?.index;
    loop {
        let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let replicas = replication.source.replicas(replication.now());
        let mut wanted = replicas.into_iter().filter(|replica| match &request.to {
            Some(Address { host, port }) => replica.host == *host && replica.port == *port,
            None => true,
        });
        let chosen = wanted.find_map(|replica| {
            let has_all = replica.state == "online" && replica.acks.applied >= end;
            (has_all || (late && request.force)).then_some(TakeOver {
                id,
                target: Address {
                    host: replica.host,
                    port: replica.port,
                },
                node: replica.node,
                end: if has_all { end } else { 0 },
            })
        });
        match chosen {
            Some(takeover) => return Ok(takeover),
            None if late => return Err("no replica has caught up in time".into()),
            None if replication.roles.load().failover() != Some(id) || replication.parts.stopping.is_asked() => {
                return Err("it was aborted".into());
            }
            None => std::thread::sleep(LOOK_AGAIN),
        }
    }
}

/// Tells a replica to take over, or never mind, until it has answered or the role is another.
pub(in crate::replication) fn ask(replication: &Arc<Replication>, takeover: TakeOver) {
    let runtime = replication.runtime.lock();
    // Without one the server stops, and asks when it has started again.
    let Some(runtime) = runtime.as_ref() else { return };
    let (weak, id) = (Arc::downgrade(replication), takeover.id);
    // It may have been told before this server was restarted.
    let told_before = replication.roles.load().state() == RoleState::Unresolved;
    runtime.spawn(async move {
        tokio::time::sleep(ANSWER_TIMEOUT).await;
        let Some(replication) = weak.upgrade() else { return };
        // It is refused if the answer is there.
        let late = blocking(|| replication.roles.change(&replication, None, RoleEvent::Deadline(id))).await;
        if late.is_ok() {
            tracing::error!(
                "the replica that was told to take over does not answer: this server writes no more and goes on asking; \
                 decide with REPLICAOF if it never will"
            );
        }
    });
    let weak = Arc::downgrade(replication);
    runtime.spawn(async move {
        let mut asking = Asking::new(id, told_before);
        let mut pause = ASK_AGAIN_MIN;
        loop {
            let Some(replication) = weak.upgrade().filter(|replication| !replication.parts.stopping.is_asked()) else { return };
            if replication.roles.load().failover() != Some(id) {
                return;
            }
            if replication.failover.is_forgotten(id) {
                asking.forget();
            }
            let heard = ask_once(&replication, &takeover, asking.forgets()).await;
            if let Some(event) = asking.heard(heard) {
                match event {
                    RoleEvent::TakenOver(_) => tracing::info!(replica = %takeover.target, "the failover is complete"),
                    _ => {
                        tracing::warn!(replica = %takeover.target, "the failover has failed: this server is the primary again");
                    }
                }
                match blocking(|| replication.roles.change(&replication, None, event)).await {
                    // Refused if a person has decided otherwise meanwhile.
                    Ok(()) | Err(RoleError::Refused(_)) => return,
                    Err(error) => tracing::error!(%error, "the role cannot be changed: it is tried again"),
                }
            }
            drop(replication);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(ASK_AGAIN_MAX);
        }
    });
}

/// One question.
async fn ask_once(replication: &Arc<Replication>, takeover: &TakeOver, forget: bool) -> Heard {
    let TakeOver {
        id,
        target,
        node: asked,
        end,
    } = takeover;
    let (primary, id, end) = (replication.node_id().to_string(), id.to_string(), end.to_string());
    let asked = asked.to_string();
    let words: &[&str] = match forget {
        true => &["REPLCONF", "never-mind", &asked, &primary, &id],
        false => &["REPLCONF", "take-over", &asked, &primary, &id, &end],
    };
    let sent = AtomicBool::new(false);
    let dialer = replication.dialer();
    let answer = dialer.ask(&target.host, target.port, words, &sent);
    let reason = match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(Ok(word))) => match Answer::parse(&word) {
            Some(answer) => return Heard::Said(answer),
            None => word,
        },
        Ok(Ok(Err(text))) => {
            tracing::warn!(replica = %target, reason = text, "the replica does not take over");
            return Heard::Refused;
        }
        Ok(Err(failure)) => failure.to_string(),
        Err(_) => "it does not answer".to_owned(),
    };
    tracing::warn!(replica = %target, reason, "the replica that is to take over cannot be asked");
    Heard::Nothing {
        sent: sent.load(Ordering::Acquire),
    }
}
