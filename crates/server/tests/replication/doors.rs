//! What strangers can do at the sync port.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use haypile_sync::wire::v1::{HeartbeatRequest, sync_client::SyncClient};

use super::support::{assert_in_sync, fill, primary, replica_of, wait_for_link};
use crate::common::{Client, wait_until};

fn sync_port(client: &mut Client) -> u16 {
    let reply = client.cmd(&["REPLCONF", "sync-port"]);
    u16::try_from(reply.as_i64().expect("a port")).expect("a port")
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
fn who_is_refused_does_not_fill_the_log() {
    let primary = primary(&["--requirepass", "secret"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut client = primary.client();
    assert_eq!(client.say("AUTH secret"), "OK");
    let port = sync_port(&mut client);
    let codes = runtime.unwrap().block_on(async {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        let mut stranger = SyncClient::new(endpoint.connect().await.expect("a connection"));
        let mut codes = Vec::new();
        for session in 0..500 {
            let answer = stranger.heartbeat(HeartbeatRequest { session }).await;
            codes.push(answer.expect_err("a refusal").code());
            let answer = stranger
                .meta_sync(haypile_sync::wire::v1::MetaSyncRequest::default())
                .await;
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
