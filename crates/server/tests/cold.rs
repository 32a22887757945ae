//! Requests for data that is not in memory: what they need is fetched for a whole pipeline, and nothing of it is seen.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use haypile_testkit::{Client, Server};

/// Requests of a pipeline.
const PIPELINE: usize = 64;

/// Visits to the pool so far.
fn cold_reads(client: &mut Client) -> u64 {
    let info = client.say("INFO stats");
    let (_, rest) = info.split_once("cold_reads:").unwrap();
    rest.chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .unwrap()
}

fn pipeline(client: &mut Client, lines: &[String]) -> Vec<String> {
    client.send_lines(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    client.hear_all(lines.len())
}

fn each(line: impl Fn(usize) -> String) -> Vec<String> {
    (0..PIPELINE).map(line).collect()
}

/// A server with collections of each type and strings that are on disk alone.
fn cold_server(threads: &str) -> Server {
    let mut server = Server::start(&["--io-threads", threads]);
    let mut client = server.client();
    for kind in [
        "HSET h:{} a 1 b 2",
        "SADD s:{} a b",
        "ZADD z:{} 1 a 2 b",
        "RPUSH l:{} a b",
        "SET k:{} 7",
    ] {
        pipeline(&mut client, &each(|n| kind.replace("{}", &n.to_string())));
    }
    let members: Vec<String> = (0..2000).map(|n| format!("member:{n}")).collect();
    client.say(&format!("SADD large {}", members.join(" ")));
    server.restart();
    server
}

#[test]
fn a_pipeline_of_cold_writes_goes_to_the_disk_together() {
    for threads in ["1", "4"] {
        let server = cold_server(threads);
        let mut client = server.client();
        for (line, reply) in [
            ("HSET h:{} c 3", "1"),
            ("SADD s:{} b", "0"),
            ("ZINCRBY z:{} 3 a", "\"4\""),
            ("LPUSH l:{} x", "3"),
            ("INCR k:{}", "8"),
        ] {
            let before = cold_reads(&mut client);
            let replies = pipeline(&mut client, &each(|n| line.replace("{}", &n.to_string())));
            assert_eq!(replies, vec![reply; PIPELINE], "{line}");
            let visits = cold_reads(&mut client) - before;
            assert!(
                visits <= PIPELINE as u64 / 4,
                "{line}: {visits} visits to the disk for {PIPELINE} requests"
            );
        }
    }
}

#[test]
fn cold_requests_of_all_kinds_in_one_pipeline_have_the_replies_that_they_have_one_by_one() {
    for threads in ["1", "4"] {
        let server = cold_server(threads);
        let mut client = server.client();
        let lines = each(|n| match n % 8 {
            0 => format!("GET k:{n}"),
            1 => format!("LINSERT l:{n} BEFORE b x"),
            2 => format!("RENAME s:{n} moved:{n}"),
            3 => format!("SMISMEMBER moved:{} a x", n - 1),
            4 => format!("ZRANGESTORE stored:{n} z:{n} 0 -1"),
            5 => format!("ZCARD stored:{}", n - 1),
            6 => format!("GETDEL k:{n}"),
            _ => format!("GET k:{}", n - 1),
        });
        let expected = each(|n| {
            let reply = match n % 8 {
                0 => "\"7\"",
                1 => "3",
                2 => "OK",
                3 => "[1, 0]",
                4 => "2",
                5 => "2",
                6 => "\"7\"",
                _ => "nil",
            };
            reply.to_owned()
        });
        assert_eq!(pipeline(&mut client, &lines), expected);
    }
}

#[test]
fn members_that_are_popped_from_a_cold_set_are_popped_once() {
    for threads in ["1", "4"] {
        let server = cold_server(threads);
        let mut client = server.client();
        let mut popped = BTreeSet::new();
        for round in 1..=4 {
            let replies = pipeline(&mut client, &each(|_| "SPOP large".to_owned()));
            popped.extend(replies);
            assert_eq!(popped.len(), round * PIPELINE);
            let left = 2000 - popped.len();
            assert_eq!(client.say("SCARD large"), left.to_string());
        }
        let order: Vec<&String> = popped.iter().collect();
        assert!(popped.iter().all(|member| member.starts_with("\"member:")), "{order:?}");
    }
}
