//! What clients see of a group: it is one server, wherever its leader is.

use haypile_testkit::wait_until;

use super::support::Group;

#[test]
fn clients_are_sent_to_the_leader() {
    let group = Group::start(&[]);
    let leader = group.leader();
    let mut client = group.client();
    assert_eq!(client.say("SET foo bar"), "OK");
    let follower = (leader + 1) % 3;
    let mut other = group.servers[follower].client();
    let moved = format!("(error) MOVED 12182 127.0.0.1:{}", group.ports[leader]);
    assert_eq!(other.say("GET foo"), moved);
    assert_eq!(other.say("SET foo x"), moved);
    let refused = other.say("DBSIZE");
    assert!(refused.starts_with("(error) CLUSTERDOWN"), "{refused}");
    // What is not about data is answered by whoever is asked.
    assert_eq!(other.say("PING"), "PONG");
    assert_eq!(other.say("CONFIG GET sync"), r#"["sync", "everysec"]"#);
    other.say("MULTI");
    assert_eq!(other.say("INCR foo"), moved);
    let aborted = other.say("EXEC");
    assert!(aborted.starts_with("(error) EXECABORT"), "{aborted}");
    let refused = other.say("REPLICAOF NO ONE");
    assert!(refused.contains("decides by itself"), "{refused}");
}

#[test]
fn all_kinds_of_commands_work_through_a_quorum() {
    let group = Group::start(&[]);
    let mut client = group.client();
    let mut other = group.client();
    for (line, reply) in [
        ("MSET a 1 b 2", "OK"),
        ("MGET a b c", r#"["1", "2", nil]"#),
        ("HSET h f v g w", "2"),
        ("ZADD z 1 one 2 two", "2"),
        ("ZRANGE z 0 -1", r#"["one", "two"]"#),
        ("SADD s x", "1"),
        ("SMEMBERS s", r#"["x"]"#),
        ("EXPIRE a 100", "1"),
        ("RENAME b c", "OK"),
        ("SELECT 1", "OK"),
        ("SET there 1", "OK"),
        ("SELECT 0", "OK"),
        ("SWAPDB 0 1", "OK"),
        ("GET there", r#""1""#),
        ("SWAPDB 0 1", "OK"),
        ("WATCH a", "OK"),
        ("MULTI", "OK"),
        ("INCR a", "QUEUED"),
        ("EXEC", "[2]"),
        ("GET a", r#""2""#),
    ] {
        assert_eq!(client.say(line), reply, "{line}");
    }
    // A client that waits is served by another's write.
    client.send_lines(&["BLPOP queue 0"]);
    wait_until("the wait", || other.say("INFO clients").contains("blocked_clients:1"));
    assert_eq!(other.say("RPUSH queue job"), "1");
    assert_eq!(client.hear(), r#"["queue", "job"]"#);
    client.say("SET short 1 PX 20");
    wait_until("its end", || client.say("GET short") == "nil");
    group.wait_for_all();
}

/// A client that waits for a key is told when its leader is none any more: nothing has happened.
#[test]
fn who_waits_is_told_when_the_leader_changes() {
    let group = Group::start(&[]);
    loop {
        let leader = group.leader();
        let mut waiting = group.servers[leader].client();
        waiting.send_lines(&["BLPOP queue 0"]);
        group.while_stopped(leader, || {
            wait_until("another leader", || group.leader() != leader);
        });
        let told = waiting.hear();
        // On a busy machine it may have been stopped before it has begun to wait.
        if told.starts_with("(error) TRYAGAIN") {
            break;
        }
        assert!(
            told.starts_with("(error) MOVED") || told.starts_with("(error) CLUSTERDOWN"),
            "{told}"
        );
    }
}
