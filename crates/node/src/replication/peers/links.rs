//! The streams between members.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use haypile_consensus::{Message, ReplicaNumber};
use haypile_sync::wire::v1;
use haypile_sync::{ErrorKind, Failure, NodeId};
use haypile_types::Random;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::metadata::MetadataValue;
use tonic::{Response, Status};

use super::post::{Opened, bytes_of};
use super::{Event, INBOX_KIB, Peers};
use crate::random::SplitMix64;
use crate::replication::Replication;
use crate::replication::transport::{Activity, failure};
use crate::seldom::Seldom;

/// The pause before a member is asked again, at first and at most; and what is added at random.
const AGAIN_MS: u64 = 20;
const AGAIN_MS_MAX: u64 = 500;

/// Which replica answers, and of which group, with the first bytes of its stream: who asks has to know as well whom it hears.
const SAYS_HEADER: &str = "haypile-member-bin";

/// What goes to a member.
pub(in crate::replication) type PeerStream = Pin<Box<dyn Stream<Item = Result<v1::PeerFrame, Status>> + Send>>;

/// Who has asked, and whom it believes to ask.
pub(in crate::replication) struct Asked {
    pub(super) group: String,
    pub(super) from: ReplicaNumber,
    pub(super) to: ReplicaNumber,
    pub(super) node: NodeId,
    /// Which replica it has; 0 if it does not know yet.
    pub(super) replica: u128,
    /// The group's name; 0 if it does not know it.
    pub(super) group_id: u128,
    /// Where it is reached.
    pub(super) address: String,
}

impl TryFrom<v1::PeerHello> for Asked {
    type Error = Status;

    fn try_from(hello: v1::PeerHello) -> Result<Self, Status> {
        let node = <[u8; 16]>::try_from(&hello.node[..]).map_err(|_| Status::invalid_argument("the node has no id"))?;
        let id = |bytes: &[u8], what: &str| match bytes {
            [] => Ok(0),
            bytes => <[u8; 16]>::try_from(bytes)
                .map(u128::from_be_bytes)
                .map_err(|_| Status::invalid_argument(format!("the {what} has no id"))),
        };
        Ok(Asked {
            replica: id(&hello.replica, "replica")?,
            group_id: id(&hello.group_id, "group")?,
            address: hello.address,
            group: hello.group,
            from: hello.from,
            to: hello.to,
            node: NodeId(u128::from_be_bytes(node)),
        })
    }
}

/// Asks a member for what it has to say, again and again.
pub(super) async fn ask(peers: Arc<Peers>, replication: Weak<Replication>, number: ReplicaNumber, address: String) {
    let mut random = SplitMix64::from_system();
    let complaints = Seldom::default();
    let mut pause = AGAIN_MS;
    loop {
        let outcome = match replication.upgrade() {
            Some(replication) => follow(&peers, &replication, number, &address).await,
            None => return,
        };
        peers.tell(Event::Lost(number));
        match outcome {
            // It has been there.
            Ok(failure) => {
                tracing::info!(member = number, %failure, "the stream from a member of the group has ended");
                pause = AGAIN_MS;
            }
            Err(failure) => {
                if let Some(unsaid) = complaints.tell() {
                    tracing::warn!(member = number, address, %failure, unsaid, "a member of the group cannot be asked");
                }
                pause = (pause * 2).min(AGAIN_MS_MAX);
            }
        }
        tokio::time::sleep(Duration::from_millis(pause + random.below(pause))).await;
    }
}

