//! The sessions of a source's followers.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use haypile_types::Random;

use super::Holder;
use crate::message::{Accepted, Layout, MetaSync, PROTOCOL_MAX, PROTOCOL_MIN, Refusal};
use crate::{AttemptId, Incarnation, NodeId, SessionId, Time};

/// Earlier runs of a follower's process that are remembered.
const INCARNATIONS_MAX: usize = 8;
/// A follower that was heard within this time is taken for alive: it sends a heartbeat each second at least.
pub const ALIVE_FOR: Duration = Duration::from_secs(3);
/// Followers that are remembered although they have no session.
const FOLLOWERS_MAX: usize = 1000;

/// What the source says of itself in each handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceIdentity {
    /// This server.
    pub node: NodeId,
    /// This run of its process.
    pub incarnation: Incarnation,
    /// Its partitions.
    pub partitions: Vec<Layout>,
    /// A session from which nothing is heard for this long is over.
    pub session_timeout: Duration,
}

/// A follower's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub id: SessionId,
    /// Who follows.
    pub holder: Holder,
    /// The handshake it comes from.
    pub request: MetaSync,
    /// Since when.
    pub since: Time,
    /// When the follower was last heard.
    pub heard: Time,
    /// Its connection has broken since: it may have ended.
    pub broken: bool,
}

impl SessionInfo {
    fn hear(&mut self, now: Time) {
        (self.heard, self.broken) = (now, false);
    }

    fn is_alive(&self, now: Time) -> bool {
        !self.broken && now < self.heard + ALIVE_FOR
    }
}

/// The answer to a handshake, and what became of the follower's earlier session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What to answer.
    pub reply: Result<Accepted, Refusal>,
    /// This session is over: end its streams. A normal thing, to be logged at debug level.
    pub replaced: Option<SessionInfo>,
    /// The request was a repetition of the one that made the present session.
    pub repeated: bool,
}

/// All followers' sessions. A follower (a node and a purpose) has one at most.
///
/// # Handshakes again
/// A handshake of a follower that is known already replaces its session. That is the normal case after a crash, a cut
/// or a lost answer, and is never refused. Only what is certainly late is: a handshake with an attempt that is not above the
/// highest seen *of the same incarnation*. Incarnations have no order, so the highest attempt of several earlier ones
/// is remembered. A late handshake of one that was never seen replaces the session wrongly; then the follower finds its
/// session unknown and does the handshake again, with a higher attempt.
///
/// # Copied directories
/// Two servers with the same id would take the session away from each other for ever. So another incarnation is refused as long as
/// the present one is certainly alive: it was heard within [`ALIVE_FOR`], which is several of its heartbeats, and its
/// connection has not broken since.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    followers: BTreeMap<Holder, Known>,
    holders: BTreeMap<SessionId, Holder>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    session: Option<SessionInfo>,
    /// The highest attempt of each incarnation, the newest last.
    highest: VecDeque<(Incarnation, AttemptId)>,
}

impl Known {
    fn highest_of(&self, incarnation: Incarnation) -> Option<AttemptId> {
        let mut all = self.highest.iter();
        all.find(|(known, _)| *known == incarnation)
            .map(|(_, attempt)| *attempt)
    }

    fn remember(&mut self, incarnation: Incarnation, attempt: AttemptId) {
        self.highest.retain(|(known, _)| *known != incarnation);
        if self.highest.len() == INCARNATIONS_MAX {
            self.highest.pop_front();
        }
        self.highest.push_back((incarnation, attempt));
    }
}

impl Sessions {
    /// No sessions.
    pub fn new() -> Self {
        Sessions::default()
    }

    /// Answers a handshake.
    pub fn meta_sync(
        &mut self,
        now: Time,
        request: &MetaSync,
        source: &SourceIdentity,
        rng: &mut dyn Random,
    ) -> Handshake {
        let version = match check(request, source) {
            Ok(version) => version,
            Err(refusal) => {
                return Handshake {
                    reply: Err(refusal),
                    replaced: None,
                    repeated: false,
                };
            }
        };
        let accepted = |session| Accepted {
            node: source.node,
            incarnation: source.incarnation,
            session,
            version,
            partitions: source.partitions.clone(),
            session_timeout: source.session_timeout,
        };
        let holder = Holder {
            node: request.node,
            purpose: request.purpose,
        };
        let known = self.followers.entry(holder).or_default();
        if let Some(session) = &mut known.session
            && session.request == *request
        {
            session.hear(now);
            return Handshake {
                reply: Ok(accepted(session.id)),
                replaced: None,
                repeated: true,
            };
        }
        if let Some(session) = &known.session
            && session.request.incarnation != request.incarnation
            && session.is_alive(now)
        {
            return Handshake {
                reply: Err(Refusal::IdInUse(announced(&session.request))),
                replaced: None,
                repeated: false,
            };
        }
        if known
            .highest_of(request.incarnation)
            .is_some_and(|highest| request.attempt <= highest)
        {
            return Handshake {
                reply: Err(Refusal::Stale),
                replaced: None,
                repeated: false,
            };
        }
        known.remember(request.incarnation, request.attempt);
        let id = SessionId(rng.next_u64());
        let session = SessionInfo {
            id,
            holder,
            request: request.clone(),
            since: now,
            heard: now,
            broken: false,
        };
        let replaced = known.session.replace(session);
        if let Some(replaced) = &replaced {
            self.holders.remove(&replaced.id);
        }
        self.holders.insert(id, holder);
        self.forget_some();
        Handshake {
            reply: Ok(accepted(id)),
            replaced,
            repeated: false,
        }
    }

