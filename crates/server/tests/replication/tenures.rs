//! What happens between the steps: roles that change while something of an earlier role is under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::support::{
    PLAIN, SLOW_COPY, assert_in_sync, await_error, field, fill, fill_chunks, full_syncs, primary, replica_of,
    stop_and_go, wait_for_link, wait_for_streams,
};
use haypile_testkit::{Client, Rng, Server, seed, wait_until};

fn role(server: &Server) -> String {
    field(&mut server.client(), "role")
}

fn follow(replica: &Server, source: &Server) {
    let command = format!("REPLICAOF 127.0.0.1 {}", source.port());
    assert_eq!(replica.client().say(&command), "OK");
}

/// A replica that leaves, writes, and comes back, at any moment after it has connected.
fn turnabouts(args: &[&str], rounds: u64) {
    let seed = seed("HAYPILE_TENURES_SEED");
    println!("HAYPILE_TENURES_SEED={seed}");
    let mut random = Rng::new(seed, 0);
    let source = primary(args);
    let replica = replica_of(source.port(), args);
    fill(&source, "a", 100);
    assert_in_sync(&source, &replica);
    let (mut writer, mut client) = (source.client(), replica.client());
    let back = format!("REPLICAOF 127.0.0.1 {}", source.port());
    // Now and then the data is just being replaced.
    let patiently = |client: &mut Client, line: &str| {
        wait_until("an answer", || client.say(line) == "OK");
    };
    let mut turned = 0;
    for round in 0..rounds {
        // A new stream is about to begin, or has just begun, and has something to bring.
        patiently(&mut client, &back);
        writer.say(&format!("SET round {round}"));
        std::thread::sleep(Duration::from_micros(random.below(15_000)));
        client.send_lines(&["REPLICAOF NO ONE", "SET own 1", "INCR own", &back]);
        let replies = client.hear_all(4);
        turned += usize::from(replies[0] == "OK" && replies[1] == "OK");
        if random.one_in(3) {
            writer.say("INCR more");
        }
    }
    assert!(turned > 0, "it was never a primary");
    patiently(&mut client, &back);
    assert_in_sync(&source, &replica);
    assert_eq!(client.say("GET own"), "nil", "nobody else has it: it had to go");
    writer.say("SET last 1");
    assert_in_sync(&source, &replica);
    assert_eq!(
        field(&mut client, "slave_repl_offset"),
        field(&mut writer, "master_repl_offset")
    );
}

#[test]
fn what_an_earlier_stream_brings_is_not_taken() {
    turnabouts(&[], 60);
}

#[test]
fn what_an_earlier_stream_brings_is_not_taken_with_more_threads_and_every_write_on_disk() {
    turnabouts(&["--io-threads", "4", "--sync", "always"], 40);
}

#[test]
fn a_role_that_was_taken_at_run_time_is_taken_again_after_a_restart() {
    let source = primary(&[]);
    let mut server = primary(&[]);
    follow(&server, &source);
    wait_for_link(&server);
    server.kill_and_restart();
    assert_eq!(role(&server), "slave");
    assert_eq!(
        server.client().say("CONFIG GET replicaof"),
        format!("[\"replicaof\", \"127.0.0.1 {}\"]", source.port())
    );
    wait_for_link(&server);
    server.restart();
    assert_eq!(role(&server), "slave");
    assert_eq!(server.client().say("REPLICAOF NO ONE"), "OK");
    server.kill_and_restart();
    assert_eq!(role(&server), "master");
    // What is said at the start wins.
    let address = format!("127.0.0.1 {}", source.port());
    server.set_args(&["--replicaof", &address]);
    server.restart();
    assert_eq!(role(&server), "slave");
    server.set_args(&["--replicaof", "no", "one"]);
    server.restart();
    assert_eq!(role(&server), "master");
}

#[test]
fn a_role_that_cannot_be_read_stops_the_start_and_says_what_to_do() {
    let mut server = primary(&[]);
    server.stop();
    std::fs::write(server.dir().join("role.toml"), "role = 7\n").unwrap();
    let refusal = server.try_start_again().unwrap_err().errors;
    assert!(refusal.contains("role") && refusal.contains("--replicaof"), "{refusal}");
    // What is said at the start wins, and is what is remembered from then on.
    let source = primary(&[]);
    let address = format!("127.0.0.1 {}", source.port());
    server.set_args(&["--replicaof", &address]);
    server.start_again();
    assert_eq!(role(&server), "slave");
    let log = server.log();
    assert!(log.contains("cannot be read; replicaof says which it is"), "{log}");
    server.set_args(&[]);
    server.restart();
    assert_eq!(role(&server), "slave");
}

