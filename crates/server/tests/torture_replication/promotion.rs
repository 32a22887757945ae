//! A replica takes the primary's place.

use std::thread;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, order_patiently};
use super::node::ANSWER;
use haypile_testkit::{Way, Weather};

/// How the primary goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Killed,
    StandsStill,
    /// Clients reach it, replicas do not: it goes on taking writes.
    CutOff,
}

impl Cluster {
    /// The primary is lost, and the replica with the highest offset is promoted, as by Sentinel.
    pub fn promote(&mut self) -> Result<(), String> {
        let loss = *self.rng.pick(&[Loss::Killed, Loss::StandsStill, Loss::CutOff]);
        let old = self.root;
        let can_be_chosen =
            |cluster: &Cluster, number: usize| cluster.nodes[number].answers() && !cluster.unsure.contains(&number);
        if self.replicas().iter().all(|number| !can_be_chosen(self, *number)) {
            self.tell("nobody can be promoted".into());
            return Ok(());
        }
        self.tell(format!("the primary {old} is lost: {loss:?}"));
        match loss {
            Loss::Killed => self.nodes[old].kill()?,
            Loss::StandsStill => self.nodes[old].stand_still(),
            Loss::CutOff => {
                let place = self.nodes[old].address;
                for address in self.links_to(place) {
                    self.link(address).expect("a link").set(Weather {
                        refuse: true,
                        blackhole: Some(Way::Both),
                        ..Weather::CLEAR
                    });
                }
            }
        }
        self.pause(0, 400);
        if loss != Loss::CutOff {
            self.stop_load()?;
        }
        let (mut best, mut absent) = (None, 0);
        for number in self.replicas() {
            if !can_be_chosen(self, number) {
                absent += 1;
                continue;
            }
            let offset = self.nodes[number].info()?.offset();
            if best.is_none_or(|(highest, _)| offset > highest) {
                best = Some((offset, number));
            }
        }
        let (offset, new) = best.expect("there are some");
        order_patiently(&self.nodes[new], "REPLICAOF NO ONE")?;
        self.nodes[new].follows = None;
        self.tell(format!("{new} is promoted at {offset}, {absent} were absent"));
        if loss == Loss::CutOff {
            // Writes that nobody else will ever have.
            self.pause(0, 200);
            self.stop_load()?;
        }
        self.check_promotion(new, absent)?;
        self.may_diverge = true;
        // Until it has followed the new one it has data of its own.
        self.unsure.insert(old);
        self.root = new;
        self.plant();
        self.start_load();
        self.point_but(old)?;
        if loss == Loss::Killed && self.rng.one_in(2) {
            // It does not know yet that it has been replaced.
            self.nodes[old].follows = None;
            self.nodes[old].start();
            self.publish();
            self.pause(0, 300);
            let said = self.nodes[old].say("SET only:here 1")?;
            self.tell(format!("{old} is back as a primary, and takes a write: {said}"));
        }
        if self.rng.one_in(2) {
            self.point()?;
        }
        Ok(())
    }

    fn point_but(&mut self, old: usize) -> Result<(), String> {
        for number in self.replicas() {
            if number != old
                && let Some(address) = self.wanted(number)
            {
                self.follow(number, address)?;
            }
        }
        Ok(())
    }

    /// FAILOVER: nothing that was acknowledged may be lost.
    pub fn failover(&mut self) -> Result<(), String> {
        let old = self.root;
        let candidates: Vec<usize> = self
            .replicas()
            .into_iter()
            .filter(|number| self.nodes[*number].answers() && self.parents[*number] == Some(old))
            .collect();
        if candidates.is_empty() || !self.nodes[old].answers() {
            self.tell("no failover is possible".into());
            return Ok(());
        }
        let new = *self.rng.pick(&candidates);
        let (ip, port) = (self.nodes[new].address.ip(), self.nodes[new].address.port());
        let ms = self.rng.between(50, 3000);
        let said = self.nodes[old].say(&format!("FAILOVER TO {ip} {port} TIMEOUT {ms}"))?;
        self.tell(format!("FAILOVER from {old} to {new} within {ms} ms: {said}"));
        if said != "OK" {
            return Ok(());
        }
        let deadline = Instant::now() + 2 * ANSWER;
        let info = loop {
            let info = self.nodes[old].info()?;
            if info.get("master_failover_state") == "no-failover" {
                break info;
            }
            if Instant::now() > deadline {
                return Err(format!("the failover does not end: {info:?}"));
            }
            thread::sleep(Duration::from_millis(5));
        };
        if !info.is_replica() {
            let promoted = !self.nodes[new].info()?.is_replica();
            self.tell(format!("the failover has failed; {new} is promoted: {promoted}"));
            if promoted {
                self.nodes[new].follows = None;
                self.unsure.insert(new);
                self.may_diverge = true;
            }
            return Ok(());
        }
        self.stop_load()?;
        self.nodes[new].follows = None;
        // Directly: the primary knows its replicas by where they are.
        self.nodes[old].follows = Some(self.nodes[new].address);
        self.root = new;
        self.check_writes()?;
        self.plant();
        self.start_load();
        match self.rng.one_in(2) {
            true => self.point(),
            false => Ok(()),
        }
    }
}
