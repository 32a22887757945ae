//! Clients that ask for more than they may, or read less than they should: what they can do to the server is bounded.

use std::time::Duration;

use haypile_testkit::{Client, Server, text, wait_until};

/// Bytes of the value that is asked for again and again.
const VALUE_BYTES: usize = 1 << 20;
/// Times that it is asked for at once.
const REQUESTS: usize = 300;

fn set_big_value(client: &mut Client) {
    let value = vec![b'x'; VALUE_BYTES];
    assert_eq!(text(&client.cmd(&[&b"SET"[..], b"big", &value])), "OK");
}

/// A number in a client's line of CLIENT LIST.
fn number(asker: &mut Client, id: i64, field: &str) -> Option<usize> {
    let list = asker.say(&format!("CLIENT LIST ID {id}"));
    let start = list.find(&format!(" {field}="))? + field.len() + 2;
    let digits: String = list[start..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The server has closed the connection, whatever it has said before.
#[track_caller]
fn assert_closed_in_the_end(client: &mut Client) {
    loop {
        match client.recv_within(Duration::from_secs(20)) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the connection stays open"),
            Err(_) => return,
        }
    }
}

#[test]
fn replies_that_nobody_reads_do_not_pile_up() {
    let server = Server::start(&[]);
    let (mut asker, mut client) = (server.client(), server.client());
    set_big_value(&mut asker);
    let id = client.id();
    // One of them writes, so that the rest is evaluated in a turn of the writer as well.
    for first in ["GET big", "SETRANGE big 0 y"] {
        client.send_lines(&[first]);
        client.send_lines(&vec!["GET big"; REQUESTS]);
        wait_until("the first replies wait to be read", || {
            number(&mut asker, id, "omem").is_some_and(|bytes| bytes > 0)
        });
        for _ in 0..50 {
            let pending = number(&mut asker, id, "omem").unwrap();
            assert!(pending <= 4 * VALUE_BYTES, "{pending} bytes wait");
        }
        client.recv();
        for _ in 0..REQUESTS {
            assert_eq!(client.recv().as_bytes().map(<[u8]>::len), Some(VALUE_BYTES));
        }
    }
}

#[test]
fn a_transaction_that_replies_too_much_is_evaluated_and_its_client_closed() {
    let server = Server::start(&["--client-output-buffer-limit", "normal", "8mb", "0", "0"]);
    let (mut asker, mut client) = (server.client(), server.client());
    set_big_value(&mut asker);
    client.send_lines(&["MULTI", "INCR n"]);
    client.send_lines(&[&["GET big"; 20][..], &["INCR n", "EXEC"]].concat());
    assert_closed_in_the_end(&mut client);
    assert_eq!(asker.say("GET n"), "\"2\"");
    assert!(
        server.log().contains("closing a client whose transaction replies more"),
        "{}",
        server.log()
    );
}

#[test]
fn what_multi_queues_is_bounded() {
    let server = Server::start(&["--client-query-buffer-limit", "1mb"]);
    let mut client = server.client();
    assert_eq!(client.say("MULTI"), "OK");
    let set = format!("SET k {}", "x".repeat(100_000));
    for _ in 0..20 {
        if client.try_send_lines(&[&set]).is_err() {
            break;
        }
    }
    assert_closed_in_the_end(&mut client);
    wait_until("it is logged", || server.log().contains("client-query-buffer-limit"));
    assert_eq!(server.client().say("EXISTS k"), "0");
}

#[test]
fn strangers_may_send_little_ahead() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut stranger = server.client();
    // Nothing is read, so that at some time nothing more is evaluated.
    let pings = vec!["PING"; 10_000];
    for _ in 0..500 {
        if stranger.try_send_lines(&pings).is_err() {
            break;
        }
    }
    assert_closed_in_the_end(&mut stranger);
    let mut client = server.client();
    assert_eq!(client.say("AUTH secret"), "OK");
    assert_eq!(client.say("PING"), "PONG");
}

#[test]
fn a_web_browser_is_turned_away() {
    let server = Server::start(&[]);
    for request in [
        "POST / HTTP/1.1\r\nSET a 1\r\n",
        "GET / HTTP/1.1\r\nhost: here\r\nSET a 1\r\n",
    ] {
        let mut browser = server.client();
        browser.send_raw(request.as_bytes());
        assert_closed_in_the_end(&mut browser);
    }
    assert_eq!(server.client().say("EXISTS a"), "0");
    let warnings = server.log().matches("cross-protocol scripting").count();
    assert_eq!(warnings, 1, "one a minute is enough");
}

/// While a client does not read, nothing is done for it; when it has read, there is nobody but the server to remember what it has
/// sent before.
#[test]
fn who_reads_late_is_served_to_the_end() {
    // With the request for the large reply as many as are taken off the input at once, so that the last one stays there.
    const PINGS: usize = 1023;
    let pipeline = format!("{}GET large\r\nECHO end\r\n", "PING\r\n".repeat(PINGS));
    let server = Server::start(&[]);
    let mut observer = server.client();
    // What is left over when the system has taken as much as it takes is then written at once, or not.
    for large_bytes in (1 << 20..9 << 20).step_by(1 << 18) {
        let mut client = server.client();
        let id = client.id();
        let large = vec![b'x'; large_bytes];
        assert_eq!(text(&client.cmd(&[&b"SET"[..], b"large", &large])), "OK");
        client.send_raw(pipeline.as_bytes());
        wait_until("the large reply", || {
            let list = observer.say(&format!("CLIENT LIST ID {id}"));
            list.contains(" cmd=get ") || list.contains(" cmd=echo ")
        });
        assert!(client.hear_all(PINGS).iter().all(|reply| reply == "PONG"));
        assert_eq!(client.recv().as_bytes().map(<[u8]>::len), Some(large_bytes));
        assert_eq!(client.hear(), "\"end\"", "after {large_bytes} bytes");
    }
}
