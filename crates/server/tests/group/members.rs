//! Members that are behind the log, that come, that leave and that are replaced.

use std::time::Duration;

use haypile_testkit::{Server, free_port, wait_until};

use super::support::{Finder, Group, Outcome, ask, member};

/// A log that is soon collected.
const SHORT_LOG: [&str; 6] = [
    "--oplog-segment-bytes",
    "1mb",
    "--oplog-retention-bytes",
    "16mb",
    "--oplog-pinned-max-bytes",
    "0",
];

/// Writes more than a short log keeps.
fn fill(server: &Server, name: &str) {
    let mut client = server.client();
    let value = "x".repeat(100_000);
    for number in 0..400 {
        assert_eq!(client.say(&format!("SET {name}{number} {value}")), "OK");
    }
    client.say(&format!("RPUSH list-{name} a b c"));
    wait_until("the collection of the log", || {
        client.say("SAVE");
        let first = ask(server.port(), "repl_backlog_first_byte_offset");
        first.is_some_and(|first| first.parse::<u64>().unwrap() > 100)
    });
}

/// What GROUP MEMBERS says, a line for each.
fn members_of(server: &Server) -> Vec<String> {
    let text = server.client().say("GROUP MEMBERS");
    text.split("\"number\"").skip(1).map(str::to_owned).collect()
}

fn seats(server: &Server) -> (usize, usize) {
    let members = members_of(server);
    let voters = members.iter().filter(|member| member.contains("voter")).count();
    (members.len(), voters)
}

#[test]
fn a_member_that_is_behind_the_log_copies_a_checkpoint() {
    let mut group = Group::start(&SHORT_LOG);
    let away = (group.leader() + 1) % 3;
    let mut client = group.client();
    client.say("SET before 1");
    group.wait_for_all();
    group.servers[away].kill();
    fill(&group.servers[group.leader()], "key");
    group.servers[away].start_again();
    group.wait_for_all();
    assert!(group.servers[away].log().contains("a full sync is installed"));
    // It can lead, and all is there.
    let other = 3 - group.leader() - away;
    group.servers[other].kill();
    let mut finder = Finder::new(&group);
    assert!(matches!(finder.send("SET after 1"), Outcome::Done(_)));
    group.servers[other].start_again();
    group.wait_for_all();
    while group.leader() != away {
        let leader = group.leader();
        group.servers[leader].client().say("GROUP HANDOVER");
        wait_until("another leader", || {
            ask(group.ports[leader], "group_serves").is_some_and(|serves| serves == "0")
        });
    }
    let mut client = group.servers[away].client();
    for (question, answer) in [
        ("DBSIZE", "403"),
        ("GET before", "\"1\""),
        ("GET after", "\"1\""),
        ("LLEN list-key", "3"),
    ] {
        assert_eq!(
            client.say(question).trim_start_matches("(integer) "),
            answer,
            "{question}"
        );
    }
    // Its word is kept over the next restart.
    group.servers[away].kill();
    group.servers[away].start_again();
    group.wait_for_all();
}

#[test]
fn a_member_whose_data_was_taken_away_is_refused_and_replaced() {
    let mut group = Group::start(&SHORT_LOG);
    fill(&group.servers[group.leader()], "key");
    group.wait_for_all();
    wait_until("the group to know its members", || {
        let leader = group.leader();
        members_of(&group.servers[leader])
            .iter()
            .all(|member| !member.contains("\"replica\", \"\""))
    });
    let leader = group.leader();
    let gone = (leader + 1) % 3;
    group.servers[gone].kill();
    // The same number, and nothing behind it.
    let mut empty = member(gone, &group.ports, &SHORT_LOG);
    empty.start_again();
    wait_until("the refusal", || empty.log().contains("comes under its number"));
    assert_eq!(ask(empty.port(), "group_leader").unwrap(), "0");
    empty.kill();

    let mut ports = group.ports.clone();
    ports.push(free_port());
    let mut fourth = member(3, &ports, &SHORT_LOG);
    fourth.start_again();
    wait_until("the refusal", || fourth.log().contains("there is no member 4"));
    let mut client = group.client();
    assert!(client.say("GROUP ADD 3=127.0.0.1:1").contains("the next is 4"));
    assert!(client.say("GROUP ADD nonsense").contains("number=host:port"));
    assert!(
        client
            .say(&format!("GROUP ADD 4=127.0.0.1:{}", ports[3]))
            .contains("started")
    );
    wait_until("four voters", || seats(&group.servers[leader]) == (4, 4));
    assert!(
        fourth.log().contains("a full sync is installed"),
        "the log does not reach back"
    );
    assert!(
        client
            .say(&format!("GROUP REMOVE {}", leader + 1))
            .contains("must hand over")
    );
    assert!(client.say(&format!("GROUP REMOVE {}", gone + 1)).contains("started"));
    wait_until("three voters", || seats(&group.servers[leader]) == (3, 3));
    assert_eq!(client.say("SET after 1"), "OK");

    // The new member counts: with one of the others away it makes the majority.
    let other = 3 - leader - gone;
    group.servers[other].kill();
    assert_eq!(client.say("SET later 1"), "OK");
    wait_until("the new member to have it", || {
        let commit = |port| ask(port, "group_commit");
        commit(ports[3]).is_some() && commit(ports[3]) == commit(ports[leader])
    });
    // And it can lead, when the leader goes and the other one is back.
    group.servers[other].start_again();
    group.servers[leader].kill();
    let mut finder = Finder::of(&ports);
    finder.patience = Duration::from_secs(6);
    assert!(matches!(finder.send("SET latest 1"), Outcome::Done(_)));
    assert_eq!(finder.send("DBSIZE"), Outcome::Done("404".to_owned()));
}