#[test]
fn an_old_primary_offers_nothing_to_sentinel_until_its_log_is_known_to_be_a_beginning() {
    let args = [&PLAIN[..], &SLOW_COPY[..]].concat();
    let source = primary(&PLAIN);
    fill_chunks(&source);
    let old = primary(&args);
    fill(&old, "old", 50_000);
    let mut client = old.client();
    follow(&old, &source);
    wait_until("the copy", || field(&mut client, "master_sync_in_progress") == "1");
    assert_eq!(field(&mut client, "slave_repl_offset"), "0");
    assert_ne!(field(&mut client, "master_repl_offset"), "0");
    assert_in_sync(&source, &old);
    let offset = field(&mut source.client(), "master_repl_offset");
    wait_until("its offset", || field(&mut client, "slave_repl_offset") == offset);
    // It stays so while the source is away, and over a restart.
    let (mut source, mut old) = (source, old);
    source.kill();
    wait_until("the loss of the link", || {
        field(&mut client, "master_link_status") == "down"
    });
    assert_eq!(field(&mut client, "slave_repl_offset"), offset);
    old.kill_and_restart();
    assert_eq!(field(&mut old.client(), "slave_repl_offset"), offset);
    // Another source has to find it out anew.
    assert_eq!(old.client().say("REPLICAOF 127.0.0.1 1"), "OK");
    assert_eq!(field(&mut old.client(), "slave_repl_offset"), "0");
}

#[test]
fn roles_do_not_change_while_a_failover_waits() {
    let source = primary(&[]);
    let replica = replica_of(source.port(), &[]);
    assert_in_sync(&source, &replica);
    wait_for_streams(&source, 1);
    let mut client = source.client();
    stop_and_go(&replica, || {
        assert_eq!(client.say("SET a 1"), "OK");
        assert_eq!(client.say("FAILOVER"), "OK");
        assert_eq!(field(&mut client, "master_failover_state"), "waiting-for-sync");
        for command in ["REPLICAOF NO ONE", "REPLICAOF 127.0.0.1 1"] {
            let text = "(error) ERR REPLICAOF not allowed while failing over.";
            assert_eq!(client.say(command), text);
        }
        assert_eq!(client.say("FAILOVER"), "(error) ERR FAILOVER already in progress.");
        assert_eq!(client.say("FAILOVER ABORT"), "OK");
        wait_until("the end of the failover", || {
            field(&mut client, "master_failover_state") == "no-failover"
        });
        assert_eq!(client.say("SET a 2"), "OK");
    });
    assert_eq!(role(&source), "master");
    assert_in_sync(&source, &replica);
}

/// Writes a counter until it is told to stop; gives the last one that was confirmed.
fn count(server: &Server, key: &str, stop: &AtomicBool) -> i64 {
    let mut confirmed = 0;
    let mut client = server.client();
    while !stop.load(Ordering::Relaxed) {
        client.send(&["SET", key, &(confirmed + 1).to_string()]);
        let reply = loop {
            // It may be held up for longer than the test lasts.
            match client.recv_within(Duration::from_millis(50)) {
                Ok(None) if !stop.load(Ordering::Relaxed) => {}
                Ok(reply) => break reply,
                Err(_) => return confirmed,
            }
        };
        match reply {
            Some(reply) if reply == haypile_testkit::ok() => confirmed += 1,
            Some(_) => std::thread::yield_now(),
            None => return confirmed,
        }
    }
    confirmed
}

