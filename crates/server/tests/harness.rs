//! The test harness itself, and the life of the process: start, stop, kill -9, restart.

use std::time::{Duration, Instant};

use haypile_testkit::{Client, Net, Server, Way, Weather, array, bulk, error, int, ok, text, wait_until, words};

#[test]
fn a_server_starts_serves_and_stops() {
    let mut server = Server::start(&[]);
    assert!(
        server.banner().contains("listening on 127.0.0.1:"),
        "{}",
        server.banner()
    );
    let mut client = server.client();
    assert_eq!(client.cmd(&["PING"]), haypile_testkit::Value::Simple("PONG".into()));
    client.send_lines(&["SET a b", "GET a", "GET \"\"", "NO \"such one\""]);
    assert_eq!(client.recv(), ok());
    assert_eq!(client.hear_all(2), ["\"b\"", "nil"]);
    assert!(
        client
            .recv()
            .as_error()
            .is_some_and(|e| e.starts_with("ERR unknown command 'NO'"))
    );
    assert!(server.is_running());
    assert!(server.stop().success());
    client.assert_closed();
    assert!(!server.is_running());
}

#[test]
fn data_survives_a_restart_and_a_kill() {
    let mut server = Server::start(&["--sync", "always"]);
    assert_eq!(server.client().say("SET a 1"), "OK");
    server.restart();
    assert_eq!(server.client().say("GET a"), "\"1\"");
    assert_eq!(server.client().say("SET a 2"), "OK");
    server.kill_and_restart();
    assert_eq!(server.client().say("GET a"), "\"2\"");
    wait_until("the log says that the data is open", || {
        server.log().contains("the data is open")
    });
}

#[test]
fn two_servers_do_not_share_a_directory() {
    let server = Server::start(&[]);
    let dir = server.dir();
    let (code, errors) = Server::start_in_vain(&["--dir", dir.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("is in use by another process"), "{errors}");
}

#[test]
fn replies_as_text() {
    assert_eq!(words("SET  \"a b\" \"\" c"), [&b"SET"[..], b"a b", b"", b"c"]);
    let reply = array([bulk("a\r\n"), int(-1), error("ERR no"), ok()]);
    assert_eq!(text(&reply), "[\"a\\r\\n\", -1, (error) ERR no, OK]");
}

#[test]
fn a_link_forwards_holds_back_slows_damages_and_breaks() {
    let net = Net::claim();
    let mut server = Server::stopped(&[]);
    server.set_address(net.address(1));
    server.start_again();
    let link = net.link(2, net.address(1));
    let connect = || Client::try_connect_to(link.address()).unwrap();
    let mut client = connect();
    assert_eq!(client.say("SET a b"), "OK");
    assert_eq!(
        client.say("REPLCONF sync-port"),
        (i32::from(link.address().port()) + 1000).to_string()
    );

    let with = |change: fn(&mut Weather)| {
        let mut weather = Weather::CLEAR;
        change(&mut weather);
        link.set(weather);
    };
    with(|weather| weather.blackhole = Some(Way::Back));
    client.send(&["SET", "a", "c"]);
    let mut direct = server.client();
    wait_until("the write to get through", || direct.say("GET a") == "\"c\"");
    assert_eq!(client.recv_within(Duration::from_millis(20)).unwrap(), None);
    link.set(Weather::CLEAR);
    assert_eq!(client.recv(), ok());

    with(|weather| weather.delay = Duration::from_millis(30));
    let began = Instant::now();
    client.say("PING");
    assert!(began.elapsed() >= Duration::from_millis(60), "there and back");
    with(|weather| weather.bytes_per_second = Some(10_000));
    client.say("PING");
    client.send(&["SET", "big", &"x".repeat(100_000)]);
    let late = client.recv_within(Duration::from_millis(20)).unwrap();
    assert_eq!(late, None, "it takes ten seconds");

    link.reset();
    client.assert_closed();
    with(|weather| weather.refuse = true);
    // It may be closed before it is noticed that it was open.
    if let Ok(mut client) = Client::try_connect_to(link.address()) {
        client.assert_closed();
    }
    link.set(Weather::CLEAR);
    let mut client = connect();
    with(|weather| weather.damage = Some((Way::Back, 100)));
    direct.cmd(&["SET", "bytes", &"x".repeat(10_000)]);
    client.send(&["GET", "bytes"]);
    wait_until("damages", || link.damaged() > 20);
    link.set(Weather::CLEAR);

    let mut client = connect();
    client.say("PING");
    link.half_close(Way::Forth);
    client.assert_closed();
    assert_eq!(connect().say("GET a"), "\"c\"");
    drop(link);
    wait_until("the end of the link", || {
        Client::try_connect_to(net.address(2)).is_err()
    });
}
