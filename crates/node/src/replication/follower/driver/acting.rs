//! Carries out what the machines want; what comes of it goes back to them as events.

use std::sync::Arc;
use std::time::Duration;

use haypile_sync::follower::{InstanceAction, InstanceEvent, PartitionAction, PartitionEvent};
use haypile_sync::message::{Accepted, Refusal, TrySyncReply};
use haypile_sync::wire::{WireError, v1};
use haypile_sync::{AttemptId, ErrorKind, Failure, SessionId, Time, Transition};

use super::super::streaming::{self, Streaming};
use super::{Driver, Event, Link, Work, say_goodbye};
use crate::replication::Replication;
use crate::replication::transport::{self, Activity};

impl Driver {
    pub(super) fn instance_action(&mut self, replication: &Arc<Replication>, action: InstanceAction) {
        match action {
            InstanceAction::Transition(transition) => self.transition("instance", &transition),
            InstanceAction::GaveUp(error) => {
                tracing::error!(%error, "replication has given up: give REPLICAOF again when the cause is gone");
            }
            InstanceAction::RestartPartitions => self.partition_event(PartitionEvent::Restart),
            InstanceAction::Dial { attempt, address } => {
                let (events, dialer) = (self.events.clone(), replication.dialer());
                let activity = Activity::default();
                let counted = activity.clone();
                let dialing = tokio::spawn(async move {
                    let result = dialer.dial(&address, counted).await;
                    let _ = events.send(Event::Dialed(attempt, result));
                });
                self.link = Some(Link {
                    attempt,
                    client: None,
                    dialing: dialing.abort_handle(),
                    activity,
                    seen: 0,
                });
            }
            InstanceAction::SendMetaSync { attempt, message } => {
                let Some(mut client) = self.client() else { return };
                let events = self.events.clone();
                let request = v1::MetaSyncRequest::from(message);
                tokio::spawn(async move {
                    let event = match client.meta_sync(request).await {
                        Ok(reply) => replied(attempt, reply.into_inner().try_into()),
                        Err(status) => InstanceEvent::Failed {
                            attempt,
                            failure: transport::failure(&status),
                        },
                    };
                    let _ = events.send(Event::Instance(event));
                });
            }
            InstanceAction::SendHeartbeat { attempt, session } => self.send_heartbeat(attempt, session),
            InstanceAction::SendGoodbye { session, .. } => {
                if let Some(client) = self.client() {
                    tokio::spawn(say_goodbye(client, session));
                }
            }
            InstanceAction::SessionUp(session) => self.partition_event(PartitionEvent::SessionUp(session)),
            InstanceAction::SessionDown(id) => self.partition_event(PartitionEvent::SessionDown(id)),
            InstanceAction::Disconnect { attempt } => {
                if let Some(link) = self.link.take_if(|link| link.attempt == attempt) {
                    link.dialing.abort();
                }
            }
        }
    }

    /// Logs and counts a change of state.
    fn transition<S: std::fmt::Display>(&self, machine: &'static str, transition: &Transition<S>) {
        let Transition {
            from,
            to,
            reason,
            error,
            ..
        } = transition;
        let mut counts = self.shared.transitions.lock();
        *counts.states.entry((machine, to.to_string())).or_default() += 1;
        match error {
            Some(error) => {
                let kind = error.kind.name();
                *counts.failures.entry((machine, kind.to_owned())).or_default() += 1;
                tracing::warn!(machine, %from, %to, reason, kind, %error, "replication");
            }
            None => tracing::info!(machine, %from, %to, reason, "replication"),
        }
    }

    fn send_heartbeat(&self, attempt: AttemptId, session: SessionId) {
        let Some(mut client) = self.client() else { return };
        let events = self.events.clone();
        tokio::spawn(async move {
            let request = v1::HeartbeatRequest {
                session: session.0,
                leaving: false,
            };
            let reply: Result<Result<(), Refusal>, Failure> = match client.heartbeat(request).await {
                Ok(reply) => reply.into_inner().try_into().map_err(|error: WireError| error.into()),
                Err(status) => Err(transport::failure(&status)),
            };
            let event = match reply {
                Ok(Ok(())) => InstanceEvent::Heard { attempt },
                Ok(Err(refusal)) => InstanceEvent::Failed {
                    attempt,
                    failure: refusal.into(),
                },
                Err(failure) => InstanceEvent::Failed { attempt, failure },
            };
            let _ = events.send(Event::Instance(event));
        });
    }