#[test]
fn a_replica_that_takes_over_late_leaves_one_primary_and_no_confirmed_write_is_lost() {
    let args = ["--io-threads", "4"];
    let servers = [primary(&args), primary(&args)];
    follow(&servers[1], &servers[0]);
    fill(&servers[0], "a", 100);
    assert_in_sync(&servers[0], &servers[1]);
    wait_for_streams(&servers[0], 1);
    let stop = AtomicBool::new(false);
    let confirmed = std::thread::scope(|scope| {
        let writers = ["left", "right"].into_iter().zip(&servers);
        let writers: Vec<_> = writers
            .map(|(key, server)| scope.spawn(|| count(server, key, &stop)))
            .collect();
        // Longer than the primary waits for the answer.
        let mut sleeper = servers[1].client();
        sleeper.send(&["DEBUG", "SLEEP", "12"]);
        let to = format!("FAILOVER TO 127.0.0.1 {} FORCE TIMEOUT 1", servers[1].port());
        let mut client = servers[0].client();
        assert_eq!(client.say(&to), "OK");
        wait_until("the end of the sleep", || {
            matches!(sleeper.recv_within(Duration::from_millis(100)), Ok(Some(_)))
        });
        wait_until("an outcome", || {
            field(&mut client, "master_failover_state") == "no-failover"
        });
        let roles = [role(&servers[0]), role(&servers[1])];
        assert!(
            roles == ["slave", "master"] || roles == ["master", "slave"],
            "one writes, and one follows: {roles:?}"
        );
        stop.store(true, Ordering::Relaxed);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect::<Vec<_>>()
    });
    let (leader, follower) = match role(&servers[1]) == "master" {
        true => (&servers[1], &servers[0]),
        false => (&servers[0], &servers[1]),
    };
    // FORCE may lose what the replica had not got; nothing that was confirmed after it took over, and by one server at a time.
    assert_in_sync(leader, follower);
    let kept = |key: &str| {
        leader
            .client()
            .say(&format!("GET {key}"))
            .trim_matches('"')
            .parse()
            .unwrap_or(0i64)
    };
    let key = if role(&servers[1]) == "master" {
        ("right", 1)
    } else {
        ("left", 0)
    };
    assert!(kept(key.0) >= confirmed[key.1], "{confirmed:?}");
    let mut last: Client = leader.client();
    assert_eq!(last.say("SET end 1"), "OK");
    assert_in_sync(leader, follower);
}

#[test]
fn a_stranger_at_the_replicas_address_does_not_get_the_data_of_a_primary_that_hands_over() {
    let (mut source, stranger) = (primary(&[]), primary(&[]));
    fill(&source, "a", 100);
    let port = stranger.port();
    // As after a failover whose answer was lost: the replica has gone, and another server has its address.
    source.stop();
    let role = format!(
        "format = 1\nrole = \"handed-over\"\nsource = \"127.0.0.1 {port}\"\nfailover = 7\nend = 1\nnode = \"{:032x}\"\n",
        7
    );
    std::fs::write(source.dir().join("role.toml"), role).unwrap();
    source.start_again();
    wait_until("a question", || source.log().contains("this is another server"));
    wait_until("the question whether it may be forgotten", || {
        source.log().matches("this is another server").count() >= 3
    });
    let mut client = source.client();
    assert_eq!(client.say("DBSIZE"), "100");
    assert_eq!(field(&mut client, "master_failover_state"), "failover-in-progress");
    assert!(client.say("SET b 1").starts_with("(error) READONLY"));
    // A person knows better.
    assert_eq!(client.say("REPLICAOF NO ONE"), "OK");
    assert_eq!(client.say("SET b 1"), "OK");
    assert_eq!(full_syncs(&source), 0);
}

#[test]
fn two_servers_with_one_id_do_not_take_each_others_place() {
    let source = primary(&[]);
    let mut first = replica_of(source.port(), &[]);
    fill(&source, "a", 100);
    assert_in_sync(&source, &first);
    first.stop();
    let mut second = Server::stopped(&["--enable-debug-command", "yes", "--repl-retry-max-ms", "200"]);
    copy_dir(&first.dir(), &second.dir());
    first.start_again();
    wait_for_link(&first);
    second.start_again();
    await_error(&second, "another server with the same id");
    // It says what to do.
    await_error(&second, "remove the file node-id");
    let mut client = source.client();
    assert_eq!(client.say("SET b 1"), "OK");
    assert_eq!(client.say("WAIT 2 10"), "1");
    assert_in_sync(&source, &first);
    assert_eq!(field(&mut client, "connected_slaves"), "1");
    assert_eq!(
        first.log().matches("from=Connected").count(),
        0,
        "the first was left alone"
    );
    second.stop();
    std::fs::remove_file(second.dir().join("node-id")).unwrap();
    second.start_again();
    assert_in_sync(&source, &second);
    wait_for_streams(&source, 2);
    assert_eq!(full_syncs(&second), 0);
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn who_follows_no_more_is_not_counted_any_more() {
    // Nobody is missed by silence here.
    let args = ["--repl-timeout", "3600"];
    let source = primary(&args);
    let mut replica = replica_of(source.port(), &args);
    let mut client = source.client();
    let connected = |client: &mut Client, wanted: &str| {
        wait_until("the number of replicas", || field(client, "connected_slaves") == wanted);
    };
    wait_for_link(&replica);
    connected(&mut client, "1");
    assert_eq!(replica.client().say("REPLICAOF NO ONE"), "OK");
    connected(&mut client, "0");
    follow(&replica, &source);
    connected(&mut client, "1");
    replica.stop();
    connected(&mut client, "0");
}