    /// A request or another sign of life within a session. Each request has to pass here.
    pub fn heard(&mut self, now: Time, id: SessionId) -> Result<&SessionInfo, Refusal> {
        let known = self.holders.get(&id).and_then(|holder| self.followers.get_mut(holder));
        let session = known
            .and_then(|known| known.session.as_mut())
            .ok_or(Refusal::UnknownSession)?;
        session.hear(now);
        Ok(session)
    }

    /// The connection of a session has broken. The follower may come back to it, or have ended.
    pub fn broken(&mut self, id: SessionId) {
        let known = self.holders.get(&id).and_then(|holder| self.followers.get_mut(holder));
        if let Some(session) = known.and_then(|known| known.session.as_mut()) {
            session.broken = true;
        }
    }

    /// Ends a session.
    pub fn close(&mut self, id: SessionId) -> Option<SessionInfo> {
        let holder = self.holders.remove(&id)?;
        self.followers.get_mut(&holder)?.session.take()
    }

    /// Ends all sessions of which nothing has been heard for the session timeout.
    pub fn expire(&mut self, now: Time, timeout: Duration) -> Vec<SessionInfo> {
        let silent = self.iter().filter(|session| session.heard + timeout <= now);
        let silent: Vec<_> = silent.map(|session| session.id).collect();
        silent.into_iter().filter_map(|id| self.close(id)).collect()
    }

    /// When the next session can run out.
    pub fn deadline(&self, timeout: Duration) -> Option<Time> {
        self.iter().map(|session| session.heard + timeout).min()
    }

    /// The sessions there are.
    pub fn iter(&self) -> impl Iterator<Item = &SessionInfo> {
        self.followers.values().filter_map(|known| known.session.as_ref())
    }

    /// Followers come and go, under new ids when their directories are new: those without a session are kept up to a
    /// limit only.
    fn forget_some(&mut self) {
        if self.followers.len() > FOLLOWERS_MAX + self.holders.len() {
            self.followers.retain(|_, known| known.session.is_some());
        }
    }
}

/// Where a follower says it is.
fn announced(request: &MetaSync) -> String {
    let host = request.announce_host.as_deref().unwrap_or("its address");
    format!("{host}, port {}", request.announce_port)
}

