//! What strangers can do at the sync port.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use haypile_sync::wire::v1::sync_client::SyncClient;
use haypile_sync::wire::v1::{HeartbeatRequest, MetaSyncRequest, Purpose};
use tonic::transport::{Channel, Endpoint};

use super::support::{assert_in_sync, field, fill, primary, replica_of, wait_for_link};
use haypile_testkit::{Client, text, wait_until};

fn sync_port(client: &mut Client) -> u16 {
    let reply = client.cmd(&["REPLCONF", "sync-port"]);
    u16::try_from(reply.as_i64().expect("a port")).expect("a port")
}

/// Has `talk` speak to a sync port.
fn talk<R>(port: u16, talk: impl AsyncFnOnce(SyncClient<Channel>) -> R) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    runtime.block_on(async { talk(SyncClient::new(endpoint.connect().await.expect("a connection"))).await })
}

/// True once the other side has closed the connection.
fn is_closed(connection: &mut TcpStream) -> bool {
    connection.set_nonblocking(true).unwrap();
    match connection.read(&mut [0; 64]) {
        Ok(0) => true,
        // HTTP/2's greeting.
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn connections_that_do_not_say_who_they_are_keep_no_replica_out() {
    let primary = primary(&["--sync-connections-max", "8"]);
    fill(&primary, "key", 100);
    let port = sync_port(&mut primary.client());
    let connect = |speaks: bool| {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        if speaks {
            connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        }
        connection
    };
    let mut strangers: Vec<_> = (0..100).map(|number| connect(number % 2 == 0)).collect();
    wait_until("all but a few to be closed", || {
        strangers.retain_mut(|stranger| !is_closed(stranger));
        strangers.len() <= 8
    });
    let replica = replica_of(primary.port(), &[]);
    wait_for_link(&replica);
    strangers.extend((0..100).map(|number| connect(number % 2 == 0)));
    fill(&primary, "more", 100);
    assert_in_sync(&primary, &replica);
    wait_until("all to be closed but as many as have a place", || {
        strangers.retain_mut(|stranger| !is_closed(stranger));
        strangers.len() <= 7
    });
}

#[test]
fn a_host_with_a_line_break_in_it_is_none() {
    let server = primary(&[]);
    let mut client = server.client();
    for name in ["replica-announce-ip", "slave-announce-ip"] {
        let reply = text(&client.cmd(&["CONFIG", "SET", name, "1.1.1.1\r\nrole:slave"]));
        assert!(reply.contains("argument must be a host"), "{reply}");
    }
    let reply = text(&client.cmd(&["REPLICAOF", "a\r\nb", "1"]));
    assert!(reply.contains("ERR Invalid master host"), "{reply}");
    let port = sync_port(&mut client);
    let request = MetaSyncRequest {
        version_min: 1,
        version_max: 1,
        node: vec![1; 16].into(),
        purpose: Purpose::Replica.into(),
        announce_host: Some("1.1.1.1,port=1\r\nslave9:ip=2".into()),
        announce_port: 1,
        ..MetaSyncRequest::default()
    };
    let answer = talk(port, async |mut stranger| stranger.meta_sync(request).await);
    let answer = format!("{answer:?}");
    assert!(
        answer.contains("announce_host is no name and no address of a host"),
        "{answer}"
    );
    assert_eq!(field(&mut client, "connected_slaves"), "0");
}

#[test]
fn who_is_refused_does_not_fill_the_log() {
    let primary = primary(&["--requirepass", "secret"]);
    let mut client = primary.client();
    assert_eq!(client.say("AUTH secret"), "OK");
    let port = sync_port(&mut client);
    let codes = talk(port, async |mut stranger| {
        let mut codes = Vec::new();
        for session in 0..500 {
            let answer = stranger
                .heartbeat(HeartbeatRequest {
                    session,
                    leaving: false,
                })
                .await;
            codes.push(answer.expect_err("a refusal").code());
            let answer = stranger.meta_sync(MetaSyncRequest::default()).await;
            assert!(answer.is_ok(), "it says why");
        }
        codes
    });
    assert!(
        codes.iter().all(|code| *code == tonic::Code::Unauthenticated),
        "{codes:?}"
    );
    assert_eq!(primary.log().matches("a replica is refused").count(), 1);
}