/// Takes what a member says until that ends; `Ok` with why, `Err` if it has not begun.
async fn follow(
    peers: &Peers,
    replication: &Arc<Replication>,
    number: ReplicaNumber,
    address: &str,
) -> Result<Failure, Failure> {
    let dialer = replication.dialer();
    let patience = Duration::from_secs(1);
    let mut client = match tokio::time::timeout(patience, dialer.dial(address, Activity::default())).await {
        Ok(client) => client?,
        Err(_) => return Err(Failure::new(ErrorKind::Timeout("connection"), "it does not answer")),
    };
    let (replica, group_id) = peers.who.names();
    let id = |id: u128| match id {
        0 => Bytes::new(),
        id => id.to_be_bytes().to_vec().into(),
    };
    let hello = v1::PeerHello {
        group: peers.who.founders_text(),
        from: peers.who.number(),
        to: number,
        node: id(replication.node_id().0),
        replica: id(replica),
        group_id: id(group_id),
        address: peers.who.address_of(peers.who.number()).unwrap_or_default(),
    };
    let asked = tokio::time::timeout(patience, client.peer(hello)).await;
    let asked = asked.map_err(|_| Failure::new(ErrorKind::Timeout("request"), "it does not answer"))?;
    let answered = asked.map_err(|status| failure(&status))?;
    let says = answered
        .metadata()
        .get_bin(SAYS_HEADER)
        .and_then(|says| says.to_bytes().ok());
    if let Some(cause) = peers.who.doubts(number, says.as_deref().unwrap_or_default()) {
        return Err(Failure::new(ErrorKind::Protocol, cause));
    }
    let mut frames = answered.into_inner();
    tracing::info!(member = number, "a member of the group is heard");
    loop {
        let frame = match frames.message().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(Failure::new(ErrorKind::PeerClosed, "it has ended the stream")),
            Err(status) => return Ok(failure(&status)),
        };
        let room = (bytes_of(&frame.messages) / 1024 + 1).min(INBOX_KIB);
        let messages: Result<Vec<Message>, _> = frame.messages.into_iter().map(Message::decode).collect();
        let messages = match messages {
            Ok(messages) => messages,
            Err(error) => return Ok(Failure::new(ErrorKind::Protocol, error.to_string())),
        };
        // What a busy member has not looked at yet bounds what it takes. The thread gives it back.
        if let Ok(taken) = peers.room.acquire_many(room as u32).await {
            taken.forget();
        }
        // A message says whom it is from; this stream knows better.
        let theirs = messages.into_iter().filter(|message| message.from() == number);
        peers.tell(Event::Messages(theirs.collect(), room));
    }
}

impl Replication {
    /// A member of the group asks for what this one has to say.
    pub(in crate::replication) fn peer_asks(
        &self,
        asked: &Asked,
        complaints: &Seldom,
    ) -> Result<Response<PeerStream>, Status> {
        let refused = |cause: String| {
            if let Some(unsaid) = complaints.tell() {
                tracing::warn!(cause, node = %asked.node, unsaid, "a member of a replica group is refused");
            }
            Status::failed_precondition(cause)
        };
        let Some(peers) = self.peers.clone() else {
            return Err(Status::failed_precondition(
                "this server is no member of a replica group: group-members",
            ));
        };
        if let Some(cause) = peers.who.refuses(asked, self.node_id()) {
            return Err(refused(cause));
        }
        let opened = peers.outboxes.open(asked.from, asked.node);
        let opened = opened.map_err(|(number, node)| {
            refused(format!(
                "member {number} is connected as node {node}, and member {} comes as node {}: no two may have one number or the \
                 same node id",
                asked.from, asked.node
            ))
        })?;
        peers.who.met(asked);
        peers.tell(Event::Wake);
        let Opened {
            frames,
            sent,
            queued_bytes,
            replaced,
        } = opened;
        let (from, says) = (asked.from, peers.who.says());
        tokio::spawn(async move {
            tokio::select! {
                () = frames.closed() => {}
                // This end lets go of the stream, which ends with that.
                _ = replaced => {}
            }
            if peers.outboxes.closed(from, &frames) {
                peers.tell(Event::Lost(from));
            }
        });
        let sent = ReceiverStream::new(sent).map(move |frame| {
            if let Ok(frame) = &frame {
                queued_bytes.fetch_sub(bytes_of(&frame.messages), Ordering::Relaxed);
            }
            frame
        });
        let mut answer: Response<PeerStream> = Response::new(Box::pin(sent));
        let says = MetadataValue::from_bytes(&says);
        answer.metadata_mut().insert_bin(SAYS_HEADER, says);
        Ok(answer)
    }
}