fn check(request: &MetaSync, source: &SourceIdentity) -> Result<u32, Refusal> {
    let version = request.version_max.min(PROTOCOL_MAX);
    if version < request.version_min.max(PROTOCOL_MIN) {
        return Err(Refusal::ProtocolVersion {
            min: PROTOCOL_MIN,
            max: PROTOCOL_MAX,
        });
    }
    if request.node == source.node {
        return Err(Refusal::FollowsItself);
    }
    for wanted in &request.wanted {
        let ours = source.partitions.iter().find(|ours| ours.partition == wanted.partition);
        match ours {
            Some(ours) if ours == wanted => {}
            Some(ours) => {
                let Layout {
                    slot_first,
                    slot_last,
                    format,
                    ..
                } = ours;
                return Err(Refusal::LayoutMismatch(format!(
                    "{} has the slots {slot_first} to {slot_last} and format {format} here, {} to {} and {} there",
                    ours.partition, wanted.slot_first, wanted.slot_last, wanted.format
                )));
            }
            None => {
                return Err(Refusal::LayoutMismatch(format!(
                    "there is no partition {} here",
                    wanted.partition
                )));
            }
        }
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;
    use crate::{PartitionId, Purpose};

    fn layout(number: u32) -> Layout {
        let partition = PartitionId {
            table: "0".into(),
            number,
        };
        Layout {
            partition,
            slot_first: 0,
            slot_last: 16383,
            format: 1,
        }
    }

    fn source() -> SourceIdentity {
        SourceIdentity {
            node: NodeId(100),
            incarnation: Incarnation(1),
            partitions: vec![layout(0)],
            session_timeout: Duration::from_secs(10),
        }
    }

    fn request(incarnation: u64, attempt: u64) -> MetaSync {
        MetaSync {
            version_min: 1,
            version_max: 1,
            node: NodeId(1),
            incarnation: Incarnation(incarnation),
            attempt: AttemptId(attempt),
            purpose: Purpose::Replica,
            announce_host: None,
            announce_port: 6379,
            wanted: vec![layout(0)],
            silence_timeout: Duration::from_secs(10),
        }
    }

    struct Side(Sessions, Rng);

    impl Side {
        fn new() -> Self {
            Side(Sessions::new(), Rng(1))
        }

        fn ask(&mut self, request: &MetaSync) -> Handshake {
            self.0.meta_sync(Time::default(), request, &source(), &mut self.1)
        }
    }

    #[test]
    fn the_same_request_again_gets_the_same_session() {
        let mut side = Side::new();
        let first = side.ask(&request(7, 1));
        let again = side.ask(&request(7, 1));
        assert_eq!(first.reply, again.reply);
        assert!(again.repeated && again.replaced.is_none());
    }

    #[test]
    fn a_known_replica_replaces_its_session_and_is_never_refused() {
        let mut side = Side::new();
        let first = side.ask(&request(7, 1)).reply.unwrap();
        let reconnected = side.ask(&request(7, 2));
        assert_eq!(reconnected.replaced.unwrap().id, first.session);
        assert_eq!(
            side.0.heard(Time::default(), first.session),
            Err(Refusal::UnknownSession)
        );
        side.0.broken(reconnected.reply.as_ref().unwrap().session);
        let restarted = side.ask(&request(8, 1));
        assert_eq!(restarted.replaced.unwrap().id, reconnected.reply.unwrap().session);
        side.0.heard(Time::default(), restarted.reply.unwrap().session).unwrap();
    }

    #[test]
    fn a_second_server_with_the_same_id_is_refused_while_the_first_is_alive() {
        let mut side = Side::new();
        let at = Time::from_millis;
        let ask = |side: &mut Side, ms, incarnation, attempt| {
            let request = request(incarnation, attempt);
            side.0.meta_sync(at(ms), &request, &source(), &mut side.1).reply
        };
        let first = ask(&mut side, 0, 7, 1).unwrap().session;
        for second in 1..100 {
            side.0.heard(at(second * 1000), first).unwrap();
            let refused = ask(&mut side, second * 1000 + 900, 8, second);
            assert!(matches!(refused, Err(Refusal::IdInUse(_))), "{refused:?}");
        }
        assert!(ask(&mut side, 99_900, 7, 2).is_ok(), "the first may connect anew");
        // It is not heard any more: then the other has its place, and keeps it.
        assert!(ask(&mut side, 102_899, 8, 100).is_err());
        assert!(ask(&mut side, 102_900, 8, 101).is_ok());
        assert!(matches!(ask(&mut side, 103_000, 7, 3), Err(Refusal::IdInUse(_))));
        assert_eq!(side.0.iter().count(), 1);
    }

    #[test]
    fn late_duplicates_change_nothing() {
        let mut side = Side::new();
        side.ask(&request(7, 1));
        side.ask(&request(7, 3));
        let gone: Vec<_> = side.0.iter().map(|session| session.id).collect();
        gone.into_iter().for_each(|id| side.0.broken(id));
        let current = side.ask(&request(8, 1)).reply.unwrap().session;
        side.0.broken(current);
        for (incarnation, attempt) in [(7, 1), (7, 2), (7, 3)] {
            assert_eq!(side.ask(&request(incarnation, attempt)).reply, Err(Refusal::Stale));
        }
        side.0.heard(Time::default(), current).unwrap();
        side.0.broken(current);
        assert!(side.ask(&request(7, 4)).reply.is_ok(), "that run is alive after all");
    }

    #[test]
    fn purposes_have_sessions_of_their_own() {
        let mut side = Side::new();
        side.ask(&request(7, 1));
        let other = MetaSync {
            purpose: Purpose::Duplication,
            ..request(7, 1)
        };
        assert!(side.ask(&other).replaced.is_none());
        assert_eq!(side.0.iter().count(), 2);
    }

    #[test]
    fn silent_sessions_end() {
        let mut side = Side::new();
        let session = side.ask(&request(7, 1)).reply.unwrap().session;
        let timeout = Duration::from_secs(10);
        side.0.heard(Time::from_millis(5_000), session).unwrap();
        assert_eq!(side.0.deadline(timeout), Some(Time::from_millis(15_000)));
        assert!(side.0.expire(Time::from_millis(14_999), timeout).is_empty());
        assert_eq!(side.0.expire(Time::from_millis(15_000), timeout)[0].id, session);
        assert!(side.0.heard(Time::from_millis(15_000), session).is_err());
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_reason() {
        let mut side = Side::new();
        let refused = |side: &mut Side, request: MetaSync| side.ask(&request).reply.unwrap_err();
        let newer = MetaSync {
            version_min: 2,
            version_max: 3,
            ..request(7, 1)
        };
        assert_eq!(refused(&mut side, newer), Refusal::ProtocolVersion { min: 1, max: 1 });
        let own = MetaSync {
            node: NodeId(100),
            ..request(7, 1)
        };
        assert_eq!(refused(&mut side, own), Refusal::FollowsItself);
        let missing = MetaSync {
            wanted: vec![layout(1)],
            ..request(7, 1)
        };
        assert!(matches!(refused(&mut side, missing), Refusal::LayoutMismatch(_)));
        let cut = MetaSync {
            wanted: vec![Layout {
                slot_last: 99,
                ..layout(0)
            }],
            ..request(7, 1)
        };
        assert!(matches!(refused(&mut side, cut), Refusal::LayoutMismatch(_)));
    }
}
