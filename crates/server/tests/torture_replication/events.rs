//! What happens.

use std::time::Duration;

use super::cluster::Cluster;
use super::node::{ANSWER, ask, send};
use haypile_testkit::{Way, Weather, encode};

/// Values that are written so that the log is collected: more than `oplog-retention-bytes` all together.
const BIG_VALUES: usize = 90;
const BIG_VALUE_BYTES: usize = 256 << 10;

impl Cluster {
    /// Something happens.
    pub fn happen(&mut self) -> Result<(), String> {
        self.events += 1;
        match self.rng.below(26) {
            0..=2 => self.kill(),
            3 => self.restart(),
            4..=6 => self.stand_still(),
            7..=11 => self.spoil_a_link(),
            12 => self.empty_a_replica(),
            13 => self.empty_the_primary(),
            14 => self.exchange_places(),
            15 | 16 => self.change_a_password(),
            17..=19 => self.promote(),
            20 => self.failover(),
            21 => self.shorten_the_log(),
            22 => self.configure(),
            23 => self.rearrange(),
            24 => self.follow_again(),
            _ => self.follow_in_a_circle(),
        }?;
        self.publish();
        Ok(())
    }

    fn kill(&mut self) -> Result<(), String> {
        let number = self.any();
        self.nodes[number].kill()?;
        self.tell(format!("{number} is killed"));
        while self.rng.one_in(3) {
            let after = self.rng.below(200);
            self.events += 1;
            self.nodes[number].start_and_kill(Duration::from_millis(after));
            self.tell(format!("{number} is killed {after} ms into its start"));
        }
        if !self.rng.one_in(3) {
            self.pause(0, 300);
            self.nodes[number].start();
            self.tell(format!("{number} is back"));
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<(), String> {
        let number = self.any();
        self.nodes[number].stop()?;
        self.pause(0, 300);
        self.nodes[number].start();
        self.tell(format!("{number} is restarted"));
        Ok(())
    }

    /// Mostly for longer than the timeout of one second.
    fn stand_still(&mut self) -> Result<(), String> {
        let number = self.any();
        self.nodes[number].stand_still();
        self.tell(format!("{number} stands still"));
        if !self.rng.one_in(3) {
            self.pause(500, 2500);
            self.nodes[number].go_on();
            self.tell(format!("{number} goes on"));
        }
        Ok(())
    }

    fn spoil_a_link(&mut self) -> Result<(), String> {
        let number = self.any_replica();
        let (kind, spoiled) = self.weather();
        let half = *self.rng.pick(&[Way::Forth, Way::Back, Way::Both]);
        let for_a_while = self.rng.one_in(3);
        let (reset, half_close) = (self.rng.one_in(3), self.rng.one_in(6));
        let Some(link) = self.nodes[number].follows.and_then(|address| self.link(address)) else {
            return Ok(());
        };
        link.set(spoiled.clone());
        if reset || kind == "cut" {
            link.reset();
        } else if half_close {
            link.half_close(half);
        }
        let also = match (reset, half_close) {
            (true, _) => ", and is reset",
            (_, true) => ", and half closed",
            _ => "",
        };
        self.tell(format!("the link of {number} is {kind}{also}"));
        if for_a_while {
            self.pause(0, 2000);
            let link = self.nodes[number].follows.and_then(|address| self.link(address));
            link.expect("as before").set(Weather::CLEAR);
            self.tell(format!("the link of {number} is whole again"));
        }
        Ok(())
    }

    fn weather(&mut self) -> (String, Weather) {
        let mut weather = Weather::CLEAR;
        let way = *self.rng.pick(&[Way::Forth, Way::Back, Way::Both]);
        let number = self.rng.between(1, 100);
        let kind = match self.rng.below(6) {
            0 => {
                weather.refuse = true;
                "cut".into()
            }
            1 => {
                weather.blackhole = Some(way);
                format!("a blackhole {way:?}")
            }
            2 => {
                weather.bytes_per_second = Some(number * 5_000);
                format!("slow: {} KB/s", number * 5)
            }
            3 => {
                weather.delay = Duration::from_millis(number * 4);
                format!("long: {} ms", number * 4)
            }
            _ => {
                weather.damage = Some((way, number * number * 50));
                format!("damaged {way:?}: one bit in {} bytes", number * number * 50)
            }
        };
        (kind, weather)
    }

    fn empty_a_replica(&mut self) -> Result<(), String> {
        let number = self.any_replica();
        self.nodes[number].kill()?;
        self.nodes[number].remove_data();
        self.unsure.insert(number);
        self.nodes[number].start();
        self.tell(format!("the replica {number} is emptied"));
        Ok(())
    }

    fn empty_the_primary(&mut self) -> Result<(), String> {
        self.stop_load()?;
        let root = self.root;
        self.nodes[root].kill()?;
        self.nodes[root].remove_data();
        self.unsure.extend(self.replicas());
        self.may_diverge = true;
        self.writers()
            .iter_mut()
            .for_each(|writer| writer.start_from(Default::default()));
        self.nodes[root].start();
        self.start_load();
        self.tell(format!("the primary {root} is emptied"));
        Ok(())
    }

    fn exchange_places(&mut self) -> Result<(), String> {
        let (a, b) = (self.any(), self.any());
        if a == b {
            return Ok(());
        }
        self.stop_load()?;
        for number in [a, b] {
            self.nodes[number].kill()?;
        }
        let place = self.nodes[a].address;
        self.nodes[a].address = self.nodes[b].address;
        self.nodes[b].address = place;
        for number in [a, b] {
            self.nodes[number].start();
        }
        self.tell(format!("{a} and {b} exchange their places"));
        self.start_load();
        match self.rng.one_in(2) {
            true => self.point(),
            false => Ok(()),
        }
    }

    fn change_a_password(&mut self) -> Result<(), String> {
        if self.rng.one_in(2) {
            let number = self.any_replica();
            if !self.nodes[number].answers() {
                return Ok(());
            }
            self.nodes[number].order("CONFIG SET masterauth wrong")?;
            if let Some(link) = self.nodes[number].follows.and_then(|address| self.link(address)) {
                link.reset();
            }
            self.tell(format!("{number} uses a wrong password"));
            return Ok(());
        }
        let number = self.any();
        if !self.nodes[number].answers() {
            return Ok(());
        }
        self.nodes[number].order("CONFIG SET requirepass other")?;
        self.nodes[number].password = "other".into();
        let place = self.nodes[number].address;
        for address in self.links_to(place) {
            self.link(address).expect("a link").reset();
        }
        self.tell(format!("{number} wants another password"));
        Ok(())
    }

    /// A replica is away while the primary collects the log that it would need.
    fn shorten_the_log(&mut self) -> Result<(), String> {
        if !self.nodes[self.root].answers() {
            return Ok(());
        }
        let number = self.any_replica();
        let killed = self.rng.one_in(2);
        let link = self.nodes[number].follows.and_then(|address| self.link(address));
        match (killed, link) {
            (false, Some(link)) => {
                link.set(Weather {
                    refuse: true,
                    ..Weather::CLEAR
                });
                link.reset();
            }
            _ => self.nodes[number].kill()?,
        }
        let mut client = self.nodes[self.root].client()?;
        for n in 0..BIG_VALUES {
            let mut bytes = Vec::new();
            let value = self.rng.next().to_string().repeat(BIG_VALUE_BYTES / 16);
            encode(&mut bytes, &["SET", &format!("big:{}", n % 10), &value]);
            send(&client, &bytes)?;
            client
                .recv_within(ANSWER)
                .map_err(|error| format!("a big value: {error}"))?;
        }
        // What is flushed needs no log.
        let _ = ask(&mut client, &["SAVE"], ANSWER);
        self.tell(format!("{number} is away while much is written; killed {killed}"));
        Ok(())
    }

    fn configure(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.between(1, 4) {
            let number = self.any();
            let setting = *self.rng.pick(&[
                "repl-timeout 2",
                "repl-copy-bytes-per-second 2mb",
                "repl-copy-bytes-per-second 20mb",
                "repl-copy-workers 1",
                "repl-copy-workers 16",
                "repl-window-bytes 64kb",
                "repl-window-bytes 1mb",
                "oplog-retention-bytes 24mb",
                "oplog-pinned-max-bytes 64gb",
                "repl-compression yes",
                "min-replicas-to-write 1",
                "replica-serve-stale-data no",
            ]);
            if self.nodes[number].answers() {
                self.nodes[number].order(&format!("CONFIG SET {setting}"))?;
                self.tell(format!("{number} is configured: {setting}"));
            }
        }
        Ok(())
    }

    fn rearrange(&mut self) -> Result<(), String> {
        self.plant();
        self.tell(format!("now {}", self.tree()));
        self.point()
    }

    fn follow_again(&mut self) -> Result<(), String> {
        let number = self.any_replica();
        if let Some(address) = self.nodes[number].follows {
            self.follow(number, address)?;
            self.tell(format!("{number} is told again whom it follows"));
        }
        Ok(())
    }

    /// Nobody in it is a primary.
    fn follow_in_a_circle(&mut self) -> Result<(), String> {
        let (a, b) = (self.any_replica(), self.any_replica());
        for (from, to) in [(a, b), (b, a)] {
            let place = self.nodes[to].address;
            let address = self.way(from, place);
            self.follow(from, address)?;
        }
        self.tell(format!("{a} and {b} follow each other"));
        Ok(())
    }
}
