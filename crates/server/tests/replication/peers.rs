//! Others at the far end: those who speak another version, another protocol, or know another password.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use haypile_sync::message::Refusal;
use haypile_sync::wire::v1::{self, sync_server};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use super::support::{assert_in_sync, await_error, field, fill, follow, primary, primary_at, stranger};
use haypile_testkit::{Net, Redis, SYNC_PORT_ABOVE, Server, wait_until};

#[test]
fn a_redis_server_is_no_primary_for_us() {
    let Some(redis) = Redis::start(&[]) else { return };
    let replica = stranger(&[]);
    follow(&replica, ([127, 0, 0, 1], redis.port()).into());
    await_error(&replica, "it is no Haypile server");
    let mut client = replica.client();
    assert_eq!(client.say("EXISTS other:1"), "1");
    let primary = primary(&[]);
    fill(&primary, "a", 10);
    follow(&replica, primary.address());
    assert_in_sync(&primary, &replica);
}

#[test]
fn a_redis_replica_is_told_that_we_are_no_primary_for_it() {
    let primary = primary(&[]);
    let replicaof = ["--replicaof", "127.0.0.1", &primary.port().to_string()];
    let Some(redis) = Redis::start(&replicaof) else { return };
    wait_until("the reason in its log", || {
        redis.log().contains("this server replicates by Haypile's own protocol")
    });
    assert_eq!(field(&mut primary.client(), "connected_slaves"), "0");
    assert!(
        primary
            .client()
            .say("PSYNC ? -1")
            .starts_with("(error) ERR this server replicates")
    );
}

/// A server of another version: it refuses, or accepts and speaks a version that nobody here knows.
struct Fake {
    reply: fn() -> v1::MetaSyncReply,
}

fn other<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not in this version"))
}

#[tonic::async_trait]
impl sync_server::Sync for Fake {
    async fn meta_sync(&self, _: Request<v1::MetaSyncRequest>) -> Result<Response<v1::MetaSyncReply>, Status> {
        Ok(Response::new((self.reply)()))
    }

    async fn heartbeat(&self, _: Request<v1::HeartbeatRequest>) -> Result<Response<v1::HeartbeatReply>, Status> {
        other()
    }

    async fn try_sync(&self, _: Request<v1::TrySyncRequest>) -> Result<Response<v1::TrySyncReply>, Status> {
        other()
    }

    async fn copy_meta(&self, _: Request<v1::CopyMetaRequest>) -> Result<Response<v1::CopyMetaReply>, Status> {
        other()
    }

    async fn copy_chunk(&self, _: Request<v1::CopyChunkRequest>) -> Result<Response<v1::CopyChunkReply>, Status> {
        other()
    }

    async fn hold_checkpoint(
        &self,
        _: Request<v1::HoldCheckpointRequest>,
    ) -> Result<Response<v1::HoldCheckpointReply>, Status> {
        other()
    }

    type PeerStream = ReceiverStream<Result<v1::PeerFrame, Status>>;

    async fn peer(&self, _: Request<v1::PeerHello>) -> Result<Response<Self::PeerStream>, Status> {
        other()
    }

    type FollowStream = ReceiverStream<Result<v1::SourceFrame, Status>>;

    async fn follow(&self, _: Request<Streaming<v1::FollowerFrame>>) -> Result<Response<Self::FollowStream>, Status> {
        other()
    }
}

/// Serves it at this address; gives the runtime that it lives in.
fn serve(fake: Fake, address: SocketAddr) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let sync_port = address.port() + SYNC_PORT_ABOVE;
    let sync = SocketAddr::new(address.ip(), sync_port);
    let listener = runtime.block_on(tokio::net::TcpListener::bind(sync)).unwrap();
    runtime.spawn(
        tonic::transport::Server::builder()
            .add_service(sync_server::SyncServer::new(fake))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    // The port for clients: each request is two or three lines with a word each, and the last word tells them apart.
    let clients = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for stream in clients.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap())
                .lines()
                .map_while(Result::ok);
            let mut answer = stream;
            for line in lines {
                let reply = match line.as_str() {
                    "PING" => "+PONG\r\n".to_owned(),
                    "sync-port" => format!(":{sync_port}\r\n"),
                    _ => continue,
                };
                if answer.write_all(reply.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    runtime
}

fn refuses() -> v1::MetaSyncReply {
    Err(Refusal::ProtocolVersion { min: 7, max: 9 }).into()
}

fn accepts_with_another() -> v1::MetaSyncReply {
    Ok(haypile_sync::message::Accepted {
        node: haypile_sync::NodeId(1),
        incarnation: haypile_sync::Incarnation(1),
        session: haypile_sync::SessionId(1),
        version: 7,
        partitions: Vec::new(),
        session_timeout: std::time::Duration::from_secs(1),
    })
    .into()
}

#[test]
fn another_version_of_the_protocol_is_told_and_waited_for() {
    let net = Net::claim();
    let mut primary = Server::stopped(&["--enable-debug-command", "yes"]);
    for (host, reply) in [(1, refuses as fn() -> _), (2, accepts_with_another)] {
        let _runtime = serve(Fake { reply }, net.address(host));
        let link = net.link(host + 10, net.address(host));
        let replica = stranger(&[]);
        follow(&replica, link.address());
        await_error(&replica, "no common version of the protocol: the source speaks 7");
        // It is replaced by one of this version.
        primary.set_address(net.address(20 + host));
        primary.start_again();
        fill(&primary, "a", 10);
        link.lead_to(primary.address());
        assert_in_sync(&primary, &replica);
        primary.stop();
    }
}

#[test]
fn a_wrong_password_is_tried_again_until_it_is_right_at_either_side() {
    let net = Net::claim();
    let primary = primary_at(net.address(1), &["--requirepass", "secret"]);
    let mut admin = primary.client();
    assert_eq!(admin.say("AUTH secret"), "OK");
    let replica = stranger(&["--masterauth", "wrong"]);
    let mut client = replica.client();
    follow(&replica, primary.address());
    await_error(&replica, "authentication failed");
    assert_eq!(client.say("CONFIG SET masterauth secret"), "OK");
    wait_until("the link", || field(&mut client, "master_link_status") == "up");
    // Who is connected stays; who connects again needs the new one.
    assert_eq!(admin.say("CONFIG SET requirepass other"), "OK");
    follow(&replica, primary.address());
    await_error(&replica, "authentication failed");
    assert_eq!(admin.say("CONFIG SET requirepass secret"), "OK");
    wait_until("the link", || field(&mut client, "master_link_status") == "up");
}
