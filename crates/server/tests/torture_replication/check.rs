//! What must be so when every cause of trouble is gone.

use std::thread;
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::load::there;
use super::node::{ANSWER, Info};

/// How long all servers may take to be alike again. Generous: the machine may be busy.
const ALIKE_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Cluster {
    /// Waits until everybody has everything; gives how long that took.
    pub fn await_sync(&mut self) -> Result<Duration, String> {
        let began = Instant::now();
        loop {
            match self.difference()? {
                None => return Ok(began.elapsed()),
                Some(why) if began.elapsed() > ALIKE_WITHIN => {
                    let infos: Vec<_> = self.nodes.iter().map(|node| format!("{:?}", node.info())).collect();
                    return Err(format!("not in sync after all this time: {why}\n{}", infos.join("\n")));
                }
                Some(_) => thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// What is missing yet until all are alike. Replicas that say they have everything, and have not, are an error.
    fn difference(&mut self) -> Result<Option<String>, String> {
        for node in &mut self.nodes {
            node.check_that_it_runs()?;
        }
        let root = &self.nodes[self.root];
        let info = root.info()?;
        if info.is_replica() {
            return Err(format!("server {} is no primary", self.root));
        }
        let offset = info.offset();
        let digest = root.say("DEBUG DIGEST")?;
        if root.info()?.offset() != offset {
            return Ok(Some("keys expire".into()));
        }
        for number in 0..self.nodes.len() {
            let node = &self.nodes[number];
            let before = node.info()?;
            if let Some(why) = self.lacks(number, &before, offset) {
                return Ok(Some(format!("server {number}: {why}")));
            }
            let found = node.say("DEBUG DIGEST")?;
            let after = node.info()?;
            if number != self.root && (!after.is_up() || after.offset() != offset) {
                return Ok(Some(format!("server {number} goes on")));
            }
            if found != digest && number != self.root {
                return Err(format!(
                    "server {number} says that it has everything up to {offset}, and its digest is {found} instead of {digest}"
                ));
            }
        }
        Ok(None)
    }

    fn lacks(&self, number: usize, info: &Info, offset: u64) -> Option<String> {
        let children = self.parents.iter().filter(|parent| **parent == Some(number)).count();
        if info.get("connected_slaves") != children.to_string() {
            let replicas = info.get("connected_slaves");
            return Some(format!("{replicas} replicas are connected instead of {children}"));
        }
        for child in 0..children {
            let line = info.get(&format!("slave{child}"));
            if !line.contains("state=online") || !line.contains(&format!("offset={offset},")) {
                return Some(format!("not all is acknowledged: {line}"));
            }
        }
        if number == self.root {
            return None;
        }
        match info.is_up() && info.offset() == offset && info.get("sync_partition0").contains("lag_entries=0,") {
            true => None,
            false => Some(format!(
                "{} at {} of {offset}: {} {}",
                info.get("master_link_status"),
                info.offset(),
                info.get("sync_partition0"),
                info.get("sync_instance_last_error")
            )),
        }
    }

    /// Checks that what was acknowledged is there.
    pub fn check_writes(&mut self) -> Result<(), String> {
        let mut client = self.nodes[self.root].client()?;
        for writer in self.writers() {
            let there = there(&mut client, writer.number, ANSWER)?;
            if let Some(lost) = writer.acked.difference(&there).next() {
                return Err(format!(
                    "writer {}: {lost} was acknowledged and is gone; the last there is {:?}",
                    writer.number,
                    there.last()
                ));
            }
            if let Some(more) = there.range(writer.sent + 1..).next() {
                return Err(format!("writer {}: {more} has not been sent yet", writer.number));
            }
            writer.start_from(there);
        }
        Ok(())
    }

    /// Checks what must have survived a promotion of a server when `absent` replicas could not be chosen, and
    /// counts from there.
    pub fn check_promotion(&mut self, promoted: usize, absent: usize) -> Result<(), String> {
        let mut client = self.nodes[promoted].client()?;
        for writer in self.writers() {
            let there = there(&mut client, writer.number, ANSWER)?;
            let last = there.last().copied().unwrap_or(0);
            let confirmed = writer.confirmed_by_more_than(absent);
            if last < confirmed {
                return Err(format!(
                    "writer {}: {confirmed} was confirmed by more than {absent} replicas, and server {promoted} has only {last}",
                    writer.number
                ));
            }
            if let Some(lost) = writer.acked.range(..=last).find(|n| !there.contains(n)) {
                return Err(format!(
                    "writer {}: {lost} was acknowledged and is gone, and {last} is there",
                    writer.number
                ));
            }
            writer.start_from(there);
        }
        Ok(())
    }
}
