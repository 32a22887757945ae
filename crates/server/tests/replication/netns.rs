//! Real cables: servers in network namespaces of their own, on a switch, whose cables are pulled. Needs root and `ip`;
//! elsewhere these tests say so and do nothing. Where the kernel has `netem`, the cables are also slow and lossy.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::support::{QUICK, assert_in_sync, await_error, field, fill, fill_with, follow, full_syncs, wait_for_link};
use haypile_testkit::{Server, wait_until};

/// Port for clients in each namespace: nobody else is there.
const PORT: u16 = 7000;

/// Runs `ip` or `tc`; what it says if it fails.
fn run(command: &str) -> Result<(), String> {
    let words: Vec<&str> = command.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output();
    let output = output.map_err(|error| format!("{command}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Namespaces on one switch. All is removed in the end, also after a failure.
///
/// Each has two cables: `data` leads to the switch, `test` to this test, which so can talk to a server whose data cable is
/// out.
struct Lab {
    name: String,
    hosts: u8,
    /// Second number of the addresses: labs of several test processes do not meet.
    net: u8,
}

impl Lab {
    /// With so many hosts, numbered from 1. `None` where that is not permitted.
    fn build(hosts: u8) -> Option<Lab> {
        remove_left_over();
        let pid = std::process::id();
        let lab = Lab {
            name: format!("hp{pid}"),
            hosts,
            net: (pid % 250) as u8,
        };
        let built = lab.plug();
        match built {
            Ok(()) => Some(lab),
            Err(reason) => {
                println!("skipped: network namespaces cannot be made: {reason}");
                None
            }
        }
    }

    fn plug(&self) -> Result<(), String> {
        let (name, net) = (&self.name, self.net);
        run(&format!("ip netns add {name}s"))?;
        run(&format!("ip -n {name}s link add switch type bridge"))?;
        run(&format!("ip -n {name}s link set switch up"))?;
        for host in 1..=self.hosts {
            let ns = self.namespace(host);
            run(&format!("ip netns add {ns}"))?;
            run(&format!("ip -n {ns} link set lo up"))?;
            run(&format!(
                "ip -n {ns} link add data type veth peer name port{host} netns {name}s"
            ))?;
            run(&format!("ip -n {name}s link set port{host} master switch"))?;
            run(&format!("ip -n {name}s link set port{host} up"))?;
            run(&format!("ip -n {ns} addr add 10.{net}.0.{host}/24 dev data"))?;
            run(&format!("ip -n {ns} link set data up"))?;
            run(&format!("ip link add {ns} type veth peer name test netns {ns}"))?;
            run(&format!("ip addr add 10.{net}.{}.1/24 dev {ns}", 100 + host))?;
            run(&format!("ip link set {ns} up"))?;
            run(&format!("ip -n {ns} addr add 10.{net}.{}.2/24 dev test", 100 + host))?;
            run(&format!("ip -n {ns} link set test up"))?;
        }
        Ok(())
    }

    fn namespace(&self, host: u8) -> String {
        format!("{}h{host}", self.name)
    }

    /// Where others reach a host, by the switch.
    fn address(&self, host: u8) -> SocketAddr {
        SocketAddr::new([10, self.net, 0, host].into(), PORT)
    }

    /// A server there.
    fn server(&self, host: u8) -> Server {
        let (address, test) = (
            self.address(host).ip().to_string(),
            format!("10.{}.{}.2", self.net, 100 + host),
        );
        // The first one is where this test talks to it.
        let bind = format!("{test} {address}");
        let mut args = vec![
            "--bind",
            &bind,
            "--protected-mode",
            "no",
            "--enable-debug-command",
            "yes",
        ];
        args.extend(["--repl-timeout", "1"]);
        args.extend(QUICK);
        let mut server = Server::stopped(&args);
        server.set_namespace(&self.namespace(host));
        server.set_address(SocketAddr::new(test.parse().unwrap(), PORT));
        server.start_again();
        server
    }

    /// Pulls a host's cable out of the switch.
    fn cut(&self, host: u8) {
        run(&format!("ip -n {}s link set port{host} down", self.name)).unwrap();
    }

    /// Puts it back.
    fn mend(&self, host: u8) {
        run(&format!("ip -n {}s link set port{host} up", self.name)).unwrap();
    }

    /// Makes a host's cable slow and lossy. False if the kernel cannot.
    fn spoil(&self, host: u8) -> bool {
        let spoilt = run(&format!(
            "tc -n {}s qdisc add dev port{host} root netem delay 50ms 20ms loss 2% rate 20mbit",
            self.name
        ));
        if let Err(reason) = &spoilt {
            println!("skipped in part: this kernel has no netem: {reason}");
        }
        spoilt.is_ok()
    }
}

/// A test that was killed could not remove its lab.
fn remove_left_over() {
    let Ok(list) = Command::new("ip").args(["netns", "list"]).output() else {
        return;
    };
    for line in String::from_utf8_lossy(&list.stdout).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let pid = name.strip_prefix("hp").and_then(|rest| rest.split(['h', 's']).next());
        let dead = |pid: &str| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists();
        if pid.is_some_and(dead) {
            let _ = run(&format!("ip netns del {name}"));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Their cables go with them. What was not made cannot be removed.
        for host in 1..=self.hosts {
            let _ = run(&format!("ip link del {}", self.namespace(host)));
            let _ = run(&format!("ip netns del {}", self.namespace(host)));
        }
        let _ = run(&format!("ip netns del {}s", self.name));
    }
}

#[test]
fn cables_that_are_pulled_and_put_back() {
    let Some(lab) = Lab::build(3) else { return };
    let servers: Vec<Server> = (1..=3).map(|host| lab.server(host)).collect();
    let [primary, near, far] = servers.as_slice() else {
        unreachable!()
    };
    follow(near, lab.address(1));
    follow(far, lab.address(2));
    wait_for_link(near);
    wait_for_link(far);
    for (round, host) in [1, 2, 3, 1].into_iter().enumerate() {
        fill(primary, &format!("before{round}"), 500);
        lab.cut(host);
        fill(primary, &format!("during{round}"), 500);
        let alone = if host == 3 { far } else { near };
        await_error(alone, "timeout");
        lab.mend(host);
        fill(primary, &format!("after{round}"), 500);
        assert_in_sync(primary, near);
        assert_in_sync(near, far);
    }
    assert_eq!(full_syncs(near) + full_syncs(far), 0);
    if lab.spoil(1) {
        fill_with(primary, "slow", 1000, 1000);
        assert_in_sync(primary, near);
        assert_in_sync(near, far);
    }
}

/// A primary that is cut off from its replicas goes on taking writes; one of them is promoted meanwhile. When the cable is
/// back it is told to follow, and what nobody else has is put aside.
#[test]
fn a_primary_that_was_cut_off_while_another_was_promoted_follows_it() {
    let Some(lab) = Lab::build(3) else { return };
    let servers: Vec<Server> = (1..=3).map(|host| lab.server(host)).collect();
    let [old, new, other] = servers.as_slice() else {
        unreachable!()
    };
    follow(new, lab.address(1));
    follow(other, lab.address(1));
    fill(old, "common", 500);
    assert_in_sync(old, new);
    assert_in_sync(old, other);
    lab.cut(1);
    fill(old, "alone", 100);
    let mut client = old.client();
    wait_until("the end of its sessions", || {
        field(&mut client, "connected_slaves") == "0"
    });
    assert_eq!(new.client().say("REPLICAOF NO ONE"), "OK");
    fill(new, "new", 200);
    follow(other, lab.address(2));
    assert_in_sync(new, other);
    follow(old, lab.address(2));
    await_error(old, &lab.address(2).to_string());
    assert_eq!(client.say("EXISTS alone:1"), "1");
    lab.mend(1);
    assert_in_sync(new, old);
    assert_eq!(client.say("EXISTS alone:1 new:1"), "1");
    assert_eq!((full_syncs(other), full_syncs(old)), (0, 1));
    assert!(old.log().contains("writes that nobody else has"));
}