#[test]
fn a_member_that_was_removed_is_told_so() {
    let mut group = Group::start(&[]);
    let leader = group.leader();
    let leaves = (leader + 1) % 3;
    let mut client = group.client();
    client.say("SET k v");
    assert!(client.say(&format!("GROUP REMOVE {}", leaves + 1)).contains("started"));
    wait_until("two voters", || seats(&group.servers[leader]) == (2, 2));
    wait_until("the refusal", || {
        group.servers[leaves].log().contains("there is no member")
    });
    group.servers[leaves].kill();
    assert_eq!(client.say("SET k w"), "OK", "it is not missed");
    group.servers[leaves].start_again();
    wait_until("the refusal", || {
        ask(group.ports[leaves], "group_leader").is_some_and(|leader| leader == "0")
    });
    assert_eq!(client.say("GET k"), "\"w\"");
}

#[test]
fn a_newcomer_hears_a_leader_that_has_come_after_the_founders() {
    let group = Group::start(&[]);
    let mut ports = group.ports.clone();
    ports.extend([free_port(), free_port()]);
    let leader = group.leader();
    for number in 0..200 {
        group.client().say(&format!("SET key{number} {}", "x".repeat(20_000)));
    }
    let mut fourth = member(3, &ports, &[]);
    fourth.start_again();
    let add = |server: &Server, number: usize| {
        let answer = server
            .client()
            .say(&format!("GROUP ADD {number}=127.0.0.1:{}", ports[number - 1]));
        assert!(answer.contains("started"), "{answer}");
        wait_until("one voter more", || seats(server) == (number, number));
    };
    add(&group.servers[leader], 4);
    // Whoever leads hands over until it is the new one.
    wait_until("the new member to lead", || {
        for (at, server) in group.servers.iter().enumerate() {
            if ask(group.ports[at], "group_serves").is_some_and(|serves| serves == "1") {
                server.client().say("GROUP HANDOVER");
            }
        }
        ask(ports[3], "group_serves").is_some_and(|serves| serves == "1")
    });
    let mut fifth = member(4, &ports, &[]);
    fifth.start_again();
    add(&fourth, 5);
}

#[test]
fn a_member_that_nobody_has_met_does_not_vote() {
    let mut group = Group::start(&[]);
    let leader = group.leader();
    let mut client = group.client();
    let nowhere = free_port();
    assert!(
        client
            .say(&format!("GROUP ADD 4=127.0.0.1:{nowhere}"))
            .contains("started")
    );
    wait_until("a learner", || seats(&group.servers[leader]) == (4, 3));
    assert!(
        client
            .say(&format!("GROUP ADD 5=127.0.0.1:{nowhere}"))
            .contains("has this address")
    );
    assert!(
        client
            .say("GROUP ADD 18446744073709551615=127.0.0.1:1")
            .contains("the next is 5")
    );
    // Three still vote, so one of them may be missing.
    group.servers[(leader + 1) % 3].kill();
    for number in 0..20 {
        assert_eq!(client.say(&format!("SET k {number}")), "OK");
        assert_eq!(seats(&group.servers[leader]), (4, 3));
    }
    assert!(client.say("GROUP REMOVE 4").contains("started"));
    wait_until("three members", || seats(&group.servers[leader]) == (3, 3));
}