    pub(super) fn partition_action(&mut self, replication: &Arc<Replication>, action: PartitionAction) {
        match action {
            PartitionAction::Transition(transition) => self.transition("partition", &transition),
            PartitionAction::GaveUp(error) => {
                tracing::error!(%error, "replication has given up: give REPLICAOF again when the cause is gone");
            }
            PartitionAction::ReadPosition { attempt } => self.read_position(attempt),
            PartitionAction::SendTrySync { attempt, message } => {
                let Some(mut client) = self.client() else {
                    return self.partition_failed(attempt, no_link());
                };
                let events = self.events.clone();
                let request = v1::TrySyncRequest::from(message);
                tokio::spawn(async move {
                    let reply: Result<TrySyncReply, Failure> = match client.try_sync(request).await {
                        Ok(reply) => reply.into_inner().try_into().map_err(|error: WireError| error.into()),
                        Err(status) => Err(transport::failure(&status)),
                    };
                    let event = match reply {
                        Ok(reply) => PartitionEvent::Replied { attempt, reply },
                        Err(failure) => PartitionEvent::Failed { attempt, failure },
                    };
                    let _ = events.send(Event::Partition(event));
                });
            }
            PartitionAction::OpenStream {
                attempt,
                session,
                from,
                history,
            } => {
                let Some(client) = self.client() else {
                    return self.partition_failed(attempt, no_link());
                };
                let open = streaming::Start {
                    attempt,
                    tenure: self.tenure,
                    session,
                    source_timeout: self.source_timeout(),
                    from,
                    history,
                    client,
                };
                self.stream = Some((attempt, Streaming::start(self, open)));
            }
            PartitionAction::StartCopy {
                attempt,
                session,
                reason,
            } => match self.client() {
                Some(client) => self.start_copy(replication, attempt, session, reason, client),
                None => self.partition_failed(attempt, no_link()),
            },
            PartitionAction::Stop { attempt } => {
                if let Some((_, stream)) = self.stream.take_if(|(of, _)| *of == attempt) {
                    stream.stop();
                }
                self.copy.take_if(|copying| copying.attempt == attempt);
                self.beginning.take_if(|beginning| beginning.attempt == attempt);
            }
            PartitionAction::ReportSessionLost(session) => {
                self.queue
                    .push_back(Work::Instance(InstanceEvent::SessionLost { session }));
            }
        }
    }

    /// Not before what earlier attempts had under way has come to rest.
    fn read_position(&self, attempt: AttemptId) {
        let (replication, events, data_lock) = (self.replication.clone(), self.events.clone(), self.data_lock.clone());
        let id = self.id.clone();
        tokio::spawn(async move {
            let rest = data_lock.lock_owned().await;
            let read = tokio::task::spawn_blocking(move || {
                let _rest = rest;
                let replication = replication.upgrade().ok_or_else(no_link)?;
                if replication.parts.partitions.of(&id).is_none() {
                    // An installation has failed at its end: perhaps what was in the way is gone.
                    let opened = replication.open_partition(&id);
                    opened.map_err(|error| Failure::new(ErrorKind::Io, error.to_string()))?;
                }
                let data = replication.parts.partitions.of(&id);
                data.as_ref().map(|data| data.local_position()).ok_or_else(no_link)
            });
            let position = read
                .await
                .unwrap_or_else(|error| Err(Failure::new(ErrorKind::Internal, error.to_string())));
            let _ = events.send(Event::Position(attempt, position));
        });
    }

    fn source_timeout(&self) -> Duration {
        let session = self.instance.status(Time::default()).session;
        session.map_or(Duration::MAX, |session| session.source_timeout)
    }
}

fn no_link() -> Failure {
    Failure::new(ErrorKind::PeerClosed, "there is no connection any more")
}

fn replied(attempt: AttemptId, reply: Result<Result<Accepted, Refusal>, WireError>) -> InstanceEvent {
    match reply {
        Ok(reply) => InstanceEvent::Replied { attempt, reply },
        Err(error) => InstanceEvent::Failed {
            attempt,
            failure: error.into(),
        },
    }
}
