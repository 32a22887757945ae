//! Cables that are cut, slow, or damage what they carry. `netns.rs` has real ones.

use std::time::Duration;

use super::support::{
    PLAIN, QUICK, SLOW_COPY, assert_in_sync, await_copy, await_error, field, fill, fill_chunks, fill_with, follow,
    full_syncs, hurry, primary_at, stranger, wait_for_link,
};
use haypile_testkit::{Link, Net, Server, Way, Weather, wait_until};

const TIMEOUT: [&str; 2] = ["--repl-timeout", "1"];

/// A primary, and a cable to it.
fn primary_behind_a_link(args: &[&str]) -> (Net, Server, Link) {
    let net = Net::claim();
    let all = [&PLAIN[..], &TIMEOUT, args].concat();
    let primary = primary_at(net.address(1), &all);
    let link = net.link(2, net.address(1));
    (net, primary, link)
}

/// An empty replica that follows by that cable.
fn replica_of(link: &Link) -> Server {
    let address = format!("{} {}", link.address().ip(), link.address().port());
    let args = [&QUICK[..], &TIMEOUT, &["--replicaof", &address]].concat();
    let replica = super::support::primary(&args);
    wait_for_link(&replica);
    replica
}

#[test]
fn a_cut_in_any_direction_costs_no_full_sync() {
    let (_net, primary, link) = primary_behind_a_link(&[]);
    let replica = replica_of(&link);
    for (n, way) in [Way::Forth, Way::Back, Way::Both].into_iter().enumerate() {
        fill(&primary, &format!("before{n}"), 500);
        link.set(Weather {
            blackhole: Some(way),
            ..Weather::CLEAR
        });
        fill(&primary, &format!("during{n}"), 500);
        await_error(&replica, "timeout");
        let mut client = primary.client();
        wait_until("the primary gives it up", || {
            field(&mut client, "connected_slaves") == "0" || way == Way::Back
        });
        link.set(Weather::CLEAR);
        fill(&primary, &format!("after{n}"), 500);
        assert_in_sync(&primary, &replica);
    }
    assert_eq!(full_syncs(&replica), 0);
}

#[test]
fn connections_that_are_reset_again_and_again_lose_nothing() {
    let (_net, primary, link) = primary_behind_a_link(&[]);
    let replica = replica_of(&link);
    for n in 0..10 {
        fill(&primary, &format!("k{n}"), 1000);
        link.reset();
        wait_for_link(&replica);
    }
    link.set(Weather {
        refuse: true,
        ..Weather::CLEAR
    });
    link.reset();
    fill(&primary, "refused", 500);
    await_error(&replica, "cannot connect");
    link.set(Weather::CLEAR);
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 0);
}

/// What was copied before the cut is not copied again.
#[test]
fn a_copy_that_is_cut_is_taken_up_again() {
    let (_net, primary, link) = primary_behind_a_link(&[]);
    fill_chunks(&primary);
    for silent in [true, false] {
        let replica = stranger(&[&SLOW_COPY[..], &TIMEOUT].concat());
        follow(&replica, link.address());
        await_copy(&replica);
        match silent {
            true => link.set(Weather {
                blackhole: Some(Way::Both),
                ..Weather::CLEAR
            }),
            false => {
                link.set(Weather {
                    refuse: true,
                    ..Weather::CLEAR
                });
                link.reset();
            }
        }
        await_error(&replica, if silent { "timeout" } else { "connect" });
        fill(&primary, "during", 100);
        link.set(Weather::CLEAR);
        // The first sight of the second copy.
        let mut client = replica.client();
        wait_until("the copy goes on", || {
            let copy = field(&mut client, "sync_partition0_copy");
            full_syncs(&replica) > 1 && copy.contains("stage=fetching")
        });
        let copy = field(&mut client, "sync_partition0_copy");
        assert!(!copy.contains("bytes_done=0,"), "it begins anew: {copy}");
        hurry(&replica);
        assert_in_sync(&primary, &replica);
    }
}

/// A link on which a chunk, or a batch, takes longer than repl-timeout: that bytes come is a sign of life.
#[test]
fn a_slow_link_is_no_dead_one() {
    // Not so short that a busy machine is taken for a dead one: each side must be heard so often.
    const PATIENT: [&str; 2] = ["--repl-timeout", "3"];
    let (_net, primary, link) = primary_behind_a_link(&PATIENT);
    fill_with(&primary, "k", 4500, 1000);
    let replica = stranger(&PATIENT);
    link.set(Weather {
        delay: Duration::from_millis(30),
        bytes_per_second: Some(300_000),
        ..Weather::CLEAR
    });
    follow(&replica, link.address());
    assert_in_sync(&primary, &replica);
    assert_eq!(full_syncs(&replica), 1, "{}", replica.log());
    // The same for the log.
    fill_with(&primary, "more", 1300, 1000);
    assert_in_sync(&primary, &replica);
    assert!(!replica.log().contains("to=Error"), "{}", replica.log());
}

#[test]
fn what_is_damaged_on_the_way_is_noticed_in_a_copy() {
    let (_net, primary, link) = primary_behind_a_link(&[]);
    fill_chunks(&primary);
    let replica = stranger(&TIMEOUT);
    link.set(Weather {
        damage: Some((Way::Back, 4 << 20)),
        ..Weather::CLEAR
    });
    follow(&replica, link.address());
    wait_until("damages", || link.damaged() >= 10);
    link.set(Weather::CLEAR);
    assert_in_sync(&primary, &replica);
}

#[test]
fn what_is_damaged_on_the_way_is_noticed_in_the_log() {
    let (_net, primary, link) = primary_behind_a_link(&[]);
    let replica = replica_of(&link);
    link.set(Weather {
        damage: Some((Way::Back, 200 << 10)),
        ..Weather::CLEAR
    });
    let mut n = 0;
    wait_until("damages", || {
        n += 1;
        fill(&primary, &format!("k{n}"), 2000);
        wait_for_link(&replica);
        link.damaged() >= 20
    });
    link.set(Weather::CLEAR);
    assert_in_sync(&primary, &replica);
}

#[test]
fn two_primaries_that_exchange_their_addresses_do_not_mix_their_data() {
    let net = Net::claim();
    let mut servers: Vec<Server> = [1, 2].into_iter().map(|n| primary_at(net.address(n), &[])).collect();
    fill(&servers[0], "first", 300);
    fill(&servers[1], "second", 200);
    let replica = stranger(&[]);
    follow(&replica, net.address(1));
    assert_in_sync(&servers[0], &replica);
    for round in 0..2 {
        servers.iter_mut().for_each(Server::kill);
        for (n, server) in servers.iter_mut().enumerate() {
            let host = if round == 0 { 2 - n } else { n + 1 };
            server.set_address(net.address(host as u8));
            server.start_again();
        }
        let there = &servers[(round + 1) % 2];
        assert_eq!(there.address(), net.address(1));
        fill(there, &format!("later{round}"), 10);
        assert_in_sync(there, &replica);
        let keys = |prefix: &str| replica.client().say(&format!("EXISTS {prefix}:1"));
        assert_eq!(
            (keys("first"), keys("second")),
            if round == 0 {
                ("0".into(), "1".into())
            } else {
                ("1".into(), "0".into())
            }
        );
    }
}
